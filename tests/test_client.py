"""The client: where it sends, with which settings, and over which connections."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import gc
import pickle
import threading
import warnings
import weakref
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import httpx
import pytest
import yaml

from pipedrive_oauth_client import (
    UNSET,
    AuthenticatedClient,
    Client,
    ConfigurationError,
    GetTokensRequest,
    GetTokensResponse,
    OAuthErrorResponse,
    RefreshTokensRequest,
    Response,
    Unset,
)
from tests.support.driver import ASYNC_MODES, Parsed, call, calls, run
from tests.support.mock import mocked
from tests.support.samples import (
    AUTHORIZATION,
    AUTHORIZE,
    GET_TOKENS,
    TOKENS,
    Operation,
    token_body,
)
from tests.support.tls import UNTRUSTING
from tests.support.untyped import untyped
from tests.support.wire import Wire, always, answer, client_of, once

pytestmark = pytest.mark.usefixtures("no_proxy")

OPENAPI: Final = Path(__file__).parents[1] / "openapi.yaml"


class Recorder:
    """Keeps the requests that it answers: redirects at first, where asked for, and then a 503."""

    def __init__(self, *, redirects: int = 0) -> None:
        self._redirects = redirects
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        self.requests.append(request)
        if len(self.requests) > self._redirects:
            return httpx.Response(503)
        return httpx.Response(307, headers={"Location": "https://elsewhere.example/"})

    @property
    def urls(self) -> list[str]:
        """The URLs that were asked for."""
        return [str(request.url) for request in self.requests]

    def sent(self, name: str) -> list[str]:
        """Give the values of a header in the latest request, each time that it was sent."""
        return self.requests[-1].headers.get_list(name)


def ask(mode: str, operation: Operation, client: Client) -> Response[Parsed]:
    """Make one good call."""
    return call(mode, operation.module, client=client, **operation.arguments)


def give(
    mode: str, client: Client, recorder: Recorder, **settings: object
) -> httpx.Client | httpx.AsyncClient:
    """Give a client an httpx client of the caller's own, of the kind that the mode needs."""
    arguments: dict[str, object] = {"transport": httpx.MockTransport(recorder), **settings}
    if mode == "sync":
        own = untyped(httpx.Client)(**arguments)
        assert client.set_httpx_client(own) is client
        return own
    own_async = untyped(httpx.AsyncClient)(**arguments)
    assert client.set_async_httpx_client(own_async) is client
    return own_async


# --- Where it sends ---


def test_the_default_server_is_the_one_of_the_spec() -> None:
    """`Client()` needs no argument, and goes where openapi.yaml says."""
    spec = yaml.safe_load(OPENAPI.read_text("utf-8"))
    with Client() as client:
        assert client.base_url == spec["servers"][0]["url"]
        assert client.get_httpx_client().base_url == httpx.URL(spec["servers"][0]["url"])


def test_the_default_timeout_ends() -> None:
    """No step of a request waits without end unless that is asked for."""
    with Client() as client:
        timeout = client.get_httpx_client().timeout
    for seconds in (timeout.connect, timeout.read, timeout.write, timeout.pool):
        assert seconds is not None
        assert 0 < seconds <= 60


@pytest.mark.parametrize(
    ("settings", "verify"),
    [({}, True), ({"verify_ssl": UNTRUSTING}, UNTRUSTING), ({"verify_ssl": False}, False)],
    ids=["default", "context", "off"],
)
def test_the_server_s_certificate_is_checked_unless_told_otherwise(
    mode: str, settings: dict[str, object], verify: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a word from the user, TLS is verified against the usual authorities."""
    kind = httpx.Client if mode == "sync" else httpx.AsyncClient
    make = kind.__init__
    seen: list[object] = []

    def record(self: object, **arguments: object) -> None:
        seen.append(arguments["verify"])
        untyped(make)(self, **arguments)

    monkeypatch.setattr(kind, "__init__", record)
    arguments = {"transport": httpx.MockTransport(Recorder())}
    client = untyped(Client)("https://oauth.example", httpx_args=arguments, **settings)
    ask(mode, GET_TOKENS, client)
    assert seen == [verify]


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("https://oauth.pipedrive.com", "https://oauth.pipedrive.com"),
        ("https://oauth.pipedrive.com/", "https://oauth.pipedrive.com"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://[::1]:8080/", "http://[::1]:8080"),
        ("https://example.com/a/b/", "https://example.com/a/b"),
        ("https://b\u00fccher.example", "https://b\u00fccher.example"),
        ("HTTPS://EXAMPLE.COM", "HTTPS://EXAMPLE.COM"),
    ],
)
def test_a_base_url_is_kept_without_the_slash_at_its_end(given: str, used: str) -> None:
    """The root of a server is taken in any of its spellings."""
    assert client_of(given).base_url == used


@pytest.mark.parametrize(
    "base_url",
    [
        *("", " ", "/", "oauth.pipedrive.com", "//oauth.pipedrive.com", "x"),
        *("ftp://example.com", "file:///etc", "https:", "https://", "https:///path", "https:/x"),
        *("https://user@example.com", "https://user:pw@example.com", "https://:pw@example.com"),
        *("https://example.com?", "https://example.com?a=b", "https://example.com/?a=b"),
        *("https://example.com#", "https://example.com/#f", "https://example.com/a#f"),
        *(" https://example.com", "https://example.com ", "https://exa mple.com"),
        *("https://example.com\n", "https://exam\nple.com", "https://example.com\x00"),
        *("https://[::1", "https://[x", "https://example.com:port", "https://example.com:99999"),
        *("https://example.com:0", "https://..", "https://xn--a", "https://\ud800.example"),
        *("https://example.com\\@evil.example", "http://\\evil.example"),
        *(None, 5, b"https://example.com", ["https://example.com"], httpx.URL("https://x.example")),
    ],
)
def test_a_base_url_that_is_no_server_s_root_is_refused(base_url: object) -> None:
    """A mistake in the server's address shows when the client is made, and not at a customer's."""
    with pytest.raises(ConfigurationError, match="base_url"):
        untyped(Client)(base_url)


# --- Settings ---


@pytest.mark.parametrize("seconds", [-1, -0.5, 0, float("nan"), float("inf"), "30", True, [1]])
def test_a_timeout_that_is_no_duration_is_refused(seconds: object) -> None:
    """Seconds are a number above zero, and None says that there is no limit."""
    with pytest.raises(ConfigurationError, match="timeout"):
        untyped(Client)(timeout=seconds)
    with pytest.raises(ConfigurationError, match="timeout"):
        untyped(client_of("https://oauth.example").with_timeout)(seconds)


@pytest.mark.parametrize(
    ("timeout", "expected"),
    [
        (None, httpx.Timeout(None)),
        (5, httpx.Timeout(5)),
        (0.25, httpx.Timeout(0.25)),
        (httpx.Timeout(3, connect=1), httpx.Timeout(3, connect=1)),
    ],
)
def test_a_timeout_of_one_s_own_is_used(
    mode: str, timeout: httpx.Timeout | float | None, expected: httpx.Timeout
) -> None:
    """It may be seconds, an `httpx.Timeout`, or None for no limit."""
    recorder = Recorder()
    for client in (mocked(recorder, timeout=timeout), mocked(recorder).with_timeout(timeout)):
        assert ask(mode, GET_TOKENS, client).status_code == 503
        assert recorder.requests[-1].extensions["timeout"] == expected.as_dict()


@pytest.mark.parametrize("size", [None, "1", 1.5, [1]])
def test_a_largest_size_that_is_no_number_is_refused(size: object) -> None:
    """The size is a count of bytes."""
    with pytest.raises(ConfigurationError, match="max_response_bytes"):
        untyped(Client)(max_response_bytes=size)


@pytest.mark.parametrize("name", ["follow_redirects", "raise_on_unexpected_status"])
@pytest.mark.parametrize("value", ["no", 1, 0, None])
def test_a_switch_that_is_neither_on_nor_off_is_refused(name: str, value: object) -> None:
    """A word like "no" does not switch anything on."""
    with pytest.raises(ConfigurationError, match=name):
        untyped(Client)(**{name: value})


def test_headers_and_cookies_go_with_every_request(mode: str, grant: Operation) -> None:
    """What the client was made with is sent."""
    recorder = Recorder()
    client = mocked(recorder, headers={"X-One": "1"}, cookies={"a": "1", "b": "2"})
    ask(mode, grant, client)
    assert recorder.sent("x-one") == ["1"]
    assert recorder.sent("cookie") == ["a=1; b=2"]


def test_with_headers_leaves_the_client_as_it_is(mode: str, grant: Operation) -> None:
    """The new client sends more, the old one what it sent before, also after a request."""
    recorder = Recorder()
    old = mocked(recorder, headers={"X-One": "1", "X-Two": "2"})
    ask(mode, grant, old)
    new = old.with_headers({"X-Two": "two", "X-Three": "3"})
    ask(mode, grant, new)
    sent = [recorder.sent(name) for name in ("x-one", "x-two", "x-three")]
    assert sent == [["1"], ["two"], ["3"]]
    ask(mode, grant, old)
    sent = [recorder.sent(name) for name in ("x-one", "x-two", "x-three")]
    assert sent == [["1"], ["2"], []]


def test_with_headers_replaces_a_header_in_any_case_of_letters(mode: str) -> None:
    """Names of headers don't care about case (RFC 9110, section 5.1), so none goes out twice."""
    recorder = Recorder()
    client = mocked(recorder, headers={"X-One": "1"}).with_headers({"x-ONE": "one"})
    ask(mode, GET_TOKENS, client)
    assert recorder.sent("x-one") == ["one"]


def test_with_cookies_leaves_the_client_as_it_is(mode: str, grant: Operation) -> None:
    """The new client sends more, the old one what it sent before."""
    recorder = Recorder()
    old = mocked(recorder, cookies={"a": "1", "b": "2"})
    new = old.with_cookies({"b": "two", "c": "3"})
    ask(mode, grant, new)
    assert recorder.sent("cookie") == ["a=1; b=two; c=3"]
    ask(mode, grant, old)
    assert recorder.sent("cookie") == ["a=1; b=2"]


def test_with_timeout_leaves_the_client_as_it_is(mode: str, grant: Operation) -> None:
    """The new client waits for another time, the old one as long as before."""
    recorder = Recorder()
    old = mocked(recorder, timeout=7)
    ask(mode, grant, old.with_timeout(3))
    assert recorder.requests[-1].extensions["timeout"]["read"] == 3
    ask(mode, grant, old)
    assert recorder.requests[-1].extensions["timeout"]["read"] == 7


def test_a_derived_client_keeps_everything_else(mode: str) -> None:
    """Server, size, statuses, token and the rest come along."""
    recorder = Recorder()
    old = AuthenticatedClient(
        "https://oauth.example/path",
        token="t",
        prefix="Token",
        max_response_bytes=20,
        raise_on_unexpected_status=True,
        verify_ssl=UNTRUSTING,
        httpx_args={"transport": httpx.MockTransport(recorder)},
    )
    for new in (old.with_headers({"a": "b"}), old.with_cookies({"a": "b"}), old.with_timeout(1)):
        assert type(new) is AuthenticatedClient
        assert new.raise_on_unexpected_status is True
        assert new.max_response_bytes == 20
        ask(mode, AUTHORIZE, new)
        assert recorder.urls[-1].startswith("https://oauth.example/path/oauth/authorize?")
        assert recorder.sent("authorization") == ["Token t"]


def test_a_derived_client_has_connections_of_its_own() -> None:
    """Closing one of two does not close the other's."""
    with Wire(always(answer(token_body()))) as wire, wire.client() as old:
        with old.with_headers({"X": "1"}) as new:
            assert new.get_httpx_client() is not old.get_httpx_client()
        assert new.get_httpx_client().is_closed is False
        assert old.get_httpx_client().is_closed is False
        new.close()


@pytest.mark.parametrize("kind", ["sync", "asyncio"])
@pytest.mark.parametrize(
    "derive",
    [
        lambda client: client.with_headers({"X": "1"}),
        lambda client: client.with_cookies({"x": "1"}),
        lambda client: client.with_timeout(1),
    ],
    ids=["with_headers", "with_cookies", "with_timeout"],
)
def test_what_only_the_given_httpx_client_knows_can_not_be_derived(
    kind: str, derive: Callable[[Client], Client]
) -> None:
    """A change that would have no effect is refused."""
    client = client_of("https://oauth.example")
    give(kind, client, Recorder())
    with pytest.raises(ConfigurationError, match="was given to it"):
        derive(client)


def test_the_mappings_that_were_passed_are_not_changed(mode: str) -> None:
    """The caller's own headers and cookies stay the caller's."""
    headers, cookies = {"X": "1"}, {"c": "1"}
    client = AuthenticatedClient(
        "https://oauth.example",
        token="t",
        headers=headers,
        cookies=cookies,
        httpx_args={"transport": httpx.MockTransport(Recorder())},
    )
    ask(mode, AUTHORIZE, client)
    client.with_headers({"Y": "2"}).with_cookies({"d": "2"})
    assert (headers, cookies) == ({"X": "1"}, {"c": "1"})


# --- An httpx client of the caller's own ---


def test_a_given_client_goes_to_its_own_base_url(mode: str, grant: Operation) -> None:
    """Where the given httpx client names a server, that one is asked."""
    recorder = Recorder()
    client = client_of("https://not-this.example")
    give(mode, client, recorder, base_url="https://own.example/base/")
    ask(mode, grant, client)
    path = grant.method_and_path.removeprefix("POST ")
    assert recorder.urls == [f"https://own.example/base{path}"]


def test_a_given_client_without_a_base_url_goes_to_the_client_s(
    mode: str, grant: Operation
) -> None:
    """Where the given httpx client names no server, this client's is asked."""
    recorder = Recorder()
    client = client_of("https://this.example/base")
    give(mode, client, recorder)
    ask(mode, grant, client)
    path = grant.method_and_path.removeprefix("POST ")
    assert recorder.urls == [f"https://this.example/base{path}"]


def test_a_given_client_uses_its_own_settings(mode: str, grant: Operation) -> None:
    """Headers, cookies and timeout are those of the given httpx client."""
    recorder = Recorder()
    client = client_of(
        "https://this.example", headers={"X": "this"}, cookies={"c": "this"}, timeout=1
    )
    give(mode, client, recorder, headers={"X": "own"}, cookies={"c": "own"}, timeout=9)
    ask(mode, grant, client)
    assert (recorder.sent("x"), recorder.sent("cookie")) == (["own"], ["c=own"])
    assert recorder.requests[-1].extensions["timeout"]["read"] == 9


def test_a_given_client_is_never_closed(mode: str, grant: Operation) -> None:
    """Who opened it closes it: leaving `with`, `close` and `aclose` let it be."""
    recorder = Recorder()
    client = client_of("https://this.example")
    own = give(mode, client, recorder)
    for _ in range(2):
        ask(mode, grant, client)
    assert len(recorder.requests) == 2
    assert own.is_closed is False


def test_a_given_client_that_is_closed_is_refused(mode: str, grant: Operation) -> None:
    """The error says so, in place of one about the state of something unseen."""
    recorder = Recorder()
    client = client_of("https://this.example")
    own = give(mode, client, recorder)
    if isinstance(own, httpx.Client):
        own.close()
    else:
        run(mode, own.aclose)
    with pytest.raises(ConfigurationError, match="is closed"):
        ask(mode, grant, client)
    assert recorder.requests == []


def test_something_else_than_an_httpx_client_can_not_be_given() -> None:
    """The two kinds of httpx client can't stand in for each other."""
    client = client_of("https://this.example")
    own, own_async = httpx.Client(verify=UNTRUSTING), httpx.AsyncClient(verify=UNTRUSTING)
    not_sync: list[object] = [own_async, None, httpx.Client]
    for wrong in not_sync:
        with pytest.raises(ConfigurationError, match=r"httpx\.Client"):
            untyped(client.set_httpx_client)(wrong)
    not_async: list[object] = [own, None, httpx.AsyncClient]
    for wrong in not_async:
        with pytest.raises(ConfigurationError, match=r"httpx\.AsyncClient"):
            untyped(client.set_async_httpx_client)(wrong)


@pytest.mark.parametrize("given_follows", [False, True])
@pytest.mark.parametrize("follows", [False, True])
def test_only_the_client_s_own_word_on_redirects_counts(
    mode: str, grant: Operation, *, given_follows: bool, follows: bool
) -> None:
    """A given httpx client that follows redirects does not carry the credentials along."""
    recorder = Recorder(redirects=1)
    client = client_of("https://this.example", follow_redirects=follows)
    give(mode, client, recorder, follow_redirects=given_follows)
    response = ask(mode, grant, client)
    assert (response.status_code, len(recorder.requests)) == ((503, 2) if follows else (307, 1))


def test_redirects_in_httpx_args_do_not_count(mode: str) -> None:
    """Only the client's own setting lets redirects be followed."""
    recorder = Recorder(redirects=1)
    arguments = {"transport": httpx.MockTransport(recorder), "follow_redirects": True}
    ask(mode, GET_TOKENS, client_of("https://this.example", httpx_args=arguments))
    assert len(recorder.requests) == 1


def test_httpx_args_that_httpx_does_not_know_are_refused(mode: str) -> None:
    """A mistyped setting is named as one of the configuration."""
    with pytest.raises(ConfigurationError):
        ask(mode, GET_TOKENS, client_of("https://this.example", httpx_args={"no_such": 1}))


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "all_proxy"])
def test_an_invalid_proxy_of_the_environment_is_named(
    mode: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The error names the environment variable, and not the address, which may hold a password."""
    monkeypatch.setenv(name, "nothing://user:planted@proxy.example")
    with pytest.raises(ConfigurationError, match=f"environment variable {name.upper()}") as caught:
        ask(mode, GET_TOKENS, client_of("https://this.example"))
    assert "planted" not in str(caught.value)


# --- Who authorizes ---


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [
        ({}, "authorization", "Bearer the-token"),
        ({"prefix": "Token"}, "authorization", "Token the-token"),
        ({"prefix": ""}, "authorization", "the-token"),
        ({"auth_header_name": "X-Api-Key", "prefix": ""}, "x-api-key", "the-token"),
    ],
)
def test_an_authenticated_client_sends_its_token(
    mode: str, settings: dict[str, str], name: str, value: str
) -> None:
    """An operation that takes no credentials as an argument goes out with the token."""
    recorder = Recorder()
    client = untyped(AuthenticatedClient)(
        "https://oauth.example",
        token="the-token",
        httpx_args={"transport": httpx.MockTransport(recorder)},
        **settings,
    )
    ask(mode, AUTHORIZE, client)
    assert recorder.sent(name) == [value]


def test_the_authorization_argument_wins_over_the_token(mode: str, grant: Operation) -> None:
    """The app's credentials go out alone, whatever the client would have sent."""
    recorder = Recorder()
    client = AuthenticatedClient(
        "https://oauth.example",
        token="the-token",
        headers={"authorization": "Basic other"},
        httpx_args={"transport": httpx.MockTransport(recorder)},
    )
    ask(mode, grant, client)
    assert recorder.sent("authorization") == [AUTHORIZATION]


def test_a_token_wins_over_a_header_of_the_same_name(mode: str) -> None:
    """One `Authorization` goes out, in whatever case its name was written."""
    recorder = Recorder()
    client = AuthenticatedClient(
        "https://oauth.example",
        token="the-token",
        headers={"authorization": "Basic other"},
        httpx_args={"transport": httpx.MockTransport(recorder)},
    )
    ask(mode, AUTHORIZE, client)
    assert recorder.sent("authorization") == ["Bearer the-token"]


def test_the_authorization_argument_wins_over_the_auth_of_httpx_args(
    mode: str, grant: Operation
) -> None:
    """Credentials of another kind in `httpx_args` do not replace those of the argument."""
    recorder = Recorder()
    arguments = {"transport": httpx.MockTransport(recorder), "auth": ("user", "password")}
    ask(mode, grant, client_of("https://oauth.example", httpx_args=arguments))
    assert recorder.sent("authorization") == [AUTHORIZATION]


def test_the_authorization_argument_wins_over_a_given_client_s_auth(
    mode: str, grant: Operation
) -> None:
    """An httpx client that authorizes API calls can carry token requests, too."""
    recorder = Recorder()
    client = client_of("https://oauth.example")
    give(mode, client, recorder, auth=("user", "password"))
    ask(mode, grant, client)
    assert recorder.sent("authorization") == [AUTHORIZATION]


def test_a_given_client_s_auth_is_used_where_no_argument_says_otherwise(mode: str) -> None:
    """An operation without credentials of its own leaves the given httpx client's in force."""
    recorder = Recorder()
    client = client_of("https://oauth.example")
    give(mode, client, recorder, auth=("user", "password"))
    ask(mode, AUTHORIZE, client)
    assert recorder.sent("authorization") == ["Basic dXNlcjpwYXNzd29yZA=="]


# --- Connections ---


def test_calls_share_a_connection(mode: str, grant: Operation) -> None:
    """Within one thread or event loop, the connection is kept between calls."""
    with Wire(always(answer(token_body()))) as wire:
        calls(mode, grant.module, client=wire.client(), count=3, **grant.arguments)
    assert (len(wire.peers), len(wire.requests)) == (1, 3)


def test_a_closed_client_can_be_used_again(mode: str, grant: Operation) -> None:
    """After `with` or `async with`, the next call opens a new connection."""
    with Wire(always(answer(token_body()))) as wire:
        client = wire.client()
        for _ in range(3):
            response = ask(mode, grant, client)
            assert isinstance(response.parsed, GetTokensResponse)
    assert (len(wire.peers), len(wire.requests)) == (3, 3)


def test_closing_twice_does_no_harm(mode: str) -> None:
    """A client that has nothing open can be closed."""
    client = client_of("https://oauth.example")
    if mode == "sync":
        with client as entered:
            assert entered is client
            client.get_httpx_client()
            client.close()
            client.close()
        return

    async def main() -> None:
        async with client as entered:
            assert entered is client
            client.get_async_httpx_client()
            await client.aclose()
            await client.aclose()

    run(mode, main)


def test_closing_closes_the_httpx_client() -> None:
    """What this client made, it closes, and makes anew when it is needed."""
    client = client_of("https://oauth.example")
    first = client.get_httpx_client()
    assert client.get_httpx_client() is first
    client.close()
    assert first.is_closed
    second = client.get_httpx_client()
    assert second is not first
    assert not second.is_closed
    client.close()


def test_threads_that_start_together_get_one_httpx_client(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No thread makes a second one, whose connections nobody would close."""
    threads = 32
    client = client_of("https://oauth.example")
    start = threading.Barrier(threads, timeout=60)
    # Whoever makes a client waits a moment for a second thread to do the same.
    company = threading.Barrier(2, timeout=60)
    made: list[httpx.Client] = []
    make = httpx.Client.__init__

    def slow(self: httpx.Client, **arguments: object) -> None:
        with contextlib.suppress(threading.BrokenBarrierError):
            company.wait(0.05)
        untyped(make)(self, **arguments)
        made.append(self)

    monkeypatch.setattr(httpx.Client, "__init__", slow)

    def get(_: int) -> httpx.Client:
        start.wait(20)
        return client.get_httpx_client()

    with ThreadPoolExecutor(threads) as pool:
        got = list(pool.map(get, range(threads)))
    assert len(made) == 1
    assert {id(each) for each in got} == {id(made[0])}
    client.close()


@pytest.mark.parametrize("kind", ASYNC_MODES)
def test_tasks_of_one_event_loop_get_one_httpx_client(kind: str) -> None:
    """Within an event loop it is always the same; another loop gets another."""
    client = client_of("https://oauth.example")

    async def main() -> httpx.AsyncClient:
        async with client:
            first = client.get_async_httpx_client()
            assert client.get_async_httpx_client() is first
        assert first.is_closed
        return first

    first, second = run(kind, main), run(kind, main)
    assert first is not second


def test_one_client_serves_event_loops_one_after_the_other(grant: Operation) -> None:
    """A connection that a finished loop left open is not taken up by the next one."""
    asyncio_detailed: Callable[..., Awaitable[Response[Parsed]]] = grant.module.asyncio_detailed

    async def main(client: Client) -> Response[Parsed]:
        await asyncio_detailed(client=client, **grant.arguments)
        return await asyncio_detailed(client=client, **grant.arguments)

    with Wire(always(answer(token_body()))) as wire, warnings.catch_warnings():
        # Python warns of the connection that nobody closed, which is the point here.
        warnings.simplefilter("ignore", ResourceWarning)
        client = wire.client()
        for _ in range(3):
            response = asyncio.run(main(client))
            assert isinstance(response.parsed, GetTokensResponse)
        asyncio.run(client.aclose())
        del client
        gc.collect()
    assert (len(wire.peers), len(wire.requests)) == (3, 6)


def test_a_closed_event_loop_is_forgotten() -> None:
    """The httpx client of a loop that is gone goes with the next request, connections included."""
    asyncio_detailed: Callable[..., Awaitable[object]] = GET_TOKENS.module.asyncio_detailed

    async def main(client: Client) -> weakref.ref[httpx.AsyncClient]:
        await asyncio_detailed(client=client, **GET_TOKENS.arguments)
        return weakref.ref(client.get_async_httpx_client())

    with Wire(always(answer(token_body()))) as wire, warnings.catch_warnings():
        # Python warns of the connections that nobody closed, which is the point here.
        warnings.simplefilter("ignore", ResourceWarning)
        client = wire.client()
        kept = [asyncio.run(main(client)) for _ in range(4)]
        gc.collect()
        assert [reference() is None for reference in kept] == [True, True, True, False]
        del client
        gc.collect()


def test_event_loops_in_two_threads_work_side_by_side(grant: Operation) -> None:
    """Each loop has its own connections, and closing one's leaves the other's open."""
    asyncio_detailed: Callable[..., Awaitable[Response[Parsed]]] = grant.module.asyncio_detailed
    barrier = threading.Barrier(2, timeout=60)

    async def main(client: Client, *, closes_first: bool) -> int:
        async with client:
            await asyncio_detailed(client=client, **grant.arguments)
            await asyncio.to_thread(barrier.wait, 20)  # both are connected
            if closes_first:
                await client.aclose()
            await asyncio.to_thread(barrier.wait, 20)  # one of them is closed
            return (await asyncio_detailed(client=client, **grant.arguments)).status_code

    with Wire(always(answer(token_body()))) as wire, ThreadPoolExecutor(2) as pool:
        client = wire.client()
        futures = [
            pool.submit(lambda first: asyncio.run(main(client, closes_first=first)), first)
            for first in (True, False)
        ]
        assert [future.result(20) for future in futures] == [200, 200]
    assert sorted(len(peer.requests) for peer in wire.peers) == [1, 1, 2]


def test_sync_and_async_calls_of_one_client_do_not_mix(grant: Operation) -> None:
    """A client that serves both kinds keeps their connections apart."""
    with Wire(always(answer(token_body()))) as wire:
        client = wire.client()
        for mode in ("sync", *ASYNC_MODES, "sync"):
            assert ask(mode, grant, client).status_code == 200
    assert len(wire.peers) == 4


def test_closing_leaves_nothing_open(mode: str, grant: Operation) -> None:
    """After `with`, no connection is left for Python to warn of, not even after a broken answer."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with Wire(once(answer(token_body())), once(b"HTTP/1.1 200 OK\r\n")) as wire:
            client = wire.client()
            ask(mode, grant, client)
            with pytest.raises(Exception, match=r"the connection to .* broke"):
                ask(mode, grant, client)
        del client
        gc.collect()
    assert [str(each.message) for each in caught] == []


def test_outside_an_event_loop_there_is_no_async_httpx_client() -> None:
    """The mistake is named as one of usage, in the package's own words."""
    with pytest.raises(ConfigurationError, match="event loop"):
        client_of("https://oauth.example").get_async_httpx_client()


# --- Values ---


def test_unset_is_one_object() -> None:
    """`is UNSET` holds after making, copying and pickling it."""
    assert Unset() is UNSET
    assert copy.copy(UNSET) is UNSET
    assert copy.deepcopy(UNSET) is UNSET
    assert copy.deepcopy([UNSET])[0] is UNSET
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(UNSET, protocol)) is UNSET  # noqa: S301 - our own bytes
    assert not UNSET
    assert repr(UNSET) == "UNSET"


def _models() -> list[object]:
    response = GetTokensResponse.from_dict({**TOKENS, "more": {"a": [1]}})
    form = GetTokensRequest(code="c")
    form["extra"] = "1"
    return [
        response,
        GetTokensResponse("a", "Bearer", 1),
        form,
        RefreshTokensRequest(refresh_token="r"),
        OAuthErrorResponse(success=False, error="invalid_grant"),
    ]


@pytest.mark.parametrize("index", range(len(_models())))
def test_models_are_values(index: int) -> None:
    """Models of the same content are equal, and so are copies and what comes out of a pickle."""
    model = _models()[index]
    assert model == _models()[index]
    assert copy.copy(model) == model
    assert copy.deepcopy(model) == model
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(model, protocol)) == model  # noqa: S301 - our own bytes
    assert [other == model for other in _models()].count(True) == 1


def test_a_deep_copy_shares_nothing() -> None:
    """Changing the copy's unknown fields leaves the model as it was."""
    model = GetTokensResponse.from_dict({**TOKENS, "more": [1]})
    copied = copy.deepcopy(model)
    copied["more"].append(2)
    copied.access_token = "other"
    assert model.to_dict() == {**TOKENS, "more": [1]}


def test_a_pickled_model_keeps_unset(grant: Operation) -> None:
    """A field that was not there is still not there on the other side."""
    del grant
    model = GetTokensResponse("a", "Bearer", 1)
    again: GetTokensResponse = pickle.loads(pickle.dumps(model))  # noqa: S301 - our own bytes
    assert again.refresh_token is UNSET
    assert "refresh_token" not in again.to_dict()


def test_clients_are_told_apart() -> None:
    """A client is a place with connections not a value: it equals itself only, and can be a key."""
    one, other = client_of("https://oauth.example"), client_of("https://oauth.example")
    assert one != other
    assert len({one, other, one}) == 2
