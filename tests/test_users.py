from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from attrs import evolve

from pipedrive_oauth_client import (
    AsyncPipedriveOAuth,
    ConfigurationError,
    InvalidResponseError,
    PipedriveOAuth,
    PipedriveOAuthError,
    RateLimitedError,
    ServerError,
    Token,
    TokenRequestError,
    TransportError,
    users,
)
from pipedrive_oauth_client.pytest_plugin import PipedriveSandbox
from pipedrive_oauth_client.sandbox import DEFAULT_USER
from pipedrive_oauth_client.users import (
    PipedriveUser,
    fetch_current_user,
    fetch_current_user_async,
    parse_id,
)
from tests.support.driver import MODES, run
from tests.support.flows import CREDENTIALS

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
TOKEN = Token(
    access_token="access-planted-1f0c",
    refresh_token="refresh-planted-9b2e",
    token_type="Bearer",
    scope="base",
    api_domain="https://acme.example",
    expires_at=NOW + timedelta(hours=1),
)
ADA = {"id": 11, "company_id": 1, "name": "Ada", "company_name": "Acme", "more": [1]}

Handler = Callable[[httpx.Request], httpx.Response]


def asked(
    mode: str, token: Token, handler: Handler | None = None, base_url: str = ""
) -> PipedriveUser:
    """Ask whose token it is, of a function or with a client of its own."""
    transport = httpx.MockTransport(handler) if handler else None
    settings: Any = {"transport": transport, "follow_redirects": True, "base_url": base_url}
    if mode == "sync":
        if transport is None:
            return fetch_current_user(token, None, lambda: NOW)
        with httpx.Client(**settings) as client:
            return fetch_current_user(token, client, lambda: NOW)

    async def main() -> PipedriveUser:
        if transport is None:
            return await fetch_current_user_async(token, None, lambda: NOW)
        async with httpx.AsyncClient(**settings) as client:
            return await fetch_current_user_async(token, client, lambda: NOW)

    return run(mode, main)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("domain", ["https://acme.example", "https://acme.example/"])
def test_asking(mode: str, domain: str) -> None:
    """The API of the company is asked with the token, and its answer read."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"success": True, "data": ADA})

    user = asked(mode, evolve(TOKEN, api_domain=domain), answer)
    assert (user.account, user.name, user.company_name) == ("1:11", "Ada", "Acme")
    assert user.data == ADA
    (request,) = seen
    assert (request.method, str(request.url)) == ("GET", "https://acme.example/api/v1/users/me")
    assert request.headers["Authorization"] == f"Bearer {TOKEN.access_token}"


@pytest.mark.parametrize("mode", MODES)
def test_asking_within_this_machine(
    mode: str, pipedrive_sandbox: PipedriveSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No proxy of the environment sees what stays within this machine."""
    box = pipedrive_sandbox
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with PipedriveOAuth(box.credentials, base_url=box.base_url, clock=box.clock) as oauth:
        request = oauth.authorization_url()
        callback = box.authorize(state=request.state)
        token = oauth.exchange(oauth.read_callback(callback, request.state))
    assert asked(mode, token).account == DEFAULT_USER.account


@pytest.fixture
def certificates(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Note the thread of each reading of the certificates, and forget what was read before."""
    real, threads = httpx.create_ssl_context, list[int]()

    def noted() -> ssl.SSLContext:
        threads.append(threading.get_ident())
        return real()

    users._certificates.cache_clear()
    monkeypatch.setattr(httpx, "create_ssl_context", noted)
    yield threads
    users._certificates.cache_clear()


@pytest.mark.parametrize("mode", MODES)
def test_certificates_are_not_read_for_a_client_that_was_given(
    mode: str, certificates: list[int]
) -> None:
    """A client of the caller's has its own certificates."""
    asked(mode, TOKEN, lambda _: httpx.Response(200, json={"data": ADA}))
    assert certificates == []


@pytest.mark.parametrize("mode", MODES)
def test_certificates_are_read_once_and_in_no_event_loop(
    mode: str, certificates: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a client they are read, by a thread where an event loop would wait for the disk."""
    for name in ("HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for _ in range(2):
        with pytest.raises(TransportError):
            asked(mode, TOKEN)
    (thread,) = certificates
    assert (thread == threading.get_ident()) is (mode == "sync")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("content", [None, "no certificate"])
@pytest.mark.usefixtures("certificates")
def test_unreadable_certificates(
    mode: str, content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An SSL_CERT_FILE that is missing or holds none is named, with and without a flow."""
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content, encoding="ascii")
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with pytest.raises(ConfigurationError, match="SSL_CERT_FILE") as caught:
        asked(mode, TOKEN)
    assert isinstance(caught.value.__cause__, OSError)

    with pytest.raises(ConfigurationError, match="SSL_CERT_FILE"):
        refresh_without_a_client(mode)


def refresh_without_a_client(mode: str) -> None:
    """Refresh through a flow with a client of its own."""
    if mode == "sync":
        with PipedriveOAuth(CREDENTIALS, retry=None) as flow:
            flow.refresh("refresh-planted")
    else:

        async def main() -> None:
            async with AsyncPipedriveOAuth(CREDENTIALS, retry=None) as flow:
                await flow.refresh("refresh-planted")

        run(mode, main)


def fails(_request: httpx.Request) -> httpx.Response:
    """Stand for a network that is down."""
    raise httpx.ConnectError("down")


def never(_request: httpx.Request) -> httpx.Response:
    """Stand for what may not be asked."""
    raise AssertionError("nothing may be sent")


FAILURES: dict[str, tuple[Handler, type[PipedriveOAuthError]]] = {
    "no network": (fails, TransportError),
    "too many": (lambda _: httpx.Response(429, headers={"Retry-After": "7"}), RateLimitedError),
    "out of order": (lambda _: httpx.Response(520, html="<h1>520</h1>"), ServerError),
    "no scope": (lambda _: httpx.Response(403, json={}), TokenRequestError),
    "a redirect": (
        lambda request: (
            httpx.Response(302, headers={"Location": "/elsewhere"})
            if request.url.path.startswith("/api/")
            else httpx.Response(200, json={"data": ADA})
        ),
        InvalidResponseError,
    ),
    "no JSON": (lambda _: httpx.Response(200, text="hello"), InvalidResponseError),
    "no data": (lambda _: httpx.Response(200, json={"data": None}), InvalidResponseError),
    "nobody": (lambda _: httpx.Response(200, json={"data": {"id": 11}}), InvalidResponseError),
    "too much": (lambda _: httpx.Response(200, content=b" " * 1_100_000), InvalidResponseError),
    "too deep": (lambda _: httpx.Response(200, content=b"[" * 100_000), InvalidResponseError),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("handler", "kind"), FAILURES.values(), ids=FAILURES.keys())
def test_no_answer(mode: str, handler: Handler, kind: type[PipedriveOAuthError]) -> None:
    """Whatever the API does instead of answering becomes an error that shows no token."""
    with pytest.raises(kind) as caught:
        asked(mode, TOKEN, handler)
    assert TOKEN.access_token not in str(caught.value) + repr(caught.value)
    if isinstance(caught.value, RateLimitedError):
        assert caught.value.retry_after == timedelta(seconds=7)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("domain", [None, "https://acme.example:99999"])
def test_nowhere_to_ask(mode: str, domain: str | None) -> None:
    """A token that names no API of its company is sent nowhere."""
    with pytest.raises(InvalidResponseError) as caught:
        asked(mode, evolve(TOKEN, api_domain=domain), never)
    assert caught.value.field == "api_domain"


@pytest.mark.parametrize("mode", MODES)
def test_client_that_leads_elsewhere(mode: str) -> None:
    """A client with a base_url of its own, where the token would go, is refused."""
    with pytest.raises(ConfigurationError, match="base_url"):
        asked(mode, TOKEN, never, base_url="https://elsewhere.example")


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (7, 7),
        ("7", 7),
        (0, None),
        ("0", None),
        (-7, None),
        ("-7", None),
        (True, None),
        (7.0, None),
        ("\u0667", None),
        ("1" * 5_000, None),
        (10**18, None),
        (None, None),
        ([7], None),
    ],
    ids=lambda value: json.dumps(value)[:20],
)
def test_whole_numbers(value: Any, number: int | None) -> None:
    """Numbers of companies and users are whole and above zero, as they stand or as digits."""
    assert parse_id(value) == number
