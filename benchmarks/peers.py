"""A token request in the way of each client, on a connection that is kept.

Each takes a refresh token and returns the next one, as an app has to keep it. Clients that other
generators write from the same openapi.yaml are generated anew when the benchmarks run.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Generator
from contextlib import AsyncExitStack, ExitStack
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias
from urllib.parse import urlencode, urlsplit

import httpx

from benchmarks.measure import AGAIN
from pipedrive_oauth_client import (
    AppCredentials,
    AsyncPipedriveOAuth,
    Client,
    GetTokensResponse,
    PipedriveOAuth,
    RefreshTokensRequest,
    Token,
    refresh_tokens,
)

ROOT = Path(__file__).resolve().parent.parent
CREDENTIALS = AppCredentials(
    "8a2e5b0c4d6f1937", "b1946ac92492d2347c6235b4d2611184a6f1e0c3", "https://example.com/callback"
)
HEADER = CREDENTIALS.basic_auth_header
FIRST = "1:1:" + "0" * 60
CALL = "this package, generated call"
REFRESH = "this package, PipedriveOAuth.refresh"
# The packages of the generated peers, while they can be imported.
STOCK = "stock_client"
OPENAPI_GENERATOR = "openapi_generator_client"

# Authlib and oauthlib reject plain http otherwise, even within the machine.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"

Refresh: TypeAlias = Callable[[str], str]
AsyncRefresh: TypeAlias = Callable[[str], Awaitable[str]]


def expired() -> Token:
    """Return a token that has expired."""
    return Token(
        access_token="v1u:old",
        refresh_token=FIRST,
        api_domain="https://acme.pipedrive.com",
        expires_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


@contextlib.contextmanager
def generated_peers() -> Generator[str]:
    """Generate the clients of others, and let them be imported; yields their folder."""
    spec = str(ROOT / "openapi.yaml")
    with TemporaryDirectory() as folder:
        stock = ["openapi-python-client", "generate", "--path", spec, "--meta=none"]
        _generate([*stock, "--output-path", str(Path(folder) / STOCK)])
        options = f"--additional-properties=library=httpx,packageName={OPENAPI_GENERATOR}"
        other = ["openapi-generator-cli", "generate", "-i", spec, "-g", "python"]
        _generate([*other, "-o", folder, options])
        sys.path.insert(0, folder)
        try:
            yield folder
        finally:
            sys.path.remove(folder)
            names = (STOCK, OPENAPI_GENERATOR)
            for name in [each for each in sys.modules if each.split(".")[0] in names]:
                del sys.modules[name]


def _generate(command: list[str]) -> None:
    programs = Path(sys.executable).parent
    subprocess.run(  # noqa: S603 - the generators, as they are locked
        [str(programs / command[0]), *command[1:]],
        # They format what they write with the ruff beside them.
        env={**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', '')}"},
        cwd=ROOT,
        capture_output=True,
        check=True,
    )


def blocking_calls(url: str, stack: ExitStack) -> list[tuple[str, Refresh]]:
    """Return the ways that send a request and read the response; the first is plain httpx."""
    ours = stack.enter_context(Client(base_url=url, httpx_args={"trust_env": False}))
    stock, form, endpoint = _stock(url)
    stack.enter_context(stock)
    connection = HTTPConnection(urlsplit(url).netloc)
    stack.callback(connection.close)
    headers = {"Authorization": HEADER, "Content-Type": "application/x-www-form-urlencoded"}

    def generated(refresh_token: str) -> str:
        body = RefreshTokensRequest(refresh_token=refresh_token)
        found = refresh_tokens.sync(client=ours, authorization=HEADER, body=body)
        assert isinstance(found, GetTokensResponse)
        return str(found.refresh_token)

    def stock_call(refresh_token: str) -> str:
        body = form(refresh_token=refresh_token)
        return str(endpoint.sync(client=stock, authorization=HEADER, body=body).refresh_token)

    def floor(refresh_token: str) -> str:
        body = urlencode({"grant_type": "refresh_token", "refresh_token": refresh_token})
        connection.request("POST", "/oauth/token/", body, headers)
        response = connection.getresponse()
        assert response.status == 200
        return str(json.loads(response.read())["refresh_token"])

    return [
        ("httpx", blocking_httpx(url, stack)),
        (AGAIN, blocking_httpx(url, stack)),
        (CALL, generated),
        ("openapi-python-client, stock templates", stock_call),
        ("http.client, the floor", floor),
    ]


async def async_calls(url: str, stack: AsyncExitStack) -> list[tuple[str, AsyncRefresh]]:
    """Return the asynchronous ways that send a request and read the response."""
    ours = await stack.enter_async_context(Client(base_url=url, httpx_args={"trust_env": False}))
    stock, form, endpoint = _stock(url)
    await stack.enter_async_context(stock)
    package = importlib.import_module(OPENAPI_GENERATOR)
    other = await stack.enter_async_context(package.ApiClient(package.Configuration(host=url)))
    endpoints = package.OauthApi(other)

    async def generated(refresh_token: str) -> str:
        body = RefreshTokensRequest(refresh_token=refresh_token)
        found = await refresh_tokens.asyncio(client=ours, authorization=HEADER, body=body)
        assert isinstance(found, GetTokensResponse)
        return str(found.refresh_token)

    async def stock_call(refresh_token: str) -> str:
        body = form(refresh_token=refresh_token)
        found = await endpoint.asyncio(client=stock, authorization=HEADER, body=body)
        return str(found.refresh_token)

    async def openapi_generator(refresh_token: str) -> str:
        found = await endpoints.refresh_tokens(
            authorization=HEADER, grant_type="refresh_token", refresh_token=refresh_token
        )
        return str(found.refresh_token)

    return [
        ("httpx", await async_httpx(url, stack)),
        (AGAIN, await async_httpx(url, stack)),
        (CALL, generated),
        ("openapi-python-client, stock templates", stock_call),
        ("openapi-generator", openapi_generator),
    ]


def blocking_refreshes(url: str, stack: ExitStack) -> list[tuple[str, Refresh]]:
    """Return the ways that also judge the response; the first is plain httpx, which does not."""
    oauth = stack.enter_context(PipedriveOAuth(CREDENTIALS, base_url=url))
    client = stack.enter_context(authlib("OAuth2Client", url))
    session, auth = requests_oauthlib(stack)

    def authlib_refresh(refresh_token: str) -> str:
        found = client.refresh_token(f"{url}/oauth/token/", refresh_token=refresh_token)
        return str(found["refresh_token"])

    def oauthlib_refresh(refresh_token: str) -> str:
        found = session.refresh_token(f"{url}/oauth/token/", refresh_token=refresh_token, auth=auth)
        return str(found["refresh_token"])

    return [
        ("httpx", blocking_httpx(url, stack)),
        (AGAIN, blocking_httpx(url, stack)),
        (REFRESH, lambda token: str(oauth.refresh(token).refresh_token)),
        ("Authlib", authlib_refresh),
        ("requests-oauthlib", oauthlib_refresh),
    ]


async def async_refreshes(url: str, stack: AsyncExitStack) -> list[tuple[str, AsyncRefresh]]:
    """Return the asynchronous ways that also judge the response."""
    oauth = await stack.enter_async_context(AsyncPipedriveOAuth(CREDENTIALS, base_url=url))
    client = await stack.enter_async_context(authlib("AsyncOAuth2Client", url))
    other = importlib.import_module("httpx_oauth.oauth2").BaseOAuth2(
        CREDENTIALS.client_id,
        CREDENTIALS.client_secret,
        f"{url}/oauth/authorize",
        f"{url}/oauth/token",
        refresh_token_endpoint=f"{url}/oauth/token/",
        token_endpoint_auth_method="client_secret_basic",
    )

    async def ours(refresh_token: str) -> str:
        return str((await oauth.refresh(refresh_token)).refresh_token)

    async def authlib_refresh(refresh_token: str) -> str:
        found = await client.refresh_token(f"{url}/oauth/token/", refresh_token=refresh_token)
        return str(found["refresh_token"])

    async def httpx_oauth_refresh(refresh_token: str) -> str:
        return str((await other.refresh_token(refresh_token))["refresh_token"])

    return [
        ("httpx", await async_httpx(url, stack)),
        (AGAIN, await async_httpx(url, stack)),
        (REFRESH, ours),
        ("Authlib", authlib_refresh),
        ("httpx-oauth", httpx_oauth_refresh),
    ]


def blocking_httpx(url: str, stack: ExitStack) -> Refresh:
    """Return a refresh as a user of plain httpx writes it."""
    client = stack.enter_context(httpx.Client(trust_env=False, timeout=300))

    def refresh(refresh_token: str) -> str:
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        response = client.post(f"{url}/oauth/token/", data=form, headers={"Authorization": HEADER})
        return str(response.raise_for_status().json()["refresh_token"])

    return refresh


async def async_httpx(url: str, stack: AsyncExitStack) -> AsyncRefresh:
    """Return a refresh as a user of plain httpx writes it, asynchronously."""
    client = await stack.enter_async_context(httpx.AsyncClient(trust_env=False, timeout=300))

    async def refresh(refresh_token: str) -> str:
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        header = {"Authorization": HEADER}
        response = await client.post(f"{url}/oauth/token/", data=form, headers=header)
        return str(response.raise_for_status().json()["refresh_token"])

    return refresh


def authlib(name: str, url: str) -> Any:
    """Return one of Authlib's httpx clients."""
    module = importlib.import_module("authlib.integrations.httpx_client")
    return getattr(module, name)(
        CREDENTIALS.client_id,
        CREDENTIALS.client_secret,
        token_endpoint=f"{url}/oauth/token/",
        token_endpoint_auth_method="client_secret_basic",
        trust_env=False,
        timeout=300,
    )


def requests_oauthlib(stack: ExitStack, token: dict[str, Any] | None = None) -> tuple[Any, Any]:
    """Return a session of requests-oauthlib, and the app's credentials for it."""
    module = importlib.import_module("requests_oauthlib")
    basic = importlib.import_module("requests.auth").HTTPBasicAuth
    session = stack.enter_context(module.OAuth2Session(CREDENTIALS.client_id, token=token))
    return session, basic(CREDENTIALS.client_id, CREDENTIALS.client_secret)


def _stock(url: str) -> tuple[Any, Any, Any]:
    package = importlib.import_module(STOCK)
    models = importlib.import_module(f"{STOCK}.models")
    endpoint = importlib.import_module(f"{STOCK}.api.oauth.refresh_tokens")
    client = package.AuthenticatedClient(
        base_url=url, token="", httpx_args={"trust_env": False}, raise_on_unexpected_status=True
    )
    return client, models.RefreshTokensRequest, endpoint
