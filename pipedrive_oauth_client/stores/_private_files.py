"""The file of an SQLite database, which nobody else may read."""

from __future__ import annotations

import errno
import os
import stat
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, unquote, urlsplit

from sqlalchemy.engine import URL

from pipedrive_oauth_client.errors import ConfigurationError, StoreError
from pipedrive_oauth_client.generated.encode import argument

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = [
    "MOST_BYTES",
    "check_file",
    "check_folder",
    "file_of",
    "make_file",
    "make_folder",
    "read",
    "reported",
    "unlink",
    "write",
]

MOST_BYTES: Final = 1024 * 1024
"""The longest file; a token takes some hundred bytes."""

_READ: Final = os.O_RDONLY | getattr(os, "O_BINARY", 0)
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
# A link could lead to somebody else's file, and opening a pipe would wait for its other end.
_CAREFUL: Final = (
    getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
)


@contextmanager
def reported(doing: str) -> Generator[None]:
    """Turn an error of the operating system into one of this package.

    Args:
        doing: What is being done, for the error.

    Raises:
        StoreError: It failed.
    """
    try:
        yield
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise StoreError(
            f"Failed {doing}: {why}. Make sure that the folder is there, that this program may"
            " write to it, and that the disk has room and works."
        ) from error


def make_folder(path: str | Path) -> Path:
    """Make a folder for this user alone, and those above it, where they are missing.

    Args:
        path: The folder; a `~` at its beginning is the user's home.

    Returns:
        Its absolute path.

    Raises:
        ConfigurationError: It can't be a path, or there is something else in its place.
        StoreError: It can't be made, or others may write to it.
    """
    folder = _absolute(path)
    with reported(f"to make the folder {folder}"):
        missing = [each for each in (folder, *folder.parents) if not _is_there(each)]
        for each in reversed(missing):
            with suppress(FileExistsError):  # somebody else was faster
                each.mkdir(0o700)
    if not folder.is_dir():
        raise ConfigurationError(f"path must name a folder, and {folder} is something else.")
    check_folder(folder)
    return folder


def check_folder(folder: Path) -> None:
    """Make sure that a folder is there, and that nobody else may write to it.

    Args:
        folder: The folder.

    Raises:
        StoreError: It is not there, or others may write to it.
    """
    with reported(f"to look at the folder {folder}"):
        status = folder.stat()
        if not stat.S_ISDIR(status.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    if sys.platform == "win32":
        return
    if status.st_uid not in (os.geteuid(), 0):
        raise StoreError(
            f"The folder {folder} belongs to somebody else (user {status.st_uid}), who may write to"
            f" it. Run: chown {os.geteuid()} '{folder}'"
        )
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise StoreError(
            f"Others may write to the folder {folder}. Run: chmod 700 '{folder}', and make sure"
            " that nobody has put tokens there."
        )


def read(path: Path) -> bytes | None:
    """Read a file that is this user's alone.

    Args:
        path: The file.

    Returns:
        What is in it, up to one byte more than `MOST_BYTES`; None where there is no file.

    Raises:
        StoreError: It can't be read, or others can read it, or it is no file of this user.
    """
    with reported(f"to read {path}"):
        try:
            file = os.open(path, _READ | _CAREFUL)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise StoreError(
                    f"{path} is a symbolic link, and those are not followed. Put the file in its"
                    " place."
                ) from error
            raise
        with os.fdopen(file, "rb") as opened:
            _check_file(path, os.fstat(file))
            return opened.read(MOST_BYTES + 1)


def write(path: Path, data: bytes, *, lasting: bool) -> None:
    """Put a file in place of the one before, at one stroke.

    Only one caller at a time may write a file: what an earlier one has left half-written is
    removed.

    Args:
        path: The file.
        data: What is to be in it.
        lasting: Whether it has to survive a power cut.

    Raises:
        StoreError: It can't be written. The one before is still there, unless all was done but
            making it last.
    """
    draft = path.with_name(f"{path.name}.new")
    with reported(f"to write {path}"):
        draft.unlink(missing_ok=True)
        try:
            with os.fdopen(os.open(draft, _CREATE | _CAREFUL, 0o600), "wb") as opened:
                opened.write(data)
                opened.flush()
                if lasting:
                    os.fsync(opened.fileno())
            draft.replace(path)
        except BaseException:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
            raise
        if lasting:
            _sync_folder(path.parent)


def unlink(path: Path, *, lasting: bool) -> None:
    """Remove a file, and what a killed program has left of writing it, if they are there.

    Args:
        path: The file.
        lasting: Whether it has to stay away after a power cut.

    Raises:
        StoreError: It can't be removed.
    """
    with reported(f"to remove {path}"):
        path.with_name(f"{path.name}.new").unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        if lasting:
            _sync_folder(path.parent)


def _absolute(path: str | Path) -> Path:
    if argument("path", path, str | Path) == "":
        raise ConfigurationError("path must name a folder; it is empty.")
    if "\0" in str(path):
        raise ConfigurationError("path must name a folder; it holds a NUL.")
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError as error:
        raise ConfigurationError(f"path must name a folder: {error}") from error


def _is_there(path: Path) -> bool:
    # Unlike `exists` this does not take a folder that can't be looked into for a missing one.
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    return True


def _check_file(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise StoreError(f"{path} is no regular file. Remove it, or move it elsewhere.")
    if sys.platform == "win32":
        return
    if status.st_uid != os.geteuid():
        raise StoreError(
            f"{path} belongs to somebody else (user {status.st_uid}). If its content can be"
            f" trusted, run: chown {os.geteuid()} '{path}'"
        )
    if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise StoreError(
            f"Others can read or change {path}. Run: chmod 600 '{path}'. If somebody may have read"
            " it, have the person authorize the app again."
        )


def _sync_folder(folder: Path) -> None:
    if sys.platform == "win32":
        return
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def file_of(url: URL) -> Path:
    """Give the file that an address names.

    Args:
        url: The address of an SQLite database.

    Returns:
        The file.

    Raises:
        ConfigurationError: It is a database in memory.
    """
    name = url.database or ""
    mode = url.query.get("mode")
    is_uri = name.startswith("file:")
    if is_uri:
        parts = urlsplit(name)
        name, inner = unquote(parts.path), parse_qs(parts.query).get("mode", [])
        mode = inner[-1] if inner else mode
    if name in {"", ":memory:"} or mode == "memory":
        raise ConfigurationError(
            "The database is in the memory of one connection, so that threads could not share it."
            " Name a file (sqlite:////folder/tokens.db), or take MemoryTokenStore."
        )
    # As SQLAlchemy does, which lets SQLite find the file of a URI anew each time.
    return Path(name) if is_uri else Path(name).absolute()


def make_file(path: Path) -> bool:
    """Make an empty file for this user alone, if there is none.

    SQLite makes its journals with the rights of the database, so those are right as well.

    Args:
        path: The file.

    Returns:
        Whether it was missing.

    Raises:
        StoreError: It can't be made.
    """
    try:
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
            return True
    except OSError as error:
        raise StoreError(
            f"The database {path} can't be made: {error.strerror}. Make sure that the folder is"
            " there, and that this program may write to it."
        ) from error
    return False


def check_file(path: Path) -> None:
    """Refuse a file that others can read, on POSIX systems.

    Args:
        path: The file.

    Raises:
        StoreError: Others can read or change it, or nobody can look at it.
    """
    if sys.platform == "win32":
        return
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return  # which the database says better
    except OSError as error:
        raise StoreError(
            f"The database {path} can't be looked at: {error.strerror}. Make sure that this program"
            " may read its folder."
        ) from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise StoreError(
            f"Others can read or change {path}. Run: chmod 600 '{path}'. If somebody may have read"
            " it, have the people authorize the app again."
        )
