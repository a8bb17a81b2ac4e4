"""Whose token it is: `fetch_current_user` asks the API."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from typing import Any, Final

import httpx
from attrs import field, frozen

from pipedrive_oauth_client._checks import read_clock, utc_now
from pipedrive_oauth_client._origins import api_origin, require_same_base_url
from pipedrive_oauth_client.errors import (
    ConfigurationError,
    InvalidResponseError,
    PipedriveOAuthError,
    RateLimitedError,
    ServerError,
    TokenRequestError,
)
from pipedrive_oauth_client.generated.client import Client
from pipedrive_oauth_client.generated.network_errors import certificates_problem
from pipedrive_oauth_client.generated.response import RawResponse
from pipedrive_oauth_client.generated.types import FrozenEquality
from pipedrive_oauth_client.retry import read_retry_after
from pipedrive_oauth_client.tokens import Token

__all__ = [
    "ME_PATH",
    "PipedriveUser",
    "account_key",
    "fetch_current_user",
    "fetch_current_user_async",
    "parse_id",
]

ME_PATH: Final = "/api/v1/users/me"
_MOST_DIGITS: Final = 18
_IDS: Final = {"company_id": "company_id", "user_id": "id"}


@frozen(kw_only=True, eq=False)
class PipedriveUser(FrozenEquality):
    """The user who authorized the app.

    Attributes:
        company_id: The number of their company.
        user_id: Their own number.
        name: Their name, or None.
        company_name: The company's name, or None.
        data: All that the API says about them; hidden in `repr`.
    """

    company_id: int
    user_id: int
    name: str | None = None
    company_name: str | None = None
    data: Mapping[str, Any] = field(factory=dict[str, Any], repr=False)

    @property
    def account(self) -> str:
        """The usual name of their account, `company:user`, by which a notice finds it again."""
        return account_key(self.company_id, self.user_id)


def account_key(company_id: int, user_id: int) -> str:
    """Give the usual name of an account: a person can be in several companies.

    Args:
        company_id: The company's number.
        user_id: The user's number.

    Returns:
        Both with a colon between.
    """
    return f"{company_id}:{user_id}"


def fetch_current_user(
    token: Token,
    client: httpx.Client | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> PipedriveUser:
    """Fetch the user of a token from the API.

    Args:
        token: The token.
        client: Sends the request; None for a client of its own.
        clock: Gives the current time as an aware datetime.

    Returns:
        The user.

    Raises:
        RateLimitedError: Too many requests.
        ServerError: The API is unavailable.
        TokenRequestError: The API rejected the request for another reason, for example because the
            app lacks a scope.
        TransportError: No complete response arrived.
        InvalidResponseError: The response can't be used, or the token has no usable `api_domain`.
        ConfigurationError: `client` has a `base_url` that is not the token's, or the certificates
            that the environment names can't be read.
    """
    domain = _api_domain(token, client)
    tls = _no_certificates() if client is not None or _is_local(domain) else _certificates()
    with _api_client(domain, tls) as api:
        if client is not None:
            api.set_httpx_client(client)
        return _read_user(api.send(**_request(token)), read_clock(clock))


async def fetch_current_user_async(
    token: Token,
    client: httpx.AsyncClient | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> PipedriveUser:
    """Fetch the user of a token without blocking; see `fetch_current_user`.

    Args:
        token: The token.
        client: Sends the request; None for a client of its own.
        clock: Gives the current time as an aware datetime.

    Returns:
        The user.

    Raises:
        PipedriveOAuthError: As `fetch_current_user` says.
    """
    domain = _api_domain(token, client)
    if client is not None or _is_local(domain):
        tls = _no_certificates()
    elif _certificates.cache_info().currsize:
        tls = _certificates()
    else:
        from anyio import to_thread  # noqa: PLC0415 - httpx, too, imports it as late as this

        tls = await to_thread.run_sync(_certificates)
    async with _api_client(domain, tls) as api:
        if client is not None:
            api.set_async_httpx_client(client)
        return _read_user(await api.asend(**_request(token)), read_clock(clock))


def parse_id(value: object) -> int | None:
    """Read the number of a company or a user: a JSON integer above zero, or its digits."""
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        value = int(value) if len(value) <= _MOST_DIGITS else 0
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 < value < 10**_MOST_DIGITS else None


def _api_domain(token: Token, client: httpx.Client | httpx.AsyncClient | None) -> str:
    domain = token.api_domain or ""
    if api_origin(domain) is None:
        raise InvalidResponseError(
            "field 'api_domain' is missing or not an https address, so the user can't be fetched",
            field="api_domain",
        )
    if client is not None:
        require_same_base_url(client, domain)
    return domain


def _is_local(domain: str) -> bool:
    return domain.lower().startswith("http:")


def _api_client(domain: str, tls: ssl.SSLContext) -> Client:
    # The generated client has timeouts, a limit for response bodies, and errors without secrets. On
    # this machine a proxy has nothing to read.
    return Client(base_url=domain, httpx_args={"trust_env": not _is_local(domain), "verify": tls})


def _request(token: Token) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {token.access_token}", "Accept": "application/json"}
    return {"method": "GET", "path": ME_PATH, "headers": headers}


@cache
def _certificates() -> ssl.SSLContext:
    """Read the certificates to trust: for some ten milliseconds, which all the rest does not take.

    It blocks, so an event loop leaves it to a thread.
    """
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        cause = error
    problem = certificates_problem(cause)
    raise ConfigurationError(
        problem or f"Cannot read the certificates to trust ({type(cause).__name__})."
    ) from cause


def _no_certificates() -> ssl.SSLContext:
    """Make a context that trusts no server, where nothing is encrypted here."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _read_user(response: RawResponse, now: datetime) -> PipedriveUser:
    if response.status_code != 200:
        raise _error(response, now)
    try:
        data: Any = json.loads(response.content)["data"]
        ids = {name: parse_id(data[key]) for name, key in _IDS.items()}
    except (ValueError, LookupError, TypeError, RecursionError):
        ids = {}
        data = None
    for name, key in _IDS.items():
        if ids.get(name) is None:
            raise InvalidResponseError(
                f"{ME_PATH} does not say whose token it is (data.{key})",
                field=f"data.{key}",
                status_code=200,
                headers=response.headers,
            )
    return PipedriveUser(
        company_id=ids["company_id"] or 0,
        user_id=ids["user_id"] or 0,
        name=_text(data.get("name")),
        company_name=_text(data.get("company_name")),
        data=data,
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _error(response: RawResponse, now: datetime) -> PipedriveOAuthError:
    status = response.status_code
    if status < 400:
        return InvalidResponseError(
            f"{ME_PATH} expects status 200", status_code=status, headers=response.headers
        )
    kind, advice = TokenRequestError, "Does the app have the scope `base` in the Developer Hub?"
    if status == 429:
        kind, advice = RateLimitedError, "Wait before the next request."
    elif status >= 500:
        kind, advice = ServerError, "Try again later."
    return kind(
        f"Pipedrive's API rejected the request for the current user ({ME_PATH}, status {status})."
        f" {advice}",
        status_code=status,
        retry_after=read_retry_after(response.headers.get("Retry-After"), now),
    )
