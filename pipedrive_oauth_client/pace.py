"""A pace that several threads keep together."""

from __future__ import annotations

import threading
from collections.abc import Callable

from attrs import define, field

__all__ = ["Pace"]


@define(eq=False)
class Pace:
    """Lets so many through in a second, one after the other.

    Attributes:
        seconds_between: The time from one to the next; zero for no limit.
        monotonic: A clock in seconds that never goes back.
        sleep: Waits for a number of seconds.
    """

    seconds_between: float
    monotonic: Callable[[], float]
    sleep: Callable[[float], None]
    _next_at: float = field(default=float("-inf"), init=False)
    _guard: threading.Lock = field(factory=threading.Lock, init=False, repr=False)

    def wait(self) -> None:
        """Wait for this caller's turn."""
        with self._guard:
            now = self.monotonic()
            turn = max(now, self._next_at)
            self._next_at = turn + self.seconds_between
        if turn > now:
            self.sleep(turn - now)

    def pause(self, seconds: float) -> None:
        """Let nobody through for a time.

        Args:
            seconds: How long.
        """
        with self._guard:
            self._next_at = max(self._next_at, self.monotonic() + seconds)
