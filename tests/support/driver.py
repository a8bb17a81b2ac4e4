"""One way to call an endpoint, whether it blocks or runs in an event loop of either kind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import Final, TypeAlias, TypeVar

import trio

from pipedrive_oauth_client import Client, GetTokensResponse, OAuthErrorResponse, Response

T = TypeVar("T")

Parsed: TypeAlias = GetTokensResponse | OAuthErrorResponse | None

MODES: Final = ("sync", "asyncio", "trio")
ASYNC_MODES: Final = ("asyncio", "trio")


def run(mode: str, main: Callable[[], Awaitable[T]]) -> T:
    """Run a coroutine function in a new event loop."""
    if mode == "trio":
        return trio.run(main)

    async def coroutine() -> T:
        return await main()

    return asyncio.run(coroutine())


def call(
    mode: str, operation: ModuleType, *, client: Client, **arguments: object
) -> Response[Parsed]:
    """Call an endpoint's `sync_detailed` or `asyncio_detailed`, then close the connections."""
    return calls(mode, operation, client=client, count=1, **arguments)[0]


def calls(
    mode: str, operation: ModuleType, *, client: Client, count: int, **arguments: object
) -> list[Response[Parsed]]:
    """Call an endpoint several times within one event loop, then close the connections."""
    if mode == "sync":
        blocking: Callable[..., Response[Parsed]] = operation.sync_detailed
        with client:
            return [blocking(client=client, **arguments) for _ in range(count)]

    waiting: Callable[..., Awaitable[Response[Parsed]]] = operation.asyncio_detailed

    async def main() -> list[Response[Parsed]]:
        async with client:
            return [await waiting(client=client, **arguments) for _ in range(count)]

    return run(mode, main)


def call_short(mode: str, operation: ModuleType, *, client: Client, **arguments: object) -> Parsed:
    """Call an endpoint's `sync` or `asyncio`, which give what was read and nothing else."""
    if mode == "sync":
        blocking: Callable[..., Parsed] = operation.sync
        with client:
            return blocking(client=client, **arguments)

    waiting: Callable[..., Awaitable[Parsed]] = operation.asyncio

    async def main() -> Parsed:
        async with client:
            return await waiting(client=client, **arguments)

    return run(mode, main)
