"""What all stores of this package have in common: `LeasedStore`.

A lock that expires by itself has a risk: its holder may wake up late and overwrite a newer token.
So every saved token has a version, a random word, and a save under a lock takes place only if the
stored version is still the one that the holder has seen. A late holder whose token was not replaced
may save, and must: the service may have invalidated the stored refresh token.

Each store adds a few steps that its backend carries out atomically.
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import partial
from logging import getLogger
from secrets import token_hex
from typing import Final, Literal, NamedTuple, TypeAlias

from attrs import define, field

from pipedrive_oauth_client.errors import (
    ConfigurationError,
    CorruptTokenError,
    ProcessBound,
    StoreError,
    StoreLockTimeoutError,
)
from pipedrive_oauth_client.generated.encode import argument
from pipedrive_oauth_client.stores.protocol import (
    AccountOverview,
    TokenStore,
    checked_account,
    checked_prefix,
)
from pipedrive_oauth_client.tokens import Token

__all__ = [
    "ANY_VERSION",
    "DEFAULT_LEASE",
    "GRANT_ENDED_START",
    "ExpectedVersion",
    "Lease",
    "LeasedStore",
    "LockAttempt",
    "StoredToken",
    "TableStore",
    "aware",
    "end_of_prefix",
    "from_microseconds",
    "is_of",
    "load_first",
    "microseconds",
    "overview_of",
    "overview_of_row",
    "save_last",
    "seconds_since_boot",
    "token_from_json",
    "token_to_json",
]

DEFAULT_LEASE: Final = timedelta(minutes=2)
"""Longer than a renewal takes: a minute of attempts, plus the full length of the last one."""

GRANT_ENDED_START: Final = '{"grant_ended_at":'
"""What the text of a token begins with if its `grant_end` is set."""

_MAX_DURATION: Final = timedelta(days=1)
_WAIT_MARGIN: Final = timedelta(seconds=15)
_FIRST_PAUSE_SECONDS: Final = 0.005
_MAX_PAUSE_SECONDS: Final = 0.25
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_LOGGER: Final = getLogger("pipedrive_oauth_client")

# A clock that the user can't set. Where the system offers it, it includes the time that the machine
# was suspended: meanwhile another machine may have taken a lock.
_BOOT_CLOCK: Final[int | None] = getattr(time, "CLOCK_BOOTTIME", None)
seconds_since_boot: Final[Callable[[], float]] = (
    time.monotonic if _BOOT_CLOCK is None else partial(time.clock_gettime, _BOOT_CLOCK)
)


class StoredToken(NamedTuple):
    """What is stored for an account.

    Attributes:
        text: The token as JSON, as it is written or was found; hidden in `repr`.
        version: The random word that it was saved under.
    """

    text: str | bytes
    version: str

    # By hand: of equality that Python made, test runners show each field that differs.
    def __eq__(self, other: object) -> bool:
        return tuple(self) == other

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(version={self.version!r})"


class LockAttempt(NamedTuple):
    """The result of one attempt to take a lock.

    Attributes:
        holder: The word of the current holder if the lock is taken; None if the attempt succeeded.
        version: After success, the version of the stored token, or None if there is none.
        stored: After success, what is stored, if `is_read` says that it was read as well.
        is_read: Whether `stored` was read.
    """

    holder: str | None = None
    version: str | None = None
    stored: StoredToken | None = None
    is_read: bool = False

    @classmethod
    def taken(cls, stored: StoredToken | None) -> LockAttempt:
        """Return a successful attempt that has read what is stored."""
        return cls(None, None if stored is None else stored.version, stored, is_read=True)


class _AnyVersion(Enum):
    ANY = "any"


ANY_VERSION: Final = _AnyVersion.ANY
"""Expected by a save without the lock: it takes place whatever is stored."""

ExpectedVersion: TypeAlias = "str | Literal[_AnyVersion.ANY] | None"
"""What a save expects to be stored: a version, nothing (None), or `ANY_VERSION`."""


@define(eq=False)
class Lease:
    """A lock that this thread holds for a limited time.

    Attributes:
        length: How long the lock is held before it expires.
    """

    length: timedelta
    _since: float = field(repr=False)
    _monotonic: Callable[[], float] = field(repr=False)
    # The holder's random word, and the version of the stored token that the holder knows.
    owner: str = field(repr=False)
    version: str | None = field(repr=False)
    # What the step that took the lock has read, until it is used, and whether a step that saved a
    # token has released the lock.
    attempt: LockAttempt | None = field(default=None, repr=False)
    is_released: bool = field(default=False, repr=False)

    def is_over(self) -> bool:
        """Return whether the lease has expired, so that another caller may hold the lock."""
        return self._monotonic() - self._since >= self.length.total_seconds()


class _HeldLeases(threading.local):
    # By account and process. By thread, since what a save under a lock may replace is known to its
    # holder alone; by process, since a child that was forked inside the block holds no lock.
    def __init__(self) -> None:
        self.by_account: dict[tuple[str, int], Lease] = {}


class LeasedStore(ProcessBound, ABC):
    """A base class for stores whose locks expire, and whose late holders can do no harm.

    A subclass implements `accounts` and `due`, and five steps that its backend carries out
    atomically: `_read`, `_write`, `_remove`, `_take` and `_release`. Their docstrings say what each
    has to do, in terms of `StoredToken`, `LockAttempt` and `ExpectedVersion` of `stores.leased`. A
    `_take` that reads the token as well, and a `_write_last`, save a renewal a step each.

    Args:
        lease: How long a lock is held before it expires. Use the same value for all users of the
            store, longer than a renewal can take.
        wait: How long `lock` waits for another holder; by default 15 seconds more than the lease.

    Raises:
        ConfigurationError: A duration is not a timedelta, not above zero, or longer than a day.
    """

    def __init__(self, *, lease: timedelta = DEFAULT_LEASE, wait: timedelta | None = None) -> None:
        self._lease = _checked_duration("lease", lease)
        self._wait = lease + _WAIT_MARGIN if wait is None else _checked_duration("wait", wait)
        self._held = _HeldLeases()
        self._monotonic: Callable[[], float] = seconds_since_boot
        self._sleep: Callable[[float], None] = time.sleep

    def load(self, account: str) -> Token | None:
        """Return the token of an account; see `TokenStore.load`.

        Args:
            account: The account.

        Returns:
            The token, or None if there is none.

        Raises:
            CorruptTokenError: The stored content is not a token; it is left unchanged.
            StoreError: The store is unavailable or failed.
        """
        stored = self._read(checked_account(account))
        lease = self._held.by_account.get((account, os.getpid()))
        if lease is not None:
            # What is saved next under this lock is derived from what was loaded here.
            lease.version = None if stored is None else stored.version
        return None if stored is None else token_from_json(stored.text, account)

    def save(self, account: str, token: Token) -> None:
        """Store a token in place of the previous one; see `TokenStore.save`.

        Args:
            account: The account.
            token: The token.

        Raises:
            StoreLockTimeoutError: This thread has lost the account's lock, and another caller has
                saved or deleted the token since; nothing was written.
            StoreError: The store is unavailable or failed; the previous token is still there.
        """
        self._save(account, token)

    def _save(self, account: str, token: Token, *, is_last: bool = False) -> None:
        checked_account(account)
        new = StoredToken(token_to_json(argument("token", token, Token)), token_hex(8))
        lease = self._held.by_account.get((account, os.getpid()))
        expected = ANY_VERSION if lease is None else lease.version
        if is_last and lease is not None:
            is_saved, lease.is_released = self._write_last(
                account, new, token.expires_at, expected, lease.owner
            )
        else:
            is_saved = self._write(account, new, token.expires_at, expected)
        if not is_saved:
            raise StoreLockTimeoutError(
                f"The token of {account!r} was not saved: while this caller held the lock, another"
                " caller saved or deleted the account's token. Load it again."
            )
        if lease is not None:
            lease.version = new.version

    def _load_first(self, account: str, lease: Lease) -> Token | None:
        """Return what `load` would have returned when the lock was taken; see `load_first`."""
        attempt, lease.attempt = lease.attempt, None
        if attempt is None or not attempt.is_read or not is_of(self.load, LeasedStore.load):
            return self.load(account)
        return None if attempt.stored is None else token_from_json(attempt.stored.text, account)

    def _save_last(self, account: str, token: Token) -> None:
        """Do what `save` does, and release the lock if that is one step; see `save_last`."""
        # As `is_of` tells.
        if getattr(self.save, "__func__", None) is LeasedStore.save:
            self._save(account, token, is_last=True)
        else:
            self.save(account, token)

    def delete(self, account: str) -> None:
        """Delete the token of an account, if there is one; see `TokenStore.delete`.

        Args:
            account: The account.

        Raises:
            StoreError: The store is unavailable or failed.
        """
        self._remove(checked_account(account))
        lease = self._held.by_account.get((account, os.getpid()))
        if lease is not None:
            lease.version = None

    @contextmanager
    def lock(self, account: str) -> Generator[Lease]:
        """Let one caller at a time refresh the token of an account; see `TokenStore.lock`.

        Args:
            account: The account.

        Yields:
            The lease. Until the end of the `with` block, saves of this thread belong to it.

        Raises:
            StoreLockTimeoutError: The current holder did not release the lock in time.
            ConfigurationError: This thread holds the lock already.
            StoreError: The store is unavailable or failed.
        """
        key = (checked_account(account), os.getpid())
        leases = self._held.by_account
        if key in leases:
            raise ConfigurationError(
                f"This thread holds the lock of {account!r} already, and would wait for itself."
            )
        lease = leases[key] = self._acquire(account)
        try:
            yield lease
        finally:
            leases.pop(key, None)
            # A forked child may leave the block as well.
            if key[1] == os.getpid() and not lease.is_released:
                try:
                    self._release(account, lease.owner)
                except StoreError as error:
                    # The work under the lock is done, and its result counts.
                    _LOGGER.warning(
                        "The lock of %r was not released and expires with its lease: %s",
                        account,
                        error,
                    )

    @abstractmethod
    def accounts(self) -> Iterator[str]:
        """Return all accounts that have a token; see `TokenStore.accounts`."""

    @abstractmethod
    def due(self, before: datetime) -> Iterator[str]:
        """Return the accounts whose access token expires before a time.

        Args:
            before: The time, aware.

        Returns:
            The accounts, one by one. Tokens saved meanwhile may or may not be among them.

        Raises:
            StoreError: The store is unavailable or failed.
        """

    def ended(self) -> Iterator[str]:
        """Return the accounts whose token seems to have a `grant_end`.

        Load the tokens to make sure.

        Returns:
            The accounts, one by one.

        Raises:
            StoreError: The store is unavailable or failed.
        """
        return (each.account for each in self.overview() if each.may_have_ended)

    def overview(self) -> Iterator[AccountOverview]:
        """Return what the store knows of each account.

        Returns:
            The accounts, one by one. Here their tokens are read; a database does better.

        Raises:
            StoreError: The store is unavailable or failed.
        """
        for account in self.accounts():
            try:
                stored = self._read(account)
                token = None if stored is None else token_from_json(stored.text, account)
            except CorruptTokenError:
                yield overview_of(account, None)
            else:
                if token is not None:  # else it was deleted meanwhile
                    yield overview_of(account, token)

    @abstractmethod
    def _read(self, account: str) -> StoredToken | None:
        """Return what is stored, or None."""

    @abstractmethod
    def _write(
        self, account: str, new: StoredToken, expires_at: datetime, expected: ExpectedVersion
    ) -> bool:
        """Store a token if the stored version is the expected one; return whether it is stored.

        Comparing and writing are one atomic step. Writing the same token twice in a row has the
        same result as writing it once.
        """

    def _write_last(
        self,
        account: str,
        new: StoredToken,
        expires_at: datetime,
        expected: ExpectedVersion,
        owner: str,
    ) -> tuple[bool, bool]:
        """Do what `_write` does, and if it stores the token, release the lock if `owner` holds it.

        Return whether the token is stored, and whether the lock need not be released any more.
        """
        del owner
        return self._write(account, new, expires_at, expected), False

    @abstractmethod
    def _remove(self, account: str) -> None:
        """Delete what is stored."""

    @abstractmethod
    def _take(self, account: str, owner: str, stale: str | None) -> LockAttempt:
        """Take the lock for `owner` if it is free, has expired, or is held by `stale`.

        Taking it twice for the same owner has the same result as taking it once.
        """

    @abstractmethod
    def _release(self, account: str, owner: str) -> None:
        """Release the lock if `owner` holds it."""

    def _acquire(self, account: str) -> Lease:
        owner = token_hex(8)
        pause = _FIRST_PAUSE_SECONDS
        holder: str | None = None
        stale: str | None = None
        started = held_since = attempted_at = self._monotonic()
        while True:
            attempt = self._take(account, owner, stale)
            if attempt.holder is None:
                # The lease counts from before the attempt: a slow response makes it shorter.
                return Lease(
                    self._lease, attempted_at, self._monotonic, owner, attempt.version, attempt
                )
            # By the clock of the store the lease has not expired, but that clock may have been set
            # back: a holder that was watched for the length of a lease has lost it regardless.
            if attempt.holder != holder:
                holder, held_since = attempt.holder, attempted_at
            elif attempted_at - held_since >= self._lease.total_seconds():
                stale = holder
            if attempted_at - started >= self._wait.total_seconds():
                raise StoreLockTimeoutError(
                    f"Another caller has held the lock of {account!r} for longer than `wait`,"
                    f" {self._wait.total_seconds():g} seconds. Try again; if it persists, look for"
                    " a token refresh that hangs."
                )
            self._sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads callers, no secret
            pause = min(pause * 1.5, _MAX_PAUSE_SECONDS)
            attempted_at = self._monotonic()


def load_first(store: TokenStore, account: str, lease: object) -> Token | None:
    """Load a token at the beginning of a lock's block; what its first step has read may do."""
    own = getattr(type(store), "_load_first", None)
    if own is None or not isinstance(lease, Lease):
        return store.load(account)
    token: Token | None = own(store, account, lease)
    return token


def save_last(store: TokenStore, account: str, token: Token) -> None:
    """Save a token at the end of a lock's block; the same step may release the lock."""
    own = getattr(type(store), "_save_last", None)
    if own is None:
        store.save(account, token)
    else:
        own(store, account, token)


class TableStore(LeasedStore):
    """A base class for stores whose accounts are the rows of a table, and are listed in pages."""

    def accounts(self, prefix: str = "") -> Iterator[str]:
        """Return the accounts that have a token; see `TokenStore.accounts`.

        Args:
            prefix: What the accounts' names begin with; by default all are returned.

        Returns:
            The accounts, one by one, in the order of the database.

        Raises:
            ConfigurationError: No name of an account can begin with `prefix`.
            StoreError: The database is unavailable or failed.
        """
        return self._accounts(checked_prefix(prefix))

    def _accounts(self, prefix: str) -> Iterator[str]:
        last: str | None = None
        while page := self._page_of_accounts(prefix, last):
            # The database may compare blanks at the end of a name in a way of its own.
            yield from (account for account in page if account.startswith(prefix))
            last = page[-1]

    def overview(self) -> Iterator[AccountOverview]:
        """Return what the table says of each account, without loading its token.

        Returns:
            The accounts, one by one, in the order of the database.

        Raises:
            StoreError: The database is unavailable or failed.
        """
        last: str | None = None
        while page := self._page_of_overview(last):
            yield from page
            last = page[-1].account

    def due(self, before: datetime) -> Iterator[str]:
        """Return the accounts whose access token expires before a time.

        Args:
            before: The time, aware.

        Returns:
            The accounts, one by one, the earliest expiry first.

        Raises:
            ConfigurationError: `before` has no time zone.
            StoreError: The database is unavailable or failed.
        """
        return self._due(microseconds("before", before))

    def _due(self, before: int) -> Iterator[str]:
        last: tuple[int, str] | None = None
        while page := self._page_of_due(before, last):
            for _expiry, account in page:
                yield account
            last = page[-1]

    @abstractmethod
    def _page_of_accounts(self, prefix: str, after: str | None) -> list[str]:
        """Return the next accounts with a prefix, in the order of their names."""

    @abstractmethod
    def _page_of_overview(self, after: str | None) -> list[AccountOverview]:
        """Return the next of what the rows say, in the order of the accounts' names."""

    @abstractmethod
    def _page_of_due(self, before: int, after: tuple[int, str] | None) -> Sequence[tuple[int, str]]:
        """Return the next expiries before a time, in microseconds, and accounts."""


def end_of_prefix(prefix: str) -> str:
    """Return the first text after all that begin with a prefix."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)  # a printable character is not the last one


def overview_of_row(
    account: str, expires_at: int | None, has_ended: object, is_object: object
) -> AccountOverview:
    """Return what a row says of an account.

    `expires_at` is in microseconds; `has_ended` says whether the text of the token begins with
    `GRANT_ENDED_START`, `is_object` whether it has the braces of a JSON object.
    """
    return AccountOverview(
        account,
        None if expires_at is None else from_microseconds(expires_at),
        may_have_ended=bool(has_ended),
        may_be_damaged=expires_at is None or not is_object,
    )


def is_of(method: Callable[..., object], function: Callable[..., object]) -> bool:
    """Return whether neither a subclass nor a caller has put another method in its place."""
    return getattr(method, "__func__", None) is function


def token_to_json(token: Token) -> str:
    """Return one line of ASCII, with both tokens in the clear."""
    return json.dumps(token.to_dict())


def token_from_json(text: str | bytes, account: str) -> Token:
    """Read what `token_to_json` wrote; a `CorruptTokenError` repeats nothing of it."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        problem = type(error).__name__  # its text repeats the stored content
    else:
        return Token.from_dict(data)
    raise CorruptTokenError(
        f"The stored token of {account!r} is not valid JSON ({problem}). Restore it from a backup,"
        " or have the user authorize the app again."
    )


def overview_of(account: str, token: Token | None) -> AccountOverview:
    """Return the overview of an account whose token was loaded; None if it can't be read."""
    if token is None:
        return AccountOverview(account, None, may_have_ended=False, may_be_damaged=True)
    has_ended = token.grant_end is not None
    return AccountOverview(account, token.expires_at, has_ended, may_be_damaged=False)


def aware(name: str, when: datetime) -> datetime:
    """Check that the argument called `name` is a datetime with a time zone."""
    if argument(name, when, datetime).utcoffset() is None:
        raise ConfigurationError(f"{name} must be a datetime with a time zone, for example in UTC.")
    return when


def microseconds(name: str, when: datetime) -> int:
    """Return the microseconds from 1970-01-01 00:00 UTC to an aware time; negative before."""
    return (aware(name, when) - _EPOCH) // _MICROSECOND


def from_microseconds(time: int) -> datetime | None:
    """Return the time that `microseconds` was called with; None if no datetime can be it."""
    try:
        return _EPOCH + time * _MICROSECOND
    except OverflowError:
        return None


def _checked_duration(name: str, value: timedelta) -> timedelta:
    if argument(name, value, timedelta) <= timedelta(0):
        raise ConfigurationError(f"{name} must be above zero.")
    if value > _MAX_DURATION:
        raise ConfigurationError(f"{name} must not be longer than a day.")
    return value
