"""The table of `SQLTokenStore`: how it is made, migrated, filled by hand and read in pages."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable, Generator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata, produce_migrations, render_python_code
from alembic.migration import MigrationContext
from alembic.operations import Operations, ops
from sqlalchemy import Engine, MetaData, Table, create_engine, insert, inspect, update
from sqlalchemy.schema import CreateTable

from pipedrive_oauth_client.errors import StoreError
from pipedrive_oauth_client.stores import SQLTokenStore
from pipedrive_oauth_client.stores.conformance import START, a_token
from pipedrive_oauth_client.stores.conformance import LeaseConformance as Leased
from pipedrive_oauth_client.stores.conformance import TokenStoreConformance as Every
from pipedrive_oauth_client.stores.leased import to_text
from pipedrive_oauth_client.stores.sql import token_table
from tests.support.backends import SQL_KINDS, sql_url, throwaway_table
from tests.support.forks import in_children


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
        behind.execute(insert(store._table).values(account="acme", token=to_text(a_token(1))))
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
    """A hundred thousand accounts are listed once each, in memory for a few."""
    count = 100_000
    store = SQLTokenStore(engine, table=table)
    assert store.load("acme") is None
    fill(engine, store._table, count)
    listings: tuple[Callable[[], Any], ...] = (
        store.accounts,
        lambda: store.due(START + timedelta(microseconds=1)),
    )
    for listing in listings:
        list(zip(range(501), listing(), strict=False))  # what is kept once is kept by now
        tracemalloc.start()
        total = sum(int(name.removeprefix("account ")) for name in listing())
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert total == count * (count - 1) // 2
        assert peak < 2 * 1024 * 1024
    assert list(store.due(START)) == []


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
        (Every, Every.test_nothing_is_lost_between_callers),
        (Every, Every.test_lock_has_one_holder),
        (Leased, Leased.test_first_save_is_fenced_too),
        (Leased, Leased.test_late_save_is_refused),
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
