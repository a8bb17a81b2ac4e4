from __future__ import annotations

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipedrive_oauth_client.sandbox.error_responses import (
    MALFORMED,
    REPEATED_PARAMETER,
    RequestRejectedError,
)
from pipedrive_oauth_client.sandbox.requests import (
    Credentials,
    basic_credentials,
    bearer_token,
    is_form,
    parse_form,
    parse_query,
)
from pipedrive_oauth_client.sandbox.urls import content_security_source, is_absolute_uri, with_query


def encoded(pair: bytes) -> str:
    """Return the Base64 of a pair."""
    return base64.b64encode(pair).decode()


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", {}),
        (b"a=1&b=2", {"a": "1", "b": "2"}),
        (b"a=x+y%2Bz", {"a": "x y+z"}),
        (b"a=%C3%BC", {"a": "ü"}),
        (b"a=&b=2", {"b": "2"}),
        (b"a=b=c", {"a": "b=c"}),
    ],
)
def test_form_is_read(raw: bytes, expected: dict[str, str]) -> None:
    """A form is decoded, and a parameter without a value counts as left out."""
    assert parse_form(raw) == expected


@pytest.mark.parametrize(
    "raw",
    [
        b"a=%",
        b"a=%4",
        b"a=%zz",
        b"a=%FF",
        b"a=\xc3\xbc",
        b"a",
        b"a=1&",
        b"a=1&&b=2",
        b"&".join(b"p%d=1" % number for number in range(101)),
    ],
)
def test_malformed_form_is_rejected(raw: bytes) -> None:
    """A form with a broken escape, with bytes that aren't UTF-8 or with a gap is rejected."""
    with pytest.raises(RequestRejectedError) as caught:
        parse_form(raw)
    assert caught.value.refusal is MALFORMED


def test_malformed_form_is_not_repeated() -> None:
    """The error about a malformed form contains nothing of it, down to the last cause."""
    with pytest.raises(RequestRejectedError) as caught:
        parse_form(b"a=1&some-secret-code")
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("raw", [b"a=1&a=1", b"a=1&a=2", b"a=&a=1", b"%61=1&a=1"])
def test_repeated_parameter_is_rejected(raw: bytes) -> None:
    """A parameter that comes twice is rejected, in a form and in a query."""
    for parse in (parse_form, parse_query):
        with pytest.raises(RequestRejectedError) as caught:
            parse(raw)
        assert caught.value.refusal is REPEATED_PARAMETER


def test_query_may_have_bare_names() -> None:
    """A query may hold a name without a value, as tracking links do."""
    assert parse_query(b"tracked&a=1&") == {"a": "1"}


@settings(deadline=None, database=None)
@given(st.binary(min_size=1))
def test_any_bytes_survive_a_query(value: bytes) -> None:
    """Whatever bytes a query parameter has, writing it into another query gives these bytes."""
    raw = "".join(f"%{byte:02x}" for byte in value).encode()
    text = parse_query(b"state=" + raw)["state"]
    written = with_query("https://a.example", [("state", text)]).partition("?")[2].encode()
    assert parse_query(written) == {"state": text}
    assert text.encode("utf-8", "surrogateescape") == value


@pytest.mark.parametrize(
    "content_type",
    [
        "application/x-www-form-urlencoded",
        "Application/X-WWW-Form-Urlencoded; charset=UTF-8",
        "application/x-www-form-urlencoded ;charset=utf-8",
    ],
)
def test_form_content_type(content_type: str) -> None:
    """The form's media type counts in any case and with parameters."""
    assert is_form([content_type])


@pytest.mark.parametrize(
    "content_types",
    [
        [],
        [""],
        ["application/json"],
        ["multipart/form-data"],
        ["application/x-www-form-urlencoded-not"],
        ["application/x-www-form-urlencoded", "application/x-www-form-urlencoded"],
    ],
)
def test_other_content_type(content_types: list[str]) -> None:
    """Nothing else, and nothing that is said twice, counts as a form."""
    assert not is_form(content_types)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (f"Basic {encoded(b'id:secret')}", Credentials("id", "secret")),
        (f"bAsIc  {encoded(b'id:secret')}", Credentials("id", "secret")),
        (f"Basic {encoded(b'id:with:colons')}", Credentials("id", "with:colons")),
        (f"Basic {encoded(b'id:')}", Credentials("id", "")),
        (f"Basic {encoded('id:sécret'.encode())}", Credentials("id", "sécret")),
    ],
)
def test_basic_credentials(value: str, expected: Credentials) -> None:
    """HTTP Basic credentials are read as RFC 7617 writes them."""
    assert basic_credentials([value]) == expected


@pytest.mark.parametrize(
    "values",
    [
        [],
        [f"Basic {encoded(b'id:secret')}"] * 2,
        [f"Bearer {encoded(b'id:secret')}"],
        [f"Basic{encoded(b'id:secret')}"],
        ["Basic"],
        ["Basic "],
        ["Basic id:secret"],
        [f"Basic {encoded(b'id:secrets').rstrip('=')}"],
        [f"Basic {encoded(b'id:secret')} x"],
        [f"Basic {encoded(b'id:abc')}=="],
        [f"Basic {encoded(b'id:a').replace('YQ==', 'YR==')}"],
        [f"Basic {encoded(b'no-colon')}"],
        [f"Basic {encoded(b'id:' + bytes([0xFF]))}"],
        [f"Basic {encoded(b'id:with' + bytes([0]) + b'nul')}"],
        ["Basic ====" + encoded(b"id:secret")],
    ],
)
def test_no_basic_credentials(values: list[str]) -> None:
    """What isn't exactly one well-formed Basic header gives no credentials."""
    assert basic_credentials(values) is None


def test_credentials_hide_their_secret() -> None:
    """The text form of credentials holds no secret."""
    assert "secret-value" not in repr(Credentials("id", "secret-value"))


@pytest.mark.parametrize("value", ["Bearer v1u:abc", "bearer v1u:abc", "BEARER  v1u:abc"])
def test_bearer_token(value: str) -> None:
    """A bearer token is read with the scheme's name in any case."""
    assert bearer_token([value]) == "v1u:abc"


@pytest.mark.parametrize(
    "values", [[], ["Bearer"], ["Bearer "], ["Basic abc"], ["Bearer a b"], ["Bearer a"] * 2]
)
def test_no_bearer_token(values: list[str]) -> None:
    """What isn't exactly one Bearer header gives no token."""
    assert bearer_token(values) is None


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("https://a.example/cb", "https://a.example/cb?code=1&state=x%20y"),
        ("https://a.example/cb?", "https://a.example/cb?code=1&state=x%20y"),
        ("https://a.example/cb?t=1", "https://a.example/cb?t=1&code=1&state=x%20y"),
        ("https://a.example/cb?t=1&", "https://a.example/cb?t=1&code=1&state=x%20y"),
        ("https://a.example", "https://a.example?code=1&state=x%20y"),
    ],
)
def test_callback_keeps_the_query_of_its_uri(uri: str, expected: str) -> None:
    """Parameters are added to a redirect URI without touching the query it has."""
    assert with_query(uri, [("code", "1"), ("state", "x y")]) == expected


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("https://a.example/cb?t=1", "https://a.example"),
        ("http://127.0.0.1:8123/cb", "http://127.0.0.1:8123"),
        ("http://[::1]:8123/cb", "http:"),
    ],
)
def test_source_for_a_policy(uri: str, expected: str) -> None:
    """A policy names the origin, or the scheme where its grammar can't hold the host."""
    assert content_security_source(uri) == expected


@pytest.mark.parametrize(
    "text", ["", "callback", "/cb", "http:", "a b:c", "1http://x", "http://x/ "]
)
def test_not_a_uri(text: str) -> None:
    """Text without a scheme, or with characters that no URI has, is no absolute URI."""
    assert not is_absolute_uri(text)
