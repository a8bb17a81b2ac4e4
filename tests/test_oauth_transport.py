"""Clients, connections, redirects and transport failures of the flow."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
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
    InvalidGrantError,
    InvalidResponseError,
    PipedriveOAuth,
    PipedriveOAuthError,
    ServerError,
    Token,
    TransportError,
)
from tests.support.driver import ASYNC_MODES, run
from tests.support.fake_time import FakeTime
from tests.support.flows import (
    CLIENT_SECRET,
    CREDENTIALS,
    EXCHANGE,
    REFRESH,
    REVOKE,
    STEPS,
    AnyFlow,
    Step,
    failure,
    in_turn,
    lines,
    play,
    sent,
    with_flow,
)
from tests.support.samples import (
    ACCESS_TOKEN,
    AUTHORIZATION,
    CODE,
    SECRETS,
    SENT_REFRESH_TOKEN,
    token_body,
)
from tests.support.sweep import found, visible
from tests.support.tls import UNTRUSTING
from tests.support.untyped import untyped
from tests.support.wire import Peer, Script, Wire, always, answer, once, refusing, silent

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


# --- What a flow makes of connections that fail and of answers that don't arrive whole ---


# Only the wait for an answer is short: a slow machine must not fail to connect.
IMPATIENT: Final = {"timeout": httpx.Timeout(20, read=0.05)}
TOO_MANY: Final = 1024 * 1024 + 1


def checked(error: PipedriveOAuthError, step: Step) -> None:
    """Check what is so of every error without an answer."""
    assert f"POST {step.path}" in str(error)
    assert isinstance(error.__cause__, httpx.TransportError)
    assert found(visible(error), [*SECRETS, CLIENT_SECRET]) == []


# --- Nothing was sent ---


@every_step
def test_a_refused_connection(mode: str, step: Step) -> None:
    """Where nobody listens, nothing was sent."""
    with refusing() as authority:
        error = failure(mode, f"http://{authority}", step)
    checked(error, step)
    assert isinstance(error, TransportError)
    assert error.maybe_sent is False


def speak_plainly(peer: Peer) -> None:
    """Answer a TLS handshake with HTTP."""
    peer.send(answer(status=400))
    peer.read_to_end()


def have_no_certificate(peer: Peer) -> None:
    """Offer TLS without a certificate, which no client may accept."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("aNULL:@SECLEVEL=0")
    with contextlib.suppress(ssl.SSLError), context.wrap_socket(peer._socket, server_side=True):
        raise AssertionError("the client accepted it")


@every_step
@pytest.mark.parametrize("script", [speak_plainly, have_no_certificate])
def test_a_tls_handshake_that_fails(mode: str, step: Step, script: Script) -> None:
    """No part of the request leaves before there is a certificate to trust."""
    with Wire(script) as wire:
        error = failure(mode, f"https://{wire.authority}", step)
    checked(error, step)
    assert isinstance(error, TransportError)
    assert error.maybe_sent is False
    assert "no TLS connection (" in str(error)
    assert wire.requests == []


# --- The service may have acted ---


def reset(peer: Peer) -> None:
    """Take the request and drop the connection."""
    peer.read_request()
    peer.reset()


def reset_within(peer: Peer) -> None:
    """Drop the connection in the middle of an answer."""
    peer.read_request()
    peer.send(answer(token_body())[:-10])
    peer.reset()


@every_step
@pytest.mark.parametrize(
    "script",
    [
        pytest.param(reset, id="reset before the answer"),
        pytest.param(reset_within, id="reset within the answer"),
        pytest.param(once(b""), id="closed before the answer"),
        pytest.param(once(answer(token_body())[:20]), id="truncated head"),
        pytest.param(once(answer(token_body())[:-1]), id="truncated body"),
        pytest.param(once(answer(token_body(), status=400)[:-1]), id="truncated refusal"),
        pytest.param(once(answer(b"x" * 99, status=503)[:-1]), id="truncated page"),
        pytest.param(once(token_body() + b"\r\n\r\n"), id="body without a head"),
        pytest.param(silent, id="silence"),
    ],
)
def test_an_answer_that_does_not_arrive_whole(mode: str, step: Step, script: Script) -> None:
    """What the service did is not known, and one request was sent."""
    with Wire(script) as wire:
        error = failure(mode, wire.url, step, through=IMPATIENT)
    checked(error, step)
    assert isinstance(error, TransportError)
    assert error.maybe_sent is True
    assert len(wire.peers) == 1


def test_a_timeout_of_the_own_client_counts(mode: str) -> None:
    """How long to wait is the own httpx client's matter."""
    with Wire(silent) as wire:
        error = failure(mode, wire.url, STEPS[0], through=IMPATIENT)
    assert isinstance(error.__cause__, httpx.ReadTimeout)
    assert "timed out" in str(error)


# --- Answers that are too large ---


@every_step
def test_an_answer_without_end(mode: str, step: Step) -> None:
    """A success of more than a mebibyte is not read to its end, and is none."""
    with Wire(always(answer(b" " * TOO_MANY))) as wire:
        error = failure(mode, wire.url, step)
    assert isinstance(error, InvalidResponseError)
    assert error.status_code == 200
    assert "larger" in error.problem
    assert len(wire.requests) == 1


@every_step
@pytest.mark.parametrize("headers", [{}, {"Content-Encoding": "br"}, {"Content-Encoding": "gzip"}])
def test_an_error_page_without_end_is_still_an_error(
    mode: str, step: Step, headers: dict[str, str]
) -> None:
    """A status that says no counts, whatever is wrong with the body."""
    page = answer(b" " * TOO_MANY, status=503, headers={"Retry-After": "7", **headers})
    with Wire(always(page)) as wire:
        error = failure(mode, wire.url, step)
    assert isinstance(error, ServerError)
    assert (error.status_code, error.error, error.description) == (503, None, None)
    assert error.retry_after is not None
    assert isinstance(error.__cause__, InvalidResponseError)


def test_a_cookie_that_can_not_be_sent_back(mode: str) -> None:
    """What the service sets as a cookie does not keep the next request from being sent."""
    cookie = answer(token_body(), headers={"Set-Cookie": "name=\x80; Path=/"})

    async def main() -> None:
        if mode == "sync":
            flow = AnyFlow(PipedriveOAuth(CREDENTIALS, base_url=wire.url))
        else:
            flow = AnyFlow(AsyncPipedriveOAuth(CREDENTIALS, base_url=wire.url))
        try:
            await flow.refresh()
            await flow.refresh()
        finally:
            await flow.close()

    with Wire(always(cookie)) as wire:
        play(mode, main)
    assert len(wire.requests) == 2


def test_a_failure_leaves_the_flow_usable(mode: str) -> None:
    """The operation after a broken one opens a new connection and succeeds."""

    async def again(flow: AnyFlow) -> None:
        for _ in range(2):
            with pytest.raises(TransportError):
                await flow.refresh()
        with pytest.raises(InvalidGrantError):
            await flow.refresh()
        await flow.refresh()

    close = {"Connection": "close"}
    refused = once(answer(b'{"error": "invalid_grant"}', status=400, headers=close))
    with Wire(reset, once(b""), refused, always(answer(token_body()))) as wire:
        with_flow(mode, wire.url, again)
    assert len(wire.requests) == 4


# --- The one redirect that a refresh survives, and all the others, which nothing is sent after ---


FORM: Final = {"grant_type": "refresh_token", "refresh_token": SENT_REFRESH_TOKEN}

follows = pytest.mark.parametrize("follow_redirects", [False, True], ids=["stays", "follows"])


def moved(location: str | None, status: int = 307) -> bytes:
    """Write a redirect."""
    return answer(status=status, headers={} if location is None else {"Location": location})


def redirecting(locate: Callable[[str], str | None], status: int = 307) -> Wire:
    """Make a server that answers the first request with a redirect, and the next with tokens."""
    wire: Wire

    def redirect() -> bytes:
        return moved(locate(wire.authority), status)

    wire = Wire(in_turn(redirect, GOOD))
    return wire


async def refresh(flow: AnyFlow) -> Token:
    """Refresh once."""
    return await flow.refresh()


# --- To the token endpoint without the slash ---


SAME_ENDPOINT: Final[list[object]] = [
    pytest.param(lambda authority: f"http://{authority}/oauth/token", id="absolute"),
    pytest.param(lambda authority: f"HTTP://{authority}/oauth/token", id="scheme in capitals"),
    pytest.param(lambda authority: f"//{authority}/oauth/token", id="without a scheme"),
    pytest.param(lambda _: "/oauth/token", id="path"),
    pytest.param(lambda _: "../token", id="relative"),
]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("locate", SAME_ENDPOINT)
def test_the_refresh_is_repeated_there_as_it_was(
    mode: str, locate: Callable[[str], str], status: int
) -> None:
    """The second request is a POST, too, with the same form and the same credentials."""
    with redirecting(locate, status) as wire:
        token = with_flow(mode, wire.url, refresh)
    assert token.access_token == ACCESS_TOKEN
    first, second = sent(wire)
    assert (first.line, second.line) == (
        "POST /oauth/token/ HTTP/1.1",
        "POST /oauth/token HTTP/1.1",
    )
    assert first.form == second.form == FORM
    assert first.headers == second.headers
    assert second.headers["authorization"] == CREDENTIALS.basic_auth_header
    assert second.headers["content-type"] == "application/x-www-form-urlencoded"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_an_own_client_that_follows_redirects_changes_nothing(mode: str, status: int) -> None:
    """It would make a GET of some of them; it is not asked."""
    with redirecting(lambda _: "/oauth/token", status) as wire:
        with_flow(mode, wire.url, refresh, through={"follow_redirects": True})
    assert lines(wire) == ["POST /oauth/token/", "POST /oauth/token"]
    assert [request.form for request in sent(wire)] == [FORM] * 2


def test_the_redirect_is_remembered(mode: str) -> None:
    """Later refreshes of the flow go to the path without the slash at once."""

    async def refreshes(flow: AnyFlow) -> None:
        for _ in range(3):
            await flow.refresh()

    with redirecting(lambda _: "/oauth/token") as wire:
        with_flow(mode, wire.url, refreshes)
    assert lines(wire) == ["POST /oauth/token/", *["POST /oauth/token"] * 3]
    assert [request.form for request in sent(wire)] == [FORM] * 4


def test_the_redirect_is_remembered_by_one_flow_only(mode: str) -> None:
    """Another flow asks the service anew."""
    with redirecting(lambda _: "/oauth/token") as wire:
        with_flow(mode, wire.url, refresh)
        with_flow(mode, wire.url, refresh)
    assert lines(wire) == ["POST /oauth/token/", "POST /oauth/token", "POST /oauth/token/"]


def test_without_a_redirect_the_slash_stays(mode: str) -> None:
    """A refresh goes to the path of the spec, in every one."""

    async def refreshes(flow: AnyFlow) -> None:
        await flow.refresh()
        await flow.exchange()
        await flow.refresh()

    with Wire(always(GOOD)) as wire:
        with_flow(mode, wire.url, refreshes)
    assert lines(wire) == ["POST /oauth/token/", "POST /oauth/token", "POST /oauth/token/"]


def test_the_path_of_the_base_url_belongs_to_the_endpoint(mode: str) -> None:
    """Below a path, the endpoint is there, and not at the root of the host."""
    with redirecting(lambda _: "/proxy/oauth/token") as wire:
        with_flow(mode, f"{wire.url}/proxy", refresh)
    assert lines(wire) == ["POST /proxy/oauth/token/", "POST /proxy/oauth/token"]
    with redirecting(lambda _: "/oauth/token") as wire:
        error = failure(mode, f"{wire.url}/proxy", REFRESH)
    assert isinstance(error, InvalidResponseError)
    assert len(wire.requests) == 1


def test_the_answer_after_the_redirect_is_read_as_any_other(mode: str) -> None:
    """A refresh token that is refused there is refused."""
    no = answer(b'{"error": "invalid_grant"}', status=400)
    with Wire(in_turn(moved("/oauth/token"), no)) as wire:
        error = failure(mode, wire.url, REFRESH)
    assert isinstance(error, InvalidGrantError)
    assert "the refresh token" in str(error)


# --- Anywhere else ---


ELSEWHERE: Final[list[object]] = [
    pytest.param(lambda _: None, id="no location"),
    pytest.param(lambda _: "", id="empty location"),
    pytest.param(lambda _: "/oauth/token/", id="the same path"),
    pytest.param(lambda _: "/oauth/token2", id="another path"),
    pytest.param(lambda _: "/oauth/Token", id="another case"),
    pytest.param(lambda _: "/oauth//token", id="another slash"),
    pytest.param(lambda _: "token", id="below the path"),
    pytest.param(lambda _: "/oauth/revoke", id="the other endpoint"),
    pytest.param(lambda _: "/oauth/token?x=1", id="query added"),
    pytest.param(lambda _: "/oauth/token#x", id="fragment added"),
    pytest.param(lambda authority: f"http://user@{authority}/oauth/token", id="user added"),
    pytest.param(lambda authority: f"http://:pw@{authority}/oauth/token", id="password added"),
    pytest.param(lambda authority: f"https://{authority}/oauth/token", id="another scheme"),
    pytest.param(lambda _: "http://127.0.0.1:9/oauth/token", id="another port"),
    pytest.param(
        lambda authority: f"http://localhost:{authority[10:]}/oauth/token", id="another name"
    ),
    pytest.param(lambda _: "//oauth.example/oauth/token", id="another host"),
    pytest.param(lambda _: "//127.0.0.1.example/oauth/token", id="longer host"),
    pytest.param(lambda _: "http://[", id="no url"),
    pytest.param(lambda _: "/oauth/token, /oauth/token", id="two locations"),
    pytest.param(lambda _: "/oauth/t\u00f6ken", id="not ASCII"),
]


@pytest.mark.parametrize("locate", ELSEWHERE)
def test_another_target_gets_no_request(mode: str, locate: Callable[[str], str | None]) -> None:
    """The redirect is an answer that can't be used, with its status, and no request follows.

    Not even through an own client that would follow it.
    """
    with redirecting(locate) as wire:
        error = failure(mode, wire.url, REFRESH, through={"follow_redirects": True})
    assert isinstance(error, InvalidResponseError)
    assert error.status_code == 307
    assert "redirects" in error.problem
    assert lines(wire) == ["POST /oauth/token/"]


@pytest.mark.parametrize(
    "location",
    [
        "http://h:port/oauth/token",
        "http://\x7f/",
        "http://xn--/",
    ],
)
def test_a_location_that_httpx_gives_up_on_ends_it(mode: str, location: str) -> None:
    """A `Location` that is no URL is read all the same, and may fail; nothing follows it."""
    with redirecting(lambda _: location) as wire:
        error = failure(mode, wire.url, REFRESH)
    assert isinstance(error, TransportError | InvalidResponseError)
    assert len(wire.requests) == 1


@follows
def test_another_origin_hears_nothing(mode: str, *, follow_redirects: bool) -> None:
    """The same path at another server is not the same endpoint; nobody even connects there."""
    with Wire(always(GOOD)) as other, redirecting(lambda _: f"{other.url}/oauth/token") as wire:
        error = failure(mode, wire.url, REFRESH, through={"follow_redirects": follow_redirects})
    assert isinstance(error, InvalidResponseError)
    assert len(wire.requests) == 1
    assert other.peers == []


@pytest.mark.parametrize("status", [300, 303, 304, 305, 306, 310, 399])
def test_another_status_is_no_reason_to_repeat(mode: str, status: int) -> None:
    """303, for one, says that the request was carried out: a second one would be one too many."""
    with redirecting(lambda _: "/oauth/token", status) as wire:
        error = failure(mode, wire.url, REFRESH, through={"follow_redirects": True})
    assert isinstance(error, InvalidResponseError)
    assert error.status_code == status
    assert len(wire.requests) == 1


@follows
@pytest.mark.parametrize("location", ["/oauth/token", "/oauth/token/"])
def test_a_second_redirect_is_not_gone_after(
    mode: str, location: str, *, follow_redirects: bool
) -> None:
    """A redirect in answer to the repeated refresh ends it: there is no loop."""
    with Wire(in_turn(moved("/oauth/token"), moved(location))) as wire:
        error = failure(mode, wire.url, REFRESH, through={"follow_redirects": follow_redirects})
    assert isinstance(error, InvalidResponseError)
    assert lines(wire) == ["POST /oauth/token/", "POST /oauth/token"]


@pytest.mark.parametrize("step", [EXCHANGE, REVOKE], ids=lambda step: step.name)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_other_operation_goes_after_a_redirect(mode: str, step: Step, status: int) -> None:
    """Neither an exchange nor a revocation is sent anywhere else, even at the same origin."""
    with redirecting(lambda _: f"{step.path}/", status) as wire:
        error = failure(mode, wire.url, step, through={"follow_redirects": True})
    assert isinstance(error, InvalidResponseError)
    assert error.status_code == status
    assert lines(wire) == [f"POST {step.path}"]


def test_a_refused_redirect_is_not_remembered(mode: str) -> None:
    """The next refresh goes to the path of the spec again."""

    async def two_refreshes(flow: AnyFlow) -> None:
        with pytest.raises(InvalidResponseError):
            await flow.refresh()
        await flow.refresh()

    with redirecting(lambda _: "/elsewhere") as wire:
        with_flow(mode, wire.url, two_refreshes)
    assert lines(wire) == ["POST /oauth/token/"] * 2
