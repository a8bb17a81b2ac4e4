"""How many accounts `refresh_due` renews in a second on each store, and how memory grows.

python -m benchmarks fleet      # each store, and up to 100,000 accounts for the time
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import httpx

from benchmarks.measure import row, spread
from benchmarks.places import opened_places
from benchmarks.results import Row, Table
from pipedrive_oauth_client import AppCredentials, PipedriveOAuth, Token
from pipedrive_oauth_client.fleet import refresh_due
from pipedrive_oauth_client.stores import LeasedStore

ACCOUNTS = 300
ROUNDS = 5
SIZES = (1_000, 10_000, 100_000)
TIMES = 2
MEMORY_SIZES = (1_000, 10_000)
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def measured() -> list[Table]:
    """Measure the rate on each store that is there, and the memory by the number of accounts."""
    # No service is measured here, so a token answer comes from memory.
    answer = {"access_token": "v1u:new", "token_type": "Bearer", "refresh_token": "1:1:new"}
    answer |= {"scope": "base", "api_domain": "https://acme.pipedrive.com"}
    transport = httpx.MockTransport(
        lambda _request: httpx.Response(200, json={**answer, "expires_in": 3600})
    )
    credentials = AppCredentials("client", "secret", "https://example.com/callback")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        client = stack.enter_context(httpx.Client(transport=transport))
        oauth = PipedriveOAuth(credentials, client=client)
        places = list(opened_places(folder, stack))
        # In turns, since disks have slow minutes.
        rounds = [[_rate(oauth, store) for _name, store in places] for _ in range(ROUNDS)]
        rates = [
            Row(name, median(taken), "accounts/s", *spread(taken))
            for (name, _store), taken in zip(places, zip(*rounds, strict=True), strict=True)
        ]
        memory: list[Row] = []
        for size in MEMORY_SIZES:
            taken = [_most_memory(oauth, size) / 1024 for _ in range(ROUNDS)]
            memory.append(Row(f"{size:,} accounts due", median(taken), "KiB", *spread(taken)))
        times = [[_time(oauth, size) for size in SIZES] for _ in range(TIMES)]
        by_size = [
            row(f"{size:,} accounts due", list(each), [first for first, *_ in times], "µs")
            for size, each in zip(SIZES, zip(*times, strict=True), strict=True)
        ]
    return [
        Table(
            "Accounts that `refresh_due` renews in a second",
            tuple(rates),
            f"{ACCOUNTS:,} accounts, 8 at the same time, the service not counted.",
        ),
        Table("Most memory that a run of `refresh_due` takes", tuple(memory)),
        Table(
            "Time of `refresh_due` for each account",
            tuple(by_size),
            "One after the other, answers and stored tokens from memory: what is left is this"
            " package and httpx. Several at a time gain where a service and a store are waited for;"
            " here they would wait for each other, and longer after the first few hundred.",
        ),
    ]


def _rate(oauth: PipedriveOAuth, store: LeasedStore) -> float:
    token = _token()
    for number in range(ACCOUNTS):
        store.save(f"account {number}", token)
    started = time.perf_counter()
    report = refresh_due(oauth, store, datetime.now(UTC), per_second=None)
    seconds = time.perf_counter() - started
    assert (report.renewed, report.errors) == (ACCOUNTS, {})
    return ACCOUNTS / seconds


def _token() -> Token:
    return Token(
        access_token="v1u:old",
        refresh_token="1:1:old",
        api_domain="https://acme.pipedrive.com",
        expires_at=LONG_AGO,
    )


class _Endless:
    """A store that holds nothing itself, so that only the run's own memory is measured."""

    def __init__(self, size: int) -> None:
        self._size = size

    def accounts(self) -> Iterator[str]:
        return (f"account {number}" for number in range(self._size))

    def due(self, before: datetime) -> Iterator[str]:
        del before
        return self.accounts()

    def load(self, account: str) -> Token | None:
        del account
        return _token()

    def save(self, account: str, token: Token) -> None:
        pass

    def delete(self, account: str) -> None:
        pass

    def lock(self, account: str) -> AbstractContextManager[None]:
        del account
        return nullcontext()


def _time(oauth: PipedriveOAuth, size: int) -> float:
    """Give the microseconds for each account; few accounts are renewed again and again."""
    before = datetime.now(UTC) - timedelta(days=45)
    runs = max(SIZES[1] // size, 1)
    started = time.perf_counter()
    for _ in range(runs):
        report = refresh_due(oauth, _Endless(size), before, per_second=None, concurrency=1)
        assert report.renewed == size
    return (time.perf_counter() - started) / (size * runs) * 1e6


def _most_memory(oauth: PipedriveOAuth, size: int) -> int:
    before = datetime.now(UTC) - timedelta(days=45)
    refresh_due(oauth, _Endless(100), before, per_second=None)
    tracemalloc.start()
    try:
        report = refresh_due(oauth, _Endless(size), before, per_second=None)
        assert report.renewed == size
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
