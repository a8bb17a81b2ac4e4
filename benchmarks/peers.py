"""A refresh in the way of each client: each does what its users do, on a connection that is kept.

Each takes a refresh token and gives the next one, which an app has to keep.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack
from datetime import UTC, datetime
from http.client import HTTPConnection
from typing import Any, TypeAlias
from urllib.parse import urlencode, urlsplit

import httpx

from benchmarks.rivals import OPENAPI_GENERATOR, STOCK
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

__all__ = [
    "AGAIN",
    "CREDENTIALS",
    "FIRST",
    "HEADER",
    "NOTES",
    "async_ways",
    "blocking_ways",
    "expired",
]

CREDENTIALS = AppCredentials(
    "8a2e5b0c4d6f1937", "b1946ac92492d2347c6235b4d2611184a6f1e0c3", "https://example.com/callback"
)
HEADER = CREDENTIALS.basic_auth_header
FIRST = "1:1:" + "0" * 60
# Whatever its ratio is not 1 by, is noise.
AGAIN = "httpx, once more"
FORM = "application/x-www-form-urlencoded"

NOTES = (
    "httpx, requests-oauthlib and http.client give a dictionary that nobody has checked; Authlib"
    " and httpx-oauth look for an error and reckon the expiry; the generated clients read a model;"
    " `PipedriveOAuth.refresh` checks every field and where the token may go. httpx-oauth makes an"
    " httpx client, with its certificates, for every refresh: that is how it is used. The client of"
    " openapi-generator is async only."
)

Refresh: TypeAlias = Callable[[str], str]
AsyncRefresh: TypeAlias = Callable[[str], Awaitable[str]]


def expired() -> Token:
    """Give a token that has had its time."""
    return Token(
        access_token="v1u:old",
        refresh_token=FIRST,
        api_domain="https://acme.pipedrive.com",
        expires_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def blocking_ways(url: str, stack: ExitStack) -> list[tuple[str, Refresh]]:
    """Give the ways that block; the first is plain httpx.

    Args:
        url: Root of the server.
        stack: Closes the connections at its end.
    """
    # Authlib and oauthlib refuse plain http otherwise, even within the machine.
    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"
    return [
        ("httpx", _httpx(url, stack)),
        (AGAIN, _httpx(url, stack)),
        ("this package, generated call", _generated(url, stack)),
        ("this package, PipedriveOAuth.refresh", _flow(url, stack)),
        ("openapi-python-client, stock templates", _stock(url, stack)),
        ("Authlib", _authlib(url, stack)),
        ("requests-oauthlib", _requests_oauthlib(url, stack)),
        ("http.client, the floor", _floor(url, stack)),
    ]


async def async_ways(url: str, stack: AsyncExitStack) -> list[tuple[str, AsyncRefresh]]:
    """Give the ways that don't block; the first is plain httpx.

    Args:
        url: Root of the server.
        stack: Closes the connections at its end.
    """
    return [
        ("httpx", await _async_httpx(url, stack)),
        (AGAIN, await _async_httpx(url, stack)),
        ("this package, generated call", await _async_generated(url, stack)),
        ("this package, AsyncPipedriveOAuth.refresh", await _async_flow(url, stack)),
        ("openapi-python-client, stock templates", await _async_stock(url, stack)),
        ("openapi-generator", await _openapi_generator(url, stack)),
        ("Authlib", await _async_authlib(url, stack)),
        ("httpx-oauth", _httpx_oauth(url)),
    ]


def _httpx(url: str, stack: ExitStack) -> Refresh:
    client = stack.enter_context(httpx.Client(trust_env=False))

    def refresh(refresh_token: str) -> str:
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        answer = client.post(f"{url}/oauth/token/", data=form, headers={"Authorization": HEADER})
        answer.raise_for_status()
        return str(answer.json()["refresh_token"])

    return refresh


def _generated(url: str, stack: ExitStack) -> Refresh:
    client = stack.enter_context(Client(base_url=url, httpx_args={"trust_env": False}))

    def refresh(refresh_token: str) -> str:
        body = RefreshTokensRequest(refresh_token=refresh_token)
        found = refresh_tokens.sync(client=client, authorization=HEADER, body=body)
        assert isinstance(found, GetTokensResponse)
        return str(found.refresh_token)

    return refresh


def _flow(url: str, stack: ExitStack) -> Refresh:
    oauth = stack.enter_context(PipedriveOAuth(CREDENTIALS, base_url=url))

    def refresh(refresh_token: str) -> str:
        return str(oauth.refresh(refresh_token).refresh_token)

    return refresh


def _stock(url: str, stack: ExitStack) -> Refresh:
    client, form, endpoint = _stock_parts(url)
    stack.enter_context(client)

    def refresh(refresh_token: str) -> str:
        body = form(refresh_token=refresh_token)
        return str(endpoint.sync(client=client, authorization=HEADER, body=body).refresh_token)

    return refresh


def _stock_parts(url: str) -> tuple[Any, Any, Any]:
    package = importlib.import_module(STOCK)
    models = importlib.import_module(f"{STOCK}.models")
    endpoint = importlib.import_module(f"{STOCK}.api.oauth.refresh_tokens")
    client = package.AuthenticatedClient(
        base_url=url, token="", httpx_args={"trust_env": False}, raise_on_unexpected_status=True
    )
    return client, models.RefreshTokensRequest, endpoint


def _authlib(url: str, stack: ExitStack) -> Refresh:
    module = importlib.import_module("authlib.integrations.httpx_client")
    client = stack.enter_context(
        module.OAuth2Client(
            CREDENTIALS.client_id,
            CREDENTIALS.client_secret,
            token_endpoint_auth_method="client_secret_basic",
            trust_env=False,
        )
    )

    def refresh(refresh_token: str) -> str:
        answer = client.refresh_token(f"{url}/oauth/token/", refresh_token=refresh_token)
        return str(answer["refresh_token"])

    return refresh


def _requests_oauthlib(url: str, stack: ExitStack) -> Refresh:
    module = importlib.import_module("requests_oauthlib")
    basic = importlib.import_module("requests.auth").HTTPBasicAuth
    session = stack.enter_context(module.OAuth2Session(CREDENTIALS.client_id))
    auth = basic(CREDENTIALS.client_id, CREDENTIALS.client_secret)

    def refresh(refresh_token: str) -> str:
        answer = session.refresh_token(
            f"{url}/oauth/token/", refresh_token=refresh_token, auth=auth
        )
        return str(answer["refresh_token"])

    return refresh


def _floor(url: str, stack: ExitStack) -> Refresh:
    connection = HTTPConnection(urlsplit(url).netloc)
    stack.callback(connection.close)
    headers = {"Authorization": HEADER, "Content-Type": FORM}

    def refresh(refresh_token: str) -> str:
        form = urlencode({"grant_type": "refresh_token", "refresh_token": refresh_token})
        connection.request("POST", "/oauth/token/", form, headers)
        answer = connection.getresponse()
        assert answer.status == 200
        return str(json.loads(answer.read())["refresh_token"])

    return refresh


async def _async_httpx(url: str, stack: AsyncExitStack) -> AsyncRefresh:
    client = await stack.enter_async_context(httpx.AsyncClient(trust_env=False, timeout=300))

    async def refresh(refresh_token: str) -> str:
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        header = {"Authorization": HEADER}
        answer = await client.post(f"{url}/oauth/token/", data=form, headers=header)
        answer.raise_for_status()
        return str(answer.json()["refresh_token"])

    return refresh


async def _async_generated(url: str, stack: AsyncExitStack) -> AsyncRefresh:
    client = await stack.enter_async_context(Client(base_url=url, httpx_args={"trust_env": False}))

    async def refresh(refresh_token: str) -> str:
        body = RefreshTokensRequest(refresh_token=refresh_token)
        found = await refresh_tokens.asyncio(client=client, authorization=HEADER, body=body)
        assert isinstance(found, GetTokensResponse)
        return str(found.refresh_token)

    return refresh


async def _async_flow(url: str, stack: AsyncExitStack) -> AsyncRefresh:
    oauth = await stack.enter_async_context(AsyncPipedriveOAuth(CREDENTIALS, base_url=url))

    async def refresh(refresh_token: str) -> str:
        return str((await oauth.refresh(refresh_token)).refresh_token)

    return refresh


async def _async_stock(url: str, stack: AsyncExitStack) -> AsyncRefresh:
    client, form, endpoint = _stock_parts(url)
    await stack.enter_async_context(client)

    async def refresh(refresh_token: str) -> str:
        body = form(refresh_token=refresh_token)
        found = await endpoint.asyncio(client=client, authorization=HEADER, body=body)
        return str(found.refresh_token)

    return refresh


async def _openapi_generator(url: str, stack: AsyncExitStack) -> AsyncRefresh:
    package = importlib.import_module(OPENAPI_GENERATOR)
    client = await stack.enter_async_context(package.ApiClient(package.Configuration(host=url)))
    endpoints = package.OauthApi(client)

    async def refresh(refresh_token: str) -> str:
        found = await endpoints.refresh_tokens(
            authorization=HEADER, grant_type="refresh_token", refresh_token=refresh_token
        )
        return str(found.refresh_token)

    return refresh


async def _async_authlib(url: str, stack: AsyncExitStack) -> AsyncRefresh:
    module = importlib.import_module("authlib.integrations.httpx_client")
    client = await stack.enter_async_context(
        module.AsyncOAuth2Client(
            CREDENTIALS.client_id,
            CREDENTIALS.client_secret,
            token_endpoint_auth_method="client_secret_basic",
            trust_env=False,
            timeout=300,
        )
    )

    async def refresh(refresh_token: str) -> str:
        answer = await client.refresh_token(f"{url}/oauth/token/", refresh_token=refresh_token)
        return str(answer["refresh_token"])

    return refresh


def _httpx_oauth(url: str) -> AsyncRefresh:
    module = importlib.import_module("httpx_oauth.oauth2")
    client = module.BaseOAuth2(
        CREDENTIALS.client_id,
        CREDENTIALS.client_secret,
        f"{url}/oauth/authorize",
        f"{url}/oauth/token",
        refresh_token_endpoint=f"{url}/oauth/token/",
        token_endpoint_auth_method="client_secret_basic",
    )

    async def refresh(refresh_token: str) -> str:
        return str((await client.refresh_token(refresh_token))["refresh_token"])

    return refresh
