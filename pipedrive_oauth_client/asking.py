"""Asking the API whose token it is, sync and async."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Generator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from datetime import datetime
from functools import cache
from typing import Any, Final

import httpx

from pipedrive_oauth_client.clock import read
from pipedrive_oauth_client.errors import CorruptTokenError, InvalidResponseError, TransportError
from pipedrive_oauth_client.origins import api_origin
from pipedrive_oauth_client.people import ME_PATH, PipedriveUser, read_user
from pipedrive_oauth_client.tokens import Token

__all__ = ["ask", "ask_async"]

_MOST_BYTES: Final = 1024 * 1024
_TIMEOUT: Final = httpx.Timeout(30, connect=10)


def ask(token: Token, client: httpx.Client | None, clock: Callable[[], datetime]) -> PipedriveUser:
    """Ask whose token it is.

    Args:
        token: The token.
        client: What to send it with; None for a client of its own.
        clock: Gives the present as an aware datetime.

    Returns:
        The person.

    Raises:
        PipedriveOAuthError: The API did not say.
    """
    question = _Question(token)
    with question.asked(), ExitStack() as stack:
        client = client or stack.enter_context(httpx.Client(**question.own_client()))
        response = stack.enter_context(client.stream(**question.request))
        for piece in response.iter_bytes():
            question.hear(response, piece)
    return question.answer(response, read(clock))


async def ask_async(
    token: Token, client: httpx.AsyncClient | None, clock: Callable[[], datetime]
) -> PipedriveUser:
    """Ask whose token it is without blocking; see `ask`.

    Args:
        token: The token.
        client: What to send it with; None for a client of its own.
        clock: Gives the present as an aware datetime.

    Returns:
        The person.

    Raises:
        PipedriveOAuthError: The API did not say.
    """
    question = _Question(token)
    with question.asked():
        async with AsyncExitStack() as stack:
            if client is None:
                own = httpx.AsyncClient(**question.own_client())
                client = await stack.enter_async_context(own)
            response = await stack.enter_async_context(client.stream(**question.request))
            async for piece in response.aiter_bytes():
                question.hear(response, piece)
    return question.answer(response, read(clock))


class _Question:
    """All but the sending: what is sent, and what is made of the answer."""

    def __init__(self, token: Token) -> None:
        domain = token.api_domain or ""
        try:
            api_origin(domain)
        except CorruptTokenError:
            raise InvalidResponseError(
                "field 'api_domain' is missing or no https address, so that nobody can be asked"
                " whose token it is",
                field="api_domain",
            ) from None
        self._is_local = domain.lower().startswith("http:")
        self.request: dict[str, Any] = {
            "method": "GET",
            "url": domain.rstrip("/") + ME_PATH,
            "headers": {
                "Authorization": f"Bearer {token.access_token}",
                "Accept": "application/json",
            },
            "follow_redirects": False,
        }
        self._body = bytearray()

    def own_client(self) -> dict[str, Any]:
        # Within this machine no proxy has anything to read.
        return {"timeout": _TIMEOUT, "trust_env": not self._is_local, "verify": _tls()}

    @contextmanager
    def asked(self) -> Generator[None]:
        try:
            yield
        except httpx.HTTPError as error:
            raise TransportError(
                f"Pipedrive's API could not be asked whose token it is ({type(error).__name__})."
                " Check the network, then connect again.",
                maybe_sent=True,
            ) from error

    def hear(self, response: httpx.Response, piece: bytes) -> None:
        self._body += piece
        if len(self._body) > _MOST_BYTES:
            raise InvalidResponseError(
                f"{ME_PATH} is longer than {_MOST_BYTES} bytes",
                status_code=response.status_code,
                headers=response.headers,
            )

    def answer(self, response: httpx.Response, now: datetime) -> PipedriveUser:
        return read_user(response, bytes(self._body), now=now)


@cache
def _tls() -> ssl.SSLContext:
    # Reading the certificates takes longer than all the rest.
    return httpx.create_ssl_context()
