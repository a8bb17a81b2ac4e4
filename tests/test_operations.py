"""How an operation runs, what the log says of it, and which error a response becomes."""

from __future__ import annotations

import logging
import pickle
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote_plus

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipedrive_oauth_client import (
    Client,
    InvalidClientError,
    InvalidGrantError,
    InvalidResponseError,
    OAuthErrorResponse,
    PipedriveOAuthError,
    RateLimitedError,
    Response,
    RetryPolicy,
    ServerError,
    TokenRequestError,
    TransportError,
)
from pipedrive_oauth_client._operations import Call, Operation, Plan, error_from_response, run_async
from pipedrive_oauth_client._operations import run as run_operation
from tests.support.driver import run
from tests.support.fake_time import FakeTime
from tests.support.flows import CLIENT_SECRET, CREDENTIALS, STEPS, AnyFlow, with_flow
from tests.support.samples import CODE, SECRETS, SENT_REFRESH_TOKEN, TOKENS, token_body
from tests.support.sweep import found, visible

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


# --- From an answer that is no token to the error that says what to do ---


NOON: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
REAL_LOOKING: Final = "1:1:2a54fd/+ e0&="
SENT_SECRETS: Final = (CODE, SENT_REFRESH_TOKEN, REAL_LOOKING)

AUTHORIZE_AGAIN: Final = "The user has to authorize the app again."
CHECK_CLIENT: Final = "Check the client ID and the client secret in Pipedrive's Developer Hub."


def refused(
    status: int,
    body: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    secrets: tuple[str, ...] = SENT_SECRETS,
) -> TokenRequestError | InvalidResponseError:
    """Make the error of an answer; no body stands for one that could not be read."""
    parsed = None if body is None else OAuthErrorResponse.from_dict(body)
    answer = Response[object](status, b"", httpx.Headers(headers), parsed)
    return error_from_response("get_tokens", answer, now=NOON, secrets=secrets)


def sent(kind: type[TokenRequestError]) -> str:
    """Say what the message calls the thing that was rejected."""
    is_client = kind is InvalidClientError
    return "the client credentials" if is_client else "the authorization code"


def request_error(
    status: int,
    body: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    secrets: tuple[str, ...] = SENT_SECRETS,
) -> TokenRequestError:
    """Make the error of a refusal."""
    error = refused(status, body, headers, secrets=secrets)
    assert isinstance(error, TokenRequestError)
    return error


# --- What Pipedrive documents ---


# Pipedrive's page of OAuth status codes; and whether the message alone tells the kind.
DOCUMENTED: Final = [
    ("Missing parameter: grant_type", "invalid_request", TokenRequestError),
    ("Unsupported grant type", "unsupported_grant_type", TokenRequestError),
    ("Invalid grant: authorization_code is invalid", "invalid_grant", InvalidGrantError),
    ("Invalid grant: authorization_code has expired", "invalid_grant", InvalidGrantError),
    ("Invalid grant: refresh_token is invalid", "invalid_grant", InvalidGrantError),
    ("Invalid client: cannot retrieve client credentials", "invalid_client", InvalidClientError),
    ("Invalid client: client is invalid", "invalid_client", InvalidClientError),
    ("Invalid request: redirect_uri is not a valid URI", "invalid_request", TokenRequestError),
    ("Invalid request: redirect_uri is invalid", "invalid_request", TokenRequestError),
    (
        "Invalid request: content must be application/x-www-form-urlencoded",
        "invalid_request",
        TokenRequestError,
    ),
    ("App cannot be installed for requested company", "invalid_request", TokenRequestError),
]


@pytest.mark.parametrize("name", ["message", "error_description"])
@pytest.mark.parametrize(("message", "code", "kind"), DOCUMENTED)
def test_every_documented_refusal_has_its_class(
    message: str, code: str, kind: type[TokenRequestError], name: str
) -> None:
    """Status 400 is all of them, so that the code or else the message tells which."""
    error = request_error(400, {"success": False, name: message, "error": code})
    assert type(error) is kind
    assert (error.status_code, error.error, error.description) == (400, code, message)
    assert error.retry_after is None
    assert str(error).startswith(
        f"Pipedrive rejected {sent(kind)} (status 400, {code}): {message}. "
    )

    without_code = request_error(400, {"success": False, name: message})
    assert type(without_code) is kind
    assert (without_code.error, without_code.description) == (None, message)
    assert str(without_code).startswith(
        f"Pipedrive rejected {sent(kind)} (status 400): {message}. "
    )
    if "redirect_uri" in message:
        assert str(error).endswith("the callback URL in Pipedrive's Developer Hub.")


def test_an_internal_server_error_is_the_servers() -> None:
    """The one message that comes with another status."""
    error = request_error(500, {"success": False, "message": "Internal Server Error"})
    assert type(error) is ServerError
    assert error.description == "Internal Server Error"
    assert str(error) == (
        "Pipedrive could not process the authorization code (status 500): Internal Server Error."
        " Try again later."
    )


@pytest.mark.parametrize("code", ["invalid_scope", "unauthorized_client", "x", "invalid_token"])
def test_an_unknown_code_is_passed_on(code: str) -> None:
    """What is not told apart here can be told apart by the code."""
    error = request_error(400, {"error": code})
    assert type(error) is TokenRequestError
    assert error.error == code
    assert error.description is None
    assert str(error) == (
        f"Pipedrive rejected the authorization code (status 400, {code})."
        " Check the request against Pipedrive's documentation."
    )


def test_a_dead_grant_says_what_to_do() -> None:
    """The person has to authorize again, whatever else is said."""
    assert str(request_error(400, {"error": "invalid_grant"})) == (
        f"Pipedrive rejected the authorization code (status 400, invalid_grant). {AUTHORIZE_AGAIN}"
    )
    assert str(request_error(401)) == (
        f"Pipedrive rejected the client credentials (status 401). {CHECK_CLIENT}"
    )


# --- What counts first ---


PRECEDENCE: Final = [
    # The code, under whatever status and beside whatever message.
    (400, "invalid_grant", "Invalid client: client is invalid", InvalidGrantError),
    (401, "invalid_grant", None, InvalidGrantError),
    (429, "invalid_grant", None, InvalidGrantError),
    (503, "invalid_grant", None, InvalidGrantError),
    (400, "invalid_client", "Invalid grant: refresh_token is invalid", InvalidClientError),
    (403, "invalid_client", None, InvalidClientError),
    (500, "invalid_client", None, InvalidClientError),
    # A code that is there but not known silences the message, and the status decides.
    (400, "invalid_request", "Invalid grant: refresh_token is invalid", TokenRequestError),
    (401, "invalid_request", "Invalid grant: refresh_token is invalid", InvalidClientError),
    (429, "slow_down", None, RateLimitedError),
    (500, "server_error", "Invalid client: client is invalid", ServerError),
    (400, "Invalid_Grant", None, TokenRequestError),
    # The message, where there is no code.
    (401, None, "Invalid grant: refresh_token is invalid", InvalidGrantError),
    (500, None, "Invalid client: client is invalid", InvalidClientError),
    (400, None, "INVALID GRANT", InvalidGrantError),
    (400, None, "  Invalid\n grant: x", InvalidGrantError),
    (400, "", "Invalid client", InvalidClientError),
    (400, " \n", "Invalid client", InvalidClientError),
    (400, None, "The grant is an invalid grant", TokenRequestError),
    (429, None, "Too many requests", RateLimitedError),
    # The status, where there is neither.
    (400, None, None, TokenRequestError),
    (401, None, None, InvalidClientError),
    (402, None, None, TokenRequestError),
    (403, None, None, TokenRequestError),
    (404, None, None, TokenRequestError),
    (405, None, None, TokenRequestError),
    (408, None, None, TokenRequestError),
    (415, None, None, TokenRequestError),
    (418, None, None, TokenRequestError),
    (429, None, None, RateLimitedError),
    (499, None, None, TokenRequestError),
    (500, None, None, ServerError),
    (502, None, None, ServerError),
    (503, None, None, ServerError),
    (504, None, None, ServerError),
    (520, None, None, ServerError),
    (521, None, None, ServerError),
    (526, None, None, ServerError),
    (530, None, None, ServerError),
    (599, None, None, ServerError),
]


@pytest.mark.parametrize(("status", "code", "message", "kind"), PRECEDENCE)
def test_the_code_counts_before_the_message_and_the_message_before_the_status(
    status: int, code: str | None, message: str | None, kind: type[TokenRequestError]
) -> None:
    """Pipedrive documents a wrong client under status 400, so that the status alone won't do."""
    fields = {"error": code, "message": message}
    error = request_error(status, {name: text for name, text in fields.items() if text is not None})
    assert type(error) is kind
    assert error.status_code == status


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503, 520, 526])
def test_a_body_that_can_not_be_read_leaves_the_status(status: int) -> None:
    """A page of HTML has neither code nor description."""
    error = request_error(status)
    assert (error.status_code, error.error, error.description) == (status, None, None)
    assert f" (status {status}). " in str(error)
    assert type(error) is type(request_error(status, {}))


def test_the_description_of_the_standard_counts_before_pipedrives() -> None:
    """Where both are there and say something, `error_description` is the one."""
    both = {"error_description": "theirs", "message": "Invalid grant: ours"}
    assert request_error(400, both).description == "theirs"
    assert type(request_error(400, both)) is TokenRequestError
    for nothing in ("", " ", "\n\t", "\x00"):
        error = request_error(400, {**both, "error_description": nothing})
        assert error.description == "Invalid grant: ours"
        assert type(error) is InvalidGrantError


@pytest.mark.parametrize("absent", ["success", "message", "error_description"])
def test_null_says_nothing(absent: str) -> None:
    """A field that is null is as good as left out, and hides none of the others."""
    error = request_error(400, {"error": "invalid_grant", absent: None})
    assert type(error) is InvalidGrantError
    assert (error.error, error.description) == ("invalid_grant", None)
    error = request_error(400, {"error": None, "message": "Invalid client: x", "success": None})
    assert type(error) is InvalidClientError
    assert (error.error, error.description) == (None, "Invalid client: x")


# --- What is no refusal ---


@pytest.mark.parametrize("status", [100, 101, 201, 202, 204, 206, 299])
def test_a_success_of_another_kind_is_no_answer(status: int) -> None:
    """Only a 200 is documented."""
    error = refused(status, {"error": "invalid_grant"}, {"X-Request-Id": "7"})
    assert type(error) is InvalidResponseError
    assert error.status_code == status
    assert error.headers is not None
    assert error.headers["x-request-id"] == "7"
    assert "get_tokens expects status 200" in str(error)
    assert "get_tokens" in str(error)


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308, 399])
def test_a_redirect_is_no_answer(status: int) -> None:
    """Where it leads to is in the headers, and not in the text: it may carry what was sent."""
    location = f"https://evil.example/?code={CODE}"
    error = refused(status, None, {"Location": location})
    assert type(error) is InvalidResponseError
    assert error.status_code == status
    assert error.headers is not None
    assert error.headers["location"] == location
    assert "credentials are not sent there" in str(error)
    assert "evil" not in str(error) + repr(error)


# --- How long to wait ---


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("120", 120),
        ("0", 0),
        ("Sun, 01 Mar 2026 12:02:00 GMT", 120),
        ("Sunday, 01-Mar-26 12:02:00 GMT", 120),
        ("Sun Mar  1 12:02:00 2026", 120),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0),
    ],
)
@pytest.mark.parametrize("status", [400, 401, 429, 500, 503, 520])
def test_the_wait_that_is_asked_for_is_told(status: int, written: str, seconds: int) -> None:
    """Any refusal may ask for one, and a date is counted from the present that is given."""
    for name in ("Retry-After", "retry-after", "RETRY-AFTER"):
        error = request_error(status, None, {name: written})
        assert error.retry_after == timedelta(seconds=seconds)


@pytest.mark.parametrize("written", [None, "", "soon", "-1", "1.5", CODE])
def test_what_is_no_wait_is_none(written: str | None) -> None:
    """A header that can't be read is as good as none, and is not repeated."""
    error = request_error(429, None, {} if written is None else {"Retry-After": written})
    assert error.retry_after is None
    assert found(visible(error), SENT_SECRETS) == []


# --- What a server writes ---


def test_what_was_sent_does_not_come_back() -> None:
    """A server that repeats a code or a token in its answer does not bring it into a log."""
    for secret in SENT_SECRETS:
        echo = {"error": f"bad {secret}", "message": f"{secret} is unknown: '{secret}'"}
        error = request_error(400, echo)
        assert found(visible(error), SENT_SECRETS) == []
        assert error.error == "bad <hidden>"
        assert error.description == "<hidden> is unknown: '<hidden>'"


def test_what_was_sent_does_not_come_back_as_it_went() -> None:
    """A form spells some characters otherwise, and a server may repeat the form."""
    written = f"refresh_token={quote_plus(REAL_LOOKING)} is unknown"
    error = request_error(400, {"error_description": written})
    assert error.description == "refresh_token=<hidden> is unknown"
    assert quote_plus(REAL_LOOKING) not in visible(error)


def test_a_secret_within_another_is_hidden_as_well() -> None:
    """The longer one is looked for first, so that no end of it is left."""
    error = request_error(
        400, {"message": "abc-long-tail and abc-long"}, secrets=("abc", "abc-long", "abc-long-tail")
    )
    assert error.description == "<hidden> and <hidden>"


@pytest.mark.parametrize("secret", ["grant", "invalid", "i", "_", "client"])
def test_a_secret_that_is_a_word_does_not_change_the_kind(secret: str) -> None:
    """The kind is told from what the server wrote, before anything is hidden in it."""
    for code, kind in (
        ("invalid_grant", InvalidGrantError),
        ("invalid_client", InvalidClientError),
    ):
        message = code.replace("_", " ").capitalize()
        assert type(request_error(400, {"error": code}, secrets=(secret,))) is kind
        assert type(request_error(400, {"message": message}, secrets=(secret,))) is kind


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("two\nlines", "two lines"),
        ("a\r\nb\tc  d", "a b c d"),
        ("\x1b[31mred\x1b[0m", "[31mred [0m"),
        ("a\x00b\x7fc\x9bd", "a b c d"),
        ("\u202egpj.exe", "gpj.exe"),
        ("zero\u200bwidth", "zero width"),
        ("a\u2028b\u2029c", "a b c"),
        ("\ufeffmark", "mark"),
        (" blanks ", "blanks"),
        ("Grüße 🍋", "Grüße 🍋"),
    ],
)
def test_what_a_terminal_would_obey_is_taken_out(written: str, shown: str) -> None:
    """A description is one line of printable characters, and so is a code."""
    error = request_error(400, {"error": written, "message": written})
    assert (error.error, error.description) == (shown, shown)
    assert str(error).isprintable()


def test_a_long_description_is_cut() -> None:
    """A log is not filled by what a stranger writes."""
    error = request_error(400, {"error": "e" * 100_000, "message": "m" * 100_000})
    assert (error.error, error.description) == ("e" * 300, "m" * 300)
    assert len(str(error)) < 800


def test_a_secret_at_the_cut_is_not_halved() -> None:
    """It is hidden before the text is cut."""
    error = request_error(400, {"message": "m" * 290 + CODE})
    assert error.description == ("m" * 290 + "<hidden>")[:300]
    assert CODE[:10] not in visible(error)


def test_a_sentence_keeps_one_full_stop() -> None:
    """Whether or not the server wrote one."""
    for message in ("It failed", "It failed.", "It failed..."):
        assert "(status 400): It failed. Check" in str(request_error(400, {"message": message}))


def test_a_refusal_survives_pickling() -> None:
    """It may come back from a worker process, with all that it says."""
    error = request_error(429, {"error": "slow_down", "message": "x"}, {"Retry-After": "5"})
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert type(copy) is RateLimitedError
    assert (str(copy), vars(copy)) == (str(error), vars(error))


texts = st.text(st.characters(exclude_categories=["Cs"]))
spoken = texts | st.sampled_from(
    ["invalid_grant", "invalid_client", "Invalid grant: ", *SENT_SECRETS]
)
sentences = st.lists(spoken, max_size=4).map("".join)


@given(
    status=st.integers(100, 999).filter(lambda status: status != 200),
    body=st.none()
    | st.dictionaries(
        st.sampled_from(["error", "error_description", "message", "unknown"]), sentences
    ),
    retry_after=st.none()
    | st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E))
    | st.just("5"),
)
@settings(deadline=None, max_examples=400)
def test_no_answer_makes_another_error(
    status: int, body: dict[str, object] | None, retry_after: str | None
) -> None:
    """Whatever comes, it is a documented error, in one printable line, without a secret."""
    error = refused(status, body, {} if retry_after is None else {"Retry-After": retry_after})
    assert error.status_code == status
    assert str(error).isprintable()
    assert len(str(error)) < 1000
    assert found(str(error) + repr(error) + repr(vars(error)), SENT_SECRETS) == []
    assert isinstance(error, TokenRequestError) is (status >= 400)
