"""What a refresh costs on each kind of store, alone and in a run of `refresh_due`."""

from __future__ import annotations

import os
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory

import httpx
from sqlalchemy import create_engine

from benchmarks.measure import (
    QUICK_ROUNDS,
    Block,
    Figure,
    Table,
    chained,
    compared,
    figures,
    repeated,
    rounds_within,
)
from benchmarks.peers import CREDENTIALS, FIRST, blocking_httpx, expired
from benchmarks.token_server import TOKENS, served
from pipedrive_oauth_client import PipedriveAuth, PipedriveOAuth, StoreError, Token
from pipedrive_oauth_client.fleet import refresh_due
from pipedrive_oauth_client.stores import (
    FileTokenStore,
    LeasedStore,
    MemoryTokenStore,
    RedisTokenStore,
    SQLTokenStore,
)

ACCOUNTS, REPETITIONS = 300, 10
SIZES = (1_000, 10_000, 100_000)
ALONE, FLEET, MEMORY = "one refresh", "refresh_due, by account", "refresh_due, memory"
NOTE = (
    "`one refresh` consists of a lock, a read, a POST request over loopback and a save."
    f" `{FLEET}` is the time per account when {ACCOUNTS} accounts are refreshed, 8 at the same"
    " time, with token responses from memory. The rows with a number of accounts use no store and"
    " refresh one account after the other, so they measure only this package and httpx; their"
    " ratio is to the first of them."
)
_DATABASES = {
    "PostgreSQL": ("TEST_POSTGRES_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"),
    "MariaDB": ("TEST_MARIADB_URL", "mysql+pymysql://root@127.0.0.1:3306/test"),
}


def measured(rounds: int) -> Table:
    """Measure each store that this machine has, and runs of different size."""
    canned = {**TOKENS, "refresh_token": FIRST}
    transport = httpx.MockTransport(lambda _request: httpx.Response(200, json=canned))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        stores = list(_opened_stores(folder, stack))
        server = stack.enter_context(served())
        oauth = stack.enter_context(PipedriveOAuth(CREDENTIALS, base_url=server.url))
        bare = chained(blocking_httpx(server.url, stack), FIRST)
        blocks = [("httpx, nothing saved", bare)]
        blocks += [(name, _refreshing(oauth, store)) for name, store in stores]
        cells = figures(ALONE, compared(blocks, rounds=rounds, repetitions=REPETITIONS))

        client = stack.enter_context(httpx.Client(transport=transport))
        canned_oauth = PipedriveOAuth(CREDENTIALS, client=client)
        # In turns, since disks have slow minutes.
        by_store: dict[str, list[float]] = {name: [] for name, _store in stores}
        for _ in rounds_within(max(rounds // 4, 2)):
            for name, store in stores:
                by_store[name].append(_time_of_store(canned_oauth, store))
        cells += figures(FLEET, by_store)
        # A quick run does without the largest.
        cells += _by_size(canned_oauth, SIZES if rounds > QUICK_ROUNDS else SIZES[:1])
    return Table("fleet", "Refreshing with each store, and many accounts", tuple(cells), NOTE)


def _opened_stores(folder: Path, stack: ExitStack) -> Iterator[tuple[str, LeasedStore]]:
    """Open an empty store of each kind; a server that does not respond is left out."""
    yield "memory", MemoryTokenStore()
    yield "file", FileTokenStore(folder / "tokens")
    database = SQLTokenStore(f"sqlite:///{folder / 'tokens.db'}")
    stack.callback(database.close)
    yield "SQLite", database
    for name, (variable, usual) in _DATABASES.items():
        url = os.environ.get(variable, usual)
        store = SQLTokenStore(url, table=f"bench_{token_hex(4)}")
        if _responds(name, store):
            stack.callback(store.close)
            stack.callback(_drop, url, store)
            yield name, store
    address = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379")
    redis = RedisTokenStore(address, prefix=f"{{bench-{token_hex(4)}}}")
    if _responds("Redis", redis):
        stack.callback(_empty, redis)
        yield "Redis", redis


def _responds(name: str, store: LeasedStore) -> bool:
    try:
        store.load("acme")
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


def _refreshing(oauth: PipedriveOAuth, store: LeasedStore) -> Block:
    store.save("acme", expired())
    auth = PipedriveAuth(oauth, store, "acme")
    held = [auth.token()]

    def refresh() -> None:
        held[0] = auth.token(rejected=held[0])

    return repeated(refresh)


def _time_of_store(oauth: PipedriveOAuth, store: LeasedStore) -> float:
    """Return the microseconds for each of the accounts, saved just before."""
    store.delete("acme")
    for number in range(ACCOUNTS):
        store.save(f"account {number}", expired())
    started = time.perf_counter()
    report = refresh_due(oauth, store, datetime.now(UTC), per_second=None)
    seconds = time.perf_counter() - started
    assert (report.renewed, report.errors) == (ACCOUNTS, {})
    return seconds / ACCOUNTS * 1e6


def _by_size(oauth: PipedriveOAuth, sizes: tuple[int, ...]) -> list[Figure]:
    """Measure runs over stores that hold nothing themselves, in two rounds.

    Memory is measured for two sizes, as the trace of all allocations is slow.
    """
    times: dict[str, list[float]] = {f"{size:,} accounts": [] for size in sizes}
    for _ in range(2):
        for size in sizes:
            times[f"{size:,} accounts"].append(_time_of_size(oauth, size))
    memory = {f"{size:,} accounts": [_most_memory(oauth, size)] for size in sizes[:2]}
    return [*figures(FLEET, times), *figures(MEMORY, memory, "KiB")]


class _Endless:
    """A store of expired tokens that keeps nothing, so that a run's own costs are measured."""

    def __init__(self, size: int) -> None:
        self._size = size

    def accounts(self) -> Iterator[str]:
        return (f"account {number}" for number in range(self._size))

    def due(self, before: datetime) -> Iterator[str]:
        del before
        return self.accounts()

    def load(self, account: str) -> Token | None:
        del account
        return expired()

    def save(self, account: str, token: Token) -> None:
        pass

    def delete(self, account: str) -> None:
        pass

    def lock(self, account: str) -> AbstractContextManager[None]:
        del account
        return nullcontext()


def _time_of_size(oauth: PipedriveOAuth, size: int) -> float:
    """Return the microseconds for each account; a small run is repeated."""
    before = datetime.now(UTC) - timedelta(days=45)
    runs = max(SIZES[1] // size, 1)
    started = time.perf_counter()
    for _ in range(runs):
        report = refresh_due(oauth, _Endless(size), before, per_second=None, concurrency=1)
        assert report.renewed == size
    return (time.perf_counter() - started) / (size * runs) * 1e6


def _most_memory(oauth: PipedriveOAuth, size: int) -> float:
    """Return the most kibibytes that a run holds at once."""
    before = datetime.now(UTC) - timedelta(days=45)
    refresh_due(oauth, _Endless(100), before, per_second=None)
    tracemalloc.start()
    try:
        report = refresh_due(oauth, _Endless(size), before, per_second=None)
        assert report.renewed == size
        return tracemalloc.get_traced_memory()[1] / 1024
    finally:
        tracemalloc.stop()
