"""What one token request, one refresh and one API request cost, on connections that are kept."""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from contextlib import AsyncExitStack, ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeAlias

import httpx

from benchmarks.measure import (
    AGAIN,
    Block,
    Figure,
    Table,
    chained,
    chained_async,
    compared,
    figures,
    repeated,
    repeated_async,
)
from benchmarks.peers import (
    CREDENTIALS,
    FIRST,
    async_calls,
    async_refreshes,
    blocking_calls,
    blocking_refreshes,
    generated_peers,
    requests_oauthlib,
)
from benchmarks.token_server import served
from pipedrive_oauth_client import PipedriveAuth, PipedriveOAuth, Token
from pipedrive_oauth_client.stores import MemoryTokenStore

REPETITIONS = 20
FIXED_HEADER, AUTH = "httpx with a fixed header", "this package, PipedriveAuth"
BARE_AUTH = "httpx with an Auth of two lines"

Blocking: TypeAlias = Callable[[str, ExitStack], Sequence[tuple[str, Callable[[str], str]]]]
Asynchronous: TypeAlias = Callable[
    [str, AsyncExitStack],
    Coroutine[Any, Any, Sequence[tuple[str, Callable[[str], Awaitable[str]]]]],
]


def call(rounds: int) -> Table:
    """Measure clients that send a token request and read the response."""
    note = (
        "httpx and http.client return an unchecked dictionary; the generated clients"
        " return a model. The client of openapi-generator is asynchronous only."
    )
    with generated_peers():
        cells = _both(blocking_calls, async_calls, rounds)
    return Table("call", "One token request on an open connection", tuple(cells), note)


def refresh(rounds: int) -> Table:
    """Measure libraries that also judge the response, and know when the token expires."""
    note = (
        "Authlib, requests-oauthlib and httpx-oauth check for an error and compute the expiry."
        " `PipedriveOAuth.refresh` (async: `AsyncPipedriveOAuth.refresh`) also checks every field"
        " and where the token may be sent. httpx-oauth creates an httpx client for every refresh."
    )
    cells = _both(blocking_refreshes, async_refreshes, rounds)
    return Table("refresh", "One refresh on an open connection", tuple(cells), note)


def _both(blocking: Blocking, asynchronous: Asynchronous, rounds: int) -> list[Figure]:
    with served() as server, ExitStack() as stack:
        blocks = [(name, chained(do, FIRST)) for name, do in blocking(server.url, stack)]
        cells = figures("sync", compared(blocks, rounds=rounds, repetitions=REPETITIONS))
        runner = stack.enter_context(asyncio.Runner())
        connections = AsyncExitStack()
        ways = runner.run(asynchronous(server.url, connections))
        try:
            blocks = [(name, chained_async(runner, do, FIRST)) for name, do in ways]
            taken = compared(blocks, rounds=rounds, repetitions=REPETITIONS)
        finally:
            runner.run(connections.aclose())
    return [*cells, *figures("async", taken)]


class _BareAuth(httpx.Auth):
    def __init__(self, header: str) -> None:
        self._header = header

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = self._header
        yield request


def request(rounds: int) -> Table:
    """Measure an API request with a valid token, over loopback and without a network."""
    note = (
        f"`{BARE_AUTH}` sets the same header in a generator: what every `httpx.Auth` costs, of"
        " which none can be cheaper."
    )
    with served() as server, ExitStack() as stack:
        url = f"{server.url}/api/v1/users/me"
        auth = _auth(server.url, stack)
        header = f"Bearer {auth.token().access_token}"
        fixed, bare = {"Authorization": header}, _BareAuth(header)

        def getting(**settings: Any) -> Block:
            client = stack.enter_context(httpx.Client(trust_env=False, **settings))
            return repeated(lambda: client.get(url))

        blocking = [
            (FIXED_HEADER, getting(headers=fixed)),
            (AGAIN, getting(headers=fixed)),
            (BARE_AUTH, getting(auth=bare)),
            (AUTH, getting(auth=auth)),
            ("Authlib", _authlib(url, stack)),
            ("requests-oauthlib", _requests_oauthlib(url, stack)),
        ]
        cells = figures("sync", compared(blocking, rounds=rounds, repetitions=REPETITIONS))

        runner = stack.enter_context(asyncio.Runner())
        clients = [httpx.AsyncClient(headers=fixed, trust_env=False) for _ in range(2)]
        clients += [httpx.AsyncClient(auth=each, trust_env=False) for each in (bare, auth)]
        gets = [partial(client.get, url) for client in clients]
        blocks = [
            (name, repeated_async(runner, get))
            for name, get in zip((FIXED_HEADER, AGAIN, BARE_AUTH, AUTH), gets, strict=True)
        ]
        cells += figures("async", compared(blocks, rounds=rounds, repetitions=REPETITIONS))
        for client in clients:
            runner.run(client.aclose())

        canned = httpx.MockTransport(lambda _request: httpx.Response(200))
        in_memory = [
            (FIXED_HEADER, getting(headers=fixed, transport=canned)),
            (BARE_AUTH, getting(auth=bare, transport=canned)),
            (AUTH, getting(auth=auth, transport=canned)),
        ]
        alone = compared(in_memory, rounds=rounds, repetitions=REPETITIONS)
        cells += figures("without a network", alone)
    return Table("request", "One API request with a valid token", tuple(cells), note)


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


def _authlib(url: str, stack: ExitStack) -> Block:
    module = importlib.import_module("authlib.integrations.httpx_client")
    client = module.OAuth2Client(CREDENTIALS.client_id, token=_valid(), trust_env=False)
    stack.enter_context(client)
    return repeated(lambda: client.get(url))


def _requests_oauthlib(url: str, stack: ExitStack) -> Block:
    session, _credentials = requests_oauthlib(stack, _valid())
    return repeated(lambda: session.get(url))
