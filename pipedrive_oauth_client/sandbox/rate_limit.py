"""Counting the API calls of each token in windows of two seconds, as Pipedrive counts them.

Source:
    https://pipedrive.readme.io/docs/core-api-concepts-rate-limiting
"""

from __future__ import annotations

import math
import threading
from collections import Counter

import attrs

from pipedrive_oauth_client.sandbox.clock import Now

WINDOW_SECONDS = 2


@attrs.frozen
class Standing:
    """Where a token is after a call.

    Attributes:
        limit: How many calls a window has.
        used: How many were made in this one, with the call at hand.
        reset_seconds: When the next window begins, in whole seconds from now.
    """

    limit: int
    used: int
    reset_seconds: int

    @property
    def is_over(self) -> bool:
        """Whether the call at hand is one too many."""
        return self.used > self.limit

    @property
    def headers(self) -> dict[str, str]:
        """The headers that tell the app so."""
        told = {
            "x-ratelimit-limit": str(self.limit),
            "x-ratelimit-remaining": str(max(self.limit - self.used, 0)),
            "x-ratelimit-reset": str(self.reset_seconds),
        }
        return {**told, "Retry-After": str(self.reset_seconds)} if self.is_over else told


class RateLimit:
    """The calls of the window at hand, by token.

    Args:
        calls: How many calls a token has in a window.
        clock: Tells the time.
    """

    def __init__(self, *, calls: int, clock: Now) -> None:
        self._calls = calls
        self._clock = clock
        self._lock = threading.Lock()
        self._window = 0
        self._used = Counter[str]()

    def count(self, token: str) -> Standing:
        """Count a call and return where its token is now."""
        with self._lock:
            window, since = divmod(self._clock().timestamp(), WINDOW_SECONDS)
            if window != self._window:
                self._window = int(window)
                self._used.clear()
            self._used[token] += 1
            reset_seconds = math.ceil(WINDOW_SECONDS - since)
            return Standing(self._calls, self._used[token], reset_seconds)
