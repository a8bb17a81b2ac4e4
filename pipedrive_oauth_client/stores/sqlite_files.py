"""The file of an SQLite database, which nobody else may read."""

from __future__ import annotations

import os
import stat
import sys
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from sqlalchemy.engine import URL

from pipedrive_oauth_client.errors import ConfigurationError, StoreError

__all__ = ["check_file", "file_of", "make_file"]


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
