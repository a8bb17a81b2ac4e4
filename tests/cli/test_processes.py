"""The command as a process: signals, ports and other processes beside it."""

from __future__ import annotations

import json
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from attrs import evolve

from pipedrive_oauth_client import Token
from pipedrive_oauth_client.sandbox import Fault, SandboxServer
from pipedrive_oauth_client.stores import FileTokenStore
from tests.cli.conftest import spawned, started
from tests.support.time_limits import killed_after

Grant = Callable[[], Token]


@pytest.fixture
def stored(store: FileTokenStore, granted: Grant) -> Token:
    """A stored token."""
    token = granted()
    store.save("acme", token)
    return token


@contextmanager
def waiting(environ: dict[str, str], *arguments: str) -> Generator[subprocess.Popen[str]]:
    """Start a login, and yield it when it waits for a browser."""
    with started(environ, "login", "--no-browser", *arguments) as process:
        assert process.stderr is not None
        with killed_after(process):
            for line in process.stderr:
                if "/oauth/authorize?" in line:
                    break
        yield process


@pytest.mark.parametrize(
    ("sent", "code", "line"),
    [
        (signal.SIGINT, 130, "Error: Stopped by Ctrl-C.\n"),
        (signal.SIGTERM, 143, "Error: Stopped by SIGTERM.\n"),
    ],
)
def test_signals(
    environ: dict[str, str], store: FileTokenStore, stored: Token, sent: int, code: int, line: str
) -> None:
    """Ctrl-C and SIGTERM end a login with one line and their codes; the store is unchanged."""
    with waiting(environ) as process:
        process.send_signal(sent)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (code, "")
    # In a container or over SSH, a hint may come before it.
    assert err.endswith(line)
    assert err.count("Error:") == 1
    assert "Traceback" not in err
    assert store.load("acme") == stored


@pytest.mark.parametrize("arguments", [("token",), ("refresh", "acme"), ("refresh", "--all")])
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_lose_no_token(
    environ: dict[str, str], store: FileTokenStore, granted: Grant, box: SandboxServer,
    arguments: tuple[str, ...], sent: int, code: int,
) -> None:  # fmt: skip
    """A refreshed token is saved even if a signal arrives before the response."""
    token = granted()
    store.save("acme", evolve(token, expires_at=token.expires_at - timedelta(days=40)))
    box.faults.add("/oauth/token/", Fault.latency(1.5))
    before = box.requests.count(grant_type="refresh_token")
    with started(environ, *arguments) as process:
        end = time.monotonic() + 30
        while box.faults.remaining("/oauth/token/") and time.monotonic() < end:
            time.sleep(0.01)
        process.send_signal(sent)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (code, "")
    assert "Traceback" not in err
    saved = store.load("acme")
    assert saved is not None
    assert saved.refresh_token != token.refresh_token
    assert box.requests.count(grant_type="refresh_token") == before + 1


def test_two_logins_at_once(environ: dict[str, str], store: FileTokenStore, stored: Token) -> None:
    """A second login fails because the port is in use; the first continues."""
    with waiting(environ) as process:
        done = spawned(environ, "login", "--no-browser", "--json")
        assert done.returncode == 6
        assert json.loads(done.stderr)["error"]["reason"] == "port_in_use"
        assert process.poll() is None
    assert store.load("acme") == stored


def test_killed_login_leaves_nothing_behind(
    environ: dict[str, str], store: FileTokenStore, stored: Token, box: SandboxServer
) -> None:
    """After kill -9 the store is unchanged, and the next login can listen at once."""
    with waiting(environ) as process:
        process.kill()
        process.wait(20)
    assert store.load("acme") == stored
    assert list(store.accounts()) == ["acme"]
    with waiting(environ):
        address = ("127.0.0.1", urlsplit(box.app.redirect_uri).port or 0)
        socket.create_connection(address, timeout=5).close()


def test_browser_of_the_environment(
    environ: dict[str, str], store: FileTokenStore, box: SandboxServer, tmp_path: Path
) -> None:
    """The program of BROWSER gets the URL, and its output is discarded."""
    script = tmp_path / "browser.py"
    script.write_text(
        "import sys, urllib.request\n"
        "from pipedrive_oauth_client.sandbox.browser import visit\n"
        "print('noise'); print('noise', file=sys.stderr)\n"
        f"url = visit({box.base_url!r}, sys.argv[1], decision='allow', account=None)\n"
        "open_it = urllib.request.build_opener(urllib.request.ProxyHandler({})).open\n"
        "open_it(url, timeout=20).read()\n",
        encoding="utf-8",
    )
    # The opener does not get PYTHONPATH from this environment, since it runs isolated.
    root = Path(__file__).parents[2]
    opener = ["env", f"PYTHONPATH={root}", sys.executable, str(script)]
    browser = f"{shlex.join(opener)} %s &"
    done = spawned({**environ, "BROWSER": browser}, "login", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["account"] == "1:11"
    assert "noise" not in done.stderr
    assert store.load("1:11") is not None


def test_silent_connection_does_not_delay_the_exit(
    box: SandboxServer, environ: dict[str, str]
) -> None:
    """A silent connection does not keep a command from exiting."""
    with waiting(environ, "--timeout", "2") as process:
        address = ("127.0.0.1", urlsplit(box.app.redirect_uri).port or 0)
        with socket.create_connection(address, timeout=5):
            started = time.monotonic()
            assert process.wait(20) == 5
            assert time.monotonic() - started < 20
