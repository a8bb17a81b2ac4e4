"""When a flow tries again, how long it waits before, and what it never sends twice.

Time passes only where a flow waits. Requests are counted at a server.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import httpx
import pytest

from pipedrive_oauth_client import (
    AsyncPipedriveOAuth,
    ConfigurationError,
    InvalidClientError,
    InvalidGrantError,
    InvalidResponseError,
    PipedriveOAuth,
    RateLimitedError,
    RetryPolicy,
    ServerError,
    Token,
    TokenRequestError,
    TransportError,
)
from tests.support.fake_time import FakeTime
from tests.support.flows import (
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
    with_flow,
)
from tests.support.samples import token_body
from tests.support.untyped import untyped
from tests.support.wire import Peer, Script, Wire, always, answer, once, refusing, silent

pytestmark = pytest.mark.usefixtures("no_proxy")

every_step = pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
every_grant = pytest.mark.parametrize("step", [EXCHANGE, REFRESH], ids=lambda step: step.name)

GOOD: Final = answer(token_body())

# Only the wait for an answer is short: a slow machine must not fail to connect.
IMPATIENT: Final = {"timeout": httpx.Timeout(20, read=0.05)}


def busy(status: int = 429, retry_after: str | None = None, body: bytes = b"") -> bytes:
    """Write an answer that asks for patience."""
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return answer(body, status=status, headers=headers)


# --- What is tried again ---


# Seven seconds after the fake clock's noon of 1 March 2026, in the forms of RFC 9110, 5.6.7.
SEVEN_SECONDS: Final = [
    pytest.param("7", id="seconds"),
    pytest.param("Sun, 01 Mar 2026 12:00:07 GMT", id="IMF-fixdate"),
    pytest.param("Sunday, 01-Mar-26 12:00:07 GMT", id="RFC 850"),
    pytest.param("Sun Mar  1 12:00:07 2026", id="asctime"),
]


@every_step
@pytest.mark.parametrize("retry_after", SEVEN_SECONDS)
def test_the_time_that_the_service_names_is_waited_for(
    mode: str, step: Step, retry_after: str
) -> None:
    """After 429 and 503, the next request follows when `Retry-After` says so, in each form."""
    time = FakeTime()
    noon = time.now

    async def twice(flow: AnyFlow) -> None:
        await step.take(flow)
        time.now = noon
        await step.take(flow)

    with Wire(in_turn(busy(429, retry_after), GOOD, busy(503, retry_after), GOOD)) as wire:
        with_flow(mode, wire.url, twice, retry=time.policy(), clock=time.clock)
    assert time.waits == [7, 7]
    assert lines(wire) == [f"POST {step.path}"] * 4


@pytest.mark.parametrize("retry_after", SEVEN_SECONDS)
def test_the_error_says_how_long_to_wait(mode: str, retry_after: str) -> None:
    """Where nothing is tried again, `retry_after` is what the service asked for, in each form."""
    with Wire(always(busy(429, retry_after))) as wire:
        error = failure(mode, wire.url, REFRESH, clock=FakeTime().clock)
    assert isinstance(error, RateLimitedError)
    assert error.retry_after == timedelta(seconds=7)


@every_step
@pytest.mark.parametrize(
    "retry_after",
    [
        pytest.param(None, id="none"),
        pytest.param("0", id="zero"),
        pytest.param("soon", id="no time"),
        pytest.param("-7", id="negative"),
        pytest.param("Sun, 01 Mar 2026 11:59:00 GMT", id="past"),
    ],
)
def test_the_wait_doubles_where_the_service_names_no_time(
    mode: str, step: Step, retry_after: str | None
) -> None:
    """Each wait is twice the one before, and a random part; the last error comes out."""
    time = FakeTime()
    with Wire(always(busy(503, retry_after))) as wire:
        error = failure(mode, wire.url, step, retry=time.policy(), clock=time.clock)
    assert isinstance(error, ServerError)
    assert lines(wire) == [f"POST {step.path}"] * 4
    assert len(time.waits) == 3
    for wait, least in zip(time.waits, (0.5, 1, 2), strict=True):
        assert least <= wait <= least + 0.5


def test_a_later_attempt_may_succeed(mode: str) -> None:
    """The expiry is counted from the attempt that was answered with a token."""
    time = FakeTime()
    began = time.now
    with Wire(in_turn(busy(429, "5"), busy(503, "6"), busy(429, "7"), GOOD)) as wire:
        token = with_flow(
            mode, wire.url, lambda flow: flow.refresh(), retry=time.policy(), clock=time.clock
        )
    assert time.waits == [5, 6, 7]
    assert token.expires_at == began + timedelta(seconds=18 + 3599)


@every_step
def test_a_refused_connection_is_tried_again(mode: str, step: Step) -> None:
    """Nothing was sent, so that every operation is tried again, and the last error comes out."""
    time = FakeTime()
    with refusing() as authority:
        error = failure(mode, f"http://{authority}", step, retry=time.policy(max_attempts=3))
    assert isinstance(error, TransportError)
    assert error.maybe_sent is False
    assert len(time.waits) == 2


@every_step
@pytest.mark.parametrize(
    "cause", [httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError]
)
def test_a_connection_that_comes_up_later_is_used(
    mode: str, step: Step, cause: type[httpx.TransportError]
) -> None:
    """Whatever kept the first request from leaving, the second one does the work."""
    time, requests = FakeTime(), list[httpx.Request]()

    def handler(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        if len(requests) == 1:
            raise cause("", request=request)
        return httpx.Response(200, content=token_body())

    through = {"transport": httpx.MockTransport(handler)}
    with_flow(mode, "https://oauth.example", step.take, through=through, retry=time.policy())
    assert len(time.waits) == 1
    assert requests[0].content == requests[1].content


# --- What is never sent twice ---


def reset(peer: Peer) -> None:
    """Take the request and drop the connection."""
    peer.read_request()
    peer.reset()


UNANSWERED: Final = [
    pytest.param(reset, id="reset"),
    pytest.param(once(b""), id="closed"),
    pytest.param(once(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n{"), id="truncated"),
    pytest.param(once(b"SSH-2.0-OpenSSH_9.9\r\n"), id="no HTTP"),
    pytest.param(silent, id="silence"),
]


@every_grant
@pytest.mark.parametrize("script", UNANSWERED)
def test_an_exchange_or_refresh_without_an_answer_is_not_repeated(
    mode: str, step: Step, script: Script
) -> None:
    """The service may have used up what was sent, so that one request is all there is."""
    time = FakeTime()
    with Wire(script) as wire:
        through = IMPATIENT if script is silent else {}
        error = failure(mode, wire.url, step, through=through, retry=time.policy())
    assert isinstance(error, TransportError)
    assert error.maybe_sent is True
    assert time.waits == []
    assert len(wire.peers) == 1


@pytest.mark.parametrize("script", UNANSWERED)
def test_a_revocation_without_an_answer_is_repeated(mode: str, script: Script) -> None:
    """Revoking twice does no harm, and a token that is not revoked may do some."""
    time = FakeTime()
    with Wire(script, always(answer())) as wire:
        # The second request has to be answered within the time limit, on a busy machine as well.
        through = {"timeout": httpx.Timeout(20, read=1)} if script is silent else {}
        with_flow(mode, wire.url, REVOKE.take, through=through, retry=time.policy())
    assert len(time.waits) == 1
    assert len(wire.peers) == 2


@every_step
def test_other_answers_are_not_asked_for_again(mode: str, step: Step) -> None:
    """An answer of another status is final, whatever `Retry-After` says."""
    time = FakeTime()
    statuses = (201, 202, 307, 400, 401, 403, 404, 408, 425, 500, 502, 504, *range(520, 527))

    async def ask_for_all(flow: AnyFlow) -> None:
        for _ in statuses:
            with pytest.raises((TokenRequestError, InvalidResponseError)):
                await step.take(flow)

    headers = {"Retry-After": "1"}
    answers = [answer(b"{}", status=status, headers=headers) for status in statuses]
    with Wire(in_turn(*answers)) as wire:
        with_flow(mode, wire.url, ask_for_all, retry=time.policy())
    assert time.waits == []
    assert lines(wire) == [f"POST {step.path}"] * len(statuses)


@every_step
def test_a_final_refusal_is_not_tried_again_whatever_its_status(mode: str, step: Step) -> None:
    """A grant or a client that is worth nothing is not asked about again."""
    time = FakeTime()
    grant, client = b'{"error": "invalid_grant"}', b'{"error": "invalid_client"}'

    async def ask_for_all(flow: AnyFlow) -> None:
        for expected in (InvalidGrantError, InvalidClientError) * 2:
            with pytest.raises(expected):
                await step.take(flow)

    answers = [busy(status, "1", body) for status in (429, 503) for body in (grant, client)]
    with Wire(in_turn(*answers)) as wire:
        with_flow(mode, wire.url, ask_for_all, retry=time.policy())
    assert time.waits == []
    assert len(wire.requests) == 4


def test_a_failed_handshake_is_not_a_matter_of_trying_forever(mode: str) -> None:
    """TLS that fails counts as a connection that failed: nothing was sent, and attempts end."""

    def speak_plainly(peer: Peer) -> None:
        peer.send(answer(status=400))
        peer.read_to_end()

    time = FakeTime()
    with Wire(speak_plainly) as wire:
        error = failure(
            mode, f"https://{wire.authority}", REFRESH, retry=time.policy(max_attempts=2)
        )
    assert isinstance(error, TransportError)
    assert error.maybe_sent is False
    assert len(time.waits) == 1
    assert b"refresh_token" not in wire.received


# --- The limits ---


@every_step
def test_without_a_policy_there_is_one_attempt(mode: str, step: Step) -> None:
    """`retry=None` turns all of it off."""
    for status in (429, 503):
        with Wire(always(busy(status, "1"))) as wire:
            error = failure(mode, wire.url, step, retry=None)
        assert isinstance(error, RateLimitedError | ServerError)
        assert error.retry_after == timedelta(seconds=1)
        assert len(wire.requests) == 1
    with Wire(reset) as wire:
        assert isinstance(failure(mode, wire.url, step, retry=None), TransportError)
    assert len(wire.peers) == 1


def test_a_longer_wait_than_allowed_is_left_to_the_caller(mode: str) -> None:
    """The error comes at once, with what the service asked for."""
    time = FakeTime()
    with Wire(always(busy(429, "31"))) as wire:
        error = failure(mode, wire.url, REFRESH, retry=time.policy())
    assert isinstance(error, RateLimitedError)
    assert error.retry_after == timedelta(seconds=31)
    assert time.waits == []
    assert len(wire.requests) == 1


def test_the_longest_wait_itself_is_waited(mode: str) -> None:
    """`longest_wait` is the last wait that is allowed, and it can be set."""
    time = FakeTime()
    policy = time.policy(longest_wait=timedelta(seconds=45))
    with Wire(in_turn(busy(429, "45"), GOOD)) as wire:
        with_flow(mode, wire.url, REFRESH.take, retry=policy)
    assert time.waits == [45]


def test_all_attempts_together_stay_within_the_budget(mode: str) -> None:
    """No attempt begins after the budget is spent; what would, is not waited for."""
    time = FakeTime()
    policy = time.policy(budget=timedelta(seconds=15), max_attempts=100)
    with Wire(always(busy(503, "6"))) as wire:
        error = failure(mode, wire.url, REFRESH, retry=policy, clock=time.clock)
    assert isinstance(error, ServerError)
    assert time.waits == [6, 6]
    assert len(wire.requests) == 3


def test_the_time_of_slow_answers_counts_towards_the_budget(mode: str) -> None:
    """A service that takes long to say no leaves less for waiting."""
    time = FakeTime()

    def slow() -> bytes:
        time.move(seconds=8)
        return busy(503, "6")

    policy = time.policy(budget=timedelta(seconds=15))
    with Wire(in_turn(slow)) as wire:
        failure(mode, wire.url, REFRESH, retry=policy, clock=time.clock)
    assert time.waits == [6]
    assert len(wire.requests) == 2


@pytest.mark.parametrize("max_attempts", [1, 2, 6])
def test_the_number_of_attempts_is_the_limit(mode: str, max_attempts: int) -> None:
    """`max_attempts` counts the first one, too."""
    time = FakeTime()
    with Wire(always(busy(429, "1"))) as wire:
        failure(mode, wire.url, REFRESH, retry=time.policy(max_attempts=max_attempts))
    assert len(wire.requests) == max_attempts


def test_each_call_has_its_own_attempts(mode: str) -> None:
    """What one call used up is there again for the next."""
    time = FakeTime()

    async def two_calls(flow: AnyFlow) -> None:
        for _ in range(2):
            with pytest.raises(RateLimitedError):
                await flow.refresh()

    with Wire(always(busy(429, "1"))) as wire:
        with_flow(mode, wire.url, two_calls, retry=time.policy(max_attempts=3))
    assert len(wire.requests) == 6


@pytest.mark.parametrize("kind", [PipedriveOAuth, AsyncPipedriveOAuth])
def test_a_flow_tries_again_unless_it_is_told_otherwise(
    kind: type[PipedriveOAuth | AsyncPipedriveOAuth],
) -> None:
    """Where the extra is installed, the default is a `RetryPolicy` with its defaults."""
    assert kind(CREDENTIALS)._retry == RetryPolicy()
    assert kind(CREDENTIALS, retry=None)._retry is None


@pytest.mark.parametrize("kind", [PipedriveOAuth, AsyncPipedriveOAuth])
@pytest.mark.parametrize("wrong", [3, True, "always", RetryPolicy])
def test_something_else_than_a_policy_is_refused(kind: type[object], wrong: object) -> None:
    """It is refused where the flow is made, and not at the first failure."""
    with pytest.raises(ConfigurationError, match="retry"):
        untyped(kind)(CREDENTIALS, retry=wrong)


def test_a_redirected_refresh_is_tried_again_where_it_was_sent_to(mode: str) -> None:
    """A refusal after the redirect does not lead back to the path with the slash."""
    time = FakeTime()
    moved = answer(status=308, headers={"Location": "/oauth/token"})
    with Wire(in_turn(moved, busy(429, "2"), GOOD)) as wire:
        token = with_flow(mode, wire.url, lambda flow: flow.refresh(), retry=time.policy())
    assert isinstance(token, Token)
    assert time.waits == [2]
    assert lines(wire) == ["POST /oauth/token/", "POST /oauth/token", "POST /oauth/token"]
