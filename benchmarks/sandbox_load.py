"""How much the sandbox costs: `python -m benchmarks sandbox`.

Three questions, answered in one run on one machine:

- How much longer does a token request take than the least that the same server could do: a bare
  Starlette route that reads the form and answers JSON of the same size?
- Does that change with 100,000 accounts in the sandbox, and how much memory does an account take?
- Is anything left when it stops: a thread, a socket?

Both servers run in threads of this process, with the same HTTP parser. The client is a process of
its own, as a thread here would hold up the servers whenever it runs. It knows just enough HTTP, so
as not to cover up the difference, keeps one connection to each and asks them in turn, a block of
requests each time: what a server tidies up after its answer must not count for the other one.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import multiprocessing
import statistics
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from benchmarks.measure import row
from benchmarks.results import Row, Table
from benchmarks.sandbox_peers import Client, bare_server, connect_all, make_users
from pipedrive_oauth_client.sandbox import Sandbox, create_app, run

_BLOCK = 20
_WARM_UP_BLOCKS = 10


def compare(
    sandbox_url: str, bare_url: str, token: str, blocks: int
) -> tuple[list[float], list[float]]:
    """Ask both servers in turn, on connections that are kept.

    Args:
        sandbox_url: The sandbox's address.
        bare_url: The bare server's address.
        token: A refresh token that is alive.
        blocks: How many blocks of requests each of them gets.

    Returns:
        The median of each block, in microseconds: the sandbox's, and the bare server's.
    """
    taken: tuple[list[float], list[float]] = ([], [])
    with (
        contextlib.closing(Client(sandbox_url)) as sandbox,
        contextlib.closing(Client(bare_url)) as bare,
    ):
        for number in range(_WARM_UP_BLOCKS + blocks):
            for client, medians in zip((sandbox, bare), taken, strict=True):
                block = list[float]()
                for _ in range(_BLOCK):
                    start = time.perf_counter()
                    # The bare server gives back the token that it was sent.
                    token = str(client.refresh(token)["refresh_token"])
                    block.append(time.perf_counter() - start)
                if number >= _WARM_UP_BLOCKS:
                    medians.append(statistics.median(block) * 1e6)
    return taken


def measure(sandbox: Sandbox, token: str, count: int) -> tuple[list[float], list[float]]:
    """Serve a sandbox and the bare route, and compare them."""
    with run(sandbox) as server:
        with contextlib.closing(Client(server.base_url)) as client:
            answer = client.refresh(token)
        token = str(answer["refresh_token"])
        spawning = multiprocessing.get_context("spawn")
        with bare_server(answer) as bare_url, spawning.Pool(1) as clients:
            blocks = max(count // _BLOCK, 1)
            return clients.apply(compare, (server.base_url, bare_url, token, blocks))


def resident_bytes() -> int:
    """Return how much memory the process holds."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096


def open_sockets() -> int:
    """Return how many sockets the process has open."""
    gc.collect()
    found = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found += str(descriptor.readlink()).startswith("socket:")
    return found


def counts(when: str) -> list[Row]:
    """Count threads and sockets."""
    return [
        Row(f"threads, {when}", threading.active_count(), ""),
        Row(f"sockets, {when}", open_sockets(), ""),
    ]


def rows(accounts: int, sandbox: list[float], bare: list[float]) -> list[Row]:
    """Put a comparison into rows."""
    return [
        row(f"bare route, {accounts:,} connected", bare, bare, "µs"),
        row(f"sandbox, {accounts:,} connected", sandbox, bare, "µs"),
    ]


def measured() -> list[Table]:
    """Measure in a new process, whose memory nobody has used and given back before."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as processes:
        return processes.submit(found_here).result()


def found_here(accounts: int = 100_000, requests: int = 1_000) -> list[Table]:
    """Measure in this process.

    Args:
        accounts: How many accounts the large sandbox holds.
        requests: How many requests each server gets, each time.
    """
    left = counts("before")
    sandbox = create_app()
    token = asyncio.run(connect_all(sandbox, sandbox.users[:1]))
    times = rows(1, *measure(sandbox, token, requests))

    held = resident_bytes()
    start = time.perf_counter()
    large = create_app(users=make_users(accounts))
    asyncio.run(connect_all(large, large.users))
    filling = [
        Row(f"connecting {accounts:,} accounts", time.perf_counter() - start, "s"),
        Row("memory of an account", (resident_bytes() - held) / accounts, "bytes"),
    ]
    token = asyncio.run(connect_all(large, large.users[-1:]))
    times += rows(accounts, *measure(large, token, requests))
    token = asyncio.run(connect_all(large, large.users[-1:]))

    for _ in range(20):
        with run(large):
            pass
    with run(large) as server:
        clients = [Client(server.base_url) for _ in range(50)]
        for client in clients:
            token = str(client.refresh(token)["refresh_token"])
        left += counts("with 50 clients")
    for client in clients:
        client.close()
    left += counts("after 21 more stops")
    return [
        Table(
            "A token request to the sandbox, against a bare route of the same server", tuple(times)
        ),
        Table("Accounts in the sandbox", tuple(filling)),
        Table("What the sandbox leaves behind", tuple(left)),
    ]
