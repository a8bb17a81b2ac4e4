"""The time as the sandbox is told it: by the machine, or by a clock that a test moves."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from pipedrive_oauth_client.errors import ConfigurationError

Now: TypeAlias = Callable[[], datetime]

_START = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


def utc_now() -> datetime:
    """Return the time now: the clock that a sandbox has unless it is given another one."""
    return datetime.now(UTC)


class Clock:
    """A clock that stands still until it is moved on; give it to `create_app` as `clock`.

    Args:
        start: What it shows first, as an aware UTC datetime; noon of 1 January 2026 unless given.

    Raises:
        ConfigurationError: The start is not an aware UTC datetime.
    """

    def __init__(self, start: datetime = _START) -> None:
        if start.utcoffset() != timedelta(0):
            raise ConfigurationError("start must be an aware UTC datetime.")
        self._lock = threading.Lock()
        self._now = start

    def now(self) -> datetime:
        """Return the time that the clock shows."""
        with self._lock:
            return self._now

    def __call__(self) -> datetime:
        """Return the time that the clock shows, as `now` does."""
        return self.now()

    def advance(self, span: timedelta) -> datetime:
        """Move the clock on and return what it shows then.

        Args:
            span: How far; not less than nothing, as expired things do not come back.

        Raises:
            ConfigurationError: The span is negative.
        """
        if span < timedelta(0):
            raise ConfigurationError("A clock moves on, not back; give a span from zero.")
        with self._lock:
            self._now += span
            return self._now

    def __repr__(self) -> str:
        return f"<Clock at {self.now().isoformat()}>"
