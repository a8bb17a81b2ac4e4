"""What all stores of this package have in common: `LeasedStore`.

A lock that ends by itself leaves a danger: its holder may wake up and save what it has, over a
newer token. So every saved token has a version, a random word, and a save under a lock takes place
only if the stored token is still the one that the holder has seen. A late holder whose token nobody
has replaced may save, and must: the service may have made the stored one worthless for it.

Each kind of store adds a few steps that its database does at one stroke.
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from logging import getLogger
from secrets import token_hex
from typing import Final

from attrs import define, field, frozen

from pipedrive_oauth_client.errors import (
    ConfigurationError,
    CorruptTokenError,
    StoreError,
    StoreLockTimeoutError,
)
from pipedrive_oauth_client.generated.encode import argument
from pipedrive_oauth_client.stores.protocol import checked_account
from pipedrive_oauth_client.tokens import Token

__all__ = [
    "DEFAULT_LEASE",
    "AnyVersion",
    "Kept",
    "Lease",
    "LeasedStore",
    "Taken",
    "aware",
    "from_text",
    "microseconds",
    "microseconds_of",
    "seconds_since_boot",
    "take_in_time",
    "to_text",
]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ONE: Final = timedelta(microseconds=1)


def aware(name: str, when: datetime) -> datetime:
    """Check that a time can be compared with those that are stored.

    Args:
        name: What the time is called, for the error.
        when: The time.

    Returns:
        The same time.

    Raises:
        ConfigurationError: It is no datetime, or has no time zone.
    """
    if argument(name, when, datetime).utcoffset() is None:
        raise ConfigurationError(f"{name} must be a datetime with a time zone, for example in UTC.")
    return when


def microseconds(name: str, when: datetime) -> int:
    """Give a time as a number.

    Args:
        name: What the time is called, for the error.
        when: The time, aware.

    Returns:
        Microseconds since 1970-01-01 00:00 UTC; negative before.

    Raises:
        ConfigurationError: It is no datetime, or has no time zone.
    """
    return (aware(name, when) - _EPOCH) // _ONE


def microseconds_of(length: timedelta) -> int:
    """Give a length of time as a number.

    Args:
        length: The length of time.

    Returns:
        Microseconds.
    """
    return length // _ONE


def to_text(token: Token) -> str:
    """Write a token as JSON, in ASCII.

    Args:
        token: The token.

    Returns:
        One line, with both tokens in the clear.
    """
    return json.dumps(token.to_dict())


def from_text(text: str | bytes) -> Token:
    """Read what `to_text` wrote.

    Args:
        text: The stored text.

    Returns:
        The token.

    Raises:
        CorruptTokenError: It is no token; the message repeats nothing of it.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        problem = type(error).__name__  # its text repeats what is stored
    else:
        return Token.from_dict(data)
    raise CorruptTokenError(
        f"A stored token is no JSON ({problem}). Restore it from a backup, or have the person"
        " authorize the app again."
    )


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


_LONGEST: Final = timedelta(days=1)
_MARGIN: Final = timedelta(seconds=15)
_LOGGER: Final = getLogger("pipedrive_oauth_client")


@frozen
class Kept:
    """What is stored for an account.

    Attributes:
        text: The token as text; hidden in `repr`.
        version: The random word that it was saved under.
    """

    text: str | bytes = field(repr=False)
    version: str


@frozen
class AnyVersion:
    """Says that a save takes place whatever is stored: it is made without the lock."""


class LeasedStore(ABC):
    """A store whose locks end by themselves, and whose saves a late holder can't do harm with.

    Args:
        lease: How long a lock is lent for. It should be the same for all who use the store, and
            longer than a renewal can take.
        wait: How long `lock` waits for another holder; 15 seconds more than the lease by default.

    Raises:
        ConfigurationError: One of them is no timedelta above zero, or longer than a day.
    """

    def __init__(self, *, lease: timedelta = DEFAULT_LEASE, wait: timedelta | None = None) -> None:
        self._lease = _positive("lease", lease)
        self._wait = lease + _MARGIN if wait is None else _positive("wait", wait)
        self._mine = threading.local()
        self._monotonic: Callable[[], float] = seconds_since_boot
        self._sleep: Callable[[float], None] = time.sleep

    def load(self, account: str) -> Token | None:
        """Give the token of an account; see `TokenStore.load`.

        Args:
            account: The account.

        Returns:
            The token, or None where there is none.

        Raises:
            CorruptTokenError: What is stored is no token; it is left as it is.
            StoreError: The store does not work.
        """
        kept = self._read(checked_account(account))
        lease = self._held(account)
        if lease is not None:
            # What is saved next under this lock comes from what was loaded here.
            lease.version = None if kept is None else kept.version
        return None if kept is None else from_text(kept.text)

    def save(self, account: str, token: Token) -> None:
        """Keep a token in place of the one before; see `TokenStore.save`.

        Args:
            account: The account.
            token: The token.

        Raises:
            StoreLockTimeoutError: This thread has lost the account's lock, and somebody else has
                saved or deleted since; nothing was written.
            StoreError: The store does not work; the token before is still there.
        """
        checked_account(account)
        kept = Kept(to_text(argument("token", token, Token)), token_hex(8))
        lease = self._held(account)
        expected = AnyVersion() if lease is None else lease.version
        if not self._write(account, kept, token.expires_at, expected):
            raise StoreLockTimeoutError(
                "The token was not saved: while this caller held the account's lock, somebody else"
                " saved or deleted the account's token. Load it again."
            )
        if lease is not None:
            lease.version = kept.version

    def delete(self, account: str) -> None:
        """Forget the token of an account, if there is one; see `TokenStore.delete`.

        Args:
            account: The account.

        Raises:
            StoreError: The store does not work.
        """
        self._remove(checked_account(account))
        lease = self._held(account)
        if lease is not None:
            lease.version = None

    @contextmanager
    def lock(self, account: str) -> Generator[Lease]:
        """Let one caller at a time renew the token of an account; see `TokenStore.lock`.

        Args:
            account: The account.

        Yields:
            The lease. Saves of this thread belong to it until the end of the `with` block.

        Raises:
            StoreLockTimeoutError: Somebody else did not let go of it in time.
            ConfigurationError: This thread has the lock already.
            StoreError: The store does not work.
        """
        if self._held(checked_account(account)) is not None:
            raise ConfigurationError(
                "This thread has the account's lock already, and would wait for itself."
            )
        lease = take_in_time(
            lambda owner, stale: self._take(account, owner, stale),
            lease=self._lease,
            wait=self._wait,
            monotonic=self._monotonic,
            sleep=self._sleep,
        )
        self._leases()[account] = lease
        try:
            yield lease
        finally:
            self._leases().pop(account, None)
            if lease.process == os.getpid():
                self._give_back(account, lease.owner)

    @abstractmethod
    def accounts(self) -> Iterator[str]:
        """Give all accounts that have a token; see `TokenStore.accounts`."""

    @abstractmethod
    def due(self, before: datetime) -> Iterator[str]:
        """Give the accounts whose access token expires before a time.

        Args:
            before: The time, aware.

        Returns:
            The accounts, one by one. What is saved meanwhile may or may not be among them.

        Raises:
            StoreError: The store does not work.
        """

    @abstractmethod
    def _read(self, account: str) -> Kept | None:
        """Give what is stored."""

    @abstractmethod
    def _write(
        self, account: str, kept: Kept, expires_at: datetime, expected: AnyVersion | str | None
    ) -> bool:
        """Store it if the stored version is still the expected one; None: if nothing is stored.

        Comparing and writing are one step, and doing it twice in a row is the same as doing it
        once. Returns whether it is stored.
        """

    @abstractmethod
    def _remove(self, account: str) -> None:
        """Remove what is stored."""

    @abstractmethod
    def _take(self, account: str, owner: str, stale: str | None) -> Taken:
        """Take the lock for `owner` if it is free, its lease is over, or `stale` has it.

        Taking it twice for the same owner is the same as taking it once.
        """

    @abstractmethod
    def _release(self, account: str, owner: str) -> None:
        """Let go of the lock if `owner` has it."""

    def _give_back(self, account: str, owner: str) -> None:
        try:
            self._release(account, owner)
        except StoreError as error:
            # What was to be done under the lock is done.
            _LOGGER.warning("A lock was not released and ends with its lease: %s", error)

    def _held(self, account: str) -> Lease | None:
        # A process that was forked inside of a block has no lock, and may never leave the block.
        lease = self._leases().get(account)
        return None if lease is None or lease.process != os.getpid() else lease

    def _leases(self) -> dict[str, Lease]:
        # By thread: what a save under a lock may replace is known to the holder alone.
        leases: dict[str, Lease] | None = getattr(self._mine, "leases", None)
        if leases is None:
            leases = self._mine.leases = {}
        return leases


def _positive(name: str, value: timedelta) -> timedelta:
    if argument(name, value, timedelta) <= timedelta(0):
        raise ConfigurationError(f"{name} must be above zero.")
    if value > _LONGEST:
        raise ConfigurationError(f"{name} must not be longer than a day.")
    return value
