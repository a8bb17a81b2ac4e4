"""What a flow is made with, whose connections it uses, and who may share it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Final, TypeAlias

import anyio
import httpx
import pytest

from pipedrive_oauth_client import (
    AsyncPipedriveOAuth,
    ConfigurationError,
    PipedriveOAuth,
    Token,
)
from tests.support.driver import ASYNC_MODES, run
from tests.support.fake_time import FakeTime
from tests.support.flows import CREDENTIALS, STEPS, AnyFlow, Step, play, sent, with_flow
from tests.support.samples import ACCESS_TOKEN, AUTHORIZATION, CODE, token_body
from tests.support.tls import UNTRUSTING
from tests.support.untyped import untyped
from tests.support.wire import Wire, always, answer

pytestmark = pytest.mark.usefixtures("no_proxy")

every_step = pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
each_kind = pytest.mark.parametrize("kind", [PipedriveOAuth, AsyncPipedriveOAuth])

Kind: TypeAlias = type[PipedriveOAuth | AsyncPipedriveOAuth]

GOOD: Final = answer(token_body())


def made(mode: str, base_url: str, **settings: object) -> AnyFlow:
    """Make a flow of the mode's kind, without opening it."""
    if mode == "sync":
        return AnyFlow(untyped(PipedriveOAuth)(CREDENTIALS, base_url=base_url, **settings))
    return AnyFlow(untyped(AsyncPipedriveOAuth)(CREDENTIALS, base_url=base_url, **settings))


def own_client(mode: str, **settings: object) -> httpx.Client | httpx.AsyncClient:
    """Make an httpx client of the mode's kind."""
    if mode == "sync":
        return untyped(httpx.Client)(verify=UNTRUSTING, **settings)
    return untyped(httpx.AsyncClient)(verify=UNTRUSTING, **settings)


async def close(client: httpx.Client | httpx.AsyncClient) -> None:
    """Close an httpx client of either kind."""
    if isinstance(client, httpx.Client):
        client.close()  # noqa: ASYNC212 - of a flow that blocks, too
    else:
        await client.aclose()


# --- What it is made with ---


@each_kind
@pytest.mark.parametrize(
    "base_url",
    [
        "http://oauth.pipedrive.com",
        "HTTP://oauth.pipedrive.com",
        "http://127.0.0.1.example",
        "http://localhost.example",
        "http://192.168.0.1:8080",
        "http://0.0.0.0:8080",
        "http://[2001:db8::1]",
    ],
)
def test_plain_http_is_refused(kind: Kind, base_url: str) -> None:
    """Secrets don't travel in the clear; the flow is not even made."""
    with pytest.raises(ConfigurationError, match="https://"):
        kind(CREDENTIALS, base_url=base_url)


@each_kind
@pytest.mark.parametrize(
    "base_url",
    ["http://localhost:8080", "http://127.0.0.1", "http://[::1]:8080", "https://oauth.example"],
)
def test_plain_http_is_accepted_for_this_machine(kind: Kind, base_url: str) -> None:
    """What never leaves the machine needs no TLS."""
    assert kind(CREDENTIALS, base_url=base_url).base_url == base_url


@each_kind
@pytest.mark.parametrize("base_url", [None, "", "oauth.example", "ftp://oauth.example", b"https"])
def test_a_base_url_that_is_none_is_refused(kind: Kind, base_url: object) -> None:
    """The error names the argument."""
    with pytest.raises(ConfigurationError, match="base_url"):
        untyped(kind)(CREDENTIALS, base_url=base_url)


@each_kind
def test_the_service_is_pipedrive_s_by_default(kind: Kind) -> None:
    """Nothing but the app's credentials has to be given."""
    flow = kind(CREDENTIALS)
    assert flow.base_url == "https://oauth.pipedrive.com"
    assert flow.credentials is CREDENTIALS
    assert flow.authorization_url().url.startswith("https://oauth.pipedrive.com/oauth/authorize?")


@each_kind
@pytest.mark.parametrize("credentials", [None, "id", ("id", "secret"), AUTHORIZATION])
def test_something_else_than_credentials_is_refused(kind: Kind, credentials: object) -> None:
    """The error names the argument and repeats no value."""
    with pytest.raises(ConfigurationError, match="credentials") as caught:
        untyped(kind)(credentials)
    assert "secret" not in str(caught.value)


@each_kind
@pytest.mark.parametrize("clock", [lambda: FakeTime().now.replace(tzinfo=None), lambda: 1.5])
def test_a_clock_without_a_zone_is_refused(kind: Kind, clock: Callable[[], datetime]) -> None:
    """It is refused at once: after a request, it would be the token's end."""
    with pytest.raises(ConfigurationError, match="clock"):
        kind(CREDENTIALS, clock=clock)


async def operate(flow: AnyFlow, name: str, arguments: tuple[object, ...]) -> None:
    """Call an operation with arguments that no type checker lets through."""
    await untyped(getattr(flow, name))(*arguments)


WITHOUT_REFRESH_TOKEN: Final = Token(access_token=ACCESS_TOKEN, expires_at=FakeTime().now)


NO_ARGUMENTS: Final[list[tuple[str, tuple[object, ...]]]] = [
    *[
        (name, (value, *more))
        for name, more in [("exchange", ()), ("refresh", ()), ("revoke", ("access_token",))]
        for value in ("", None, 5, b"bytes", [CODE], f"{CODE}\n", f"\x00{CODE}", "t\u00f6ken")
    ],
    ("exchange", (WITHOUT_REFRESH_TOKEN,)),
    ("refresh", (WITHOUT_REFRESH_TOKEN,)),
    ("revoke", (WITHOUT_REFRESH_TOKEN, "refresh_token")),
    *[("revoke", (CODE, hint)) for hint in ("", None, "code", "expires_at", "ACCESS_TOKEN")],
]


def test_what_can_not_be_sent_is_not(mode: str) -> None:
    """An argument that is none is refused before anything is sent, and is not repeated."""

    async def try_them(flow: AnyFlow) -> None:
        for name, arguments in NO_ARGUMENTS:
            with pytest.raises(ConfigurationError) as caught:
                await operate(flow, name, arguments)
            assert CODE not in str(caught.value)

    with Wire(always(GOOD)) as wire:
        with_flow(mode, wire.url, try_them)
    assert wire.peers == []


# --- An httpx client of one's own ---


@every_step
def test_an_own_client_carries_the_requests(mode: str, step: Step) -> None:
    """Its headers go out, and its own way to authorize does not."""
    through = {"headers": {"X-Own": "yes", "Authorization": "Bearer own"}, "auth": ("user", "pw")}
    with Wire(always(GOOD)) as wire:
        with_flow(mode, wire.url, step.take, through=through)
    (request,) = sent(wire)
    assert request.headers["x-own"] == "yes"
    assert request.headers["authorization"] == CREDENTIALS.basic_auth_header


def test_an_own_client_is_not_closed(mode: str) -> None:
    """Neither the end of the flow nor a failure closes what the flow did not open."""

    async def main() -> None:
        client = own_client(mode)
        flow = made(mode, wire.url, client=client)
        await flow.refresh()
        await flow.close()
        assert not client.is_closed
        await flow.refresh()
        if isinstance(flow.inner, PipedriveOAuth):
            with flow.inner:
                pass
        else:
            async with flow.inner:
                pass
        assert not client.is_closed
        await close(client)

    with Wire(always(GOOD)) as wire:
        play(mode, main)
    assert (len(wire.peers), len(wire.requests)) == (1, 2)


def test_an_own_client_that_is_closed_is_named(mode: str) -> None:
    """The error says what is wrong, and nothing is sent."""

    async def main() -> None:
        client = own_client(mode)
        flow = made(mode, wire.url, client=client)
        await close(client)
        with pytest.raises(ConfigurationError, match="closed"):
            await flow.refresh()

    with Wire(always(GOOD)) as wire:
        play(mode, main)
    assert wire.peers == []


@pytest.mark.parametrize("own", ["{}", "{}/"])
def test_an_own_client_may_have_the_same_base_url(mode: str, own: str) -> None:
    """With or without a slash at the end, it leads to the same place."""
    with Wire(always(GOOD)) as wire:
        through = {"base_url": own.format(wire.url)}
        with_flow(mode, wire.url, lambda flow: flow.exchange(), through=through)
    assert [request.line for request in sent(wire)] == ["POST /oauth/token HTTP/1.1"]


@pytest.mark.parametrize("own", ["https://api.example", "{}/oauth", "https://oauth.pipedrive.com"])
def test_an_own_client_of_another_service_is_refused(mode: str, own: str) -> None:
    """A client whose base URL is another one would send the secrets there."""
    with Wire(always(GOOD)) as wire:
        client = own_client(mode, base_url=own.format(wire.url))
        with pytest.raises(ConfigurationError, match="base_url"):
            made(mode, wire.url, client=client)
        play(mode, lambda: close(client))
    assert wire.peers == []


@pytest.mark.parametrize("wrong", [httpx.Client, httpx, "client", 0, False])
def test_something_else_than_a_client_is_refused(mode: str, wrong: object) -> None:
    """Only an httpx client of the right kind can be given."""
    with pytest.raises(ConfigurationError, match="client"):
        made(mode, "https://oauth.example", client=wrong)


def test_a_client_of_the_other_kind_is_refused(mode: str) -> None:
    """The two kinds can't stand in for each other."""
    other = "asyncio" if mode == "sync" else "sync"
    client = own_client(other)
    with pytest.raises(ConfigurationError, match="client must be"):
        made(mode, "https://oauth.example", client=client)
    play(other, lambda: close(client))


# --- Connections of its own ---


def test_a_flow_opens_and_closes_its_own_connections(mode: str) -> None:
    """Without an own client there is one connection until the end of the `with` block."""

    async def main() -> None:
        flow = made(mode, wire.url)
        if isinstance(flow.inner, PipedriveOAuth):
            with flow.inner as entered:
                assert entered is flow.inner
                await three_steps(flow)
        else:
            async with flow.inner as entered_async:
                assert entered_async is flow.inner
                await three_steps(flow)

    async def three_steps(flow: AnyFlow) -> None:
        await flow.exchange()
        await flow.refresh()
        await flow.revoke()

    with Wire(always(GOOD)) as wire:
        play(mode, main)
    assert (len(wire.peers), len(wire.requests)) == (1, 3)


def test_a_closed_flow_can_be_used_again(mode: str) -> None:
    """After the end, the next request opens a new connection; closing twice does no harm."""

    async def main() -> None:
        flow = made(mode, wire.url)
        for _ in range(2):
            await flow.refresh()
            await flow.close()
            await flow.close()

    with Wire(always(GOOD)) as wire:
        play(mode, main)
    assert (len(wire.peers), len(wire.requests)) == (2, 2)


@pytest.mark.parametrize("first", ASYNC_MODES)
@pytest.mark.parametrize("second", ASYNC_MODES)
def test_event_loops_one_after_the_other_may_share_a_flow(first: str, second: str) -> None:
    """No connection of a loop that has ended is used in the next one."""

    async def main() -> Token:
        async with flow:
            await flow.refresh(CODE)
            return await flow.refresh(CODE)

    with Wire(always(GOOD)) as wire:
        flow = AsyncPipedriveOAuth(CREDENTIALS, base_url=wire.url)
        tokens = [run(kind, main) for kind in (first, second)]
    assert {token.access_token for token in tokens} == {ACCESS_TOKEN}
    assert [len(peer.requests) for peer in wire.peers] == [2, 2]


def test_an_async_flow_needs_an_event_loop() -> None:
    """Outside of one, awaiting by hand is a mistake with a name."""
    flow = AsyncPipedriveOAuth(CREDENTIALS, base_url="https://oauth.example")
    with pytest.raises(ConfigurationError, match="event loop"):
        flow.refresh(CODE).send(None)


# --- Sharing ---


def test_threads_may_share_a_flow() -> None:
    """Sixteen threads that start together send sixteen requests, and each gets its token."""
    count = 16
    start = threading.Barrier(count, timeout=60)

    def refresh(number: int) -> Token:
        start.wait(20)
        return flow.refresh(f"refresh-{number}")

    with (
        Wire(always(GOOD)) as wire,
        PipedriveOAuth(CREDENTIALS, base_url=wire.url) as flow,
        ThreadPoolExecutor(count) as pool,
    ):
        tokens = list(pool.map(refresh, range(count)))
    assert [token.access_token for token in tokens] == [ACCESS_TOKEN] * count
    forms = sorted(request.form["refresh_token"] for request in sent(wire))
    assert forms == sorted(f"refresh-{number}" for number in range(count))


@pytest.mark.parametrize("kind", ASYNC_MODES)
def test_tasks_may_share_a_flow(kind: str) -> None:
    """Fifty tasks send fifty requests, and each gets its token."""
    count = 50
    tokens: list[Token] = []

    async def main() -> None:
        async def refresh(number: int) -> None:
            tokens.append(await flow.refresh(f"refresh-{number}"))

        async with (
            AsyncPipedriveOAuth(CREDENTIALS, base_url=wire.url) as flow,
            anyio.create_task_group() as group,
        ):
            for number in range(count):
                group.start_soon(refresh, number)

    with Wire(always(GOOD)) as wire:
        run(kind, main)
    assert [token.access_token for token in tokens] == [ACCESS_TOKEN] * count
    forms = sorted(request.form["refresh_token"] for request in sent(wire))
    assert forms == sorted(f"refresh-{number}" for number in range(count))


def test_event_loops_in_two_threads_may_share_a_flow() -> None:
    """Each loop has connections of its own, at the same time."""
    both = threading.Barrier(2, timeout=60)

    async def main() -> str:
        async with flow:
            await flow.refresh(CODE)
            await asyncio.to_thread(both.wait, 20)  # both are connected
            return (await flow.refresh(CODE)).access_token

    with Wire(always(GOOD)) as wire, ThreadPoolExecutor(2) as pool:
        flow = AsyncPipedriveOAuth(CREDENTIALS, base_url=wire.url)
        futures = [pool.submit(asyncio.run, main()) for _ in range(2)]
        assert [future.result(20) for future in futures] == [ACCESS_TOKEN] * 2
    assert [len(peer.requests) for peer in wire.peers] == [2, 2]


def test_a_proxy_of_the_environment_sees_nothing_of_this_machine(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain http stays within the machine: no proxy is asked to carry the secrets."""

    async def main() -> Token:
        kind = PipedriveOAuth if mode == "sync" else AsyncPipedriveOAuth
        flow = AnyFlow(kind(CREDENTIALS, base_url=wire.url, retry=None))
        try:
            return await flow.exchange(CODE)
        finally:
            await flow.close()

    with Wire(always(answer(token_body()))) as wire, Wire(always(answer(status=502))) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        token = play(mode, main)
    assert token.access_token == ACCESS_TOKEN
    assert len(wire.requests) == 1
    assert proxy.peers == []


# In a process of its own: one with threads, as this one has, should not be forked.
FORK: Final = """
import os, sys
from pipedrive_oauth_client import AppCredentials, PipedriveOAuth
flow = PipedriveOAuth(
    AppCredentials("id", "secret", "https://app.example/cb"), base_url=sys.argv[1], retry=None
)
flow.exchange("before")
with flow._client._lock:  # held by somebody whom the child does not have
    child = os.fork()
    if child == 0:
        flow.exchange("child")
        os._exit(0)
_, status = os.waitpid(child, 0)
flow.exchange("parent")
sys.exit(os.waitstatus_to_exitcode(status))
"""


def test_a_fork_does_not_share_the_connection() -> None:
    """Parent and child each have a connection of their own, even where a lock was held."""
    with Wire(always(answer(token_body()))) as wire:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", FORK, wire.url],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        assert done.returncode == 0, done.stderr
        assert len(wire.requests) == 3
        assert len(wire.peers) == 2
