"""Work in forked children."""

from __future__ import annotations

import os
import signal
import threading
import traceback
import warnings
from collections.abc import Callable, Sequence

from tests.support.time_limits import ended_child

__all__ = ["in_child", "in_children"]

_SECONDS = 60


def in_child(work: Callable[[], str]) -> str:
    """Fork, work in the child, and give what the work returned.

    Args:
        work: What to do; an error in it is the caller's.

    Returns:
        What it gave.
    """
    return in_children([work])[0]


def in_children(works: Sequence[Callable[[], str]]) -> list[str]:
    """Fork once for each of several works, which begin at the same time.

    Args:
        works: What to do; an error in one is the caller's.

    Returns:
        What each gave.
    """
    ready, go = os.pipe()
    children: list[tuple[int, int]] = []
    for work in works:
        reading, writing = os.pipe()
        with warnings.catch_warnings():
            # That other threads run, as they may in an app's process that forks.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            os.close(go)
            os.read(ready, 1)  # until the parent closes its end
            _work(work, writing)
        os.close(writing)
        children.append((child, reading))
    os.close(go)
    os.close(ready)
    timers = [threading.Timer(_SECONDS, os.kill, (child, signal.SIGKILL)) for child, _ in children]
    for timer in timers:
        timer.start()
    try:
        ends = [_ended(child, reading) for child, reading in children]
    finally:
        for timer in timers:
            timer.cancel()
            timer.join()
    for status, text in ends:
        assert status == 0, f"a child failed ({status}): {text}"
    return [text for _, text in ends]


def _work(work: Callable[[], str], writing: int) -> None:
    # Nothing of the test run may end twice: not its clean-up, not its report.
    status, text = 1, ""
    try:
        text = work()
        status = 0
    except BaseException:  # noqa: BLE001 - the parent is told
        text = traceback.format_exc()
    finally:
        os.write(writing, text.encode()[:60_000])
        os._exit(status)


def _ended(child: int, reading: int) -> tuple[int, str]:
    with os.fdopen(reading, "rb") as pipe:
        text = pipe.read().decode()
    return ended_child(child, _SECONDS), text
