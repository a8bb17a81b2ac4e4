"""`SQLTokenStore` in forked processes."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from pipedrive_oauth_client.stores import SQLTokenStore
from pipedrive_oauth_client.stores.conformance import a_token
from tests.support.backends import SQL_KINDS, sql_url, throwaway_table
from tests.support.forks import in_child, in_children

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

ASK = {
    "sqlite": "SELECT 1",
    "postgresql": "SELECT pg_backend_pid()",
    "mysql": "SELECT connection_id()",
}


def connection_number(store: SQLTokenStore) -> str:
    """Give what the server knows the store's connection by."""
    with store._engine.connect() as connection:
        return str(connection.exec_driver_sql(ASK[store._engine.dialect.name]).scalar())


@pytest.mark.parametrize("kind", SQL_KINDS)
@pytest.mark.parametrize("owner", ["store", "app", "app and two stores"])
def test_fork(tmp_path: Path, kind: str, owner: str) -> None:
    """A forked process makes connections of its own, and those of its parent still work."""
    url = sql_url(kind, tmp_path)
    (tmp_path / "tokens.db").touch(0o600)
    with throwaway_table(url) as table, ExitStack() as closing:
        engine = create_engine(url)
        closing.callback(engine.dispose)
        store = SQLTokenStore(url if owner == "store" else engine, table=table)
        closing.callback(store.close)
        other = SQLTokenStore(engine, table=table) if owner == "app and two stores" else store
        store.save("acme", a_token(0))
        before = connection_number(store)

        def child() -> str:
            store.save("child", a_token(1))
            number = connection_number(store)
            assert other.load("acme") == a_token(0)
            # The second store goes on with the pool that the first has got.
            assert connection_number(other) == number
            return number

        with store.lock("acme"):
            after = in_child(child)
            assert after != before or kind == "sqlite"
            # The child has ended, and said good-bye on no connection of its parent's.
            assert connection_number(store) == before
            store.save("acme", a_token(2))
        assert store.load("child") == a_token(1)
        assert store.load("acme") == a_token(2)


@pytest.mark.parametrize("kind", SQL_KINDS)
def test_forked_workers_lose_no_change(tmp_path: Path, kind: str) -> None:
    """Workers that share a store which was used before they were forked lose no change."""
    url = sql_url(kind, tmp_path)
    rounds, workers = 5, 4
    with throwaway_table(url) as table, SQLTokenStore(url, table=table) as store:
        store.save("acme", a_token(0))

        def work() -> str:
            for _ in range(rounds):
                with store.lock("acme"):
                    before = store.load("acme")
                    assert before is not None
                    number = int(before.access_token.rpartition("-")[2])
                    store.save("acme", a_token(number + 1))
            return "done"

        works: list[Callable[[], str]] = [work] * workers
        assert in_children(works) == ["done"] * workers
        assert store.load("acme") == a_token(rounds * workers)
