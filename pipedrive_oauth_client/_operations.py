"""Runs operations: makes the requests of a plan, and turns error responses into errors.

A plan is a generator. It yields the calls to make, receives their responses or errors, and returns
the result. It does no I/O, so that one plan serves both the blocking and the asynchronous client.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Generator, Mapping
from datetime import datetime
from logging import DEBUG, getLogger
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeAlias, TypeVar
from urllib.parse import quote_plus

from pipedrive_oauth_client.errors import (
    InvalidClientError,
    InvalidGrantError,
    InvalidResponseError,
    PipedriveOAuthError,
    RateLimitedError,
    ServerError,
    TokenRequestError,
)
from pipedrive_oauth_client.generated import models
from pipedrive_oauth_client.generated.client import Client
from pipedrive_oauth_client.generated.decode import json_object
from pipedrive_oauth_client.generated.response import RawResponse, Response
from pipedrive_oauth_client.generated.types import Unset

if TYPE_CHECKING:
    from pipedrive_oauth_client.retry import RetryPolicy

# pytest shows the arguments of the last frame of an error, and here they are secrets.
__tracebackhide__ = True

__all__ = [
    "Call",
    "Operation",
    "Plan",
    "error_from_response",
    "is_error_body",
    "run",
    "run_async",
    "with_state_of_grant",
]

T = TypeVar("T")

_LOGGER: Final = getLogger("pipedrive_oauth_client")


class Endpoint(Protocol):
    """A generated endpoint module."""

    @property
    def sync_detailed(self) -> Callable[..., Response[Any]]: ...

    @property
    def asyncio_detailed(self) -> Callable[..., Any]: ...


class Call:
    """A call of a generated endpoint; its keyword arguments lack `client` only."""

    __slots__ = ("arguments", "endpoint")

    def __init__(self, endpoint: Endpoint, arguments: Mapping[str, object]) -> None:
        self.endpoint = endpoint
        self.arguments = arguments

    def __repr__(self) -> str:  # the arguments are secrets
        return f"{type(self).__name__}({self.endpoint!r})"


Plan: TypeAlias = Generator[Call, Response[Any], T]


class Operation(Generic[T]):
    """An operation of the service: its name in the log, and a new plan for each attempt.

    `repeatable` says that doing it twice does no harm.
    """

    __slots__ = ("name", "plan", "repeatable")

    def __init__(self, name: str, plan: Callable[[], Plan[T]], *, repeatable: bool = False) -> None:
        self.name = name
        self.plan = plan
        self.repeatable = repeatable

    def __repr__(self) -> str:  # the frame of a plan holds secrets
        return f"{type(self).__name__}(name={self.name!r}, repeatable={self.repeatable!r})"


def run(client: Client, operation: Operation[T], retry: RetryPolicy | None) -> T:
    """Run an operation; without a policy, in one attempt."""

    def attempt(number: int) -> T:
        plan = operation.plan()
        try:
            call = next(plan)
            while True:
                started = time.monotonic()
                try:
                    response = call.endpoint.sync_detailed(client=client, **call.arguments)
                except PipedriveOAuthError as error:
                    _log(operation.name, number, started, error)
                    call = plan.throw(error)
                else:
                    _log(operation.name, number, started, response)
                    call = plan.send(response)
        except StopIteration as end:
            result: T = end.value
            return result

    if retry is None:
        return attempt(1)
    return retry.run(operation.name, attempt, repeatable=operation.repeatable)


async def run_async(client: Client, operation: Operation[T], retry: RetryPolicy | None) -> T:
    """Do the same as `run` without blocking the event loop."""

    async def attempt(number: int) -> T:
        plan = operation.plan()
        try:
            call = next(plan)
            while True:
                started = time.monotonic()
                try:
                    response = await call.endpoint.asyncio_detailed(client=client, **call.arguments)
                except PipedriveOAuthError as error:
                    _log(operation.name, number, started, error)
                    call = plan.throw(error)
                else:
                    _log(operation.name, number, started, response)
                    call = plan.send(response)
        except StopIteration as end:
            result: T = end.value
            return result

    if retry is None:
        return await attempt(1)
    return await retry.run_async(operation.name, attempt, repeatable=operation.repeatable)


def _log(
    operation: str, attempt: int, started: float, outcome: Response[Any] | PipedriveOAuthError
) -> None:
    """Log operation, attempt, outcome and duration of a call, and nothing that was sent."""
    if not _LOGGER.isEnabledFor(DEBUG):
        return
    seconds = time.monotonic() - started
    if isinstance(outcome, PipedriveOAuthError):
        message = "%s, attempt %d: failed with %s after %.3f s"
        _LOGGER.debug(message, operation, attempt, type(outcome).__name__, seconds)
    else:
        message = "%s, attempt %d: response with status %d after %.3f s"
        _LOGGER.debug(message, operation, attempt, outcome.status_code, seconds)


# --- Error responses ---

_LONGEST_DESCRIPTION: Final = 300

# What each operation sends, in the words of a message.
_SENT: Final[dict[str, str]] = {
    "get_tokens": "the authorization code",
    "refresh_tokens": "the refresh token",
    "revoke_tokens": "the revocation",
}
# What the service may have done although its response can't be used.
_MAYBE_DONE: Final[dict[str, str]] = {
    "get_tokens": ", and the authorization code may be used up",
    "refresh_tokens": ", and the service may have replaced the refresh token",
    "revoke_tokens": "",
}
_BY_CODE: Final[dict[str, type[TokenRequestError]]] = {
    "invalid_grant": InvalidGrantError,
    "invalid_client": InvalidClientError,
}
_BY_MESSAGE: Final[dict[str, type[TokenRequestError]]] = {
    "invalid grant": InvalidGrantError,
    "invalid client": InvalidClientError,
}
_ADVICE: Final[dict[type[TokenRequestError], str]] = {
    InvalidGrantError: "The user has to authorize the app again.",
    InvalidClientError: "Check the client ID and the client secret in Pipedrive's Developer Hub.",
    RateLimitedError: "Wait before the next request.",
    ServerError: "Try again later.",
    TokenRequestError: "Check the request against Pipedrive's documentation.",
}
_CHECK_CALLBACK_URL: Final = "Compare it with the callback URL in Pipedrive's Developer Hub."


def error_from_response(
    operation: str, response: Response[object], *, now: datetime, secrets: Collection[str]
) -> TokenRequestError | InvalidResponseError:
    """Make the error of a response that is not the expected one.

    The error code of the body decides, then the message, then the status: Pipedrive documents a
    wrong client under status 400, and a gateway may turn any status into 200. `now` is when the
    response arrived, and `secrets` what was sent and must not appear in the message, neither as it
    is nor form-encoded.

    Source:
        RFC 6749, section 5.2; Pipedrive's page of OAuth status codes.
    """
    status = response.status_code
    if status < 400 and not is_error_body(response):
        problem = "it redirects elsewhere, and credentials are not sent there"
        if status < 300:
            problem = with_state_of_grant(f"{operation} expects status 200", operation)
        return InvalidResponseError(problem, status_code=status, headers=response.headers)
    from pipedrive_oauth_client.retry import read_retry_after  # noqa: PLC0415 - only after errors

    body = _error_body(response)
    code = _printable(body.error, secrets)
    description = _printable(body.error_description, secrets) or _printable(body.message, secrets)
    kind = _kind(status, body)
    advice = _ADVICE[kind]
    if kind is TokenRequestError and "redirect_uri" in (description or ""):
        advice = _CHECK_CALLBACK_URL
    verb = "could not process" if kind is ServerError else "rejected"
    what = "the client credentials" if kind is InvalidClientError else _SENT[operation]
    details = f"{status}, {code}" if code else f"{status}"
    reason = f": {description.rstrip('.')}" if description else ""
    return kind(
        f"Pipedrive {verb} {what} (status {details}){reason}. {advice}",
        status_code=status,
        error=code,
        description=description,
        retry_after=read_retry_after(response.headers.get("Retry-After"), now),
    )


def is_error_body(response: Response[object]) -> bool:
    """Tell whether a response with status 200 is an error response all the same."""
    if response.status_code != 200:
        return False
    fields = _fields_of(response)
    code = _printable(_text(fields, "error"), ())
    message = _printable(_text(fields, "message"), ())
    return code is not None or (fields.get("success") is False and message is not None)


def _error_body(response: Response[object]) -> models.OAuthErrorResponse:
    """Give what says something in an error response, also where the spec describes another body."""
    if isinstance(response.parsed, models.OAuthErrorResponse):
        return response.parsed
    fields = _fields_of(response)
    return models.OAuthErrorResponse(
        error=_text(fields, "error"),
        error_description=_text(fields, "error_description"),
        message=_text(fields, "message"),
    )


def _fields_of(response: Response[object]) -> dict[str, Any]:
    raw = RawResponse(response.status_code, response.headers, response.content)
    return json_object(raw) or {}


def _text(fields: Mapping[str, Any], name: str) -> str | None:
    value = fields.get(name)
    return value if isinstance(value, str) else None


def with_state_of_grant(problem: str, operation: str) -> str:
    """Add to the problem of a successful response what it may have changed at the service."""
    return problem + _MAYBE_DONE[operation]


def _kind(status: int, body: models.OAuthErrorResponse) -> type[TokenRequestError]:
    # Without hiding secrets: a code or a token may be so short that it occurs within a word.
    code = _printable(body.error, ())
    description = _printable(body.error_description, ()) or _printable(body.message, ())
    if code in _BY_CODE:
        return _BY_CODE[code]
    for beginning, kind in _BY_MESSAGE.items():
        if code is None and description and description.lower().startswith(beginning):
            return kind
    if status == 401:
        return InvalidClientError
    if status == 429:
        return RateLimitedError
    return ServerError if status >= 500 else TokenRequestError


def _printable(text: str | Unset | None, secrets: Collection[str]) -> str | None:
    """Make a server's text fit for a message: no secret, no control character, not too long."""
    if text is None or isinstance(text, Unset):
        return None
    for secret in sorted({*secrets, *map(quote_plus, secrets)}, key=len, reverse=True):
        # Percent-encoding may be in lower case.
        text = re.sub(re.escape(secret), "<hidden>", text, flags=re.IGNORECASE)
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:_LONGEST_DESCRIPTION] or None
