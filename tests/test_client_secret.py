"""A client secret that is replaced while a program runs: flows ask for the credentials."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest
from attrs import evolve

from pipedrive_oauth_client import (
    AppCredentials,
    AsyncPipedriveOAuth,
    ConfigurationError,
    InvalidClientError,
    PipedriveAuth,
    PipedriveOAuth,
    PipedriveOAuthError,
    TransportError,
)
from pipedrive_oauth_client.pytest_plugin import PipedriveSandbox
from pipedrive_oauth_client.sandbox import DEFAULT_APP
from pipedrive_oauth_client.stores import MemoryTokenStore
from pipedrive_oauth_client.web import is_from_service
from tests.support.auths import served
from tests.support.flows import CREDENTIALS, AnyFlow, play
from tests.support.sweep import found, visible
from tests.support.tls import UNTRUSTING
from tests.support.untyped import untyped

SECRET: Final = "planted-secret-41d7"


@pytest.fixture
def box() -> Iterator[PipedriveSandbox]:
    """Serve a sandbox of its own for each test, since its app is changed."""
    with served() as box:
        yield box


class Vault:
    """Gives the credentials, and counts how often."""

    def __init__(self, credentials: AppCredentials) -> None:
        self.credentials = credentials
        self.asked = 0

    def __call__(self) -> AppCredentials:
        """Give the credentials."""
        self.asked += 1
        return self.credentials


def test_each_token_request_asks(mode: str, box: PipedriveSandbox) -> None:
    """Once for each, and not before the first; a reset needs no new flow and no new tokens."""
    vault = Vault(box.credentials)
    settings: dict[str, Any] = {"base_url": box.base_url, "retry": None, "clock": box.clock}

    async def main() -> None:
        inner: Any
        if mode == "sync":
            inner = PipedriveOAuth(vault, **settings)
        else:
            inner = AsyncPipedriveOAuth(vault, **settings)
        assert vault.asked == 0
        flow = AnyFlow(inner)
        token = await flow.exchange(inner.read_callback(box.authorize(state="s"), "s"))
        assert vault.asked == 1
        token = await flow.refresh(token)
        assert vault.asked == 2
        box.server.sandbox.reset_client_secret()
        with pytest.raises(InvalidClientError):
            await flow.refresh(token)
        assert vault.asked == 3
        vault.credentials = box.credentials
        token = await flow.refresh(token)
        await flow.revoke(token, "refresh_token")
        assert vault.asked == 5
        if mode == "sync":
            inner.close()
        else:
            await inner.aclose()

    play(mode, main)


@pytest.mark.parametrize("kind", [PipedriveOAuth, AsyncPipedriveOAuth])
def test_a_reset_stops_no_program(kind: Any, box: PipedriveSandbox) -> None:
    """Access tokens go on working, and the next refresh shows the new secret."""
    vault, store = Vault(box.credentials), MemoryTokenStore()
    with PipedriveOAuth(box.credentials, base_url=box.base_url, clock=box.clock) as first:
        store.save("a", first.exchange(first.read_callback(box.authorize(state="s"), "s")))
    oauth = kind(vault, base_url=box.base_url, retry=None, clock=box.clock)
    auth = PipedriveAuth(oauth, store, "a")
    old = auth.token()
    box.server.sandbox.reset_client_secret(secret=SECRET)
    assert box.credentials.client_secret == SECRET
    with httpx.Client(auth=auth, base_url=box.base_url, verify=UNTRUSTING) as client:
        assert client.get("/api/v1/users/me").status_code == 200
        with pytest.raises(InvalidClientError):
            auth.token(rejected=old)
        vault.credentials = box.credentials
        assert auth.token(rejected=old) != old
        assert client.get("/api/v1/users/me").status_code == 200
    auth.token_source._oauth.close()


class _VaultError(RuntimeError):
    """What a secret manager's client raises."""


def _raising() -> AppCredentials:
    raise _VaultError(f"cannot read {SECRET}")


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (_raising, "_VaultError"),
        (lambda: None, "not NoneType"),
        (lambda: SECRET, "not str"),
        (lambda: AppCredentials("id", "", "https://app.example.com/callback"), "client_secret"),
    ],
)
def test_a_function_that_fails(source: Any, told: str) -> None:
    """Nothing is sent, no text repeats what it said, and the cause is kept."""
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(500)

    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        oauth = PipedriveOAuth(source, client=client)
        for call in (
            lambda: oauth.exchange("code"),
            lambda: oauth.refresh("1:1:token"),
            lambda: oauth.revoke("1:1:token", "refresh_token"),
            oauth.authorization_url,
            lambda: oauth.credentials,
        ):
            with pytest.raises(ConfigurationError, match=told) as caught:
                call()
            assert SECRET not in str(caught.value)
            if source is _raising:
                assert isinstance(caught.value.__cause__, _VaultError)
    assert sent == []


def test_an_error_of_this_package_is_left_as_it_is() -> None:
    """A function that reads the credentials from somewhere may raise what fits."""

    def source() -> AppCredentials:
        raise TransportError("The vault is down.", maybe_sent=False)

    with pytest.raises(TransportError, match="vault"):
        PipedriveOAuth(source).refresh("1:1:token")


async def _later() -> AppCredentials:
    return CREDENTIALS


@pytest.mark.parametrize("kind", [PipedriveOAuth, AsyncPipedriveOAuth])
@pytest.mark.parametrize("given", [None, "id", ("id", "secret"), _later, AppCredentials])
def test_what_is_neither_is_refused(kind: Any, given: object) -> None:
    """At once, and named."""
    with pytest.raises(ConfigurationError, match="credentials must be AppCredentials"):
        untyped(kind)(given)


def test_no_secret_is_shown() -> None:
    """`repr` calls no function, and an error of the service hides the secret that was sent."""
    vault = Vault(evolve(CREDENTIALS, client_secret=SECRET))
    echo = httpx.MockTransport(
        lambda _request: httpx.Response(400, json={"error": "x", "message": f"not {SECRET}"})
    )
    with httpx.Client(transport=echo) as client:
        oauth = PipedriveOAuth(vault, client=client, retry=None)
        assert "credentials=<function>" in repr(oauth)
        assert vault.asked == 0
        with pytest.raises(PipedriveOAuthError) as caught:
            oauth.refresh("1:1:token")
    assert found(visible(caught.value), [SECRET]) == []
    assert SECRET not in repr(vars(oauth))


# --- Who shows the app's credentials to the app ---


def test_former_secrets_are_accepted_where_they_are_named() -> None:
    """For as long as they are, and no other ones."""
    now = evolve(CREDENTIALS, client_secret="now")
    before = evolve(CREDENTIALS, client_secret="before")
    other = evolve(CREDENTIALS, client_id="other", client_secret="before")
    shown = [[each.basic_auth_header] for each in (now, before, other)]
    assert [is_from_service(each, now) for each in shown] == [True, False, False]
    accepted = [is_from_service(each, now, former_secrets=["older", "before"]) for each in shown]
    assert accepted == [True, True, False]


def test_the_sandbox_forgets_the_old_secret_at_once(box: PipedriveSandbox) -> None:
    """The app of before is known as the same, and its secret opens nothing."""
    sandbox = box.server.sandbox
    changed = sandbox.reset_client_secret(app=DEFAULT_APP)
    assert changed.client_secret != DEFAULT_APP.client_secret
    assert sandbox.apps == (changed,)
    notice = sandbox.uninstall(sandbox.users[0], app=DEFAULT_APP)
    assert notice.headers["Authorization"] == box.credentials.basic_auth_header
    with (
        PipedriveOAuth(
            AppCredentials(
                DEFAULT_APP.client_id, DEFAULT_APP.client_secret, DEFAULT_APP.redirect_uri
            ),
            base_url=box.base_url,
        ) as oauth,
        pytest.raises(InvalidClientError),
    ):
        oauth.refresh("1:1:token")
