"""Asking the API whose token it is, sync and async."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack
from datetime import datetime
from functools import cache
from typing import Any, Final

import httpx

from pipedrive_oauth_client.clock import read
from pipedrive_oauth_client.errors import InvalidResponseError, TransportError
from pipedrive_oauth_client.origins import api_origin
from pipedrive_oauth_client.tokens import Token
from pipedrive_oauth_client.web.people import PipedriveUser, read_user, user_url

__all__ = ["ask", "ask_async"]

_MOST_BYTES: Final = 1024 * 1024
_TIMEOUT: Final = httpx.Timeout(30, connect=10)


def ask(token: Token, client: httpx.Client | None, clock: Callable[[], datetime]) -> PipedriveUser:
    """Ask whose token it is.

    Args:
        token: The token.
        client: What to send it with; a client of its own by default.
        clock: Gives the present as an aware datetime.

    Returns:
        The person.

    Raises:
        PipedriveOAuthError: The API did not say.
    """
    url, settings = _request(token)
    try:
        with ExitStack() as stack:
            if client is None:
                client = stack.enter_context(httpx.Client(**_own_settings(url)))
            response = stack.enter_context(client.stream("GET", url, **settings))
            body = bytearray()
            for piece in response.iter_bytes():
                _add(body, piece, response)
    except httpx.HTTPError as error:
        raise _failure(error) from error
    return read_user(response, bytes(body), now=read(clock))


async def ask_async(
    token: Token, client: httpx.AsyncClient | None, clock: Callable[[], datetime]
) -> PipedriveUser:
    """Ask whose token it is without blocking; see `ask`.

    Args:
        token: The token.
        client: What to send it with; a client of its own by default.
        clock: Gives the present as an aware datetime.

    Returns:
        The person.

    Raises:
        PipedriveOAuthError: The API did not say.
    """
    url, settings = _request(token)
    try:
        async with AsyncExitStack() as stack:
            if client is None:
                own = httpx.AsyncClient(**_own_settings(url))
                client = await stack.enter_async_context(own)
            response = await stack.enter_async_context(client.stream("GET", url, **settings))
            body = bytearray()
            async for piece in response.aiter_bytes():
                _add(body, piece, response)
    except httpx.HTTPError as error:
        raise _failure(error) from error
    return read_user(response, bytes(body), now=read(clock))


def _request(token: Token) -> tuple[str, dict[str, Any]]:
    url = user_url(token)
    api_origin(url.removesuffix("/api/v1/users/me"))  # refuses what a token may not be sent to
    headers = {"Authorization": f"Bearer {token.access_token}", "Accept": "application/json"}
    return url, {"headers": headers, "follow_redirects": False}


def _own_settings(url: str) -> dict[str, Any]:
    # Within this machine no proxy has anything to read.
    return {"timeout": _TIMEOUT, "trust_env": not url.startswith("http:"), "verify": _tls()}


@cache
def _tls() -> ssl.SSLContext:
    # Reading the certificates takes longer than all the rest.
    return httpx.create_ssl_context()


def _add(body: bytearray, piece: bytes, response: httpx.Response) -> None:
    body += piece
    if len(body) > _MOST_BYTES:
        raise InvalidResponseError(
            f"it is longer than {_MOST_BYTES} bytes",
            status_code=response.status_code,
            headers=response.headers,
        )


def _failure(error: httpx.HTTPError) -> TransportError:
    return TransportError(
        f"Pipedrive's API could not be asked whose token it is ({type(error).__name__}). Check the"
        " network, then connect again.",
        maybe_sent=True,
    )
