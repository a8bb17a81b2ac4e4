"""The server that receives the callback, without a login around it."""

from __future__ import annotations

import socket
import struct
from collections.abc import Generator
from contextlib import ExitStack

import pytest

from pipedrive_oauth_client import CallbackError
from pipedrive_oauth_client.cli import callback_server
from pipedrive_oauth_client.cli.callback_server import CallbackServer, Loopback, Page, loopback_of
from pipedrive_oauth_client.cli.exit_codes import CommandError
from tests.support.wire import free_port


def is_expected(callback: str) -> bool:
    """Tell whether the state of a callback is `right`."""
    return "state=right" in callback


def read(callback: str) -> str:
    """Read the code of a callback."""
    if "code=" not in callback:
        raise CallbackError("no code")
    return callback.partition("code=")[2].partition("&")[0]


@pytest.fixture
def server() -> Generator[tuple[CallbackServer, int]]:
    """A server, and its port."""
    port = free_port()
    with CallbackServer(Loopback("127.0.0.1", port, "/callback"), is_expected, read) as started:
        yield started, port


def exchange(port: int, sent: bytes) -> bytes:
    """Send some bytes, and return the whole response."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(sent)
        response = b""
        while part := connection.recv(65_536):
            response += part
        return response


def test_callback_waits_for_its_page(server: tuple[CallbackServer, int]) -> None:
    """The callback gets the page of the outcome, when the login has ended."""
    started, port = server
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(b"GET /callback?code=abc&state=right HTTP/1.1\r\nHost: x\r\n\r\n")
        assert started.code(20) == "abc"
        started.finish(Page(200, "A <title>", "Some & text"))
        response = connection.makefile("rb").read()
    assert response.startswith(b"HTTP/1.0 200 ")
    assert b"<h1>A &lt;title&gt;</h1>\n<p>Some &amp; text</p>" in response
    assert b"Server:" not in response


def test_second_callback(server: tuple[CallbackServer, int]) -> None:
    """The first callback counts; a second one gets a page that says that the login is over."""
    started, port = server
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(b"GET /callback?code=abc&state=right HTTP/1.1\r\n\r\n")
        assert started.code(20) == "abc"
        response = exchange(port, b"GET /callback?code=other&state=right HTTP/1.1\r\n\r\n")
        assert response.startswith(b"HTTP/1.0 409 ")
        with pytest.raises(CommandError):
            started.code(0.01)
        started.finish(Page(200, "Done", "Done."))
        assert connection.makefile("rb").read().startswith(b"HTTP/1.0 200 ")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET http://127.0.0.1/callback?code=planted&state=x HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /planted/../callback HTTP/1.1\r\n\r\n", b"404"),
        (b"GET //planted/callback HTTP/1.1\r\n\r\n", b"404"),
        (b"GET http://[planted HTTP/1.1\r\n\r\n", b"400"),
        (b"PLANTED /callback HTTP/1.1\r\n\r\n", b"405"),
        (b"planted\r\n\r\n", b"400"),
        (b"GET /callback HTTP/9.9.planted\r\n\r\n", b"400"),
        (b"GET /callback?planted=" + 70_000 * b"x" + b" HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /callback HTTP/1.1\r\n" + 200 * b"planted: x\r\n" + b"\r\n", b"400"),
    ],
    ids=range(9),
)
def test_invalid_requests(server: tuple[CallbackServer, int], sent: bytes, status: bytes) -> None:
    """Any other request gets an error status, and no part of it is repeated."""
    started, port = server
    try:
        response = exchange(port, sent)
    except ConnectionResetError:
        response = b"HTTP/1.0 400 "  # it was closed before all of it was read
    assert response.partition(b" ")[2].startswith(status)
    assert b"planted" not in response.lower()
    with pytest.raises(CommandError, match="The browser did not return"):
        started.code(0.01)


def test_lost_connection_is_silent(
    server: tuple[CallbackServer, int], capfd: pytest.CaptureFixture[str]
) -> None:
    """A connection that is reset writes nothing to the terminal, and the server continues."""
    _, port = server
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(b"GET /callback")
    assert exchange(port, b"GET / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.0 404 ")
    assert capfd.readouterr() == ("", "")


def test_oldest_silent_connection_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """One connection more than the limit ends the oldest silent one, and not the newest."""
    monkeypatch.setattr(callback_server, "_MAX_CONNECTIONS", 2)
    monkeypatch.setattr(callback_server, "_CONNECTION_SECONDS", 60)
    port = free_port()
    with ExitStack() as closing:
        closing.enter_context(CallbackServer(Loopback("127.0.0.1", port, "/"), is_expected, read))
        silent = [
            closing.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
            for _ in range(3)
        ]
        assert silent[0].recv(1) == b""
        for each in silent[1:]:
            each.sendall(b"GET /none HTTP/1.1\r\n\r\n")
            assert each.recv(9) == b"HTTP/1.0 "


def test_callback_among_silent_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """More silent connections than are served at a time do not keep the callback out."""
    monkeypatch.setattr(callback_server, "_CONNECTION_SECONDS", 60)
    port = free_port()
    with ExitStack() as closing:
        server = CallbackServer(Loopback("127.0.0.1", port, "/callback"), is_expected, read)
        closing.enter_context(server)
        for _ in range(callback_server._MAX_CONNECTIONS + 8):
            closing.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
        callback = closing.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
        callback.sendall(b"GET /callback?code=abc&state=right HTTP/1.1\r\n\r\n")
        assert server.code(20) == "abc"
        # While it waits for its page it is no silent connection: none of these ends it.
        for _ in range(callback_server._MAX_CONNECTIONS + 8):
            closing.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
        server.finish(Page(200, "Done", "Done."))
        assert callback.makefile("rb").read().startswith(b"HTTP/1.0 200 ")


def test_limit_of_connections_that_wait_for_the_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no connection is silent, one more than the limit is closed."""
    monkeypatch.setattr(callback_server, "_MAX_CONNECTIONS", 1)
    port = free_port()
    with ExitStack() as closing:
        server = CallbackServer(Loopback("127.0.0.1", port, "/"), is_expected, read)
        closing.enter_context(server)
        callback = closing.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
        callback.sendall(b"GET /?code=abc&state=right HTTP/1.1\r\n\r\n")
        assert server.code(20) == "abc"
        other = closing.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
        assert other.recv(1) == b""
        server.finish(Page(200, "Done", "Done."))
        assert callback.makefile("rb").read().startswith(b"HTTP/1.0 200 ")


def test_dripping_connection_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that sends a byte now and then is closed as early as a silent one."""
    monkeypatch.setattr(callback_server, "_MAX_CONNECTIONS", 1)
    monkeypatch.setattr(callback_server, "_CONNECTION_SECONDS", 0.5)
    port = free_port()
    with (
        CallbackServer(Loopback("127.0.0.1", port, "/"), is_expected, read),
        socket.create_connection(("127.0.0.1", port), timeout=0.1) as dripping,
    ):
        for _ in range(200):
            try:
                dripping.sendall(b"x")
                if dripping.recv(1):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        else:
            pytest.fail("it was never closed")


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("http://127.0.0.1:8123/callback", Loopback("127.0.0.1", 8123, "/callback")),
        ("http://localhost:1/a/b?c=d", Loopback("localhost", 1, "/a/b")),
        ("http://[::1]:99", Loopback("::1", 99, "/")),
        ("HTTP://LOCALHOST/x", Loopback("localhost", 80, "/x")),
        ("https://127.0.0.1:8123/callback", None),
        ("http://127.0.0.1.example.com:8123/callback", None),
        ("http://app.example.com/callback", None),
        ("com.example.app:/callback", None),
    ],
)
def test_loopback_of(uri: str, address: Loopback | None) -> None:
    """Only a plain http URL of this machine is a loopback address."""
    assert loopback_of(uri) == address


@pytest.mark.usefixtures("box", "monkeypatch")
def test_localhost_listens_on_both_addresses() -> None:
    """For `localhost` the server listens on IPv4 and, where the machine has it, IPv6."""
    address = loopback_of(f"http://localhost:{free_port()}")
    assert address is not None
    assert address.path == "/"
    assert address.addresses == ["127.0.0.1", "::1"]  # of those, what this machine has
    with CallbackServer(address, is_expected, read) as server:
        hosts = {str(each.server_address[0]) for each in server.listeners}
    assert hosts >= {"127.0.0.1"}
    assert hosts <= {"127.0.0.1", "::1"}
