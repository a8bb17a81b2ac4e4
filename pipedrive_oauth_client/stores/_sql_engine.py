"""Engines for the token store: made from a URL, checked, and good in forked processes."""

from __future__ import annotations

import os
import weakref
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, exc, make_url
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.pool import AssertionPool, NullPool, SingletonThreadPool, StaticPool

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.stores._private_files import file_of

__all__ = [
    "BACKEND_ERRORS",
    "checked_engine",
    "engine_of",
    "is_passing",
    "may_be_race",
    "shown",
    "tidy",
    "what_to_do",
]

BACKEND_ERRORS: Final = (exc.SQLAlchemyError, OSError, RuntimeError, UnicodeError)
"""What comes out of a database: SQLAlchemy's errors, and what a driver raises past it."""

# Two transactions were in each other's way, and the database has undone this one.
_COLLISIONS: Final[frozenset[str | int]] = frozenset({"40001", "40P01", 1213, 1020})
_MOST_COLLISIONS: Final = 20
_MOST_RACES: Final = 6

_POSTGRESQL_READABLE: Final = ("08", "25", "26", "28", "3D", "3F", "40", "53", "54", "55", "57")
_POSTGRESQL_READABLE_CODES: Final = ("42501", "42703", "42P01")
# Codes of PostgreSQL and MySQL, what SQLite says, and what to do.
_ADVICE: Final[tuple[tuple[frozenset[str | int], tuple[str, ...], str], ...]] = (
    (
        frozenset({"42P01", 1146}),
        ("no such table",),
        (
            "The database has no table {table}. Make it with your migrations, or let a new store"
            " make it: create_table=True."
        ),
    ),
    (
        frozenset({"42703", 1054}),
        ("no column named", "no such column"),
        (
            "The table {table} lacks a column. Compare it with the one that stores.sql.token_table"
            " describes."
        ),
    ),
    (
        frozenset({"42501", 1044, 1045, 1142, 1143}),
        (),
        "The database refuses the user. Check the password and the user's rights.",
    ),
    (
        _COLLISIONS | {"55P03", "57014", 1205},
        ("database is locked",),
        "The database was too busy for a step of the token store. Try again.",
    ),
    (
        frozenset({"25006", 1290, 1792, 1836}),
        ("readonly database",),
        "The database can't be written to. Give the store one that can.",
    ),
    (
        frozenset({"53100", 1021, 1114}),
        ("disk is full",),
        "The database has no room left. Make room, then try again.",
    ),
)
_MYSQL_READABLE: Final = frozenset(
    {1020, 1021, 1030, 1036, 1040, 1041, 1044, 1045, 1049, 1053, 1054, 1114, 1129, 1130, 1142}
    | {1143, 1146, 1159, 1161, 1203, 1205, 1206, 1213, 1226, 1290, 1317, 1792, 1836, 1927, 3024}
)


def is_passing(error: BaseException, tries: int) -> bool:
    """Tell whether a step that failed may be done again; twice is the same as once.

    Args:
        error: The error.
        tries: How often the step has failed.

    Returns:
        Whether the connection was lost for the first time, or another transaction was in the way.
    """
    if not isinstance(error, exc.DBAPIError):
        return False
    if error.connection_invalidated:
        return tries < 2
    return _is_collision(error) and tries < _MOST_COLLISIONS


def may_be_race(error: BaseException, tries: int) -> bool:
    """Tell whether making the table failed since somebody else did so at the same time.

    Args:
        error: The error.
        tries: How often it has failed.

    Returns:
        Whether to look again whether it is there.
    """
    if isinstance(error, exc.DBAPIError) and error.statement and not error.connection_invalidated:
        # SQLite has waited already.
        return tries < (2 if "is locked" in str(error.orig) else _MOST_RACES)
    return is_passing(error, tries)


def tidy(error: BaseException) -> BaseException:
    """Take out of an error what it may repeat of a token.

    SQLAlchemy appends the parameters, some drivers the statement with the parameters in it, and
    databases the row that they refuse. What says why there is no connection is left as it is.

    Args:
        error: The error, which is changed.

    Returns:
        The same error.
    """
    if not isinstance(error, exc.StatementError):
        return error
    error.params = None
    error.hide_parameters = True
    if error.orig is None:
        return error
    text = _readable(error.orig, error.statement)
    told = type(error.orig)
    # A new one: the old one has the answer of the server as well as the text.
    error.orig = _bare(told, text)
    error.args = (f"({told.__module__}.{told.__name__}) {text}",)
    error.__cause__, error.__context__ = error.orig, None
    return error


def what_to_do(error: BaseException, table: str) -> str:
    """Say what has happened, and what can be done.

    Args:
        error: The error.
        table: The name of the table.

    Returns:
        Sentences that repeat nothing of the error.
    """
    orig = getattr(error, "orig", None)
    code, text = _code(orig), str(orig)
    for codes, words, advice in _ADVICE:
        if code in codes or any(word in text for word in words):
            return advice.format(table=table)
    if _is_unreachable(error):
        return (
            "The token store can't reach its database. Make sure that it runs, and that its"
            " address, user and password are right; then try again."
        )
    return "The database failed in a step of the token store; the cause says why."


def _is_collision(error: BaseException) -> bool:
    return isinstance(error, exc.DBAPIError) and _code(error.orig) in _COLLISIONS


def _is_unreachable(error: BaseException) -> bool:
    if isinstance(error, exc.DBAPIError):
        return error.connection_invalidated or error.statement is None
    return isinstance(error, exc.TimeoutError | OSError)


def _bare(kind: type[BaseException], text: str) -> BaseException:
    try:
        return kind(text)
    except Exception:  # noqa: BLE001 - a driver's error may want anything
        return RuntimeError(text)


def _code(error: BaseException | None) -> str | int | None:
    # MySQL's number, which says more than its SQLSTATE, or PostgreSQL's SQLSTATE.
    if error is None:
        return None
    if error.args and isinstance(error.args[0], int):
        return error.args[0]
    code: str | None = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    return code


def _readable(error: BaseException, statement: str | None) -> str:
    text, code = str(error), _code(error)
    hidden = "its text is hidden, since it may repeat what is stored"
    if type(error).__module__.startswith("sqlite3"):
        return hidden if "with text" in text else text
    if isinstance(code, int):
        return text if code in _MYSQL_READABLE or code >= 2000 else f"error {code}; {hidden}"
    if code is None:
        # Of the driver itself: it got no connection, or has lost it.
        of_connection = type(error).__name__ in {"OperationalError", "InterfaceError"}
        return text if of_connection or statement is None else hidden
    if code.startswith(_POSTGRESQL_READABLE) or code in _POSTGRESQL_READABLE_CODES:
        return getattr(getattr(error, "diag", None), "message_primary", None) or f"error {code}"
    return f"error {code}; {hidden}"


_KINDS: Final = frozenset({"sqlite", "postgresql", "mysql", "mariadb"})

# What is set unless the URL sets it. A server that is gone without a word is noticed in time.
_LIBPQ: Final = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
_MYSQL: Final = {
    "connect_timeout": 10,
    "read_timeout": 30,
    "write_timeout": 30,
    "init_command": "SET SESSION innodb_lock_wait_timeout = 15",
}
_SETTINGS: Final[dict[str, dict[str, Any]]] = {
    "psycopg": _LIBPQ,
    "psycopg2": _LIBPQ,
    "pymysql": _MYSQL,
    "mysqldb": _MYSQL,
    "pysqlite": {"timeout": 20.0},
}
# For one transaction, since a connection pooler gives the next one to somebody else. A program that
# is stopped between two statements keeps the row for the last of these times.
_POSTGRESQL_LIMITS: Final = (
    "SELECT set_config('lock_timeout', '15s', true), set_config('statement_timeout', '25s', true),"
    " set_config('idle_in_transaction_session_timeout', '5s', true)"
)

# Used by this process; a child that is forked must not go on with its connections.
_ENGINES: Final[weakref.WeakSet[Engine]] = weakref.WeakSet()


def engine_of(url: str | URL) -> Engine:
    """Make an engine for the token store alone.

    Args:
        url: The address of the database, as SQLAlchemy writes it.

    Returns:
        The engine, which has no connection yet.

    Raises:
        ConfigurationError: The address can't be right, or its driver is not there or not for
            this store.
    """
    parsed = _parsed(url)
    kind, driver = _dialect(parsed)
    if kind == "sqlite":
        file_of(parsed)
    settings = {
        name: value for name, value in _SETTINGS.get(driver, {}).items() if name not in parsed.query
    }
    more: dict[str, Any] = {"poolclass": NullPool} if kind == "sqlite" else {"pool_pre_ping": True}
    if kind in ("mysql", "mariadb"):
        # Each statement by itself: a program that is stopped between two of them keeps no row. In
        # PostgreSQL the server ends the transaction of such a program.
        more["isolation_level"] = "AUTOCOMMIT"
    try:
        engine = create_engine(parsed, connect_args=settings, hide_parameters=True, **more)
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"The driver {error.name} is not installed. Install it, or name another one in the"
            " URL, for example postgresql+psycopg:// or mysql+pymysql://."
        ) from error
    except (exc.ArgumentError, TypeError, ValueError) as error:
        problem = type(error).__name__  # its text may repeat the URL
    else:
        if kind == "postgresql":
            event.listen(engine, "begin", _limit)
        if kind == "sqlite":
            event.listen(engine, "connect", _overwrite_what_is_deleted)
        return checked_engine(engine)
    raise ConfigurationError(
        f"url has a parameter that the driver or SQLAlchemy can't use ({problem})."
    )


def checked_engine(engine: Engine) -> Engine:
    """Check an engine.

    Args:
        engine: The engine of the app, or one that `engine_of` made.

    Returns:
        The engine with the same connections, that shows no parameters in logs and errors.

    Raises:
        ConfigurationError: It is for another kind of database, for one in memory, or shares one
            connection between threads.
    """
    _check_dialect(engine.dialect)
    if engine.dialect.name == "sqlite":
        file_of(engine.url)
    if isinstance(engine.pool, StaticPool | SingletonThreadPool | AssertionPool):
        raise ConfigurationError(
            f"The token store can't use an engine with a {type(engine.pool).__name__}: its threads"
            " would share a connection. Give one with a QueuePool or a NullPool, or a URL."
        )
    _ENGINES.add(engine)
    view = engine.execution_options()
    view.hide_parameters = True
    return view


def shown(url: URL) -> str:
    """Give what can be shown of an address: no user, no password, no parameters."""
    host = url.host or ""
    port = "" if url.port is None else f":{url.port}"
    return f"{url.drivername}://{host}{port}/{url.database or ''}"


def _parsed(url: str | URL) -> URL:
    try:
        return make_url(url)
    except (exc.ArgumentError, ValueError):
        pass  # whose text may repeat the URL with its password
    raise ConfigurationError(
        "url is no address of a database, such as postgresql+psycopg://user:password@host/name or"
        " sqlite:////folder/tokens.db."
    )


def _dialect(url: URL) -> tuple[str, str]:
    try:
        dialect = url.get_dialect()
    except exc.NoSuchModuleError:
        pass
    except (exc.ArgumentError, ImportError) as error:
        raise ConfigurationError(
            f"SQLAlchemy can't load what it needs for {url.drivername}://."
        ) from error
    else:
        _check_dialect(dialect)
        return dialect.name, dialect.driver
    raise ConfigurationError(
        f"SQLAlchemy does not know {url.drivername}://. Write sqlite://, postgresql+psycopg:// or"
        " mysql+pymysql://."
    )


def _check_dialect(dialect: Dialect | type[Dialect]) -> None:
    if dialect.is_async:
        raise ConfigurationError(
            f"The token store is synchronous and can't use the driver {dialect.driver}. Name"
            " another one, for example postgresql+psycopg:// or mysql+pymysql://."
        )
    if dialect.name not in _KINDS:
        raise ConfigurationError(
            f"The token store can't use {dialect.name}: it is for SQLite, PostgreSQL, MariaDB and"
            " MySQL."
        )


def _limit(connection: Connection) -> None:
    connection.exec_driver_sql(_POSTGRESQL_LIMITS)


def _overwrite_what_is_deleted(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA secure_delete = ON").close()


def _leave_connections_to_the_parent() -> None:
    for engine in list(_ENGINES):
        engine.dispose(close=False)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_connections_to_the_parent)
