"""What the error codes of databases mean, and what of an error's text may be shown.

Drivers and databases repeat the statement, its parameters or the row that they reject, and so
tokens. Both stores that keep them in a database use this, SQLAlchemy's and Django's.
"""

from __future__ import annotations

from typing import Final

__all__ = ["COLLISIONS", "HIDDEN", "LOST", "READ_ONLY", "code_of", "readable_text"]

# PostgreSQL's SQLSTATEs and the numbers of MySQL and MariaDB.
COLLISIONS: Final[frozenset[str | int]] = frozenset({"40001", "40P01", 1213, 1020})
"""Two transactions collided, and the database has rolled this one back."""

READ_ONLY: Final[frozenset[str | int]] = frozenset({"25006", 1290, 1792, 1836})
"""The server does not accept writes: after a failover, the previous primary."""

LOST: Final[frozenset[str | int]] = frozenset(
    {"08000", "08003", "08006", "57P01", "57P02", "57P03"}
    | {0, 1053, 1927, 2002, 2003, 2006, 2013, 2055, 4031}
)
"""The connection was lost. Not 08P01, with which a pooler rejects another session's statement."""

HIDDEN: Final = "its text is hidden, since it may repeat stored content"

# Errors whose text is the database's own and repeats no content.
_READABLE_CLASSES: Final = ("08", "25", "26", "28", "3D", "3F", "40", "53", "54", "55", "57")
_READABLE_POSTGRESQL_CODES: Final = ("42501", "42703", "42P01")
_READABLE_MYSQL_CODES: Final = frozenset(
    {1020, 1021, 1030, 1036, 1040, 1041, 1044, 1045, 1049, 1053, 1054, 1114, 1129, 1130, 1142}
    | {1143, 1146, 1159, 1161, 1203, 1205, 1206, 1213, 1226, 1290, 1317, 1792, 1836, 1927, 3024}
)


def code_of(error: BaseException | None) -> str | int | None:
    """Return the code of a driver's error, if it has one."""
    # MySQL's number, which says more than its SQLSTATE, or PostgreSQL's SQLSTATE.
    if error is None:
        return None
    if error.args and isinstance(error.args[0], int):
        return error.args[0]
    code: str | None = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    return code


def readable_text(error: BaseException, *, is_sqlite: bool, is_of_connection: bool) -> str:
    """Return what of the text of a driver's error repeats no stored content.

    `is_of_connection` says of an error without a code that it came before any statement.
    """
    text, code = str(error), code_of(error)
    if is_sqlite:
        return HIDDEN if "with text" in text else text
    if isinstance(code, int):
        is_readable = code in _READABLE_MYSQL_CODES or code >= 2000
        return text if is_readable else f"error {code}; {HIDDEN}"
    if code is None:
        # An error of the driver itself: it got no connection, or has lost it.
        return text if is_of_connection else HIDDEN
    if code.startswith(_READABLE_CLASSES) or code in _READABLE_POSTGRESQL_CODES:
        return getattr(getattr(error, "diag", None), "message_primary", None) or f"error {code}"
    return f"error {code}; {HIDDEN}"
