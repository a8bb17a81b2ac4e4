"""Carrying a plan out, sync or async.

A plan is a generator. It yields the steps to take, is given what came of them, or their errors, and
returns the answer; it does no I/O, so that one plan serves all frameworks.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, Literal, TypeAlias, cast

import anyio
import anyio.to_thread
import httpx
from attrs import field, frozen

from pipedrive_oauth_client.errors import ConfigurationError, PipedriveOAuthError
from pipedrive_oauth_client.oauth import AsyncPipedriveOAuth, PipedriveOAuth
from pipedrive_oauth_client.stores.protocol import TokenStore
from pipedrive_oauth_client.users import fetch_current_user, fetch_current_user_async
from pipedrive_oauth_client.web.messages import Answer

__all__ = ["AsyncCarrier", "Carrier", "Plan", "Step", "carry", "carry_async", "is_asynchronous"]

# An event loop holds its tasks by weak references only.
_under_way: set[asyncio.Task[Answer]] = set()


@frozen
class Step:
    """Something to do.

    Attributes:
        name: What: `exchange` a code, `identify` the person of a token, `save` or `delete` at the
            store, read the `body`, or `call` a function of the app.
        arguments: What with; hidden in `repr`.
    """

    name: Literal["exchange", "identify", "save", "delete", "body", "call"]
    arguments: tuple[Any, ...] = field(repr=False)


Plan: TypeAlias = Generator[Step, Any, Answer]


@frozen
class Carrier:
    """Takes steps and blocks meanwhile.

    Attributes:
        oauth: The flow.
        store: Where tokens are kept.
        api_client: What asks the API, or None.
    """

    oauth: PipedriveOAuth
    store: TokenStore
    api_client: httpx.Client | None

    def take(self, step: Step) -> Any:
        """Take a step.

        Args:
            step: The step.

        Returns:
            What came of it.

        Raises:
            PipedriveOAuthError: It failed.
        """
        if step.name == "exchange":
            return self.oauth.exchange(*step.arguments)
        if step.name == "identify":
            (token,) = step.arguments
            return fetch_current_user(token, self.api_client, self.oauth.clock)
        if step.name in ("save", "delete"):
            return getattr(self.store, step.name)(*step.arguments)
        function, *arguments = step.arguments
        found = function(*arguments)
        if inspect.isawaitable(found):  # and true, whatever it would have said
            raise ConfigurationError(
                "A function of the app has returned something to be awaited, and must not be"
                " asynchronous here."
            )
        return found


@frozen
class AsyncCarrier:
    """Takes steps without blocking the event loop.

    Attributes:
        oauth: The flow.
        store: Where tokens are kept; it is called in worker threads, as are those functions of the
            app that are not asynchronous.
        api_client: What asks the API, or None.
        call_in_thread: Calls a function of the app with arguments in a worker thread.
    """

    oauth: AsyncPipedriveOAuth
    store: TokenStore
    api_client: httpx.AsyncClient | None
    call_in_thread: Callable[..., Awaitable[Any]] = anyio.to_thread.run_sync

    async def take(self, step: Step) -> Any:
        """Take a step.

        Args:
            step: The step.

        Returns:
            What came of it.

        Raises:
            PipedriveOAuthError: It failed.
        """
        if step.name == "exchange":
            return await self.oauth.exchange(*step.arguments)
        if step.name == "identify":
            (token,) = step.arguments
            return await fetch_current_user_async(token, self.api_client, self.oauth.clock)
        if step.name in ("save", "delete"):
            work = getattr(self.store, step.name)
            return await anyio.to_thread.run_sync(work, *step.arguments)
        function, *arguments = step.arguments
        if is_asynchronous(function):
            return await function(*arguments)
        found = await self.call_in_thread(function, *arguments)
        return await found if inspect.isawaitable(found) else found


def carry(plan: Plan, carrier: Carrier) -> Answer:
    """Carry a plan out.

    Args:
        plan: What to do.
        carrier: Who does it.

    Returns:
        The answer.

    Raises:
        Exception: What a function of the app has raised; it is the app's own.
    """

    async def take(step: Step) -> Any:
        return carrier.take(step)

    try:
        _carried(plan, take).send(None)  # nothing in it waits, so that this runs it to its end
    except StopIteration as end:
        return cast(Answer, end.value)
    raise AssertionError("A step that blocks has waited for something.")


async def carry_async(plan: Plan, carrier: AsyncCarrier) -> Answer:
    """Carry a plan out without blocking the event loop.

    Being cancelled does not stop it: a browser that is gone, for which some servers cancel, must
    not cost a token that the service has given and nobody has saved.

    Args:
        plan: What to do.
        carrier: Who does it.

    Returns:
        The answer.

    Raises:
        Exception: What a function of the app has raised; it is the app's own.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:  # it is trio's
        with anyio.CancelScope(shield=True):
            return await _carried(plan, carrier.take)
    task = asyncio.create_task(_carried(plan, carrier.take))
    _under_way.add(task)
    task.add_done_callback(_under_way.discard)
    return await asyncio.shield(task)


async def _carried(plan: Plan, take: Callable[[Step], Coroutine[Any, Any, Any]]) -> Answer:
    try:
        step = next(plan)
        while True:
            try:
                found = await take(step)
            except PipedriveOAuthError as error:
                if step.name == "call":
                    raise
                step = plan.throw(error)
            else:
                step = plan.send(found)
    except StopIteration as end:
        return cast(Answer, end.value)


def is_asynchronous(function: object) -> bool:
    """Tell whether calling a function gives something to be awaited.

    Args:
        function: A function, or an object that can be called.

    Returns:
        Whether it is asynchronous.
    """
    called = getattr(function, "__call__", None)  # noqa: B004 - for objects
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)
