"""What a flow reports to `on_event`, when, and what a function that fails changes: nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import anyio
import httpx
import pytest
from attrs import asdict, evolve
from attrs.exceptions import FrozenInstanceError

from pipedrive_oauth_client import (
    AsyncPipedriveOAuth,
    ConfigurationError,
    GrantEnd,
    PipedriveAuth,
    PipedriveOAuth,
    PipedriveOAuthError,
    ServerError,
    StoreError,
    Token,
    TokenNotFoundError,
)
from pipedrive_oauth_client.events import (
    ApiDomainChanged,
    Event,
    GrantEnded,
    GrantRestored,
    RefreshFailed,
    TokenRefreshed,
    TokenWithheld,
)
from pipedrive_oauth_client.fleet import refresh_due
from pipedrive_oauth_client.sandbox import Fault
from tests.support.auths import (
    ACCOUNT,
    REFRESH_PATH,
    Account,
    AnyClient,
    got,
    with_client,
)
from tests.support.driver import ASYNC_MODES, run
from tests.support.flows import CREDENTIALS
from tests.support.sweep import found
from tests.support.tls import UNTRUSTING
from tests.support.untyped import untyped

EVENT: Final = GrantEnded(
    account="acme:ada", at=datetime(2026, 3, 1, tzinfo=UTC), error="invalid_grant"
)

each_flow = pytest.mark.parametrize("flow", [PipedriveOAuth, AsyncPipedriveOAuth])


@each_flow
def test_a_flow_calls_the_function(flow: Any) -> None:
    """Each event is handed on as it is, by the synchronous counterpart as well."""
    seen: list[Event] = []
    oauth = flow(CREDENTIALS, on_event=seen.append)
    oauth.emit(EVENT)
    if isinstance(oauth, AsyncPipedriveOAuth):
        oauth.blocking().emit(GrantRestored(account="acme:ada"))
    assert seen[0] is EVENT
    assert len(seen) == (2 if flow is AsyncPipedriveOAuth else 1)


@each_flow
def test_without_a_function_nothing_happens(flow: Any) -> None:
    """None is the default."""
    flow(CREDENTIALS).emit(EVENT)
    flow(CREDENTIALS, on_event=None).emit(EVENT)


@each_flow
def test_an_exception_in_the_function_is_logged(
    flow: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """It goes no further, and the log has its traceback."""

    def broken(_event: Event) -> None:
        raise ZeroDivisionError

    flow(CREDENTIALS, on_event=broken).emit(EVENT)
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("pipedrive_oauth_client", logging.ERROR)
    assert "GrantEnded" in record.getMessage()
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


async def later(_event: Event) -> None:
    """Handle an event some time."""


@each_flow
@pytest.mark.parametrize("function", ["print", 1, later])
def test_what_is_no_ordinary_function_is_refused(flow: Any, function: object) -> None:
    """A coroutine function would never run."""
    with pytest.raises(ConfigurationError, match="on_event must be an ordinary function"):
        untyped(flow)(CREDENTIALS, on_event=function)


# --- What happens to a token ---


Handler = Callable[[Event], object]


@contextmanager
def flow(account: Account, on_event: Handler, kind: Any = PipedriveOAuth) -> Generator[Any]:
    """Make a flow that reports; a synchronous one sends through a client of its own."""
    settings: dict[str, Any] = {
        "base_url": account.box.base_url,
        "retry": None,
        "clock": account.box.clock,
        "on_event": on_event,
    }
    if kind is AsyncPipedriveOAuth:
        yield kind(account.box.credentials, **settings)
        return
    with (
        httpx.Client(verify=UNTRUSTING) as client,
        kind(account.box.credentials, client=client, **settings) as oauth,
    ):
        yield oauth


def leave(account: Account, seconds: int) -> None:
    """Let so many seconds of the token's life be left."""
    left = account.token.expires_at - account.box.clock()
    account.box.clock.advance(left - timedelta(seconds=seconds))


def expire(account: Account) -> None:
    """Let the token expire."""
    account.expire()


def nearly_expire(account: Account) -> None:
    """Let the token come into its leeway."""
    leave(account, 50)


def reject(account: Account) -> None:
    """Let the API reject the token."""
    account.revoke_access_token()


each_reason = pytest.mark.parametrize(
    ("happen", "reason"), [(expire, "expired"), (nearly_expire, "early"), (reject, "rejected")]
)


@each_reason
@pytest.mark.parametrize("kind", [PipedriveOAuth, AsyncPipedriveOAuth])
def test_a_refresh_is_reported(
    mode: str, account: Account, kind: Any, happen: Callable[[Account], None], reason: str
) -> None:
    """With the account, the new expiry, the time it took and the reason; once, and after it."""
    seen: list[Event] = []
    with flow(account, seen.append, kind) as oauth:
        auth = PipedriveAuth(oauth, account.store, ACCOUNT)

        async def steps(client: AnyClient) -> None:
            assert (await client.get()).status_code == 200
            assert seen == []
            happen(account)
            assert (await client.get()).status_code == 200
            assert (await client.get()).status_code == 200

        with_client(mode, account, steps, auth=auth)
    (event,) = seen
    assert isinstance(event, TokenRefreshed)
    assert (event.account, event.reason) == (ACCOUNT, reason)
    assert event.expires_at == account.stored().expires_at
    assert 0 <= event.seconds < 60


@each_reason
def test_a_failure_is_reported(
    account: Account, happen: Callable[[Account], None], reason: str
) -> None:
    """With the error, and whether the old token is still valid."""
    seen: list[Event] = []
    with flow(account, seen.append) as oauth:
        auth = PipedriveAuth(oauth, account.store, ACCOUNT)
        auth.token()
        happen(account)
        account.box.faults.add(REFRESH_PATH, Fault.status(503))
        if reason == "early":
            assert got("sync", account, auth=auth).status_code == 200
        else:
            with pytest.raises(ServerError):
                got("sync", account, auth=auth)
    (event,) = seen
    assert isinstance(event, RefreshFailed)
    assert (event.account, event.reason) == (ACCOUNT, reason)
    assert event.is_token_valid == (reason == "early")
    assert isinstance(event.error, ServerError)
    assert event.error.__traceback__ is None
    assert event.seconds >= 0


def test_a_store_that_can_not_be_read(account: Account) -> None:
    """That, too, is a failed refresh; the cached token may still be valid."""
    seen: list[Event] = []
    with flow(account, seen.append) as oauth:
        auth = PipedriveAuth(oauth, account.store, ACCOUNT)
        auth.token()
        leave(account, 50)
        account.store.at("load", StoreError("It is down."))
        assert auth.token() == account.token
    (event,) = seen
    assert isinstance(event, RefreshFailed)
    assert event.is_token_valid


def test_what_is_no_refresh_is_not_reported(account: Account) -> None:
    """Neither a token that another process has stored, nor an account without one."""
    seen: list[Event] = []
    with flow(account, seen.append) as oauth:
        auth = PipedriveAuth(oauth, account.store, ACCOUNT)
        auth.token()
        account.expire()
        account.renew_elsewhere()
        auth.token()
        with pytest.raises(TokenNotFoundError):
            PipedriveAuth(oauth, account.store, "unknown").token()
    assert seen == []


@pytest.mark.parametrize("loop", ASYNC_MODES)
@pytest.mark.parametrize("fails", [False, True])
def test_a_hundred_callers_and_one_event(loop: str, account: Account, fails: bool) -> None:
    """However many wait for a refresh, it is reported once."""
    seen: list[Event] = []
    account.expire()
    if fails:
        account.box.faults.add(REFRESH_PATH, Fault.status(503), times=100)

    async def main() -> None:
        async def ask() -> None:
            try:
                await auth.atoken()
            except PipedriveOAuthError:
                assert fails

        async with anyio.create_task_group() as group:
            for _ in range(100):
                group.start_soon(ask)

    with flow(account, seen.append) as oauth:
        auth = PipedriveAuth(oauth, account.store, ACCOUNT)
        run(loop, main)
    account.box.faults.clear()
    # A caller that comes when a refresh has failed makes the next one.
    assert len(seen) == account.refreshes() <= (10 if fails else 1)
    assert {type(each) for each in seen} == {RefreshFailed if fails else TokenRefreshed}


@pytest.mark.parametrize("kind", [PipedriveOAuth, AsyncPipedriveOAuth])
def test_the_fleet_reports_through_the_same(account: Account, kind: Any) -> None:
    """Each account of a run has its event, with the reason `fleet`."""
    seen: list[Event] = []
    account.store.inner.save("other", evolve(account.token, refresh_token="1:1:unknown"))
    account.expire()
    with flow(account, seen.append, kind) as oauth:
        report = refresh_due(oauth, account.store, account.box.clock(), per_second=None)
    assert report.renewed == 1
    refreshed = [each for each in seen if isinstance(each, TokenRefreshed)]
    failed = [each for each in seen if isinstance(each, RefreshFailed)]
    assert [(each.account, each.reason) for each in refreshed] == [(ACCOUNT, "fleet")]
    assert [(each.account, each.reason) for each in failed] == [("other", "fleet")]
    assert not failed[0].is_token_valid
    account.store.inner.delete("other")


def test_a_changed_domain_is_reported(account: Account) -> None:
    """With the former one and the current one, by the process that has refreshed."""
    seen: list[Event] = []
    account.expire()
    account.box.faults.add(REFRESH_PATH, Fault.override({"api_domain": "http://127.0.0.1:9"}))
    with flow(account, seen.append) as oauth:
        for _ in range(2):
            PipedriveAuth(oauth, account.store, ACCOUNT).token()
    assert seen[1:] == [
        ApiDomainChanged(
            account=ACCOUNT, former=str(account.token.api_domain), current="http://127.0.0.1:9"
        )
    ]


def test_a_withheld_token_is_reported(mode: str, account: Account) -> None:
    """Once for each origin."""
    seen: list[Event] = []
    url = "https://files.example:8443/x?key=secret"

    async def steps(client: AnyClient) -> None:
        for _ in range(2):
            await client.get(url)

    with flow(account, seen.append) as oauth:
        auth = PipedriveAuth(oauth, account.store, ACCOUNT)
        transport = httpx.MockTransport(lambda _request: httpx.Response(200))
        with_client(mode, account, steps, auth=auth, transport=transport)
    assert seen == [TokenWithheld(account=ACCOUNT, origin="https://files.example:8443")]


def test_a_restored_grant_is_reported(account: Account) -> None:
    """Where the refresh of a grant that had ended works after all."""
    seen: list[Event] = []
    long_ago = account.box.clock() - timedelta(days=3)
    end = GrantEnd(at=long_ago, error="invalid_grant", tried_at=long_ago)
    account.store.inner.save(
        ACCOUNT, evolve(account.token, grant_end=end, expires_at=account.box.clock())
    )
    with flow(account, seen.append) as oauth:
        PipedriveAuth(oauth, account.store, ACCOUNT).token()
    assert seen[1:] == [GrantRestored(account=ACCOUNT)]


# --- What the function may do, and what not ---


def test_the_function_is_called_outside_every_lock(account: Account) -> None:
    """It may take the account's lock, and ask for a token, even for one that is refreshed first."""
    done: list[str] = []

    def handle(_event: Event) -> None:
        if done:
            return
        done.append("begun")
        with account.store.lock(ACCOUNT):
            done.append("locked")
        assert auth.token() == account.stored()
        other = PipedriveAuth(oauth, account.store, ACCOUNT)
        assert other.token(rejected=auth.token()) == account.stored()
        done.append("refreshed")

    with flow(account, handle) as oauth:
        auth = PipedriveAuth(oauth, account.store, ACCOUNT)
        account.expire()
        auth.token()
    assert done == ["begun", "locked", "refreshed"]
    assert account.refreshes() == 2


@pytest.mark.parametrize("error", [ZeroDivisionError(), PipedriveOAuthError("Own."), SystemExit(3)])
def test_a_function_that_raises_changes_nothing(
    mode: str, account: Account, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    """The token is given and stored, whatever the function raises."""

    def handle(_event: Event) -> None:
        raise error

    account.expire()
    with flow(account, handle) as oauth:
        auth = PipedriveAuth(oauth, account.store, ACCOUNT)
        assert got(mode, account, auth=auth).status_code == 200
    assert account.refreshes() == 1
    (record,) = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert "TokenRefreshed" in record.getMessage()


def test_events_hold_no_secret(account: Account) -> None:
    """Neither `repr` nor any attribute of an event shows a token."""
    seen: list[Event] = []
    with flow(account, seen.append) as oauth:
        auth = PipedriveAuth(oauth, account.store, ACCOUNT)
        account.expire()
        account.box.faults.add(REFRESH_PATH, Fault.status(503))
        with pytest.raises(ServerError):
            auth.token()
        auth.token()
    secrets = {str(account.token.refresh_token), account.token.access_token}
    secrets |= {account.stored().access_token, account.box.credentials.client_secret}
    shown = "\n".join(f"{each!r} {vars_of(each)!r}" for each in seen)
    assert len(seen) == 2
    assert found(shown, secrets) == []


def vars_of(event: Any) -> list[object]:
    """Give the values of an event, and what its error holds."""
    values = list(asdict(event, recurse=False).values())
    return [*values, *(vars(each) for each in values if isinstance(each, Exception))]


def test_events_are_frozen() -> None:
    """A function can't change what another one gets."""
    with pytest.raises(FrozenInstanceError):
        untyped(setattr)(EVENT, "account", "other")


# --- What is logged ---


FIXES: Final[dict[str, tuple[Callable[[Account], object], int]]] = {
    "wrong secret": (
        lambda account: account.box.faults.add(REFRESH_PATH, Fault.refusal("client_invalid")),
        logging.ERROR,
    ),
    "ended grant": (
        lambda account: account.box.faults.add(
            REFRESH_PATH, Fault.refusal("refresh_token_invalid")
        ),
        logging.ERROR,
    ),
    "unwritable store": (
        lambda account: account.store.at("save", StoreError("It is full.")),
        logging.ERROR,
    ),
    "maintenance": (
        lambda account: account.box.faults.add(REFRESH_PATH, Fault.status(503)),
        logging.WARNING,
    ),
    "no response": (
        lambda account: account.box.faults.add(REFRESH_PATH, Fault.reset()),
        logging.WARNING,
    ),
}


@pytest.mark.parametrize(("break_it", "level"), FIXES.values(), ids=FIXES)
def test_levels(
    account: Account,
    break_it: Callable[[Account], object],
    level: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An error is what a person has to fix; what heals is a warning, and a refresh is told."""
    caplog.set_level(logging.INFO, "pipedrive_oauth_client")
    account.expire()
    break_it(account)
    with pytest.raises(PipedriveOAuthError):
        account.auth().token()
    records = [each for each in caplog.records if each.name == "pipedrive_oauth_client"]
    assert [each.levelno for each in records] == [level]
    assert repr(ACCOUNT) in records[0].getMessage()
    account.box.faults.clear()


def test_a_refresh_is_logged(account: Account, caplog: pytest.LogCaptureFixture) -> None:
    """At INFO, with account, reason and new expiry, and no secret."""
    caplog.set_level(logging.INFO, "pipedrive_oauth_client")
    account.expire()
    token: Token = account.auth().token()
    (record,) = [each for each in caplog.records if each.name == "pipedrive_oauth_client"]
    assert record.levelno == logging.INFO
    assert f"{ACCOUNT!r} (expired)" in record.getMessage()
    assert found(record.getMessage(), [token.access_token, str(token.refresh_token)]) == []


def test_no_handler_hides_warnings() -> None:
    """A program that configures no logging gets on its standard error what Python prints."""
    assert logging.getLogger("pipedrive_oauth_client").handlers == []
