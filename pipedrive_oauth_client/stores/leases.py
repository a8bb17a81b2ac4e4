"""Locks that end by themselves.

Whoever is killed or stopped while it holds a lock can't give it back, so a lock is lent for a time,
its lease. Afterwards somebody else gets it.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from datetime import timedelta
from secrets import token_hex
from typing import Final

from attrs import define, field, frozen

from pipedrive_oauth_client.errors import StoreLockTimeoutError

__all__ = ["DEFAULT_LEASE", "Lease", "Taken", "seconds_since_boot", "take_in_time"]

DEFAULT_LEASE: Final = timedelta(minutes=2)
"""Longer than a renewal takes: a minute of attempts, and the last of them in all its length."""

_FIRST_PAUSE_SECONDS: Final = 0.005
_LONGEST_PAUSE_SECONDS: Final = 0.25


def seconds_since_boot() -> float:
    """Give the seconds since this machine was started.

    Where the system tells, those are counted as well for which it slept: meanwhile others may have
    taken a lock. Nobody can set this clock.
    """
    clock: int | None = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


@frozen
class Taken:
    """The answer to an attempt to take a lock.

    Attributes:
        holder: Who has it, if that is somebody else, as the random word that a holder is known by.
        version: The version of the stored token, or None where there is none, if it was taken.
    """

    holder: str | None = None
    version: str | None = None


@define(eq=False)
class Lease:
    """A lock that is held, for a time.

    Attributes:
        length: How long it is lent for.
    """

    length: timedelta
    _since: float = field(repr=False)
    _monotonic: Callable[[], float] = field(repr=False)
    # What a store has to know of it: who holds it, in which process, and which version of the
    # stored token the holder knows.
    owner: str = field(repr=False)
    version: str | None = field(repr=False)
    process: int = field(factory=os.getpid, repr=False)

    def is_over(self) -> bool:
        """Tell whether somebody else may have the lock by now."""
        return self._monotonic() - self._since >= self.length.total_seconds()


def take_in_time(
    take: Callable[[str, str | None], Taken],
    *,
    lease: timedelta,
    wait: timedelta,
    monotonic: Callable[[], float],
    sleep: Callable[[float], None],
) -> Lease:
    """Try to take a lock until it is free.

    Args:
        take: Tries it once, for an owner, and for whoever has it if that is the stale one.
        lease: How long it is lent for.
        wait: How long to go on trying.
        monotonic: A clock in seconds that never goes back.
        sleep: Waits for a number of seconds.

    Returns:
        The lease.

    Raises:
        StoreLockTimeoutError: Somebody else did not let go of it in time.
    """
    owner = token_hex(8)
    started = monotonic()
    pause = _FIRST_PAUSE_SECONDS
    seen: str | None = None
    seen_since = started
    stale: str | None = None
    while True:
        asked_at = monotonic()
        taken = take(owner, stale)
        if taken.holder is None:
            return Lease(lease, asked_at, monotonic, owner, taken.version)
        # By the clock of the store the lease is not over. But that clock may have been put back:
        # whoever was watched for as long as a lease has lost it, whatever the clock says.
        if taken.holder != seen:
            seen, seen_since = taken.holder, asked_at
        elif asked_at - seen_since >= lease.total_seconds():
            stale = seen
        if asked_at - started >= wait.total_seconds():
            raise StoreLockTimeoutError(
                "Somebody else has held the lock of the account for longer than `wait`. Try again;"
                " if it lasts, look for a renewal that hangs."
            )
        sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - no secret: who comes next
        pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)
