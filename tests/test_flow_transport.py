"""What a flow makes of connections that fail and of answers that don't arrive whole.

The layer below has tests of its own for each way of failing; here it is the flow's operations that
fail, once each, and what their errors say.
"""

from __future__ import annotations

import contextlib
import ssl
from typing import Final

import httpx
import pytest

from pipedrive_oauth_client import (
    AsyncPipedriveOAuth,
    InvalidGrantError,
    InvalidResponseError,
    PipedriveOAuth,
    PipedriveOAuthError,
    ServerError,
    TransportError,
)
from tests.support.flows import (
    CLIENT_SECRET,
    CREDENTIALS,
    STEPS,
    AnyFlow,
    Step,
    failure,
    play,
    with_flow,
)
from tests.support.samples import SECRETS, token_body
from tests.support.sweep import found, visible
from tests.support.wire import Peer, Script, Wire, always, answer, once, refusing, silent

pytestmark = pytest.mark.usefixtures("no_proxy")

every_step = pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)

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
    assert "certificate" in str(error)
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
