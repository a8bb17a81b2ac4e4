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
from pipedrive_oauth_client.stores.sqlite_files import file_of

__all__ = ["checked_engine", "engine_of", "shown"]

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
