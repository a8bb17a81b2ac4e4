"""Tokens in files of one machine: `FileTokenStore`. It needs the extra `file`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from logging import getLogger
from pathlib import Path
from typing import Final

from pipedrive_oauth_client.errors import ConfigurationError, CorruptTokenError, StoreError
from pipedrive_oauth_client.stores import file_entries, private_files
from pipedrive_oauth_client.stores.base import AnyVersion, Kept, LeasedStore
from pipedrive_oauth_client.stores.file_names import (
    is_token_file,
    lease_file,
    spelled_account,
    token_file,
)
from pipedrive_oauth_client.stores.file_steps import MOST_SECONDS, one_at_a_time
from pipedrive_oauth_client.stores.leases import DEFAULT_LEASE, Taken, seconds_since_boot
from pipedrive_oauth_client.stores.texts import from_text
from pipedrive_oauth_client.stores.times import aware

__all__ = ["FileTokenStore"]

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
        file = file_entries.entry_of(content)
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
        content = file_entries.content_of(account, kept)
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
            loan = file_entries.content_of_loan(owner, until)
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
        return file_entries.version_of(private_files.read(self._folder / token_file(account)))

    def _loan(self, account: str) -> tuple[str | None, float]:
        return file_entries.loan_of(private_files.read(self._folder / lease_file(account)))

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
            file = file_entries.entry_of(private_files.read(self._folder / name))
        except StoreError as error:
            problem, file = str(error), None
        if file is not None and token_file(file.account) == name:
            return file.account
        _LOGGER.warning("%s in %s was passed over: %s", name, self._folder, problem)
        return None
