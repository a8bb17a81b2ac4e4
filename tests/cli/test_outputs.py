"""Encodings, signals, no home, and other processes beside the command."""

from __future__ import annotations

import json
import os
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
from pipedrive_oauth_client.cli import store_url as places
from pipedrive_oauth_client.sandbox import Fault, SandboxServer
from pipedrive_oauth_client.stores import FileTokenStore
from tests.cli.conftest import COMMAND, Ran, spawned
from tests.support.locales import ASCII_ONLY, needs_ascii_folder
from tests.support.time_limits import killed_after

Run = Callable[..., Ran]
Grant = Callable[[], Token]


@pytest.fixture
def kept(store: FileTokenStore, granted: Grant) -> Token:
    """A stored token."""
    token = granted()
    store.save("acme", token)
    return token


@needs_ascii_folder
def test_locale_that_knows_no_accents(
    environ: dict[str, str], store: FileTokenStore, granted: Grant
) -> None:
    """In the locale C, names with other letters are spelled out instead of failing."""
    store.save("łódź", evolve(granted(), scope="naïve"))
    ascii_only = {**ASCII_ONLY, "PYTHONIOENCODING": "ascii"}
    done = spawned({**environ, **ascii_only}, "status")
    assert done.returncode == 0, done.stderr
    assert "\\u0142\\xf3d\\u017a" in done.stdout
    done = spawned({**environ, **ascii_only}, "status", "--json")
    assert json.loads(done.stdout)["accounts"][0]["account"] == "łódź"


def unresolved(*_: object, **__: object) -> Path:
    """Answer as older versions of platformdirs do where there is no home folder."""
    return Path("~/.local/share/x")


def not_found(*_: object, **__: object) -> Path:
    """Fail as newer versions do."""
    raise RuntimeError("could not determine the home directory")


@pytest.mark.parametrize("user_data_path", [unresolved, not_found])
def test_no_home(
    run: Run, monkeypatch: pytest.MonkeyPatch, user_data_path: Callable[..., Path]
) -> None:
    """A user without a home folder is told to name a store."""
    monkeypatch.setattr("platformdirs.user_data_path", user_data_path)
    ran = run("status", PIPEDRIVE_OAUTH_STORE="")
    assert (ran.code, ran.out) == (2, "")
    assert "Set HOME, or name a store" in ran.err


def test_default_store_is_this_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a store's name, tokens are kept in a folder of the user."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert places.folder_from_url(places.default_url()).is_relative_to(tmp_path)


@contextmanager
def started(environ: dict[str, str], *arguments: str) -> Generator[subprocess.Popen[str]]:
    """Start a command, and end it with the test."""
    with subprocess.Popen(
        [*COMMAND, *arguments],
        env={**os.environ, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def waiting(environ: dict[str, str], *arguments: str) -> Generator[subprocess.Popen[str]]:
    """Start a login that waits for a browser, and give it when it does."""
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
    environ: dict[str, str], store: FileTokenStore, kept: Token, sent: int, code: int, line: str
) -> None:
    """Ctrl-C and SIGTERM end a login with one line, their codes, and the store as it was."""
    with waiting(environ) as process:
        process.send_signal(sent)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (code, "")
    assert err.lstrip("\n") == line
    assert store.load("acme") == kept


@pytest.mark.parametrize("arguments", [("token",), ("refresh", "acme"), ("refresh", "--all")])
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_lose_no_renewal(
    environ: dict[str, str], store: FileTokenStore, granted: Grant, box: SandboxServer,
    arguments: tuple[str, ...], sent: int, code: int,
) -> None:  # fmt: skip
    """A token that Pipedrive has given is saved, even if a signal comes before its answer."""
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


def test_two_logins_at_once(environ: dict[str, str], store: FileTokenStore, kept: Token) -> None:
    """The second login is told that the port is taken; the first goes on."""
    with waiting(environ) as process:
        done = spawned(environ, "login", "--no-browser", "--json")
        assert done.returncode == 6
        assert json.loads(done.stderr)["error"]["reason"] == "port_in_use"
        assert process.poll() is None
    assert store.load("acme") == kept


def test_killed_login_leaves_nothing_behind(
    environ: dict[str, str], store: FileTokenStore, kept: Token, box: SandboxServer
) -> None:
    """After kill -9 the store is as it was, and the next login can listen at once."""
    with waiting(environ) as process:
        process.kill()
        process.wait(20)
    assert store.load("acme") == kept
    assert list(store.accounts()) == ["acme"]
    with waiting(environ):
        address = ("127.0.0.1", urlsplit(box.app.redirect_uri).port or 0)
        socket.create_connection(address, timeout=5).close()


def test_browser_of_the_environment(
    environ: dict[str, str], store: FileTokenStore, box: SandboxServer, tmp_path: Path
) -> None:
    """The program that BROWSER names is given the address, and what it prints goes nowhere."""
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
    # The opener is started apart from this environment, as a browser is.
    root = Path(__file__).parents[2]
    opener = ["env", f"PYTHONPATH={root}", sys.executable, str(script)]
    browser = f"{shlex.join(opener)} %s &"
    done = spawned({**environ, "BROWSER": browser}, "login", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["account"] == "1:11"
    assert "noise" not in done.stderr
    assert store.load("1:11") is not None


def test_sandbox_serves_until_it_is_stopped(environ: dict[str, str]) -> None:
    """The sandbox prints lines for a shell that make the other commands talk to it."""
    with started(environ, "sandbox") as process:
        assert process.stdout is not None
        lines: list[str] = []
        with killed_after(process):
            for line in process.stdout:
                lines.append(line)
                if "Ctrl-C" in line:
                    break
        exports = dict(
            line.strip().removeprefix("export ").split("=", 1)
            for line in lines
            if line.startswith("  export ")
        )
        names = ("CLIENT_ID", "CLIENT_SECRET", "REDIRECT_URI", "OAUTH_BASE_URL", "OAUTH_STORE")
        assert list(exports) == [f"PIPEDRIVE_{name}" for name in names]
        done = spawned({**environ, **exports, "PIPEDRIVE_OAUTH_STORE": "memory:"}, "token")
        assert done.returncode == 3
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert process.returncode == 0


def test_sandbox_port_is_taken(run: Run) -> None:
    """A port of another program is code 2, in one line."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ran = run("sandbox", "--port", str(taken.getsockname()[1]))
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.count("\n") == 1


def test_silent_connections_end(box: SandboxServer, environ: dict[str, str]) -> None:
    """A connection that says nothing does not keep a command that has ended from exiting."""
    with waiting(environ, "--timeout", "2") as process:
        address = ("127.0.0.1", urlsplit(box.app.redirect_uri).port or 0)
        with socket.create_connection(address, timeout=5):
            started = time.monotonic()
            assert process.wait(20) == 5
            assert time.monotonic() - started < 20
