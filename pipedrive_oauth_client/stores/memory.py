"""Tokens in the memory of one process: `MemoryTokenStore`."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from attrs import define

from pipedrive_oauth_client.stores.leased import (
    DEFAULT_LEASE,
    AnyVersion,
    Kept,
    LeasedStore,
    Taken,
    aware,
)

__all__ = ["MemoryTokenStore"]


@define
class _Loan:
    owner: str
    ends: float


class MemoryTokenStore(LeasedStore):
    """Keeps tokens for as long as the process lives.

    For tests, scripts, and apps that keep tokens elsewhere. A process that is forked has a copy of
    its own: renewals in one are not seen in the other, so for several processes take another store.

    Args:
        lease: How long a lock is lent for.
        wait: How long `lock` waits for another holder; 15 seconds more than the lease by default.

    Raises:
        ConfigurationError: One of them is no timedelta above zero.
    """

    def __init__(self, *, lease: timedelta = DEFAULT_LEASE, wait: timedelta | None = None) -> None:
        super().__init__(lease=lease, wait=wait)
        self._kept: dict[str, tuple[Kept, datetime]] = {}
        self._loans: dict[str, _Loan] = {}
        self._guard = threading.Lock()
        self._process = os.getpid()
        self._now: Callable[[], float] = time.monotonic

    def __repr__(self) -> str:
        return f"{type(self).__name__}(<{len(self._kept)} accounts>)"

    def accounts(self) -> Iterator[str]:
        """Give all accounts that have a token; see `TokenStore.accounts`.

        Returns:
            The accounts of this moment.
        """
        with self._guarded():
            return iter(list(self._kept))

    def due(self, before: datetime) -> Iterator[str]:
        """Give the accounts whose access token expires before a time.

        Args:
            before: The time, aware.

        Returns:
            The accounts of this moment, the earliest first.

        Raises:
            ConfigurationError: `before` has no time zone.
        """
        aware("before", before)
        with self._guarded():
            times = [(expires_at, name) for name, (_kept, expires_at) in self._kept.items()]
        return iter([name for expires_at, name in sorted(times) if expires_at < before])

    def _read(self, account: str) -> Kept | None:
        with self._guarded():
            return self._kept[account][0] if account in self._kept else None

    def _write(
        self, account: str, kept: Kept, expires_at: datetime, expected: AnyVersion | str | None
    ) -> bool:
        with self._guarded():
            if not isinstance(expected, AnyVersion) and self._version(account) != expected:
                return False
            self._kept[account] = (kept, expires_at)
            return True

    def _remove(self, account: str) -> None:
        with self._guarded():
            self._kept.pop(account, None)

    def _take(self, account: str, owner: str, stale: str | None) -> Taken:
        with self._guarded():
            loan = self._loans.get(account)
            if loan is not None and loan.owner not in (owner, stale) and self._now() < loan.ends:
                return Taken(holder=loan.owner)
            ends = self._now() + self._lease.total_seconds()
            self._loans[account] = _Loan(owner, ends)
            return Taken(version=self._version(account))

    def _release(self, account: str, owner: str) -> None:
        with self._guarded():
            loan = self._loans.get(account)
            if loan is not None and loan.owner == owner:
                del self._loans[account]

    def _version(self, account: str) -> str | None:
        return self._kept[account][0].version if account in self._kept else None

    def _guarded(self) -> threading.Lock:
        if self._process != os.getpid():
            # Whoever had these when the process was forked does not exist in the child.
            self._guard, self._loans, self._process = threading.Lock(), {}, os.getpid()
        return self._guard
