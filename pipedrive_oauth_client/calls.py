"""Making the calls of a plan: what is sync or async, timed and logged, and nothing else.

A plan is a generator. It yields the calls to make, is given their answers or their errors, and
returns the result; it does no I/O, so that one plan serves both kinds of client.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from logging import DEBUG, NullHandler, getLogger
from typing import Any, Final, Protocol, TypeAlias, TypeVar

from attrs import field, frozen

from pipedrive_oauth_client.errors import PipedriveOAuthError
from pipedrive_oauth_client.generated.client import Client
from pipedrive_oauth_client.generated.response import Response
from pipedrive_oauth_client.retries import RetryPolicy

__all__ = ["Call", "Operation", "Plan", "make", "make_async"]

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
