"""How a callback is handed over: as a URL, a query, or what the frameworks make of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, TypeVar
from urllib.parse import parse_qs, parse_qsl, urlencode

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.datastructures import ImmutableMultiDict, MultiDict, QueryParams

from pipedrive_oauth_client import CallbackError
from pipedrive_oauth_client.authorization import callback_fields
from tests.support.samples import CODE
from tests.support.sweep import found, visible

V = TypeVar("V")

QUERY: Final = f"code={CODE}&state=s+1%2B"
FIELDS: Final = [("code", CODE), ("state", "s 1+")]


class WerkzeugLike(dict[str, str]):
    """What Flask hands over: a dictionary of first values, and a method for all of a name."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = pairs
        super().__init__()
        for name, value in pairs:
            self.setdefault(name, value)

    def getlist(self, key: str) -> list[str]:
        """Give all values of a name."""
        return [value for name, value in self._pairs if name == key]


class DjangoLike(dict[str, list[str]]):
    """What Django hands over: a dictionary of lists that gives the last value of each."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        super().__init__()
        for name, value in pairs:
            self.setdefault(name, []).append(value)

    def __getitem__(self, key: str) -> str:  # type: ignore[override]  # as Django does it
        """Give the last value of a name."""
        return super().__getitem__(key)[-1]

    def getlist(self, key: str, default: list[str] | None = None) -> list[str]:
        """Give all values of a name."""
        return super().get(key, default or [])


class AiohttpLike(Mapping[str, str]):
    """What aiohttp hands over: a mapping that goes through a repeated name more than once."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = pairs

    def __getitem__(self, key: str) -> str:
        return self.getall(key)[0]

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)

    def getall(self, key: str) -> list[str]:
        """Give all values of a name that is there."""
        values = [value for name, value in self._pairs if name == key]
        if not values:
            raise KeyError(key)
        return values


class PlainMapping(Mapping[str, V]):
    """A mapping that is no dictionary."""

    def __init__(self, fields: dict[str, V]) -> None:
        self._fields = fields

    def __getitem__(self, key: str) -> V:
        return self._fields[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)


class MisleadingDict(dict[str, str]):
    """A dictionary with attributes named as the methods of multi-dictionaries are."""

    getlist = None
    get_list = "no method"


def fields(callback: object) -> list[tuple[str, str]]:
    """Read a callback to its end."""
    return list(callback_fields(callback))


# --- Text ---


@pytest.mark.parametrize(
    "callback",
    [
        QUERY,
        f"?{QUERY}",
        f"/callback?{QUERY}",
        f"/?{QUERY}",
        f"//app.example.com/callback?{QUERY}",
        f"https://app.example.com/callback?{QUERY}",
        f"HTTPS://APP.EXAMPLE.COM/callback?{QUERY}",
        f"https://app.example.com?{QUERY}",
        f"http://localhost:8000/?{QUERY}",
        f"localhost:8000/callback?{QUERY}",
        f"http://[::1]:8000/?{QUERY}",
        f"https://user:password@app.example.com/?{QUERY}",
        f"com.example.app:/oauth?{QUERY}",
        f"myapp://callback?{QUERY}",
        f"https://münchen.example/ä?{QUERY}",
        f"{QUERY}#",
        f"{QUERY}#code=other&state=other&error=other",
        f"https://app.example.com/callback?{QUERY}#code=other",
        f"&&{QUERY}&",
    ],
)
def test_a_url_and_its_query_are_read_alike(callback: str) -> None:
    """However much of the URL is handed over, its query counts, and a fragment never does."""
    assert fields(callback) == FIELDS


@pytest.mark.parametrize(
    "callback",
    [
        "",
        "?",
        "#",
        "/",
        "/callback",
        "https://app.example.com",
        "https://app.example.com/callback?",
        f"https://app.example.com/callback#{QUERY}",
        f"#{QUERY}",
        f"/callback#?{QUERY}",
    ],
)
def test_where_there_is_no_query_there_are_no_fields(callback: str) -> None:
    """A fragment is no query, whatever stands in it."""
    assert fields(callback) == []


def test_repetitions_and_empty_fields_are_told() -> None:
    """Nothing is dropped and nothing joined, so that what is twice can be seen to be."""
    assert fields("a=1&a=2&b=&c&a=1&=x") == [
        ("a", "1"),
        ("a", "2"),
        ("b", ""),
        ("c", ""),
        ("a", "1"),
        ("", "x"),
    ]


def test_a_semicolon_parts_no_fields() -> None:
    """Servers that disagree on that could be told two different callbacks in one."""
    assert fields("code=a;state=b") == [("code", "a;state=b")]


@pytest.mark.parametrize("written", ["%", "%z", "%zz", "a%2", "100%", "%u0041"])
def test_a_percent_sign_that_begins_nothing_is_one(written: str) -> None:
    """It is read as the frameworks read it, so that a query and their mapping are the same."""
    assert fields(f"code={written}") == [("code", written)]
    assert QueryParams(f"code={written}")["code"] == written


NO_UTF_8: Final = ["%ff", "%c3", "%c3%28", "%ed%a0%80", "%f8%88%80%80%80", "%c0%af", "a%80b"]


@pytest.mark.parametrize("written", NO_UTF_8)
@pytest.mark.parametrize("place", ["code={}", "{}=1", f"{QUERY}&x={{}}", "https://a.example/?c={}"])
def test_what_is_not_utf_8_is_refused(written: str, place: str) -> None:
    """A replacement character would stand for any byte, so that none is put in."""
    with pytest.raises(CallbackError, match="not a URL or query") as caught:
        fields(place.format(written))
    assert found(visible(caught.value), [CODE, "codec"]) == []


@pytest.mark.parametrize("character", [chr(code) for code in (*range(32), 127)], ids=ascii)
def test_a_raw_control_character_is_refused(character: str) -> None:
    """No URL holds one; what drops it on the way would make another code of the same callback."""
    for callback in (
        f"https://app.example.com/?code={CODE[:9]}{character}{CODE[9:]}",
        f"code={CODE}{character}",
        f"{character}code={CODE}",
        f"https://app.{character}example.com/?code={CODE}",
        f"/callback?code={CODE}#{character}",
    ):
        with pytest.raises(CallbackError, match="control character") as caught:
            fields(callback)
        assert found(visible(caught.value), [CODE, CODE[:9]]) == []


def test_an_encoded_control_character_is_a_character() -> None:
    """A state may hold one, and then it has to come back."""
    assert fields("state=a%00%0D%0A%7F") == [("state", "a\x00\r\n\x7f")]


@pytest.mark.parametrize(
    "callback",
    [
        f"https://[app.example.com/?{QUERY}",
        f"https://app.example.com]/?{QUERY}",
        f"https://[1:2/?{QUERY}",
        f"https://a\u2100.example/?{QUERY}",
    ],
)
def test_an_address_that_is_none_is_refused(callback: str) -> None:
    """What can't be taken apart is refused, and not repeated."""
    with pytest.raises(CallbackError, match="not a URL or query") as caught:
        fields(callback)
    assert found(visible(caught.value), [CODE]) == []


def test_a_long_callback_is_read_up_to_a_limit() -> None:
    """A stranger may send what they like; beyond 16 KiB nothing is looked at."""
    longest = f"code={'c' * (16_384 - len('code='))}"
    assert len(fields(longest)[0][1]) == 16_379
    with pytest.raises(CallbackError, match="longer than 16384 characters"):
        fields(f"{longest}c")


def test_many_fields_are_read_up_to_a_limit() -> None:
    """A hundred fields are more than any callback has."""
    assert len(fields("&".join(f"f{number}=1" for number in range(100)))) == 100
    with pytest.raises(CallbackError, match="not a URL or query"):
        fields("&".join(f"f{number}=1" for number in range(101)))
    with pytest.raises(CallbackError, match="not a URL or query"):
        fields("&" * 100)


# --- Mappings ---


@pytest.mark.parametrize(
    "callback",
    [
        dict(FIELDS),
        parse_qs(QUERY),
        {name: (value,) for name, value in FIELDS},
        PlainMapping(dict(FIELDS)),
        PlainMapping(parse_qs(QUERY)),
        MisleadingDict(FIELDS),
        httpx.QueryParams(QUERY),
        httpx.URL(f"https://app.example.com/?{QUERY}").params,
        QueryParams(QUERY),
        ImmutableMultiDict(FIELDS),
        MultiDict(FIELDS),
        WerkzeugLike(FIELDS),
        DjangoLike(FIELDS),
        AiohttpLike(FIELDS),
    ],
    ids=lambda callback: f"{type(callback).__module__}.{type(callback).__name__}",
)
def test_every_kind_of_mapping_gives_its_fields(callback: object) -> None:
    """What a framework has decoded is taken as it is."""
    assert fields(callback) == FIELDS


REPEATED: Final = [("code", "1"), ("code", "2"), ("state", "s"), ("code", "1")]


@pytest.mark.parametrize(
    "callback",
    [
        parse_qs(urlencode(REPEATED)),
        httpx.QueryParams(urlencode(REPEATED)),
        QueryParams(REPEATED),
        ImmutableMultiDict(REPEATED),
        MultiDict(REPEATED),
        WerkzeugLike(REPEATED),
        DjangoLike(REPEATED),
        AiohttpLike(REPEATED),
        urlencode(REPEATED),
    ],
    ids=lambda callback: f"{type(callback).__module__}.{type(callback).__name__}",
)
def test_no_kind_of_mapping_hides_a_repetition(callback: object) -> None:
    """A multi-dictionary gives one of several values when it is asked like any mapping."""
    values = [value for name, value in fields(callback) if name == "code"]
    assert {"1", "2"} <= set(values)
    assert [value for name, value in fields(callback) if name == "state"] == ["s"]


@pytest.mark.parametrize("empty", [{}, {"code": []}, {"code": ()}, QueryParams(""), MultiDict()])
def test_an_empty_mapping_has_no_fields(empty: object) -> None:
    """A name without a value is not there."""
    assert fields(empty) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"code": None},
        {"code": CODE.encode()},
        {"code": 5},
        {"code": True},
        {"code": [CODE, None]},
        {"code": [[CODE]]},
        {"code": {CODE}},
        {"code": {"value": CODE}},
        {CODE.encode(): "x"},
        {None: CODE},
        {5: [CODE]},
    ],
    ids=ascii,
)
def test_a_mapping_of_anything_but_text_is_refused(wrong: object) -> None:
    """Names and values are strings; what was found instead is not repeated."""
    with pytest.raises(CallbackError, match="neither a string nor a list of strings") as caught:
        fields(wrong)
    assert found(visible(caught.value), [CODE]) == []


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        5,
        True,
        QUERY.encode(),
        bytearray(QUERY.encode()),
        FIELDS,
        tuple(FIELDS),
        {CODE},
        httpx.URL(f"https://app.example.com/?{QUERY}"),
        object(),
        dict,
    ],
    ids=lambda wrong: type(wrong).__name__,
)
def test_anything_else_is_no_callback(wrong: object) -> None:
    """The error names its type and nothing of what it holds."""
    with pytest.raises(CallbackError, match=f"not from {type(wrong).__name__}") as caught:
        fields(wrong)
    assert found(visible(caught.value), [CODE]) == []


# --- Anything at all ---


pairs = st.lists(st.tuples(st.text(), st.text()), max_size=100)


def encodable(text: str) -> bool:
    """Tell whether a text can stand in a URL."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


@given(pairs)
@settings(deadline=None)
def test_fields_come_out_as_they_went_in(written: list[tuple[str, str]]) -> None:
    """Whatever is encoded as a form, the same names and values are read from it."""
    query = urlencode(written, errors="surrogatepass")
    if all(encodable(name + value) for name, value in written):
        assert fields(query) == written
        assert fields(f"https://app.example.com/?{query}") == written
    else:
        with pytest.raises(CallbackError):
            fields(query)


@given(st.text() | st.text("%?&=#;:/[]@+0123456789abcdefABCDEF").map("https:".__add__))
@settings(deadline=None, max_examples=300)
def test_no_text_makes_another_error(callback: str) -> None:
    """Arbitrary text is a list of fields or a `CallbackError`."""
    try:
        for name, value in fields(callback):
            assert isinstance(name, str)
            assert isinstance(value, str)
    except CallbackError:
        pass


@given(
    st.dictionaries(
        st.text() | st.none() | st.integers() | st.binary(),
        st.recursive(
            st.text() | st.none() | st.integers() | st.binary(),
            lambda inner: st.lists(inner, max_size=3),
            max_leaves=4,
        ),
        max_size=4,
    )
)
@settings(deadline=None)
def test_no_mapping_makes_another_error(callback: dict[object, object]) -> None:
    """An arbitrary mapping is a list of fields or a `CallbackError`."""
    try:
        for name, value in fields(callback):
            assert isinstance(name, str)
            assert isinstance(value, str)
    except CallbackError:
        pass


@given(pairs)
@settings(deadline=None)
def test_the_frameworks_and_this_package_read_alike(written: list[tuple[str, str]]) -> None:
    """A query and what Starlette makes of it hold the same values of each name."""
    readable = [pair for pair in written if encodable(pair[0] + pair[1])]
    query = urlencode(readable)
    by_name: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        by_name.setdefault(name, []).append(value)
    framework: dict[str, list[str]] = {}
    for name, value in fields(QueryParams(query)):
        framework.setdefault(name, []).append(value)
    assert framework == by_name


@pytest.mark.parametrize(
    "callback",
    [
        " https://app.example.com/cb?error=denied&code=x&state=s",
        "app.example.com/cb?error=denied&code=x&state=s",
        "127.0.0.1:8123/cb?error=denied&code=x&state=s",
        "??error=denied&code=x&state=s",
        "https://app.example.com/cb??error=denied&code=x&state=s",
        "code=x&/cb?error=denied",
    ],
)
def test_a_url_that_is_not_taken_for_one_hides_no_error(callback: str) -> None:
    """Where the first field would be lost in the name of another, nothing is read at all."""
    with pytest.raises(CallbackError):
        list(callback_fields(callback))


def test_a_question_mark_in_a_value_is_a_character() -> None:
    """A query may hold more question marks (RFC 3986, section 3.4)."""
    assert list(callback_fields("code=x&state=a?b")) == [("code", "x"), ("state", "a?b")]
