"""Tokens in files of one machine: `FileTokenStore`. It needs the extra `file`."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime, timedelta
from logging import getLogger
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen
from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from pipedrive_oauth_client.errors import (
    ConfigurationError,
    CorruptTokenError,
    StoreError,
    StoreLockTimeoutError,
)
from pipedrive_oauth_client.stores import _private_files as private_files
from pipedrive_oauth_client.stores._private_files import MOST_BYTES, check_folder
from pipedrive_oauth_client.stores.leased import (
    DEFAULT_LEASE,
    AnyVersion,
    Kept,
    LeasedStore,
    Taken,
    aware,
    from_text,
    seconds_since_boot,
)
from pipedrive_oauth_client.stores.protocol import checked_account

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

__all__ = [
    "BOOT",
    "MOST_SECONDS",
    "Entry",
    "FileTokenStore",
    "content_of",
    "content_of_loan",
    "entry_of",
    "is_token_file",
    "lease_file",
    "loan_of",
    "lock_file",
    "one_at_a_time",
    "spelled_account",
    "token_file",
    "version_of",
]

# With what is put around it, a name stays below the 143 bytes that encrypting file systems leave.
_MOST_SPELLED: Final = 116
_BEGINNING: Final = 48
_PLAIN: Final = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-_.")
_TOKEN_FILE: Final = re.compile(r"token-([a-z0-9._=~-]+)\.json")


def token_file(account: str) -> str:
    """Give the name of the file with the account's token."""
    return f"token-{_stem(account)}.json"


def lease_file(account: str) -> str:
    """Give the name of the file that says who holds the account's lock."""
    return f"lease-{_stem(account)}.json"


def lock_file(account: str) -> str:
    """Give the name of the file that is locked for a step; 256 of them serve all accounts."""
    return f"step-{_digest(account)[:2]}.lock"


def is_token_file(name: str) -> bool:
    """Tell whether a file of this name can be one with a token."""
    return _TOKEN_FILE.fullmatch(name) is not None


def spelled_account(name: str) -> str | None:
    """Read an account from the name of its file.

    Args:
        name: The name of a file.

    Returns:
        The account; None where its name does not tell it, or is of no file of ours.
    """
    match = _TOKEN_FILE.fullmatch(name)
    if match is None:
        return None
    try:
        escaped = re.sub(
            rb"=([0-9a-f]{2})", lambda found: bytes.fromhex(found[1].decode()), match[1].encode()
        )
        account = checked_account(escaped.decode())
    except (UnicodeDecodeError, ConfigurationError):
        return None
    return account if token_file(account) == name else None


def _stem(account: str) -> str:
    spelled = "".join(chr(byte) if byte in _PLAIN else f"={byte:02x}" for byte in account.encode())
    if len(spelled) <= _MOST_SPELLED:
        return spelled
    return f"{spelled[:_BEGINNING]}~{_digest(account)}"


def _digest(account: str) -> str:
    return hashlib.sha256(account.encode()).hexdigest()


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""  # another system than Linux; what is left of an earlier boot is outlived


BOOT: Final = _boot()
"""Since when this machine is running, as a random word."""


@frozen
class Entry:
    """A token's file.

    Attributes:
        account: Whose token it is.
        kept: The token and its version.
    """

    account: str
    kept: Kept


def content_of(account: str, kept: Kept) -> bytes:
    """Write a token's file."""
    entry = {"account": account, "version": kept.version, "token": json.loads(kept.text)}
    return json.dumps(entry, indent=1).encode()


def entry_of(content: bytes | None) -> Entry | None:
    """Read a token's file; None where that is not what is in it."""
    try:
        match _parsed(content):
            case {"account": str(account), "version": str(version), "token": token}:
                return Entry(checked_account(account), Kept(json.dumps(token), version))
            case _:
                return None
    except (ConfigurationError, RecursionError):
        return None


def version_of(content: bytes | None) -> str | None:
    """Give the version of what is in a token's file; None where there is no file.

    What is damaged has a version, too: whoever has the lock may replace it as long as it stays as
    it is.
    """
    if content is None:
        return None
    entry = entry_of(content)
    return hashlib.sha256(content).hexdigest() if entry is None else entry.kept.version


def content_of_loan(owner: str, until: float) -> bytes:
    """Write the file of a lock, with the time at which it ends in seconds since the boot."""
    return json.dumps({"owner": owner, "until": until, "boot": BOOT}).encode()


def loan_of(content: bytes | None) -> tuple[str | None, float]:
    """Read the file of a lock: who has it, and until when.

    A power cut may leave half of such a file, and nobody who had a lock before the machine was
    started is still there.
    """
    match _parsed(content):
        case {"owner": str(owner), "until": int() | float() as until, "boot": boot} if boot == BOOT:
            return owner, until
        case _:
            return None, 0.0


def _parsed(content: bytes | None) -> Any:
    if content is None or len(content) > MOST_BYTES:
        return None
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


MOST_SECONDS: Final = 15.0
"""How long to wait for somebody else's step."""

_POLL_SECONDS: Final = 0.01


@contextmanager
def one_at_a_time(folder: Path, account: str, *, most: float = MOST_SECONDS) -> Generator[None]:
    """Keep other threads and processes from an account's files, for a step.

    Args:
        folder: The folder with the files.
        account: The account.
        most: How many seconds to wait for somebody else's step, at most.

    Yields:
        Nothing. Steps must not be nested.

    Raises:
        StoreLockTimeoutError: Somebody else did not finish a step in time.
        StoreError: The folder is not there or not safe, or its file system has no locks.
    """
    check_folder(folder)
    path = folder / lock_file(account)
    if path.is_symlink():  # which older versions of the library follow
        raise StoreError(f"{path} is a symbolic link, and those are not followed. Remove it.")
    # A new one each time: then threads, and processes that were forked, share nothing.
    lock: BaseFileLock = FileLock(path, mode=0o600, thread_local=False)
    try:
        lock.acquire(timeout=min(most, MOST_SECONDS), poll_interval=_POLL_SECONDS)
    except Timeout as error:
        raise StoreLockTimeoutError(
            f"Another program keeps {path} locked, which takes a moment only. Try again; if it"
            " lasts, look for a program that was stopped."
        ) from error
    except (OSError, NotImplementedError) as error:
        why = getattr(error, "strerror", None) or "its file system has no locks"
        raise StoreError(
            f"Failed to lock {path}: {why}. Make sure that the folder is there and on a local disk,"
            " that this program may write to it, and that the disk has room and works."
        ) from error
    try:
        # What the library falls back to is not let go of when its holder dies.
        if isinstance(lock, SoftFileLock):
            raise StoreError(
                f"The file system of {folder} has no locks. Put the folder on a local disk, or take"
                " another store."
            )
        yield
    finally:
        lock.release()


# Windows does not replace a file that somebody is reading.
_READERS_ARE_IN_THE_WAY: Final = sys.platform == "win32"
_LOGGER: Final = getLogger("pipedrive_oauth_client")


class FileTokenStore(LeasedStore):
    """Keeps each account's token in a JSON file of its own, for the programs of one machine.

    The folder is made where it is missing, for this user alone. On POSIX systems a folder that
    others may write to, a token that others can read, and symbolic links in place of a token are
    refused. A token is written beside the one before and then put in its place, so that a program
    or a machine that stops leaves one of the two, whole. Its lock is good between threads and
    processes, not between machines: a folder that several of them share is no place for it.

    A token that can't be read is an error of its account alone, and `due` gives that account, so
    that whoever renews it is told. Only if the file's name does not tell the account, which is one
    of more than about a hundred characters, is it passed over, with a warning in the log.

    Args:
        path: The folder; a `~` at its beginning is the user's home.
        lease: How long a lock is lent for.
        wait: How long `lock` waits for another holder; 15 seconds more than the lease by default.

    Raises:
        ConfigurationError: `path` names no folder, or a time is no timedelta above zero.
        StoreError: The folder can't be made, or others may write to it; the error says what to do.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        lease: timedelta = DEFAULT_LEASE,
        wait: timedelta | None = None,
    ) -> None:
        super().__init__(lease=lease, wait=wait)
        self._folder = private_files.make_folder(path)
        # Not the time of day, which somebody may set in the middle of a renewal.
        self._now: Callable[[], float] = seconds_since_boot

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._folder)!r})"

    def accounts(self) -> Iterator[str]:
        """Give all accounts that have a token; see `TokenStore.accounts`.

        Returns:
            The accounts, one by one.

        Raises:
            StoreError: The folder can't be read.
        """
        for name in self._token_files():
            account = spelled_account(name) or self._written_account(name)
            if account is not None:
                yield account

    def due(self, before: datetime) -> Iterator[str]:
        """Give the accounts whose access token expires before a time.

        Args:
            before: The time, aware.

        Returns:
            The accounts, one by one, and those whose token can't be read.

        Raises:
            StoreError: The folder can't be read.
            ConfigurationError: `before` has no time zone.
        """
        aware("before", before)
        return (account for account in self.accounts() if self._is_due(account, before))

    def _read(self, account: str) -> Kept | None:
        private_files.check_folder(self._folder)
        with self._step(account) if _READERS_ARE_IN_THE_WAY else nullcontext():
            content = private_files.read(self._folder / token_file(account))
        if content is None:
            return None
        file = entry_of(content)
        if file is None:
            raise CorruptTokenError(
                f"{token_file(account)} in {self._folder} is not what this store writes. Restore it"
                " from a backup, or have the person authorize the app again."
            )
        if file.account != account:
            raise CorruptTokenError(
                f"{token_file(account)} in {self._folder} holds the token of another account. Put"
                " the right file in its place, or have the person authorize the app again."
            )
        return file.kept

    def _write(
        self, account: str, kept: Kept, expires_at: datetime, expected: AnyVersion | str | None
    ) -> bool:
        del expires_at  # `due` reads it from the token
        content = content_of(account, kept)
        if len(content) > private_files.MOST_BYTES:
            raise ConfigurationError(
                f"token must take no more than {private_files.MOST_BYTES} bytes in a file."
            )
        with self._step(account):
            if not isinstance(expected, AnyVersion) and self._version(account) not in (
                expected,
                kept.version,
            ):
                return False
            private_files.write(self._folder / token_file(account), content, lasting=True)
            return True

    def _remove(self, account: str) -> None:
        with self._step(account):
            private_files.unlink(self._folder / token_file(account), lasting=True)

    def _take(self, account: str, owner: str, stale: str | None) -> Taken:
        with self._step(account, most=self._wait.total_seconds()):
            holder, until = self._loan(account)
            if holder is not None and holder not in (owner, stale) and self._now() < until:
                return Taken(holder=holder)
            version = self._version(account)
            until = self._now() + self._lease.total_seconds()
            loan = content_of_loan(owner, until)
            # Nobody who had a lock is still there after a power cut.
            private_files.write(self._folder / lease_file(account), loan, lasting=False)
            return Taken(version=version)

    def _release(self, account: str, owner: str) -> None:
        with self._step(account):
            if self._loan(account)[0] == owner:
                private_files.unlink(self._folder / lease_file(account), lasting=False)

    def _step(self, account: str, most: float = MOST_SECONDS) -> AbstractContextManager[None]:
        return one_at_a_time(self._folder, account, most=most)

    def _version(self, account: str) -> str | None:
        return version_of(private_files.read(self._folder / token_file(account)))

    def _loan(self, account: str) -> tuple[str | None, float]:
        return loan_of(private_files.read(self._folder / lease_file(account)))

    def _is_due(self, account: str, before: datetime) -> bool:
        try:
            kept = self._read(account)
            return kept is not None and from_text(kept.text).expires_at < before
        except StoreError:
            private_files.check_folder(self._folder)
            return True

    def _token_files(self) -> Iterator[str]:
        private_files.check_folder(self._folder)
        with private_files.reported(f"to list the folder {self._folder}"):
            entries = os.scandir(self._folder)
        with entries:
            while True:
                with private_files.reported(f"to list the folder {self._folder}"):
                    entry = next(entries, None)
                if entry is None:
                    return
                if is_token_file(entry.name):
                    yield entry.name

    def _written_account(self, name: str) -> str | None:
        problem = "its content is not what this store writes"
        try:
            file = entry_of(private_files.read(self._folder / name))
        except StoreError as error:
            problem, file = str(error), None
        if file is not None and token_file(file.account) == name:
            return file.account
        _LOGGER.warning("%s in %s was passed over: %s", name, self._folder, problem)
        return None
