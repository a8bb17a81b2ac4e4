"""A loopback TCP server that plays a script and keeps every byte it receives."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
from collections.abc import Callable, Generator, Mapping
from types import TracebackType
from typing import Final, Self, TypeAlias

from pipedrive_oauth_client import Client
from tests.support.tls import UNTRUSTING
from tests.support.untyped import untyped

LOOPBACK: Final = "127.0.0.1"

# Guards against a hang; no test waits for it.
_PATIENCE_SECONDS: Final = 20


def free_port() -> int:
    """Give a port that no program listens on, from below those that the system gives out itself.

    Until it is used, another test's server may get one of the latter.
    """
    for _ in range(100):
        port = random.randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server((LOOPBACK, port)):
            return port
    raise OSError("no free port between 20000 and 32000")


class Peer:
    """One accepted connection, seen from the server."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._unread = bytearray()
        self.requests: list[bytes] = []
        self.received = bytearray()
        self.sent_count = 0

    def read_request(self) -> bytes:
        """Wait for a whole request; empty at the end of the stream."""
        while (head_end := self._unread.find(b"\r\n\r\n")) < 0:
            if not self._read():
                return b""
        end = head_end + 4 + _content_length(bytes(self._unread[:head_end]))
        while len(self._unread) < end:
            if not self._read():
                return b""
        request = bytes(self._unread[:end])
        del self._unread[:end]
        self.requests.append(request)
        return request

    def read_to_end(self) -> None:
        """Wait until the client closes the connection."""
        while self._read():
            pass

    def _read(self) -> bool:
        data = self._socket.recv(65536)
        self.received += data
        self._unread += data
        return bool(data)

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self._socket.sendall(data)
        self.sent_count += len(data)

    def half_close(self) -> None:
        """Say that nothing more will be sent, and go on listening."""
        self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Drop the connection with a TCP reset."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def release(self) -> None:
        """Close the connection, or wake the thread that reads from it."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()


Script: TypeAlias = Callable[[Peer], None]


class Wire:
    """A server on a free port; the first connection plays the first script, and so on.

    The last script is played again by all further connections. Read `peers`, `requests` and
    `received` after the `with` block: then all that was sent has been read.
    """

    def __init__(self, *scripts: Script) -> None:
        self._scripts = scripts
        self._threads: list[threading.Thread] = []
        self._errors: list[BaseException] = []
        self._farewell: tuple[str, int] | None = None
        self._listener = socket.create_server((LOOPBACK, 0))
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self.peers: list[Peer] = []
        self.authority = f"{LOOPBACK}:{self._listener.getsockname()[1]}"
        self.url = f"http://{self.authority}"

    @property
    def requests(self) -> list[bytes]:
        """All requests of all connections, as bytes."""
        return [request for peer in self.peers for request in peer.requests]

    @property
    def received(self) -> bytes:
        """All bytes of all connections."""
        return b"".join(bytes(peer.received) for peer in self.peers)

    def client(self, **settings: object) -> Client:
        """Make a client that sends to this server."""
        return client_of(self.url, **settings)

    def __enter__(self) -> Self:
        self._acceptor.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        # The last connection is our own, so that every earlier one has been accepted.
        with socket.socket() as farewell:
            farewell.settimeout(_PATIENCE_SECONDS)
            farewell.bind((LOOPBACK, 0))
            self._farewell = farewell.getsockname()
            farewell.connect(self._listener.getsockname())
            _join(self._acceptor)
        self._listener.close()
        for peer in self.peers:
            peer.release()
        for thread in self._threads:
            _join(thread)
        if self._errors and error is None:
            raise self._errors[0]

    def _accept(self) -> None:
        while True:
            connection, address = self._listener.accept()
            if address == self._farewell:
                connection.close()
                return
            connection.settimeout(_PATIENCE_SECONDS)
            peer = Peer(connection)
            script = self._scripts[min(len(self.peers), len(self._scripts) - 1)]
            self.peers.append(peer)
            thread = threading.Thread(target=self._play, args=(script, peer), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _play(self, script: Script, peer: Peer) -> None:
        try:
            script(peer)
        except ConnectionError:
            pass  # the client went away, as clients do
        except Exception as error:  # noqa: BLE001 - raised again in the test's own thread
            self._errors.append(error)
        finally:
            peer.close()


def client_of(base_url: str, **settings: object) -> Client:
    """Make a client that doesn't spend time on loading the machine's certificates."""
    arguments: dict[str, object] = {"verify_ssl": UNTRUSTING, **settings}
    return untyped(Client)(base_url, **arguments)


def answer(
    body: bytes = b"", *, status: int = 200, headers: Mapping[str, str] | None = None
) -> bytes:
    """Write an HTTP/1.1 answer that says how long its body is."""
    fields = {"Content-Length": str(len(body)), **(headers or {})}
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {fields[name]}" for name in fields)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def always(data: bytes) -> Script:
    """Answer every request of the connection with the same bytes."""

    def play(peer: Peer) -> None:
        while peer.read_request():
            peer.send(data)

    return play


def once(data: bytes) -> Script:
    """Answer one request with these bytes, whole or not, and close the connection."""

    def play(peer: Peer) -> None:
        peer.read_request()
        peer.send(data)

    return play


def silent(peer: Peer) -> None:
    """Listen and never answer."""
    peer.read_to_end()


@contextlib.contextmanager
def refusing() -> Generator[str]:
    """Hold a port that refuses connections; give its host and port."""
    with socket.socket() as bound:
        bound.bind((LOOPBACK, 0))
        yield f"{LOOPBACK}:{bound.getsockname()[1]}"


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def _join(thread: threading.Thread) -> None:
    thread.join(_PATIENCE_SECONDS)
    if thread.is_alive():
        raise RuntimeError("A script of the loopback server does not end.")
