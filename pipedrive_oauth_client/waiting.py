"""Waiting in an event loop for what a thread brings, without a thread that waits."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from attrs import define, field

if TYPE_CHECKING:
    from anyio import Event

__all__ = ["until_done"]


@define(eq=False)
class _Waits:
    """One event for all who wait in the same loop.

    The thread then wakes each loop once, however many tasks of it are waiting.
    """

    guard: threading.Lock = field(factory=threading.Lock)
    events: WeakKeyDictionary[Future[Any], dict[object, Event]] = field(
        factory=WeakKeyDictionary[Future[Any], "dict[object, Event]"]
    )

    def forget(self) -> None:
        # After a fork: whoever held the guard has stayed in the parent.
        self.guard, self.events = threading.Lock(), WeakKeyDictionary()


_waits: Final = _Waits()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_waits.forget)


async def until_done(future: Future[Any]) -> None:
    """Wait until a future is done, in asyncio or trio.

    Cancelling the wait leaves the future alone.

    Args:
        future: What to wait for.
    """
    from anyio import Event  # noqa: PLC0415 - httpx, too, loads it as late as this

    loop, soon = _running_loop()
    with _waits.guard:
        events = _waits.events.setdefault(future, {})
        done = events.get(loop)
        is_first = done is None
        if done is None:
            done = events[loop] = Event()
    if is_first:
        happened = done.set

        def wake(_future: Future[Any]) -> None:
            # The loop may have ended while the thread was at work; then nobody waits any more.
            with suppress(RuntimeError):
                soon(happened)

        future.add_done_callback(wake)
    await done.wait()


def _running_loop() -> tuple[object, Callable[[Callable[[], object]], object]]:
    """Give the running event loop, and what a thread calls to have it do something."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None:
        with suppress(RuntimeError):
            loop: Any = asyncio.get_running_loop()
            return loop, loop.call_soon_threadsafe
    from anyio.lowlevel import current_token  # noqa: PLC0415 - only trio gets here

    token: Any = current_token()
    native: Any = getattr(token, "native_token", token)
    return native, native.run_sync_soon
