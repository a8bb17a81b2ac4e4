"""Running the plan of a response, sync or async.

A plan is a generator. It yields steps, receives their results or errors, and returns the response;
it does no I/O, so that one plan serves all frameworks.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, Literal, TypeAlias, TypeVar, cast

import anyio
import anyio.to_thread
import httpx
from attrs import field, frozen

from pipedrive_oauth_client.errors import ConfigurationError, PipedriveOAuthError
from pipedrive_oauth_client.oauth import AsyncPipedriveOAuth, PipedriveOAuth
from pipedrive_oauth_client.stores.protocol import TokenStore
from pipedrive_oauth_client.tokens import Token
from pipedrive_oauth_client.users import (
    PipedriveUser,
    fetch_current_user,
    fetch_current_user_async,
)
from pipedrive_oauth_client.web.messages import WebResponse

__all__ = [
    "AsyncStepRunner",
    "Plan",
    "Step",
    "StepRunner",
    "identification_client",
    "is_asynchronous",
    "run_plan",
    "run_plan_async",
]

# An event loop holds its tasks by weak references only.
_under_way: set[asyncio.Task[WebResponse]] = set()


@frozen(eq=False)
class Step:
    """Something to do."""

    name: Literal["exchange", "identify", "load", "save", "delete", "body", "call"]
    arguments: tuple[Any, ...] = field(repr=False)


Plan: TypeAlias = Generator[Step, Any, WebResponse]


_ClientT = TypeVar("_ClientT", bound=httpx.Client | httpx.AsyncClient)


def identification_client(
    api_client: _ClientT | None, own_client: _ClientT | None
) -> _ClientT | None:
    """Choose what fetches the token's user: `api_client`, else the flow's own client."""
    if api_client is not None or own_client is None:
        return api_client
    if str(own_client.base_url):
        raise ConfigurationError(
            "The flow's client has a base_url, so it can't fetch the token's user, whose API is at"
            " another address. Pass a client without base_url, or another one as api_client."
        )
    return own_client


@frozen
class StepRunner:
    """Takes steps and blocks meanwhile."""

    oauth: PipedriveOAuth
    store: TokenStore
    api_client: httpx.Client | None

    def run_step(self, step: Step) -> Any:
        """Take a step."""
        if step.name == "exchange":
            return self.oauth.exchange(*step.arguments)
        if step.name == "identify":
            (token,) = step.arguments
            return fetch_current_user(token, self.api_client, self.oauth.clock)
        if step.name in ("load", "save", "delete"):
            return getattr(self.store, step.name)(*step.arguments)
        function, *arguments = step.arguments
        found = function(*arguments)
        if inspect.isawaitable(found):  # and true, whatever it would have said
            raise ConfigurationError(
                "A function of the app has returned an awaitable, and must not be asynchronous"
                " here."
            )
        return found


@frozen
class AsyncStepRunner:
    """Takes steps without blocking the event loop: what blocks runs in a worker thread."""

    oauth: AsyncPipedriveOAuth | PipedriveOAuth
    store: TokenStore
    api_client: httpx.AsyncClient | httpx.Client | None
    call_in_thread: Callable[..., Awaitable[Any]] = anyio.to_thread.run_sync

    async def run_step(self, step: Step) -> Any:
        """Take a step."""
        if step.name == "exchange":
            if isinstance(self.oauth, PipedriveOAuth):
                return await anyio.to_thread.run_sync(self.oauth.exchange, *step.arguments)
            return await self.oauth.exchange(*step.arguments)
        if step.name == "identify":
            return await self._identify(*step.arguments)
        if step.name in ("load", "save", "delete"):
            work = getattr(self.store, step.name)
            return await anyio.to_thread.run_sync(work, *step.arguments)
        function, *arguments = step.arguments
        if is_asynchronous(function):
            return await function(*arguments)
        found = await self.call_in_thread(function, *arguments)
        return await found if inspect.isawaitable(found) else found

    async def _identify(self, token: Token) -> PipedriveUser:
        client, clock = self.api_client, self.oauth.clock
        if isinstance(client, httpx.Client):
            return await anyio.to_thread.run_sync(fetch_current_user, token, client, clock)
        return await fetch_current_user_async(token, client, clock)


def run_plan(plan: Plan, runner: StepRunner) -> WebResponse:
    """Carry a plan out."""

    async def run_step(step: Step) -> Any:
        return runner.run_step(step)

    try:
        _run(plan, run_step).send(None)  # nothing in it waits, so that this runs it to its end
    except StopIteration as end:
        return cast(WebResponse, end.value)
    raise AssertionError("A step that blocks has waited for something.")


async def run_plan_async(plan: Plan, runner: AsyncStepRunner) -> WebResponse:
    """Carry a plan out without blocking the event loop.

    Cancellation does not stop it: some servers cancel the request of a browser that went away,
    and a token that the service has issued must still be saved.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:  # it is trio's
        with anyio.CancelScope(shield=True):
            return await _run(plan, runner.run_step)
    task = asyncio.create_task(_run(plan, runner.run_step))
    _under_way.add(task)
    task.add_done_callback(_under_way.discard)
    return await asyncio.shield(task)


async def _run(plan: Plan, run_step: Callable[[Step], Coroutine[Any, Any, Any]]) -> WebResponse:
    try:
        step = next(plan)
        while True:
            try:
                found = await run_step(step)
            except PipedriveOAuthError as error:
                if step.name == "call":
                    raise
                step = plan.throw(error)
            else:
                step = plan.send(found)
    except StopIteration as end:
        return cast(WebResponse, end.value)


def is_asynchronous(function: object) -> bool:
    """Tell whether calling a function gives something to be awaited."""
    called = getattr(function, "__call__", None)  # noqa: B004 - for objects
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)
