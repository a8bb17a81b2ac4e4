"""What `SQLTokenStore` can be made from, and what it shows of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import MetaData, create_engine, make_url
from sqlalchemy.dialects import registry
from sqlalchemy.pool import AssertionPool, NullPool, Pool, SingletonThreadPool, StaticPool

from pipedrive_oauth_client import ConfigurationError
from pipedrive_oauth_client.stores import SQLTokenStore
from pipedrive_oauth_client.stores.conformance import a_token
from pipedrive_oauth_client.stores.sql import token_table
from tests.support.sweep import found, visible
from tests.support.untyped import untyped

PASSWORD = "pass-71c0e4aa92"
POSTGRESQL = f"postgresql+psycopg://user:{PASSWORD}@127.0.0.1:1/db"
MARIADB = f"mysql+pymysql://user:{PASSWORD}@127.0.0.1:1/db"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "no address"),
        ("tokens.db", "no address"),
        (f"postgresql+psycopg://user:{PASSWORD}@host:port/db", "no address"),
        (f"postgres://user:{PASSWORD}@host/db", r"does not know postgres://.*postgresql\+psycopg"),
        (f"oracle://user:{PASSWORD}@host/db", "oracle"),
        (f"mssql+pyodbc://user:{PASSWORD}@host/db", "mssql"),
        (f"postgresql+asyncpg://user:{PASSWORD}@host/db", "synchronous"),
        (f"postgresql+psycopg_async://user:{PASSWORD}@host/db", "synchronous"),
        (f"mysql+aiomysql://user:{PASSWORD}@host/db", "synchronous"),
        ("sqlite+aiosqlite:///tokens.db", "synchronous"),
        (f"mysql+oursql://user:{PASSWORD}@host/db", "does not know"),
        (f"postgresql+pg8000://user:{PASSWORD}@host/db", "driver .* is not installed"),
        ("sqlite:///tokens.db?timeout=long", "parameter"),
        ("sqlite://", "memory"),
        ("sqlite:///:memory:", "memory"),
        ("sqlite:///file::memory:?uri=true", "memory"),
        ("sqlite:///file:tokens?mode=memory&cache=shared&uri=true", "memory"),
    ],
)
def test_bad_url_is_refused(url: str, says: str) -> None:
    """An address that can't be right is refused at once, and its password is not repeated."""
    with pytest.raises(ConfigurationError, match=says) as caught:
        SQLTokenStore(url)
    assert not found(visible(caught.value), [PASSWORD])


@pytest.mark.parametrize("given", [5, None, b"sqlite:///x.db", Path("x.db"), object()])
def test_what_is_no_engine_is_refused(given: object) -> None:
    """What is no URL and no engine is refused."""
    with pytest.raises(ConfigurationError, match="url_or_engine"):
        untyped(SQLTokenStore)(given)


def test_async_engine_is_refused() -> None:
    """The inner part of an asynchronous engine is refused, with the reason."""
    registry.register("sqlite.asleep", __name__, "Asleep")
    engine = create_engine("sqlite+asleep:///tokens.db", poolclass=NullPool)
    with pytest.raises(ConfigurationError, match="synchronous"):
        SQLTokenStore(engine)


def _asleep() -> type[Any]:
    from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite  # noqa: PLC0415

    class Dialect(SQLiteDialect_pysqlite):
        driver = "asleep"
        is_async = True
        supports_statement_cache = True

    return Dialect


Asleep = _asleep()


def test_engine_in_memory_is_refused() -> None:
    """An engine whose database is in one connection's memory is refused."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    with pytest.raises(ConfigurationError, match="MemoryTokenStore"):
        SQLTokenStore(engine)
    engine.dispose()


@pytest.mark.parametrize(
    "name", ["", "a b", "1a", "a;drop", "a.b", "a" * 41, "\u00e4", "a\n", 'a"']
)
def test_strange_table_is_refused(name: str) -> None:
    """A table name that is no plain identifier is refused."""
    with pytest.raises(ConfigurationError, match="table"):
        SQLTokenStore(POSTGRESQL, table=name)
    with pytest.raises(ConfigurationError, match="table"):
        token_table(MetaData(), name)


@pytest.mark.parametrize(
    "settings",
    [{"lease": timedelta(0)}, {"wait": 5}, {"create_table": "yes"}, {"table": None}],
    ids=str,
)
def test_bad_setting_is_refused(settings: dict[str, Any]) -> None:
    """Settings are checked before anything is connected to."""
    with pytest.raises(ConfigurationError):
        SQLTokenStore(POSTGRESQL, **settings)


@pytest.mark.parametrize("url", [f"{POSTGRESQL}?password={PASSWORD}", MARIADB])
def test_password_is_not_shown(url: str) -> None:
    """`repr` shows where the table is, and neither user nor password."""
    with SQLTokenStore(url, table="mine") as store:
        assert "127.0.0.1:1/db" in repr(store)
        assert "mine" in repr(store)
        assert not found(repr(store) + str(store), [PASSWORD, "user"])


def test_address_may_be_a_url_object(tmp_path: Path) -> None:
    """An address may come as SQLAlchemy's own object."""
    with SQLTokenStore(make_url(f"sqlite:///{tmp_path / 'tokens.db'}")) as store:
        store.save("acme", a_token())
        assert store.load("acme") == a_token()


@pytest.mark.parametrize(
    ("url", "names"),
    [
        (POSTGRESQL, ("connect_timeout", "tcp_user_timeout", "keepalives_idle")),
        (MARIADB, ("connect_timeout", "read_timeout", "write_timeout", "init_command")),
    ],
)
def test_connections_have_timeouts(url: str, names: tuple[str, ...]) -> None:
    """A store that makes its engine waits for no server without end; the address counts more."""
    settings = _connects_with(url)
    assert settings.keys() >= set(names)
    assert settings["connect_timeout"] == 10
    assert int(_connects_with(f"{url}?connect_timeout=3")["connect_timeout"]) == 3


def _connects_with(url: str) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    with SQLTokenStore(url) as store:
        dialect: Any = store._engine.dialect
        connect = dialect.connect

        def watched(*arguments: Any, **settings: Any) -> Any:
            seen.update(settings)
            return connect(*arguments, **settings)

        dialect.connect = watched
        with pytest.raises(Exception, match="can't reach"):
            store.load("acme")
    return seen


def test_time_without_zone_is_refused() -> None:
    """A time without a zone is refused at once."""
    with (
        SQLTokenStore(POSTGRESQL) as store,
        pytest.raises(ConfigurationError, match="time zone"),
    ):
        store.due(datetime.now(UTC).replace(tzinfo=None))


def test_apps_engine_is_not_closed(tmp_path: Path) -> None:
    """An engine that was given belongs to the app: its connections stay open."""
    engine = create_engine(f"sqlite:///{tmp_path / 'app.db'}")
    (tmp_path / "app.db").touch(0o600)
    pool = engine.pool
    with SQLTokenStore(engine) as store:
        store.save("acme", a_token())
    assert engine.pool is pool
    assert store.load("acme") == a_token()
    engine.dispose()


def test_closed_store_opens_again(tmp_path: Path) -> None:
    """A store that was closed works, and connects anew."""
    store = SQLTokenStore(f"sqlite:///{tmp_path / 'tokens.db'}")
    store.close()
    store.save("acme", a_token())
    store.close()
    assert store.load("acme") == a_token()
    store.close()


@pytest.mark.parametrize("pool", [StaticPool, SingletonThreadPool, AssertionPool])
def test_engine_whose_threads_share_a_connection_is_refused(
    tmp_path: Path, pool: type[Pool]
) -> None:
    """Such an engine fails in the middle of a renewal, or takes the process down with it."""
    engine = create_engine(f"sqlite:///{tmp_path / 'tokens.db'}", poolclass=pool)
    with pytest.raises(ConfigurationError, match=pool.__name__):
        SQLTokenStore(engine)
    engine.dispose()
