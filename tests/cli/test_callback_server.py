"""The server that the browser comes back to, without a login around it, and opening a browser."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from pipedrive_oauth_client import StateMismatchError
from pipedrive_oauth_client.cli import callback_server
from pipedrive_oauth_client.cli import login as opening
from pipedrive_oauth_client.cli.callback_server import CallbackServer, Loopback, Page
from pipedrive_oauth_client.cli.exit_codes import CommandError
from tests.cli.conftest import free_port


def read(callback: str) -> str:
    """Read a callback whose state is `right`."""
    if "state=right" not in callback:
        raise StateMismatchError("wrong")
    return callback.partition("code=")[2].partition("&")[0]


@pytest.fixture
def server() -> Generator[tuple[CallbackServer, int]]:
    """A server, and its port."""
    port = free_port()
    with CallbackServer(Loopback("127.0.0.1", port, "/callback"), read) as started:
        yield started, port


def talk(port: int, sent: bytes) -> bytes:
    """Send some bytes, and give all that comes back."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(sent)
        answer = b""
        while part := connection.recv(65_536):
            answer += part
        return answer


def test_callback_waits_for_its_page(server: tuple[CallbackServer, int]) -> None:
    """The right callback is answered with the page that the login ends with."""
    started, port = server
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(b"GET /callback?code=abc&state=right HTTP/1.1\r\nHost: x\r\n\r\n")
        assert started.code(20) == "abc"
        started.finish(Page(200, "A <title>", "Some & text"))
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.0 200 ")
    assert b"<h1>A &lt;title&gt;</h1>\n<p>Some &amp; text</p>" in answer
    assert b"Server:" not in answer


def test_callback_that_comes_twice(server: tuple[CallbackServer, int]) -> None:
    """The second one is told that the login is over, whatever it carries; the first one counts."""
    started, port = server
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(b"GET /callback?code=abc&state=right HTTP/1.1\r\n\r\n")
        assert started.code(20) == "abc"
        answer = talk(port, b"GET /callback?code=other&state=right HTTP/1.1\r\n\r\n")
        assert answer.startswith(b"HTTP/1.0 409 ")
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
def test_odd_requests(server: tuple[CallbackServer, int], sent: bytes, status: bytes) -> None:
    """What is no callback is answered with its status, and nothing of it is repeated."""
    started, port = server
    try:
        answer = talk(port, sent)
    except ConnectionResetError:
        answer = b"HTTP/1.0 400 "  # it was closed before all of it was read
    assert answer.partition(b" ")[2].startswith(status)
    assert b"planted" not in answer.lower()
    with pytest.raises(CommandError, match="Nobody came back"):
        started.code(0.01)


def test_connections_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One connection more than there is room for is closed at once."""
    monkeypatch.setattr(callback_server, "_MOST_CONNECTIONS", 2)
    port = free_port()
    with CallbackServer(Loopback("127.0.0.1", port, "/"), read):
        silent = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(3)]
        try:
            assert silent[2].recv(1) == b""
        finally:
            for each in silent:
                each.close()


def test_connection_that_drips_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sends a byte now and then keeps a connection no longer than who sends nothing."""
    monkeypatch.setattr(callback_server, "_MOST_CONNECTIONS", 1)
    monkeypatch.setattr(callback_server, "_CONNECTION_SECONDS", 0.5)
    port = free_port()
    with (
        CallbackServer(Loopback("127.0.0.1", port, "/"), read),
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
            pytest.fail("it was never ended")


@pytest.mark.parametrize(
    ("program", "patience", "opens"),
    [("true", 20, True), ("false", 20, False), ("sleep 2; true", 0.1, True), (None, 20, False)],
    ids=["works", "fails", "stays", "nothing to open with"],
)
def test_opening_a_browser(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str | None, patience: float,
    *, opens: bool,
) -> None:  # fmt: skip
    """Whether a browser opens is told, and one that stays is not waited for."""
    monkeypatch.setattr(opening, "_PATIENCE_SECONDS", patience)
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    shell = shutil.which("sh")
    script = tmp_path / "browser"
    lines = [
        f"#!{shell}",
        f"PATH={shlex.quote(os.environ['PATH'])}",
        f"cd {shlex.quote(str(tmp_path))}",
        'echo "$1" > url',
        "env > environment",
        f"{shlex.quote(sys.executable)} -c 'import os; print(os.getsid(0))' > session",
        program or "",
    ]
    script.write_text("\n".join(lines) + "\n", encoding="utf-8")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))  # where no other browser is found
    if program is not None:
        monkeypatch.setenv("BROWSER", f"{shlex.quote(str(script))} %s")
    monkeypatch.setenv("PIPEDRIVE_CLIENT_SECRET", "planted")
    assert opening.open_browser("http://127.0.0.1/?a=b&c='d'") is opens
    if program in ("true", "false"):
        assert (tmp_path / "url").read_text() == "http://127.0.0.1/?a=b&c='d'\n"
        assert "planted" not in (tmp_path / "environment").read_text()
        # Ctrl-C in the terminal is not for the browser.
        assert int((tmp_path / "session").read_text()) != os.getsid(0)
