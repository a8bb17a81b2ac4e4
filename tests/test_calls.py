"""How the calls of a plan are made, blocking or awaited, and what the log says of them."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any, Final

import httpx
import pytest

from pipedrive_oauth_client import (
    Client,
    InvalidResponseError,
    PipedriveOAuthError,
    RateLimitedError,
    Response,
    RetryPolicy,
    TransportError,
)
from pipedrive_oauth_client._operations import Call, Operation, Plan, run_async
from pipedrive_oauth_client._operations import run as run_operation
from tests.support.driver import run
from tests.support.fake_time import FakeTime
from tests.support.flows import CLIENT_SECRET, CREDENTIALS, STEPS, AnyFlow, with_flow
from tests.support.samples import CODE, SECRETS, TOKENS, token_body
from tests.support.sweep import found

LOGGER: Final = "pipedrive_oauth_client"
PLANTED: Final = (
    *SECRETS,
    CLIENT_SECRET,
    CREDENTIALS.basic_auth_header.removeprefix("Basic "),
)
CLIENT: Final = Client("https://oauth.example")


class Endpoint:
    """An endpoint that gives one outcome after the other, and keeps what it was called with."""

    def __init__(self, *outcomes: Response[Any] | BaseException) -> None:
        self.calls: list[dict[str, object]] = []
        self._outcomes = list(outcomes)

    def sync_detailed(self, **arguments: object) -> Response[Any]:
        """Answer, or raise."""
        self.calls.append(arguments)
        outcome = self._outcomes.pop(0)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    async def asyncio_detailed(self, **arguments: object) -> Response[Any]:
        """Do the same when awaited."""
        return self.sync_detailed(**arguments)


def answered(status: int = 200) -> Response[Any]:
    """Make an answer with a secret in every part."""
    return Response(status, token_body(), httpx.Headers({"X-Token": CODE}), dict(TOKENS))


def carried_out(mode: str, operation: Operation[Any], retry: RetryPolicy | None = None) -> Any:
    """Carry out an operation, blocking or in an event loop."""
    if mode == "sync":
        return run_operation(CLIENT, operation, retry)
    return run(mode, lambda: run_async(CLIENT, operation, retry))


def one_call(endpoint: Endpoint) -> Callable[[], Plan[Any]]:
    """Plan a single call, whose answer is the result."""

    def plan() -> Plan[Any]:
        return (yield Call(endpoint, {"authorization": CODE}))

    return plan


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What was logged so far, as level and text; nothing of it may hold a secret."""
    caplog.set_level(logging.DEBUG)

    def texts() -> list[str]:
        records = [record for record in caplog.records if record.name.startswith(LOGGER)]
        assert {record.name for record in records} <= {LOGGER}
        assert found("".join(repr(vars(record)) for record in records), PLANTED) == []
        return [f"{record.levelname} {record.getMessage()}" for record in records]

    return texts


def fitting(texts: list[str], *patterns: str) -> bool:
    """Tell whether each text fits the pattern in its place, with any duration at its end."""
    return len(texts) == len(patterns) and all(
        re.fullmatch(rf"DEBUG {pattern} after \d+\.\d{{3}} s", text)
        for text, pattern in zip(texts, patterns, strict=True)
    )


# --- Plans ---


def test_a_plan_is_given_the_answers_that_it_asks_for(mode: str) -> None:
    """Each call is made with the client and its arguments, and its answer goes to the plan."""
    first, second = Endpoint(answered(308)), Endpoint(answered(200))

    def plan() -> Plan[tuple[int, int]]:
        one = yield Call(first, {"body": 1})
        two = yield Call(second, {"body": 2, "authorization": "x"})
        return one.status_code, two.status_code

    assert carried_out(mode, Operation("refresh_tokens", plan)) == (308, 200)
    assert first.calls == [{"client": CLIENT, "body": 1}]
    assert second.calls == [{"client": CLIENT, "body": 2, "authorization": "x"}]


def test_a_plan_may_do_without_a_call(mode: str) -> None:
    """What it returns is the result all the same."""

    def plan() -> Plan[str]:
        yield from list[Call]()
        return "nothing to do"

    assert carried_out(mode, Operation("get_tokens", plan)) == "nothing to do"


@pytest.mark.parametrize(
    "error",
    [
        TransportError("No answer.", maybe_sent=True),
        InvalidResponseError("no token"),
        PipedriveOAuthError("anything"),
    ],
)
def test_a_failed_call_is_the_plans_to_handle(mode: str, error: PipedriveOAuthError) -> None:
    """It is raised where the plan waits for the answer; another call may follow."""
    endpoint = Endpoint(error, answered())

    def plan() -> Plan[object]:
        try:
            yield Call(endpoint, {})
        except PipedriveOAuthError as caught:
            again = yield Call(endpoint, {})
            return caught, again.status_code
        return None

    assert carried_out(mode, Operation("get_tokens", plan)) == (error, 200)


@pytest.mark.parametrize(
    "error",
    [TransportError("No answer.", maybe_sent=True), ValueError("a bug"), KeyboardInterrupt()],
)
def test_what_a_plan_does_not_handle_comes_out(mode: str, error: BaseException) -> None:
    """It is the same error, and the call is made once."""
    endpoint = Endpoint(error)
    with pytest.raises(type(error)) as caught:
        carried_out(mode, Operation("get_tokens", one_call(endpoint)))
    assert caught.value is error
    assert len(endpoint.calls) == 1


def test_an_error_of_the_plan_comes_out(mode: str) -> None:
    """What a plan makes of an answer may be a refusal."""
    refusal = RateLimitedError("Too many.", status_code=429)

    def plan() -> Plan[None]:
        yield Call(Endpoint(answered(429)), {})
        raise refusal

    with pytest.raises(RateLimitedError) as caught:
        carried_out(mode, Operation("get_tokens", plan))
    assert caught.value is refusal


@pytest.mark.parametrize("repeatable", [False, True])
def test_every_attempt_has_a_plan_of_its_own(mode: str, *, repeatable: bool) -> None:
    """A plan is used up by one attempt; whether a lost answer is repeated is the operation's."""
    plans: list[Plan[Any]] = []
    lost = TransportError("No answer.", maybe_sent=True)
    endpoint = Endpoint(TransportError("No connection.", maybe_sent=False), lost, answered())

    def plan() -> Plan[Any]:
        plans.append(one_call(endpoint)())
        return plans[-1]

    operation = Operation("revoke_tokens", plan, repeatable=repeatable)
    if repeatable:
        assert carried_out(mode, operation, FakeTime().policy()).status_code == 200
    else:
        with pytest.raises(TransportError) as caught:
            carried_out(mode, operation, FakeTime().policy())
        assert caught.value is lost
    assert len({id(each) for each in plans}) == len(plans) == (3 if repeatable else 2)


def test_without_a_policy_there_is_one_attempt(mode: str) -> None:
    """Even what never left is not tried again."""
    endpoint = Endpoint(TransportError("No connection.", maybe_sent=False), answered())
    with pytest.raises(TransportError):
        carried_out(mode, Operation("revoke_tokens", one_call(endpoint), repeatable=True))
    assert len(endpoint.calls) == 1


def test_nothing_of_a_call_is_shown() -> None:
    """Its arguments are secrets, and a plan's frame holds them."""
    endpoint = Endpoint()
    assert found(repr(Call(endpoint, {"authorization": CODE})), PLANTED) == []
    operation = Operation("get_tokens", one_call(endpoint))
    assert repr(operation) == "Operation(name='get_tokens', repeatable=False)"


# --- The log ---


def test_every_call_is_logged_once(mode: str, log: Callable[[], list[str]]) -> None:
    """At the level DEBUG: operation, attempt, status and duration."""
    for status in (200, 308, 429, 520):
        carried_out(mode, Operation("get_tokens", one_call(Endpoint(answered(status)))))
    assert fitting(
        log(),
        *(f"get_tokens, attempt 1: response with status {each}" for each in (200, 308, 429, 520)),
    )


def test_a_call_without_an_answer_is_logged_with_its_error(
    mode: str, log: Callable[[], list[str]]
) -> None:
    """The error's class is named; its text is not repeated."""
    for error in (
        TransportError(f"{CODE} got lost.", maybe_sent=True),
        InvalidResponseError(f"{CODE} is no token", status_code=200),
    ):
        with pytest.raises(type(error)):
            carried_out(mode, Operation("refresh_tokens", one_call(Endpoint(error))))
    assert fitting(
        log(),
        "refresh_tokens, attempt 1: failed with TransportError",
        "refresh_tokens, attempt 1: failed with InvalidResponseError",
    )


def test_each_call_of_a_plan_is_logged(mode: str, log: Callable[[], list[str]]) -> None:
    """A redirected refresh is two calls of one attempt."""
    endpoint = Endpoint(answered(308), answered(200))

    def plan() -> Plan[int]:
        yield Call(endpoint, {})
        return (yield Call(endpoint, {})).status_code

    assert carried_out(mode, Operation("refresh_tokens", plan)) == 200
    assert fitting(
        log(),
        "refresh_tokens, attempt 1: response with status 308",
        "refresh_tokens, attempt 1: response with status 200",
    )


def test_attempts_are_numbered(mode: str, log: Callable[[], list[str]]) -> None:
    """Between the calls stand the warnings that another attempt follows."""
    unsent = TransportError("No connection.", maybe_sent=False)
    endpoint = Endpoint(unsent, unsent, answered())
    carried_out(mode, Operation("get_tokens", one_call(endpoint)), FakeTime().policy())
    texts = log()
    assert fitting(
        [text for text in texts if text.startswith("DEBUG")],
        "get_tokens, attempt 1: failed with TransportError",
        "get_tokens, attempt 2: failed with TransportError",
        "get_tokens, attempt 3: response with status 200",
    )
    assert [text.split()[0] for text in texts] == ["DEBUG", "WARNING", "DEBUG", "WARNING", "DEBUG"]


def test_nothing_is_logged_where_nobody_asked(mode: str, caplog: pytest.LogCaptureFixture) -> None:
    """A call that works is no news at the usual level."""
    caplog.set_level(logging.INFO)
    carried_out(mode, Operation("get_tokens", one_call(Endpoint(answered()))))
    assert [record for record in caplog.records if record.name.startswith(LOGGER)] == []


@pytest.mark.parametrize("status", [200, 400, 401, 429, 500, 503, 520])
def test_no_operation_logs_a_secret(mode: str, status: int, log: Callable[[], list[str]]) -> None:
    """Neither what is sent nor what comes back, though the server repeats all of it."""
    requests: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        echo = request.content.decode() + request.headers["Authorization"]
        body = token_body(error=echo, message=echo, error_description=echo)
        return httpx.Response(status, content=body, headers={"X-Echo": echo})

    async def steps(flow: AnyFlow) -> None:
        for step in STEPS:
            try:
                await step.take(flow)
            except PipedriveOAuthError:
                assert status != 200

    through, policy = {"transport": httpx.MockTransport(handler)}, FakeTime().policy(max_attempts=2)
    with_flow(mode, CLIENT.base_url, steps, through=through, retry=policy)
    attempts = (1, 2) if status in (429, 503) else (1,)
    assert fitting(
        [text for text in log() if text.startswith("DEBUG")],
        *(
            f"{step.name}, attempt {attempt}: response with status {status}"
            for step in STEPS
            for attempt in attempts
        ),
    )
    assert len(requests) == 3 * len(attempts)
