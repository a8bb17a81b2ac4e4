"""One refresh on a connection that is kept, sync and async: `python -m benchmarks refresh`."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, ExitStack

from benchmarks.measure import chained, chained_async, compared_blocks, table
from benchmarks.peers import FIRST, NOTES, async_ways, blocking_ways
from benchmarks.results import Table
from benchmarks.rivals import generated
from benchmarks.token_server import served

ROUNDS, REPETITIONS = 100, 20


def measured() -> list[Table]:
    """Measure all clients in turn, against one server in a process of its own."""
    with generated(), served() as server, ExitStack() as stack:
        ways = [(name, chained(do, FIRST)) for name, do in blocking_ways(server.url, stack)]
        blocking = compared_blocks(ways, rounds=ROUNDS, repetitions=REPETITIONS)
        runner = stack.enter_context(asyncio.Runner())
        connections = AsyncExitStack()
        awaited = runner.run(async_ways(server.url, connections))
        try:
            blocks = [(name, chained_async(runner, do, FIRST)) for name, do in awaited]
            asynchronous = compared_blocks(blocks, rounds=ROUNDS, repetitions=REPETITIONS)
        finally:
            runner.run(connections.aclose())
    return [
        table("A refresh on a kept connection", blocking, NOTES),
        table("The same, async, on a kept connection", asynchronous),
    ]
