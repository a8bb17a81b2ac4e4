"""`SQLTokenStore` behind PgBouncer, which hands each transaction to another session."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack
from typing import Any, Final, NamedTuple

import pytest
from sqlalchemy import create_engine, make_url

from pipedrive_oauth_client.errors import StoreError
from pipedrive_oauth_client.stores import SQLTokenStore
from pipedrive_oauth_client.stores.conformance import (
    LeaseConformance,
    ListingConformance,
    TokenStoreConformance,
    a_token,
)
from tests.support.backends import postgres_url, throwaway_table
from tests.support.pgbouncer import pgbouncer
from tests.support.samples import ACCESS_TOKEN, REFRESH_TOKEN
from tests.support.sweep import found, visible

TOKEN = a_token(access_token=ACCESS_TOKEN, refresh_token=REFRESH_TOKEN)
STEPS: Final[list[Callable[[SQLTokenStore], object]]] = [
    lambda store: store.load("acme"),
    lambda store: store.save("acme", TOKEN),
    lambda store: list(store.accounts()),
    lambda store: store.delete("acme"),
]


class Pooler(NamedTuple):
    """The addresses of a PgBouncer."""

    url: str
    one_session: str


@pytest.fixture(scope="module")
def pooler() -> Generator[Pooler]:
    """Give a PgBouncer that pools transactions."""
    with pgbouncer(postgres_url()) as addresses:
        yield Pooler(*addresses)


@pytest.fixture
def table() -> Generator[str]:
    """Give the name of a table of this test's own."""
    with throwaway_table(postgres_url()) as name:
        yield name


class TestThroughPgBouncer(TokenStoreConformance, LeaseConformance, ListingConformance):
    """The shared tests, each handle with an engine of its own."""

    @pytest.fixture
    def open_store(self, pooler: Pooler, table: str) -> Generator[Callable[..., SQLTokenStore]]:
        """Give stores on one table."""
        with ExitStack() as closing:
            yield lambda **settings: closing.enter_context(
                SQLTokenStore(pooler.url, table=table, **settings)
            )


def test_engine_of_the_app_without_prepared_statements(pooler: Pooler, table: str) -> None:
    """An engine of the app works as well, where it uses no prepared statements."""
    engine = create_engine(pooler.one_session, connect_args={"prepare_threshold": None})
    stores = [SQLTokenStore(each, table=table) for each in (engine, engine, pooler.one_session)]
    for number in range(12):
        store = stores[number % 3]
        with store.lock("acme"):
            store.save("acme", a_token(number))
        assert store.load("acme") == a_token(number)
    stores[2].close()
    engine.dispose()


def test_prepared_statements_are_named(pooler: Pooler, table: str) -> None:
    """Where an engine of the app uses prepared statements, the error says what to change."""
    settings: dict[str, Any] = {"prepare_threshold": 0}
    engines = [create_engine(pooler.one_session, connect_args=settings) for _ in range(2)]
    one, other = (SQLTokenStore(each, table=table, create_table=False) for each in engines)
    with SQLTokenStore(postgres_url(), table=table) as direct:
        direct.save("acme", TOKEN)
    errors: list[StoreError] = []
    # Both count their statements, and so give different ones the same name.
    steps = {one: STEPS, other: STEPS[::-1]}
    for store in (one, other) * 3:
        for step in steps[store]:
            try:
                step(store)
            except StoreError as error:
                errors.append(error)
    assert errors
    for each in errors:
        assert "prepare_threshold=None" in str(each)
        assert not found(visible(each), [ACCESS_TOKEN, REFRESH_TOKEN])
    for engine in engines:
        engine.dispose()


def test_missing_database_is_named(pooler: Pooler) -> None:
    """What PgBouncer itself rejects is an error of the store that says why."""
    url = make_url(pooler.url).set(database="no_such_database")
    with SQLTokenStore(url) as store, pytest.raises(StoreError, match="does not exist"):
        store.load("acme")
