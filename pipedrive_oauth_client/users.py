"""Asking the API whose token it is, sync and async."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from typing import Any, Final

import httpx
from attrs import field, frozen

from pipedrive_oauth_client._checks import read_clock
from pipedrive_oauth_client._origins import api_origin, refuse_other_base_url
from pipedrive_oauth_client.errors import (
    CorruptTokenError,
    InvalidResponseError,
    PipedriveOAuthError,
    RateLimitedError,
    ServerError,
    TokenRequestError,
)
from pipedrive_oauth_client.generated.answer import RawAnswer
from pipedrive_oauth_client.generated.client import Client
from pipedrive_oauth_client.retry import read_retry_after
from pipedrive_oauth_client.tokens import Token

__all__ = [
    "ME_PATH",
    "PipedriveUser",
    "account_key",
    "ask",
    "ask_async",
    "read_user",
    "whole_number",
]

ME_PATH: Final = "/api/v1/users/me"
_MOST_DIGITS: Final = 18


@frozen(kw_only=True)
class PipedriveUser:
    """The person who let the app in.

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
    """Give the usual name of an account.

    Args:
        company_id: The company's number.
        user_id: The user's number.

    Returns:
        Both with a colon between: a person can be in several companies.
    """
    return f"{company_id}:{user_id}"


def read_user(answer: RawAnswer, *, now: datetime) -> PipedriveUser:
    """Read what the API answers.

    Args:
        answer: The answer.
        now: When it arrived, aware.

    Returns:
        The person.

    Raises:
        RateLimitedError: Too many requests.
        ServerError: The API is out of order.
        TokenRequestError: The API refuses for another reason, for example since the app lacks a
            scope.
        InvalidResponseError: The answer can't be used.
    """
    if answer.status_code != 200:
        raise _refusal(answer, now)
    try:
        data: Any = json.loads(answer.content)["data"]
        found = {name: whole_number(data[key]) for name, key in _NUMBERS.items()}
    except (ValueError, LookupError, TypeError, RecursionError):
        found = {}
        data = None
    for name, key in _NUMBERS.items():
        if found.get(name) is None:
            raise InvalidResponseError(
                f"{ME_PATH} does not say whose token it is (data.{key})",
                field=f"data.{key}",
                status_code=200,
                headers=answer.headers,
            )
    return PipedriveUser(
        company_id=found["company_id"] or 0,
        user_id=found["user_id"] or 0,
        name=_text(data.get("name")),
        company_name=_text(data.get("company_name")),
        data=data,
    )


def whole_number(value: object) -> int | None:
    """Read a number of a company or a user.

    Args:
        value: What JSON has: a whole number, or its digits as a string.

    Returns:
        The number, above zero; None if it is something else.
    """
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        value = int(value) if len(value) <= _MOST_DIGITS else 0
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 < value < 10**_MOST_DIGITS else None


_NUMBERS: Final = {"company_id": "company_id", "user_id": "id"}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _refusal(answer: RawAnswer, now: datetime) -> PipedriveOAuthError:
    status = answer.status_code
    if status < 400:
        return InvalidResponseError(
            f"{ME_PATH} is answered with another status than 200",
            status_code=status,
            headers=answer.headers,
        )
    kind, advice = TokenRequestError, "Does the app have the scope `base` in the Developer Hub?"
    if status == 429:
        kind, advice = RateLimitedError, "Wait before the next request."
    elif status >= 500:
        kind, advice = ServerError, "Try again later."
    return kind(
        f"{ME_PATH} was refused with status {status}, so that nobody knows whose token it is."
        f" {advice}",
        status_code=status,
        retry_after=read_retry_after(answer.headers.get("Retry-After"), now),
    )


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
        return read_user(api.send(**_request(token)), now=read_clock(clock))


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
        return read_user(await api.asend(**_request(token)), now=read_clock(clock))


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
