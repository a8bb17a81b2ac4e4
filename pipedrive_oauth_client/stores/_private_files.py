"""Files and folders that belong to this user alone: made, checked, read, replaced and removed."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from logging import getLogger
from pathlib import Path
from typing import Final

from pipedrive_oauth_client.errors import ConfigurationError, StoreError
from pipedrive_oauth_client.generated.encode import argument

__all__ = [
    "MAX_BYTES",
    "check_folder",
    "make_folder",
    "prepare_database",
    "read",
    "translated_errors",
    "unlink",
    "write",
]

_LOGGER: Final = getLogger("pipedrive_oauth_client")

# A token takes some hundred bytes.
MAX_BYTES: Final = 1024 * 1024

_READ: Final = os.O_RDONLY | getattr(os, "O_BINARY", 0)
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
# A link could lead to another user's file, and opening a pipe would wait for its other end.
_CAREFUL: Final = (
    getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
)


# What SQLite keeps beside a database, with parts of its content.
_JOURNALS: Final = ("-journal", "-wal", "-shm")


@contextmanager
def translated_errors(action: str) -> Generator[None]:
    """Turn an `OSError` into a `StoreError` that begins with "Failed" and the action."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise StoreError(
            f"Failed {action}: {reason}. Make sure that the folder exists, that this program may"
            " write to it, and that the disk has room and works."
        ) from error


def make_folder(path: str | Path) -> Path:
    """Make a folder and its missing parents for this user alone; return its absolute path.

    Raises `ConfigurationError` if the path can't be one or names something else than a folder.
    """
    folder = _absolute(path)
    with translated_errors(f"to make the folder {folder}"):
        missing = [each for each in (folder, *folder.parents) if not _exists(each)]
        for each in reversed(missing):
            with suppress(FileExistsError):  # another process was faster
                each.mkdir(0o700)
    if not folder.is_dir():
        raise ConfigurationError(f"path must name a folder, but {folder} is something else.")
    check_folder(folder)
    return folder


def check_folder(folder: Path, *, tighten: bool = True) -> None:
    """Make sure that a folder exists, and that no other user but root may write to it.

    With `tighten`, the group's right to write to a folder of this user is taken away: Kubernetes
    gives it to the group of a volume (`fsGroup`).
    """
    with translated_errors(f"to look at the folder {folder}"):
        status = folder.stat()
        if not stat.S_ISDIR(status.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    if sys.platform == "win32":
        return
    if status.st_uid not in (os.geteuid(), 0):
        raise StoreError(
            f"The folder {folder} belongs to another user ({status.st_uid}), who may write to it."
            f" Run: chown {os.geteuid()} '{folder}'"
        )
    others = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    is_own = status.st_uid == os.geteuid()
    if tighten and is_own and others == stat.S_IWGRP and _tighten(folder, folder, "go-w", status):
        return
    if others:
        own = folder / "tokens"
        below = "" if is_own else f" Or use a folder of this program's own below it, such as {own}."
        raise StoreError(
            f"Other users may write to the folder {folder}. Run: chmod go-w '{folder}', and check"
            f" that they have not put tokens there.{below}"
        )


def read(path: Path) -> bytes | None:
    """Return the content of a file that only this user can read, or None if there is no file.

    At most one byte more than `MAX_BYTES` is read.
    """
    with translated_errors(f"to read {path}"):
        try:
            file = os.open(path, _READ | _CAREFUL)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise StoreError(
                    f"{path} is a symbolic link, and symbolic links are not followed. Put the file"
                    " in its place."
                ) from error
            raise
        with os.fdopen(file, "rb") as opened:
            _check_status(path, os.fstat(file), file)
            return opened.read(MAX_BYTES + 1)


def write(path: Path, data: bytes, *, durable: bool) -> None:
    """Replace a file atomically; if durable, in a way that survives a power cut.

    After an error the previous file is still there, unless only the last step of making the new one
    durable failed. Only one caller at a time may write a file: it removes an incomplete draft.
    """
    draft = path.with_name(f"{path.name}.new")
    with translated_errors(f"to write {path}"):
        draft.unlink(missing_ok=True)
        try:
            with os.fdopen(os.open(draft, _CREATE | _CAREFUL, 0o600), "wb") as opened:
                opened.write(data)
                opened.flush()
                if durable:
                    os.fsync(opened.fileno())
            draft.replace(path)
        except BaseException:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
            raise
        if durable:
            _sync_folder(path.parent)


def unlink(path: Path, *, durable: bool) -> None:
    """Remove a file and the draft that a killed program may have left, if they exist."""
    with translated_errors(f"to remove {path}"):
        path.with_name(f"{path.name}.new").unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        if durable:
            _sync_folder(path.parent)


def prepare_database(path: Path) -> tuple[int, int]:
    """Make an empty file for SQLite if there is none, and check it; return which file it is.

    Links are followed, since SQLite follows them, and puts its journals beside the file that they
    lead to. New journals have the rights of the database.
    """
    file = Path(os.path.realpath(path))
    for folder in dict.fromkeys((path.parent, file.parent)):
        # Not made tighter: the database may be the app's own, and its group may need it.
        check_folder(folder, tighten=False)
    with translated_errors(f"to make the database {file}"), suppress(FileExistsError):
        os.close(os.open(file, _CREATE | _CAREFUL, 0o600))
    with translated_errors(f"to look at the database {file}"):
        status = file.lstat()
        _check_status(file, status)
        for suffix in _JOURNALS:
            journal = file.with_name(file.name + suffix)
            with suppress(FileNotFoundError):
                _check_status(journal, journal.lstat())
    return status.st_dev, status.st_ino


def _absolute(path: str | Path) -> Path:
    if argument("path", path, str | Path) == "":
        raise ConfigurationError("path must name a folder; it is empty.")
    if "\0" in str(path):
        raise ConfigurationError("path must name a folder; it contains a NUL.")
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError as error:
        raise ConfigurationError(f"path must name a folder: {error}") from error


def _exists(path: Path) -> bool:
    # Path.exists takes a folder whose parent can't be searched for a missing one.
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    return True


def _check_status(path: Path, status: os.stat_result, opened: int | None = None) -> None:
    """Reject what is no file, or not this user's alone; an opened file is taken from its group."""
    if not stat.S_ISREG(status.st_mode):
        raise StoreError(f"{path} is not a regular file. Remove it, or move it elsewhere.")
    if sys.platform == "win32":
        return
    if status.st_uid != os.geteuid():
        raise StoreError(
            f"{path} belongs to another user ({status.st_uid}). If its content can be trusted, run:"
            f" chown {os.geteuid()} '{path}'"
        )
    others = status.st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    is_groups_alone = not others & stat.S_IRWXO
    if others and opened is not None and is_groups_alone and _tighten(path, opened, "600", status):
        return
    if others:
        raise StoreError(
            f"Other users can read or change {path}. Run: chmod 600 '{path}'. If they may have read"
            " it, have every user whose token it holds authorize the app again."
        )


def _tighten(path: Path, place: Path | int, mode: str, status: os.stat_result) -> bool:
    """Take rights away from the group, with a warning; tell whether that was possible."""
    wanted = 0o600 if mode == "600" else stat.S_IMODE(status.st_mode) & ~stat.S_IWGRP
    try:
        os.chmod(place, wanted)  # noqa: PTH101 - a path, or a file that is open
    except OSError:
        return False
    _LOGGER.warning(
        "The group %d had access to %s, as Kubernetes grants it (fsGroup). It was removed"
        " (chmod %s). If others are in that group, replace the tokens: have users authorize the"
        " app again.",
        status.st_gid,
        path,
        mode,
    )
    return True


def _sync_folder(folder: Path) -> None:
    if sys.platform == "win32":
        return
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
