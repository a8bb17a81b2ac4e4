"""Asking the API whose token it is, sync and async."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any

import httpx

from pipedrive_oauth_client.clock import read
from pipedrive_oauth_client.destinations import refuse_other_base_url
from pipedrive_oauth_client.errors import CorruptTokenError, InvalidResponseError
from pipedrive_oauth_client.generated.client import Client
from pipedrive_oauth_client.origins import api_origin
from pipedrive_oauth_client.people import ME_PATH, PipedriveUser, read_user
from pipedrive_oauth_client.tokens import Token

__all__ = ["ask", "ask_async"]


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
        ConfigurationError: `client` has a `base_url` that is not the token's.
    """
    with _api(token, client) as api:
        if client is not None:
            api.set_httpx_client(client)
        return read_user(api.send(**_request(token)), now=read(clock))


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
        ConfigurationError: `client` has a `base_url` that is not the token's.
    """
    async with _api(token, client) as api:
        if client is not None:
            api.set_async_httpx_client(client)
        return read_user(await api.asend(**_request(token)), now=read(clock))


def _api(token: Token, client: httpx.Client | httpx.AsyncClient | None) -> Client:
    # The generated client has timeouts, a bound on answers and errors without secrets.
    domain = token.api_domain or ""
    try:
        api_origin(domain)
    except CorruptTokenError:
        raise InvalidResponseError(
            "field 'api_domain' is missing or no https address, so that nobody can be asked whose"
            " token it is",
            field="api_domain",
        ) from None
    if client is not None:
        refuse_other_base_url(client, domain)
    # Within this machine no proxy has anything to read.
    is_local = domain.lower().startswith("http:")
    return Client(base_url=domain, httpx_args={"trust_env": not is_local, "verify": _tls()})


def _request(token: Token) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {token.access_token}", "Accept": "application/json"}
    return {"method": "GET", "path": ME_PATH, "headers": headers}


@cache
def _tls() -> ssl.SSLContext:
    # Reading the certificates takes longer than all the rest.
    return httpx.create_ssl_context()
