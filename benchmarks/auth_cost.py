"""What `PipedriveAuth` costs on a request with a valid token: `python -m benchmarks auth`."""

from __future__ import annotations

import asyncio
import importlib
import os
import threading
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from benchmarks.measure import compared, compared_blocks, table
from benchmarks.peers import AGAIN, CREDENTIALS
from benchmarks.results import Row, Table
from benchmarks.token_server import served
from pipedrive_oauth_client import PipedriveAuth, PipedriveOAuth, Token
from pipedrive_oauth_client.stores import MemoryTokenStore

ROUNDS, REPETITIONS = 100, 20


def measured() -> list[Table]:
    """Measure all ways, over loopback and without a network, and count locks."""
    with served() as server, ExitStack() as stack:
        url = f"{server.url}/api/v1/users/me"
        auth = _auth(server.url, stack)
        fixed = {"Authorization": f"Bearer {auth.token().access_token}"}
        plain, again = (
            stack.enter_context(httpx.Client(headers=fixed, trust_env=False)) for _ in range(2)
        )
        ours = stack.enter_context(httpx.Client(auth=auth, trust_env=False))
        ways: list[tuple[str, Callable[[], object]]] = [
            ("httpx with a fixed header", lambda: plain.get(url)),
            (AGAIN, lambda: again.get(url)),
            ("this package, PipedriveAuth", lambda: ours.get(url)),
            ("Authlib", _authlib(url, stack)),
            ("requests-oauthlib", _requests_oauthlib(url, stack)),
        ]
        over_loopback = compared(ways, rounds=ROUNDS, repetitions=REPETITIONS)
        runner = stack.enter_context(asyncio.Runner())
        async_plain = httpx.AsyncClient(headers=fixed, trust_env=False)
        async_ours = httpx.AsyncClient(auth=auth, trust_env=False)
        blocks = [
            ("httpx with a fixed header", _repeated(runner, lambda: async_plain.get(url))),
            ("this package, PipedriveAuth", _repeated(runner, lambda: async_ours.get(url))),
        ]
        awaited = compared_blocks(blocks, rounds=ROUNDS, repetitions=REPETITIONS)
        for client in (async_plain, async_ours):
            runner.run(client.aclose())
        answering = httpx.MockTransport(lambda _request: httpx.Response(200))
        still = stack.enter_context(httpx.Client(headers=fixed, transport=answering))
        moved = stack.enter_context(httpx.Client(auth=auth, transport=answering))
        in_memory = compared(
            [
                ("httpx with a fixed header", lambda: still.get(url)),
                ("this package, PipedriveAuth", lambda: moved.get(url)),
            ],
            rounds=ROUNDS,
            repetitions=REPETITIONS,
        )
        locks = _count_locks(auth, url)
    added = in_memory[1].median - in_memory[0].median
    note = (
        f"Without a network PipedriveAuth adds {added:.1f} µs to a request: it asks the clock,"
        " looks where the request goes, and at the status of the answer."
    )
    return [
        table("An API request with a valid token", over_loopback),
        table("An API request with a valid token, async", awaited),
        table("An API request without a network: all that is left is httpx", in_memory, note),
        locks,
    ]


def _auth(url: str, stack: ExitStack) -> PipedriveAuth:
    oauth = stack.enter_context(PipedriveOAuth(CREDENTIALS, base_url=url))
    store = MemoryTokenStore()
    until = datetime.now(UTC) + timedelta(days=1)
    store.save("acme", Token(access_token="v1u:" + "a" * 420, api_domain=url, expires_at=until))
    return PipedriveAuth(oauth, store, "acme")


def _valid() -> dict[str, Any]:
    return {
        "access_token": "v1u:" + "a" * 420,
        "token_type": "Bearer",
        "expires_at": int(time.time()) + 86_400,
    }


def _authlib(url: str, stack: ExitStack) -> Callable[[], object]:
    module = importlib.import_module("authlib.integrations.httpx_client")
    client = module.OAuth2Client(CREDENTIALS.client_id, token=_valid(), trust_env=False)
    stack.enter_context(client)
    return lambda: client.get(url)


def _requests_oauthlib(url: str, stack: ExitStack) -> Callable[[], object]:
    os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"
    module = importlib.import_module("requests_oauthlib")
    session = stack.enter_context(module.OAuth2Session(CREDENTIALS.client_id, token=_valid()))
    return lambda: session.get(url)


def _repeated(
    runner: asyncio.Runner, do: Callable[[], Awaitable[object]]
) -> Callable[[int], object]:
    async def repeat(count: int) -> None:
        for _ in range(count):
            await do()

    return lambda count: runner.run(repeat(count))


def _count_locks(auth: PipedriveAuth, url: str) -> Table:
    """Count the locks that are made, and the memory that stays, over a thousand requests."""
    made: list[object] = []
    real = threading.Lock

    def counting() -> object:
        lock = real()
        made.append(lock)
        return lock

    request = httpx.Request("GET", url)
    answer = httpx.Response(200, request=request)
    setattr(threading, "Lock", counting)  # noqa: B010 - a type checker minds the other way
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(1000):
            flow = auth.sync_auth_flow(request)
            next(flow)
            with suppress(StopIteration):
                flow.send(answer)
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
        setattr(threading, "Lock", real)  # noqa: B010
    locks = Row("locks made", len(made), "")
    kept = Row("memory kept", max(after - before, 0), "bytes")
    return Table("Over 1,000 requests with a valid token", (locks, kept))
