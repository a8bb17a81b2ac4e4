"""A grant that has ended is known once, by all, and until it is restored."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Final

import httpx
import pytest
from attrs import evolve

from pipedrive_oauth_client import (
    NO_STATE,
    GrantEnd,
    GrantEndedError,
    InvalidClientError,
    InvalidGrantError,
    PipedriveOAuthError,
    RateLimitedError,
    ServerError,
    StoreError,
    StoreLockTimeoutError,
    Token,
    TransportError,
    UnusableAccessTokenError,
)
from pipedrive_oauth_client._renewal import pending_saves
from pipedrive_oauth_client.adapters.requests import PipedriveRequestsAuth
from pipedrive_oauth_client.fleet import FleetProgress, FleetReport, refresh_due
from pipedrive_oauth_client.pytest_plugin import PipedriveSandbox
from pipedrive_oauth_client.sandbox import Fault
from pipedrive_oauth_client.stores import EncryptedTokenStore, MemoryTokenStore
from tests.support.auths import (
    ACCOUNT,
    REFRESH_PATH,
    Account,
    PlainStore,
    WatchedStore,
    connected,
    given,
    got,
)
from tests.support.fleets import fleet
from tests.support.sweep import found, visible

DAY: Final = timedelta(days=1)
TICK: Final = timedelta(microseconds=1)
FULL: Final = StoreError("It is full.")
REJECTED: Final = Fault.refusal("refresh_token_invalid")


def end_of(account: Account) -> GrantEnd | None:
    """Give the mark of the stored token."""
    return account.stored().grant_end


def end(account: Account, mode: str = "sync") -> GrantEnd:
    """Let the grant end, and a caller find it out."""
    account.oauth.revoke(account.stored(), "refresh_token")
    with pytest.raises(GrantEndedError):
        given(mode, account)
    known = end_of(account)
    assert known is not None
    return known


def log_in(account: Account) -> Token:
    """Have the person authorize the app again, as another process would."""
    code = account.oauth.read_callback(account.box.server.install(), NO_STATE)
    token = account.oauth.exchange(code)
    account.store.inner.save(ACCOUNT, token)
    return token


def set_clock(account: Account, time: datetime) -> None:
    """Put the clock forward to a time."""
    account.box.clock.advance(time - account.box.clock())


def no_more(account: Account, mode: str, refreshes: int) -> GrantEndedError:
    """Check that a caller is told, and that nothing is sent for it."""
    with pytest.raises(GrantEndedError) as caught:
        given(mode, account)
    assert account.refreshes() == refreshes
    return caught.value


@pytest.fixture
def account(box: PipedriveSandbox) -> Iterator[Account]:
    """Connect an account anew, and let its token expire."""
    box.faults.clear()
    with connected(box) as account:
        account.expire()
        yield account


# --- The mark ---


def test_what_is_kept(account: Account, mode: str) -> None:
    """Since when and why is kept with the token, and told to all callers, the first included."""
    account.oauth.revoke(account.token, "refresh_token")
    before, now = account.stored(), account.box.clock()
    errors: list[GrantEndedError] = []
    for _ in range(3):
        errors.append(no_more(account, mode, 1))
        account.box.clock.advance(timedelta(hours=7))
    known = GrantEnd(at=now, error="invalid_grant", tried_at=now)
    assert account.stored() == evolve(before, grant_end=known)
    for error in errors:
        assert (error.account, error.since) == (ACCOUNT, now)
        assert (error.status_code, error.error) == (400, "invalid_grant")
        assert "authorize the app again" in str(error)
        secrets = [before.access_token, str(before.refresh_token)]
        assert found(visible(error), secrets) == []
    assert type(errors[0].__cause__) is InvalidGrantError
    assert errors[1].__cause__ is None
    assert account.store.calls["save"] == 1


def test_no_lock_is_taken_for_what_is_known(account: Account, mode: str) -> None:
    """A caller that finds the mark does one load, and nothing else."""
    end(account)
    account.store.calls.clear()
    no_more(account, mode, 1)
    assert account.store.calls == {"load": 1}


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault.refusal("client_invalid"), InvalidClientError),
        (Fault.refusal("client_invalid", status=401), InvalidClientError),
        (Fault.refusal("refresh_token_invalid", status=401), InvalidGrantError),
        (Fault.refusal("refresh_token_invalid", status=429), InvalidGrantError),
        (Fault.refusal("refresh_token_invalid", status=500), InvalidGrantError),
        (Fault.status(401), InvalidClientError),
        (Fault.status(429), RateLimitedError),
        (Fault.status(500), ServerError),
        (Fault.status(503), ServerError),
        (Fault.closed(), TransportError),
    ],
    ids=repr,
)
def test_what_does_not_mark(
    account: Account, mode: str, fault: Fault, kind: type[PipedriveOAuthError]
) -> None:
    """No other failure marks a grant, and the next caller asks the service again."""
    account.box.faults.add(REFRESH_PATH, fault)
    with pytest.raises(kind) as caught:
        given(mode, account)
    assert not isinstance(caught.value, GrantEndedError)
    assert end_of(account) is None
    assert given(mode, account) == account.stored()
    assert account.refreshes() == 2


def test_rfc_fields(account: Account, mode: str) -> None:
    """An error response with the field names of RFC 6749 marks as well."""
    fault = Fault.refusal("refresh_token_invalid", rfc_fields=True)
    account.box.faults.add(REFRESH_PATH, fault)
    assert no_more(account, mode, 1).error == "invalid_grant"
    assert end_of(account) is not None


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, '{"error": "invalid_grant"}'),
        (200, '{"success": false, "message": "Invalid grant: refresh_token is invalid"}'),
        (400, '{"error": "invalid_grant", "error_description": ["Expired."]}'),
        (403, '{"error": "invalid_grant"}'),
    ],
)
def test_odd_error_responses(account: Account, mode: str, status: int, body: str) -> None:
    """The error code marks, however the rest of the response differs from the documented one."""
    account.box.faults.add(REFRESH_PATH, Fault.answer(status, body))
    for _ in range(2):
        error = no_more(account, mode, 1)
        assert (error.error or "invalid_grant") == "invalid_grant"
    known = end_of(account)
    assert known is not None
    assert known.error == "invalid_grant"


def test_valid_access_token_is_used(account: Account, mode: str) -> None:
    """While the access token is valid it is used, to its last moment; then the error is raised."""
    token = account.renew_elsewhere()
    now = account.box.clock()
    known = GrantEnd(at=now, error="invalid_grant", tried_at=now)
    account.store.inner.save(ACCOUNT, evolve(token, grant_end=known))
    auth = account.auth()
    account.box.requests.clear()
    for _ in range(2):
        assert got(mode, account, auth=auth).status_code == 200
        assert got(mode, account).status_code == 200
        set_clock(account, token.expires_at - TICK)
    account.box.clock.advance(TICK)
    for each in (auth, None):
        with pytest.raises(GrantEndedError):
            got(mode, account, auth=each)
    assert account.refreshes() == 0


def test_nothing_is_tried_early_for_an_ended_grant(
    account: Account, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Within the leeway, requests use the cached token, and nothing is searched for or logged."""
    token = account.renew_elsewhere()
    known = GrantEnd(at=account.box.clock(), error="invalid_grant", tried_at=account.box.clock())
    account.store.inner.save(ACCOUNT, evolve(token, grant_end=known))
    set_clock(account, token.expires_at - timedelta(seconds=30))
    auth = account.auth()
    account.store.calls.clear()
    for _ in range(2):
        assert got(mode, account, auth=auth).status_code == 200
        set_clock(account, token.expires_at - TICK)
    assert account.store.calls == {"load": 1}
    assert [each for each in caplog.records if each.levelno >= logging.WARNING] == []


def test_early_refresh_that_is_rejected(account: Account, mode: str) -> None:
    """A refresh before the expiry that ends the grant costs one POST, and the token is used on."""
    account.renew_elsewhere()
    account.oauth.revoke(account.stored(), "refresh_token")
    token = log_in(account)
    set_clock(account, token.expires_at - timedelta(seconds=30))
    account.box.requests.clear()
    account.box.faults.add(REFRESH_PATH, REJECTED, times=5)
    auth = account.auth()
    for _ in range(3):
        assert got(mode, account, auth=auth).status_code == 200
    assert end_of(account) is not None
    account.box.clock.advance(timedelta(minutes=1))
    no_more(account, mode, 1)
    account.box.faults.clear()


def test_rejected_access_token(account: Account, mode: str) -> None:
    """When the API rejects the access token of an ended grant, the error is raised at once."""
    account.renew_elsewhere()
    now = account.box.clock()
    known = GrantEnd(at=now, error="invalid_grant", tried_at=now)
    account.store.inner.save(ACCOUNT, evolve(account.stored(), grant_end=known))
    account.revoke_access_token()
    account.box.requests.clear()
    for _ in range(2):
        with pytest.raises(GrantEndedError):
            got(mode, account)
    assert account.refreshes() == 0


def test_adapter(account: Account) -> None:
    """The adapter for requests raises the same, and sends nothing."""
    import requests  # noqa: PLC0415 - an extra

    end(account)
    session = requests.Session()
    session.auth = PipedriveRequestsAuth(account.auth())
    with pytest.raises(GrantEndedError):
        session.get(f"{account.box.base_url}/api/v1/users/me", timeout=10)
    assert account.api_calls() == 0
    assert account.refreshes() == 1


# --- Its end ---


def test_login_restores_it(account: Account, mode: str) -> None:
    """A token that is saved by whichever process ends it for those that knew of the end."""
    auth = account.auth()
    end(account, mode)
    with pytest.raises(GrantEndedError):
        auth.token()
    token = log_in(account)
    assert auth.token() == token
    assert given(mode, account) == token
    assert end_of(account) is None
    assert account.refreshes() == 1


def test_second_try_after_a_day(account: Account, mode: str) -> None:
    """A day after the last try it is tried once more; `at` stays, and so the errors say it."""
    first = end(account)
    for number in (2, 3):
        account.box.clock.advance(DAY - TICK)
        no_more(account, mode, number - 1)
        account.box.clock.advance(TICK)
        error = no_more(account, mode, number)
        assert error.since == first.at
        assert isinstance(error.__cause__, InvalidGrantError)
        assert no_more(account, mode, number).since == first.at
        known = end_of(account)
        assert known == evolve(first, tried_at=account.box.clock())


def test_mistake_of_the_service_heals(account: Account, mode: str) -> None:
    """If the second try succeeds, the mark is gone."""
    account.box.faults.add(REFRESH_PATH, REJECTED)
    no_more(account, mode, 1)
    account.box.clock.advance(DAY)
    assert given(mode, account) == account.stored()
    assert end_of(account) is None
    assert account.is_alive()


def test_second_try_without_an_access_token(account: Account, mode: str) -> None:
    """A new refresh token says that the grant is alive, though its access token can't be used."""
    end(account)
    account.box.clock.advance(DAY)
    account.box.faults.add(REFRESH_PATH, Fault.answer(200, '{"refresh_token": "another"}'))
    with pytest.raises(UnusableAccessTokenError):
        given(mode, account)
    assert account.stored().refresh_token == "another"
    assert end_of(account) is None


def test_second_try_that_fails_otherwise(account: Account, mode: str) -> None:
    """A second try that meets another failure raises that, and does not count as a try."""
    first = end(account)
    account.box.clock.advance(DAY)
    account.box.faults.add(REFRESH_PATH, Fault.status(503))
    with pytest.raises(ServerError):
        given(mode, account)
    assert end_of(account) == first
    no_more(account, mode, 3)


def test_second_try_of_another_process(account: Account) -> None:
    """Of two that find the day over, the one that gets the lock later does not ask again."""
    first = end(account)
    account.box.clock.advance(DAY)

    def other() -> None:
        tried = evolve(first, tried_at=account.box.clock())
        account.store.inner.save(ACCOUNT, evolve(account.stored(), grant_end=tried))

    account.store.at("lock", other)
    no_more(account, "sync", 1)


@pytest.mark.parametrize("shift", [timedelta(seconds=-30), -DAY + TICK, -DAY, -1000 * DAY])
def test_mark_of_a_clock_that_is_ahead(account: Account, shift: timedelta) -> None:
    """A clock some seconds behind that of the mark changes nothing; a mark of next year heals."""
    first = end(account)
    ahead = evolve(first, at=first.at - shift, tried_at=first.tried_at - shift)
    account.store.inner.save(ACCOUNT, evolve(account.stored(), grant_end=ahead))
    no_more(account, "sync", 2 if -shift >= DAY else 1)


# --- Several workers, and stores that fail ---


def test_worker_with_an_older_token(account: Account) -> None:
    """A worker whose older token is rejected marks nothing, since the store has a newer one."""
    newer: list[Token] = []

    def refreshes() -> None:
        newer.append(account.oauth.refresh(account.stored()))

    def saves() -> None:
        with ThreadPoolExecutor() as other:
            other.submit(account.store.inner.save, ACCOUNT, newer[0]).result()

    # The other worker had the lock before, and wakes up late.
    account.store.at("load", lambda: None, refreshes, saves)
    assert account.auth().token() == account.stored() == newer[0]
    assert end_of(account) is None
    assert account.refreshes(outcome="invalid_grant") == 1


@pytest.mark.parametrize("is_marked_before", [False, True])
def test_login_while_the_mark_is_made(account: Account, *, is_marked_before: bool) -> None:
    """A login between the service's response and the mark is not overwritten, but used."""
    if is_marked_before:
        end(account)
        account.box.clock.advance(DAY)
    else:
        account.oauth.revoke(account.token, "refresh_token")
    store, tokens = account.store, list[Token]()

    def logs_in() -> None:
        with ThreadPoolExecutor() as other:  # which does not hold the lock of this thread
            tokens.append(other.submit(log_in, account).result())

    store.at("save", logs_in)
    assert account.auth().token() == tokens[0] == account.stored()
    assert end_of(account) is None


@pytest.mark.parametrize(
    "error", [FULL, OSError("It is full."), StoreLockTimeoutError("It is lost.")], ids=repr
)
def test_store_that_can_not_be_written(
    account: Account, mode: str, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """The rejection reaches the caller although it can't be stored, and no token is lost."""
    account.oauth.revoke(account.token, "refresh_token")
    before = account.stored()
    account.store.at("save", error, error)
    with pytest.raises(InvalidGrantError, match="authorize") as caught:
        given(mode, account)
    assert type(caught.value) is InvalidGrantError
    assert account.stored() == before
    assert not pending_saves.has(account.store, ACCOUNT)
    (record,) = [each for each in caplog.records if "could not record it" in each.getMessage()]
    assert record.levelno == logging.WARNING
    account.store.at("save")  # it works again
    if not isinstance(error, StoreLockTimeoutError):
        account.store._errors.clear()
    no_more(account, mode, 2)
    no_more(account, mode, 2)


def test_deleted_while_the_mark_is_made(account: Account) -> None:
    """An account that is deleted meanwhile stays deleted."""
    account.oauth.revoke(account.token, "refresh_token")
    account.store.at(
        "load", lambda: None, lambda: None, lambda: account.store.inner.delete(ACCOUNT)
    )
    with pytest.raises(InvalidGrantError):
        account.auth().token()
    assert account.store.inner.load(ACCOUNT) is None


def test_pending_token_outlives_a_mark(account: Account) -> None:
    """A token that could not be saved takes the place of one that another process has marked."""
    account.store.at("save", FULL)
    with pytest.raises(StoreError):
        account.auth().token()
    pending = pending_saves.get(account.store, ACCOUNT)
    assert pending is not None
    # Another process has sent the old refresh token meanwhile.
    other = WatchedStore(account.store.inner)
    with pytest.raises(GrantEndedError):
        evolve(account, store=other).auth().token()
    assert end_of(account) is not None
    assert account.auth().token() == pending == account.stored()
    assert end_of(account) is None
    assert account.is_alive()


def test_plain_store(account: Account, mode: str) -> None:
    """A store of the five methods keeps the mark as part of the token."""
    plain = PlainStore()
    plain.save(ACCOUNT, account.stored())
    own = evolve(account, store=WatchedStore(plain))
    end(own)
    no_more(own, mode, 1)


def test_encrypted_store(account: Account) -> None:
    """An encrypted token keeps its mark, which the store finds without the key."""
    from cryptography.fernet import Fernet  # noqa: PLC0415 - an extra

    memory = MemoryTokenStore()
    sealed = EncryptedTokenStore(memory, [Fernet.generate_key()])
    sealed.save(ACCOUNT, account.stored())
    own = evolve(account, store=WatchedStore(sealed))
    end(own)
    no_more(own, "sync", 1)
    assert list(memory.ended()) == [ACCOUNT]


# --- The fleet ---


class NoListing:
    """A store of today's protocol, which can't say which grants have ended."""

    def __init__(self, inner: MemoryTokenStore) -> None:
        self.load, self.save, self.delete = inner.load, inner.save, inner.delete
        self.lock, self._inner = inner.lock, inner

    def accounts(self) -> Iterator[str]:
        """Give all accounts."""
        return self._inner.accounts()


@pytest.mark.parametrize("has_listing", [True, False])
def test_fleet_skips_what_is_known(*, has_listing: bool) -> None:
    """What ends in a run is an error of it; later runs skip and count it, and try it each day."""
    memory = MemoryTokenStore()
    seen: list[FleetProgress] = []
    with fleet(6, memory if has_listing else NoListing(memory)) as many:
        dead = many.names[:2]
        for name in dead:
            token = memory.load(name)
            assert token is not None
            many.oauth.revoke(token, "refresh_token")
        slept: list[float] = []

        def run() -> FleetReport:
            before: datetime = many.clock()
            return refresh_due(
                many.oauth,
                many.store,
                before,
                per_second=1,
                progress=seen.append,
                sleep=slept.append,
                monotonic=lambda: sum(slept),
                concurrency=1,
            )

        report = run()
        assert (report.renewed, report.already_done, report.ended) == (4, 0, 0)
        assert {name: type(each) for name, each in report.errors.items()} == dict.fromkeys(
            dead, GrantEndedError
        )
        assert many.renewals() == 6
        slept.clear()
        assert run() == FleetReport(0, 0, {}, 2)
        assert (seen[-1].ended, seen[-1].failed, seen[-1].error) == (2, 0, None)
        assert many.renewals() == 6
        if has_listing:
            assert sum(slept) == 0  # nothing was sent, so nothing waits its turn
        many.clock.advance(DAY)
        assert run() == FleetReport(4, 0, {}, 2)
        assert many.renewals() == 12
        code = httpx.URL(many.server.install(user=many.server.sandbox.users[0])).params["code"]
        memory.save(dead[0], many.oauth.exchange(code))
        assert run() == FleetReport(0, 0, {}, 1)


def test_fleet_goes_on_after_an_error_with_status_200() -> None:
    """An error code says what became of one grant, so that the other accounts are tried."""
    with fleet(3, MemoryTokenStore()) as many:
        many.server.faults.add(REFRESH_PATH, Fault.answer(200, '{"error": "invalid_grant"}'))
        report = refresh_due(many.oauth, many.store, many.clock(), per_second=None, concurrency=1)
        assert report.renewed == 2
        assert [type(each) for each in report.errors.values()] == [GrantEndedError]


def test_fleet_heals_a_mistake() -> None:
    """A grant that the service has rejected by mistake is refreshed by the run of the next day."""
    with fleet(1, MemoryTokenStore()) as many:
        many.server.faults.add(REFRESH_PATH, REJECTED)
        assert list(refresh_due(many.oauth, many.store, many.before).errors) == many.names
        assert refresh_due(many.oauth, many.store, many.before) == FleetReport(0, 0, {}, 1)
        many.clock.advance(DAY)
        assert refresh_due(many.oauth, many.store, many.before) == FleetReport(1, 0, {})
        token = many.store.load(many.names[0])
        assert token is not None
        assert token.grant_end is None
