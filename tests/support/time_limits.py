"""No test waits without a bound: what ends one that hangs, and waits that end by themselves.

pytest-timeout fails a test at its limit by an exception in the main thread, so that fixtures clean
up, child processes are ended and the other tests go on. That can't end a test whose clean-up waits
for a thread that hangs, or one that waits inside a library written in C. For these, a watchdog of
the interpreter prints where every thread stands and ends the process a little later; with `-n`,
xdist names the test and starts another process for those that are left.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import subprocess
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

__all__ = ["ended_child", "hard_end", "killed_after", "read_fifo"]

# How long the threads that the tests left may keep the interpreter from exiting.
_EXIT_SECONDS: Final = 60
_CHILD_SECONDS: Final = 60
_terminal: int = 2


def hard_end(limit: float) -> float:
    """Give how many seconds after its begin a test is ended that does not fail at its limit."""
    # It needs some to clean up, and to report where it stood.
    return limit + max(10, limit / 5)


def pytest_configure() -> None:
    """Remember where standard error goes while no test captures it."""
    global _terminal  # noqa: PLW0603 - one for each process
    _terminal = os.dup(2)


@pytest.hookimpl(wrapper=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> Generator[None, object, object]:
    """Start the watchdog with the test's timer."""
    plugin: Any = item.config.pluginmanager.getplugin("timeout")
    if not plugin.is_debugging():
        faulthandler.dump_traceback_later(hard_end(settings.timeout), exit=True, file=_terminal)
    return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """Stop the watchdog after the test's clean-up; pytest-timeout stops at the first failure."""
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


def pytest_enter_pdb() -> None:
    """Leave a person who debugs alone."""
    faulthandler.cancel_dump_traceback_later()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Bound the wait for threads that a test has left behind."""
    if hasattr(config, "workerinput"):
        return  # xdist's controller ends its workers, and they wait for the slowest of them
    faulthandler.dump_traceback_later(_EXIT_SECONDS, exit=True, file=_terminal)


def read_fifo(path: Path, seconds: float = 60) -> str:
    """Read what another process writes to a named pipe until it closes it."""
    end = time.monotonic() + seconds
    text = b""
    # Opening one blocks until there is a writer, unless it is told not to.
    pipe = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        while time.monotonic() < end:
            try:
                part = os.read(pipe, 65_536)
            except BlockingIOError:  # a writer that has not written yet
                part = None
            if part == b"" and text:
                return text.decode()
            text += part or b""
            if not part:
                time.sleep(0.005)
    finally:
        os.close(pipe)
    raise AssertionError(f"{path} was not written in {seconds} seconds, but for {text!r}")


def ended_child(child: int, seconds: float = _CHILD_SECONDS) -> int:
    """Wait for a forked child, and give its status; it is killed if it does not end."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    raise AssertionError(f"a child did not end in {seconds} seconds")


@contextmanager
def killed_after(
    process: subprocess.Popen[Any], seconds: float = _CHILD_SECONDS
) -> Generator[None]:
    """Kill a process that is still there after a time, so that reading what it prints ends."""
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
