"""What is sent the second time is what was sent the first time, or it is not sent at all."""

from __future__ import annotations

import io
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeAlias

import httpx
import httpx2
import pytest

from pipedrive_oauth_client import PipedriveAuth, PipedriveOAuth, Token
from pipedrive_oauth_client.adapters.httpx2 import PipedriveHttpx2Auth
from pipedrive_oauth_client.auth import is_replayable
from pipedrive_oauth_client.stores import MemoryTokenStore
from tests.support.driver import ASYNC_MODES
from tests.support.flows import CREDENTIALS, play
from tests.support.samples import token_body
from tests.support.wire import Wire, always, answer

NOW: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
API: Final = "https://acme.pipedrive.com"
BIG: Final = bytes(range(256)) * 1024

Sent: TypeAlias = tuple[str, dict[str, str], bytes]
Body: TypeAlias = Callable[[ExitStack], dict[str, Any]]

each_library = pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])


def a_pipe(stack: ExitStack) -> io.BufferedReader:
    """Open a file that can be read once and not rewound."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as end:
        end.write(b"from a pipe")
    return stack.enter_context(os.fdopen(reading, "rb"))


def a_file(stack: ExitStack, *, skipped: int = 0) -> io.BufferedReader:
    """Open a real file, some of which has been read already."""
    file = Path(__file__).open("rb")  # noqa: SIM115 - the stack closes it
    stack.enter_context(file)
    file.seek(skipped)
    return file


class Unseekable(io.BytesIO):
    """A file in memory that says that it can't be rewound."""

    def seekable(self) -> bool:
        """Tell that it can't."""
        return False


class Reader:
    """The least that a file can be."""

    def __init__(self) -> None:
        self._left = [b"least"]

    def read(self, _count: int = -1) -> bytes:
        """Give all of it at once."""
        return self._left.pop() if self._left else b""


def pieces() -> Iterator[bytes]:
    """Give a body piece by piece."""
    yield from (b"one", b"two")


async def later_pieces() -> AsyncIterator[bytes]:
    """Do the same in an event loop."""
    for piece in pieces():
        yield piece


REPEATED: Final[dict[str, Body]] = {
    "nothing": lambda _: {},
    "bytes": lambda _: {"content": BIG},
    "empty": lambda _: {"content": b""},
    "text": lambda _: {"content": "dé"},
    "json": lambda _: {"json": {"title": "dé", "value": [1, None, 2.5]}},
    "form": lambda _: {"data": {"title": "dé & co", "n": ["1", "2"]}},
    "fields": lambda _: {"data": {"id": "7"}, "files": {"file": b"in memory"}},
    "text part": lambda _: {"files": {"file": ("a.txt", "in memory", "text/plain")}},
    "buffer": lambda _: {"files": {"file": ("a.bin", io.BytesIO(BIG))}},
    "file": lambda stack: {"data": {"id": "7"}, "files": {"file": a_file(stack)}},
    "read file": lambda stack: {"files": {"file": a_file(stack, skipped=99)}},
    "files": lambda stack: {"files": [("file", a_file(stack)), ("file", ("b", io.BytesIO(b"b")))]},
}

NOT_REPEATED: Final[dict[str, Body]] = {
    "pipe": lambda stack: {"files": {"file": ("p", a_pipe(stack))}},
    "unseekable": lambda _: {"files": {"file": ("u", Unseekable(b"once"))}},
    "least": lambda _: {"files": {"file": ("l", Reader())}},
    "one of two": lambda stack: {
        "files": [("file", io.BytesIO(b"again")), ("file", ("p", a_pipe(stack)))]
    },
}

# What an asynchronous client refuses by itself.
ONCE_IN_SYNC: Final[dict[str, Body]] = {
    "generator": lambda _: {"content": pieces()},
    "file": lambda stack: {"content": a_file(stack)},
    "buffer": lambda _: {"content": io.BytesIO(b"buffer")},
}


class Api:
    """A transport of either library that says 401 once and keeps what was sent, to the last byte.

    It leaves the body's stream as it is: reading it into memory would make any body repeatable.
    """

    def __init__(self, library: Any) -> None:
        self.sent: list[Sent] = []
        outer = self

        class Transport(library.BaseTransport, library.AsyncBaseTransport):  # type: ignore[misc]
            def handle_request(self, request: Any) -> Any:
                return outer._answer(library, request, b"".join(request.stream))

            async def handle_async_request(self, request: Any) -> Any:
                body = b"".join([piece async for piece in request.stream])
                return outer._answer(library, request, body)

        self.transport: Any = Transport()

    def _answer(self, library: Any, request: Any, body: bytes) -> Any:
        headers = dict(request.headers)
        self.sent.append((request.method, headers, body))
        return library.Response(401 if len(self.sent) == 1 else 200)


def post(mode: str, library: Any, body: Callable[[], dict[str, Any]]) -> tuple[int, list[Sent]]:
    """Send a request whose token is rejected; give the status and all that was sent."""
    api = Api(library)
    store = MemoryTokenStore()
    token = Token(
        access_token="old", refresh_token="r", api_domain=API, expires_at=NOW + timedelta(hours=1)
    )
    store.save("acme", token)
    settings: dict[str, Any] = {"transport": api.transport}

    async def main(auth: Any) -> int:
        if mode == "sync":
            with library.Client(auth=auth, **settings) as client:
                return int(client.post(API, **body()).status_code)
        async with library.AsyncClient(auth=auth, **settings) as client:
            return int((await client.post(API, **body())).status_code)

    with (
        Wire(always(answer(token_body()))) as service,
        PipedriveOAuth(CREDENTIALS, base_url=service.url, clock=lambda: NOW, retry=None) as oauth,
    ):
        auth: Any = PipedriveAuth(oauth, store, "acme")
        if library is httpx2:
            auth = PipedriveHttpx2Auth(auth)
        status = play(mode, lambda: main(auth))
    # Whether or not the request could be repeated, the next one has a token that is good.
    assert len(service.requests) == 1
    renewed = store.load("acme")
    assert renewed is not None
    assert renewed.access_token != "old"
    return status, api.sent


@each_library
@pytest.mark.parametrize("body", REPEATED.values(), ids=REPEATED)
def test_what_is_replayable_is_the_same_to_the_last_byte(
    mode: str, library: Any, body: Body
) -> None:
    """Method, headers and body are those of the first attempt; only the token is another."""
    with ExitStack() as stack:
        status, (first, second) = post(mode, library, lambda: body(stack))
    assert status == 200
    assert first[1].pop("authorization") == "Bearer old"
    assert second[1].pop("authorization") != "Bearer old"
    assert first == second
    if "content-length" in first[1]:
        assert len(first[2]) == int(first[1]["content-length"])


@each_library
@pytest.mark.parametrize("body", NOT_REPEATED.values(), ids=NOT_REPEATED)
def test_what_is_used_up_is_not_sent_again(mode: str, library: Any, body: Body) -> None:
    """Half a body, or an empty one, must not arrive; the caller gets the 401."""
    with ExitStack() as stack:
        status, sent = post(mode, library, lambda: body(stack))
    assert status == 401
    assert len(sent) == 1


@each_library
@pytest.mark.parametrize("body", ONCE_IN_SYNC.values(), ids=ONCE_IN_SYNC)
def test_what_can_be_read_once_is_not_sent_again(library: Any, body: Body) -> None:
    """A generator is used up, and nobody says where a file was when it was begun with."""
    with ExitStack() as stack:
        status, sent = post("sync", library, lambda: body(stack))
    assert status == 401
    assert len(sent) == 1


@each_library
@pytest.mark.parametrize("mode", ASYNC_MODES)
def test_an_asynchronous_generator_is_not_sent_again(mode: str, library: Any) -> None:
    """It is used up as any other."""
    status, sent = post(mode, library, lambda: {"content": later_pieces()})
    assert status == 401
    assert [body for _, _, body in sent] == [b"onetwo"]


# --- The question by itself ---


def asked(library: Any, method: str = "POST", **body: Any) -> tuple[Any, Any]:
    """Make a request and the 401 to it."""
    request = library.Request(method, API, **body)
    return request, library.Response(401, request=request)


@each_library
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_only_a_look_is_repeated_after_a_redirect(library: Any, method: str) -> None:
    """An answer that redirects may say that the request was carried out."""
    request, response = asked(library, method)
    assert is_replayable(request, response)
    _, of_another = asked(library, "GET")
    assert is_replayable(request, of_another) == (method in ("GET", "HEAD"))


@each_library
def test_what_somebody_has_read_into_memory_is_replayable(library: Any) -> None:
    """An event hook that reads the body of a request, for example to sign it, keeps it."""
    request, response = asked(library, content=pieces())
    assert not is_replayable(request, response)
    request.read()
    assert is_replayable(request, response)


@each_library
def test_a_stream_of_the_user_s_own_is_not_sent_again(library: Any) -> None:
    """Nobody knows whether it can be read twice, whatever attributes it has."""

    class Own(library.SyncByteStream):  # type: ignore[misc]
        fields = ("name", "value")

        def __iter__(self) -> Iterator[bytes]:
            return pieces()

    assert not is_replayable(*asked(library, stream=Own()))


@each_library
def test_a_file_that_was_closed_is_not_sent_again(library: Any) -> None:
    """The caller gets the 401, and not an error about a file."""
    file = io.BytesIO(b"closed")
    request, response = asked(library, files={"file": file})
    assert is_replayable(request, response)
    file.close()
    assert not is_replayable(request, response)
