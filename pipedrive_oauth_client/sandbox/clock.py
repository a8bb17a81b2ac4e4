"""The sandbox's time: the machine's clock, or one that a test controls."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from pipedrive_oauth_client.errors import ConfigurationError

Now: TypeAlias = Callable[[], datetime]

_START = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


def utc_now() -> datetime:
    """Return the machine's current time, which a sandbox uses by default."""
    return datetime.now(UTC)


class Clock:
    """A clock that moves only when `advance` is called; pass it to `create_app` as `clock`.

    Args:
        start: The time that it shows first, an aware UTC datetime; noon of 1 January 2026 by
            default.

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
        """Move the clock forward and return the new time.

        Args:
            span: How far, zero or more: expired codes and tokens do not become valid again.

        Raises:
            ConfigurationError: The span is negative.
        """
        if span < timedelta(0):
            raise ConfigurationError("A clock moves only forward; pass a span of zero or more.")
        with self._lock:
            self._now += span
            return self._now

    def __repr__(self) -> str:
        return f"<Clock at {self.now().isoformat()}>"
