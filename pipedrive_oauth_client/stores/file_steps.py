"""Steps that one thread of one process takes at a time, by a lock of the operating system.

Such a lock goes when its holder dies. It is held for a step of a few milliseconds only; the lock
that is held during a renewal is a lease, since a program that was stopped keeps this one.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from pipedrive_oauth_client.errors import StoreError, StoreLockTimeoutError
from pipedrive_oauth_client.stores.file_names import lock_file
from pipedrive_oauth_client.stores.private_files import check_folder

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

__all__ = ["MOST_SECONDS", "one_at_a_time"]

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
