"""What is made of connections that fail, and of answers that never end or can't be unpacked."""

from __future__ import annotations

import gzip
import socket
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Final, NoReturn

import anyio
import anyio.lowlevel
import httpx
import pytest

from pipedrive_oauth_client import (
    Client,
    ConfigurationError,
    GetTokensResponse,
    InvalidResponseError,
    PipedriveOAuthError,
    TransportError,
)
from tests.support.driver import call, run
from tests.support.mock import answering, mocked
from tests.support.samples import (
    AUTHORIZATION,
    AUTHORIZE,
    GET_TOKENS,
    SECRETS,
    Operation,
    token_body,
)
from tests.support.sweep import found, visible
from tests.support.wire import (
    Peer,
    Script,
    Wire,
    always,
    answer,
    client_of,
    once,
    refusing,
    silent,
)

pytestmark = pytest.mark.usefixtures("no_proxy")


# Only the wait for an answer is short: a slow machine must not fail to connect.
IMPATIENT: Final = httpx.Timeout(20, read=0.05)


def failure(mode: str, operation: Operation, client: Client) -> PipedriveOAuthError:
    """Make a call that fails; check that its error shows no secret, and give it."""
    with pytest.raises(PipedriveOAuthError) as caught:
        call(mode, operation.module, client=client, **operation.arguments)
    assert found(visible(caught.value), SECRETS) == []
    return caught.value


def unsent(mode: str, operation: Operation, client: Client) -> TransportError:
    """Make a call that can't reach the service, and check what its error says."""
    error = failure(mode, operation, client)
    assert isinstance(error, TransportError)
    assert error.maybe_sent is False
    assert isinstance(error.__cause__, httpx.TransportError)
    assert operation.method_and_path in str(error)
    assert "Nothing was sent" in str(error)
    assert "try again" in str(error)
    return error


def broken(mode: str, operation: Operation, client: Client) -> TransportError:
    """Make a call whose answer doesn't arrive whole, and check what its error says."""
    error = failure(mode, operation, client)
    assert isinstance(error, TransportError)
    assert error.maybe_sent is True
    assert isinstance(error.__cause__, httpx.TransportError)
    assert operation.method_and_path in str(error)
    assert "may have acted on it" in str(error)
    assert "before you repeat it" in str(error)
    return error


# --- The request never leaves ---


def test_a_refused_connection(mode: str, grant: Operation) -> None:
    """Where nobody listens, nothing was sent."""
    with refusing() as authority:
        error = unsent(mode, grant, client_of(f"http://{authority}"))
    assert isinstance(error.__cause__, httpx.ConnectError)
    assert str(error).startswith(f"Cannot connect to http://{authority}: connection refused.")


@pytest.mark.parametrize("where", ["cause", "context", "group"])
def test_no_failure_keeps_its_request(mode: str, grant: Operation, where: str) -> None:
    """The request of a failure, and of those that led to it, has lost header, query and form."""
    raised: list[httpx.HTTPError] = []

    def fail(request: httpx.Request) -> httpx.Response:
        # As a transport that tries again would: the first failures hang on the last one.
        response = httpx.Response(503, request=request)
        first = httpx.HTTPStatusError("first", request=request, response=response)
        second = httpx.ReadError("second", request=request)
        last = httpx.ConnectError("last", request=request)
        raised.extend([first, second, last])
        second.__context__ = first
        inner: BaseException = ExceptionGroup("both", [second]) if where == "group" else second
        if where == "context":
            last.__context__ = inner
        else:
            last.__cause__ = inner
        raise last

    error = failure(mode, grant, mocked(fail))
    assert error.__cause__ is raised[-1]
    assert len(raised) == 3
    for each in raised:
        assert (each.request.method, each.request.content) == (grant.method_and_path[:4], b"")
        assert "authorization" not in each.request.headers
        assert each.request.url.path == grant.method_and_path[5:]
    assert isinstance(raised[0], httpx.HTTPStatusError)
    assert "authorization" not in raised[0].response.request.headers


def test_a_host_without_an_address(
    mode: str, grant: Operation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that no name server knows is told from a server that is down."""

    def unknown(*_: object, **__: object) -> NoReturn:
        raise socket.gaierror(socket.EAI_NONAME, "as the system words it")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    error = unsent(mode, grant, client_of("http://nothing.invalid"))
    assert "http://nothing.invalid: host not found." in str(error)


def test_a_server_that_does_not_speak_tls(mode: str, grant: Operation) -> None:
    """No part of the request follows a handshake that fails."""

    def speak_plainly(peer: Peer) -> None:
        peer.send(answer(status=400))
        peer.read_to_end()

    with Wire(speak_plainly) as wire:
        error = unsent(mode, grant, client_of(f"https://{wire.authority}"))
    assert isinstance(error.__cause__, httpx.ConnectError)
    assert wire.received[:1] == b"\x16", "a TLS handshake record"
    assert found(wire.received.decode("latin-1"), SECRETS) == []


def test_a_proxy_that_refuses_the_connection(mode: str, grant: Operation) -> None:
    """Where the proxy can't be reached, the request stays here."""
    with refusing() as authority:
        arguments = {"proxy": f"http://{authority}"}
        error = unsent(mode, grant, client_of("https://oauth.example", httpx_args=arguments))
    assert isinstance(error.__cause__, httpx.ConnectError)


@pytest.mark.parametrize("status", [403, 407, 502])
def test_a_proxy_that_refuses_the_tunnel(mode: str, grant: Operation, status: int) -> None:
    """A proxy that opens no tunnel learns the host, and nothing of the request."""
    with Wire(always(answer(status=status))) as wire:
        arguments = {"proxy": wire.url}
        error = unsent(mode, grant, client_of("https://oauth.example", httpx_args=arguments))
    assert isinstance(error.__cause__, httpx.ProxyError)
    assert [request.split(b" ")[0] for request in wire.requests] == [b"CONNECT"]
    assert found(wire.received.decode("latin-1"), SECRETS) == []


# --- The request leaves, and the answer does not arrive whole ---


def reset(peer: Peer) -> None:
    """Take the request and drop the connection."""
    peer.read_request()
    peer.reset()


def half_close(peer: Peer) -> None:
    """Take the request, say that no answer will come, and keep the connection."""
    peer.read_request()
    peer.half_close()
    peer.read_to_end()


JSON_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNK: Final = b"%x\r\n%b\r\n" % (len(token_body()), token_body())

BREAKS: Final = [
    pytest.param(reset, httpx.ReadError, id="reset before the answer"),
    pytest.param(once(b""), httpx.RemoteProtocolError, id="closed before the answer"),
    pytest.param(half_close, httpx.RemoteProtocolError, id="half-closed before the answer"),
    pytest.param(once(b"HTTP/1.1 20"), httpx.RemoteProtocolError, id="cut in the status line"),
    pytest.param(
        once(JSON_HEAD + b"Content-Le"), httpx.RemoteProtocolError, id="cut in the headers"
    ),
    pytest.param(
        once(JSON_HEAD + b"Content-Length: 9000\r\n\r\n" + token_body()),
        httpx.RemoteProtocolError,
        id="cut in the body",
    ),
    pytest.param(
        once(JSON_HEAD + b"Content-Length: 9000\r\n\r\n"),
        httpx.RemoteProtocolError,
        id="cut before the body",
    ),
    pytest.param(
        once(JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNK),
        httpx.RemoteProtocolError,
        id="no last chunk",
    ),
    pytest.param(
        once(JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\nffff\r\n" + token_body()),
        httpx.RemoteProtocolError,
        id="cut in a chunk",
    ),
    pytest.param(
        once(JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
        httpx.RemoteProtocolError,
        id="chunk of no length",
    ),
    pytest.param(
        once(JSON_HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n12345"),
        httpx.RemoteProtocolError,
        id="two lengths",
    ),
    pytest.param(
        once(JSON_HEAD + b"Content-Length: many\r\n\r\n"),
        httpx.RemoteProtocolError,
        id="no length",
    ),
    pytest.param(
        once(b"HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n"),
        httpx.RemoteProtocolError,
        id="no status",
    ),
    pytest.param(
        once(b"SSH-2.0-OpenSSH_9.9\r\n"), httpx.RemoteProtocolError, id="another protocol"
    ),
    pytest.param(
        once(b"\x15\x03\x03\x00\x02\x02\x46" + b"\r\n\r\n"),
        httpx.RemoteProtocolError,
        id="tls where none was asked for",
    ),
    pytest.param(
        once(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300_000),
        httpx.RemoteProtocolError,
        id="header without end",
    ),
]


@pytest.mark.parametrize(("script", "cause"), BREAKS)
def test_an_answer_that_breaks_off(
    mode: str, grant: Operation, script: Script, cause: type[Exception]
) -> None:
    """The service may have acted on the request, so the error says so; it is not sent again."""
    with Wire(script) as wire:
        error = broken(mode, grant, wire.client())
    assert isinstance(error.__cause__, cause)
    assert len(wire.requests) == 1
    assert "failed: the connection to" in str(error)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(silent, id="no answer"),
        pytest.param(
            lambda peer: (peer.read_request(), peer.send(JSON_HEAD), peer.read_to_end()),
            id="half of the headers",
        ),
        pytest.param(
            lambda peer: (
                peer.read_request(),
                peer.send(JSON_HEAD + b"Content-Length: 9000\r\n\r\n" + token_body()),
                peer.read_to_end(),
            ),
            id="half of the body",
        ),
    ],
)
def test_an_answer_that_does_not_come_in_time(mode: str, grant: Operation, script: Script) -> None:
    """Silence ends with the timeout, at whatever point of the answer."""
    with Wire(script) as wire:
        error = broken(mode, grant, wire.client(timeout=IMPATIENT))
    assert isinstance(error.__cause__, httpx.ReadTimeout)
    assert "timed out" in str(error)
    assert len(wire.peers) == 1


class Dripping(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body whose parts arrive one second after another."""

    def __init__(self, parts: list[bytes]) -> None:
        self.parts = parts
        self.seconds = 0.0

    def __iter__(self) -> Iterator[bytes]:
        for part in self.parts:
            self.seconds += 1
            yield part

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self:
            await anyio.lowlevel.checkpoint()
            yield part


@pytest.fixture
def dripping(monkeypatch: pytest.MonkeyPatch) -> Dripping:
    """Give a body without end, and let its seconds be the time."""
    body = Dripping([b" "] * 100_000)
    monkeypatch.setattr("pipedrive_oauth_client.generated.body.monotonic", lambda: body.seconds)
    return body


def test_an_answer_that_drips_ends_with_the_time_limit(
    mode: str, grant: Operation, dripping: Dripping
) -> None:
    """The limit for a step is that of the whole body as well: no byte in between prolongs it."""
    client = mocked(lambda _: httpx.Response(200, stream=dripping), timeout=30.0)
    error = broken(mode, grant, client)
    assert isinstance(error.__cause__, httpx.ReadTimeout)
    assert "within 30 seconds" in str(error)
    assert dripping.seconds < 35


@pytest.mark.parametrize(("timeout", "count"), [(30.0, 31), (None, 1000)])
def test_the_end_of_an_answer_may_come_late(
    mode: str, grant: Operation, dripping: Dripping, timeout: float | None, count: int
) -> None:
    """What is there in full is used, and without a time limit there is none."""
    dripping.parts = [*[b" "] * (count - 1), token_body()]
    client = mocked(lambda _: httpx.Response(200, stream=dripping), timeout=timeout)
    assert call(mode, grant.module, client=client, **grant.arguments).status_code == 200
    assert dripping.seconds == count


def test_a_failure_leaves_the_client_usable(mode: str, grant: Operation) -> None:
    """The call after a broken one opens a new connection and succeeds."""
    with Wire(once(JSON_HEAD), always(answer(token_body()))) as wire:
        client = wire.client()
        broken(mode, grant, client)
        response = call(mode, grant.module, client=client, **grant.arguments)
    assert isinstance(response.parsed, GetTokensResponse)
    assert len(wire.peers) == 2


@pytest.mark.parametrize(
    ("cause", "maybe_sent"),
    [
        (httpx.ConnectError, False),
        (httpx.ConnectTimeout, False),
        (httpx.PoolTimeout, False),
        (httpx.ProxyError, False),
        (httpx.ReadError, True),
        (httpx.ReadTimeout, True),
        (httpx.WriteError, True),
        (httpx.WriteTimeout, True),
        (httpx.CloseError, True),
        (httpx.RemoteProtocolError, True),
        (httpx.TooManyRedirects, True),
        (httpx.TransportError, True),
        (httpx.RequestError, True),
    ],
)
def test_every_failure_of_httpx_has_its_place(
    mode: str, cause: type[httpx.RequestError], *, maybe_sent: bool
) -> None:
    """Only what happens before a connection stands counts as not sent."""

    def handler(request: httpx.Request) -> httpx.Response:
        raise cause("", request=request)

    error = failure(mode, GET_TOKENS, mocked(handler))
    assert isinstance(error, TransportError)
    assert error.maybe_sent is maybe_sent
    assert type(error.__cause__) is cause


@pytest.mark.parametrize("cause", [httpx.LocalProtocolError, httpx.UnsupportedProtocol])
def test_what_httpx_refuses_to_send_is_a_matter_of_settings(
    mode: str, cause: type[httpx.RequestError]
) -> None:
    """Its text may repeat what was to be sent, so it does not come along as the cause."""

    def handler(request: httpx.Request) -> httpx.Response:
        raise cause(AUTHORIZATION, request=request)

    error = failure(mode, GET_TOKENS, mocked(handler))
    assert isinstance(error, ConfigurationError)
    assert (error.__cause__, error.__context__) == (None, None)


def test_an_error_that_is_not_httpx_s_is_left_alone(mode: str) -> None:
    """What a user's own transport or hook raises comes through as it is."""

    class OwnError(Exception):
        pass

    def handler(_: httpx.Request) -> httpx.Response:
        raise OwnError

    with pytest.raises(OwnError):
        call(mode, GET_TOKENS.module, client=mocked(handler), **GET_TOKENS.arguments)


# --- Answers that are too large, or can't be unpacked ---


class Flood:
    """A script that sends without end until the client hangs up, and counts the bytes."""

    def __init__(self, head: bytes, piece: bytes) -> None:
        self._head = head
        self._piece = piece
        self.sent_count = 0

    def __call__(self, peer: Peer) -> None:
        """Play the script."""
        peer.read_request()
        peer.send(self._head)
        # An end all the same, in case nobody hangs up.
        while peer.sent_count < 256 * 1024 * 1024:
            peer.send(self._piece)
            self.sent_count = peer.sent_count


def too_large(mode: str, operation: Operation, client: Client, status: int = 200) -> None:
    """Make a call whose answer is larger than the client allows."""
    error = failure(mode, operation, client)
    assert isinstance(error, InvalidResponseError)
    assert error.status_code == status
    assert error.field is None
    assert "larger than max_response_bytes" in error.problem
    assert error.__cause__ is None


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        pytest.param(
            JSON_HEAD + b"Content-Length: 999999999999\r\n\r\n", b" " * 65536, id="length"
        ),
        pytest.param(
            JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\n",
            b"10000\r\n" + b" " * 65536 + b"\r\n",
            id="chunks",
        ),
        pytest.param(JSON_HEAD + b"\r\n", b" " * 65536, id="to the end of the connection"),
    ],
)
def test_reading_stops_at_the_largest_size(
    mode: str, grant: Operation, head: bytes, piece: bytes
) -> None:
    """A body without end is not read to its end: the server can't get rid of more than buffers."""
    flood = Flood(head, piece)
    with Wire(flood) as wire:
        too_large(mode, grant, wire.client(max_response_bytes=100_000))
    assert flood.sent_count < 64 * 1024 * 1024


class Stalled(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that never goes on after its first part, as one over HTTP/2 does when it is closed."""

    def __iter__(self) -> Iterator[bytes]:
        yield b" " * 101
        raise RuntimeError("more was read")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b" " * 101
        await anyio.sleep_forever()


def test_nothing_is_waited_for_once_the_largest_size_is_reached(mode: str) -> None:
    """What is known to be too large is refused at once, and not after one more read."""
    client = mocked(lambda _: httpx.Response(200, stream=Stalled()), max_response_bytes=100)
    if mode == "sync":
        too_large(mode, GET_TOKENS, client)
        return

    async def main() -> None:
        # The limit is for a client that waits; it is not reached otherwise.
        with anyio.fail_after(5), pytest.raises(InvalidResponseError, match="larger than"):
            await GET_TOKENS.module.asyncio_detailed(client=client, **GET_TOKENS.arguments)

    run(mode, main)


@pytest.mark.parametrize("status", [200, 400, 503, 302, 418])
def test_the_largest_size_holds_for_every_status(mode: str, status: int) -> None:
    """Error pages are limited like tokens."""
    too_large(mode, GET_TOKENS, answering(status, b" " * 101, max_response_bytes=100), status)


def test_the_largest_size_itself_is_allowed(mode: str, grant: Operation) -> None:
    """A body of exactly that many bytes is read; one byte more is refused."""
    body = token_body()
    with Wire(always(answer(body))) as wire:
        client = wire.client(max_response_bytes=len(body))
        response = call(mode, grant.module, client=client, **grant.arguments)
        too_large(mode, grant, wire.client(max_response_bytes=len(body) - 1))
    assert response.content == body


def test_a_packed_body_that_fills_the_room_ends_there(mode: str) -> None:
    """Where a piece leaves no room at all, the next one is not unpacked without bounds."""
    packed = gzip.compress(b"{" + b" " * 2000)
    halves = packed[: len(packed) // 2], packed[len(packed) // 2 :]
    first = len(zlib.decompressobj(47).decompress(halves[0]))

    async def stream() -> AsyncIterator[bytes]:
        for half in halves:
            yield half

    def respond(_: httpx.Request) -> httpx.Response:
        content = iter(halves) if mode == "sync" else stream()
        return httpx.Response(200, headers={"Content-Encoding": "gzip"}, content=content)

    client = Client(
        max_response_bytes=max(first, 1), httpx_args={"transport": httpx.MockTransport(respond)}
    )
    error = failure(mode, GET_TOKENS, client)
    assert isinstance(error, InvalidResponseError)
    assert "larger than max_response_bytes" in error.problem


@pytest.mark.parametrize("size", [0, -1, -(10**9)])
def test_a_largest_size_of_nothing_is_refused(size: int) -> None:
    """A client that can't read anything is a mistake."""
    with pytest.raises(ConfigurationError, match="max_response_bytes"):
        Client(max_response_bytes=size)


@pytest.mark.parametrize(
    ("coding", "pack"),
    [
        pytest.param("gzip", gzip.compress, id="gzip"),
        pytest.param("deflate", zlib.compress, id="deflate"),
        pytest.param("identity", bytes, id="identity"),
    ],
)
def test_a_compressed_answer_is_read(
    mode: str, grant: Operation, coding: str, pack: Callable[[bytes], bytes]
) -> None:
    """The codings that the request accepts are unpacked."""
    packed = answer(pack(token_body()), headers={"Content-Encoding": coding})
    with Wire(always(packed)) as wire:
        response = call(mode, grant.module, client=wire.client(), **grant.arguments)
    assert response.content == token_body()
    assert isinstance(response.parsed, GetTokensResponse)


BOMB_BYTES: Final = 64 * 1024 * 1024


@pytest.mark.parametrize("layers", [1, 2])
def test_a_compressed_bomb_is_not_unpacked(mode: str, layers: int) -> None:
    """A small body that would unpack to a large one stops at the largest size, also in memory."""
    body = bytes(BOMB_BYTES)
    for _ in range(layers):
        body = gzip.compress(body)
    assert len(body) < 100_000
    packed = answer(body, headers={"Content-Encoding": ", ".join(["gzip"] * layers)})
    with Wire(always(packed)) as wire:
        tracemalloc.start()
        try:
            error = failure(mode, GET_TOKENS, wire.client())
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert isinstance(error, InvalidResponseError)
    assert peak_bytes < BOMB_BYTES / 4


@pytest.mark.parametrize(
    "lists",
    [
        pytest.param(["gzip, gzip, gzip"], id="three"),
        pytest.param(["gzip", "gzip", "deflate"], id="three lines"),
        pytest.param(["gzip, identity, x-gzip", "GZIP"], id="two lines"),
        pytest.param(["br, gzip, gzip"], id="unknown"),
        pytest.param([", ".join(["gzip"] * 18_000)], id="thousands"),
        pytest.param(["gzip"] * 18_000, id="thousands of lines"),
    ],
)
def test_more_than_two_content_codings_are_refused(mode: str, lists: list[str]) -> None:
    """Each coding takes memory of its own, so more than two are refused before any is undone."""
    headers = [(b"Content-Encoding", each.encode()) for each in lists]
    # It is none of them, which would be noticed if anything were decompressed.
    client = mocked(
        lambda _: httpx.Response(200, headers=headers, stream=httpx.ByteStream(token_body()))
    )
    tracemalloc.start()
    try:
        error = failure(mode, GET_TOKENS, client)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(error, InvalidResponseError)
    assert error.problem == "the body has more than 2 content codings"
    assert peak_bytes < 20 * 1024 * 1024


def test_two_content_codings_are_undone(mode: str) -> None:
    """What a server and a proxy have compressed one after the other is read."""
    body = gzip.compress(zlib.compress(token_body()))
    headers = {"Content-Encoding": "deflate, identity, , gzip"}
    with Wire(always(answer(body, headers=headers))) as wire:
        tokens = call(mode, GET_TOKENS.module, client=wire.client(), **GET_TOKENS.arguments)
    assert isinstance(tokens.parsed, GetTokensResponse)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(token_body(), id="not compressed"),
        pytest.param(gzip.compress(token_body())[:5] + b"\x00" * 40, id="damaged"),
        pytest.param(gzip.compress(token_body())[:-8] + bytes(8), id="wrong checksum"),
    ],
)
def test_a_broken_compression_is_refused(mode: str, grant: Operation, body: bytes) -> None:
    """What can't be unpacked is not read as if it could."""
    with Wire(always(answer(body, headers={"Content-Encoding": "gzip"}))) as wire:
        error = failure(mode, grant, wire.client())
    assert isinstance(error, InvalidResponseError)
    assert error.status_code == 200
    assert "cannot be decompressed" in error.problem


@pytest.mark.parametrize("cut", [1, 8, 12, 40])
def test_a_compression_that_is_cut_short_is_refused(mode: str, cut: int) -> None:
    """A compressed body that ends too early is not complete, whatever of it can be read."""
    body = gzip.compress(token_body())[:-cut]
    with Wire(always(answer(body, headers={"Content-Encoding": "gzip"}))) as wire:
        error = failure(mode, GET_TOKENS, wire.client())
    assert isinstance(error, InvalidResponseError)
    assert error.status_code == 200


# --- What the client was given can't be sent ---


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"headers": {"X-Key": "line\nbreak"}}, id="line break in a header"),
        pytest.param({"headers": {"X-Key": "t\u00f6ken"}}, id="latin in a header"),
        pytest.param({"headers": {"X Key": "v"}}, id="blank in the name of a header"),
        pytest.param({"headers": {"": "v"}}, id="header without a name"),
        pytest.param({"headers": {"X-Key": 5}}, id="number as a header"),
        pytest.param({"headers": {"X-Key": None}}, id="none as a header"),
        pytest.param({"cookies": {"key": "line\nbreak"}}, id="line break in a cookie"),
        pytest.param({"cookies": {"key": "t\u043e"}}, id="cyrillic in a cookie"),
    ],
)
def test_headers_and_cookies_that_http_does_not_allow(
    mode: str, settings: dict[str, object]
) -> None:
    """They are refused before anything is sent."""
    with Wire(always(answer(token_body()))) as wire, pytest.raises(ConfigurationError):
        call(mode, GET_TOKENS.module, client=wire.client(**settings), **GET_TOKENS.arguments)
    assert wire.received == b""


def test_a_query_that_is_too_long_for_a_url(mode: str) -> None:
    """A URL that httpx does not make is named before anything is sent."""
    arguments = {**AUTHORIZE.arguments, "state": "s" * 70_000}
    with Wire(always(answer())) as wire, pytest.raises(ConfigurationError):
        call(mode, AUTHORIZE.module, client=wire.client(), **arguments)
    assert wire.received == b""
