"""Making the calls of a plan: what is sync or async, timed and logged, and nothing else.

A plan is a generator. It yields the calls to make, is given their answers or their errors, and
returns the result; it does no I/O, so that one plan serves both kinds of client.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Generator, Mapping
from datetime import datetime
from logging import DEBUG, NullHandler, getLogger
from typing import Any, Final, Protocol, TypeAlias, TypeVar
from urllib.parse import quote_plus

from attrs import field, frozen

from pipedrive_oauth_client.errors import (
    InvalidClientError,
    InvalidGrantError,
    InvalidResponseError,
    PipedriveOAuthError,
    RateLimitedError,
    ServerError,
    TokenRequestError,
)
from pipedrive_oauth_client.generated.answer import Response
from pipedrive_oauth_client.generated.client import Client
from pipedrive_oauth_client.generated.models import OAuthErrorResponse
from pipedrive_oauth_client.generated.types import Unset
from pipedrive_oauth_client.retry import RetryPolicy, read_retry_after

__all__ = ["Call", "Operation", "Plan", "make", "make_async", "refusal"]

_LONGEST_DESCRIPTION: Final = 300

_BY_CODE: Final[dict[str, type[TokenRequestError]]] = {
    "invalid_grant": InvalidGrantError,
    "invalid_client": InvalidClientError,
}
_BY_MESSAGE: Final[dict[str, type[TokenRequestError]]] = {
    "invalid grant": InvalidGrantError,
    "invalid client": InvalidClientError,
}
_ADVICE: Final[dict[type[TokenRequestError], str]] = {
    InvalidGrantError: "The person has to authorize the app again.",
    InvalidClientError: "Check the client ID and the client secret in Pipedrive's Developer Hub.",
    RateLimitedError: "Wait before the next request.",
    ServerError: "Try again later.",
    TokenRequestError: "Check the request against Pipedrive's documentation.",
}


def refusal(
    operation: str, response: Response[object], *, now: datetime, secrets: Collection[str]
) -> TokenRequestError | InvalidResponseError:
    """Make the error of an answer that is not the one that was asked for.

    The error code of the body decides, then the message, then the status: Pipedrive documents a
    wrong client under status 400.

    Args:
        operation: The name of the operation, for the message.
        response: The answer.
        now: When the answer arrived, aware; a date in `Retry-After` is counted from it.
        secrets: What was sent and must not come back in the message, neither as it is nor as a form
            spells it.

    Returns:
        The error, not raised yet.

    Source:
        RFC 6749, section 5.2; Pipedrive's page of OAuth status codes.
    """
    status = response.status_code
    if status < 400:
        problem = "it redirects to another place, and credentials are not sent there"
        if status < 300:
            problem = f"{operation} is answered with another status than 200"
        return InvalidResponseError(problem, status_code=status, headers=response.headers)
    body = (
        response.parsed if isinstance(response.parsed, OAuthErrorResponse) else OAuthErrorResponse()
    )
    code = _shown(body.error, secrets)
    description = _shown(body.error_description, secrets) or _shown(body.message, secrets)
    kind = _kind(status, body)
    words = f" {description.rstrip('.')}." if description else ""
    return kind(
        f"{operation} was refused with status {status}{f' ({code})' if code else ''}.{words}"
        f" {_ADVICE[kind]}",
        status_code=status,
        error=code,
        description=description,
        retry_after=read_retry_after(response.headers.get("Retry-After"), now),
    )


def _kind(status: int, body: OAuthErrorResponse) -> type[TokenRequestError]:
    # With nothing hidden: a code or a token may be short enough to stand in the middle of a word.
    code = _shown(body.error, ())
    description = _shown(body.error_description, ()) or _shown(body.message, ())
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


def _shown(text: str | Unset | None, secrets: Collection[str]) -> str | None:
    """Make what a server wrote fit to be shown: no secret, no control character, not too long."""
    if text is None or isinstance(text, Unset):
        return None
    for secret in sorted({*secrets, *map(quote_plus, secrets)}, key=len, reverse=True):
        # Percent-encoding may be in lower case.
        text = re.sub(re.escape(secret), "<hidden>", text, flags=re.IGNORECASE)
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:_LONGEST_DESCRIPTION] or None


T = TypeVar("T")

_LOGGER: Final = getLogger("pipedrive_oauth_client")
# A program that configures no logging gets no warnings of ours on its terminal.
_LOGGER.addHandler(NullHandler())


class Endpoint(Protocol):
    """A generated endpoint module."""

    @property
    def sync_detailed(self) -> Callable[..., Response[Any]]: ...

    @property
    def asyncio_detailed(self) -> Callable[..., Any]: ...


@frozen(eq=False)
class Call:
    """A call of a generated endpoint function.

    Attributes:
        endpoint: The endpoint's module.
        arguments: The keyword arguments but `client`; hidden in `repr`.
    """

    endpoint: Endpoint
    arguments: Mapping[str, object] = field(repr=False)


Plan: TypeAlias = Generator[Call, Response[Any], T]


@frozen(eq=False)
class Operation:
    """Something to do, as often as it takes.

    Attributes:
        name: What it is called in the log.
        plan: Makes the plan anew for every attempt.
        repeatable: Whether doing it twice does no harm.
    """

    name: str
    plan: Callable[[], Plan[Any]] = field(repr=False)
    repeatable: bool = False


def make(client: Client, operation: Operation, retry: RetryPolicy | None) -> Any:
    """Carry out an operation.

    Args:
        client: Carries the calls.
        operation: What to do.
        retry: When to try again; None for one attempt.

    Returns:
        What the plan returned.

    Raises:
        PipedriveOAuthError: It failed.
    """

    def attempt(number: int) -> Any:
        plan = operation.plan()
        log = _Log(operation.name, number)
        try:
            call = next(plan)
            while True:
                log.start()
                try:
                    answer = call.endpoint.sync_detailed(client=client, **call.arguments)
                except PipedriveOAuthError as error:
                    log.failure(error)
                    call = plan.throw(error)
                else:
                    log.answer(answer)
                    call = plan.send(answer)
        except StopIteration as end:
            return end.value

    if retry is None:
        return attempt(1)
    return retry.run(operation.name, attempt, repeatable=operation.repeatable)


async def make_async(client: Client, operation: Operation, retry: RetryPolicy | None) -> Any:
    """Carry out an operation without blocking the event loop.

    Args:
        client: Carries the calls.
        operation: What to do.
        retry: When to try again; None for one attempt.

    Returns:
        What the plan returned.

    Raises:
        PipedriveOAuthError: It failed.
    """

    async def attempt(number: int) -> Any:
        plan = operation.plan()
        log = _Log(operation.name, number)
        try:
            call = next(plan)
            while True:
                log.start()
                try:
                    answer = await call.endpoint.asyncio_detailed(client=client, **call.arguments)
                except PipedriveOAuthError as error:
                    log.failure(error)
                    call = plan.throw(error)
                else:
                    log.answer(answer)
                    call = plan.send(answer)
        except StopIteration as end:
            return end.value

    if retry is None:
        return await attempt(1)
    return await retry.run_async(operation.name, attempt, repeatable=operation.repeatable)


class _Log:
    """Writes one record per call: operation, attempt, outcome, duration; nothing that was sent."""

    def __init__(self, operation: str, attempt: int) -> None:
        self._operation = operation
        self._attempt = attempt
        self._started = 0.0

    def start(self) -> None:
        self._started = time.monotonic()

    def answer(self, answer: Response[Any]) -> None:
        self._write("answered with status %d", answer.status_code)

    def failure(self, error: PipedriveOAuthError) -> None:
        self._write("failed with %s", type(error).__name__)

    def _write(self, outcome: str, detail: object) -> None:
        if not _LOGGER.isEnabledFor(DEBUG):
            return
        seconds = time.monotonic() - self._started
        _LOGGER.debug(
            f"%s, attempt %d: {outcome} after %.3f s",  # noqa: G004 - one of two fixed texts
            self._operation,
            self._attempt,
            detail,
            seconds,
        )
