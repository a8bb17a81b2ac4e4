"""What a refusal's code, message and status make of it, and what its body can't take away."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Final

import pytest

from pipedrive_oauth_client import (
    InvalidClientError,
    InvalidGrantError,
    RateLimitedError,
    ServerError,
    TokenRequestError,
)
from tests.support.flows import REFRESH, REVOKE, STEPS, AnyFlow, Step, failure, in_turn, with_flow
from tests.support.wire import Wire, always, answer

pytestmark = pytest.mark.usefixtures("no_proxy")

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
            assert f"(status {status})" in str(caught.value)
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
        assert f"({code}). Why. " in str(error)


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
