"""What a flow makes of an answer with tokens, and which of them it refuses to believe."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

import httpx
import pytest

from pipedrive_oauth_client import InvalidResponseError, PipedriveOAuthError, Token
from tests.support.fake_time import FakeTime
from tests.support.flows import (
    CREDENTIALS,
    EXCHANGE,
    REFRESH,
    REVOKE,
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


NO_LIFETIMES: Final[list[object]] = [
    *["", "-1", "3600.0", "1e3", " 3600", "\u0663", "soon"],
    *[-1, 3600.5, True, None, [3600], {"seconds": 3600}, 10**15, 10**400],
]


@every_grant
def test_a_lifetime_that_is_none_is_refused(mode: str, step: Step) -> None:
    """Anything but a whole number of seconds from 0 is no lifetime, nor is one beyond all dates."""
    for written in NO_LIFETIMES:
        assert refused(mode, step, token_body(expires_in=written)).field == "expires_in", written


def test_a_lifetime_of_not_a_number_is_refused(mode: str) -> None:
    """What JSON does not have is not read."""
    body = token_body().replace(b"3599", b"NaN")
    assert refused(mode, EXCHANGE, body).field == "expires_in"


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
@pytest.mark.parametrize("name", ["access_token", "token_type", "expires_in"])
def test_an_answer_without_a_required_field_is_refused(mode: str, step: Step, name: str) -> None:
    """The field is named."""
    assert refused(mode, step, body_without(name)).field == name


@every_grant
@pytest.mark.parametrize("token_type", ["mac", "", "Bearers", "bearer ", "N_A", "Basic", None])
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
def test_a_forged_api_domain_is_refused(mode: str, step: Step) -> None:
    """An answer can't send the token anywhere but to Pipedrive's API, however it is written."""
    for api_domain in FORGED:
        error = refused(mode, step, token_body(api_domain=api_domain))
        assert error.field == "api_domain", api_domain
        assert "pipedrive.com" in error.problem


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
    assert refused(mode, EXCHANGE, body, base_url).field == "api_domain"


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
    assert refused(mode, EXCHANGE, body, "https://oauth.example").field == "api_domain"


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
