"""A pace that several threads keep together."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from attrs import define, field

__all__ = ["Pace"]

_LONGEST_SLEEP_SECONDS: Final = 1.0


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
    _paused_until: float = field(default=float("-inf"), init=False)
    _is_stopped: bool = field(default=False, init=False)
    _guard: threading.Lock = field(factory=threading.Lock, init=False, repr=False)

    def wait(self) -> None:
        """Wait for this caller's turn, or until the pace is stopped."""
        while not self._is_stopped:
            with self._guard:
                now = self.monotonic()
                turn = max(now, self._next_at, self._paused_until)
                self._next_at = turn + self.seconds_between
            self._sleep(turn - now)
            with self._guard:
                # Whoever had a turn when the pause began waits with the others.
                if turn >= self._paused_until:
                    return

    def pause(self, seconds: float) -> None:
        """Let nobody through for a time.

        Args:
            seconds: How long.
        """
        with self._guard:
            self._paused_until = max(self._paused_until, self.monotonic() + seconds)

    def stop(self) -> None:
        """End all waits, within a second."""
        self._is_stopped = True

    def _sleep(self, seconds: float) -> None:
        # In pieces: a pause of an hour must not keep Ctrl-C waiting for an hour.
        while seconds > 0 and not self._is_stopped:
            piece = min(seconds, _LONGEST_SLEEP_SECONDS)
            self.sleep(piece)
            seconds -= piece
