"""1,000 refreshes of different accounts at the same time: `python -m benchmarks accounts`."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack

from benchmarks.measure import Figures, table
from benchmarks.peers import async_ways, blocking_ways
from benchmarks.results import Table
from benchmarks.rivals import generated
from benchmarks.token_server import served

ACCOUNTS, THREADS, CONNECTIONS = 1_000, 16, 100
ROUNDS = 5
# It makes an httpx client for every refresh, which takes about half a minute for all of them.
LEFT_OUT = "httpx-oauth"
NOTE = (
    "Time by account until all have their token, through one client whose"
    f" {CONNECTIONS} connections are open. {LEFT_OUT} is left out: it makes a client for every"
    " refresh, and what that costs is in the table before."
)


def measured() -> list[Table]:
    """Measure tasks in one event loop, and threads."""
    with generated(), served() as server, ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(THREADS))
        threads = [(name, _pooled(pool, do)) for name, do in _shareable(server.url, stack)]
        by_threads = _compared(threads)
        runner = stack.enter_context(asyncio.Runner())
        connections = AsyncExitStack()
        ways = runner.run(async_ways(server.url, connections))
        try:
            by_tasks = _compared(
                [(name, _gathered(runner, do)) for name, do in ways if name != LEFT_OUT]
            )
        finally:
            runner.run(connections.aclose())
    return [
        table(f"{ACCOUNTS:,} accounts at the same time, by as many tasks", by_tasks, NOTE),
        table(
            f"{ACCOUNTS:,} accounts, by {THREADS} threads",
            by_threads,
            "Only clients that threads may share. Time by account, as above.",
        ),
    ]


def _compared(ways: Sequence[tuple[str, Callable[[int], object]]]) -> list[Figures]:
    """Measure ways that are called with a number of accounts, in turn."""
    taken: dict[str, list[float]] = {name: [] for name, _do in ways}
    for number in range(ROUNDS):
        for name, do in ways if number % 2 else reversed(ways):
            # Idle connections are closed after five seconds, and with a thousand requests waiting,
            # httpcore takes twenty seconds to open these, whoever asks.
            do(CONNECTIONS)
            gc.collect()
            started = time.perf_counter()
            do(ACCOUNTS)
            taken[name].append((time.perf_counter() - started) / ACCOUNTS * 1e6)
    return [Figures(name, tuple(figures)) for name, figures in taken.items()]


def _shareable(url: str, stack: ExitStack) -> list[tuple[str, Callable[[str], str]]]:
    ways = blocking_ways(url, stack)
    return [(name, do) for name, do in ways if name.startswith(("httpx", "this", "openapi"))]


def _gathered(
    runner: asyncio.Runner, do: Callable[[str], Awaitable[str]]
) -> Callable[[int], object]:
    async def all_at_once(count: int) -> None:
        await asyncio.gather(*(do(token) for token in _tokens(count)))

    return lambda count: runner.run(all_at_once(count))


def _pooled(pool: ThreadPoolExecutor, do: Callable[[str], str]) -> Callable[[int], object]:
    return lambda count: list(pool.map(do, _tokens(count)))


def _tokens(count: int) -> list[str]:
    return [f"1:1:{number:060d}" for number in range(count)]
