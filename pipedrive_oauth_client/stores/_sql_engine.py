"""Engines for `SQLTokenStore` that are checked and survive a fork, and what to say of their errors.

What an app sees of a database's error may repeat no token: SQLAlchemy appends the parameters, some
drivers the statement with the parameters in it, and databases the row that they reject.
"""

from __future__ import annotations

import os
import re
import time
import weakref
from collections.abc import Generator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from sqlalchemy import Connection, Engine, create_engine, event, exc, make_url
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.pool import (
    AssertionPool,
    ConnectionPoolEntry,
    QueuePool,
    SingletonThreadPool,
    StaticPool,
)

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.stores._database_errors import (
    COLLISIONS,
    HIDDEN,
    LOST,
    READ_ONLY,
    code_of,
    readable_text,
)

__all__ = [
    "BACKEND_ERRORS",
    "MAX_FAILURES",
    "advice_for",
    "begin_volatile",
    "checked_engine",
    "display_url",
    "make_engine",
    "reason_to_repeat",
    "redact",
    "sqlite_path",
]

_DATABASES: Final = frozenset({"sqlite", "postgresql", "mysql", "mariadb"})

# Used unless the URL sets them. A server that is gone without a word is noticed in time.
_LIBPQ_SETTINGS: Final = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
_MYSQL_SETTINGS: Final = {
    "connect_timeout": 10,
    "read_timeout": 30,
    "write_timeout": 30,
    "init_command": "SET SESSION innodb_lock_wait_timeout = 15",
}
_SETTINGS: Final[dict[str, dict[str, Any]]] = {
    # A prepared statement belongs to a session, and a connection pooler hands the next transaction
    # to another one.
    "psycopg": {**_LIBPQ_SETTINGS, "prepare_threshold": None},
    "psycopg2": _LIBPQ_SETTINGS,
    "pymysql": _MYSQL_SETTINGS,
    "mysqldb": _MYSQL_SETTINGS,
    "pysqlite": {"timeout": 20.0},
}
# Parameters of a URL that neither SQLAlchemy nor the driver converts from text, with their types.
_PARAMETER_TYPES: Final[dict[str, dict[str, type]]] = {
    "psycopg": {"prepare_threshold": int},
    "pymysql": {
        "binary_prefix": bool,
        "max_allowed_packet": int,
        "ssl_disabled": bool,
        "ssl_verify_identity": bool,
    },
}
# Parameters that are the store's or SQLAlchemy's own, or can't be written as text.
_REJECTED_PARAMETERS: Final[dict[str, frozenset[str]]] = {
    "psycopg": frozenset({"autocommit", "context", "cursor_factory", "row_factory"}),
    "psycopg2": frozenset({"async", "async_", "connection_factory", "cursor_factory"}),
    "pymysql": frozenset(
        {"auth_plugin_map", "autocommit", "conv", "cursorclass", "defer_connect", "named_pipe"}
    ),
    "mysqldb": frozenset({"autocommit", "conv", "cursorclass"}),
}
_BOOLEANS: Final = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
_UNKNOWN_OPTION: Final = re.compile(
    r"(?:invalid connection option|unexpected keyword argument) [\"'](\w{1,40})[\"']"
)
# For one transaction, since a connection pooler hands the session to another program after it. A
# program that is stopped between two statements holds the row for the last of these times.
_POSTGRESQL_LIMITS: Final = (
    "SET LOCAL lock_timeout = '15s'; SET LOCAL statement_timeout = '25s';"
    " SET LOCAL idle_in_transaction_session_timeout = '5s'"
)
# What the database may lose when it crashes within the next second, such as who holds a lock.
_POSTGRESQL_VOLATILE: Final = "SET LOCAL synchronous_commit = off"
# A connection that has been idle for longer is tried before it is used.
_IDLE_SECONDS: Final = 1.0
# As many as `refresh_due` has workers, and further ones for a moment.
_KEPT_CONNECTIONS: Final = 8
_MORE_CONNECTIONS: Final = 7
_IS_VOLATILE: Final = "pipedrive_oauth_is_volatile"
_IDLE_SINCE: Final = "pipedrive_oauth_idle_since"


def make_engine(url: str | URL) -> Engine:
    """Make an engine for the token store alone; it has no connection yet."""
    parsed = _parsed_url(url)
    database, driver = _dialect_of(parsed)
    if database == "sqlite":
        sqlite_path(parsed)
    settings = {
        name: value for name, value in _SETTINGS.get(driver, {}).items() if name not in parsed.query
    }
    settings.update(_converted_parameters(parsed, driver))
    options: dict[str, Any] = {"poolclass": QueuePool, "pool_size": _KEPT_CONNECTIONS}
    # SQLite's own lock is what its callers wait for.
    options["max_overflow"] = -1 if database == "sqlite" else _MORE_CONNECTIONS
    if database in ("mysql", "mariadb") or driver == "psycopg":
        # Each statement by itself: a program that is stopped between two of them holds no row. In
        # PostgreSQL the server ends the transaction of such a program; there the store begins it.
        options["isolation_level"] = "AUTOCOMMIT"
    try:
        engine = create_engine(parsed, connect_args=settings, hide_parameters=True, **options)
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"The driver {error.name} is not installed. Install it, or name another one in the"
            " URL, for example postgresql+psycopg:// or mysql+pymysql://."
        ) from error
    except (exc.ArgumentError, TypeError, ValueError) as error:
        problem = type(error).__name__  # its text may repeat the URL
    else:
        if database == "postgresql":
            event.listen(engine, "begin", _begin if driver == "psycopg" else _set_limits)
        if database != "sqlite":
            event.listen(engine, "checkin", _remember_when)
            event.listen(engine, "checkout", partial(_try_idle, engine.dialect))
        if database == "sqlite":
            event.listen(engine, "connect", _prepare_sqlite)
            _SQLITE_ENGINES.add(engine)
        return checked_engine(engine)
    raise ConfigurationError(
        f"url has a parameter that the driver or SQLAlchemy can't use ({problem})."
    )


def checked_engine(engine: Engine) -> Engine:
    """Check an engine; return one with the same connections that hides parameters in its logs."""
    _check_dialect(engine.dialect)
    if engine.dialect.name == "sqlite":
        sqlite_path(engine.url)
    if isinstance(engine.pool, StaticPool | SingletonThreadPool | AssertionPool):
        raise ConfigurationError(
            f"The token store can't use an engine with a {type(engine.pool).__name__}: its threads"
            " would share a connection. Pass one with a QueuePool or a NullPool, or a URL."
        )
    _ENGINES.add(engine)
    view = engine.execution_options()
    view.hide_parameters = True
    return view


def sqlite_path(url: URL) -> Path:
    """Return the file that the URL of an SQLite database names."""
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
            " Name a file (sqlite:////folder/tokens.db), or use MemoryTokenStore."
        )
    # Like SQLAlchemy, which leaves a URI to SQLite, and that resolves it at each connection.
    return Path(name) if is_uri else Path(name).absolute()


def display_url(url: URL) -> str:
    """Return what may be shown of a URL: no user, no password, no parameters."""
    host = url.host or ""
    port = "" if url.port is None else f":{url.port}"
    return f"{url.drivername}://{host}{port}/{url.database or ''}"


def _parsed_url(url: str | URL) -> URL:
    try:
        return make_url(url)
    except (exc.ArgumentError, ValueError):
        pass  # its text may repeat the URL with its password
    raise ConfigurationError(
        "url is not the address of a database, such as"
        " postgresql+psycopg://user:password@host/name or sqlite:////folder/tokens.db."
    )


def _converted_parameters(url: URL, driver: str) -> dict[str, int | None]:
    types, rejected = _PARAMETER_TYPES.get(driver, {}), _REJECTED_PARAMETERS.get(driver, ())
    converted: dict[str, int | None] = {}
    for name, value in url.query.items():
        if name in rejected:
            raise ConfigurationError(
                f"The URL of the token store can't set {name} of the driver {driver}. Remove it, or"
                " pass your own engine."
            )
        if name not in types:
            continue
        text = value.lower() if isinstance(value, str) else ""
        if types[name] is bool and text in _BOOLEANS:
            converted[name] = _BOOLEANS[text]
        elif types[name] is int and text.isascii() and text.isdigit():
            converted[name] = int(text)
        elif name == "prepare_threshold" and text == "none":
            converted[name] = None
        else:
            kind = "true or false" if types[name] is bool else "a whole number"
            raise ConfigurationError(f"The parameter {name} of the URL must be {kind}.")
    return converted


def _dialect_of(url: URL) -> tuple[str, str]:
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
    if dialect.name not in _DATABASES:
        raise ConfigurationError(
            f"The token store can't use {dialect.name}: it is for SQLite, PostgreSQL, MariaDB and"
            " MySQL."
        )


@contextmanager
def begin_volatile(connection: Connection, *, sets_limits: bool) -> Generator[None]:
    """Begin a transaction whose result the database need not have on its disk before it goes on.

    An engine that `make_engine` made (`sets_limits`) begins it so itself.
    """
    is_postgresql = connection.dialect.name == "postgresql"
    if is_postgresql and sets_limits:
        connection.execution_options(**{_IS_VOLATILE: True})
    with connection.begin():
        if is_postgresql and not sets_limits:
            # A function, since the statement warns where the engine has no transactions.
            connection.exec_driver_sql("SELECT set_config('synchronous_commit', 'off', true)")
        yield


def _begin(connection: Connection) -> None:
    # All in one message; psycopg would send BEGIN by itself.
    connection.exec_driver_sql(f"BEGIN; {_settings(connection)}")


def _set_limits(connection: Connection) -> None:
    connection.exec_driver_sql(_settings(connection))


def _settings(connection: Connection) -> str:
    if _IS_VOLATILE in connection.get_execution_options():
        return f"{_POSTGRESQL_LIMITS}; {_POSTGRESQL_VOLATILE}"
    return _POSTGRESQL_LIMITS


def _remember_when(_connection: object, record: ConnectionPoolEntry) -> None:
    record.info[_IDLE_SINCE] = time.monotonic()


def _try_idle(
    dialect: Dialect, connection: Any, record: ConnectionPoolEntry, _proxy: object
) -> None:
    since = record.info.get(_IDLE_SINCE)
    if since is None or time.monotonic() - since < _IDLE_SECONDS:
        return  # should it be lost, the step is repeated
    try:
        is_alive = dialect.do_ping(connection)
    except dialect.loaded_dbapi.Error:
        is_alive = False
    if not is_alive:
        raise exc.InvalidatePoolError  # which connects anew


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # Deleted content is overwritten.
    connection.execute("PRAGMA secure_delete = ON").close()
    # To empty a journal is quicker than to delete it, and SQLite waits until the disk has done so.
    # Other modes are left as they are: one of them belongs to the file, for all its users.
    with suppress(connection.Error):  # which the step that follows gets as well
        if connection.execute("PRAGMA journal_mode").fetchone() == ("delete",):
            connection.execute("PRAGMA journal_mode = TRUNCATE").fetchone()


_ENGINES: Final[weakref.WeakSet[Engine]] = weakref.WeakSet()
_SQLITE_ENGINES: Final[weakref.WeakSet[Engine]] = weakref.WeakSet()


def _close_idle_files() -> None:
    # SQLite's locks are the process's: a child that inherits an open file does not have those that
    # SQLite believes it has.
    for engine in list(_SQLITE_ENGINES):
        engine.dispose()


def _leave_connections_to_the_parent() -> None:
    for engine in list(_ENGINES):
        engine.dispose(close=False)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_close_idle_files, after_in_child=_leave_connections_to_the_parent)


BACKEND_ERRORS: Final = (
    *(exc.SQLAlchemyError, OSError, RuntimeError),
    *(ArithmeticError, AttributeError, LookupError, TypeError, ValueError),
)
"""What comes out of a database: SQLAlchemy's errors, and those that a driver raises past it."""

# How often a step may fail for a reason before its error is raised. A connection that replaces a
# lost one, or one to a server that is read-only, may lead to another server.
MAX_FAILURES: Final = {
    "connection lost": 2,
    "read-only": 2,
    "collision": 20,
    "race": 6,
    "SQLite race": 2,
}

# Codes of PostgreSQL and MySQL, words where there is no code, and what to do.
_ADVICE: Final[tuple[tuple[frozenset[str | int], tuple[str, ...], str], ...]] = (
    (
        frozenset({"42P01", 1146}),
        ("no such table",),
        (
            "The database has no table {table}. Create it with your migrations, or let a new store"
            " create it: create_table=True."
        ),
    ),
    (
        frozenset({"42703", 1054}),
        ("no column named", "no such column"),
        (
            "The table {table} lacks a column. Compare it with the table that"
            " stores.sql.token_table describes."
        ),
    ),
    (
        frozenset({"08P01", "26000", "42P05"}),
        (),
        (
            "A connection pooler in front of the database {place} hands transactions to different"
            " sessions, and the driver uses prepared statements. Pass a URL, which turns them off,"
            " or turn them off in your engine (psycopg: prepare_threshold=None)."
        ),
    ),
    (
        frozenset({"3D000", 1049}),
        ("no such database",),
        "The database {place} does not exist. Create it, or correct its name in the address.",
    ),
    (
        frozenset({"53300", 1040, 1203, 1226}),
        ("no more connections allowed", "sorry, too many clients already"),
        "The database {place} has no connection left. Allow more, or try again.",
    ),
    (
        frozenset({"57P01", "57P02", "57P03", 1053}),
        ("the database system is ", "query_wait_timeout", "server_login_retry"),
        "The database {place} is starting or shutting down. Try again in a while.",
    ),
    (
        frozenset({"28000", "28P01", "42501", 1044, 1045, 1142, 1143}),
        ("password authentication failed", "SASL authentication failed"),
        "The database {place} rejected the user. Check the password and the user's rights.",
    ),
    (
        COLLISIONS | {"55P03", "57014", 1205},
        ("database is locked",),
        "The database was too busy for a step of the token store. Try again.",
    ),
    (
        READ_ONLY,
        (),
        (
            "The database {place} is read-only, as after a failover. Make sure that the address"
            " leads to the primary, and that the user may write; then try again."
        ),
    ),
    (
        frozenset(),
        ("readonly database",),
        "The database {place} is read-only. Give the store one that can be written to.",
    ),
    (
        frozenset({"53100", 1021, 1114}),
        ("disk is full",),
        "The database {place} has no room left. Make room, then try again.",
    ),
)


def reason_to_repeat(
    error: BaseException, *, is_connected: bool, creates_table: bool = False
) -> str | None:
    """Return why to repeat a step that has failed, a key of `MAX_FAILURES`; None if not."""
    if not isinstance(error, exc.DBAPIError):
        return None
    code = code_of(error.orig)
    if error.connection_invalidated or (is_connected and _is_of_lost_connection(error.orig, code)):
        return "connection lost"
    if code in READ_ONLY:
        return "read-only"
    if creates_table and error.statement:
        # Another process may be creating it as well. SQLite has waited already.
        return "SQLite race" if "is locked" in str(error.orig) else "race"
    return "collision" if code in COLLISIONS else None


def _is_of_lost_connection(error: BaseException | None, code: str | int | None) -> bool:
    """Tell what SQLAlchemy misses while PostgreSQL's driver does not know that it is closed."""
    kind = type(error)
    if kind.__module__.partition(".")[0] not in ("psycopg", "psycopg2"):
        return False
    # An error of the driver without a code comes of the connection.
    is_operational = kind.__name__ in ("OperationalError", "InterfaceError")
    return (code is None and is_operational) or code in LOST


def redact(error: BaseException) -> BaseException:
    """Remove from an error what may repeat a token; why there is no connection stays."""
    if isinstance(error, ArithmeticError | AttributeError | LookupError | TypeError | ValueError):
        # Of a driver, which may name the value that it fails on.
        if not isinstance(error, UnicodeError):
            error.args = (HIDDEN,)
        return error
    if not isinstance(error, exc.StatementError):
        return error
    error.params = None
    error.hide_parameters = True
    if error.orig is None:
        return error
    kind = type(error.orig)
    text = readable_text(
        error.orig,
        is_sqlite=kind.__module__.startswith("sqlite3"),
        is_of_connection=kind.__name__ in {"OperationalError", "InterfaceError"}
        or error.statement is None,
    )
    # A new one: the old one has the response of the server as well as the text.
    error.orig = _bare(kind, text)
    error.args = (f"({kind.__module__}.{kind.__name__}) {text}",)
    error.__cause__, error.__context__ = error.orig, None
    return error


def advice_for(error: BaseException, *, table: str, place: str) -> str:
    """Return what happened and what to do, without repeating the error's own text."""
    orig = getattr(error, "orig", None)
    code, text = code_of(orig), str(orig)
    for codes, words, advice in _ADVICE:
        if code in codes or any(word in text for word in words):
            return advice.format(table=table, place=place)
    unknown = _UNKNOWN_OPTION.search(text if orig is not None else str(error))
    if unknown is not None and getattr(error, "statement", None) is None:
        return (
            f"The database driver doesn't know the option {unknown[1]!r} of the URL of {place}."
            " Remove it, or use the driver's own name for it: for example sslmode=require with"
            " psycopg, ssl_ca=/path/ca.pem with PyMySQL."
        )
    if _is_unreachable(error):
        return (
            f"The token store can't reach the database {place}. Make sure that it runs, and that"
            " host, port, user and password are right; then try again."
        )
    return f"The database {place} failed in a step of the token store; the cause says why."


def _is_unreachable(error: BaseException) -> bool:
    if isinstance(error, exc.DBAPIError):
        return error.connection_invalidated or error.statement is None
    return isinstance(error, exc.TimeoutError | OSError)


def _bare(kind: type[BaseException], text: str) -> BaseException:
    try:
        return kind(text)
    except Exception:  # noqa: BLE001 - a driver's error may require any arguments
        return RuntimeError(text)
