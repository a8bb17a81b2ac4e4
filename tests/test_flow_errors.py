"""Each row of Pipedrive's page of OAuth status codes, played by the sandbox, as an error.

Source: https://pipedrive.readme.io/docs/marketplace-oauth-and-api-proxy-status-codes
"""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import pytest
from attrs import evolve

from pipedrive_oauth_client import (
    AppCredentials,
    InvalidClientError,
    InvalidGrantError,
    InvalidResponseError,
    RateLimitedError,
    ServerError,
    TokenRequestError,
    sandbox,
)
from pipedrive_oauth_client.sandbox import Fault, SandboxServer
from tests.support.flows import (
    EXCHANGE,
    REFRESH,
    REVOKE,
    STEPS,
    AnyFlow,
    Step,
    failure,
    with_flow,
)

pytestmark = pytest.mark.usefixtures("no_proxy")

every_step = pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)

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


BY_CODE: Final[dict[str, type[TokenRequestError]]] = {
    "invalid_grant": InvalidGrantError,
    "invalid_client": InvalidClientError,
    "invalid_request": TokenRequestError,
    "unsupported_grant_type": TokenRequestError,
    "server_error": ServerError,
    "too_many_requests": RateLimitedError,
}
# The others are refusals of API calls.
ROWS: Final = {name: row for name, row in sandbox.REFUSALS.items() if row.error in BY_CODE}


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
                assert type(error) is BY_CODE[row.error], name
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
