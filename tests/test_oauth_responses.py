"""What the flow makes of every response of the service."""

from __future__ import annotations

import json
from collections.abc import Generator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from attrs import evolve

from pipedrive_oauth_client import (
    AppCredentials,
    InvalidClientError,
    InvalidGrantError,
    InvalidResponseError,
    PipedriveOAuthError,
    RateLimitedError,
    ServerError,
    Token,
    TokenRequestError,
    UnusableAccessTokenError,
    sandbox,
)
from pipedrive_oauth_client.sandbox import Fault, SandboxServer
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
    sent,
    with_flow,
)
from tests.support.samples import (
    ACCESS_TOKEN,
    CODE,
    REDIRECT_URI,
    REFRESH_TOKEN,
    SECRETS,
    SENT_REFRESH_TOKEN,
    TOKENS,
    token_body,
)
from tests.support.sweep import found, visible
from tests.support.wire import Wire, always, answer

pytestmark = pytest.mark.usefixtures("no_proxy")

every_grant = pytest.mark.parametrize("step", [EXCHANGE, REFRESH], ids=lambda step: step.name)

PIPEDRIVE: Final = "https://oauth.pipedrive.com"
LIFETIME: Final = timedelta(seconds=3599)
OLD: Final = Token(
    access_token="old-access-11c9",
    refresh_token=SENT_REFRESH_TOKEN,
    scope="base,deals:full",
    api_domain="https://acme.pipedrive.com",
    expires_at=FakeTime().now,
)
OPTIONAL: Final = ("refresh_token", "scope", "api_domain")


def body_without(*names: str) -> bytes:
    """Write a good answer's body that lacks some fields."""
    return json.dumps({name: TOKENS[name] for name in TOKENS if name not in names}).encode()


def taken(mode: str, step: Step, body: bytes, base_url: str = PIPEDRIVE) -> Token:
    """Take a step that is answered with this body by the service at the address."""
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=body))
    token = with_flow(mode, base_url, step.take, through={"transport": transport})
    assert isinstance(token, Token)
    return token


def refused(
    mode: str, step: Step, body: bytes, base_url: str = PIPEDRIVE, status: int = 200
) -> InvalidResponseError:
    """Take a step whose answer has to be refused, without repeating any of it."""
    transport = httpx.MockTransport(lambda _: httpx.Response(status, content=body))
    error: PipedriveOAuthError = failure(mode, base_url, step, through={"transport": transport})
    assert isinstance(error, InvalidResponseError)
    assert found(visible(error), SECRETS) == []
    return error


# --- What is sent, and what comes of it ---


def test_an_exchange(mode: str) -> None:
    """The code goes out with the app's redirect URI and credentials; all of the answer is kept."""
    time = FakeTime()
    with Wire(always(answer(token_body()))) as wire:
        token = with_flow(mode, wire.url, lambda flow: flow.exchange(CODE), clock=time.clock)
    assert token == Token(
        access_token=ACCESS_TOKEN,
        refresh_token=REFRESH_TOKEN,
        token_type="Bearer",
        scope="deals:full,users:read,base",
        api_domain="https://acme.pipedrive.com",
        expires_at=time.now + LIFETIME,
    )
    (request,) = sent(wire)
    assert request.line == "POST /oauth/token HTTP/1.1"
    assert request.headers["authorization"] == CREDENTIALS.basic_auth_header
    assert request.form == {
        "grant_type": "authorization_code",
        "code": CODE,
        "redirect_uri": REDIRECT_URI,
    }


@pytest.mark.parametrize("token", [OLD, SENT_REFRESH_TOKEN], ids=["token", "refresh token"])
def test_a_refresh(mode: str, token: Token | str) -> None:
    """The refresh token goes out, of a token or alone; what the answer gives takes its place."""
    time = FakeTime()
    with Wire(always(answer(token_body()))) as wire:
        new = with_flow(mode, wire.url, lambda flow: flow.refresh(token), clock=time.clock)
    assert (new.access_token, new.refresh_token) == (ACCESS_TOKEN, REFRESH_TOKEN)
    assert new.scopes == {"deals:full", "users:read", "base"}
    assert new.expires_at == time.now + LIFETIME
    (request,) = sent(wire)
    assert request.line == "POST /oauth/token/ HTTP/1.1"
    assert request.headers["authorization"] == CREDENTIALS.basic_auth_header
    assert request.form == {"grant_type": "refresh_token", "refresh_token": SENT_REFRESH_TOKEN}


@pytest.mark.parametrize("hint", ["access_token", "refresh_token"])
@pytest.mark.parametrize("whole", [True, False], ids=["token", "string"])
@pytest.mark.parametrize("body", [b"", b"{}", b'{"success": true}', b"<p>gone</p>", b"\xff"])
def test_a_revocation(mode: str, hint: str, body: bytes, *, whole: bool) -> None:
    """The token goes out with its hint, and a 200 says that it is done, whatever its body."""
    value = {"access_token": OLD.access_token, "refresh_token": SENT_REFRESH_TOKEN}[hint]

    async def revoke(flow: AnyFlow) -> None:
        await flow.revoke(OLD if whole else value, hint)

    with Wire(always(answer(body))) as wire:
        with_flow(mode, wire.url, revoke)
    (request,) = sent(wire)
    assert request.line == "POST /oauth/revoke HTTP/1.1"
    assert request.headers["authorization"] == CREDENTIALS.basic_auth_header
    assert request.form == {"token": value, "token_type_hint": hint}


# --- The expiry ---


@every_grant
def test_the_expiry_is_counted_from_the_sending(mode: str, step: Step) -> None:
    """The time that an answer takes is taken off, so that no token is thought alive too long."""
    time = FakeTime()
    sent_at = time.now

    def late() -> bytes:
        time.move(seconds=90)
        return answer(token_body())

    with Wire(in_turn(late)) as wire:
        token = with_flow(mode, wire.url, step.take, clock=time.clock)
    assert isinstance(token, Token)
    assert token.expires_at == sent_at + LIFETIME
    assert token.expires_in(time.now) == LIFETIME - timedelta(seconds=90)


def test_after_a_redirect_the_expiry_is_counted_from_the_second_request(mode: str) -> None:
    """The token was made in answer to that one."""
    time = FakeTime()
    sent_at = time.now

    def redirect() -> bytes:
        time.move(seconds=5)
        return answer(status=307, headers={"Location": "/oauth/token"})

    def late() -> bytes:
        time.move(seconds=90)
        return answer(token_body())

    with Wire(in_turn(redirect, late)) as wire:
        token = with_flow(mode, wire.url, lambda flow: flow.refresh(), clock=time.clock)
    assert token.expires_at == sent_at + timedelta(seconds=5) + LIFETIME


def test_a_clock_of_another_zone_shows_the_same_time(mode: str) -> None:
    """Whatever the zone of the clock, the expiry is in UTC."""
    tallinn = timezone(timedelta(hours=2))
    now = datetime(2026, 3, 1, 14, tzinfo=tallinn)
    with Wire(always(answer(token_body()))) as wire:
        token = with_flow(mode, wire.url, lambda flow: flow.exchange(), clock=lambda: now)
    assert token.expires_at == FakeTime().now + LIFETIME
    assert token.expires_at.tzinfo is UTC


@every_grant
@pytest.mark.parametrize("written", [3600, "3600", "0003600"])
def test_a_lifetime_may_come_as_digits_in_a_string(mode: str, step: Step, written: object) -> None:
    """`expires_in` is a number or the digits of one."""
    token = taken(mode, step, token_body(expires_in=written))
    assert abs(token.expires_in() - timedelta(hours=1)) < timedelta(minutes=5)


# --- What an answer leaves out ---


@pytest.mark.parametrize("name", OPTIONAL)
def test_a_refresh_keeps_what_the_answer_leaves_out(mode: str, name: str) -> None:
    """Refresh token, scope and API domain stay as they were unless the answer has others."""

    async def refresh(flow: AnyFlow) -> Token:
        return await flow.refresh(OLD)

    with Wire(always(answer(body_without(name)))) as wire:
        token = with_flow(mode, wire.url, refresh)
    for each in OPTIONAL:
        assert getattr(token, each) == (getattr(OLD, each) if each == name else TOKENS[each])
    assert token.access_token == ACCESS_TOKEN


def test_a_refresh_of_a_refresh_token_keeps_that(mode: str) -> None:
    """With nothing but the refresh token known, nothing else is kept."""
    with Wire(always(answer(body_without(*OPTIONAL)))) as wire:
        token = with_flow(mode, wire.url, lambda flow: flow.refresh(SENT_REFRESH_TOKEN))
    assert token.refresh_token == SENT_REFRESH_TOKEN
    assert (token.scope, token.api_domain) == ("", None)


def test_an_exchange_may_give_nothing_but_an_access_token(mode: str) -> None:
    """The rest is not required, and is not there."""
    token = taken(mode, EXCHANGE, body_without(*OPTIONAL))
    assert (token.refresh_token, token.scope, token.api_domain) == (None, "", None)


# --- What is not believed ---


@every_grant
def test_an_answer_without_an_access_token_is_refused(mode: str, step: Step) -> None:
    """The field is named."""
    assert refused(mode, step, body_without("access_token")).field == "access_token"


@every_grant
@pytest.mark.parametrize("token_type", ["mac", "Bearers", "bearer ", "N_A", "Basic"])
def test_a_token_of_another_type_is_refused(mode: str, step: Step, token_type: object) -> None:
    """What is not `Bearer` can't be presented."""
    assert refused(mode, step, token_body(token_type=token_type)).field == "token_type"


@pytest.mark.parametrize("token_type", ["Bearer", "bearer", "BEARER"])
def test_the_type_is_read_in_any_case(mode: str, token_type: str) -> None:
    """RFC 6749 compares it without regard to case."""
    assert taken(mode, EXCHANGE, token_body(token_type=token_type)).token_type == token_type


@every_grant
@pytest.mark.parametrize(
    "api_domain",
    [
        "https://acme.pipedrive.com",
        "https://acme.pipedrive.com/",
        "https://ACME.Pipedrive.com",
        "https://acme.pipedrive.com:443",
        "https://acme.eu-1.pipedrive.com",
    ],
)
def test_an_api_domain_under_pipedrive_com_is_kept(mode: str, step: Step, api_domain: str) -> None:
    """A company's own host is where its token may go."""
    assert taken(mode, step, token_body(api_domain=api_domain)).api_domain == api_domain


FORGED: Final = [
    "http://acme.pipedrive.com",
    "HTTP://acme.pipedrive.com",
    "//acme.pipedrive.com",
    "acme.pipedrive.com",
    "https://evil.example",
    "https://pipedrive.com.evil.example",
    "https://acme.pipedrive.com.evil.example",
    "https://evilpipedrive.com",
    "https://pipedrive.com",
    "https://acme.pipedrive.com@evil.example",
    "https://acme.pipedrive.com:pw@evil.example",
    "https://evil.example/acme.pipedrive.com",
    "https://evil.example#.pipedrive.com",
    "https://evil.example?.pipedrive.com",
    "https://evil.example\\.pipedrive.com",
    "https://evil.example%2f.pipedrive.com",
    "https://acme.pipedrive.com:8443",
    "https://acme.pipedrive.com/v1",
    "https://acme.pipedrive.com?x",
    "https://acme.pipedrive.com\n",
    " https://acme.pipedrive.com",
    "https://acme.pipedrive.com\u3002evil.example",
    # A dotless i and a long s, which regular expressions can take for i and s.
    "https://acme.p\u0131pedrive.com",
    "http\u017f://acme.pipedrive.com",
    "https://127.0.0.1",
    "javascript:alert(1)",
    "",
]


@every_grant
def test_a_forged_api_domain_is_not_taken(mode: str, step: Step) -> None:
    """An answer can't send the token anywhere but to Pipedrive's API, however it is written."""
    for api_domain in FORGED:
        token = taken(mode, step, token_body(api_domain=api_domain))
        assert token.api_domain is None, api_domain
        assert token.access_token == ACCESS_TOKEN


@pytest.mark.parametrize(
    "base_url",
    [
        f"{PIPEDRIVE}/",
        f"{PIPEDRIVE}:443",
        "https://OAuth.Pipedrive.com",
        f"{PIPEDRIVE}/x",
        f"{PIPEDRIVE}.",
    ],
)
def test_pipedrive_is_known_however_its_address_is_written(mode: str, base_url: str) -> None:
    """Another spelling of the default base URL is no other service."""
    body = token_body(api_domain="https://api.example")
    assert taken(mode, EXCHANGE, body, base_url).api_domain is None


@pytest.mark.parametrize(
    "api_domain", ["https://api.example", "https://api.example:8443", "http://127.0.0.1:8080"]
)
def test_another_service_may_name_its_own_hosts(mode: str, api_domain: str) -> None:
    """A flow with another base URL takes other hosts, over TLS or on this machine."""
    body = token_body(api_domain=api_domain)
    assert taken(mode, EXCHANGE, body, "https://oauth.example").api_domain == api_domain


@pytest.mark.parametrize(
    "api_domain",
    ["http://api.example", "ftp://api.example", "https://api.example/x", "https://u@api.example"],
)
def test_another_service_can_not_name_everything(mode: str, api_domain: str) -> None:
    """Not even there does a token go out in the clear."""
    body = token_body(api_domain=api_domain)
    assert taken(mode, EXCHANGE, body, "https://oauth.example").api_domain is None


@pytest.mark.parametrize("step", [EXCHANGE, REFRESH, REVOKE], ids=lambda step: step.name)
@pytest.mark.parametrize("status", [201, 202, 204, 206, 226, 299])
def test_another_success_is_none(mode: str, step: Step, status: int) -> None:
    """Only a 200 is the answer that was asked for."""
    error = refused(mode, step, token_body(), status=status)
    assert error.status_code == status
    assert step.name in error.problem


@every_grant
def test_a_success_that_is_no_token_answer_is_refused(mode: str, step: Step) -> None:
    """A proxy's page with status 200 is no token."""
    for body in (b"", b"null", b"[]", b'"t"', b"<html></html>", b"\xff", b"{", token_body()[:-1]):
        assert refused(mode, step, body).status_code == 200


# --- What a refusal's code, message and status make of it, and what its body can't take away ---


every_step = pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)

HTML: Final = b"<!DOCTYPE html><html><title>Web server is down</title></html>"


def refusal(mode: str, step: Step, status: int, body: bytes) -> TokenRequestError:
    """Take a step that a server refuses, and give the error."""
    with Wire(always(answer(body, status=status))) as wire:
        error = failure(mode, wire.url, step)
    assert isinstance(error, TokenRequestError)
    assert error.status_code == status
    assert len(wire.requests) == 1
    return error


def refusals(
    mode: str, step: Step, answers: list[tuple[int, bytes]], retry_after: str
) -> list[TokenRequestError]:
    """Take a step as often as it is refused; check what is so of every error, and give them."""
    errors: list[TokenRequestError] = []

    async def ask_for_all(flow: AnyFlow) -> None:
        for status, body in answers:
            with pytest.raises(TokenRequestError) as caught:
                await step.take(flow)
            assert caught.value.status_code == status, body
            assert f" (status {status}" in str(caught.value)
            errors.append(caught.value)

    headers = {"Retry-After": retry_after}
    written = [answer(body, status=status, headers=headers) for status, body in answers]
    with Wire(in_turn(*written)) as wire:
        with_flow(mode, wire.url, ask_for_all)
    assert len(wire.requests) == len(answers)
    return errors


def error_body(**fields: object) -> bytes:
    """Write the body of a refusal."""
    return json.dumps(fields).encode()


# --- What decides: the error code, then the message, then the status ---


BY_CODE: Final[dict[tuple[int, str], type[TokenRequestError]]] = {
    (400, "invalid_grant"): InvalidGrantError,
    (401, "invalid_grant"): InvalidGrantError,
    (500, "invalid_grant"): InvalidGrantError,
    (400, "invalid_client"): InvalidClientError,
    (401, "invalid_client"): InvalidClientError,
    (401, "unauthorized_client"): InvalidClientError,
    (400, "invalid_request"): TokenRequestError,
    (400, "invalid_scope"): TokenRequestError,
    (400, "unauthorized_client"): TokenRequestError,
    (400, "unsupported_grant_type"): TokenRequestError,
    (400, "unsupported_token_type"): TokenRequestError,
    (400, "something_new"): TokenRequestError,
    (429, "too_many_requests"): RateLimitedError,
    (500, "server_error"): ServerError,
    (503, "temporarily_unavailable"): ServerError,
}


@every_step
def test_the_error_code_comes_first(mode: str, step: Step) -> None:
    """Where the code says which error it is, the status has no say."""
    answers = [
        (status, error_body(success=False, message="Why.", error=code)) for status, code in BY_CODE
    ]
    errors = refusals(mode, step, answers, "7")
    for error, ((_, code), expected) in zip(errors, BY_CODE.items(), strict=True):
        assert type(error) is expected, code
        assert (error.error, error.description) == (code, "Why.")
        assert error.retry_after == timedelta(seconds=7)
        assert f", {code}): Why. " in str(error)


BY_MESSAGE: Final[dict[tuple[int, str], type[TokenRequestError]]] = {
    (400, "Invalid grant: refresh_token is invalid"): InvalidGrantError,
    (400, "INVALID GRANT"): InvalidGrantError,
    (400, "Invalid client: client is invalid"): InvalidClientError,
    (400, "Invalid request: redirect_uri is invalid"): TokenRequestError,
    (400, "The grant is not an Invalid grant"): TokenRequestError,
    (401, "Who are you?"): InvalidClientError,
}


@every_step
@pytest.mark.parametrize("name", ["message", "error_description"])
def test_the_message_decides_where_there_is_no_code(mode: str, step: Step, name: str) -> None:
    """Either name of the field counts."""
    answers = [(status, error_body(**{name: message})) for status, message in BY_MESSAGE]
    errors = refusals(mode, step, answers, "7")
    for error, ((_, message), expected) in zip(errors, BY_MESSAGE.items(), strict=True):
        assert type(error) is expected, message
        assert (error.error, error.description) == (None, message)


BY_STATUS: Final[dict[int, type[TokenRequestError]]] = {
    401: InvalidClientError,
    429: RateLimitedError,
    **dict.fromkeys([400, 402, 403, 404, 405, 410, 413, 418, 431, 499], TokenRequestError),
    **dict.fromkeys([500, 501, 502, 503, 504, *range(520, 527), 530, 599, 600, 999], ServerError),
}


@every_step
@pytest.mark.parametrize("body", [HTML, b""], ids=["page", "nothing"])
def test_the_status_decides_where_the_body_says_nothing(mode: str, step: Step, body: bytes) -> None:
    """A page of whatever is in front of the service is an answer, too, and so is no body."""
    errors = refusals(mode, step, [(status, body) for status in BY_STATUS], "120")
    for error, (status, expected) in zip(errors, BY_STATUS.items(), strict=True):
        assert type(error) is expected, status
        assert (error.error, error.description) == (None, None)
        assert error.retry_after == timedelta(minutes=2)


# --- Bodies that are none ---


GARBAGE: Final = [
    b"",
    b"{",
    b"\xff\xfe",
    b"[]",
    b"null",
    b"5",
    b'"invalid_grant"',
    b'[{"error": "invalid_grant"}]',
    b"[" * 100_000,
    b'{"error": NaN}',
    b'{"error": 5}',
    b'{"error": {"code": "invalid_grant"}}',
    b'{"error": null}',
    b'{"error": "\\ud800"}',
    b'{"message": ["no"]}',
    b'{"error_description": false}',
    b'{"success": "false"}',
    b'{"error": "", "message": ""}',
    b'{"error": " ", "message": "\\u0000\\n"}',
    b"{}",
]


@every_step
@pytest.mark.parametrize("status", [400, 404, 429, 521])
def test_a_body_that_is_none_takes_nothing_away(mode: str, step: Step, status: int) -> None:
    """Status and `Retry-After` say enough, whatever the body is."""
    errors = refusals(mode, step, [(status, body) for body in GARBAGE], "7")
    for error, body in zip(errors, GARBAGE, strict=True):
        assert type(error) is BY_STATUS[status], body
        assert (error.error, error.description) == (None, None), body
        assert error.retry_after == timedelta(seconds=7), body


@pytest.mark.parametrize("empty", ["message", "error_description", "success"])
def test_a_null_beside_the_code_does_not_hide_it(mode: str, empty: str) -> None:
    """A field without a value says nothing; the code still says what to do."""
    body = error_body(**{"error": "invalid_grant", empty: None})
    assert type(refusal(mode, REFRESH, 400, body)) is InvalidGrantError


@every_step
@pytest.mark.parametrize("status", [400, 401, 500])
@pytest.mark.parametrize(
    ("name", "value"),
    [("error_description", {}), ("error_description", ["Why."]), ("success", "no"), ("message", 5)],
)
def test_an_odd_field_beside_the_code_does_not_hide_it(
    mode: str, step: Step, status: int, name: str, value: object
) -> None:
    """A field that the spec describes otherwise is left out, and the code counts."""
    error = refusal(mode, step, status, error_body(**{"error": "invalid_grant", name: value}))
    assert type(error) is InvalidGrantError
    assert (error.error, error.description) == ("invalid_grant", None)


@every_step
@pytest.mark.parametrize("status", [402, 403, 404, 405, 422])
def test_the_code_counts_under_a_status_that_the_spec_lacks(
    mode: str, step: Step, status: int
) -> None:
    """What the service says of a grant or a client is true under any status of an error."""
    body = error_body(error="invalid_client", error_description="Unknown client.")
    error = refusal(mode, step, status, body)
    assert type(error) is InvalidClientError
    assert (error.error, error.description) == ("invalid_client", "Unknown client.")


SUCCESSFUL_ERRORS: Final[list[tuple[dict[str, object], type[TokenRequestError]]]] = [
    ({"error": "invalid_grant", "error_description": "Expired."}, InvalidGrantError),
    ({"error": "invalid_grant", "error_description": 5, "expires_in": None}, InvalidGrantError),
    ({"error": "invalid_client", "access_token": None, "refresh_token": ""}, InvalidClientError),
    ({"error": "incorrect_client_credentials"}, TokenRequestError),
    ({"success": False, "message": "Invalid grant: refresh_token is invalid"}, InvalidGrantError),
    ({"success": False, "message": "Something else"}, TokenRequestError),
]


@every_grant
@pytest.mark.parametrize(("fields", "kind"), SUCCESSFUL_ERRORS)
def test_an_error_with_status_200_is_one(
    mode: str, step: Step, fields: dict[str, object], kind: type[TokenRequestError]
) -> None:
    """A body that holds an error code, or Pipedrive's `success: false`, is an error response."""
    error = refusal(mode, step, 200, error_body(**fields))
    assert type(error) is kind
    assert error.error == fields.get("error")
    assert "(status 200" in str(error)


@every_grant
@pytest.mark.parametrize(
    "fields",
    [
        *({"error": None}, {"error": ""}, {"error": {"code": "invalid_grant"}}),
        *({"success": False}, {"success": "false", "message": "No"}, {"message": "Moved"}),
    ],
)
def test_what_names_no_error_is_a_response_that_can_not_be_used(
    mode: str, step: Step, fields: dict[str, object]
) -> None:
    """With status 200 and no error code, the state of the grant is not known."""
    assert refused(mode, step, error_body(**fields)).field == "access_token"


@every_grant
def test_an_error_beside_a_token_takes_nothing_away(mode: str, step: Step) -> None:
    """A token that can be used is used, whatever else the response says."""
    body = token_body(error="invalid_grant", success=False, message="No")
    assert taken(mode, step, body).access_token == ACCESS_TOKEN
    with pytest.raises(UnusableAccessTokenError):
        taken(mode, step, token_body(error="invalid_grant", access_token=None))


def test_a_description_is_made_fit_to_be_shown(mode: str) -> None:
    """Control characters and long texts of a server don't reach a terminal."""
    message = "Invalid\x1b[31m\r\ngrant \u202e" + "x" * 10_000
    error = refusal(mode, REVOKE, 400, error_body(message=message))
    assert error.description is not None
    assert error.description.isprintable()
    assert len(error.description) <= 300
    assert len(str(error)) < 600


# --- What the message says to do ---


@pytest.mark.parametrize(
    ("status", "code", "advice"),
    [
        (400, "invalid_grant", "authorize the app again"),
        (400, "invalid_client", "Developer Hub"),
        (429, "", "Wait"),
        (500, "", "Try again later"),
        (400, "invalid_request", "documentation"),
    ],
)
def test_the_message_says_what_to_do(mode: str, status: int, code: str, advice: str) -> None:
    """Each error names the next step."""
    assert advice in str(refusal(mode, REVOKE, status, error_body(error=code)))


# --- Each row of Pipedrive's page of OAuth status codes, played by the sandbox, as an error ---


CLOCK: Final = sandbox.Clock()


@pytest.fixture(scope="module")
def running() -> Generator[SandboxServer]:
    """A sandbox for the whole module, since each takes a moment to start and to stop."""
    with sandbox.run(sandbox.create_app(clock=CLOCK)) as server:
        yield server


@pytest.fixture
def server(running: SandboxServer) -> SandboxServer:
    """The sandbox with nothing left of other tests: no fault to come, and an empty log."""
    running.faults.clear()
    running.requests.clear()
    return running


def app_credentials(server: SandboxServer, **changes: str) -> AppCredentials:
    """Give the credentials of the app that is registered, with some of them changed."""
    app = server.app
    return evolve(AppCredentials(app.client_id, app.client_secret, app.redirect_uri), **changes)


def refused_by(
    mode: str, server: SandboxServer, step: Step, **settings: Any
) -> tuple[TokenRequestError, str]:
    """Take a step that the sandbox refuses; give the error, and the outcome in its log."""
    settings = {"credentials": app_credentials(server), "clock": CLOCK, **settings}
    error = failure(mode, server.base_url, step, **settings)
    assert isinstance(error, TokenRequestError)
    (record,) = server.requests.select(path=step.path)
    assert record.status == error.status_code
    return error, str(record.outcome)


def with_code(code: str) -> Step:
    """Make the exchange of a code."""
    return Step(EXCHANGE.name, EXCHANGE.path, lambda flow: flow.exchange(code))


INVALID_CODE: Final = "Invalid grant: authorization_code is invalid"
INVALID_REFRESH_TOKEN: Final = "Invalid grant: refresh_token is invalid"
INVALID_CLIENT: Final = "Invalid client: client is invalid"


def test_a_code_that_nobody_gave(mode: str, server: SandboxServer) -> None:
    """An unknown code is refused for good."""
    error, outcome = refused_by(mode, server, EXCHANGE)
    assert type(error) is InvalidGrantError
    assert (error.status_code, error.error, error.description) == (400, outcome, INVALID_CODE)


def test_a_code_that_was_exchanged(mode: str, server: SandboxServer) -> None:
    """A second exchange is refused with the same words."""
    callback = urlsplit(server.sandbox.install())
    step = with_code(dict(parse_qsl(callback.query))["code"])
    with_flow(mode, server.base_url, step.take, credentials=app_credentials(server))
    server.requests.clear()
    error, outcome = refused_by(mode, server, step)
    assert type(error) is InvalidGrantError
    assert (error.status_code, error.error, error.description) == (400, outcome, INVALID_CODE)


def test_a_code_that_is_too_old(mode: str, server: SandboxServer) -> None:
    """After five minutes the code is worth nothing."""
    callback = urlsplit(server.sandbox.install())
    CLOCK.advance(timedelta(minutes=5))
    error, _ = refused_by(mode, server, with_code(dict(parse_qsl(callback.query))["code"]))
    assert type(error) is InvalidGrantError
    assert (error.status_code, error.error) == (400, "invalid_grant")
    assert error.description == "Invalid grant: authorization_code has expired"


def test_a_refresh_token_that_nobody_gave(mode: str, server: SandboxServer) -> None:
    """An unknown refresh token is refused for good."""
    error, outcome = refused_by(mode, server, REFRESH)
    assert type(error) is InvalidGrantError
    assert (error.status_code, error.error) == (400, outcome)
    assert error.description == INVALID_REFRESH_TOKEN


@every_step
@pytest.mark.parametrize("wrong", [{"client_secret": "wrong"}, {"client_id": "wrong"}], ids=str)
def test_credentials_that_are_wrong(
    mode: str, server: SandboxServer, step: Step, wrong: dict[str, str]
) -> None:
    """The error is about the client, although the status is 400."""
    credentials = app_credentials(server, **wrong)
    error, outcome = refused_by(mode, server, step, credentials=credentials)
    assert type(error) is InvalidClientError
    assert (error.status_code, error.error, error.description) == (400, outcome, INVALID_CLIENT)


@pytest.mark.parametrize(
    ("redirect_uri", "description"),
    [
        ("http://127.0.0.1:8123/other", "Invalid request: redirect_uri is invalid"),
        ("http://127.0.0.1:8123/call%zzback", "Invalid request: redirect_uri is not a valid URI"),
    ],
)
def test_a_redirect_uri_that_is_not_the_app_s(
    mode: str, server: SandboxServer, redirect_uri: str, description: str
) -> None:
    """The exchange has to name the one that is registered."""
    callback = urlsplit(server.sandbox.install())
    step = with_code(dict(parse_qsl(callback.query))["code"])
    credentials = app_credentials(server, redirect_uri=redirect_uri)
    error, outcome = refused_by(mode, server, step, credentials=credentials)
    assert type(error) is TokenRequestError
    assert (error.status_code, error.error, error.description) == (400, outcome, description)


CLASSES_BY_CODE: Final[dict[str, type[TokenRequestError]]] = {
    "invalid_grant": InvalidGrantError,
    "invalid_client": InvalidClientError,
    "invalid_request": TokenRequestError,
    "unsupported_grant_type": TokenRequestError,
    "server_error": ServerError,
    "too_many_requests": RateLimitedError,
}
# The others are refusals of API calls.
ROWS: Final = {name: row for name, row in sandbox.REFUSALS.items() if row.error in CLASSES_BY_CODE}


def test_no_row_is_left_out() -> None:
    """All refusals of the sandbox but those of API calls are tested below."""
    assert sandbox.REFUSALS.keys() - ROWS.keys() == {"access_token_invalid", "scope_missing"}


@every_step
@pytest.mark.parametrize("rfc_fields", [False, True], ids=["Pipedrive's fields", "RFC 6749's"])
@pytest.mark.parametrize("status", [None, 401])
def test_every_row_of_the_page(
    mode: str, server: SandboxServer, step: Step, status: int | None, *, rfc_fields: bool
) -> None:
    """Each arrives with its class, status, code and description, also as RFC 6749 writes it."""

    async def ask_for_all(flow: AnyFlow) -> None:
        for name, row in ROWS.items():
            server.faults.add(step.path, Fault.refusal(name, status=status, rfc_fields=rfc_fields))
            with pytest.raises(TokenRequestError) as caught:
                await step.take(flow)
            error = caught.value
            assert (error.error, error.description) == (row.error, row.message)
            assert error.status_code == (status or row.status)
            assert error.retry_after is None
            if status is None or row.error in ("invalid_grant", "invalid_client"):
                assert type(error) is CLASSES_BY_CODE[row.error], name
            else:
                assert type(error) is InvalidClientError, name

    with_flow(mode, server.base_url, ask_for_all)
    assert server.requests.count(path=step.path) == len(ROWS)


@every_step
def test_every_page_of_something_in_front(mode: str, server: SandboxServer, step: Step) -> None:
    """500 in JSON, maintenance and the 52x of a CDN in HTML: all are the server's errors."""

    async def ask_for_all(flow: AnyFlow) -> None:
        for status in (500, 502, 503, 504, *range(520, 527)):
            server.faults.add(step.path, Fault.status(status, retry_after=90))
            with pytest.raises(ServerError) as caught:
                await step.take(flow)
            assert type(caught.value) is ServerError
            assert caught.value.status_code == status
            assert caught.value.retry_after == timedelta(seconds=90)
            assert caught.value.error == ("server_error" if status == 500 else None), status

    with_flow(mode, server.base_url, ask_for_all)
    assert server.requests.count(path=step.path) == 11


@every_step
@pytest.mark.parametrize("form", ["seconds", "imf-fixdate", "rfc850", "asctime"])
def test_too_many_requests(mode: str, server: SandboxServer, step: Step, form: Any) -> None:
    """How long to wait is read in every form that HTTP has for it."""
    server.faults.add(step.path, Fault.status(429, retry_after=90, retry_after_form=form))
    error, _ = refused_by(mode, server, step)
    assert type(error) is RateLimitedError
    assert (error.status_code, error.error) == (429, "too_many_requests")
    assert error.retry_after == timedelta(seconds=90)


@every_step
@pytest.mark.parametrize(
    ("fault", "field"),
    [
        (Fault.garbage(), None),
        (Fault.page(), None),
        (Fault.oversized(2 * 1024 * 1024), None),
        (Fault.oversized(2 * 1024 * 1024, announced=True), None),
        (Fault.answer(200, '{"access_token": 5}'), "access_token"),
        (Fault.redirect("https://evil.example/"), None),
    ],
    ids=repr,
)
def test_an_answer_that_is_none(
    mode: str, server: SandboxServer, step: Step, fault: Fault, field: str | None
) -> None:
    """What is neither a token nor a refusal can't be used, and the error says where it fails."""
    server.faults.add(step.path, fault)
    if step is REVOKE and fault.name in ("garbage", "page 200", "answer 200"):
        with_flow(mode, server.base_url, step.take)
    else:
        error = failure(mode, server.base_url, step)
        assert isinstance(error, InvalidResponseError)
        assert error.field == field
        assert error.status_code == (302 if fault.name == "redirect 302" else 200)
    assert server.requests.count(path=step.path) == 1
