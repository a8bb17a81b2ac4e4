"""One renewal, from the lock to the save, and what is pending after a failed save."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import pytest
from attrs import evolve

from pipedrive_oauth_client import (
    CorruptTokenError,
    GrantEnd,
    GrantEndedError,
    InvalidClientError,
    InvalidGrantError,
    InvalidResponseError,
    PipedriveOAuthError,
    RateLimitedError,
    ServerError,
    StoreError,
    StoreLockTimeoutError,
    Token,
    TokenNotFoundError,
    TokenRequestError,
    TransportError,
)
from pipedrive_oauth_client._renewal import Requirement, pending_saves, renew
from pipedrive_oauth_client.pytest_plugin import PipedriveSandbox
from pipedrive_oauth_client.sandbox import Fault
from pipedrive_oauth_client.stores import MemoryTokenStore
from tests.support.auths import (
    ACCOUNT,
    ME,
    REFRESH_PATH,
    Account,
    PlainStore,
    WatchedStore,
    connected,
    given,
    got,
)
from tests.support.fake_time import FakeTime
from tests.support.sweep import found, visible

A_YEAR: Final = timedelta(days=365)


class UserStoreError(Exception):
    """What the store of a user raises, who knows nothing of this package's errors."""


@pytest.fixture
def account(box: PipedriveSandbox) -> Iterator[Account]:
    """Connect an account anew, and let its token expire."""
    box.faults.clear()
    with connected(box) as account:
        account.expire()
        yield account


def test_order_of_the_steps(account: Account) -> None:
    """A renewal looks, takes the lock, looks again, refreshes, saves, and lets go."""
    steps: list[str] = []

    def note(name: str) -> None:
        steps.append(f"{name} {account.refreshes()}")

    for name in ("load", "lock", "load", "save", "release"):
        account.store.at(name, partial(note, name))
    token = account.auth().token()
    assert steps == ["load 0", "lock 0", "load 0", "save 1", "release 1"]
    assert token == account.stored()


def test_renewed_while_waiting_for_the_lock(account: Account) -> None:
    """Whoever had the lock before may have renewed: then that token is used, with no refresh."""
    theirs: list[Token] = []
    account.store.at("lock", lambda: theirs.append(account.renew_elsewhere()))
    assert account.auth().token() == theirs[0]
    assert account.refreshes() == 1
    assert account.store.calls["save"] == 0


def test_used_up_by_somebody_else(account: Account) -> None:
    """When a refresh is refused and a newer token is in the store, that one is used."""
    theirs: list[Token] = []
    account.store.at("load", _nothing, lambda: theirs.append(_behind_the_back(account)))
    assert account.auth().token() == theirs[0] == account.stored()
    assert account.refreshes(outcome="invalid_grant") == 1
    assert account.is_alive()


def test_newer_token_is_stale_too(account: Account) -> None:
    """When the newer token has expired as well, it is renewed in its turn."""

    def somebody() -> None:
        new = account.oauth.refresh(account.stored())
        old = evolve(new, expires_at=account.token.expires_at)
        account.store.at("load", lambda: account.store.inner.save(ACCOUNT, old))

    account.store.at("load", _nothing, somebody)
    token = account.auth().token()
    assert token == account.stored()
    assert [each.outcome for each in account.box.requests if each.grant_type] == [
        "ok",
        "invalid_grant",
        "ok",
    ]


def test_grant_that_is_over(account: Account, mode: str) -> None:
    """Without a newer token in the store, the end of the grant is stored with it, and raised."""
    account.oauth.revoke(account.token, "refresh_token")
    before, now = account.stored(), account.box.clock()
    with pytest.raises(GrantEndedError, match="authorize"):
        given(mode, account)
    end = GrantEnd(at=now, error="invalid_grant", tried_at=now)
    assert account.stored() == evolve(before, grant_end=end)
    assert account.refreshes() == 1
    assert account.store.calls["release"] == 0  # the error passes through the lock
    with account.store.lock(ACCOUNT):
        pass


def test_grant_that_is_over_and_deleted(account: Account) -> None:
    """When somebody deletes the token meanwhile, the refusal is raised, too."""
    account.oauth.revoke(account.token, "refresh_token")
    account.store.at("load", _nothing, _nothing, lambda: account.store.inner.delete(ACCOUNT))
    with pytest.raises(InvalidGrantError):
        account.auth().token()


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault.refusal("client_invalid"), InvalidClientError),
        (Fault.status(429, retry_after=30), RateLimitedError),
        (Fault.status(503), ServerError),
        (Fault.status(418), TokenRequestError),
        (Fault.page(200), InvalidResponseError),
        (Fault.reset(), TransportError),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_failures_come_through(
    account: Account, fault: Fault, kind: type[PipedriveOAuthError], mode: str
) -> None:
    """What fails at the service is raised as it is, nothing is saved, and the lock is free."""
    account.box.faults.add(REFRESH_PATH, fault)
    before = account.stored()
    with pytest.raises(kind) as caught:
        given(mode, account)
    if isinstance(caught.value, TransportError):
        assert caught.value.maybe_sent
    assert account.stored() == before
    assert account.store.calls["save"] == 0
    with account.store.lock(ACCOUNT):
        pass


@pytest.mark.parametrize("place", ["load", "lock", "second load", "release"])
@pytest.mark.parametrize(
    "error",
    [StoreError("It is broken."), UserStoreError("It is broken.")],
    ids=["ours", "the_user_s"],
)
def test_store_that_fails(account: Account, place: str, error: Exception, mode: str) -> None:
    """A store's error is raised as it is, no refresh token is lost, and the next call works."""
    if place == "second load":
        account.store.at("load", _nothing, error)
    else:
        account.store.at(place, error)
    with pytest.raises(type(error), match=r"It is broken\."):
        given(mode, account)
    assert account.refreshes() == (1 if place == "release" else 0)
    assert given(mode, account) == account.stored()
    assert account.refreshes() == 1
    assert account.is_alive()


@pytest.mark.parametrize(
    "error",
    [
        StoreError("It is full."),
        UserStoreError("It is full."),
        MemoryError("It is full."),
        SystemExit("It is full."),
    ],
    ids=lambda error: type(error).__name__,
)
def test_token_that_was_not_saved(account: Account, error: BaseException) -> None:
    """A token that the store does not take is kept, and saved at the next call with no refresh."""
    account.store.at("save", error, error)
    for _ in range(2):
        with pytest.raises(type(error), match=r"It is full\."):
            account.auth().token()
    assert account.stored() == account.token
    token = account.auth().token()
    assert token == account.stored() != account.token
    assert account.refreshes() == 1
    assert account.is_alive()


def test_token_that_was_not_saved_is_told(
    account: Account, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says at each failure where the only copy is, so that the process is not ended."""
    account.store.at("save", StoreError("It is full."), StoreError("It is full."))
    for _ in range(2):
        caplog.clear()
        with pytest.raises(StoreError):
            account.auth().token()
        (record,) = [each for each in caplog.records if each.levelno >= logging.WARNING]
        assert record.levelno == logging.ERROR
        assert "This process has the only copy" in record.getMessage()
        assert record.getMessage().endswith("until the store works. It is full.")
    caplog.clear()
    assert account.auth().token() == account.stored()
    assert [each for each in caplog.records if each.levelno >= logging.WARNING] == []


def test_unsaved_token_gives_way(account: Account) -> None:
    """A token that was not saved is dropped when somebody has saved another meanwhile."""
    account.store.at("save", StoreError("It is full."))
    with pytest.raises(StoreError):
        account.auth().token()
    theirs = evolve(account.token, refresh_token="theirs", access_token="theirs")
    account.store.inner.save(ACCOUNT, evolve(theirs, expires_at=theirs.expires_at + A_YEAR))
    assert account.auth().token().access_token == "theirs"
    account.expire()
    assert account.stored().access_token == "theirs"
    assert account.refreshes() == 1


def test_unsaved_token_of_a_deleted_account(account: Account) -> None:
    """A token that was not saved does not come back when the account was deleted meanwhile."""
    account.store.at("save", StoreError("It is full."))
    with pytest.raises(StoreError):
        account.auth().token()
    account.store.inner.delete(ACCOUNT)
    with pytest.raises(TokenNotFoundError):
        account.auth().token()
    assert account.store.inner.load(ACCOUNT) is None


def test_late_save_gives_way(account: Account) -> None:
    """When the lock was lost and somebody has saved, their token is used and is not overwritten."""
    theirs = evolve(
        account.token, access_token="theirs", expires_at=account.token.expires_at + A_YEAR
    )
    account.store.at("save", lambda: _steal(account, theirs))
    assert account.auth().token() == theirs == account.stored()
    assert account.refreshes() == 1


def test_late_save_of_a_deleted_account(account: Account) -> None:
    """When the lock was lost and somebody has deleted the account, it stays deleted."""
    account.store.at("save", lambda: _steal(account, None))
    with pytest.raises(TokenNotFoundError):
        account.auth().token()
    assert account.store.inner.load(ACCOUNT) is None


def test_store_that_refuses_for_no_reason(account: Account) -> None:
    """A save that is refused though nobody else has saved is made again, with no refresh."""
    account.store.at("save", StoreLockTimeoutError("The lock is lost."))
    assert account.auth().token() == account.stored()
    assert account.refreshes() == 1


def test_no_refresh_under_a_lost_lock(account: Account) -> None:
    """Whoever was stopped since it took the lock takes it again before it refreshes."""
    time = FakeTime()
    store = MemoryTokenStore()
    store._monotonic = store._now = time.monotonic
    account.store.inner = store
    store.save(ACCOUNT, account.token)
    two_minutes = 120.0
    account.store.at("load", _nothing, lambda: time.move(two_minutes))
    assert account.auth().token() == account.stored()
    assert account.refreshes() == 1
    assert (account.store.calls["lock"], account.store.calls["load"]) == (2, 3)


def test_lost_lock_and_renewed_by_another(account: Account) -> None:
    """Whoever was stopped before its refresh finds the token that another has saved meanwhile."""
    time = FakeTime()
    store = MemoryTokenStore()
    store._monotonic = store._now = time.monotonic
    account.store.inner = store
    store.save(ACCOUNT, account.token)
    theirs: list[Token] = []

    def stopped() -> None:
        time.move(120)
        account.store.at("lock", lambda: theirs.append(account.renew_elsewhere()))

    account.store.at("load", _nothing, stopped)
    assert account.auth().token() == theirs[0] == account.stored()
    assert account.refreshes() == 1
    assert account.store.calls["save"] == 0


def test_lock_that_is_always_lost(account: Account) -> None:
    """A lock that is lost each time ends in an error after five rounds, with no refresh."""
    time = FakeTime()
    store = MemoryTokenStore()
    store._monotonic = store._now = time.monotonic
    account.store.inner = store
    store.save(ACCOUNT, account.token)
    account.store.at("load", _nothing, *[lambda: time.move(120)] * 9)
    with pytest.raises(StoreLockTimeoutError, match="Try again"):
        account.auth().token()
    assert account.store.calls["lock"] == 5
    assert account.refreshes() == 0


def test_store_of_the_user_s_own(account: Account, mode: str) -> None:
    """A store of five methods, with a lock that is no lease, will do."""
    store = PlainStore()
    store.save(ACCOUNT, account.token)
    account.store.inner = store
    assert got(mode, account).status_code == 200
    assert store.load(ACCOUNT) != account.token
    assert account.refreshes() == 1
    assert account.is_alive()


def test_token_that_can_t_be_renewed(account: Account) -> None:
    """A token without a refresh token is used to its end, and then the person has to authorize."""
    token = evolve(
        account.token,
        refresh_token=None,
        expires_at=account.box.clock() + timedelta(seconds=10),
    )
    account.store.inner.save(ACCOUNT, token)
    assert account.auth().token() == token
    account.box.clock.advance(timedelta(seconds=10))
    with pytest.raises(TokenNotFoundError, match="authorize"):
        account.auth().token()
    assert account.refreshes() == 0


def test_token_of_another_type(account: Account) -> None:
    """What is no bearer token, such as a sealed one, is never sent and never renewed."""
    account.store.inner.save(ACCOUNT, evolve(account.token, token_type="sealed"))
    with pytest.raises(CorruptTokenError, match="EncryptedTokenStore"):
        account.auth().token()
    assert len(account.box.requests) == 0


def test_short_lived_tokens(account: Account) -> None:
    """A token that lives for less than the leeway serves for half its life, and no loop begins."""
    account.box.faults.add(REFRESH_PATH, Fault.override({"expires_in": 40}), times=9)
    auth = account.auth()
    first = auth.token()
    account.box.clock.advance(timedelta(seconds=19))
    assert auth.token() == first
    assert account.refreshes() == 1
    account.box.clock.advance(timedelta(seconds=1))
    assert auth.token() != first
    assert account.refreshes() == 2


def test_requirement_decides(account: Account) -> None:
    """A token is refreshed if it does not meet the caller's requirement, and only then."""
    given = (account.oauth, account.store, ACCOUNT)

    def clock() -> datetime:
        return account.token.expires_at - timedelta(seconds=1)

    assert renew(*given, Requirement(clock, timedelta(0))) == (account.token, False)
    assert account.refreshes() == 0
    rejecting = Requirement(clock, timedelta(0), account.token.access_token)
    assert renew(*given, rejecting) == (account.stored(), True)
    assert account.stored() != account.token
    assert account.refreshes() == 1


@pytest.mark.parametrize("mishap", ["grant", "answer", "reset", "save", "release", "late", "API"])
def test_no_failure_shows_a_secret(
    account: Account, mishap: str, caplog: pytest.LogCaptureFixture, mode: str
) -> None:
    """No error, traceback, log or repr of a failed renewal shows a token or the client secret."""
    caplog.set_level(logging.DEBUG)
    faults: dict[str, Fault] = {
        "grant": Fault.refusal("refresh_token_invalid"),
        "answer": Fault.override({"expires_in": "x"}),
        "reset": Fault.reset(),
    }
    if mishap in faults:
        account.box.faults.add(REFRESH_PATH, faults[mishap])
    elif mishap == "late":
        account.store.at("save", lambda: _steal(account, None))
    elif mishap == "API":
        account.box.faults.add(ME, Fault.status(401), times=2)
    else:
        account.store.at(mishap, StoreError("It is broken."))
    auth = account.auth()
    shown: list[str] = []
    try:
        shown.append(repr(got(mode, account, auth=auth)))
    except PipedriveOAuthError as error:
        shown.append(visible(error))
    assert shown
    source = auth.token_source
    shown += [repr(auth), str(auth), repr(source), repr(source._cache)]
    shown.append(caplog.text)
    secrets = {
        account.box.credentials.client_secret,
        account.box.credentials.basic_auth_header.removeprefix("Basic "),
        account.token.access_token,
        str(account.token.refresh_token),
    }
    for token in account.store.offered:
        secrets |= {token.access_token, str(token.refresh_token)}
    assert found("\n".join(shown), secrets) == []


def _nothing() -> None:
    pass


def _behind_the_back(account: Account) -> Token:
    """Renew with the refresh token that is just being used, and save it a moment later."""
    token = account.oauth.refresh(account.stored())
    account.store.at("load", lambda: account.store.inner.save(ACCOUNT, token))
    return token


def _steal(account: Account, token: Token | None) -> None:
    """Save or delete as somebody else, who has got the lock meanwhile."""
    store = account.store.inner
    assert isinstance(store, MemoryTokenStore)
    leases = store._held.by_account
    store._held.by_account = {}
    if token is None:
        store.delete(ACCOUNT)
    else:
        store.save(ACCOUNT, token)
    store._held.by_account = leases


# --- Tokens that a store did not take are kept for it, and give way to what others have saved ---


BEFORE: Final = Token(
    access_token="access-before-51a0",
    refresh_token="refresh-before-7c1e",
    expires_at=datetime(2026, 1, 1, tzinfo=UTC),
)
NEXT: Final = evolve(BEFORE, access_token="access-next-09bd", refresh_token="refresh-next-e12f")
THEIRS: Final = evolve(BEFORE, access_token="access-theirs-33", refresh_token="refresh-theirs-44")


@pytest.fixture
def store() -> Iterator[WatchedStore]:
    """Give a store that holds the token before, and for which the next one is kept."""
    store = WatchedStore()
    store.inner.save("a", BEFORE)
    pending_saves.add(store, "a", previous=BEFORE, token=NEXT)
    yield store
    pending_saves._saves.pop((id(store), "a"), None)


def _kept(store: WatchedStore, account: str = "a") -> bool:
    return (id(store), account) in pending_saves._saves


def test_saved_at_the_next_chance(store: WatchedStore) -> None:
    """Where the token before is still stored, the kept one takes its place, once."""
    assert pending_saves.flush(store, "a", BEFORE) == NEXT == store.load("a")
    assert not _kept(store)
    assert pending_saves.flush(store, "a", NEXT) == NEXT
    assert store.calls["save"] == 1


@pytest.mark.parametrize("stored", [THEIRS, None, NEXT], ids=["theirs", "deleted", "saved_at_last"])
def test_gives_way(store: WatchedStore, stored: Token | None) -> None:
    """Where something else is stored, or nothing, that counts, and the kept one is dropped."""
    assert pending_saves.flush(store, "a", stored) == stored
    assert not _kept(store)
    assert store.calls["save"] == 0


@pytest.mark.parametrize("error", [StoreError("It is full."), OSError("It is full.")])
def test_kept_until_it_is_saved(store: WatchedStore, error: Exception) -> None:
    """While the store goes on failing the token is kept."""
    store.at("save", error, error)
    for _ in range(2):
        with pytest.raises(type(error), match=r"It is full\."):
            pending_saves.flush(store, "a", BEFORE)
        assert _kept(store)
    assert pending_saves.flush(store, "a", BEFORE) == NEXT == store.load("a")
    assert not _kept(store)


def test_newest_counts(store: WatchedStore) -> None:
    """Of several tokens that were not saved the last one counts, with what it came from."""
    last = evolve(NEXT, access_token="last")
    pending_saves.add(store, "a", previous=NEXT, token=last)
    store.inner.save("a", NEXT)
    assert pending_saves.flush(store, "a", NEXT) == last == store.load("a")


def test_other_accounts_and_stores(store: WatchedStore) -> None:
    """What is kept is for one account of one store."""
    other = MemoryTokenStore()
    other.save("a", BEFORE)
    assert pending_saves.flush(other, "a", BEFORE) == BEFORE == other.load("a")
    assert pending_saves.flush(store, "b", BEFORE) == BEFORE
    assert store.load("b") is None
    assert _kept(store)


def test_nothing_shows_in_repr(store: WatchedStore) -> None:
    """What is kept shows no token."""
    shown = repr(pending_saves._saves)
    assert _kept(store)
    for token in (BEFORE, NEXT):
        assert token.access_token not in shown
        assert str(token.refresh_token) not in shown
