"""What goes over the wire, byte for byte, and what never gets there.

The expected bytes are written by hand from openapi.yaml, RFC 9112 (requests), RFC 7617 (the header)
and appendix B of RFC 6749 (the encoding of forms and queries).
"""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import parse_qsl

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipedrive_oauth_client import (
    UNSET,
    ConfigurationError,
    GetTokensRequest,
    OAuthErrorResponse,
    RefreshTokensRequest,
    get_tokens,
    refresh_tokens,
)
from tests.support.driver import MODES, call, run
from tests.support.mock import mocked
from tests.support.samples import AUTHORIZATION, AUTHORIZE, GET_TOKENS, Operation, token_body
from tests.support.sweep import found, visible
from tests.support.untyped import untyped
from tests.support.wire import Wire, always, answer, client_of

pytestmark = pytest.mark.usefixtures("no_proxy")

TOKENS_ANSWER: Final = answer(token_body(), headers={"Content-Type": "application/json"})
PAGE_ANSWER: Final = answer(b"<html></html>", headers={"Content-Type": "text/html"})

# What HTTP itself and httpx add to every request; everything else is listed by the tests.
ADDED: Final = {"host", "accept-encoding", "connection", "user-agent"}


class Sent(NamedTuple):
    """A request, taken apart."""

    line: bytes
    headers: list[tuple[str, str]]
    body: bytes


def sent(wire: Wire) -> Sent:
    """Take apart the only request of the only connection, and check that nothing came with it."""
    (request,) = wire.requests
    assert wire.received == request
    head, _, body = request.partition(b"\r\n\r\n")
    line, *fields = head.split(b"\r\n")
    headers = [
        (name, value)
        for name, _, value in (field.decode("ascii").partition(": ") for field in fields)
    ]
    names = [name.lower() for name, _ in headers]
    assert len(names) == len(set(names)), "a header went out twice"
    assert set(names) >= ADDED
    assert dict(headers)["Host"] == wire.authority
    ours = [(name, value) for name, value in headers if name.lower() not in ADDED]
    return Sent(line, sorted(ours), body)


def send(mode: str, operation: Operation, **changes: object) -> Sent:
    """Make one call over TCP and give what was received."""
    with Wire(always(PAGE_ANSWER if operation is AUTHORIZE else TOKENS_ANSWER)) as wire:
        arguments = {**operation.arguments, **changes}
        response = call(mode, operation.module, client=wire.client(), **arguments)
    assert response.status_code == 200
    return sent(wire)


def sent_form(mode: str, body: GetTokensRequest | RefreshTokensRequest) -> bytes:
    """Send a form over TCP and give its bytes."""
    module = get_tokens if isinstance(body, GetTokensRequest) else refresh_tokens
    operation = Operation(module, "", {"authorization": AUTHORIZATION})
    return send(mode, operation, body=body).body


def test_get_tokens_sends_the_form_of_the_code_grant(mode: str) -> None:
    """The exchange of a code is this request, byte for byte."""
    body = GetTokensRequest(code="8d7e51fc20b94a36", redirect_uri="https://app.example.com/cb")
    assert send(mode, GET_TOKENS, body=body) == Sent(
        b"POST /oauth/token HTTP/1.1",
        [
            ("Accept", "application/json"),
            ("Authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            ("Content-Length", "99"),
            ("Content-Type", "application/x-www-form-urlencoded"),
        ],
        b"grant_type=authorization_code&code=8d7e51fc20b94a36"
        b"&redirect_uri=https%3A%2F%2Fapp.example.com%2Fcb",
    )


def test_refresh_tokens_sends_the_form_of_the_refresh_grant(mode: str) -> None:
    """The refresh is this request, byte for byte, to the path with a slash at its end."""
    refresh = Operation(refresh_tokens, "", {"authorization": AUTHORIZATION})
    body = RefreshTokensRequest(refresh_token="7412903:9120468:5be07c43d1f2a896")
    assert send(mode, refresh, body=body) == Sent(
        b"POST /oauth/token/ HTTP/1.1",
        [
            ("Accept", "application/json"),
            ("Authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            ("Content-Length", "75"),
            ("Content-Type", "application/x-www-form-urlencoded"),
        ],
        b"grant_type=refresh_token&refresh_token=7412903%3A9120468%3A5be07c43d1f2a896",
    )


def test_authorize_sends_the_query_without_a_state_that_was_not_given(mode: str) -> None:
    """The consent page is asked for by this request, byte for byte."""
    assert send(mode, AUTHORIZE) == Sent(
        b"GET /oauth/authorize?client_id=3f9a1c07d2b84e65"
        b"&redirect_uri=https%3A%2F%2Fapp.example.com%2Fcallback HTTP/1.1",
        [("Accept", "text/html")],
        b"",
    )


def test_authorize_sends_the_state_that_was_given(mode: str) -> None:
    """The state is the last part of the query."""
    assert send(mode, AUTHORIZE, state="mK3vT9-qWx0eYb7hR2cUzA").line == (
        b"GET /oauth/authorize?client_id=3f9a1c07d2b84e65"
        b"&redirect_uri=https%3A%2F%2Fapp.example.com%2Fcallback"
        b"&state=mK3vT9-qWx0eYb7hR2cUzA HTTP/1.1"
    )


def test_the_path_of_the_base_url_comes_first(mode: str, grant: Operation) -> None:
    """A server below a path is reached there, with the operation's own slash kept."""
    with Wire(always(TOKENS_ANSWER)) as wire:
        call(mode, grant.module, client=client_of(f"{wire.url}/proxy/"), **grant.arguments)
    path = grant.method_and_path.removeprefix("POST ")
    assert sent(wire).line == f"POST /proxy{path} HTTP/1.1".encode()


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", id="basic"),
        pytest.param("Bearer v1u:AQIB~-._/+==", id="another scheme"),
        pytest.param("x", id="one character"),
        pytest.param('Basic  two  spaces; inside, "quoted" %0d%0a', id="odd but legal"),
    ],
)
def test_the_authorization_header_is_sent_as_it_was_given(
    mode: str, grant: Operation, value: str
) -> None:
    """Nothing is added to the header's value, taken from it, or encoded in it."""
    sent_headers = send(mode, grant, authorization=value).headers
    assert ("Authorization", value) in sent_headers


def test_a_grant_type_that_is_given_replaces_the_default(mode: str) -> None:
    """The default of the spec is only a default."""
    body = GetTokensRequest(grant_type="urn:x", code="c")
    assert sent_form(mode, body) == b"grant_type=urn%3Ax&code=c"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (GetTokensRequest(), b"grant_type=authorization_code"),
        (GetTokensRequest(code="c"), b"grant_type=authorization_code&code=c"),
        (GetTokensRequest(UNSET, redirect_uri="r"), b"redirect_uri=r"),
        (RefreshTokensRequest(), b"grant_type=refresh_token"),
        (RefreshTokensRequest(UNSET, "t"), b"refresh_token=t"),
    ],
    ids=["only the default", "no redirect_uri", "no default", "no token", "only the token"],
)
def test_fields_that_are_unset_are_left_out(
    mode: str, body: GetTokensRequest | RefreshTokensRequest, expected: bytes
) -> None:
    """The form holds what was given, in the order of the spec."""
    assert sent_form(mode, body) == expected


def test_an_empty_value_is_sent(mode: str) -> None:
    """An empty string is a value; only `UNSET` is none."""
    assert sent_form(mode, GetTokensRequest(code="")) == b"grant_type=authorization_code&code="


def test_a_form_without_fields_is_still_declared_as_a_form(mode: str) -> None:
    """The service answers 400 to a token request of another content type, so it is always sent."""
    request = send(mode, GET_TOKENS, body=GetTokensRequest(grant_type=UNSET))
    assert request.body == b""
    assert ("Content-Type", "application/x-www-form-urlencoded") in request.headers


HOSTILE: Final = [
    pytest.param("a b", b"a+b", id="space"),
    pytest.param("a+b", b"a%2Bb", id="plus"),
    pytest.param("a&code=b", b"a%26code%3Db", id="ampersand and equals"),
    pytest.param("100%", b"100%25", id="percent"),
    pytest.param("%41%0d%0a", b"%2541%250d%250a", id="already encoded"),
    pytest.param("a;b", b"a%3Bb", id="semicolon"),
    pytest.param("a\r\nX-Evil: 1", b"a%0D%0AX-Evil%3A+1", id="line break"),
    pytest.param("a\x00\x7f", b"a%00%7F", id="control characters"),
    pytest.param("é", b"%C3%A9", id="latin"),
    # The example of RFC 6749, appendix B.
    pytest.param(" %&+£€", b"+%25%26%2B%C2%A3%E2%82%AC", id="rfc 6749"),
    pytest.param("😀", b"%F0%9F%98%80", id="outside the first plane"),
    pytest.param('a/b?c#d"<>', b"a%2Fb%3Fc%23d%22%3C%3E", id="url delimiters"),
    pytest.param("[]{}|\\^`", b"%5B%5D%7B%7D%7C%5C%5E%60", id="brackets"),
]


@pytest.mark.parametrize(("value", "encoded"), HOSTILE)
def test_form_values_are_percent_encoded(mode: str, value: str, encoded: bytes) -> None:
    """No value can break out of its field."""
    assert sent_form(mode, GetTokensRequest(code=value, redirect_uri="r")) == (
        b"grant_type=authorization_code&code=" + encoded + b"&redirect_uri=r"
    )


@pytest.mark.parametrize(("value", "encoded"), HOSTILE)
def test_query_values_are_percent_encoded(mode: str, value: str, encoded: bytes) -> None:
    """No value can break out of its parameter, or out of the request line."""
    line = send(mode, AUTHORIZE, client_id="i", redirect_uri=value, state=value).line
    assert line == (
        b"GET /oauth/authorize?client_id=i"
        b"&redirect_uri=" + encoded + b"&state=" + encoded + b" HTTP/1.1"
    )


def test_fields_beyond_the_spec_are_sent(mode: str) -> None:
    """What is set by name goes out beside the fields of the spec."""
    body = GetTokensRequest(code="c")
    body["x y"] = "1&2"
    body["number"] = 5
    body["yes"] = True
    body["absent"] = UNSET
    fields = sent_form(mode, body).split(b"&")
    assert [field for field in fields if field.startswith((b"grant_type=", b"code="))] == [
        b"grant_type=authorization_code",
        b"code=c",
    ]
    assert sorted(fields) == [
        b"code=c",
        b"grant_type=authorization_code",
        b"number=5",
        b"x+y=1%262",
        b"yes=true",
    ]


def test_a_field_of_the_spec_that_is_set_by_name_is_sent_once(mode: str) -> None:
    """The attribute wins over an additional field of the same name."""
    body = GetTokensRequest(code="right", redirect_uri=UNSET)
    body["code"] = "wrong"
    fields = sent_form(mode, body).split(b"&")
    assert sorted(fields) == [b"code=right", b"grant_type=authorization_code"]


@given(code=st.text(), uri=st.text(), name=st.text(), value=st.text())
@settings(deadline=None, max_examples=50)
@pytest.mark.parametrize("mode", MODES)
def test_a_form_reads_back_as_it_was_given(
    mode: str, code: str, uri: str, name: str, value: str
) -> None:
    """Whatever text is given, a server that decodes the form gets that text."""
    forms: list[bytes] = []

    def handler(request: httpx.Request) -> httpx.Response:
        forms.append(request.content)
        return httpx.Response(503)

    body = GetTokensRequest(code=code, redirect_uri=uri)
    body[f"x{name}"] = value
    call(mode, get_tokens, client=mocked(handler), authorization=AUTHORIZATION, body=body)
    pairs = parse_qsl(forms[0].decode("ascii"), keep_blank_values=True, strict_parsing=True)
    expected = {"grant_type": "authorization_code", "code": code, "redirect_uri": uri}
    assert len(pairs) == 4
    assert dict(pairs) == {**expected, f"x{name}": value}


# --- Nothing is sent when an argument can't be right. ---

PLANTED: Final = "planted-value-93c1"


def refused(mode: str, operation: Operation, name: str, **changes: object) -> None:
    """Check that a call is refused before a connection is opened, and repeats no value."""
    with Wire(always(TOKENS_ANSWER)) as wire:
        arguments = {**operation.arguments, **changes}
        with pytest.raises(ConfigurationError) as caught:
            call(mode, operation.module, client=wire.client(), **arguments)
    assert wire.received == b""
    assert wire.peers == []
    assert name in str(caught.value)
    assert found(visible(caught.value), [PLANTED]) == []


def form_with(**fields: object) -> GetTokensRequest:
    """Make a form and force values into it that its types forbid."""
    body = GetTokensRequest(code=PLANTED, redirect_uri=PLANTED)
    for name, value in fields.items():
        setattr(body, name, value)
    return body


def form_with_extra(name: object, value: object) -> GetTokensRequest:
    """Make a form with a field beyond the spec, of whatever type."""
    body = GetTokensRequest(code=PLANTED)
    extra: dict[object, object] = {name: value}
    untyped(setattr)(body, "additional_properties", extra)
    return body


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(f"Basic {PLANTED}\n", id="line break at the end"),
        pytest.param(f"Basic {PLANTED}\r\nX-Evil: 1", id="line break inside"),
        pytest.param(f"Basic {PLANTED}\x00", id="nul"),
        pytest.param(f"Basic {PLANTED}\x7f", id="del"),
        pytest.param(f"Basic\t{PLANTED}", id="tab"),
        pytest.param(f"Basic {PLANTED}é", id="latin"),
        pytest.param(f"Basic {PLANTED}\u2028", id="unicode line separator"),
        pytest.param(f"Basic {PLANTED}\ud800", id="lone surrogate"),
        pytest.param(f" Basic {PLANTED}", id="blank at the start"),
        pytest.param(f"Basic {PLANTED} ", id="blank at the end"),
        pytest.param("", id="empty"),
        pytest.param(" ", id="blank"),
        pytest.param(None, id="none"),
        pytest.param(UNSET, id="unset"),
        pytest.param(5, id="number"),
        pytest.param(f"Basic {PLANTED}".encode(), id="bytes"),
        pytest.param([f"Basic {PLANTED}"], id="list"),
    ],
)
def test_a_bad_authorization_is_refused(mode: str, grant: Operation, value: object) -> None:
    """A value that can't stand in a header is refused, named and not repeated."""
    refused(mode, grant, "authorization", authorization=value)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(None, id="none"),
        pytest.param({"code": PLANTED}, id="dict"),
        pytest.param(f"code={PLANTED}", id="string"),
        pytest.param(OAuthErrorResponse(message=PLANTED), id="another model"),
        pytest.param(GetTokensRequest, id="the class itself"),
    ],
)
def test_a_body_of_the_wrong_class_is_refused(mode: str, grant: Operation, body: object) -> None:
    """Only the operation's own form is sent."""
    refused(mode, grant, "body", body=body)


def test_the_form_of_the_other_grant_is_refused(mode: str, grant: Operation) -> None:
    """A refresh form can't go out as the exchange of a code, or the other way round."""
    other: object = RefreshTokensRequest(refresh_token=PLANTED)
    if grant.module is refresh_tokens:
        other = GetTokensRequest(code=PLANTED)
    refused(mode, grant, "body", body=other)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param(form_with(code=None), "code", id="none"),
        pytest.param(form_with(redirect_uri=None), "redirect_uri", id="none in the last field"),
        pytest.param(form_with(grant_type=None), "grant_type", id="none for the default"),
        pytest.param(form_with(code=[PLANTED]), "code", id="list"),
        pytest.param(form_with(code={PLANTED: 1}), "code", id="dict"),
        pytest.param(form_with(code=PLANTED.encode()), "code", id="bytes"),
        pytest.param(form_with(code=(PLANTED,)), "code", id="tuple"),
        pytest.param(form_with(code=form_with()), "code", id="model"),
        pytest.param(form_with(code=f"{PLANTED}\ud800"), "code", id="high surrogate"),
        pytest.param(form_with(code=f"\udfff{PLANTED}"), "code", id="low surrogate"),
        pytest.param(form_with_extra("x", None), "x", id="none in a further field"),
        pytest.param(form_with_extra("x", [PLANTED]), "x", id="list in a further field"),
        pytest.param(form_with_extra("x", 10**5000), "x", id="number without end"),
        pytest.param(form_with_extra(5, PLANTED), "body", id="name that is a number"),
        pytest.param(form_with_extra("\ud800", PLANTED), "body", id="name with half a pair"),
    ],
)
def test_a_field_that_can_not_stand_in_a_form_is_refused(
    mode: str, body: GetTokensRequest, field: str
) -> None:
    """The error names the field; the value stays out of it."""
    refused(mode, GET_TOKENS, field, body=body)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("client_id", None, id="no client_id"),
        pytest.param("client_id", 5, id="number"),
        pytest.param("client_id", UNSET, id="unset client_id"),
        pytest.param("redirect_uri", PLANTED.encode(), id="bytes"),
        pytest.param("redirect_uri", [PLANTED], id="list"),
        pytest.param("state", None, id="none in place of unset"),
        pytest.param("state", f"{PLANTED}\udc80", id="lone surrogate"),
    ],
)
def test_a_bad_query_parameter_is_refused(mode: str, name: str, value: object) -> None:
    """A parameter that is no text is refused, named and not repeated."""
    refused(mode, AUTHORIZE, name, **{name: value})


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(None, id="none"),
        pytest.param("https://oauth.pipedrive.com", id="base_url"),
        pytest.param(httpx.Client, id="class of httpx"),
    ],
)
def test_something_else_than_a_client_is_refused(
    mode: str, grant: Operation, wrong: object
) -> None:
    """What is passed as `client` has to be one, and the error says so."""
    arguments = {"client": wrong, **grant.arguments}
    if mode == "sync":
        with pytest.raises(ConfigurationError, match="client must be"):
            grant.module.sync_detailed(**arguments)
        return
    with pytest.raises(ConfigurationError, match="client must be"):
        run(mode, lambda: grant.module.asyncio_detailed(**arguments))
