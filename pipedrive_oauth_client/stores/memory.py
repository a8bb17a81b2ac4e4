"""Tokens in the memory of one process: `MemoryTokenStore`."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from pipedrive_oauth_client.stores.leased import (
    ANY_VERSION,
    DEFAULT_LEASE,
    ExpectedVersion,
    LeasedStore,
    LockAttempt,
    StoredToken,
    aware,
)
from pipedrive_oauth_client.stores.protocol import checked_prefix

__all__ = ["MemoryTokenStore"]


class _TokenEntry(NamedTuple):
    stored: StoredToken
    expires_at: datetime


class _LockEntry(NamedTuple):
    owner: str
    until: float


class _Memory:
    # Slots, so that no tool that walks through attributes gets to the tokens.
    __slots__ = ("__weakref__", "guard", "locks", "tokens")

    def __init__(self) -> None:
        self.tokens: dict[str, _TokenEntry] = {}
        self.reset_locks()
        _MEMORIES.add(self)

    def reset_locks(self) -> None:
        self.guard = threading.Lock()
        self.locks: dict[str, _LockEntry] = {}


class MemoryTokenStore(LeasedStore):
    """Stores tokens for as long as the process lives.

    For tests, scripts, and apps that store tokens elsewhere. A forked process has a copy of its
    own: a token refreshed in one is not seen in the other. Use another store for several processes.

    Args:
        lease: How long a lock is held before it expires.
        wait: How long `lock` waits for another holder; by default 15 seconds more than the lease.

    Raises:
        ConfigurationError: A duration is not a timedelta, not above zero, or longer than a day.
    """

    _instead = "Its tokens exist in this process alone: use another kind of store."

    def __init__(self, *, lease: timedelta = DEFAULT_LEASE, wait: timedelta | None = None) -> None:
        super().__init__(lease=lease, wait=wait)
        self._memory = _Memory()
        self._now: Callable[[], float] = time.monotonic

    def __repr__(self) -> str:
        return f"{type(self).__name__}(<{len(self._memory.tokens)} accounts>)"

    def accounts(self, prefix: str = "") -> Iterator[str]:
        """Return the accounts that have a token; see `TokenStore.accounts`.

        Args:
            prefix: What the accounts' names begin with; by default all are returned.

        Returns:
            The accounts at the time of the call.

        Raises:
            ConfigurationError: No name of an account can begin with `prefix`.
        """
        checked_prefix(prefix)
        with self._memory.guard:
            return iter([name for name in self._memory.tokens if name.startswith(prefix)])

    def due(self, before: datetime) -> Iterator[str]:
        """Return the accounts whose access token expires before a time.

        Args:
            before: The time, aware.

        Returns:
            The accounts at the time of the call, the earliest expiry first.

        Raises:
            ConfigurationError: `before` has no time zone.
        """
        aware("before", before)
        with self._memory.guard:
            times = [(entry.expires_at, name) for name, entry in self._memory.tokens.items()]
        return iter([name for expires_at, name in sorted(times) if expires_at < before])

    def _read(self, account: str) -> StoredToken | None:
        with self._memory.guard:
            entry = self._memory.tokens.get(account)
            return None if entry is None else entry.stored

    def _write(
        self, account: str, new: StoredToken, expires_at: datetime, expected: ExpectedVersion
    ) -> bool:
        return self._write_last(account, new, expires_at, expected, "")[0]

    def _write_last(
        self,
        account: str,
        new: StoredToken,
        expires_at: datetime,
        expected: ExpectedVersion,
        owner: str,
    ) -> tuple[bool, bool]:
        with self._memory.guard:
            entry = self._memory.tokens.get(account)
            version = None if entry is None else entry.stored.version
            if expected is not ANY_VERSION and version != expected:
                return False, False
            self._memory.tokens[account] = _TokenEntry(new, expires_at)
            self._remove_lock(account, owner)
            return True, True

    def _remove(self, account: str) -> None:
        with self._memory.guard:
            self._memory.tokens.pop(account, None)

    def _take(self, account: str, owner: str, stale: str | None) -> LockAttempt:
        with self._memory.guard:
            now = self._now()
            lock = self._memory.locks.get(account)
            if lock is not None and lock.owner not in (owner, stale) and now < lock.until:
                return LockAttempt(holder=lock.owner)
            self._memory.locks[account] = _LockEntry(owner, now + self._lease.total_seconds())
            entry = self._memory.tokens.get(account)
            return LockAttempt.taken(None if entry is None else entry.stored)

    def _release(self, account: str, owner: str) -> None:
        with self._memory.guard:
            self._remove_lock(account, owner)

    def _remove_lock(self, account: str, owner: str) -> None:
        lock = self._memory.locks.get(account)
        if lock is not None and lock.owner == owner:
            del self._memory.locks[account]


_MEMORIES: Final[weakref.WeakSet[_Memory]] = weakref.WeakSet()


def _reset_locks_in_child() -> None:
    # The threads of the parent that hold a guard or a lock do not exist in the child.
    for memory in list(_MEMORIES):
        memory.reset_locks()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_locks_in_child)
