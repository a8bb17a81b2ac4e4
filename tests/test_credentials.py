from __future__ import annotations

import base64
import copy
import pickle
import traceback
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipedrive_oauth_client import AppCredentials, ConfigurationError, basic_auth_header

if TYPE_CHECKING:
    from collections.abc import Callable

URI = "https://app.example.com/callback"
SECRET = "planted-s3cret"
VARIABLES = {
    "PIPEDRIVE_CLIENT_ID": "id",
    "PIPEDRIVE_CLIENT_SECRET": SECRET,
    "PIPEDRIVE_REDIRECT_URI": URI,
}
CONTROL_CHARACTERS = [chr(code) for code in [*range(32), 127]]

# What both parts may be made of, and the ID apart from the colon.
parts = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="".join(CONTROL_CHARACTERS))
)
parts = parts.filter(lambda text: text.strip() != "")
client_ids = parts.map(lambda text: text.replace(":", "")).filter(lambda text: text.strip() != "")


def decoded(header: str) -> str:
    """Give what stands behind `Basic`, decoded."""
    scheme, _, value = header.partition(" ")
    assert scheme == "Basic"
    return base64.b64decode(value, validate=True).decode("utf-8")


def assert_hidden(error: BaseException, secret: str) -> None:
    """Check that a secret is nowhere in an error, nor in what led to it."""
    assert secret not in "".join(traceback.format_exception(error, limit=0))
    assert secret not in repr(error)
    assert secret not in str(error.args) + str(vars(error))
    for other in (error.__cause__, error.__context__):
        if other is not None:
            assert_hidden(other, secret)


@pytest.mark.parametrize(
    ("client_id", "client_secret", "header"),
    [
        # RFC 7617, section 2
        ("Aladdin", "open sesame", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        # RFC 7617, section 2.1
        ("test", "123\u00a3", "Basic dGVzdDoxMjPCow=="),
        # RFC 6749, section 4.1.3
        ("s6BhdRkqt3", "gX1fBat3bV", "Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW"),
        # RFC 6749, section 2.3.1
        (
            "s6BhdRkqt3",
            "7Fjfp0ZBr1KtDRbnfVdmIw",
            "Basic czZCaGRSa3F0Mzo3RmpmcDBaQnIxS3REUmJuZlZkbUl3",
        ),
        ("Ünï", "日本🍋", "Basic w5xuw6865pel5pys8J+Niw=="),
    ],
)
def test_header_is_that_of_the_standards(client_id: str, client_secret: str, header: str) -> None:
    """The examples of RFC 7617 and RFC 6749 come out letter for letter, and others in UTF-8."""
    assert basic_auth_header(client_id, client_secret) == header


@pytest.mark.parametrize("blank", ["", " ", "\u00a0 ", "\u3000"])
@pytest.mark.parametrize("name", ["client_id", "client_secret"])
def test_a_blank_part_is_an_unset_variable(name: str, blank: str) -> None:
    """An empty or blank ID or secret makes no header, and the error names the likely cause."""
    parts = {"client_id": "id", "client_secret": SECRET, name: blank}
    variable = f"PIPEDRIVE_{name.upper()}"
    for form_encode in (False, True):
        with pytest.raises(ConfigurationError, match=rf"^{name} is .*not set.*{variable}") as error:
            basic_auth_header(**parts, form_encode=form_encode)
        assert_hidden(error.value, SECRET)
    with pytest.raises(ConfigurationError, match=rf"^{name} is .*not set.*{variable}"):
        AppCredentials(**parts, redirect_uri=URI)
    with pytest.raises(ConfigurationError, match=f"^Set {variable} in the environment"):
        AppCredentials.from_env({**VARIABLES, variable: blank})


def test_form_encoding_is_that_of_the_standard() -> None:
    """RFC 6749, appendix B: a blank becomes a plus, and the rest is percent-encoded as UTF-8."""
    header = basic_auth_header(" %&+\u00a3\u20ac", " %&+\u00a3\u20ac", form_encode=True)
    assert decoded(header) == "+%25%26%2B%C2%A3%E2%82%AC:+%25%26%2B%C2%A3%E2%82%AC"


def test_form_encoding_is_off_by_default() -> None:
    """Pipedrive documents the plain form, so nothing is encoded unless asked for."""
    assert decoded(basic_auth_header("a b", "c+d")) == "a b:c+d"


def test_form_encoding_keeps_unreserved_characters() -> None:
    """Letters, digits and four more characters are the same in both forms."""
    text = "AZaz09_.-~"
    assert basic_auth_header(text, text, form_encode=True) == basic_auth_header(text, text)


def test_form_encoding_lets_a_colon_through() -> None:
    """Percent-encoded, a colon in the client ID moves no border, so it is allowed."""
    assert decoded(basic_auth_header("a:b", "c:d", form_encode=True)) == "a%3Ab:c%3Ad"


def test_form_encode_is_a_keyword() -> None:
    """The switch can't be given by position, where nobody would know what it is."""
    call: Callable[..., str] = basic_auth_header
    with pytest.raises(TypeError):
        call("a", "b", True)


@settings(deadline=None)
@given(client_id=client_ids, client_secret=parts)
def test_header_decodes_back(client_id: str, client_secret: str) -> None:
    """The first colon parts the ID from the secret, and both come back whole."""
    header = basic_auth_header(client_id, client_secret)
    assert decoded(header).split(":", 1) == [client_id, client_secret]
    assert header.isascii()
    assert header.isprintable()


@settings(deadline=None)
@given(client_id=parts, client_secret=parts)
def test_encoded_header_decodes_back(client_id: str, client_secret: str) -> None:
    """In the encoded form any ID comes back, with colons, too."""
    encoded = decoded(basic_auth_header(client_id, client_secret, form_encode=True))
    assert [unquote_plus(part) for part in encoded.split(":")] == [client_id, client_secret]


def test_colon_in_the_client_id_is_refused() -> None:
    """A colon in the ID would move the border between the parts; in the secret it does no harm."""
    with pytest.raises(ConfigurationError, match=r"client_id.*colon"):
        basic_auth_header("a:b", SECRET)
    assert decoded(basic_auth_header("a", "b:c:d")) == "a:b:c:d"


@pytest.mark.parametrize("form_encode", [False, True])
@pytest.mark.parametrize("character", CONTROL_CHARACTERS, ids=ascii)
def test_control_characters_are_refused(character: str, *, form_encode: bool) -> None:
    """No part may hold a control character, at its start, inside or at its end."""
    for part in (f"{character}{SECRET}", f"{SECRET}{character}{SECRET}", f"{SECRET}{character}"):
        with pytest.raises(ConfigurationError, match=r"client_id .*control"):
            basic_auth_header(part, "x", form_encode=form_encode)
        with pytest.raises(ConfigurationError, match=r"client_secret .*control") as caught:
            basic_auth_header("x", part, form_encode=form_encode)
        assert_hidden(caught.value, SECRET)


WRONG_PARTS: dict[str, Any] = {
    "half of a surrogate pair": f"{SECRET}\ud800",
    "the other half": f"\udfff{SECRET}",
    "bytes": SECRET.encode(),
    "None": None,
    "a number": 5,
    "a list": [SECRET],
}


@pytest.mark.parametrize("form_encode", [False, True])
@pytest.mark.parametrize("part", WRONG_PARTS.values(), ids=WRONG_PARTS.keys())
def test_other_than_text_is_refused(part: Any, *, form_encode: bool) -> None:
    """What can't be encoded as UTF-8 is refused by name, with nothing of it in the error."""
    with pytest.raises(ConfigurationError, match="client_id") as caught:
        basic_auth_header(part, "x", form_encode=form_encode)
    assert_hidden(caught.value, SECRET)
    with pytest.raises(ConfigurationError, match="client_secret") as caught:
        basic_auth_header("x", part, form_encode=form_encode)
    assert_hidden(caught.value, SECRET)
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_credentials_give_their_header() -> None:
    """The property is the function's value for these credentials."""
    assert AppCredentials("a", "b", URI).basic_auth_header == basic_auth_header("a", "b")


def test_credentials_can_not_be_changed() -> None:
    """Neither an attribute nor a new one can be set."""
    credentials: Any = AppCredentials("a", "b", URI)
    for name in ("client_id", "client_secret", "redirect_uri", "other"):
        with pytest.raises((attrs.exceptions.FrozenInstanceError, AttributeError)):
            setattr(credentials, name, "c")


def test_credentials_hide_their_secret() -> None:
    """What is printed of credentials names the app, and not its secret."""
    credentials = AppCredentials("the-id", SECRET, URI)
    for shown in (repr(credentials), str(credentials), f"{credentials}", f"{[credentials]}"):
        assert SECRET not in shown
        assert credentials.basic_auth_header not in shown
        assert "the-id" in shown
        assert URI in shown


def test_credentials_are_values() -> None:
    """Equal values are equal, hash alike, and survive copying and pickling."""
    credentials = AppCredentials("a", SECRET, URI)
    twin = AppCredentials(client_id="a", client_secret=SECRET, redirect_uri=URI)
    assert credentials == twin
    assert len({credentials, twin}) == 1
    assert credentials != AppCredentials("a", "other", URI)
    assert pickle.loads(pickle.dumps(credentials)) == credentials  # noqa: S301
    assert copy.deepcopy(credentials) == copy.copy(credentials) == credentials
    with pytest.raises(ConfigurationError):
        attrs.evolve(credentials, client_id="")


@pytest.mark.parametrize("name", ["client_id", "client_secret", "redirect_uri"])
@pytest.mark.parametrize("value", ["", " ", None, 5, b"bytes", f"{SECRET}\n", f"{SECRET}\ud800"])
def test_credentials_that_can_not_be_right_are_refused(name: str, value: Any) -> None:
    """An empty, unprintable or wrongly typed value is refused by name when the object is made."""
    values: dict[str, Any] = {"client_id": "a", "client_secret": "b", "redirect_uri": URI}
    with pytest.raises(ConfigurationError, match=name) as caught:
        AppCredentials(**{**values, name: value})
    assert_hidden(caught.value, SECRET)


def test_credentials_refuse_a_colon_in_the_client_id() -> None:
    """What no header can carry is refused before there is a header."""
    with pytest.raises(ConfigurationError, match="colon"):
        AppCredentials("a:b", "c", URI)


@pytest.mark.parametrize(
    "uri",
    [
        "callback",
        "/callback",
        "app.example.com/callback",
        "//app.example.com/callback",
        "https://",
        "https:///callback",
        "https:callback",
        "https://app.example.com/callback#",
        "https://app.example.com/callback#part",
        "https://[app/callback",
        "https://app.example.com/call back",
        " https://app.example.com/callback",
        "https://app.example.com/callback ",
        "https://user@app.example.com/callback",
        "https://user:password@app.example.com/callback",
        "https://app.example.com\\callback",
        "https://app.example.com:99999/callback",
        "https://app.example.com:0/callback",
        "https://app.example.com:port/callback",
    ],
)
def test_relative_redirect_uri_is_refused(uri: str) -> None:
    """The callback URL is absolute and has no fragment (RFC 6749, section 3.1.2)."""
    with pytest.raises(ConfigurationError, match="redirect_uri"):
        AppCredentials("a", "b", uri)


@pytest.mark.parametrize(
    "uri",
    [URI, "http://localhost:8000/cb?app=1", "http://[::1]:8000/", "https://münchen.example/c"],
)
def test_absolute_redirect_uri_is_kept(uri: str) -> None:
    """The callback URL is kept letter for letter."""
    assert AppCredentials("a", "b", uri).redirect_uri == uri


def test_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a mapping, the variables of the process are read, at the time of the call."""
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    assert AppCredentials.from_env() == AppCredentials("id", SECRET, URI)
    monkeypatch.setenv("PIPEDRIVE_CLIENT_ID", "other")
    assert AppCredentials.from_env().client_id == "other"


def test_given_mapping_is_read_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mapping takes the place of the process's variables, an empty one, too."""
    for name in VARIABLES:
        monkeypatch.setenv(name, "https://wrong.example/")
    assert AppCredentials.from_env(VARIABLES) == AppCredentials("id", SECRET, URI)
    with pytest.raises(ConfigurationError):
        AppCredentials.from_env({})


@pytest.mark.parametrize("absent", [None, ""])
@pytest.mark.parametrize("names", [list(VARIABLES), *([name] for name in VARIABLES)], ids=len)
def test_missing_variables_are_named_all_at_once(names: list[str], absent: str | None) -> None:
    """The error names each variable that is not set or empty, and no other one."""
    values = {**VARIABLES, **dict.fromkeys(names, absent)}
    environ = {name: value for name, value in values.items() if value is not None}
    with pytest.raises(ConfigurationError) as caught:
        AppCredentials.from_env(environ)
    assert [name for name in VARIABLES if name in str(caught.value)] == names
    assert_hidden(caught.value, SECRET)


def test_wrong_variable_is_refused_without_its_value() -> None:
    """A value with the line break of a file is refused by name, and not repeated."""
    with pytest.raises(ConfigurationError, match="client_secret") as caught:
        AppCredentials.from_env({**VARIABLES, "PIPEDRIVE_CLIENT_SECRET": f"{SECRET}\n"})
    assert_hidden(caught.value, SECRET)


@pytest.mark.parametrize("blank", [" id", "id ", "\u00a0id"])
def test_a_blank_at_an_end_is_refused(blank: str) -> None:
    """What was copied with a blank too much is not what the Developer Hub shows."""
    with pytest.raises(ConfigurationError, match="client_id"):
        AppCredentials(blank, "secret", URI)
    with pytest.raises(ConfigurationError, match="client_secret"):
        AppCredentials("id", blank, URI)
