"""Tokens in files on one machine: `FileTokenStore`. It needs the extra `file`.

The folder holds up to three kinds of files:

    token-ACCOUNT.json  the account, the version of the token (a random word) and the token
    lease-ACCOUNT.json  who holds the account's lock, and until when
    step-XX.lock        locked for the moment of a step; 256 of them serve all accounts
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import datetime, timedelta
from logging import getLogger
from pathlib import Path
from typing import Any, Final

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from pipedrive_oauth_client.errors import (
    ConfigurationError,
    CorruptTokenError,
    StoreError,
    StoreLockTimeoutError,
)
from pipedrive_oauth_client.stores import _private_files as private_files
from pipedrive_oauth_client.stores.leased import (
    ANY_VERSION,
    DEFAULT_LEASE,
    ExpectedVersion,
    LeasedStore,
    LockAttempt,
    StoredToken,
    aware,
    overview_of,
    seconds_since_boot,
    token_from_json,
)
from pipedrive_oauth_client.stores.protocol import (
    AccountOverview,
    checked_account,
    checked_prefix,
)
from pipedrive_oauth_client.tokens import Token

__all__ = [
    "BOOT_ID",
    "MAX_STEP_SECONDS",
    "FileTokenStore",
    "account_from_file_name",
    "is_token_file",
    "lease_file",
    "lock_file",
    "may_be_token_file_of",
    "token_file",
]

MAX_STEP_SECONDS: Final = 15.0
_POLL_SECONDS: Final = 0.01
# Windows does not replace a file that another program is reading.
_READERS_BLOCK_WRITERS: Final = sys.platform == "win32"
_LOGGER: Final = getLogger("pipedrive_oauth_client")

# With its prefix and suffix, a name stays below the 143 bytes that encrypting file systems allow.
_MAX_ESCAPED_LENGTH: Final = 116
_SHORTENED_LENGTH: Final = 48
_UNESCAPED: Final = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-_.")
_TOKEN_FILE: Final = re.compile(r"token-([a-z0-9._=~-]+)\.json")


class FileTokenStore(LeasedStore):
    """Stores each account's token in a JSON file of its own, for the programs of one machine.

    A missing folder is made for this user alone. On POSIX systems the store rejects a folder that
    others may write to, a token that others can read, and a symbolic link in place of a token. A
    token is written to a draft that then replaces the previous file, so that a program or machine
    that stops leaves one of the two complete. The lock works between threads and processes, not
    between machines: don't use a folder that several machines share.

    A token that can't be read is an error of its account alone, and `due` returns that account, so
    that the caller that refreshes it gets the error. Only an account of more than about a hundred
    characters, which the file's name does not tell, is skipped, with a warning in the log.

    Args:
        path: The folder; a `~` at its beginning is the user's home.
        lease: How long a lock is held before it expires.
        wait: How long `lock` waits for another holder; by default 15 seconds more than the lease.

    Raises:
        ConfigurationError: `path` does not name a folder, or a duration is not a timedelta, not
            above zero, or longer than a day.
        StoreError: The folder can't be made, or others may write to it; the error says what to do.
    """

    _instead = "Pass the folder, and make a new store there."

    def __init__(
        self,
        path: str | Path,
        *,
        lease: timedelta = DEFAULT_LEASE,
        wait: timedelta | None = None,
    ) -> None:
        super().__init__(lease=lease, wait=wait)
        self._folder = private_files.make_folder(path)
        # Not the time of day, which may be set in the middle of a renewal.
        self._now: Callable[[], float] = seconds_since_boot

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._folder)!r})"

    def accounts(self, prefix: str = "") -> Iterator[str]:
        """Return the accounts that have a token; see `TokenStore.accounts`.

        Args:
            prefix: What the accounts' names begin with; by default all are returned.

        Returns:
            The accounts, one by one.

        Raises:
            ConfigurationError: No name of an account can begin with `prefix`.
            StoreError: The folder can't be read.
        """
        return self._accounts(checked_prefix(prefix))

    def _accounts(self, prefix: str) -> Iterator[str]:
        for name in self._token_files():
            if not may_be_token_file_of(prefix, name):
                continue
            account = account_from_file_name(name) or self._account_from_content(name)
            if account is not None and account.startswith(prefix):
                yield account

    def overview(self) -> Iterator[AccountOverview]:
        """Return what the files say of each account.

        Returns:
            The accounts, one by one; a file that can't be read may be damaged.

        Raises:
            StoreError: The folder can't be read.
        """
        for account in self.accounts():
            try:
                token = self._load(account)
            except StoreError:
                private_files.check_folder(self._folder)
                yield overview_of(account, None)
            else:
                if token is not None:  # else it was deleted meanwhile
                    yield overview_of(account, token)

    def due(self, before: datetime) -> Iterator[str]:
        """Return the accounts whose access token expires before a time.

        Args:
            before: The time, aware.

        Returns:
            The accounts, one by one, including those whose token can't be read.

        Raises:
            StoreError: The folder can't be read.
            ConfigurationError: `before` has no time zone.
        """
        aware("before", before)
        return (account for account in self.accounts() if self._is_due(account, before))

    def _read(self, account: str) -> StoredToken | None:
        private_files.check_folder(self._folder)
        with self._step(account) if _READERS_BLOCK_WRITERS else nullcontext():
            content = private_files.read(self._folder / token_file(account))
        if content is None:
            return None
        found = _parse_token_file(content)
        if found is None:
            raise CorruptTokenError(
                f"{token_file(account)} in {self._folder} is not a file that this store wrote."
                " Restore it from a backup, or have the user authorize the app again."
            )
        if found[0] != account:
            raise CorruptTokenError(
                f"{token_file(account)} in {self._folder} holds the token of another account, not"
                f" of {account!r}. Put the right file in its place, or have the user authorize the"
                " app again."
            )
        return found[1]

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
        del expires_at  # `due` reads it from the token
        entry = {"account": account, "version": new.version, "token": json.loads(new.text)}
        content = json.dumps(entry, indent=1).encode()
        if len(content) > private_files.MAX_BYTES:
            raise ConfigurationError(
                f"token must take no more than {private_files.MAX_BYTES} bytes in a file."
            )
        with self._step(account):
            if expected is not ANY_VERSION and self._attempt(account).version not in (
                expected,
                new.version,
            ):
                return False, False
            private_files.write(self._folder / token_file(account), content, durable=True)
            with suppress(StoreError):  # the token is saved, and the lease expires
                if owner:
                    self._remove_lease(account, owner)
            return True, True

    def _remove(self, account: str) -> None:
        with self._step(account):
            private_files.unlink(self._folder / token_file(account), durable=True)

    def _take(self, account: str, owner: str, stale: str | None) -> LockAttempt:
        with self._step(account, timeout=self._wait.total_seconds()):
            holder, until = self._lock_entry(account)
            if holder is not None and holder not in (owner, stale) and self._now() < until:
                return LockAttempt(holder=holder)
            attempt = self._attempt(account)
            until = self._now() + self._lease.total_seconds()
            entry = {"owner": owner, "until": until, "boot": BOOT_ID}
            # Not durable: after a power cut no holder is left.
            private_files.write(
                self._folder / lease_file(account), json.dumps(entry).encode(), durable=False
            )
            return attempt

    def _release(self, account: str, owner: str) -> None:
        with self._step(account):
            self._remove_lease(account, owner)

    def _remove_lease(self, account: str, owner: str) -> None:
        if self._lock_entry(account)[0] == owner:
            private_files.unlink(self._folder / lease_file(account), durable=False)

    @contextmanager
    def _step(self, account: str, timeout: float | None = None) -> Generator[None]:
        """Keep other threads and processes from the account's files; must not be nested."""
        private_files.check_folder(self._folder)
        path = self._folder / lock_file(account)
        if path.is_symlink():  # older versions of filelock follow it
            raise StoreError(
                f"{path} is a symbolic link, and symbolic links are not followed. Remove it."
            )
        # A new one each time: then threads, and processes that were forked, share nothing.
        lock: BaseFileLock = FileLock(path, mode=0o600, thread_local=False)
        limit = MAX_STEP_SECONDS if timeout is None else min(timeout, MAX_STEP_SECONDS)
        try:
            lock.acquire(timeout=limit, poll_interval=_POLL_SECONDS)
        except Timeout as error:
            raise StoreLockTimeoutError(
                f"Another program keeps {path} locked, which normally takes a moment. Try again; if"
                " it persists, look for a program that was stopped."
            ) from error
        except (OSError, NotImplementedError) as error:
            reason = getattr(error, "strerror", None) or "its file system has no locks"
            raise StoreError(
                f"Failed to lock {path}: {reason}. Make sure that the folder exists and is on a"
                " local disk, that this program may write to it, and that the disk has room and"
                " works."
            ) from error
        try:
            # What filelock falls back to is not released when its holder dies.
            if isinstance(lock, SoftFileLock):
                raise StoreError(
                    f"The file system of {self._folder} has no locks. Put the folder on a local"
                    " disk, or use another store."
                )
            yield
        finally:
            lock.release()

    def _attempt(self, account: str) -> LockAttempt:
        """Return what an attempt finds that takes the lock."""
        content = private_files.read(self._folder / token_file(account))
        if content is None:
            return LockAttempt.taken(None)
        found = _parse_token_file(content)
        if found is None:
            # Damaged content has a version as well: the holder of the lock may replace it as long
            # as it stays the same.
            return LockAttempt(version=hashlib.sha256(content).hexdigest())
        is_of_account = found[0] == account
        return (
            LockAttempt.taken(found[1]) if is_of_account else LockAttempt(version=found[1].version)
        )

    def _lock_entry(self, account: str) -> tuple[str | None, float]:
        # A power cut may leave half of the file, and no holder survives a restart of the machine.
        match _parse_json(private_files.read(self._folder / lease_file(account))):
            case {"owner": str(owner), "until": int() | float() as until, "boot": str(boot)} if (
                boot == BOOT_ID
            ):
                return owner, until
            case _:
                return None, 0.0

    def _load(self, account: str) -> Token | None:
        stored = self._read(account)
        return None if stored is None else token_from_json(stored.text, account)

    def _is_due(self, account: str, before: datetime) -> bool:
        try:
            token = self._load(account)
            return token is not None and token.expires_at < before
        except StoreError:
            private_files.check_folder(self._folder)
            return True

    def _token_files(self) -> Iterator[str]:
        private_files.check_folder(self._folder)
        with private_files.translated_errors(f"to list the folder {self._folder}"):
            entries = os.scandir(self._folder)
        with entries:
            while True:
                with private_files.translated_errors(f"to list the folder {self._folder}"):
                    entry = next(entries, None)
                if entry is None:
                    return
                if is_token_file(entry.name):
                    yield entry.name

    def _account_from_content(self, name: str) -> str | None:
        problem = "it is not a file that this store wrote"
        try:
            content = private_files.read(self._folder / name)
            found = None if content is None else _parse_token_file(content)
        except StoreError as error:
            problem, found = str(error), None
        if found is not None and token_file(found[0]) == name:
            return found[0]
        _LOGGER.warning("Skipped %s in %s: %s", name, self._folder, problem)
        return None


def token_file(account: str) -> str:
    """Return the name of the file with the account's token."""
    return f"token-{_stem(account)}.json"


def lease_file(account: str) -> str:
    """Return the name of the file that says who holds the account's lock."""
    return f"lease-{_stem(account)}.json"


def lock_file(account: str) -> str:
    """Return the name of the file that is locked for a step."""
    return f"step-{_digest(account)[:2]}.lock"


def is_token_file(name: str) -> bool:
    """Return whether a file of this name can be one with a token."""
    return _TOKEN_FILE.fullmatch(name) is not None


def account_from_file_name(name: str) -> str | None:
    """Return the account of a token's file; None if the name does not tell it."""
    match = _TOKEN_FILE.fullmatch(name)
    if match is None:
        return None
    try:
        unescaped = re.sub(
            rb"=([0-9a-f]{2})", lambda found: bytes.fromhex(found[1].decode()), match[1].encode()
        )
        account = checked_account(unescaped.decode())
    except (UnicodeDecodeError, ConfigurationError):
        return None
    return account if token_file(account) == name else None


def may_be_token_file_of(prefix: str, name: str) -> bool:
    """Return whether a token's file can be that of an account that begins with the prefix."""
    escaped, stem = _escaped(prefix), name.removeprefix("token-")
    if "~" in stem:  # a shortened name tells the beginning only
        return stem.startswith(escaped[:_SHORTENED_LENGTH])
    return stem.startswith(escaped)


def _escaped(text: str) -> str:
    return "".join(chr(byte) if byte in _UNESCAPED else f"={byte:02x}" for byte in text.encode())


def _stem(account: str) -> str:
    escaped = _escaped(account)
    if len(escaped) <= _MAX_ESCAPED_LENGTH:
        return escaped
    return f"{escaped[:_SHORTENED_LENGTH]}~{_digest(account)}"


def _digest(account: str) -> str:
    return hashlib.sha256(account.encode()).hexdigest()


def _parse_token_file(content: bytes) -> tuple[str, StoredToken] | None:
    try:
        match _parse_json(content):
            case {"account": str(account), "version": str(version), "token": token}:
                return checked_account(account), StoredToken(json.dumps(token), version)
            case _:
                return None
    except (ConfigurationError, RecursionError):
        return None


def _parse_json(content: bytes | None) -> Any:
    if content is None or len(content) > private_files.MAX_BYTES:
        return None
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _read_boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""  # not Linux; a lease of an earlier boot is then waited for


# A random word that changes each time the machine starts.
BOOT_ID: Final = _read_boot_id()
