"""Many callers that need one expired token at the same moment: `python -m benchmarks storm`."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack
from statistics import median
from typing import Any, TypeAlias

from attrs import field, frozen

from benchmarks.measure import Figure, Table, rounds_within, spread
from benchmarks.peers import (
    CREDENTIALS,
    FIRST,
    async_httpx,
    authlib,
    blocking_httpx,
    expired,
    requests_oauthlib,
)
from benchmarks.token_server import Server, served
from pipedrive_oauth_client import PipedriveAuth, PipedriveOAuth
from pipedrive_oauth_client.stores import MemoryTokenStore

TASKS = (1, 10, 100, 1_000, 5_000)
THREADS = (1, 10, 100, 1_000)
# As many requests at once as a client without a lock of its own sends.
MOST_REQUESTS = 100
OURS, BY_HAND = "this package", "httpx and a lock by hand"
ALONE, SHARE = "waiting alone", "share of the limit"
NOTE = (
    "The time until all callers have the next token. For comparison, the same number of callers"
    f" only waits for an event in `{ALONE}`. A lock by hand takes a lock and then checks the token"
    " again; it works within one process and one event loop. Clients without a lock send one"
    f" request for each caller, so they are measured with up to {MOST_REQUESTS} callers. The time"
    f" limit is 1.2 times the time of one caller of this package, plus `{ALONE}`."
)

Setup: TypeAlias = Callable[[], Callable[[], Any]]


@frozen
class Way:
    """A way to get a valid token, and what its rounds took."""

    name: str
    # Makes the token expire, and returns what each caller calls.
    prepare: Setup
    # With how many callers it is measured at most.
    most: int = 10**9
    milliseconds: list[float] = field(factory=list[float])
    requests: list[int] = field(factory=list[int])


def measured(rounds: int) -> Table:
    """Measure tasks and threads, from one caller to thousands."""
    cells: list[Figure] = []
    for kind, sizes, ways_of, run in (
        ("task", TASKS, _task_ways, _tasks),
        ("thread", THREADS, _thread_ways, _threads),
    ):
        single: list[float] = []
        with served() as server, asyncio.Runner() as runner, ExitStack() as stack:
            ways = ways_of(server.url, stack, runner)
            for size in sizes:
                taken = [Way(each.name, each.prepare) for each in ways if size <= each.most]
                for number in rounds_within(rounds + 1, 6):
                    _round(taken, size, run, runner, server, keep=number > 0)
                times = {each.name: each.milliseconds for each in taken}
                single = single or times[OURS]
                cells += _row(f"{size:,} {kind}{'s' * (size > 1)}", taken, median(single))
    return Table("storm", "Many callers that need one expired token", tuple(cells), NOTE)


def _row(name: str, taken: list[Way], single: float) -> list[Figure]:
    cells = [
        Figure(
            name,
            each.name,
            median(each.milliseconds),
            "ms",
            *spread(each.milliseconds),
            requests=None if each.name == ALONE else median(each.requests),
            most_requests=None if each.name == ALONE else max(each.requests),
        )
        for each in taken
    ]
    times = {each.name: each.milliseconds for each in taken}
    shares = [
        ours / (1.2 * single + waited)
        for ours, waited in zip(times[OURS], times[ALONE], strict=True)
    ]
    return [*cells, Figure(name, SHARE, median(shares), "", *spread(shares))]


def _round(
    ways: list[Way],
    size: int,
    run: Callable[[asyncio.Runner, int, Callable[[], Any]], float],
    runner: asyncio.Runner,
    server: Server,
    *,
    keep: bool,
) -> None:
    for way in ways:
        call = way.prepare()
        gc.collect()
        server.posts()
        seconds = run(runner, size, call)
        if keep:
            way.milliseconds.append(seconds * 1e3)
            way.requests.append(server.posts())


def _tasks(runner: asyncio.Runner, size: int, call: Callable[[], Awaitable[object]]) -> float:
    async def all_at_once() -> float:
        started = time.perf_counter()
        await asyncio.gather(*(call() for _ in range(size)))
        return time.perf_counter() - started

    return runner.run(all_at_once())


def _threads(_runner: asyncio.Runner, size: int, call: Callable[[], object]) -> float:
    ready = threading.Semaphore(0)
    gate = threading.Event()

    def caller() -> None:
        ready.release()
        gate.wait()
        call()

    threads = [threading.Thread(target=caller) for _ in range(size)]
    for thread in threads:
        thread.start()
    for _ in threads:
        ready.acquire()
    started = time.perf_counter()
    gate.set()
    for thread in threads:
        thread.join()
    return time.perf_counter() - started


def _task_ways(url: str, stack: ExitStack, runner: asyncio.Runner) -> list[Way]:
    connections = AsyncExitStack()
    stack.callback(lambda: runner.run(connections.aclose()))
    refresh = runner.run(async_httpx(url, connections))
    client = authlib("AsyncOAuth2Client", url)
    stack.callback(lambda: runner.run(client.aclose()))

    def alone() -> Callable[[], Awaitable[None]]:
        happened = asyncio.Event()

        async def wait() -> None:
            if not happened.is_set():
                asyncio.get_running_loop().call_soon(happened.set)
            await happened.wait()

        return wait

    def by_hand() -> Callable[[], Awaitable[str]]:
        lock = asyncio.Lock()
        token: list[str] = []

        async def valid() -> str:
            if not token:
                async with lock:
                    if not token:
                        token.append(await refresh(FIRST))
            return token[0]

        return valid

    return [
        Way(OURS, _ours(url, stack, lambda auth: auth.atoken)),
        Way(BY_HAND, by_hand),
        Way("Authlib", _authlib(client)),
        Way("httpx, each for itself", lambda: lambda: refresh(FIRST), most=MOST_REQUESTS),
        Way(ALONE, alone),
    ]


def _thread_ways(url: str, stack: ExitStack, _runner: asyncio.Runner) -> list[Way]:
    refresh = blocking_httpx(url, stack)
    client = stack.enter_context(authlib("OAuth2Client", url))

    def alone() -> Callable[[], None]:
        happened = threading.Event()
        first = threading.Lock()

        def wait() -> None:
            if first.acquire(blocking=False):
                happened.set()
            happened.wait()

        return wait

    def by_hand() -> Callable[[], str]:
        lock = threading.Lock()
        token: list[str] = []

        def valid() -> str:
            if not token:
                with lock:
                    if not token:
                        token.append(refresh(FIRST))
            return token[0]

        return valid

    return [
        Way(OURS, _ours(url, stack, lambda auth: auth.token)),
        Way(BY_HAND, by_hand),
        Way("Authlib", _authlib(client), most=MOST_REQUESTS),
        Way("requests-oauthlib", _requests_oauthlib(url, stack), most=MOST_REQUESTS),
        Way(ALONE, alone),
    ]


def _ours(
    url: str, stack: ExitStack, method: Callable[[PipedriveAuth], Callable[[], Any]]
) -> Setup:
    oauth = stack.enter_context(PipedriveOAuth(CREDENTIALS, base_url=url))
    store = MemoryTokenStore()

    def prepare() -> Callable[[], Any]:
        store.save("acme", expired())
        return method(PipedriveAuth(oauth, store, "acme"))

    return prepare


OLD = {"access_token": "v1u:old", "refresh_token": FIRST, "token_type": "Bearer", "expires_at": 1}


def _authlib(client: Any) -> Setup:
    def prepare() -> Callable[[], Any]:
        client.token = dict(OLD)
        return lambda: client.ensure_active_token(client.token)

    return prepare


def _requests_oauthlib(url: str, stack: ExitStack) -> Setup:
    session, auth = requests_oauthlib(stack, dict(OLD))

    def prepare() -> Callable[[], Any]:
        session.token = dict(OLD)

        def valid() -> None:
            # What a request of the session does when it finds the token expired.
            if session.token["expires_at"] < time.time():
                session.refresh_token(f"{url}/oauth/token/", refresh_token=FIRST, auth=auth)

        return valid

    return prepare
