"""Databases that the tests may use, with a table or keys of each test's own.

`TEST_POSTGRES_URL`, `TEST_MARIADB_URL` and `TEST_REDIS_URL` name other ones than those of this
machine. Where one does not answer, what needs it is skipped, with the reason.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from secrets import token_hex

import pytest
import redis
from sqlalchemy import Engine, MetaData, Table, create_engine, exc, inspect, make_url

__all__ = [
    "SQL_KINDS",
    "address",
    "admin_engine",
    "mariadb_url",
    "postgres_url",
    "redis_client",
    "redis_url",
    "sql_url",
    "through",
    "throwaway_prefix",
    "throwaway_table",
]

SQL_KINDS = ("sqlite", "postgresql", "mariadb")

_POSTGRES = "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"
_MARIADB = "mysql+pymysql://root@127.0.0.1:3306/test"
_REDIS = "redis://127.0.0.1:6379/0"


def postgres_url() -> str:
    """Give the URL of a PostgreSQL, or skip."""
    return _answering("TEST_POSTGRES_URL", _POSTGRES, "postgresql+psycopg")


def mariadb_url() -> str:
    """Give the URL of a MariaDB or MySQL, or skip."""
    return _answering("TEST_MARIADB_URL", _MARIADB, "mysql+pymysql")


def redis_url() -> str:
    """Give the URL of a Redis, or skip."""
    url = os.environ.get("TEST_REDIS_URL") or _REDIS
    problem = _redis_problem(url)
    if problem:
        pytest.skip(f"no Redis answers (TEST_REDIS_URL): {problem}")
    return url


def admin_engine(url: str) -> Engine:
    """Make an engine for looking behind the store's back; dispose of it."""
    return create_engine(url)


def address(url: str) -> tuple[str, int]:
    """Give the host and the port of a URL."""
    parsed = make_url(url)
    usual = {"redis": 6379, "postgresql": 5432, "mysql": 3306}
    return parsed.host or "127.0.0.1", parsed.port or usual[parsed.get_backend_name()]


def through(url: str, port: int) -> str:
    """Give a URL with another port of this machine in place of the server's address."""
    other = make_url(url).set(host="127.0.0.1", port=port)
    return other.render_as_string(hide_password=False)


@contextmanager
def throwaway_table(url: str) -> Generator[str]:
    """Give the name of an unused table, and drop the table afterwards."""
    name = f"tokens_{token_hex(6)}"
    try:
        yield name
    finally:
        engine = admin_engine(url)
        try:
            if inspect(engine).has_table(name):
                Table(name, MetaData()).drop(engine)
        finally:
            engine.dispose()


@contextmanager
def redis_client(url: str) -> Generator[redis.Redis]:
    """Give a client for looking behind the store's back."""
    client = redis.Redis.from_url(url, socket_timeout=10)
    try:
        yield client
    finally:
        client.close()
        client.connection_pool.disconnect()


@contextmanager
def throwaway_prefix(url: str) -> Generator[str]:
    """Give an unused prefix of keys, and remove its keys afterwards."""
    prefix = f"{{test-{token_hex(6)}}}"
    try:
        yield prefix
    finally:
        with redis_client(url) as client:
            keys = list(client.scan_iter(match=f"{prefix}*", count=1000))
            for first in range(0, len(keys), 1000):
                client.delete(*keys[first : first + 1000])


def _answering(variable: str, default: str, driver: str) -> str:
    url = make_url(os.environ.get(variable) or default).set(drivername=driver)
    text = url.render_as_string(hide_password=False)
    problem = _sql_problem(text)
    if problem:
        pytest.skip(f"no {url.get_backend_name()} answers ({variable}): {problem}")
    return text


@cache
def _sql_problem(url: str) -> str:
    engine = create_engine(url, connect_args={"connect_timeout": 5})
    try:
        engine.connect().close()
    except exc.OperationalError as error:
        return str(error.orig).partition("\n")[0]
    finally:
        engine.dispose()
    return ""


@cache
def _redis_problem(url: str) -> str:
    with redis_client(url) as client:
        try:
            client.ping()
        except redis.RedisError as error:
            return str(error)
    return ""


def sql_url(kind: str, folder: Path) -> str:
    """Give the URL of a database of a kind, or skip.

    Args:
        kind: `sqlite`, `postgresql` or `mariadb`.
        folder: Where the file of an SQLite database is to be.
    """
    if kind == "sqlite":
        return f"sqlite:///{folder / 'tokens.db'}"
    return postgres_url() if kind == "postgresql" else mariadb_url()
