"""A store of each kind that this machine has, empty, for a benchmark to fill."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from secrets import token_hex

from sqlalchemy import create_engine

from pipedrive_oauth_client import StoreError
from pipedrive_oauth_client.stores import (
    FileTokenStore,
    LeasedStore,
    MemoryTokenStore,
    RedisTokenStore,
    SQLTokenStore,
)

__all__ = ["opened_places"]

_DATABASES = {
    "PostgreSQL": ("TEST_POSTGRES_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"),
    "MariaDB": ("TEST_MARIADB_URL", "mysql+pymysql://root@127.0.0.1:3306/test"),
}


def opened_places(folder: Path, stack: ExitStack) -> Iterator[tuple[str, LeasedStore]]:
    """Open a store of each kind, and empty it at the end.

    Args:
        folder: Where files may be put.
        stack: Closes and empties the stores at its end.

    Yields:
        The name of each kind with its store; a server that does not answer is named and left out.
    """
    yield "memory", MemoryTokenStore()
    yield "file", FileTokenStore(folder / "tokens")
    database = SQLTokenStore(f"sqlite:///{folder / 'tokens.db'}")
    stack.callback(database.close)
    yield "SQLite", database
    for name, (variable, usual) in _DATABASES.items():
        url = os.environ.get(variable, usual)
        store = SQLTokenStore(url, table=f"bench_{token_hex(4)}")
        if _answers(name, store):
            stack.callback(store.close)
            stack.callback(_drop, url, store)
            yield name, store
    prefix = f"{{bench-{token_hex(4)}}}"
    redis = RedisTokenStore(
        os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379"), prefix=prefix
    )
    if _answers("Redis", redis):
        stack.callback(_empty, redis)
        yield "Redis", redis


def _answers(name: str, store: LeasedStore) -> bool:
    try:
        store.load("nobody")
    except StoreError as error:
        print(f"{name} is left out: {error}")
        return False
    return True


def _drop(url: str, store: SQLTokenStore) -> None:
    engine = create_engine(url)
    store.metadata.drop_all(engine)
    engine.dispose()


def _empty(store: LeasedStore) -> None:
    for account in list(store.accounts()):
        store.delete(account)
