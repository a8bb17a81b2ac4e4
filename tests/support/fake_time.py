"""Time that passes only where somebody waits, or where a test says so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pipedrive_oauth_client import RetryPolicy
from tests.support.untyped import untyped


class FakeTime:
    """A clock, and waits that move it and take no time.

    Attributes:
        now: What the clock shows.
        waits: How long each wait was, in seconds.
    """

    def __init__(self, now: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)) -> None:
        self.now = now
        self.waits: list[float] = []

    def clock(self) -> datetime:
        """Give the time."""
        return self.now

    def monotonic(self) -> float:
        """Give the time as seconds of a clock that never goes back."""
        return self.now.timestamp()

    def move(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)

    def sleep(self, seconds: float) -> None:
        """Wait."""
        self.waits.append(seconds)
        self.move(seconds)

    async def async_sleep(self, seconds: float) -> None:
        """Wait in async code."""
        self.sleep(seconds)

    def policy(self, **changes: object) -> RetryPolicy:
        """Make a policy that waits in this time."""
        waiting = {
            "sleep": self.sleep,
            "async_sleep": self.async_sleep,
            "monotonic": self.monotonic,
        }
        return untyped(RetryPolicy)(**waiting, **changes)
