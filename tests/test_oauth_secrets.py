"""No error, no log record and no repr of a flow shows a secret, whatever the service answers."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import re
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipedrive_oauth_client import (
    AsyncPipedriveOAuth,
    InvalidClientError,
    InvalidGrantError,
    InvalidResponseError,
    PipedriveAuth,
    PipedriveOAuth,
    PipedriveOAuthError,
    RateLimitedError,
    ServerError,
    Token,
    TokenRequestError,
    TransportError,
    UnusableAccessTokenError,
)
from pipedrive_oauth_client.stores import EncryptedTokenStore, MemoryTokenStore
from pipedrive_oauth_client.web.starlette import PipedriveWeb
from tests.support.driver import MODES
from tests.support.fake_time import FakeTime
from tests.support.flows import (
    CLIENT_SECRET,
    CREDENTIALS,
    STEPS,
    AnyFlow,
    Step,
    failure,
    in_turn,
    with_flow,
)
from tests.support.samples import (
    ACCESS_TOKEN,
    CODE,
    REFRESH_TOKEN,
    SECRETS,
    SENT_REFRESH_TOKEN,
    token_body,
)
from tests.support.sweep import found, visible
from tests.support.wire import Wire, always, answer, once

pytestmark = pytest.mark.usefixtures("no_proxy")

every_step = pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)

BASIC: Final = CREDENTIALS.basic_auth_header.removeprefix("Basic ")
SENT: Final = (CODE, SENT_REFRESH_TOKEN, CLIENT_SECRET, BASIC)
ALL: Final = (*SECRETS, *SENT)


class Records(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.kept: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self.kept.append(record)

    @property
    def text(self) -> str:
        """All that the records hold, formatted or not."""
        return "\n".join(f"{record.getMessage()}\n{record.__dict__!r}" for record in self.kept)

    @property
    def own(self) -> list[tuple[str, str]]:
        """Level and message of the package's own records."""
        return [
            (record.levelname, record.getMessage())
            for record in self.kept
            if record.name == "pipedrive_oauth_client"
        ]


@contextlib.contextmanager
def talkative() -> Generator[Records]:
    """Turn every logger up, and keep what they say."""
    root, records = logging.getLogger(), Records()
    level = root.level
    root.setLevel(logging.DEBUG)
    root.addHandler(records)
    try:
        yield records
    finally:
        root.removeHandler(records)
        root.setLevel(level)


# --- Logs ---


@every_step
def test_the_log_tells_of_a_success(mode: str, step: Step) -> None:
    """Operation, attempt, status and duration are there; no secret is, at no level."""
    with talkative() as records, Wire(always(answer(token_body()))) as wire:
        with_flow(mode, wire.url, step.take)
    ((level, message),) = records.own
    assert level == "DEBUG"
    pattern = rf"{step.name}, attempt 1: response with status 200 after \d+\.\d{{3}} s"
    assert re.fullmatch(pattern, message)
    assert found(wire.received.decode("ascii"), SENT) != [], "secrets were sent"
    assert found(records.text, ALL) == []


@every_step
def test_the_log_tells_of_each_attempt(mode: str, step: Step) -> None:
    """Each failure is a record, and each wait a warning that names the error's class."""
    echo = json.dumps({"message": " ".join(SENT)}).encode()
    busy = answer(echo, status=503, headers={"Retry-After": "3"})
    time = FakeTime()
    with talkative() as records, Wire(in_turn(busy, answer(token_body()))) as wire:
        with_flow(mode, wire.url, step.take, retry=time.policy())
    messages = [re.sub(r"\d+\.\d{3}", "N", message) for _, message in records.own]
    assert messages == [
        f"{step.name}, attempt 1: response with status 503 after N s",
        f"{step.name}: attempt 1 failed (ServerError); the next one follows in 3.0 s",
        f"{step.name}, attempt 2: response with status 200 after N s",
    ]
    assert [level for level, _ in records.own] == ["DEBUG", "WARNING", "DEBUG"]
    assert found(records.text, ALL) == []


@every_step
def test_the_log_tells_of_no_answer(mode: str, step: Step) -> None:
    """A broken connection is a record with the class of its error."""
    with talkative() as records, Wire(once(answer(token_body())[:-1])) as wire:
        failure(mode, wire.url, step)
    ((_, message),) = records.own
    assert message.startswith(f"{step.name}, attempt 1: failed with TransportError after ")
    assert found(records.text, ALL) == []


def test_before_and_after_the_consent_page_nothing_is_logged() -> None:
    """State and code are read without a word."""
    flow = PipedriveOAuth(CREDENTIALS)
    with talkative() as records:
        request = flow.authorization_url()
        flow.read_callback(
            f"https://app.example.com/?code={CODE}&state={request.state}", request.state
        )
    assert records.kept == []


# --- Reprs ---


@pytest.mark.parametrize("kind", [PipedriveOAuth, AsyncPipedriveOAuth])
def test_the_repr_of_a_flow(kind: type[PipedriveOAuth | AsyncPipedriveOAuth]) -> None:
    """It names the app and the service, and not the secret."""
    flow = kind(CREDENTIALS)
    assert repr(flow).startswith(f"{kind.__name__}(AppCredentials(")
    assert CREDENTIALS.client_id in repr(flow)
    assert flow.base_url in repr(flow)
    request = flow.authorization_url()
    assert found(f"{flow!r} {flow} {request!r} {request}", [*ALL, request.state]) == []


def attributes(value: object, known: set[int]) -> str:
    """Write out what a tracker finds that follows attributes and containers of this package."""
    if id(value) in known:
        return ""
    known.add(id(value))
    parts = [repr(value)]
    inner: list[object] = []
    if isinstance(value, dict):
        inner = [*value, *value.values()]
    elif isinstance(value, list | tuple | set | frozenset):
        inner = list(value)
    elif type(value).__module__.startswith("pipedrive_oauth_client"):
        inner = [getattr(value, "__dict__", {})]
    return "\n".join([*parts, *(attributes(each, known) for each in inner)])


def test_no_attribute_of_an_object_is_a_secret() -> None:
    """`vars()` of flows, credentials, tokens, auths and stores, and of what they hold, is clean."""
    token = Token(
        access_token=ACCESS_TOKEN,
        refresh_token=REFRESH_TOKEN,
        api_domain="https://acme.pipedrive.com",
        expires_at=datetime.now(UTC) + timedelta(hours=1),
    )
    store = MemoryTokenStore()
    store.save("1:2", token)
    key = base64.urlsafe_b64encode(bytes(range(32))).decode()
    flow = PipedriveOAuth(CREDENTIALS)
    auth = PipedriveAuth(flow, store, "1:2")
    assert auth.token() == token
    holders = [
        CREDENTIALS,
        token,
        flow,
        AsyncPipedriveOAuth(CREDENTIALS),
        store,
        EncryptedTokenStore(store, [key]),
        auth,
        PipedriveWeb(AsyncPipedriveOAuth(CREDENTIALS), store, secret_keys=[CLIENT_SECRET]),
    ]
    for holder in holders:
        assert found(attributes(holder, set()), [*ALL, key]) == [], type(holder)


# --- Errors ---


@every_step
def test_a_service_that_repeats_what_was_sent(mode: str, step: Step) -> None:
    """What was sent does not come back in a description, a code or a message."""
    answers = [
        answer(
            json.dumps({name: f"Invalid grant: {' '.join(SENT)} is bad"}).encode(), status=status
        )
        for status in (400, 401, 404, 429, 500, 503, 521)
        for name in ("message", "error", "error_description")
    ]
    errors: list[PipedriveOAuthError] = []

    async def ask_for_all(flow: AnyFlow) -> None:
        for _ in answers:
            with pytest.raises(PipedriveOAuthError) as caught:
                await step.take(flow)
            errors.append(caught.value)

    with Wire(in_turn(*answers)) as wire:
        with_flow(mode, wire.url, ask_for_all)
    # Of the secrets here, each step sends a few; no other can come back to it.
    own = [secret for secret in SENT if secret in wire.received.decode("ascii")]
    assert len(own) == 2
    for error in errors:
        assert found(visible(error), [*own, CLIENT_SECRET]) == []
    assert len(errors) == 21
    assert any("<hidden>" in str(error) for error in errors)


@every_step
@pytest.mark.parametrize("location", ["https://evil.example/?{}", "/oauth/{}", "http://[{}"])
def test_a_redirect_that_repeats_what_was_sent(mode: str, step: Step, location: str) -> None:
    """Where a redirect leads to is in no error."""
    where = location.format("&".join(quote(secret, safe="") for secret in ALL))
    with Wire(always(answer(token_body(), status=307, headers={"Location": where}))) as wire:
        error = failure(mode, wire.url, step)
    assert len(wire.requests) == 1
    assert isinstance(error, InvalidResponseError | TransportError)
    if isinstance(error, InvalidResponseError):
        error.headers = None  # the answer's own, for whoever asks for them by name
    assert found(visible(error), ALL) == []


# A code may be as short as a letter, and letters stand in every message.
@pytest.mark.parametrize("code", ["i", "grant", "invalid_grant", "n"])
def test_a_short_secret_does_not_change_the_error(mode: str, code: str) -> None:
    """What is hidden of the answer is read all the same."""

    async def exchange(flow: AnyFlow) -> None:
        with pytest.raises(InvalidGrantError) as caught:
            await flow.exchange(code)
        assert "<hidden>" in str(caught.value)

    bodies = [b'{"error": "invalid_grant", "message": "In grant"}', b'{"message": "Invalid grant"}']
    for body in bodies if code != "invalid_grant" else bodies[:1]:
        with Wire(always(answer(body, status=400))) as wire:
            with_flow(mode, wire.url, exchange)


# --- Whatever the answer is ---


DOCUMENTED: Final = {
    TokenRequestError,
    InvalidGrantError,
    InvalidClientError,
    RateLimitedError,
    ServerError,
    InvalidResponseError,
    UnusableAccessTokenError,
    # Over a redirect that httpx does not understand.
    TransportError,
}

TEXTS: Final = st.text(max_size=40) | st.sampled_from(
    ["", "Bearer", "mac", "invalid_grant", "invalid_client", "3600", "https://acme.pipedrive.com"]
)
ECHOES: Final = TEXTS | st.sampled_from(SENT).map(lambda secret: f"Invalid grant: {secret} is bad")
JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
TOKEN_FIELDS: Final = {
    "access_token": st.just(ACCESS_TOKEN) | JSON,
    "refresh_token": st.just(REFRESH_TOKEN) | JSON,
    "token_type": st.just("Bearer") | JSON,
    "expires_in": st.integers() | JSON,
    "scope": JSON,
    "api_domain": st.just("https://acme.pipedrive.com") | JSON,
}
ERROR_FIELDS: Final = {
    "success": st.just(value=False) | JSON,
    "message": ECHOES | JSON,
    "error": ECHOES | JSON,
    "error_description": ECHOES | JSON,
    "data": st.just(ACCESS_TOKEN),
}
BODIES: Final = st.binary(max_size=200) | st.one_of(
    JSON,
    st.fixed_dictionaries({}, optional=TOKEN_FIELDS),
    st.fixed_dictionaries(TOKEN_FIELDS),
    st.fixed_dictionaries({}, optional=ERROR_FIELDS),
).map(lambda value: json.dumps(value).encode())
VALUES: Final = st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0"), max_size=40)
HEADERS: Final = st.lists(
    st.one_of(
        st.tuples(
            st.just("Retry-After"),
            VALUES
            | st.integers().map(str)
            | st.builds("{}, {}".format, st.sampled_from(["Sun", "Sunday", "Mon"]), VALUES)
            | st.datetimes().map(lambda moment: moment.strftime("%a, %d %b %Y %H:%M:%S GMT"))
            | st.datetimes().map(lambda moment: moment.strftime("%a %b %d %H:%M:%S %Y")),
        ),
        st.tuples(
            st.just("Location"),
            st.sampled_from(
                ["/oauth/token", "/oauth/token/", "https://evil.example", "http://xn--"]
            )
            | VALUES
            | VALUES.map("https://{}".format),
        ),
        st.tuples(
            st.just("Content-Encoding"), st.sampled_from(["gzip", "deflate", "br", "identity", ","])
        ),
        st.tuples(st.just("Content-Type"), VALUES),
        st.tuples(st.just("Set-Cookie"), VALUES),
        st.tuples(st.just("X-Anything"), VALUES),
    ),
    max_size=4,
)
STATUSES: Final = st.sampled_from(
    [200, 200, 200, 201, 204, 301, 302, 303, 307, 308, 400, 401, 403, 404, 429, 500, 503, 520]
) | st.integers(200, 999)


@pytest.mark.parametrize("mode", MODES)
@settings(deadline=None, max_examples=100)
@given(
    step=st.sampled_from(STEPS),
    status=STATUSES,
    headers=HEADERS,
    body=BODIES,
    base_url=st.sampled_from(["https://oauth.pipedrive.com", "https://oauth.example"]),
)
def test_whatever_is_answered(
    mode: str,
    step: Step,
    status: int,
    headers: list[tuple[str, str]],
    body: bytes,
    base_url: str,
) -> None:
    """A token, or a documented error; no secret in either, in what hangs on it, or in a log."""
    sent: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
        return httpx.Response(status, headers=raw, stream=httpx.ByteStream(body))

    result: object = None
    failed: PipedriveOAuthError | None = None
    with talkative() as records:
        try:
            through = {"transport": httpx.MockTransport(handler)}
            result = with_flow(mode, base_url, step.take, through=through)
        except PipedriveOAuthError as error:
            failed = error
    if failed is None:
        assert status == 200
        assert isinstance(result, Token) or (result is None and step.name == "revoke_tokens")
        shown = f"{result!r} {result}"
    else:
        assert type(failed) in DOCUMENTED, repr(failed)
        shown = visible(failed)
    assert 1 <= len(sent) <= 2
    own = [secret for secret in SENT if quote(secret, safe="") in sent[0].content.decode()]
    assert found(shown, [*own, CLIENT_SECRET, BASIC, ACCESS_TOKEN, REFRESH_TOKEN]) == []
    assert found(records.text, ALL) == []
