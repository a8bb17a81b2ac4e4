from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest
from attrs import define, evolve, field

from pipedrive_oauth_client import AppCredentials, PipedriveOAuth, Token, sandbox
from pipedrive_oauth_client.cli import accounts as saving
from pipedrive_oauth_client.cli import login as arrivals
from pipedrive_oauth_client.cli import main as running
from pipedrive_oauth_client.cli import settings as sessions
from pipedrive_oauth_client.sandbox import SandboxServer
from pipedrive_oauth_client.stores import FileTokenStore
from tests.support.tls import UNTRUSTING

COMMAND = (sys.executable, "-m", "pipedrive_oauth_client.cli")
SECRET = "planted-client-secret-0123456789"


def free_port() -> int:
    """Give a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@pytest.fixture(scope="module", autouse=True)
def ctrl_c() -> Iterator[None]:
    """Let the processes of the tests know Ctrl-C; a shell's background jobs do not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def served() -> Iterator[SandboxServer]:
    """One sandbox for all tests of a module, with a planted secret and a port of its own."""
    app = evolve(
        sandbox.DEFAULT_APP,
        client_secret=SECRET,
        redirect_uri=f"http://127.0.0.1:{free_port()}/callback",
    )
    with sandbox.run(sandbox.create_app(apps=[app])) as server:
        yield server


@pytest.fixture
def box(served: SandboxServer) -> Iterator[SandboxServer]:
    """The sandbox without faults."""
    served.faults.clear()
    yield served
    served.faults.clear()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the tokens of the file store are."""
    return tmp_path / "tokens"


@pytest.fixture
def store(folder: Path) -> FileTokenStore:
    """The store that the command uses, opened for the test."""
    return FileTokenStore(folder)


@pytest.fixture
def environ(box: SandboxServer, folder: Path) -> dict[str, str]:
    """What a person has set for the sandbox."""
    return {
        "PIPEDRIVE_CLIENT_ID": box.app.client_id,
        "PIPEDRIVE_CLIENT_SECRET": box.app.client_secret,
        "PIPEDRIVE_REDIRECT_URI": box.app.redirect_uri,
        "PIPEDRIVE_OAUTH_BASE_URL": box.base_url,
        "PIPEDRIVE_OAUTH_STORE": folder.as_uri(),
    }


@pytest.fixture
def oauth(box: SandboxServer) -> Iterator[PipedriveOAuth]:
    """The flow of the app, for what a test does beside the command."""
    app = box.app
    credentials = AppCredentials(app.client_id, app.client_secret, app.redirect_uri)
    with PipedriveOAuth(credentials, base_url=box.base_url, retry=None) as flow:
        yield flow


@pytest.fixture
def granted(box: SandboxServer, oauth: PipedriveOAuth) -> Callable[[], Token]:
    """Give a new token of the sandbox's first user each time."""

    def grant() -> Token:
        request = oauth.authorization_url()
        return oauth.exchange(oauth.read_callback(box.visit(request.url), request.state))

    return grant


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a command in this process wait for nothing: no service and no store."""
    monkeypatch.setattr(saving, "_WAITS_SECONDS", (0, 0))
    monkeypatch.setattr(sessions, "PipedriveOAuth", partial(PipedriveOAuth, retry=None))


@define
class Ran:
    """A command that has ended.

    Attributes:
        code: Its exit code.
        out: What it wrote to standard output.
        err: What it wrote to standard error.
    """

    code: int
    out: str
    err: str


@pytest.fixture
def run(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Ran]:
    """Run a command in this process, with the variables of `environ` and those that are given."""

    def run_it(*arguments: str, **variables: str) -> Ran:
        with monkeypatch.context() as patch:
            for name, value in {**environ, **variables}.items():
                patch.setenv(name, value)
            capfd.readouterr()
            code = running.run(arguments)
        out, err = capfd.readouterr()
        return Ran(code, out, err)

    return run_it


@define
class Person:
    """Plays the browser: what `login` opens, it visits, and then what the callback's page says.

    Attributes:
        box: The sandbox.
        approve: Whether to say yes.
        before: Is called with the callback before it is visited.
        pages: The pages that it ended on.
    """

    box: SandboxServer
    approve: bool = True
    before: Callable[[str], object] = str
    pages: list[httpx.Response] = field(factory=list[httpx.Response])
    callbacks: list[str] = field(factory=list[str])
    threads: list[threading.Thread] = field(factory=list[threading.Thread])

    def open(self, url: str) -> bool:
        """Open an address as a browser does: the command goes on meanwhile."""
        thread = threading.Thread(target=self._browse, args=(url,))
        self.threads.append(thread)
        thread.start()
        return True

    def _browse(self, url: str) -> None:
        callback = self.box.visit(url, approve=self.approve)
        self.callbacks.append(callback)
        self.before(callback)
        with httpx.Client(verify=UNTRUSTING, trust_env=False, timeout=20) as client:
            self.pages.append(client.get(callback))

    def page(self) -> httpx.Response:
        """Give the page that it ended on."""
        for thread in self.threads:
            thread.join(20)
        return self.pages[-1]


@pytest.fixture
def person(box: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> Generator[Person]:
    """A person whose browser opens."""
    someone = Person(box)
    monkeypatch.setattr(arrivals, "open_browser", someone.open)
    yield someone
    for thread in someone.threads:
        thread.join(20)
        assert not thread.is_alive()


def spawned(
    environ: dict[str, str], *arguments: str, stdout: int = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, and wait for its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        env={**os.environ, **environ},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )
