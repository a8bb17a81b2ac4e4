"""Whose account a token is for: what the API says about it, and the name that it is kept under.

Source:
    https://developers.pipedrive.com/docs/api/v1/Users#getCurrentUser
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from attrs import field, frozen

from pipedrive_oauth_client.errors import (
    InvalidResponseError,
    PipedriveOAuthError,
    RateLimitedError,
    ServerError,
    TokenRequestError,
)
from pipedrive_oauth_client.generated.response import RawResponse
from pipedrive_oauth_client.retry_after import read_retry_after

__all__ = ["ME_PATH", "PipedriveUser", "account_key", "read_user", "whole_number"]

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


def read_user(answer: RawResponse, *, now: datetime) -> PipedriveUser:
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


def _refusal(answer: RawResponse, now: datetime) -> PipedriveOAuthError:
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
