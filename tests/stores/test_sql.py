"""`SQLTokenStore`: the shared tests on each kind of database, its settings and its table."""

from __future__ import annotations

import os
import re
import tracemalloc
from collections.abc import Callable, Generator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from alembic.autogenerate import compare_metadata, produce_migrations, render_python_code
from alembic.migration import MigrationContext
from alembic.operations import Operations, ops
from sqlalchemy import (
    Engine,
    MetaData,
    Table,
    create_engine,
    event,
    insert,
    inspect,
    make_url,
    update,
)
from sqlalchemy.dialects import registry
from sqlalchemy.pool import AssertionPool, NullPool, Pool, SingletonThreadPool, StaticPool
from sqlalchemy.schema import CreateTable

from pipedrive_oauth_client import ConfigurationError, PipedriveAuth, PipedriveOAuth
from pipedrive_oauth_client.errors import StoreError
from pipedrive_oauth_client.stores import SQLTokenStore, _sql_engine
from pipedrive_oauth_client.stores.conformance import (
    START,
    LeaseConformance,
    ListingConformance,
    TokenStoreConformance,
    a_token,
)
from pipedrive_oauth_client.stores.conformance import LeaseConformance as Leased
from pipedrive_oauth_client.stores.conformance import TokenStoreConformance as Every
from pipedrive_oauth_client.stores.leased import save_last, token_to_json
from pipedrive_oauth_client.stores.sql import token_table
from tests.support.backends import SQL_KINDS, mariadb_url, postgres_url, sql_url, throwaway_table
from tests.support.flows import CREDENTIALS
from tests.support.forks import in_children
from tests.support.samples import TOKENS
from tests.support.sweep import found, visible
from tests.support.untyped import untyped


class _Conformance(TokenStoreConformance, LeaseConformance, ListingConformance):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        raise NotImplementedError

    @pytest.fixture
    def open_store(self, url: str) -> Generator[Callable[..., SQLTokenStore]]:
        """Give stores with engines of their own on one table."""
        with throwaway_table(url) as table, ExitStack() as closing:
            yield lambda **settings: closing.enter_context(
                SQLTokenStore(url, table=table, **settings)
            )


class TestSQLite(_Conformance):
    """The shared tests on a file."""

    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        """Give the address of a new file."""
        return f"sqlite:///{tmp_path / 'tokens.db'}"


class TestPostgreSQL(_Conformance):
    """The shared tests on PostgreSQL."""

    @pytest.fixture
    def url(self) -> str:
        """Give the address of the server."""
        return postgres_url()


class TestMariaDB(_Conformance):
    """The shared tests on MariaDB."""

    @pytest.fixture
    def url(self) -> str:
        """Give the address of the server."""
        return mariadb_url()


PASSWORD = "pass-71c0e4aa92"
POSTGRESQL = f"postgresql+psycopg://user:{PASSWORD}@127.0.0.1:1/db"
MARIADB = f"mysql+pymysql://user:{PASSWORD}@127.0.0.1:1/db"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "is not the address"),
        ("tokens.db", "is not the address"),
        (f"postgresql+psycopg://user:{PASSWORD}@host:port/db", "is not the address"),
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


@pytest.mark.parametrize(
    ("url", "option"),
    [(f"{POSTGRESQL}?ssl=require", "ssl"), (f"{MARIADB}?sslmode=require", "sslmode")],
)
def test_option_that_the_driver_does_not_know(url: str, option: str) -> None:
    """The option of an address that the driver rejects is named, with what drivers call it."""
    with SQLTokenStore(url) as store, pytest.raises(StoreError, match="ssl_ca=") as caught:
        store.load("acme")
    assert f"the option {option!r} of the URL" in str(caught.value)
    assert not found(visible(caught.value), [PASSWORD])


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


@pytest.mark.parametrize(
    ("url", "name", "value"),
    [
        (POSTGRESQL, "prepare_threshold", None),
        (f"{POSTGRESQL}?prepare_threshold=0", "prepare_threshold", 0),
        (f"{POSTGRESQL}?prepare_threshold=None", "prepare_threshold", None),
        (f"{MARIADB}?max_allowed_packet=1024", "max_allowed_packet", 1024),
        (f"{MARIADB}?binary_prefix=true", "binary_prefix", True),
        (f"{MARIADB}?ssl_disabled=false", "ssl_disabled", False),
        (f"{MARIADB}?ssl_verify_identity=No", "ssl_verify_identity", False),
    ],
)
def test_parameters_are_converted(url: str, name: str, value: object) -> None:
    """A parameter of the address that the driver wants as a number or a boolean becomes one."""
    given = _connects_with(url)[name]
    assert given == value
    assert type(given) is type(value)


@pytest.mark.parametrize(
    ("parameter", "says"),
    [
        ("prepare_threshold=often", "whole number"),
        ("prepare_threshold=-1", "whole number"),
        ("prepare_threshold=1&prepare_threshold=2", "whole number"),
        ("autocommit=true", "can't set autocommit"),
        ("row_factory=dict_row", "can't set row_factory"),
        ("cursor_factory=x", "can't set cursor_factory"),
        ("context=x", "can't set context"),
    ],
)
def test_parameter_of_another_type_is_rejected(parameter: str, says: str) -> None:
    """A parameter that can't be converted, or is not the address's to set, is named at once."""
    with pytest.raises(ConfigurationError, match=says) as caught:
        SQLTokenStore(f"{POSTGRESQL}?{parameter}")
    assert not found(visible(caught.value), [PASSWORD])


@pytest.mark.parametrize(
    ("parameter", "says"),
    [
        ("ssl_disabled=perhaps", "true or false"),
        ("max_allowed_packet=16M", "whole number"),
        ("autocommit=true", "can't set autocommit"),
        ("cursorclass=DictCursor", "can't set cursorclass"),
    ],
)
def test_parameter_of_pymysql_is_rejected(parameter: str, says: str) -> None:
    """So is one of PyMySQL."""
    with pytest.raises(ConfigurationError, match=says):
        SQLTokenStore(f"{MARIADB}?{parameter}")


@pytest.mark.parametrize(
    "error", [TypeError, ValueError, KeyError, ZeroDivisionError, AttributeError]
)
def test_what_a_driver_raises_is_a_store_error(error: type[Exception]) -> None:
    """An error that is none of the database's is a `StoreError`, and does not repeat a value."""
    with SQLTokenStore(POSTGRESQL) as store:
        dialect: Any = store._engine.dialect

        def connect(*_: Any, **__: Any) -> None:
            raise error(PASSWORD)

        dialect.connect = connect
        with pytest.raises(StoreError) as caught:
            store.load("acme")
    assert isinstance(caught.value.__cause__, error)
    assert not found(visible(caught.value), [PASSWORD])


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


@pytest.fixture(params=SQL_KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give a database of each kind."""
    return sql_url(str(request.param), tmp_path)


@pytest.fixture
def table(url: str) -> Generator[str]:
    """Give the name of a table of this test's own."""
    with throwaway_table(url) as name:
        yield name


@pytest.fixture
def engine(url: str, tmp_path: Path) -> Generator[Engine]:
    """Give an engine of the app."""
    (tmp_path / "tokens.db").touch(0o600)
    opened = create_engine(url)
    yield opened
    opened.dispose()


def only(name: str) -> dict[str, Any]:
    """Give alembic's settings that look at one table of a database that others use as well."""
    return {
        "include_name": lambda found, kind, _parents: kind != "table" or found == name,
        "compare_type": True,
        "compare_server_default": True,
    }


def test_table_that_was_made_is_the_one_that_is_described(engine: Engine, table: str) -> None:
    """Alembic sees no difference between the table that the store makes and its metadata."""
    store = SQLTokenStore(engine, table=table)
    store.save("acme", a_token())
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=only(table))
        assert compare_metadata(context, store.metadata) == []
        # The comparison sees what is there: without the description all of it is too much.
        assert compare_metadata(context, MetaData()) != []


def test_table_comes_from_the_apps_migrations(engine: Engine, table: str) -> None:
    """Alembic writes the migration from the app's own metadata, and the store uses its table."""
    metadata = MetaData(naming_convention={"pk": "pk_app_%(table_name)s"})
    token_table(metadata, table)
    with engine.begin() as connection:
        context = MigrationContext.configure(connection, opts=only(table))
        script = produce_migrations(context, metadata)
        assert script.upgrade_ops is not None
        assert "create_table" in render_python_code(script.upgrade_ops)
        operations = Operations(context)
        for operation in script.upgrade_ops.ops:
            steps = operation.ops if isinstance(operation, ops.OpContainer) else [operation]
            for step in steps:
                operations.invoke(step)
        assert compare_metadata(context, metadata) == []
    store = SQLTokenStore(engine, table=table, create_table=False)
    with store.lock("acme"):
        store.save("acme", a_token())
    assert store.load("acme") == a_token()
    assert inspect(engine).get_indexes(table)[0]["column_names"] == ["expires_at", "account"]


def test_table_is_in_the_schema_of_the_metadata() -> None:
    """The schema of the app's metadata is the table's."""
    assert token_table(MetaData(schema="auth")).fullname == "auth.pipedrive_tokens"


def test_table_is_not_made_where_it_must_not(engine: Engine, table: str) -> None:
    """With create_table=False a missing table is an error that says so, until it is there."""
    store = SQLTokenStore(engine, table=table, create_table=False)
    with pytest.raises(StoreError, match=f"no table {table}.*migrations"):
        store.load("acme")
    assert not inspect(engine).has_table(table)
    store.metadata.create_all(engine)
    assert store.load("acme") is None


def test_names_are_compared_byte_by_byte(engine: Engine) -> None:
    """The column of the names has a binary order in databases that have others."""
    made = str(CreateTable(token_table(MetaData())).compile(engine))
    expected = {"postgresql": 'COLLATE "C"', "mysql": "COLLATE utf8mb4_bin", "sqlite": "account"}
    assert expected[engine.dialect.name] in made


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_table_is_made_by_eight_processes_at_once(url: str, table: str) -> None:
    """Processes that start together on an empty database all get their token in."""

    def work(number: int) -> str:
        with SQLTokenStore(url, table=table) as store:
            store.save(f"account {number}", a_token(number))
        return "saved"

    assert in_children([partial(work, number) for number in range(8)]) == ["saved"] * 8
    with SQLTokenStore(url, table=table) as store:
        assert sorted(store.accounts()) == [f"account {number}" for number in range(8)]
        assert len(inspect(store._engine).get_indexes(table)) == 1


def test_missing_index_is_made(engine: Engine, table: str) -> None:
    """An index that a killed process did not get to is made by the next one."""
    first = SQLTokenStore(engine, table=table)
    first.save("acme", a_token())
    (index,) = first._table.indexes
    index.drop(engine)
    assert SQLTokenStore(engine, table=table).load("acme") == a_token()
    assert len(inspect(engine).get_indexes(table)) == 1


def test_token_that_was_put_in_by_hand(engine: Engine, table: str) -> None:
    """A row without a version can be loaded, and renewed under the lock."""
    store = SQLTokenStore(engine, table=table)
    assert store.load("acme") is None
    with engine.begin() as behind:
        behind.execute(insert(store._table).values(account="acme", token=token_to_json(a_token(1))))
    assert list(store.accounts()) == ["acme"]
    with store.lock("acme"):
        assert store.load("acme") == a_token(1)
        store.save("acme", a_token(2))
    assert store.load("acme") == a_token(2)


def test_lock_of_a_clock_that_was_put_back(engine: Engine, table: str) -> None:
    """A lock that ends in a year, by the clock that it was taken by, is not waited for so long."""
    store = SQLTokenStore(engine, table=table, lease=timedelta(seconds=0.2))
    with store.lock("acme"), engine.begin() as behind:
        far = store._table.c.lock_until + 10**15
        behind.execute(update(store._table).values(lock_until=far))
        behind.commit()
        with SQLTokenStore(engine, table=table, lease=timedelta(seconds=0.2)).lock("acme"):
            pass


def test_nothing_is_left_of_locks(engine: Engine, table: str) -> None:
    """Accounts that have no token have no row when their lock is over."""
    store = SQLTokenStore(engine, table=table)
    with store.lock("acme"):
        pass
    with store.lock("acme"):
        store.save("acme", a_token())
        store.delete("acme")
    store.save("acme", a_token())
    store.delete("acme")
    with engine.connect() as behind:
        assert behind.execute(store._table.select()).all() == []


def fill(engine: Engine, table: Table, count: int) -> None:
    """Put in many accounts whose tokens expire at the same time."""
    expiry = (START - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    rows = [
        {"account": f"account {n}", "token": "x", "version": "v", "expires_at": expiry}
        for n in range(count)
    ]
    with engine.begin() as connection:
        for first in range(0, count, 5000):
            connection.execute(insert(table), rows[first : first + 5000])


def test_many_accounts_are_read_page_by_page(engine: Engine, table: str) -> None:
    """Tens of thousands of accounts are listed once each, in memory for a few."""
    count = 30_000
    store = SQLTokenStore(engine, table=table)
    assert store.load("acme") is None
    fill(engine, store._table, count)
    listings: tuple[Callable[[], Any], ...] = (
        store.accounts,
        lambda: store.due(START + timedelta(microseconds=1)),
        lambda: (each.account for each in store.overview()),
    )
    for listing in listings:
        list(zip(range(501), listing(), strict=False))  # what is kept once is kept by now
        tracemalloc.start()
        total = sum(int(name.removeprefix("account ")) for name in listing())
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert total == count * (count - 1) // 2
        assert peak < 1024 * 1024
    assert list(store.due(START)) == []


def test_prefix_is_a_range_of_the_primary_key(engine: Engine, table: str) -> None:
    """The database looks only at the accounts that begin with it."""
    store = SQLTokenStore(engine, table=table)
    assert store.load("acme") is None
    fill(engine, store._table, 1100)
    said: list[str] = []
    explain = {"sqlite": "EXPLAIN QUERY PLAN "}.get(engine.dialect.name, "EXPLAIN ")

    def look(connection: Any, statement: str, parameters: Any) -> None:
        if statement.startswith("SELECT") and "account" in statement and not said:
            if engine.dialect.name == "postgresql":
                connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            said.append("explained")
            said.extend(map(str, connection.exec_driver_sql(explain + statement, parameters)))

    @event.listens_for(store._engine, "before_cursor_execute")
    def _(connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        look(connection, statement, parameters)

    assert len(list(store.accounts("account 10"))) == 111
    plan = "\n".join(said)
    expected = {
        "sqlite": r"SEARCH .*\(account>\? AND account<\?\)",
        "postgresql": r"Index Cond: \(\(\(?account\)?(::text)? >= .*account\)?(::text)? < ",
        "mysql": r"'range', .*'PRIMARY'",
        "mariadb": r"'range', .*'PRIMARY'",
    }
    assert re.search(expected[engine.dialect.name], plan), plan


def test_overview_loads_no_token(engine: Engine, table: str) -> None:
    """No row that the database returns holds a token, and each page is one query."""
    store = SQLTokenStore(engine, table=table)
    store.save("acme", a_token(7))
    fill(engine, store._table, 700)
    seen: list[str] = []

    @event.listens_for(store._engine, "before_cursor_execute")
    def _(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    assert len(list(store.overview())) == 701
    queries = [statement for statement in seen if f"FROM {table}" in statement]
    assert len(queries) == 3
    for statement in queries:
        columns = re.split(r",\s*", statement.partition("FROM")[0].removeprefix("SELECT "))
        assert f"{table}.account" in columns
        assert f"{table}.token" not in columns


def test_overview_of_odd_rows(engine: Engine, table: str) -> None:
    """What was put in by hand, cut off, or has no expiry may be damaged."""
    store = SQLTokenStore(engine, table=table)
    assert store.load("acme") is None
    whole = token_to_json(a_token())
    with engine.begin() as behind:
        for name, written, expiry in (
            ("a", whole, 0),
            ("b", whole, None),
            ("c", whole[:-1], 0),
            ("d", "", 0),
            ("e", whole, 10**18),
        ):
            row = {"account": name, "token": written, "expires_at": expiry}
            behind.execute(insert(store._table).values(row))
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert [tuple(each) for each in store.overview()] == [
        ("a", epoch, False, False),
        ("b", None, False, True),
        ("c", epoch, False, True),
        ("d", epoch, False, True),
        ("e", None, False, False),
    ]
    assert list(store.ended()) == []


def test_listing_goes_on_while_tokens_change(engine: Engine, table: str) -> None:
    """Accounts that are renewed or deleted during a listing hide no other account."""
    store = SQLTokenStore(engine, table=table)
    assert store.load("acme") is None
    fill(engine, store._table, 1100)
    seen = 0
    for name in store.due(START + timedelta(seconds=1)):
        seen += 1
        if seen % 3 == 0:
            store.save(name, a_token(expires_at=START + timedelta(days=1)))
    assert seen == 1100
    left = 0
    for name in store.accounts():
        left += 1
        if left % 3 == 0:
            store.delete(name)
    assert left == 1100


# For each kind, with the transaction's beginning where the store sends it.
STATEMENTS_OF_A_RENEWAL = {"sqlite": 3, "postgresql": 6, "mariadb": 4}


@pytest.mark.parametrize("kind", SQL_KINDS)
def test_renewal_is_three_steps(kind: str, tmp_path: Path) -> None:
    """Read; take the lock and read; save and release: each of them one transaction."""
    url = sql_url(kind, tmp_path)
    transport = httpx.MockTransport(lambda _request: httpx.Response(200, json=TOKENS))
    with (
        throwaway_table(url) as table,
        SQLTokenStore(url, table=table) as store,
        httpx.Client(transport=transport) as client,
    ):
        store.save("acme", a_token(expires_at=START - timedelta(days=9999)))
        done: list[str] = []
        event.listen(store._engine, "begin", lambda _connection: done.append("begin"))
        event.listen(store._engine, "before_cursor_execute", lambda *given: done.append(given[2]))
        auth = PipedriveAuth(PipedriveOAuth(CREDENTIALS, client=client), store, "acme")
        assert auth.token().access_token == TOKENS["access_token"]
        assert done.count("begin") == 3
        assert len(done) - 3 == STATEMENTS_OF_A_RENEWAL[kind], done
        with store._engine.connect() as connection:
            row = connection.execute(store._table.select()).one()
        assert (row.lock_owner, row.lock_until) == (None, None)
    auth.token_source  # noqa: B018 - it was alive until here


@pytest.mark.parametrize("whose", ["the store's engine", "the app's engine", "autocommitting"])
def test_only_tokens_wait_for_the_disk(whose: str) -> None:
    """PostgreSQL need not have a lock on its disk; a token it has, and nothing is left behind."""
    url = postgres_url()
    level: Any = {"isolation_level": "AUTOCOMMIT"} if whose == "autocommitting" else {}
    engine = create_engine(url, **level)
    ask = "SELECT current_setting('synchronous_commit')"
    seen: list[tuple[bool, Any]] = []
    with throwaway_table(url) as table, ExitStack() as closing:
        closing.callback(engine.dispose)
        store = SQLTokenStore(url if whose == "the store's engine" else engine, table=table)
        closing.callback(store.close)
        store.save("acme", a_token())

        @event.listens_for(store._engine, "before_cursor_execute")
        def look(connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
            if statement.startswith(("INSERT", "UPDATE")):
                setting = connection.exec_driver_sql(ask).scalar()
                seen.append(("lock_owner" in statement and "token=" not in statement, setting))

        with store.lock("acme"):
            store.save("acme", a_token(1))
        with store.lock("acme"):
            save_last(store, "acme", a_token(2))
        store.delete("acme")
        locks = {setting for is_lock, setting in seen if is_lock}
        tokens = {setting for is_lock, setting in seen if not is_lock}
        assert locks == ({"on"} if whose == "autocommitting" else {"off"})
        assert "on" in tokens
        with store._engine.connect() as connection:
            assert connection.exec_driver_sql(ask).scalar() == "on"


def test_idle_connections_are_tried_before_they_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that the server has closed meanwhile are no failure of a step."""
    url = postgres_url()
    failures: list[object] = []
    with throwaway_table(url) as table, SQLTokenStore(url, table=table) as store:
        store.save("acme", a_token())
        with store._engine.connect() as connection:
            number = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
        event.listen(store._engine, "handle_error", failures.append)
        behind = create_engine(url)
        for idle_seconds, expected in ((-1.0, 0), (3600.0, 1)):
            monkeypatch.setattr(_sql_engine, "_IDLE_SECONDS", idle_seconds)
            with behind.begin() as other:
                other.exec_driver_sql(f"SELECT pg_terminate_backend({number})")
            assert store.load("acme") == a_token()
            assert len(failures) == expected
            with store._engine.connect() as connection:
                number = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
        behind.dispose()


LEVELS = [
    *(("sqlite", level) for level in ("SERIALIZABLE", "AUTOCOMMIT")),
    *(
        ("postgresql", level)
        for level in ("READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE", "AUTOCOMMIT")
    ),
    *(
        ("mariadb", level)
        for level in ("READ UNCOMMITTED", "READ COMMITTED", "SERIALIZABLE", "AUTOCOMMIT")
    ),
]


@pytest.mark.parametrize(("kind", "level"), LEVELS)
@pytest.mark.parametrize(
    "shared_test",
    [
        (Every, Every.test_no_change_is_lost_between_callers),
        (Every, Every.test_lock_has_one_holder),
        (Leased, Leased.test_first_save_is_not_overwritten),
        (Leased, Leased.test_late_save_is_rejected),
        (Leased, Leased.test_deleted_token_does_not_come_back),
    ],
    ids=lambda pair: pair[1].__name__.removeprefix("test_"),
)
def test_every_isolation_level(
    tmp_path: Path, kind: str, level: Any, shared_test: tuple[type, Callable[..., None]]
) -> None:
    """What threads and late holders do is right under each isolation level of an app's engine."""
    url = sql_url(kind, tmp_path)
    (tmp_path / "tokens.db").touch(0o600)
    with throwaway_table(url) as table, ExitStack() as closing:

        def open_store(**times: Any) -> SQLTokenStore:
            engine = create_engine(url, isolation_level=level)
            closing.callback(engine.dispose)
            return SQLTokenStore(engine, table=table, **times)

        suite, test = shared_test
        test(suite(), open_store)
