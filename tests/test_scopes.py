"""Scopes that a token lacks, before a request and after it, and what changes of an app do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

import httpx
import httpx2
import pytest
import requests
from attrs import evolve

from pipedrive_oauth_client import (
    ConfigurationError,
    MissingScopesError,
    PipedriveAuth,
    Token,
    raise_for_scope,
)
from pipedrive_oauth_client.events import Event
from pipedrive_oauth_client.pytest_plugin import PipedriveSandbox
from pipedrive_oauth_client.sandbox import DEFAULT_APP, OTHER_USER
from tests.support.auths import ME, Account, AnyClient, connected, served, with_client
from tests.support.libraries import SENDERS, Outcome
from tests.support.sweep import found, visible
from tests.support.untyped import untyped

DEALS: Final = "/api/v2/deals"

each_library = pytest.mark.parametrize("send", SENDERS.values(), ids=SENDERS)
Sender = Callable[..., Outcome]


@pytest.fixture
def box() -> Iterator[PipedriveSandbox]:
    """Serve a sandbox of its own for each test, since apps are changed."""
    with served() as box:
        yield box


def token(scope: str) -> Token:
    """Make a token."""
    return Token(access_token="a", scope=scope, expires_at=datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("scope", "required", "missing"),
    [
        ("deals:full,users:read,base", {"deals:full", "base"}, set()),
        ("deals:full users:read", ["users:read"], set()),
        ("deals:full", {"deals:read"}, set()),
        ("deals:read", {"deals:full"}, {"deals:full"}),
        ("deals:full", {"contacts:read", "deals:write"}, {"contacts:read", "deals:write"}),
        ("full", {"full:read", ":read"}, {"full:read", ":read"}),
        ("deals:fully", {"deals:read"}, {"deals:read"}),
        ("base", {"BASE"}, {"BASE"}),
        ("base", (), set()),
        ("", {"deals:full"}, set()),
    ],
)
def test_missing_scopes(scope: str, required: Any, missing: set[str]) -> None:
    """Names are compared as they are written, but that full access covers reading."""
    assert token(scope).missing_scopes(required) == missing


@pytest.mark.parametrize("required", ["deals:full", b"x", None, 7, [7], ["a b"], ["a,b"], [""]])
def test_what_is_no_collection_of_scopes(required: Any) -> None:
    """A string is not taken for a list of letters."""
    with pytest.raises(ConfigurationError, match="required"):
        untyped(token("base").missing_scopes)(required)
    if required != [""]:
        with pytest.raises(ConfigurationError, match="required_scopes"):
            untyped(PipedriveAuth)(*_auth_arguments(), required_scopes=required)


def _auth_arguments() -> tuple[Any, ...]:
    from pipedrive_oauth_client import PipedriveOAuth  # noqa: PLC0415
    from pipedrive_oauth_client.stores import MemoryTokenStore  # noqa: PLC0415
    from tests.support.flows import CREDENTIALS  # noqa: PLC0415

    return PipedriveOAuth(CREDENTIALS), MemoryTokenStore(), "a"


@each_library
@pytest.mark.parametrize("is_expired", [False, True])
def test_nothing_is_sent_without_a_required_scope(
    box: PipedriveSandbox, send: Sender, is_expired: bool
) -> None:
    """Neither to the API nor to the service, and the error names what is missing."""
    with connected(box) as account:
        auth = account.auth(required_scopes={"deals:full", "leads:full", "mail:read"})
        if is_expired:
            account.expire()
        for _ in range(2):
            with pytest.raises(MissingScopesError, match="leads:full, mail:read") as caught:
                send(auth, "GET", f"{box.base_url}{ME}")
            assert caught.value.missing == {"leads:full", "mail:read"}
            assert "authorize the app again" in str(caught.value)
            secrets = [account.token.access_token, str(account.token.refresh_token)]
            assert found(visible(caught.value), secrets) == []
    assert len(box.requests) == 0


def test_what_is_there_is_sent(mode: str, box: PipedriveSandbox) -> None:
    """With all scopes there is no difference, and a token costs no further call."""

    async def steps(client: AnyClient) -> None:
        for _ in range(2):
            assert (await client.get()).status_code == 200
        assert (await client.token()).scopes >= {"deals:full"}

    with connected(box) as account:
        auth = account.auth(required_scopes={"deals:read"})
        with_client(mode, account, steps, auth=auth)
        assert account.store.calls == {"load": 1}


def test_a_new_authorization_ends_it(mode: str, box: PipedriveSandbox) -> None:
    """As soon as the person has authorized the app with the new scope, without a restart."""

    async def steps(client: AnyClient) -> None:
        with pytest.raises(MissingScopesError):
            await client.token()
        box.server.sandbox.change_scopes([*DEFAULT_APP.scopes, "leads:full"])
        with pytest.raises(MissingScopesError):
            await client.token()
        with connected(box, store=account.store):
            assert "leads:full" in (await client.token()).scopes

    with connected(box) as account:
        auth = account.auth(required_scopes={"leads:full"})
        with_client(mode, account, steps, auth=auth)


def test_hosts_that_get_no_token_need_no_scope(box: PipedriveSandbox) -> None:
    """A request that carries no token is sent."""
    with connected(box) as account, served() as other:
        auth = account.auth(required_scopes={"leads:full"})
        for _ in range(2):
            assert SENDERS["httpx"](auth, "GET", f"{other.base_url}{ME}")[0] == 401


def test_a_missing_scope_is_no_failed_refresh(box: PipedriveSandbox, caplog: Any) -> None:
    """It is no event and no record of its own."""
    seen: list[Event] = []
    with connected(box, on_event=seen.append) as account:
        account.expire()
        with pytest.raises(MissingScopesError):
            account.auth(required_scopes={"leads:full"}).token()
    assert seen == []
    assert [each for each in caplog.records if each.name == "pipedrive_oauth_client"] == []


def test_an_early_failure_does_not_hide_it(box: PipedriveSandbox) -> None:
    """A refresh that takes scopes away is saved, and then the missing one is told."""
    with connected(box) as account:
        auth = account.auth(required_scopes={"deals:full"})
        auth.token()
        box.server.sandbox.change_scopes(["base"])
        account.expire()
        for _ in range(2):
            with pytest.raises(MissingScopesError):
                auth.token()
        assert account.stored().scopes == {"base"}
        assert account.refreshes() == 1


# --- After a request: a 403 for a scope ---


def responses(status: int, **settings: Any) -> list[Any]:
    """Make the same response in each library."""
    plain = requests.Response()
    plain.status_code = status
    plain.headers.update(settings.get("headers", {}))
    made = httpx.Response(status, **settings)
    plain._content = made.content
    return [made, httpx2.Response(status, **settings), plain]


MISMATCH: Final = {"success": False, "error": "Scope and URL mismatch", "errorCode": 403}


@pytest.mark.parametrize("field", ["error", "message"])
def test_a_403_for_a_scope(field: str) -> None:
    """The error says what to do, and that a refresh does not help."""
    body = {**MISMATCH, "error": None, field: "Scope and URL mismatch"}
    for response in responses(403, json=body):
        with pytest.raises(MissingScopesError, match="authorize the app again") as caught:
            raise_for_scope(response)
        assert caught.value.missing == frozenset()


def test_a_403_that_names_the_scope() -> None:
    """As RFC 6750 has it, whatever the body is."""
    header = 'Bearer realm="api", error="insufficient_scope", scope="leads:full mail:read"'
    for response in responses(403, headers={"WWW-Authenticate": header}, content=b"<html>"):
        with pytest.raises(MissingScopesError, match="leads:full, mail:read") as caught:
            raise_for_scope(response)
        assert caught.value.missing == {"leads:full", "mail:read"}


@pytest.mark.parametrize(
    ("status", "settings"),
    [
        (200, {"json": MISMATCH}),
        (401, {"json": MISMATCH}),
        (403, {"json": {"error": "You have no permission to do this"}}),
        (403, {"json": {"error": {"message": "Scope and URL mismatch"}}}),
        (403, {"json": ["Scope and URL mismatch"]}),
        (403, {"content": b""}),
        (403, {"content": b"\xff Scope and URL mismatch"}),
        (403, {"headers": {"WWW-Authenticate": 'Bearer error="invalid_token"'}, "content": b""}),
    ],
)
def test_other_responses_pass(status: int, settings: dict[str, Any]) -> None:
    """A user without a permission can't be helped by authorizing again."""
    for response in responses(status, **settings):
        raise_for_scope(response)


def test_a_body_that_was_not_read() -> None:
    """A streamed response is judged by its headers."""
    raise_for_scope(httpx.Response(403, stream=httpx.ByteStream(b"x")))


# --- What a developer changes at the app ---


def status_of(account: Account, path: str, auth: PipedriveAuth | None = None) -> int:
    """Ask the API, and give the status."""
    auth = account.auth() if auth is None else auth
    return SENDERS["httpx"](auth, "GET", f"{account.box.base_url}{path}")[0]


def test_scopes_that_are_added(box: PipedriveSandbox) -> None:
    """Old access tokens are invalid, a refresh gives the old scopes, a new consent the new ones."""
    sandbox = box.server.sandbox
    with connected(box, store=None) as account:
        before = account.token.scopes
        other = account.another("globex:kim", OTHER_USER)
        changed = sandbox.change_scopes([*DEFAULT_APP.scopes, "leads:full"])
        assert sandbox.apps == (changed,)
        for each in (account, other):
            assert each.oauth.credentials.client_id == changed.client_id
            response = httpx.get(
                f"{box.base_url}{ME}",
                headers={"Authorization": f"Bearer {each.token.access_token}"},
                trust_env=False,
            )
            assert response.status_code == 401
        assert status_of(account, ME) == 200
        assert account.stored().scopes == before
        with connected(box, store=account.store) as again:
            assert again.token.scopes == before | {"leads:full"}


def test_scopes_that_are_removed(box: PipedriveSandbox) -> None:
    """Access tokens stay valid, without what was removed, and a refresh says so."""
    with connected(box) as account:
        auth = account.auth()
        assert status_of(account, DEALS, auth) == 200
        box.server.sandbox.change_scopes(["base", "users:read"], app=DEFAULT_APP)
        assert (status_of(account, DEALS, auth), status_of(account, ME, auth)) == (403, 200)
        assert account.refreshes() == 0
        client = httpx.Client(auth=auth, base_url=box.base_url, trust_env=False)
        with client, pytest.raises(MissingScopesError) as caught:
            raise_for_scope(client.get(DEALS))
        assert caught.value.missing == {"deals:read"}
        account.expire()
        assert auth.token().scopes == {"base", "users:read"}


def test_an_app_that_was_never_there(box: PipedriveSandbox) -> None:
    """Only the sandbox's apps can be changed, by their record of now or of before."""
    sandbox = box.server.sandbox
    with pytest.raises(ConfigurationError):
        sandbox.change_scopes(["base"], app=evolve(DEFAULT_APP, name="Another"))
    with pytest.raises(ConfigurationError):
        sandbox.change_scopes([])
    first = sandbox.change_scopes(["base"])
    second = sandbox.change_scopes(["base", "deals:read"], app=DEFAULT_APP)
    assert (first.scopes, second.scopes) == (("base",), ("base", "deals:read"))
    assert sandbox.is_installed(sandbox.users[0], app=first) is False
