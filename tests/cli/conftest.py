from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import httpx
import pytest
from attrs import define, evolve, field

from pipedrive_oauth_client import AppCredentials, PipedriveOAuth, Token, sandbox
from pipedrive_oauth_client import oauth as oauth_module
from pipedrive_oauth_client.cli import accounts, login, main
from pipedrive_oauth_client.sandbox import SandboxServer
from pipedrive_oauth_client.stores import FileTokenStore
from tests.support.tls import UNTRUSTING
from tests.support.wire import free_port

COMMAND = (sys.executable, "-m", "pipedrive_oauth_client.cli")
SECRET = "planted-client-secret-0123456789"


@pytest.fixture(scope="module", autouse=True)
def ctrl_c() -> Iterator[None]:
    """Let the processes of the tests handle Ctrl-C, which background jobs of a shell ignore."""
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
    """The folder of the file store."""
    return tmp_path / "tokens"


@pytest.fixture
def store(folder: Path) -> FileTokenStore:
    """The store that the command uses, opened for the test."""
    return FileTokenStore(folder)


@pytest.fixture
def environ(box: SandboxServer, folder: Path) -> dict[str, str]:
    """The variables that a user has set for the sandbox."""
    return {
        "PIPEDRIVE_CLIENT_ID": box.app.client_id,
        "PIPEDRIVE_CLIENT_SECRET": box.app.client_secret,
        "PIPEDRIVE_REDIRECT_URI": box.app.redirect_uri,
        "PIPEDRIVE_BASE_URL": box.base_url,
        "PIPEDRIVE_OAUTH_STORE": folder.as_uri(),
    }


@pytest.fixture
def oauth(box: SandboxServer) -> Iterator[PipedriveOAuth]:
    """The OAuth client of the app, for what a test does beside the command."""
    app = box.app
    credentials = AppCredentials(app.client_id, app.client_secret, app.redirect_uri)
    with PipedriveOAuth(credentials, base_url=box.base_url, retry=None) as client:
        yield client


@pytest.fixture
def granted(box: SandboxServer, oauth: PipedriveOAuth) -> Callable[[], Token]:
    """Return a new token of the sandbox's first user each time."""

    def grant() -> Token:
        request = oauth.authorization_url()
        return oauth.exchange(oauth.read_callback(box.visit(request.url), request.state))

    return grant


def ago(token: Token, **span: float) -> Token:
    """Return a token that was last refreshed some time ago."""
    return evolve(token, expires_at=datetime.now(UTC) + timedelta(hours=1) - timedelta(**span))


@pytest.fixture
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a command in this process retry without waiting, and send each request once."""
    monkeypatch.setattr(accounts, "_RETRY_SECONDS", (0, 0))
    # `settings` imports it when a command runs.
    monkeypatch.setattr(oauth_module, "PipedriveOAuth", partial(PipedriveOAuth, retry=None))


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
            code = main.run(arguments)
        out, err = capfd.readouterr()
        return Ran(code, out, err)

    return run_it


@define
class BrowserUser:
    """Plays the browser: visits what `login` opens, and then the callback.

    Attributes:
        box: The sandbox.
        approve: Whether to approve the app.
        before: Called with the callback before it is visited; False for not to visit it.
        pages: The pages that the callbacks returned.
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
        if self.before(callback) is False:
            return
        with httpx.Client(verify=UNTRUSTING, trust_env=False, timeout=20) as client:
            self.pages.append(client.get(callback))

    def page(self) -> httpx.Response:
        """Return the last page."""
        for thread in self.threads:
            thread.join(20)
        return self.pages[-1]


@pytest.fixture
def browser_user(box: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> Generator[BrowserUser]:
    """A user whose browser opens."""
    user = BrowserUser(box)
    monkeypatch.setattr(login, "open_browser", user.open)
    yield user
    for thread in user.threads:
        thread.join(20)
        assert not thread.is_alive()


@contextmanager
def started(environ: dict[str, str], *arguments: str) -> Generator[subprocess.Popen[str]]:
    """Start a command, and kill it at the end of the test."""
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


def spawned(
    environ: dict[str, str], *arguments: str, stdout: int = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    """Run a command in its own process, and wait for its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        env={**os.environ, **environ},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )
