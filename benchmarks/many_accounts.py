"""1,000 refreshes of different accounts at the same time: `python -m benchmarks accounts`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack

from attrs import evolve

from benchmarks.measure import Figures, compared_blocks, table
from benchmarks.peers import async_ways, blocking_ways
from benchmarks.results import Table
from benchmarks.rivals import generated
from benchmarks.token_server import served

ACCOUNTS, THREADS = 1_000, 16
ROUNDS = 3
# It makes an httpx client for every refresh, which takes about half a minute for all of them.
LEFT_OUT = "httpx-oauth"
NOTE = (
    "Time by account until all have their token, through one client, with the connections that it"
    f" opens by itself. {LEFT_OUT} is left out: it makes a client for every refresh, and what that"
    " costs is in the table before."
)


def measured() -> list[Table]:
    """Measure tasks in one event loop, and threads."""
    with generated(), served() as server, ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(THREADS))
        threads = [(name, _pooled(pool, do)) for name, do in _shareable(server.url, stack)]
        by_threads = compared_blocks(threads, rounds=ROUNDS, repetitions=1)
        runner = stack.enter_context(asyncio.Runner())
        connections = AsyncExitStack()
        ways = runner.run(async_ways(server.url, connections))
        try:
            tasks = [(name, _gathered(runner, do)) for name, do in ways if name != LEFT_OUT]
            by_tasks = compared_blocks(tasks, rounds=ROUNDS, repetitions=1)
        finally:
            runner.run(connections.aclose())
    return [
        table(f"{ACCOUNTS:,} accounts at the same time, by as many tasks", _each(by_tasks), NOTE),
        table(
            f"{ACCOUNTS:,} accounts, by {THREADS} threads",
            _each(by_threads),
            "Only clients that threads may share. Time by account, as above.",
        ),
    ]


def _shareable(url: str, stack: ExitStack) -> list[tuple[str, Callable[[str], str]]]:
    ways = blocking_ways(url, stack)
    return [(name, do) for name, do in ways if name.startswith(("httpx", "this", "openapi"))]


def _gathered(
    runner: asyncio.Runner, do: Callable[[str], Awaitable[str]]
) -> Callable[[int], object]:
    async def all_at_once(_count: int) -> None:
        await asyncio.gather(*(do(token) for token in _tokens()))

    return lambda count: runner.run(all_at_once(count))


def _pooled(pool: ThreadPoolExecutor, do: Callable[[str], str]) -> Callable[[int], object]:
    return lambda _count: list(pool.map(do, _tokens()))


def _tokens() -> list[str]:
    return [f"1:1:{number:060d}" for number in range(ACCOUNTS)]


def _each(figures: list[Figures]) -> list[Figures]:
    return [
        evolve(each, microseconds=tuple(figure / ACCOUNTS for figure in each.microseconds))
        for each in figures
    ]
