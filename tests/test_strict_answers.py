"""Which answers are taken, and what is made of all others."""

from __future__ import annotations

import json
from typing import Final

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipedrive_oauth_client import (
    UNSET,
    Client,
    GetTokensRequest,
    GetTokensResponse,
    InvalidResponseError,
    OAuthErrorResponse,
    PipedriveOAuthError,
    RefreshTokensRequest,
    Response,
    UnexpectedStatus,
)
from tests.support.driver import MODES, Parsed, call, call_short
from tests.support.mock import answering, mocked
from tests.support.samples import AUTHORIZE, GET_TOKENS, SECRETS, TOKENS, Operation, token_body
from tests.support.sweep import found, visible
from tests.support.untyped import untyped

pytestmark = pytest.mark.usefixtures("no_proxy")


def ask(mode: str, operation: Operation, client: Client) -> Response[Parsed]:
    """Make one good call."""
    return call(mode, operation.module, client=client, **operation.arguments)


def refusal(
    mode: str, body: bytes | str, *, status: int = 200, operation: Operation = GET_TOKENS
) -> InvalidResponseError:
    """Check that an answer is refused with its status and without its content; give the error."""
    with pytest.raises(InvalidResponseError) as caught:
        ask(mode, operation, answering(status, body))
    assert caught.value.status_code == status
    assert f"status {status}" in str(caught.value)
    assert found(visible(caught.value), SECRETS) == []
    return caught.value


def with_raw(name: str, value: str) -> str:
    """Write a token answer in which one value stands as it is, JSON or not."""
    rest = {key: value for key, value in TOKENS.items() if key != name}
    return f'{json.dumps(rest)[:-1]}, "{name}": {value}}}'


# --- Good answers ---


def test_a_token_answer_is_read(mode: str, grant: Operation) -> None:
    """Each field of the answer is there under its own name and with its own type."""
    response = ask(mode, grant, answering(200, token_body()))
    assert response.status_code == 200
    assert response.content == token_body()
    assert isinstance(response.parsed, GetTokensResponse)
    assert response.parsed == GetTokensResponse(
        access_token="access-v1u-AQIBAHj",
        token_type="Bearer",
        expires_in=3599,
        refresh_token="refresh-5be07c43d1f2a896",
        scope="deals:full,users:read,base",
        api_domain="https://acme.pipedrive.com",
    )
    assert response.parsed.additional_properties == {}


def test_the_short_functions_give_what_was_read(mode: str, grant: Operation) -> None:
    """`sync` and `asyncio` give `parsed` of their detailed siblings."""
    client = answering(200, token_body())
    detailed = ask(mode, grant, client)
    assert detailed.parsed == call_short(mode, grant.module, client=client, **grant.arguments)
    assert detailed.parsed is not None


def test_fields_that_need_not_be_there_are_unset(mode: str, grant: Operation) -> None:
    """An answer without `refresh_token`, `scope` and `api_domain` is a good answer."""
    body = '{"access_token": "a", "token_type": "Bearer", "expires_in": 0}'
    parsed = ask(mode, grant, answering(200, body)).parsed
    assert isinstance(parsed, GetTokensResponse)
    assert (parsed.refresh_token, parsed.scope, parsed.api_domain) == (UNSET, UNSET, UNSET)
    assert parsed.refresh_token is UNSET
    assert parsed.expires_in == 0


def test_unknown_fields_are_kept(mode: str, grant: Operation) -> None:
    """Fields that the spec does not name survive the way in and out again."""
    extra = {"company_id": 5, "nested": {"list": [1, None, {"x": "é"}]}, "": "", "none": None}
    parsed = ask(mode, grant, answering(200, token_body(**extra))).parsed
    assert isinstance(parsed, GetTokensResponse)
    assert parsed.additional_properties == extra
    assert sorted(parsed.additional_keys) == sorted(extra)
    assert parsed["company_id"] == 5
    assert "company_id" in parsed
    assert "access_token" not in parsed
    assert parsed.to_dict() == {**TOKENS, **extra}
    del parsed["company_id"]
    assert "company_id" not in parsed.to_dict()


def test_deep_but_finite_unknown_fields_are_kept(mode: str) -> None:
    """An unknown field nested some hundred times is read, compared and written again."""
    nested: list[object] = []
    for _ in range(200):
        nested = [nested]
    parsed = ask(mode, GET_TOKENS, answering(200, token_body(deep=nested))).parsed
    assert isinstance(parsed, GetTokensResponse)
    assert parsed.to_dict()["deep"] == nested


def test_reading_does_not_change_the_source() -> None:
    """`from_dict` leaves the object that it reads as it was."""
    source = {**TOKENS, "more": [1]}
    GetTokensResponse.from_dict(source)
    assert source == {**TOKENS, "more": [1]}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(token_body(), id="as it is"),
        pytest.param(b"\xef\xbb\xbf" + token_body(), id="byte order mark"),
        pytest.param(b" \r\n\t" + token_body() + b"\n", id="blanks around"),
        pytest.param(json.dumps(TOKENS, indent=2).encode(), id="indented"),
    ],
)
def test_json_is_read_in_every_way_of_writing_it(mode: str, body: bytes) -> None:
    """Blanks and a byte order mark do no harm (RFC 8259, sections 2 and 8.1)."""
    parsed = ask(mode, GET_TOKENS, answering(200, body)).parsed
    assert parsed == GetTokensResponse.from_dict(TOKENS)


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "text/html", "x"])
def test_the_content_type_of_a_token_answer_does_not_matter(mode: str, content_type: str) -> None:
    """A good body under a wrong label is a good body."""
    client = answering(200, token_body(), {"Content-Type": content_type})
    assert isinstance(ask(mode, GET_TOKENS, client).parsed, GetTokensResponse)


# --- Answers of status 200 that are not what the spec describes ---


@pytest.mark.parametrize("name", ["access_token", "token_type", "expires_in"])
def test_a_missing_required_field_is_named(mode: str, grant: Operation, name: str) -> None:
    """An answer without a required field is refused."""
    body = {key: value for key, value in TOKENS.items() if key != name}
    error = refusal(mode, json.dumps(body), operation=grant)
    assert error.field == name
    assert "is missing" in error.problem


JSON_OF_TYPE: Final = {
    "string": '"1h"',
    "integer": "7",
    "fraction": "7.5",
    "true": "true",
    "false": "false",
    "null": "null",
    "array": '["access-v1u-AQIBAHj"]',
    "object": '{"refresh-5be07c43d1f2a896": "unknown-field-2a54c1"}',
}
RIGHT_TYPE: Final = {**dict.fromkeys(TOKENS, "string"), "expires_in": "integer"}
WRONG_TYPES: Final = [
    pytest.param(name, value, id=f"{name} {kind}")
    for name, right in RIGHT_TYPE.items()
    for kind, value in JSON_OF_TYPE.items()
    if kind != right
]


@pytest.mark.parametrize(("name", "value"), WRONG_TYPES)
def test_a_field_of_the_wrong_type_is_named(mode: str, name: str, value: str) -> None:
    """No JSON type stands in for another, and null is not the same as absent."""
    error = refusal(mode, with_raw(name, value))
    assert error.field == name
    assert repr(name) in error.problem


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        pytest.param("3599", 3599, id="number"),
        pytest.param('"3600"', 3600, id="digits in a string"),
        pytest.param("0", 0, id="zero"),
        pytest.param('"0"', 0, id="zero in a string"),
        pytest.param('"0060"', 60, id="leading zeros in a string"),
        pytest.param("999999999999999999", 10**18 - 1, id="eighteen digits"),
        pytest.param('"999999999999999999"', 10**18 - 1, id="eighteen digits in a string"),
    ],
)
def test_a_lifetime_is_a_number_or_digits_in_a_string(
    mode: str, written: str, seconds: int
) -> None:
    """The service has been seen to send the lifetime as a string; it becomes an integer."""
    parsed = ask(mode, GET_TOKENS, answering(200, with_raw("expires_in", written))).parsed
    assert isinstance(parsed, GetTokensResponse)
    assert parsed.expires_in == seconds
    assert type(parsed.expires_in) is int


@pytest.mark.parametrize(
    "written",
    [
        pytest.param('"3600.0"', id="fraction in a string"),
        pytest.param('"+1"', id="plus sign"),
        pytest.param('"-1"', id="minus sign"),
        pytest.param('" 1"', id="blank before"),
        pytest.param('"1 "', id="blank after"),
        pytest.param('"1\\n"', id="line break after"),
        pytest.param('""', id="empty string"),
        pytest.param('"１２"', id="fullwidth digits"),
        pytest.param('"²"', id="superscript"),
        pytest.param('"٣٦"', id="arabic digits"),
        pytest.param('"0x10"', id="hexadecimal"),
        pytest.param('"1_000"', id="underscore"),
        pytest.param('"1e3"', id="exponent in a string"),
        pytest.param('"1h"', id="unit"),
        pytest.param("true", id="true"),
        pytest.param("3600.5", id="fraction"),
        pytest.param("3600.0", id="whole number with a fraction"),
        pytest.param("36e2", id="exponent"),
        pytest.param("NaN", id="nan"),
        pytest.param("Infinity", id="infinity"),
        pytest.param("-Infinity", id="minus infinity"),
        pytest.param("1e999", id="overflow to infinity"),
        pytest.param("-1", id="negative"),
        pytest.param("null", id="null"),
        pytest.param(str(10**30), id="thirty-one digits"),
        pytest.param(str(10**18), id="nineteen digits"),
        pytest.param(f'"{10**18}"', id="nineteen digits in a string"),
        pytest.param("9" * 5000, id="five thousand digits"),
        pytest.param(f'"{"9" * 5000}"', id="five thousand digits in a string"),
        pytest.param("[]", id="array"),
        pytest.param("[3600]", id="number in an array"),
        pytest.param("{}", id="object"),
    ],
)
def test_any_other_lifetime_is_refused_by_name(mode: str, written: str) -> None:
    """Nothing is guessed, rounded or cut off to make a lifetime of it."""
    assert refusal(mode, with_raw("expires_in", written)).field == "expires_in"


@pytest.mark.parametrize("name", ["access_token", "refresh_token"])
@pytest.mark.parametrize(
    "written",
    [
        pytest.param('""', id="empty"),
        pytest.param('"a\\n"', id="line break at the end"),
        pytest.param('"a\\r\\nX-Evil: 1"', id="line break inside"),
        pytest.param('"\\u0000"', id="nul"),
        pytest.param('"a\\tb"', id="tab"),
        pytest.param('"a\\u007f"', id="del"),
        pytest.param('"a\\u0085b"', id="c1 control"),
        pytest.param('"t\\u00f6ken"', id="latin"),
        pytest.param('"t\\u043e"', id="cyrillic"),
        pytest.param('"\\ud83d\\ude00"', id="emoji"),
        pytest.param('"a\\ud800"', id="high surrogate"),
        pytest.param('"\\udc00a"', id="low surrogate"),
    ],
)
def test_a_token_that_can_not_stand_in_a_header_is_refused(
    mode: str, name: str, written: str
) -> None:
    """A token is made of visible ASCII characters and blanks (RFC 6749, appendix A.12)."""
    assert refusal(mode, with_raw(name, written)).field == name


def test_every_character_that_a_token_may_have_is_taken(mode: str) -> None:
    """All of VSCHAR (RFC 6749, appendix A), at the length that Pipedrive asks to leave room for."""
    token = ("".join(chr(code) for code in range(0x20, 0x7F)) * 9)[:768]
    client = answering(200, token_body(access_token=token, refresh_token=token))
    parsed = ask(mode, GET_TOKENS, client).parsed
    assert isinstance(parsed, GetTokensResponse)
    assert parsed.access_token == token
    assert parsed.refresh_token == token


def test_an_empty_token_type_is_refused(mode: str) -> None:
    """A token of no type can't be presented."""
    assert refusal(mode, token_body(token_type="")).field == "token_type"


@pytest.mark.parametrize("name", ["token_type", "scope", "api_domain"])
@pytest.mark.parametrize("half", ["\\ud800", "\\udfff", "ok\\udbff ok"])
def test_half_of_a_surrogate_pair_is_refused(mode: str, name: str, half: str) -> None:
    """A string that can't be encoded as UTF-8 is no text, though JSON lets it through."""
    assert refusal(mode, with_raw(name, f'"{half}"')).field == name


NO_JSON: Final = [
    pytest.param(b"", id="empty"),
    pytest.param(b" \n", id="blank"),
    pytest.param(b"<!doctype html><html><body>access-v1u-AQIBAHj</body></html>", id="html"),
    pytest.param(b"access_token=access-v1u-AQIBAHj&expires_in=1", id="form"),
    pytest.param(token_body()[:-1], id="cut off at the end"),
    pytest.param(token_body()[:40], id="cut off inside"),
    pytest.param(token_body() + b"}", id="something behind it"),
    pytest.param(token_body() * 2, id="twice"),
    pytest.param(token_body().replace(b'"', b"'"), id="single quotes"),
    pytest.param(token_body()[:-1] + b",}", id="comma at the end"),
    pytest.param(token_body(x="?").replace(b"?", b"\xff"), id="invalid utf-8"),
    pytest.param(token_body(x="?").replace(b"?", b"\xc3"), id="half of a utf-8 character"),
    pytest.param(token_body(x="?").replace(b"?", b"\xed\xa0\x80"), id="surrogate in utf-8"),
    pytest.param(token_body(x="?").replace(b"?", b"\n"), id="bare line break in a string"),
    pytest.param(token_body().decode().encode("utf-16"), id="utf-16"),
    pytest.param(token_body().decode().encode("utf-32-le"), id="utf-32"),
    pytest.param(b"[" * 100_000, id="deep nesting without end"),
    pytest.param(b'{"x":' * 100_000, id="deep objects without end"),
    pytest.param(b"[" * 100_000 + b"]" * 100_000, id="deep nesting"),
    pytest.param(with_raw("x", "NaN").encode(), id="nan in an unknown field"),
    pytest.param(with_raw("x", "[-Infinity]").encode(), id="infinity in an unknown field"),
    pytest.param(b"\x00" * 64, id="zeros"),
    pytest.param(bytes(range(256)), id="all bytes"),
]


@pytest.mark.parametrize("body", NO_JSON)
def test_a_token_answer_that_is_not_json_is_refused(
    mode: str, grant: Operation, body: bytes
) -> None:
    """A page under status 200 is not taken for an answer; JSON is UTF-8 (RFC 8259, section 8.1)."""
    error = refusal(mode, body, operation=grant)
    assert error.field is None
    assert "is not JSON" in error.problem


NO_OBJECT: Final = [
    pytest.param('["access-v1u-AQIBAHj"]', "an array", id="array"),
    pytest.param('"access-v1u-AQIBAHj"', "a string", id="string"),
    pytest.param("5", "an integer", id="integer"),
    pytest.param("5.5", "a number", id="number"),
    pytest.param("true", "a boolean", id="boolean"),
    pytest.param("null", "null", id="null"),
]


@pytest.mark.parametrize(("body", "kind"), NO_OBJECT)
def test_a_token_answer_that_is_no_object_is_refused(
    mode: str, grant: Operation, body: str, kind: str
) -> None:
    """The error says what came in the object's place."""
    error = refusal(mode, body, operation=grant)
    assert error.field is None
    assert error.problem == f"the body must be an object, not {kind}"


def test_a_long_number_in_an_unknown_field_does_no_harm(mode: str) -> None:
    """A number of any length is JSON, and what the spec does not name is nobody's business."""
    client = answering(200, with_raw("x", "9" * 5000))
    assert isinstance(ask(mode, GET_TOKENS, client).parsed, GetTokensResponse)


@pytest.mark.parametrize("source", [None, [], "text", 5, [("access_token", "a")]])
def test_a_model_is_read_from_a_mapping_only(source: object) -> None:
    """`from_dict` of something else is refused, without a status where there was no answer."""
    with pytest.raises(InvalidResponseError) as caught:
        untyped(GetTokensResponse.from_dict)(source)
    assert caught.value.status_code is None
    assert caught.value.field is None
    assert str(caught.value).startswith("Cannot use this data: the body must be an object")


@pytest.mark.parametrize("status", [200, 400, 503])
def test_a_refused_answer_keeps_its_headers(mode: str, status: int) -> None:
    """How long to wait, or which server answered, can be read from the error."""
    client = answering(status, "[]", {"Retry-After": "7", "Server": "proxy"})
    with pytest.raises(InvalidResponseError) as caught:
        ask(mode, GET_TOKENS, client)
    assert caught.value.headers is not None
    assert caught.value.headers["retry-after"] == "7"
    assert caught.value.headers["SERVER"] == "proxy"


def test_an_unexpected_status_keeps_its_headers(mode: str) -> None:
    """Where a redirect leads can be read from the error."""
    client = answering(302, "", {"Location": "/elsewhere"}, raise_on_unexpected_status=True)
    with pytest.raises(UnexpectedStatus) as caught:
        ask(mode, GET_TOKENS, client)
    headers = vars(caught.value).get("headers")
    assert headers is not None
    assert headers["location"] == "/elsewhere"


# --- Error answers ---

DOCUMENTED: Final = (400, 401, 429, 500, 502, 503, 504, *range(520, 527), 599)


@pytest.mark.parametrize("status", DOCUMENTED)
def test_a_documented_error_answer_is_read(mode: str, status: int) -> None:
    """The service's own words about an error come with the answer's status."""
    body = {
        "success": False,
        "message": "Invalid grant: refresh_token is invalid",
        "error": "invalid_grant",
        "error_description": "used up",
        "error_info": "see docs",
    }
    response = ask(mode, GET_TOKENS, answering(status, json.dumps(body), {"Retry-After": "7"}))
    assert response.status_code == status
    assert response.headers["retry-after"] == "7"
    parsed = response.parsed
    assert isinstance(parsed, OAuthErrorResponse)
    assert parsed.success is False
    assert parsed.message == "Invalid grant: refresh_token is invalid"
    assert parsed.error == "invalid_grant"
    assert parsed.error_description == "used up"
    assert parsed["error_info"] == "see docs"
    assert parsed.to_dict() == body


def test_an_empty_object_is_an_error_answer(mode: str, grant: Operation) -> None:
    """No field of an error answer has to be there."""
    parsed = ask(mode, grant, answering(400, "{}")).parsed
    assert parsed == OAuthErrorResponse()


@pytest.mark.parametrize("status", DOCUMENTED)
def test_an_error_page_is_told_by_its_status(mode: str, status: int) -> None:
    """A page in HTML under an error status is no error in itself: `parsed` is None."""
    page = b"<html>unknown-field-2a54c1</html>"
    response = ask(mode, GET_TOKENS, answering(status, page, {"Content-Type": "text/html"}))
    assert response.status_code == status
    assert response.content == page
    assert response.parsed is None


@pytest.mark.parametrize("body", NO_JSON)
@pytest.mark.parametrize("status", [400, 503])
def test_garbage_under_an_error_status_is_told_by_the_status(
    mode: str, status: int, body: bytes
) -> None:
    """Nothing that is not JSON is read, and nothing of it raises."""
    response = ask(mode, GET_TOKENS, answering(status, body))
    assert (response.status_code, response.parsed) == (status, None)


@pytest.mark.parametrize(("body", "kind"), NO_OBJECT)
@pytest.mark.parametrize("status", [400, 401, 429, 500, 599])
def test_an_error_answer_that_is_no_object_is_refused(
    mode: str, status: int, body: str, kind: str
) -> None:
    """JSON of another shape under an error status is not what the spec describes."""
    error = refusal(mode, body, status=status)
    assert error.field is None
    assert error.problem == f"the body must be an object, not {kind}"


@pytest.mark.parametrize(
    ("name", "written"),
    [
        pytest.param(name, value, id=f"{name} {kind}")
        for name in ("success", "message", "error", "error_description")
        for kind, value in JSON_OF_TYPE.items()
        if kind != "string" or name == "success"
        if kind not in ("true", "false") or name != "success"
        if kind != "null"
    ],
)
@pytest.mark.parametrize("status", [400, 503])
def test_a_field_of_an_error_answer_of_the_wrong_type_is_named(
    mode: str, status: int, name: str, written: str
) -> None:
    """An error answer is read as strictly as a good one."""
    assert refusal(mode, f'{{"{name}": {written}}}', status=status).field == name


@pytest.mark.parametrize("name", ["success", "message", "error", "error_description"])
def test_a_field_of_an_error_answer_may_be_null(mode: str, name: str) -> None:
    """A field without a value does not hide the others."""
    parsed = ask(mode, GET_TOKENS, answering(400, f'{{"{name}": null, "x": 1}}')).parsed
    assert isinstance(parsed, OAuthErrorResponse)
    assert parsed.to_dict() == {name: None, "x": 1}


# --- Statuses that the spec does not describe ---

UNDOCUMENTED: Final = (
    *(201, 202, 204, 206, 299),
    *(300, 301, 302, 303, 304, 307, 308, 399),
    *(402, 403, 404, 405, 418, 451, 499),
    *(600, 799, 999),
)


@pytest.mark.parametrize("status", UNDOCUMENTED)
def test_an_undocumented_status_is_passed_on(mode: str, status: int) -> None:
    """Nothing is read from such an answer, not even a good body, and nothing is raised."""
    body = b"" if status in (204, 304) else token_body()
    response = ask(mode, GET_TOKENS, answering(status, body))
    assert (response.status_code, response.content, response.parsed) == (status, body, None)


@pytest.mark.parametrize("status", UNDOCUMENTED)
def test_an_undocumented_status_raises_where_asked_to(mode: str, status: int) -> None:
    """`raise_on_unexpected_status` makes it an error that has the body, but not in its text."""
    body = token_body(x="unknown-field-2a54c1")
    with pytest.raises(UnexpectedStatus) as caught:
        ask(mode, GET_TOKENS, answering(status, body, raise_on_unexpected_status=True))
    assert caught.value.status_code == status
    assert caught.value.content == body
    assert str(status) in str(caught.value)
    assert found(visible(caught.value), SECRETS) == []


@pytest.mark.parametrize("status", [200, *DOCUMENTED])
def test_a_documented_status_never_counts_as_unexpected(mode: str, status: int) -> None:
    """`raise_on_unexpected_status` does not concern the statuses of the spec."""
    body = token_body() if status == 200 else b"<html></html>"
    response = ask(mode, GET_TOKENS, answering(status, body, raise_on_unexpected_status=True))
    assert response.status_code == status


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(mode: str, grant: Operation, status: int) -> None:
    """A redirect comes back as it is, and the form goes nowhere else."""
    asked: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(status, headers={"Location": "https://elsewhere.example/token"})

    response = ask(mode, grant, mocked(handler))
    assert response.status_code == status
    assert response.headers["location"] == "https://elsewhere.example/token"
    assert response.parsed is None
    assert len(asked) == 1


# --- The consent page ---


@pytest.mark.parametrize("body", [b"<html></html>", b"", token_body(), b"\xff"])
def test_nothing_is_read_from_the_consent_page(mode: str, body: bytes) -> None:
    """The page is for a browser: its bytes come back and `parsed` is None."""
    response = ask(mode, AUTHORIZE, answering(200, body))
    assert (response.status_code, response.content, response.parsed) == (200, body, None)


@pytest.mark.parametrize("status", [400, 429, 500, 503, 599])
def test_an_error_answer_of_the_consent_page_is_read(mode: str, status: int) -> None:
    """A refusal in JSON is read, a maintenance page is not."""
    refused = answering(status, '{"message": "App cannot be installed"}')
    assert ask(mode, AUTHORIZE, refused).parsed == OAuthErrorResponse(
        message="App cannot be installed"
    )
    assert ask(mode, AUTHORIZE, answering(status, "<html></html>")).parsed is None


def test_a_status_of_the_other_operations_is_unexpected_here(mode: str) -> None:
    """The spec has no 401 for the consent page."""
    client = answering(401, "{}", raise_on_unexpected_status=True)
    with pytest.raises(UnexpectedStatus):
        ask(mode, AUTHORIZE, client)


# --- Whatever a server may send ---

JSON_VALUES: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELD_VALUES: Final = JSON_VALUES | st.integers(0, 9999) | st.from_regex(r"\A[ -~]+\Z")


@st.composite
def token_like(draw: st.DrawFn) -> dict[str, object]:
    """Make an object that has some of the answer's fields, right or wrong, and some others."""
    names = draw(st.sets(st.sampled_from([*TOKENS, "success", "message", "error"])))
    fields: dict[str, object] = {**TOKENS, **draw(st.dictionaries(st.text(), JSON_VALUES))}
    for name in names:
        fields[name] = draw(FIELD_VALUES)
    for name in draw(st.sets(st.sampled_from([*TOKENS]), max_size=2)):
        del fields[name]
    return fields


def outcome(mode: str, status: int, body: bytes, *, strict: bool) -> Response[Parsed] | None:
    """Ask for tokens; None stands for an error of the documented kinds."""
    client = answering(status, body, raise_on_unexpected_status=strict)
    try:
        return ask(mode, GET_TOKENS, client)
    except (InvalidResponseError, UnexpectedStatus) as error:
        refused_status = error.status_code
    assert refused_status == status
    return None


def check(response: Response[Parsed] | None, status: int) -> None:
    """Check that what was read is what the spec has for the status."""
    if response is None:
        return
    assert response.status_code == status
    if status == 200:
        parsed = response.parsed
        assert isinstance(parsed, GetTokensResponse)
        assert isinstance(parsed.access_token, str)
        assert parsed.access_token.isprintable()
        assert isinstance(parsed.token_type, str)
        assert type(parsed.expires_in) is int
        assert 0 <= parsed.expires_in < 10**18
    else:
        assert response.parsed is None or isinstance(response.parsed, OAuthErrorResponse)


@given(
    status=st.sampled_from([200, *DOCUMENTED]) | st.integers(100, 999),
    body=st.binary() | st.text().map(str.encode) | st.sampled_from([token_body(), b"{}"]),
    strict=st.booleans(),
)
@settings(deadline=None, max_examples=150)
@pytest.mark.parametrize("mode", MODES)
def test_any_bytes_under_any_status_end_in_a_documented_way(
    mode: str, status: int, body: bytes, *, strict: bool
) -> None:
    """A body of arbitrary bytes is read, passed on or refused, and nothing else happens."""
    check(outcome(mode, status, body, strict=strict), status)


@given(status=st.sampled_from([200, 400, 503]), fields=token_like())
@settings(deadline=None, max_examples=150)
@pytest.mark.parametrize("mode", MODES)
def test_any_json_in_the_fields_ends_in_a_documented_way(
    mode: str, status: int, fields: dict[str, object]
) -> None:
    """Fields of arbitrary JSON values are read as what they are, or refused."""
    response = outcome(mode, status, json.dumps(fields).encode(), strict=False)
    check(response, status)
    if response is not None and response.parsed is not None:
        again = type(response.parsed).from_dict(response.parsed.to_dict())
        assert again.to_dict() == response.parsed.to_dict()


TEXT: Final = st.text()
MAYBE_TEXT: Final = st.just(UNSET) | TEXT
TOKEN_TEXT: Final = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1)
UNKNOWN: Final = st.dictionaries(st.text().map(lambda name: f"x-{name}"), JSON_VALUES, max_size=3)
MODELS: Final = st.one_of(
    st.builds(
        GetTokensResponse,
        access_token=TOKEN_TEXT,
        token_type=st.text(min_size=1),
        expires_in=st.integers(0, 10**18 - 1),
        refresh_token=st.just(UNSET) | TOKEN_TEXT,
        scope=MAYBE_TEXT,
        api_domain=MAYBE_TEXT,
    ),
    st.builds(
        OAuthErrorResponse,
        success=st.just(UNSET) | st.booleans(),
        message=MAYBE_TEXT,
        error=MAYBE_TEXT,
        error_description=MAYBE_TEXT,
    ),
    st.builds(GetTokensRequest, grant_type=TEXT, code=MAYBE_TEXT, redirect_uri=MAYBE_TEXT),
    st.builds(RefreshTokensRequest, grant_type=TEXT, refresh_token=MAYBE_TEXT),
)


@given(model=MODELS, unknown=UNKNOWN)
@settings(deadline=None)
def test_a_model_survives_the_way_out_and_in_again(
    model: GetTokensResponse | OAuthErrorResponse | GetTokensRequest | RefreshTokensRequest,
    unknown: dict[str, object],
) -> None:
    """`from_dict(to_dict(x))` equals `x`, unknown fields included."""
    model.additional_properties = unknown
    assert type(model).from_dict(model.to_dict()) == model


def test_only_errors_of_the_package_are_documented() -> None:
    """What the tests above let through descends from the one base class."""
    assert issubclass(InvalidResponseError, PipedriveOAuthError)
    assert issubclass(UnexpectedStatus, PipedriveOAuthError)
