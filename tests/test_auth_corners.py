"""Corners of `PipedriveAuth` in which a mistake was found once."""

from __future__ import annotations

import os
import signal
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from attrs import evolve

from pipedrive_oauth_client import (
    ConfigurationError,
    PipedriveAuth,
    PipedriveOAuthError,
    ServerError,
    StoreError,
    StoreLockTimeoutError,
    Token,
    TokenNotFoundError,
    _renewal,
    token_source,
)
from pipedrive_oauth_client._renewal import pending_saves, result_of, start_or_join
from pipedrive_oauth_client.pytest_plugin import PipedriveSandbox
from pipedrive_oauth_client.sandbox import Fault
from pipedrive_oauth_client.stores import FileTokenStore, MemoryTokenStore
from pipedrive_oauth_client.token_source import _REJECTED
from tests.support.auths import (
    ACCOUNT,
    ME,
    PATIENCE_SECONDS,
    REFRESH_PATH,
    Account,
    PlainStore,
    connected,
    got,
    served,
)
from tests.support.time_limits import ended_child
from tests.support.untyped import untyped

SECOND: Final = timedelta(seconds=1)


def _failing() -> Token:
    raise ServerError("It is out of order.", status_code=503)


def test_interrupted_start_blocks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """When Ctrl-C comes while the thread is started, the next caller is not left waiting."""
    store = MemoryTokenStore()

    def interrupt(_thread: threading.Thread) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", interrupt)
        with pytest.raises(KeyboardInterrupt):
            start_or_join(store, "a", _failing)
    with pytest.raises(ServerError):
        start_or_join(store, "a", _failing).result(1)


def test_thread_that_began_in_spite_of_an_error_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error while the thread is started does not make a second one of the renewal."""
    done: list[int] = []
    begun, go_on = threading.Event(), threading.Event()
    start = threading.Thread.start

    def fail_late(thread: threading.Thread) -> None:
        start(thread)
        assert begun.wait(PATIENCE_SECONDS)
        raise RuntimeError("release of an unlocked lock")

    def work() -> Token:
        done.append(threading.get_ident())
        begun.set()
        assert go_on.wait(PATIENCE_SECONDS)
        return Token(access_token="a", expires_at=datetime(2030, 1, 1, tzinfo=UTC))

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", fail_late)
        future = start_or_join(MemoryTokenStore(), "a", work)
    go_on.set()
    assert result_of(future).access_token == "a"
    assert len(done) == 1


def test_tracebacks_do_not_mix() -> None:
    """The traceback of a caller's error tells of that caller, and does not grow with the others."""
    future = start_or_join(MemoryTokenStore(), "a", _failing)
    lengths: list[int] = []
    for _ in range(5):
        with pytest.raises(ServerError) as caught:
            result_of(future)
        lengths.append(len(traceback.extract_tb(caught.value.__traceback__)))
    assert len(set(lengths)) == 1


def test_foreign_errors_are_one_each() -> None:
    """An error of the user's store is raised as an object of its own for each caller, too."""

    def work() -> Token:
        raise OSError(28, "No space left")

    future = start_or_join(MemoryTokenStore(), "a", work)
    errors: list[OSError] = []
    for _ in range(2):
        with pytest.raises(OSError, match="No space left") as caught:
            result_of(future)
        errors.append(caught.value)
    assert errors[0] is not errors[1]


def test_notes_do_not_mix() -> None:
    """A note that a caller adds to its error is not on the others'."""

    def work() -> Token:
        error = ServerError("It is out of order.", status_code=503)
        error.add_note("for all")
        raise error

    future = start_or_join(MemoryTokenStore(), "a", work)
    errors: list[ServerError] = []
    for _ in range(2):
        with pytest.raises(ServerError) as caught:
            result_of(future)
        errors.append(caught.value)
    errors[0].add_note("for one")
    assert errors[1].__notes__ == ["for all"]


def test_service_that_gives_the_same_access_token(account: Account) -> None:
    """When a renewal brings the rejected access token again, it is not made three times."""
    account.revoke_access_token()
    same = Fault.override({"access_token": account.token.access_token})
    account.box.faults.add(REFRESH_PATH, same, times=9)
    assert got("sync", account).status_code == 401
    assert account.refreshes() == 1


def test_three_looks_of_others(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rejected token is replaced however often others are just looking at the store."""
    auth = account.auth()
    first = auth.token()
    real, calls = start_or_join, 0

    def busy(store: Any, name: str, work: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        return real(store, name, work if calls > 3 else account.stored, **more)

    monkeypatch.setattr(token_source, "start_or_join", busy)
    assert auth.token(rejected=first).access_token != first.access_token


def test_one_connection_for_api_and_renewal(box: PipedriveSandbox) -> None:
    """A 401 gives its connection back before the renewal needs one of the same client."""
    limits = httpx.Limits(max_connections=1)
    with (
        httpx.Client(limits=limits, timeout=httpx.Timeout(PATIENCE_SECONDS, pool=1)) as client,
        connected(box, client=client) as account,
    ):
        account.revoke_access_token()
        answer = client.get(f"{box.base_url}{ME}", auth=account.auth())
        assert answer.status_code == 200


def test_foreign_second_401_begins_no_rest(account: Account) -> None:
    """A 401 of another host, after the API has sent the request there, begins no rest."""
    account.revoke_access_token()
    with served() as other:
        account.box.faults.add(ME, Fault.status(401))
        account.box.faults.add(ME, Fault.redirect(f"{other.base_url}{ME}"))
        auth = account.auth()
        assert got("sync", account, auth=auth, follow_redirects=True).status_code == 401
    assert auth.token_source._pause(_REJECTED) is None


def test_leeway_of_a_token_that_was_loaded_late(account: Account) -> None:
    """A stored token that is loaded a second before its leeway begins keeps the whole leeway."""
    auth = account.auth()
    account.box.clock.advance(timedelta(minutes=59) - SECOND)
    assert auth.token() == account.token
    account.box.clock.advance(SECOND)
    assert auth.token() != account.token


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_fork_while_a_token_is_kept(account: Account) -> None:
    """A child that is forked while another thread keeps a token can keep one itself."""
    with getattr(_renewal.pending_saves, "_guard", nullcontext()):
        child = os.fork()
        if child == 0:
            signal.alarm(3)
            pending_saves.add(account.store, ACCOUNT, previous=account.token, token=account.token)
            os._exit(0)
    assert ended_child(child) == 0


def test_kept_token_that_is_refused_as_late(account: Account) -> None:
    """When saving a kept token is refused as late, it takes another round and no error."""
    account.expire()
    account.store.at("save", StoreError("It is full."))
    with pytest.raises(StoreError):
        account.auth().token()
    account.store.at("save", StoreLockTimeoutError("The lock is lost."))
    assert account.auth().token() == account.stored() != account.token


def test_kept_token_is_saved_although_the_old_one_is_fresh(account: Account) -> None:
    """After a renewal for a 401 whose save failed, the next call saves the kept token."""
    auth = account.auth()
    first = auth.token()
    account.store.at("save", StoreError("It is full."))
    with pytest.raises(StoreError):
        auth.token(rejected=first)
    auth.token()
    assert account.stored() != first
    assert account.refreshes() == 1


def test_rejected_of_another_type(account: Account) -> None:
    """`rejected` that is no token is refused before anything is asked."""
    with pytest.raises(ConfigurationError, match="rejected"):
        untyped(account.auth().token)(rejected="abc")


@pytest.mark.parametrize("store", [MemoryTokenStore, PlainStore])
def test_class_in_place_of_a_store(account: Account, store: type) -> None:
    """A class is no store."""
    with pytest.raises(ConfigurationError, match="store"):
        untyped(PipedriveAuth)(account.oauth, store, ACCOUNT)


def test_store_that_loads_no_token(account: Account) -> None:
    """A user's store whose `load` gives something else is told so."""

    class Store(PlainStore):
        def load(self, account: str) -> Any:
            found = super().load(account)
            return None if found is None else found.to_dict()

    store = Store()
    store.save(ACCOUNT, account.token)
    with pytest.raises(PipedriveOAuthError):
        PipedriveAuth(account.oauth, store, ACCOUNT).token()


def test_last_minute_of_a_token_that_can_t_be_renewed(account: Account) -> None:
    """A token without a refresh token costs no look at the store in its last minute."""
    token = evolve(
        account.token, refresh_token=None, expires_at=account.box.clock() + timedelta(seconds=70)
    )
    account.store.inner.save(ACCOUNT, token)
    auth = account.auth()
    auth.token()
    account.box.clock.advance(timedelta(seconds=60))
    for _ in range(3):
        auth.token()
        account.box.clock.advance(timedelta(seconds=3))
    assert account.store.calls == {"load": 1}


def test_interrupt_right_after_a_flight_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """When Ctrl-C comes between a flight's entry and its beginning, nobody waits for ever."""
    store = MemoryTokenStore()

    def interrupted(*_arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(_renewal, "_start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            start_or_join(store, "a", _failing)
    with pytest.raises(ServerError):
        start_or_join(store, "a", _failing).result(1)


@pytest.mark.parametrize("lifetime_seconds", [30, 60])
def test_short_lives_do_not_multiply_renewals(
    account: Account, tmp_path: Path, lifetime_seconds: int
) -> None:
    """Where tokens live for less than the leeway, those who waited take the one that was saved."""
    account.box.faults.add(
        REFRESH_PATH, Fault.override({"expires_in": lifetime_seconds}), times=100
    )
    FileTokenStore(tmp_path / "tokens").save(
        ACCOUNT, evolve(account.token, expires_at=account.box.clock())
    )

    def ask(_number: int) -> str:
        store = FileTokenStore(tmp_path / "tokens")  # as another process has it
        return PipedriveAuth(account.oauth, store, ACCOUNT).token().access_token

    with ThreadPoolExecutor(8) as threads:
        got_tokens = set(threads.map(ask, range(8)))
    # Whoever comes when all is over obtains the next one. Those who waited do not.
    assert len(got_tokens) == account.refreshes() < 8
    account.box.faults.clear()


def test_kept_token_of_a_deleted_account_is_forgotten(account: Account) -> None:
    """A token that could not be saved is not kept for an account that is gone."""
    pending_saves.add(account.store, ACCOUNT, previous=account.token, token=account.token)
    account.store.inner.delete(ACCOUNT)
    with pytest.raises(TokenNotFoundError):
        account.auth().token()
    assert not pending_saves.has(account.store, ACCOUNT)


def test_store_that_hands_on_is_a_store(account: Account) -> None:
    """An object that gives the methods of another one can be used, as lazy objects do."""

    class Lazy:
        def __getattr__(self, name: str) -> Any:
            return getattr(account.store, name)

    store: Any = Lazy()
    assert PipedriveAuth(account.oauth, store, ACCOUNT).token() == account.token
