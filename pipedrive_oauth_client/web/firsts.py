"""Telling the first use of something from the next ones: `FirstUses`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from attrs import define, field

from pipedrive_oauth_client.clock import read

__all__ = ["FirstUses"]

_MOST: Final = 10_000


@define(eq=False)
class FirstUses:
    """Remembers, in this process, what was used.

    Attributes:
        clock: Gives the present as an aware datetime.
    """

    clock: Callable[[], datetime]
    _until: dict[str, datetime] = field(factory=dict[str, datetime], init=False, repr=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False, repr=False)

    def __call__(self, key: str, lifetime: timedelta) -> bool:
        """Use something.

        Args:
            key: What is used.
            lifetime: How long to remember it.

        Returns:
            Whether this is the first time.
        """
        now = read(self.clock)
        with self._lock:
            if self._until.get(key, now) > now:
                return False
            self._until.pop(key, None)
            self._until[key] = now + lifetime
            # In the order of their use, and all live equally long: the first is over first.
            while len(self._until) > _MOST or next(iter(self._until.values())) <= now:
                del self._until[next(iter(self._until))]
            return True
