"""Many callers who want one expired token at the same moment: `python -m benchmarks storm`."""

from __future__ import annotations

import asyncio
import gc
import importlib
import os
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from statistics import median
from typing import Any, TypeAlias

import httpx
from attrs import field, frozen

from benchmarks.measure import row, spread
from benchmarks.peers import CREDENTIALS, FIRST, HEADER, expired
from benchmarks.results import Row, Table
from benchmarks.token_server import Server, served
from pipedrive_oauth_client import PipedriveAuth, PipedriveOAuth
from pipedrive_oauth_client.stores import MemoryTokenStore

TASKS = (1, 10, 100, 1_000, 5_000)
THREADS = (1, 10, 100, 1_000)
ROUNDS = 9
# As many requests at once as a client without a lock of its own is given.
MOST_REQUESTS = 100
OURS, ALONE = "this package, PipedriveAuth", "waiting alone, for nothing"
NOTE = (
    f"`{ALONE}` is as many callers who wait for one thing that happens at once: what so many cost"
    " before anybody does anything. A lock by hand is what a careful user of httpx writes: a lock,"
    " and a second look at the token under it; it knows one process and one event loop. Callers"
    " without either refresh each for itself, as users of httpx-oauth, of requests-oauthlib and of"
    f" generated clients do; they are measured up to {MOST_REQUESTS}, and a service that rotates"
    " refresh tokens refuses all but the first."
)

Setup: TypeAlias = Callable[[], Callable[[], Any]]


@frozen
class Way:
    """A way to come by a valid token.

    Attributes:
        name: What it is called.
        prepare: Lets the token expire, and gives what each caller calls.
        most: With how many callers it is measured at most.
        milliseconds: What the rounds took.
        requests: What the server has counted in each round.
    """

    name: str
    prepare: Setup
    most: int = 10**9
    milliseconds: list[float] = field(factory=list[float])
    requests: list[int] = field(factory=list[int])


def measured() -> list[Table]:
    """Measure tasks and threads, from one caller to thousands."""
    found: list[Table] = []
    for kind, sizes, ways_of, run in (
        ("tasks", TASKS, _task_ways, _tasks),
        ("threads", THREADS, _thread_ways, _threads),
    ):
        times: list[Table] = []
        sent: list[Row] = []
        single: list[float] = []
        with served() as server, asyncio.Runner() as runner, ExitStack() as stack:
            ways = ways_of(server.url, stack, runner)
            for size in sizes:
                taken = [Way(each.name, each.prepare) for each in ways if size <= each.most]
                for number in range(ROUNDS + 1):
                    _round(taken, size, run, runner, server, keep=number > 0)
                ours = next(each for each in taken if each.name == OURS)
                single = single or ours.milliseconds
                times.append(_times(f"{size:,} {kind}", taken, ours, single))
                sent += [
                    Row(
                        f"{size:,} {kind}: {each.name}",
                        median(each.requests),
                        "",
                        *spread(each.requests),
                    )
                    for each in taken
                    if each.name != ALONE
                ]
        found += [*times, Table(f"Requests that {kind} send for one expired token", tuple(sent))]
    return found


def _times(which: str, taken: Sequence[Way], ours: Way, single: Sequence[float]) -> Table:
    ordered = [ours, *(each for each in taken if each is not ours)]
    rows = [row(each.name, each.milliseconds, ours.milliseconds, "ms") for each in ordered]
    alone = next(each for each in taken if each.name == ALONE)
    # The target: 1.2 refreshes, and what so many callers cost by themselves.
    limit = [1.2 * median(single) + waited for waited in alone.milliseconds]
    against = row("share of the limit that it takes", ours.milliseconds, limit, "ms")
    rows.append(against)
    return Table(f"{which} want one expired token, until all have the next", tuple(rows), NOTE)


def _round(
    ways: Sequence[Way],
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
    client = httpx.AsyncClient(trust_env=False, timeout=300)
    stack.callback(lambda: runner.run(client.aclose()))

    async def refresh() -> str:
        form = {"grant_type": "refresh_token", "refresh_token": FIRST}
        header = {"Authorization": HEADER}
        answer = await client.post(f"{url}/oauth/token/", data=form, headers=header)
        return str(answer.raise_for_status().json()["access_token"])

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
                        token.append(await refresh())
            return token[0]

        return valid

    return [
        Way(ALONE, alone),
        Way(OURS, _ours(url, stack, lambda auth: auth.atoken)),
        Way("httpx and a lock by hand", by_hand),
        Way("Authlib", _authlib_tasks(url, stack, runner)),
        Way("httpx, each for itself", lambda: refresh, most=MOST_REQUESTS),
    ]


def _thread_ways(url: str, stack: ExitStack, _runner: asyncio.Runner) -> list[Way]:
    client = stack.enter_context(httpx.Client(trust_env=False, timeout=300))

    def refresh() -> str:
        form = {"grant_type": "refresh_token", "refresh_token": FIRST}
        header = {"Authorization": HEADER}
        answer = client.post(f"{url}/oauth/token/", data=form, headers=header)
        return str(answer.raise_for_status().json()["access_token"])

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
                        token.append(refresh())
            return token[0]

        return valid

    return [
        Way(ALONE, alone),
        Way(OURS, _ours(url, stack, lambda auth: auth.token)),
        Way("httpx and a lock by hand", by_hand),
        Way("Authlib", _authlib_threads(url, stack), most=MOST_REQUESTS),
        Way("requests-oauthlib", _requests_oauthlib(url, stack), most=MOST_REQUESTS),
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


def _authlib(name: str, url: str) -> Any:
    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"
    module = importlib.import_module("authlib.integrations.httpx_client")
    return getattr(module, name)(
        CREDENTIALS.client_id,
        CREDENTIALS.client_secret,
        token_endpoint=f"{url}/oauth/token/",
        token_endpoint_auth_method="client_secret_basic",
        trust_env=False,
        timeout=300,
    )


OLD = {"access_token": "v1u:old", "refresh_token": FIRST, "token_type": "Bearer", "expires_at": 1}


def _authlib_tasks(url: str, stack: ExitStack, runner: asyncio.Runner) -> Setup:
    client = _authlib("AsyncOAuth2Client", url)
    stack.callback(lambda: runner.run(client.aclose()))

    def prepare() -> Callable[[], Any]:
        client.token = dict(OLD)
        return lambda: client.ensure_active_token(client.token)

    return prepare


def _authlib_threads(url: str, stack: ExitStack) -> Setup:
    client = stack.enter_context(_authlib("OAuth2Client", url))

    def prepare() -> Callable[[], Any]:
        client.token = dict(OLD)
        return lambda: client.ensure_active_token(client.token)

    return prepare


def _requests_oauthlib(url: str, stack: ExitStack) -> Setup:
    module = importlib.import_module("requests_oauthlib")
    auth = importlib.import_module("requests.auth").HTTPBasicAuth(
        CREDENTIALS.client_id, CREDENTIALS.client_secret
    )
    session = stack.enter_context(module.OAuth2Session(CREDENTIALS.client_id, token=dict(OLD)))

    def prepare() -> Callable[[], Any]:
        session.token = dict(OLD)

        def valid() -> None:
            # What a request of the session does when it finds the token expired.
            if session.token["expires_at"] < time.time():
                session.refresh_token(f"{url}/oauth/token/", refresh_token=FIRST, auth=auth)

        return valid

    return prepare
