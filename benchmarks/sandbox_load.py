"""How much the sandbox costs: `python -m benchmarks.sandbox_load [--accounts N] [--requests N]`.

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

import argparse
import asyncio
import contextlib
import gc
import multiprocessing
import statistics
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import attrs

from benchmarks.sandbox_peers import Client, bare_server, connect_all, make_users
from pipedrive_oauth_client.sandbox import Sandbox, create_app, run

_BLOCK = 20
_WARM_UP_BLOCKS = 10


@attrs.frozen
class Timing:
    """Medians of both servers, in seconds."""

    sandbox: float
    bare: float

    def __str__(self) -> str:
        return (
            f"sandbox {self.sandbox * 1e6:6.0f} µs, bare route {self.bare * 1e6:6.0f} µs, "
            f"ratio {self.sandbox / self.bare:.2f}"
        )


def compare(sandbox_url: str, bare_url: str, token: str, blocks: int) -> Timing:
    """Ask both servers in turn, on connections that are kept.

    Args:
        sandbox_url: The sandbox's address.
        bare_url: The bare server's address.
        token: A refresh token that is alive.
        blocks: How many blocks of requests each of them gets.
    """
    sandbox_times, bare_times = list[float](), list[float]()
    with (
        contextlib.closing(Client(sandbox_url)) as sandbox,
        contextlib.closing(Client(bare_url)) as bare,
    ):
        for number in range(_WARM_UP_BLOCKS + blocks):
            for client, times in ((sandbox, sandbox_times), (bare, bare_times)):
                for _ in range(_BLOCK):
                    start = time.perf_counter()
                    # The bare server gives back the token that it was sent.
                    token = str(client.refresh(token)["refresh_token"])
                    times.append(time.perf_counter() - start)
            if number < _WARM_UP_BLOCKS:
                sandbox_times.clear()
                bare_times.clear()
    return Timing(statistics.median(sandbox_times), statistics.median(bare_times))


def measure(sandbox: Sandbox, token: str, count: int) -> Timing:
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


def counts() -> str:
    """Return threads and sockets in words."""
    return f"{threading.active_count()} threads, {open_sockets()} sockets"


def say(what: str, figures: object) -> None:
    """Print a line of the result."""
    sys.stdout.write(f"{what:<22}{figures}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return the exit code: 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sandbox_load")
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=3_000, help="to each server, each time")
    options = parser.parse_args(arguments)

    say("before", counts())
    sandbox = create_app()
    token = asyncio.run(connect_all(sandbox, sandbox.users[:1]))
    say("1 account", measure(sandbox, token, options.requests))

    held = resident_bytes()
    start = time.perf_counter()
    large = create_app(users=make_users(options.accounts))
    asyncio.run(connect_all(large, large.users))
    took = time.perf_counter() - start
    each = (resident_bytes() - held) / options.accounts
    say("filling in", f"{options.accounts:,} accounts, {took:.1f} s, {each:,.0f} bytes each")
    token = asyncio.run(connect_all(large, large.users[-1:]))
    say(f"{options.accounts:,} accounts", measure(large, token, options.requests))
    token = asyncio.run(connect_all(large, large.users[-1:]))

    for _ in range(20):
        with run(large):
            pass
    with run(large) as server:
        clients = [Client(server.base_url) for _ in range(50)]
        for client in clients:
            token = str(client.refresh(token)["refresh_token"])
        say("50 clients", counts())
    for client in clients:
        client.close()
    say("after 21 more stops", counts())
    return 0


if __name__ == "__main__":
    sys.exit(main())
