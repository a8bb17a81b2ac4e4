"""An early refresh that fails takes no service down: the old token is used while it is valid."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import timedelta
from functools import partial
from operator import add
from typing import Any, Final

import anyio
import httpx
import pytest

from pipedrive_oauth_client import (
    InvalidGrantError,
    PipedriveAuth,
    PipedriveOAuth,
    PipedriveOAuthError,
    ServerError,
    StoreError,
    Token,
    TokenNotFoundError,
)
from pipedrive_oauth_client.sandbox import Fault
from pipedrive_oauth_client.stores import MemoryTokenStore
from pipedrive_oauth_client.token_source import _FlowNotes, _Search
from tests.support.auths import (
    ACCOUNT,
    ME,
    REFRESH_PATH,
    Account,
    AnyClient,
    given,
    with_client,
)
from tests.support.driver import ASYNC_MODES, run
from tests.support.libraries import SENDERS, Outcome
from tests.support.sites import NOW
from tests.support.sweep import found
from tests.support.time_limits import ended_child
from tests.support.tls import UNTRUSTING

SECOND: Final = timedelta(seconds=1)
DOWN: Final = Fault.status(503)

each_library = pytest.mark.parametrize("send", SENDERS.values(), ids=SENDERS)
Sender = Callable[..., Outcome]


def leave(account: Account, seconds: int) -> None:
    """Let so many seconds of the token's life be left."""
    left = account.token.expires_at - account.box.clock()
    account.box.clock.advance(left - seconds * SECOND)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Give what was logged at WARNING."""
    return [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]


@pytest.fixture(autouse=True)
def forgotten_faults(account: Account) -> Iterator[None]:
    """Leave no fault to another test."""
    yield
    account.box.faults.clear()


FAILURES: Final[dict[str, Callable[[Account], None]]] = {
    "maintenance": lambda account: account.box.faults.add(REFRESH_PATH, DOWN, times=9),
    "rate limit": lambda account: account.box.faults.add(REFRESH_PATH, Fault.status(429), times=9),
    "no response": lambda account: account.box.faults.add(REFRESH_PATH, Fault.reset(), times=9),
    "odd response": lambda account: account.box.faults.add(
        REFRESH_PATH, Fault.oversized(2_000_000), times=9
    ),
    "ended grant": lambda account: account.box.faults.add(
        REFRESH_PATH, Fault.refusal("refresh_token_invalid"), times=9
    ),
    "wrong secret": lambda account: account.box.faults.add(
        REFRESH_PATH, Fault.refusal("client_invalid"), times=9
    ),
    "store can't be read": lambda account: account.store.at("load", StoreError("It is down.")),
    "store can't be locked": lambda account: account.store.at("lock", StoreError("It is down.")),
    "store can't be written": lambda account: account.store.at("save", StoreError("It is full.")),
}


@each_library
@pytest.mark.parametrize("fail", FAILURES.values(), ids=FAILURES)
def test_the_old_token_is_used(
    account: Account,
    send: Sender,
    fail: Callable[[Account], None],
    caplog: Any,
    request: pytest.FixtureRequest,
) -> None:
    """Requests go on, with one warning, and the log has no secret."""
    auth = account.auth()
    url = f"{account.box.base_url}{ME}"
    assert send(auth, "GET", url)[0] == 200
    leave(account, 50)
    fail(account)
    for _ in range(3):
        assert send(auth, "GET", url) == (200, url, f"Bearer {account.token.access_token}")
    (warning,) = warnings(caplog)
    is_to_fix = any(word in request.node.callspec.id for word in ("store", "secret", "grant"))
    errors = [each for each in caplog.records if each.levelno > logging.WARNING]
    assert len(errors) == is_to_fix, "what a person has to fix is an error besides"
    assert repr(ACCOUNT) in warning
    assert "50 seconds" in warning
    tokens = [account.token, *account.store.offered]
    secrets = {str(each) for token in tokens for each in (token.access_token, token.refresh_token)}
    assert found(caplog.text, secrets) == []
    assert account.refreshes() <= 1


def test_other_libraries_get_the_old_token(mode: str, account: Account) -> None:
    """`token` and `atoken` give it, whether this object has known it before or not."""
    leave(account, 50)
    account.box.faults.add(REFRESH_PATH, DOWN, times=9)
    assert given(mode, account) == account.token
    assert given(mode, account, auth=account.auth()) == account.token
    assert account.refreshes() == 1


def test_not_again_before_a_cooldown(mode: str, account: Account, caplog: Any) -> None:
    """The next attempt comes ten seconds later, and has a warning of its own."""
    auth = account.auth()
    leave(account, 50)
    account.box.faults.add(REFRESH_PATH, DOWN, times=2)

    async def steps(client: AnyClient) -> None:
        for attempts, seconds in ((1, 9), (1, 1), (2, 9), (2, 1)):
            assert await client.token() == account.token
            assert account.refreshes() == len(warnings(caplog)) == attempts
            account.box.clock.advance(seconds * SECOND)
        assert await client.token() == account.stored() != account.token
        assert account.refreshes() == 3

    with_client(mode, account, steps, auth=auth)


def test_the_cooldown_costs_nothing(account: Account) -> None:
    """Within it, a request calls neither the store nor the service."""
    auth = account.auth()
    leave(account, 50)
    account.box.faults.add(REFRESH_PATH, DOWN)
    assert auth.token() == account.token
    calls = account.store.calls.copy()
    account.box.clock.advance(9 * SECOND)
    assert auth.token() == account.token
    assert account.store.calls == calls


@pytest.mark.parametrize("leeway", [60 * SECOND, timedelta.max])
@pytest.mark.parametrize(("asked", "tried_after"), [(30, 30), (3, 10)])
def test_retry_after_is_respected(
    account: Account, leeway: timedelta, asked: int, tried_after: int
) -> None:
    """What the service asks for counts where it is longer than the cooldown."""
    auth = account.auth(leeway=leeway)
    leave(account, 50)
    account.box.faults.add(REFRESH_PATH, Fault.status(429, retry_after=asked))
    assert auth.token() == account.token
    account.box.clock.advance((tried_after - 1) * SECOND)
    assert auth.token() == account.token
    assert account.refreshes() == 1
    account.box.clock.advance(SECOND)
    assert auth.token() != account.token
    assert account.refreshes() == 2


def test_an_expired_token_does_not_wait(account: Account) -> None:
    """However long the service asks to wait: at its expiry the token is refreshed, or it raises."""
    auth = account.auth()
    leave(account, 50)
    account.box.faults.add(REFRESH_PATH, Fault.status(503, retry_after=3600), times=2)
    assert auth.token() == account.token
    account.box.clock.advance(49 * SECOND)
    assert auth.token() == account.token
    account.box.clock.advance(SECOND)
    with pytest.raises(ServerError):
        auth.token()
    assert auth.token() != account.token


def test_a_rejected_token_is_not_given_again(mode: str, account: Account) -> None:
    """The API has rejected it, so that a failed refresh is an error, valid or not."""
    auth = account.auth()
    first = given(mode, account, auth=auth)
    account.box.faults.add(REFRESH_PATH, DOWN)

    async def steps(client: AnyClient) -> None:
        with pytest.raises(ServerError):
            await client.token(rejected=first)

    with_client(mode, account, steps, auth=auth)


def test_a_rejected_token_is_refreshed_within_the_cooldown(mode: str, account: Account) -> None:
    """The cooldown is for early refreshes; one that is needed is made at once."""
    auth = account.auth()
    leave(account, 50)
    account.box.faults.add(REFRESH_PATH, DOWN)
    first = given(mode, account, auth=auth)
    assert first == account.token
    account.revoke_access_token()

    async def steps(client: AnyClient) -> None:
        assert (await client.get()).status_code == 200

    with_client(mode, account, steps, auth=auth)
    assert account.stored() != first


def test_a_refresh_that_was_needed_ends_the_cooldown(account: Account) -> None:
    """Where the service refreshes again, the next early refresh does not wait for `Retry-After`."""
    auth = account.auth()
    leave(account, 50)
    account.box.faults.add(REFRESH_PATH, Fault.status(503, retry_after=86_400))
    first = auth.token()
    assert first == account.token
    second = auth.token(rejected=first)
    assert second != first
    account.box.clock.advance(second.expires_at - account.box.clock() - 50 * SECOND)
    assert auth.token() not in (first, second)


@pytest.mark.parametrize("is_known", [True, False])
def test_a_deleted_account_is_not_served(account: Account, is_known: bool) -> None:
    """Where no token is stored any more, the person has disconnected: the old one is not used."""
    auth = account.auth()
    if is_known:
        auth.token()
    leave(account, 50)
    account.store.inner.delete(ACCOUNT)
    with pytest.raises(TokenNotFoundError):
        auth.token()


def test_what_is_no_error_of_this_package_is_raised(account: Account) -> None:
    """A mistake in a store of the user's own is not hidden."""
    auth = account.auth()
    auth.token()
    leave(account, 50)
    account.store.at("lock", ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        auth.token()


@pytest.mark.parametrize("loop", ASYNC_MODES)
def test_all_who_wait_get_the_old_token(loop: str, account: Account, caplog: Any) -> None:
    """100 tasks cause one refresh and one warning, and each gets the token."""
    auths = [account.auth() for _ in range(4)]
    leave(account, 50)
    account.box.faults.add(REFRESH_PATH, DOWN, times=100)
    tokens: list[Token] = []

    async def main() -> None:
        async def ask(auth: PipedriveAuth) -> None:
            tokens.append(await auth.atoken())

        async with anyio.create_task_group() as group:
            for number in range(100):
                group.start_soon(ask, auths[number % 4])

    run(loop, main)
    assert tokens == [account.token] * 100
    assert account.refreshes() == 1
    assert len(warnings(caplog)) == 1


def test_a_new_object_knows_of_the_failure(account: Account, caplog: Any) -> None:
    """An app that makes a `PipedriveAuth` for each of its requests has the same cooldown."""
    leave(account, 50)
    account.box.faults.add(REFRESH_PATH, DOWN, times=9)
    for _ in range(5):
        assert account.auth().token() == account.token
    assert account.refreshes() == 1
    assert len(warnings(caplog)) == 1
    account.box.faults.clear()
    account.box.clock.advance(10 * SECOND)
    assert account.auth().token() != account.token


def test_a_token_of_another_process_ends_it(account: Account) -> None:
    """Within the cooldown, a new object takes what another process has stored meanwhile."""
    leave(account, 50)
    account.box.faults.add(REFRESH_PATH, DOWN)
    assert account.auth().token() == account.token
    theirs = account.renew_elsewhere()
    auth = account.auth()
    assert auth.token() == theirs
    account.box.clock.advance(30 * SECOND)
    before = account.store.calls.copy()
    assert auth.token() == theirs
    assert account.store.calls == before


def test_a_clock_that_was_put_back_ends_the_cooldown() -> None:
    """What was noted then counts from its time until its end, and at no time before."""
    notes, store = _FlowNotes(), MemoryTokenStore()
    notes.begin_pause("early", store, "a", NOW, 10 * SECOND)
    for seconds, is_noted in ((-1, False), (0, True), (9, True), (10, False)):
        clock = partial(add, NOW, seconds * SECOND)
        assert (notes.pause("early", store, "a", clock) is not None) == is_noted
    clock = partial(add, NOW, 0 * SECOND)
    assert notes.pause("early", store, "b", clock) is None
    assert notes.pause("early", MemoryTokenStore(), "a", clock) is None
    for number in range(200):
        now = NOW + (number // 100) * 11 * SECOND
        notes.begin_pause("early", store, f"account {number}", now, 10 * SECOND)
    assert 100 <= len(notes._pauses) < 200, "what is over is forgotten"


@pytest.mark.parametrize("hours", [-5, 5])
def test_a_clock_that_jumps_after_a_failure(account: Account, hours: int) -> None:
    """Requests go on: forward, the token has expired and is refreshed; back, it is valid."""
    offset = timedelta(0)
    with (
        httpx.Client(verify=UNTRUSTING) as client,
        PipedriveOAuth(
            account.box.credentials,
            base_url=account.box.base_url,
            client=client,
            retry=None,
            clock=lambda: account.box.clock() + offset,
        ) as oauth,
    ):
        auth = PipedriveAuth(oauth, account.store, ACCOUNT)
        leave(account, 50)
        account.box.faults.add(REFRESH_PATH, DOWN)
        assert auth.token() == account.token
        offset = timedelta(hours=hours)
        assert (auth.token() == account.token) == (hours < 0)
        assert PipedriveAuth(oauth, account.store, ACCOUNT).token() == account.stored()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_knows_of_the_failure(account: Account) -> None:
    """It needs no lock and no thread of its parent's to go on with the old token."""
    auth = account.auth()
    leave(account, 50)
    account.box.faults.add(REFRESH_PATH, DOWN)
    auth.token()
    child = os.fork()
    if child == 0:
        signal.alarm(5)
        is_same = auth.token() == account.auth().token() == account.token
        os._exit(0 if is_same else 1)
    assert ended_child(child) == 0


@pytest.mark.parametrize("is_known", [True, False])
def test_a_failure_of_another_caller_s_refresh(account: Account, is_known: bool) -> None:
    """A caller that joins a refresh which another has asked for after a 401 judges for itself."""
    auth = account.auth()
    if is_known:
        auth.token()
    leave(account, 50)
    source = auth.token_source
    future: Future[Token] = Future()
    future.set_exception(InvalidGrantError("It is over.", status_code=400))
    search = _Search(None, source._cache)
    if is_known:
        bearer = source._bearer_from(future, search)
        assert bearer is not None
        assert bearer.token == account.token
    else:
        with pytest.raises(PipedriveOAuthError):
            source._bearer_from(future, search)
