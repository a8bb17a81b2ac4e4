"""Waiting in an event loop for what a thread brings, without a thread that waits."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

__all__ = ["until_done"]

T = TypeVar("T")


async def until_done(future: Future[Any]) -> None:
    """Wait until a future is done, in asyncio or trio.

    Cancelling the wait leaves the future alone.

    Args:
        future: What to wait for.
    """
    from anyio import Event  # noqa: PLC0415 - httpx, too, loads it as late as this

    done = Event()
    soon = _call_soon()

    def wake(_future: Future[Any]) -> None:
        # The loop may have ended while the thread was at work; then nobody waits any more.
        with suppress(RuntimeError):
            soon(done.set)

    future.add_done_callback(wake)
    await done.wait()


def _call_soon() -> Callable[[Callable[[], object]], object]:
    """Give what a thread calls to have the running event loop do something."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None:
        with suppress(RuntimeError):
            call: Callable[[Callable[[], object]], object] = (
                asyncio.get_running_loop().call_soon_threadsafe
            )
            return call
    from anyio.lowlevel import current_token  # noqa: PLC0415 - only trio gets here

    token: Any = current_token()
    native: Any = getattr(token, "native_token", token)
    soon: Callable[[Callable[[], object]], object] = native.run_sync_soon
    return soon
