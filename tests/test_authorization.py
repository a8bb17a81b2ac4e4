"""The address of the consent page, the state that goes there, and what a callback is worth."""

from __future__ import annotations

import base64
import copy
import hmac
import pickle
import random
from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

import attrs
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.datastructures import QueryParams

from pipedrive_oauth_client import (
    NO_STATE,
    AppCredentials,
    AsyncPipedriveOAuth,
    AuthorizationDeniedError,
    AuthorizationRequest,
    CallbackError,
    Client,
    ConfigurationError,
    NoState,
    PipedriveOAuth,
    StateMismatchError,
)
from pipedrive_oauth_client.authorization import authorization_url, read_callback
from tests.support.flows import CLIENT_SECRET, CREDENTIALS, AnyFlow, with_flow
from tests.support.samples import CODE, REDIRECT_URI, token_body
from tests.support.sweep import found, visible
from tests.support.untyped import untyped

CLIENT_ID: Final = CREDENTIALS.client_id
CONSENT: Final = "https://oauth.pipedrive.com/oauth/authorize"
STATE: Final = "state-0e77c4b1a95d"
OTHER_STATE: Final = "other-state-61f0"
SECRETS: Final = (CODE, STATE, OTHER_STATE, CLIENT_SECRET)

HOSTILE: Final = [
    "a b",
    "a+b",
    "a%20b",
    "a%2Bb",
    "100%",
    "a&b",
    "a&state=b",
    "a=b",
    "a#b",
    "a?b/c",
    "a;b,c:d@e$f",
    "a\"b'c`d",
    "a\\b|c^d{e}[f]<g>",
    "-._~!*()",
    "é",
    "日本語 🍋",
    "e\u0301 \u00e9",
    "\u202etxt.exe",
    "a\r\nLocation: https://evil.example/",
    "\t\x00\x1b[31m\x7f",
    " a ",
    ".",
    "..",
    "x" * 1000,
]

encodable_texts = st.text(st.characters(exclude_categories=["Cs"]))
states = encodable_texts.filter(bool)
codes = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1)


def request_of(state: str | None = None, base_url: str | None = None) -> AuthorizationRequest:
    """Build an address for the sample app."""
    client = Client() if base_url is None else Client(base_url)
    return authorization_url(CREDENTIALS, client, state)


def callback(*, code: str | None = CODE, state: str | None = STATE, **more: str) -> str:
    """Write a callback's URL, without the fields that are None."""
    fields = {"code": code, "state": state, **more}
    query = urlencode({name: value for name, value in fields.items() if value is not None})
    return f"{REDIRECT_URI}?{query}"


def decoded(state: str) -> bytes:
    """Give the bytes that a generated state stands for."""
    return base64.urlsafe_b64decode(state + "=")


# --- The address ---


@pytest.mark.parametrize(
    ("state", "encoded"),
    [
        ("xyz", "xyz"),
        ("a b", "a+b"),
        ("a+b", "a%2Bb"),
        ("a%20b", "a%2520b"),
        ("a&b=c", "a%26b%3Dc"),
        ("a#b", "a%23b"),
        ("a/b?c", "a%2Fb%3Fc"),
        ("AZaz09-._~", "AZaz09-._~"),
        ("\"'<>\\^`{|}", "%22%27%3C%3E%5C%5E%60%7B%7C%7D"),
        ("!$()*,:;@[]", "%21%24%28%29%2A%2C%3A%3B%40%5B%5D"),
        ("\r\n\t\x00\x7f", "%0D%0A%09%00%7F"),
        # RFC 6749, appendix B
        (" %&+£€", "+%25%26%2B%C2%A3%E2%82%AC"),
        ("🍋", "%F0%9F%8D%8B"),
    ],
)
def test_the_address_is_encoded_letter_for_letter(state: str, encoded: str) -> None:
    """A query is a form (RFC 6749, appendix B): unreserved characters stay, a blank is a plus."""
    assert request_of(state).url == (
        f"{CONSENT}?client_id={CLIENT_ID}"
        f"&redirect_uri=https%3A%2F%2Fapp.example.com%2Fcallback&state={encoded}"
    )


def test_the_address_holds_nothing_else() -> None:
    """Pipedrive documents neither `response_type` nor `scope`, and no secret belongs there."""
    request = request_of()
    parts = urlsplit(request.url)
    assert parse_qsl(parts.query, strict_parsing=True) == [
        ("client_id", CLIENT_ID),
        ("redirect_uri", REDIRECT_URI),
        ("state", request.state),
    ]
    assert parts.fragment == ""
    assert CLIENT_SECRET not in request.url
    assert CREDENTIALS.basic_auth_header.removeprefix("Basic ") not in request.url


@pytest.mark.parametrize("state", HOSTILE, ids=lambda text: ascii(text[:20]))
@pytest.mark.parametrize(
    "credentials",
    [
        CREDENTIALS,
        AppCredentials("a&b=c+d%20e?f/é", CLIENT_SECRET, f"{REDIRECT_URI}?next=%2Fa%20b&x=1+2;é"),
    ],
    ids=["plain app", "odd app"],
)
def test_no_argument_breaks_out_of_its_field(credentials: AppCredentials, state: str) -> None:
    """Whatever stands in an argument, it comes back from the address, and no other field does."""
    request = authorization_url(credentials, Client(), state)
    assert parse_qsl(urlsplit(request.url).query, strict_parsing=True) == [
        ("client_id", credentials.client_id),
        ("redirect_uri", credentials.redirect_uri),
        ("state", state),
    ]
    assert request.url.isascii()
    assert request.url.isprintable()
    assert urlsplit(request.url).netloc == "oauth.pipedrive.com"


@pytest.mark.parametrize(
    ("base_url", "address"),
    [
        ("https://oauth.pipedrive.com", CONSENT),
        ("https://oauth.pipedrive.com/", CONSENT),
        ("https://gateway.example/pipedrive", "https://gateway.example/pipedrive/oauth/authorize"),
        ("https://gateway.example/a/b/", "https://gateway.example/a/b/oauth/authorize"),
        ("http://localhost:8765", "http://localhost:8765/oauth/authorize"),
        ("http://[::1]:8765", "http://[::1]:8765/oauth/authorize"),
    ],
)
def test_the_address_is_on_the_configured_host(base_url: str, address: str) -> None:
    """The host, the port and a path of `base_url` stand before the endpoint's path."""
    assert request_of("s", base_url).url.partition("?")[0] == address
    flow = PipedriveOAuth(CREDENTIALS, base_url=base_url, retry=None)
    assert flow.authorization_url("s") == request_of("s", base_url)


@given(states)
@settings(deadline=None)
def test_every_state_comes_back_with_its_callback(state: str) -> None:
    """A service that sends back what it was sent makes a callback that is accepted."""
    query = dict(parse_qsl(urlsplit(request_of(state).url).query, strict_parsing=True))
    assert query["state"] == state
    assert read_callback(callback(state=query["state"]), request_of(state).state) == CODE


# --- The state ---


def test_a_state_has_256_random_bits() -> None:
    """It is 32 bytes in the Base64 of URLs, and every one of the bits takes both values."""
    values = [decoded(request_of().state) for _ in range(1000)]
    assert {len(value) for value in values} == {32}
    assert len(set(values)) == 1000
    bits = [int.from_bytes(value) for value in values]
    for place in range(256):
        ones = sum(number >> place & 1 for number in bits)
        # Twelve standard deviations of a fair coin: 190 of 1,000 tosses.
        assert 310 < ones < 690


def test_no_state_is_given_twice() -> None:
    """A thousand addresses have a thousand states, in characters that need no encoding."""
    requests = [request_of() for _ in range(1000)]
    assert len({request.state for request in requests}) == 1000
    for request in requests:
        assert len(request.state) == 43
        assert request.url.endswith(f"&state={request.state}")


def test_a_state_does_not_come_from_the_predictable_generator() -> None:
    """A seed of `random` repeats nothing."""
    made = []
    for _ in range(2):
        random.seed(7)
        made.append(request_of().state)
    assert made[0] != made[1]


@pytest.mark.parametrize("state", HOSTILE, ids=lambda text: ascii(text[:20]))
def test_a_state_of_ones_own_is_kept(state: str) -> None:
    """An app may sign its states, or point to its sessions with them."""
    assert request_of(state).state == state


@pytest.mark.parametrize(
    "wrong", ["", b"state", 5, True, False, ["state"], object(), NO_STATE, "a\ud800", "\udfff"]
)
def test_what_can_be_no_state_is_refused(wrong: object) -> None:
    """An empty state protects from nothing, and other types or broken text can't be sent."""
    with pytest.raises(ConfigurationError, match="state"):
        untyped(authorization_url)(CREDENTIALS, Client(), wrong)
    with pytest.raises(ConfigurationError, match="state"):
        untyped(PipedriveOAuth(CREDENTIALS, retry=None).authorization_url)(wrong)


def test_a_state_that_makes_no_address_is_refused() -> None:
    """An address has a length that it can't exceed; the error repeats nothing of it."""
    with pytest.raises(ConfigurationError, match="valid URL") as caught:
        request_of(STATE * 10_000)
    assert found(visible(caught.value), [STATE]) == []


def test_a_request_hides_its_state() -> None:
    """Whoever reads a log must not be able to finish somebody else's authorization."""
    request = request_of(STATE)
    for shown in (repr(request), str(request), f"{request}", repr([request])):
        assert found(shown, SECRETS) == []
        assert CONSENT in shown
        assert CLIENT_ID not in shown


def test_a_request_is_a_value() -> None:
    """It can't be changed, and survives copying and pickling."""
    request = request_of(STATE)
    assert request == request_of(STATE)
    assert hash(request) == hash(request_of(STATE))
    assert request != request_of(OTHER_STATE)
    assert copy.deepcopy(request) == pickle.loads(pickle.dumps(request)) == request  # noqa: S301
    for name in ("url", "state"):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(request, name, "x")


# --- A good callback ---


@pytest.mark.parametrize(
    "given_callback",
    [
        callback(),
        callback().partition("?")[2],
        f"?{callback().partition('?')[2]}",
        f"/callback?{callback().partition('?')[2]}",
        {"code": CODE, "state": STATE},
        {"code": [CODE], "state": [STATE]},
        httpx.URL(callback()).params,
        QueryParams(callback().partition("?")[2]),
    ],
    ids=["URL", "query", "query with ?", "path", "mapping", "lists", "httpx", "starlette"],
)
def test_a_good_callback_gives_its_code(given_callback: object) -> None:
    """In each form, and from either flow."""
    assert untyped(read_callback)(given_callback, STATE) == CODE
    for kind in (PipedriveOAuth, AsyncPipedriveOAuth):
        flow = kind(CREDENTIALS, retry=None)
        assert untyped(flow.read_callback)(given_callback, STATE) == CODE


def test_fields_that_nobody_knows_are_passed_over() -> None:
    """A service may add some, also ones that look like errors (RFC 6749, section 4.1.2)."""
    extra = callback(session_state="x", iss="https://oauth.pipedrive.com", error_uri="x", Error="x")
    assert read_callback(extra, STATE) == CODE


@given(code=codes, state=states)
@settings(deadline=None)
def test_every_code_comes_out_as_it_was_sent(code: str, state: str) -> None:
    """A code is any printable ASCII, blanks and signs included (RFC 6749, appendix A.11)."""
    assert read_callback(callback(code=code, state=state), state) == code
    assert read_callback({"code": code, "state": state}, state) == code


# --- The state of a callback ---


WRONG_STATES: Final[list[tuple[str, object]]] = [
    ("missing", {"code": CODE}),
    ("missing from a URL", callback(state=None)),
    ("in the fragment", f"{callback(state=None)}#state={STATE}"),
    ("empty", {"code": CODE, "state": ""}),
    ("empty in a URL", callback(state="")),
    ("no value", {"code": CODE, "state": []}),
    ("repeated", {"code": CODE, "state": [STATE, STATE]}),
    ("repeated in a URL", f"{callback()}&state={STATE}"),
    ("right, then wrong", {"code": CODE, "state": [STATE, OTHER_STATE]}),
    ("wrong, then right", {"code": CODE, "state": [OTHER_STATE, STATE]}),
    ("empty, then right", {"code": CODE, "state": ["", STATE]}),
    ("repeated in Starlette", QueryParams([("code", CODE), ("state", STATE), ("state", STATE)])),
    ("another", {"code": CODE, "state": OTHER_STATE}),
    ("shorter", {"code": CODE, "state": STATE[:-1]}),
    ("longer", {"code": CODE, "state": f"{STATE}0"}),
    ("much longer", {"code": CODE, "state": STATE * 100_000}),
    ("in upper case", {"code": CODE, "state": STATE.upper()}),
    ("with a blank", {"code": CODE, "state": f"{STATE} "}),
    ("with a line break", {"code": CODE, "state": f"{STATE}\n"}),
    ("with a NUL", {"code": CODE, "state": f"{STATE}\x00"}),
    ("encoded twice", {"code": CODE, "state": STATE.replace("-", "%2D")}),
    ("of other letters", {"code": CODE, "state": STATE.replace("a", "а")}),
    ("full width", {"code": CODE, "state": STATE.replace("-", "\uff0d")}),
    ("half of a surrogate pair", {"code": CODE, "state": f"{STATE}\ud800"}),
    ("the name of NO_STATE", {"code": CODE, "state": "NO_STATE"}),
    ("another name", {"code": CODE, "State": STATE}),
    ("nothing at all", ""),
    ("an empty mapping", {}),
]


@pytest.mark.parametrize(
    "wrong", [wrong for _, wrong in WRONG_STATES], ids=[name for name, _ in WRONG_STATES]
)
def test_a_callback_of_another_session_is_refused(wrong: object) -> None:
    """A state that is missing, repeated or another one lets nothing of the callback through."""
    with pytest.raises(StateMismatchError) as caught:
        untyped(read_callback)(wrong, STATE)
    assert type(caught.value) is StateMismatchError
    assert found(visible(caught.value), SECRETS) == []


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        ("\u00e9", "e\u0301"),
        ("e\u0301", "\u00e9"),
        ("\u212b", "\u00c5"),
        ("ﬀ", "ff"),
        ("ß", "ss"),
        ("é", "Ã©"),
        ("a+b", "a b"),
        ("%41", "A"),
    ],
)
def test_a_state_that_only_looks_alike_is_another(sent: str, received: str) -> None:
    """States are compared letter for letter, and nothing is normalised."""
    assert read_callback(callback(state=sent), sent) == CODE
    with pytest.raises(StateMismatchError):
        read_callback(callback(state=received), sent)


@given(sent=st.text(min_size=1), received=st.text())
@settings(deadline=None)
def test_no_state_passes_but_the_one_that_was_sent(sent: str, received: str) -> None:
    """Arbitrary text, broken text included, passes only where it is equal."""
    given_callback = {"code": CODE, "state": received}
    if sent == received:
        assert read_callback(given_callback, sent) == CODE
    else:
        with pytest.raises(StateMismatchError):
            read_callback(given_callback, sent)


@given(state=states, data=st.data())
@settings(deadline=None)
def test_no_part_of_a_state_passes(state: str, data: st.DataObject) -> None:
    """One letter more, less or other makes another state."""
    place = data.draw(st.integers(0, len(state) - 1))
    letter = data.draw(st.characters(exclude_categories=["Cs"], exclude_characters=state[place]))
    for received in (
        state[:place] + state[place + 1 :],
        state[:place] + letter + state[place:],
        state[:place] + letter + state[place + 1 :],
    ):
        with pytest.raises(StateMismatchError):
            read_callback(callback(state=received), state)


@pytest.mark.parametrize("verdict", [True, False])
@pytest.mark.parametrize("received", [STATE, OTHER_STATE, STATE[0], "é"])
def test_states_are_compared_in_constant_time(
    monkeypatch: pytest.MonkeyPatch, received: str, *, verdict: bool
) -> None:
    """What `hmac.compare_digest` says decides, so that no time tells how much was right."""
    compared: list[tuple[bytes, bytes]] = []

    def compare_digest(given_state: bytes, expected: bytes) -> bool:
        compared.append((given_state, expected))
        return verdict

    monkeypatch.setattr(hmac, "compare_digest", compare_digest)
    try:
        code = read_callback(callback(state=received), STATE)
    except StateMismatchError:
        code = None
    assert code == (CODE if verdict else None)
    assert compared == [(received.encode(), STATE.encode())]


@pytest.mark.parametrize("wrong", ["", None, True, False, 0, 5, b"state", STATE.encode(), [STATE]])
@pytest.mark.parametrize("given_callback", [callback(), callback(state=""), "%ff", None, b"x"])
def test_an_expected_state_that_can_be_none_is_refused(
    wrong: object, given_callback: object
) -> None:
    """A session without a state must not let everything through; it is looked at first."""
    with pytest.raises(ConfigurationError, match="NO_STATE") as caught:
        untyped(read_callback)(given_callback, wrong)
    assert found(visible(caught.value), SECRETS) == []


# --- NO_STATE ---


def test_an_install_from_the_marketplace_carries_no_state() -> None:
    """It has to be said by name that none is expected."""
    assert read_callback(callback(state=None), NO_STATE) == CODE
    assert read_callback({"code": CODE}, NO_STATE) == CODE


@pytest.mark.parametrize("state", [STATE, "", "NO_STATE"])
def test_a_state_that_is_not_expected_is_refused(state: str) -> None:
    """A callback with a state began in the app, and has to be checked against the session."""
    for given_callback in (callback(state=state), {"code": CODE, "state": [state, state]}):
        with pytest.raises(StateMismatchError, match="none is expected") as caught:
            read_callback(given_callback, NO_STATE)
        assert found(visible(caught.value), SECRETS) == []


def test_the_name_alone_expects_a_state_of_that_name() -> None:
    """What comes out of a configuration file as text does not turn the check off."""
    with pytest.raises(StateMismatchError):
        read_callback(callback(state=None), "NO_STATE")


def test_no_state_is_one_value() -> None:
    """It is itself after copying and pickling, is no text, and is shown by its name."""
    assert pickle.loads(pickle.dumps(NO_STATE)) is NO_STATE  # noqa: S301
    assert copy.deepcopy(NO_STATE) is NO_STATE
    assert list(NoState) == [NO_STATE]
    assert repr(NO_STATE) == "NO_STATE"
    assert not isinstance(NO_STATE, str)


# --- An error instead of a code ---


@pytest.mark.parametrize(
    "error",
    [
        "access_denied",
        "user_denied",
        "invalid_request",
        "unauthorized_client",
        "unsupported_response_type",
        "invalid_scope",
        "server_error",
        "temporarily_unavailable",
        "something.new-2",
        "x" * 64,
    ],
)
@pytest.mark.parametrize("description", [None, "", "The person said no."])
def test_a_denial_says_what_the_callback_says(error: str, description: str | None) -> None:
    """Any error code will do, since Pipedrive's pages name different ones."""
    more = {} if description is None else {"error_description": description}
    for given_callback, expected in (
        (callback(code=None, error=error, **more), STATE),
        ({"error": error, "state": [STATE], **more}, STATE),
        (callback(code=None, state=None, error=error, **more), NO_STATE),
    ):
        with pytest.raises(AuthorizationDeniedError) as caught:
            read_callback(given_callback, expected)
        assert caught.value.error == error
        assert caught.value.description == description
        assert f"({error})" in str(caught.value)
        assert "The person said no." not in str(caught.value)
        assert found(visible(caught.value), SECRETS) == []


HOSTILE_ERRORS: Final = [
    "",
    " ",
    "access denied",
    "access_denied\n",
    "a\r\nSet-Cookie: a=b",
    "\x1b[2J\x1b[31mdenied",
    "\x9b31m",
    "\x00",
    "<script>alert(1)</script>",
    "&lt;",
    'a"onmouseover="alert(1)',
    "a'b",
    "a\\b",
    "%s%n",
    "{0.__class__}",
    "https://evil.example/",
    "accès",
    "\u202edenied",
    "\ud800",
    "x" * 65,
    "x" * 16_000,
]


@pytest.mark.parametrize("hostile", HOSTILE_ERRORS, ids=lambda text: ascii(text[:30]))
def test_a_hostile_error_is_not_repeated(hostile: str) -> None:
    """Anybody can write a callback: what looks like no error code does not reach a log or page."""
    with pytest.raises(AuthorizationDeniedError) as caught:
        read_callback({"error": hostile, "error_description": f"{hostile}!", "state": STATE}, STATE)
    assert str(caught.value) == (
        "The authorization was not granted. Tell the user, and offer to start again."
    )
    assert str(caught.value).isprintable()
    assert (caught.value.error, caught.value.description) == (hostile, f"{hostile}!")


def test_the_state_comes_before_the_error() -> None:
    """Nobody can tell a person in another session that they declined."""
    for wrong in (None, OTHER_STATE, ""):
        with pytest.raises(StateMismatchError):
            read_callback(callback(code=None, state=wrong, error="access_denied"), STATE)
    with pytest.raises(StateMismatchError):
        read_callback(callback(code=None, error="access_denied"), NO_STATE)


@pytest.mark.parametrize("code", [None, CODE, "", "two\nlines"])
@pytest.mark.parametrize("error", ["access_denied", ""])
def test_the_error_comes_before_the_code(code: str | None, error: str) -> None:
    """A callback with both is a denial, and its code is not given out, be it good or bad."""
    with pytest.raises(AuthorizationDeniedError) as caught:
        read_callback(callback(code=code, error=error), STATE)
    assert caught.value.error == error
    assert found(visible(caught.value), SECRETS) == []


def test_of_repeated_errors_the_first_counts() -> None:
    """Two errors are still an error."""
    repeated = f"{callback()}&error=first&error=second&error_description=a&error_description=b"
    with pytest.raises(AuthorizationDeniedError) as caught:
        read_callback(repeated, STATE)
    assert (caught.value.error, caught.value.description) == ("first", "a")


BAD_CALLBACKS: Final[list[object]] = [
    callback(code=None, error="access_denied"),
    callback(error="access_denied"),
    callback(error=""),
    {"code": CODE, "state": STATE, "error": ["server_error", "server_error"]},
    callback(state=OTHER_STATE),
    callback(state=None),
    callback(code=""),
    f"{callback()}&code={CODE}",
    f"{callback()}&x=%ff",
    None,
]


@pytest.mark.parametrize("bad", BAD_CALLBACKS, ids=lambda bad: str(bad)[:60])
def test_a_bad_callback_leads_to_no_request(mode: str, bad: object) -> None:
    """An app that exchanges what `read_callback` gives sends nothing, since it gives nothing."""
    requests: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(200, content=token_body())

    async def steps(flow: AnyFlow) -> None:
        read = untyped(flow.inner.read_callback)
        with pytest.raises(CallbackError):
            await flow.exchange(read(bad, STATE))
        assert requests == []
        await flow.exchange(read(callback(), STATE))

    through = {"transport": httpx.MockTransport(handler)}
    with_flow(mode, "https://oauth.example", steps, through=through)
    assert len(requests) == 1


# --- The code of a callback ---


NO_CODES: Final[list[object]] = [
    pytest.param({"state": STATE}, "no code", id="missing"),
    pytest.param(callback(code=None), "no code", id="missing from a URL"),
    pytest.param(f"{callback(code=None)}#code={CODE}", "no code", id="in the fragment"),
    pytest.param({"state": STATE, "code": []}, "no code", id="no value"),
    pytest.param({"state": STATE, "Code": CODE}, "no code", id="another name"),
    pytest.param({"state": STATE, "code": [CODE, CODE]}, "more than one", id="repeated"),
    pytest.param(f"{callback()}&code={CODE}", "more than one", id="repeated in a URL"),
    pytest.param({"state": STATE, "code": [CODE, "other"]}, "more than one", id="another as well"),
    pytest.param({"state": STATE, "code": ["", CODE]}, "more than one", id="empty as well"),
    pytest.param(callback(code=""), "empty", id="empty"),
    pytest.param(f"state={STATE}&code", "empty", id="without a sign of equality"),
    *(
        pytest.param(callback(code=f"{CODE}{hostile}"), "no code has", id=ascii(hostile))
        for hostile in ("\n", "\r\n", "\x00", "\t", "\x1b[31m", "\x7f", "\x80", "é", "🍋", "\u2028")
    ),
    pytest.param({"state": STATE, "code": f"{CODE}\ud800"}, "no code has", id="surrogate"),
    pytest.param(
        {"state": STATE, "code": f"{CODE}\n"}, "no code has", id="line break in a mapping"
    ),
]


@pytest.mark.parametrize(("wrong", "problem"), NO_CODES)
def test_a_callback_without_one_good_code_is_refused(wrong: object, problem: str) -> None:
    """A code that is missing, repeated, empty or malformed is refused, and not repeated."""
    with pytest.raises(CallbackError, match=problem) as caught:
        untyped(read_callback)(wrong, STATE)
    assert type(caught.value) is CallbackError
    assert found(visible(caught.value), SECRETS) == []


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        5,
        callback().encode(),
        [("code", CODE), ("state", STATE)],
        {"code": None, "state": STATE},
        {"code": CODE.encode(), "state": STATE},
        {b"code": CODE, "state": STATE},
        f"{callback()}&x=%ff",
        f"{callback()}\n",
        f"{callback()}&x={'x' * 16_384}",
        f"{callback()}{'&x=1' * 99}",
    ],
    ids=lambda wrong: ascii(wrong)[:40],
)
def test_what_can_not_be_read_is_refused(wrong: object) -> None:
    """It is a `CallbackError` for whichever expectation, and nothing of it is repeated."""
    expectations = (STATE, OTHER_STATE, NO_STATE)
    for expected in expectations:
        with pytest.raises(CallbackError) as caught:
            untyped(read_callback)(wrong, expected)
        assert found(visible(caught.value), SECRETS) == []


# --- Anything at all ---


expectations = st.just(NO_STATE) | st.just(STATE) | st.text(min_size=1)
names = st.sampled_from(["code", "state", "error", "error_description"]) | st.text()
values = st.sampled_from([STATE, CODE, ""]) | st.text()
queries = st.lists(
    st.tuples(names, values).filter(
        lambda pair: not any("\ud800" <= c <= "\udfff" for c in str(pair))
    )
).map(urlencode)


def outcome(read: Callable[[], str]) -> str | CallbackError:
    """Read a callback, and give the error where it is refused."""
    try:
        return read()
    except CallbackError as error:
        return error


@given(st.text() | queries | queries.map("https://app.example.com/?".__add__), expectations)
@settings(deadline=None, max_examples=400)
def test_no_text_makes_another_error(given_callback: str, expected: str | NoState) -> None:
    """Arbitrary text gives a code, and then with the right state, or a `CallbackError`."""
    result = outcome(lambda: read_callback(given_callback, expected))
    if isinstance(result, str):
        query = given_callback.removeprefix("https://app.example.com/?")
        fields = parse_qsl(query.removeprefix("?"), keep_blank_values=True)
        assert [value for name, value in fields if name == "code"] == [result]
        own = [] if expected is NO_STATE else [expected]
        assert [value for name, value in fields if name == "state"] == own
        assert not [name for name, _ in fields if name == "error"]


@given(
    st.dictionaries(
        names | st.none() | st.binary(), values | st.lists(values, max_size=2) | st.integers()
    ),
    expectations,
)
@settings(deadline=None, max_examples=400)
def test_no_mapping_makes_another_error(
    given_callback: dict[object, object], expected: str | NoState
) -> None:
    """An arbitrary mapping gives a code, and then with the right state, or a `CallbackError`."""
    result = outcome(lambda: untyped(read_callback)(given_callback, expected))
    if isinstance(result, str):
        assert given_callback["code"] in (result, [result])
        if expected is NO_STATE:
            assert given_callback.get("state", []) == []
        else:
            assert given_callback["state"] in (expected, [expected])
        assert given_callback.get("error", []) == []


@given(st.none() | st.integers() | st.floats() | st.binary() | st.lists(st.text()), expectations)
@settings(deadline=None)
def test_nothing_else_makes_another_error(given_callback: object, expected: str | NoState) -> None:
    """What is neither text nor a mapping is a `CallbackError`."""
    assert isinstance(
        outcome(lambda: untyped(read_callback)(given_callback, expected)), CallbackError
    )
