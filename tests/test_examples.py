"""Every program in examples/ does what it says."""

from __future__ import annotations

import asyncio
import io
import os
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import ExitStack, asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

import httpx
import pytest
from attrs import evolve

from examples import celery_worker, command_line, demo, web_app
from pipedrive_oauth_client import AppCredentials, AsyncPipedriveOAuth, PipedriveOAuth, sandbox
from pipedrive_oauth_client.sandbox import Fault, SandboxServer
from pipedrive_oauth_client.sandbox.browser import visit
from pipedrive_oauth_client.stores import SQLTokenStore
from tests.support.programs import started, wait_until
from tests.support.redis_server import RedisServer
from tests.support.time_limits import killed_after
from tests.support.tls import UNTRUSTING
from tests.support.wire import free_port

pytestmark = pytest.mark.usefixtures("no_proxy")

ROOT: Final = Path(__file__).parents[1]
KEEP_ALIVE: Final = "examples.celery_worker.keep_alive"
SECRETS: Final = re.compile(
    rf"v1u:|\d+:\d+:[0-9a-f]{{40}}|code=[0-9a-f]|{re.escape(sandbox.DEFAULT_APP.client_secret)}"
)


def test_every_example_is_tested() -> None:
    """A program that is added to examples/ needs a test here, and a row in the quick start."""
    programs = {path.stem for path in (ROOT / "examples").glob("*.py")}
    elsewhere = {"fastapi_app", "flask_app", "django_app"}  # tests/browser/test_web_apps.py
    parts = {"__init__", "look", "setting"}
    here = {"celery_worker", "command_line", "demo", "web_app"}
    assert programs == here | elsewhere | parts
    page = (ROOT / "docs" / "quick-start.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| \[(\w+)\.py\]\(\.\./examples/\1\.py\) \|", page, re.MULTILINE)
    assert sorted(listed) == sorted(here | elsewhere)


def program(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program at a terminal that knows nothing but ASCII."""
    return subprocess.run(
        [sys.executable, "-m", f"examples.{name}", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def credentials(server: SandboxServer) -> AppCredentials:
    """Give the credentials of the app that is registered."""
    app = server.app
    return AppCredentials(app.client_id, app.client_secret, app.redirect_uri)


# --- The demo ---


def test_the_demo_walks_through_both_journeys() -> None:
    """`python -m examples.demo` takes every step twice, masks the secrets and exits with 0."""
    done = program("demo")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    steps = [line.split("  ")[1] for line in done.stdout.splitlines() if line.startswith("  ")]
    journey = [
        "authorize",
        "consent",
        "get_tokens",
        "GET /api/v1/users/me",
        "refresh_tokens",
        "GET /api/v1/users/me",
        "refresh_tokens",
    ]
    assert steps == journey * 2
    assert done.stdout.count("the old one is rejected: Invalid grant") == 2
    assert SECRETS.search(done.stdout) is None


def test_the_demo_fails_when_a_step_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A service that does not rotate refresh tokens makes the demo exit with 1 and say why."""
    run = sandbox.run
    lax = sandbox.create_app(rotate_refresh_tokens=False)
    monkeypatch.setattr(sandbox, "run", lambda: run(lax))
    assert demo.main() == 1
    assert "the refresh token is the old one" in capsys.readouterr().err


# --- The command line ---


def test_the_command_line_connects_to_a_sandbox() -> None:
    """`python -m examples.command_line --sandbox` connects, refreshes, and shows no secret."""
    done = program("command_line", "--sandbox")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.findall(r"^(\w+): Alex Moreno of Acme, until ", done.stdout, re.MULTILINE) == [
        "Connected",
        "Refreshed",
    ]
    assert SECRETS.search(done.stdout) is None


class Person(io.StringIO):
    """A terminal with a person before it: what is shown there, they open in their browser."""

    def __init__(self, open_page: Callable[[str], None]) -> None:
        super().__init__()
        self._open_page = open_page

    def write(self, text: str) -> int:
        """Show a text, and have the address in it opened."""
        address = re.search(r"http\S+/oauth/authorize\?\S+", text)
        if address is not None:
            self._open_page(address[0])
        return super().write(text)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Generator[SandboxServer]:
    """A sandbox in place of the real service, for an app that is called back at a free port."""
    uri = f"http://127.0.0.1:{free_port()}/callback"
    app = evolve(sandbox.DEFAULT_APP, redirect_uri=uri)
    with sandbox.run(sandbox.create_app(apps=[app])) as server:
        flow = partial(PipedriveOAuth, base_url=server.base_url)
        monkeypatch.setattr(command_line, "PipedriveOAuth", flow)
        monkeypatch.setenv("PIPEDRIVE_CLIENT_ID", app.client_id)
        monkeypatch.setenv("PIPEDRIVE_CLIENT_SECRET", app.client_secret)
        monkeypatch.setenv("PIPEDRIVE_REDIRECT_URI", uri)
        yield server


@pytest.mark.parametrize("approve", [True, False])
def test_the_command_line_catches_the_callback(
    service: SandboxServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    approve: bool,
) -> None:
    """It waits where the app is called back, lets nothing else pass for that, and logs nothing."""
    pages: list[tuple[int, str]] = []

    def browse(url: str) -> None:
        callback = service.visit(url, approve=approve)
        with httpx.Client(verify=UNTRUSTING) as client:
            for address in (httpx.URL(callback).join("/favicon.ico"), callback):
                answer = client.get(address)
                pages.append((answer.status_code, answer.text))

    browsing: list[threading.Thread] = []

    def open_page(url: str) -> None:
        browsing.append(threading.Thread(target=browse, args=(url,)))
        browsing[0].start()

    terminal = Person(open_page)
    monkeypatch.setattr(sys, "stdout", terminal)
    assert command_line.main([]) == (0 if approve else 1)
    browsing[0].join(20)
    assert [status for status, _ in pages] == [404, 200]
    assert "go back to the terminal" in pages[1][1]
    assert ("Refreshed: Alex Moreno of Acme" in terminal.getvalue()) is approve
    assert ("was not granted (user_denied)" in capsys.readouterr().err) is not approve
    assert SECRETS.search(terminal.getvalue()) is None
    exchanges = service.requests.count(grant_type="authorization_code")
    assert exchanges == (1 if approve else 0)


def test_the_command_line_takes_a_pasted_callback(
    service: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the app is called back elsewhere, the address can be pasted."""
    uri = "https://app.example.com/callback"
    app = evolve(sandbox.DEFAULT_APP, redirect_uri=uri)
    with sandbox.run(sandbox.create_app(apps=[app])) as server:
        monkeypatch.setenv("PIPEDRIVE_REDIRECT_URI", uri)
        flow = partial(PipedriveOAuth, base_url=server.base_url)
        monkeypatch.setattr(command_line, "PipedriveOAuth", flow)
        pasted = io.StringIO()

        def open_page(url: str) -> None:
            pasted.write(f" {server.visit(url)} \n")
            pasted.seek(0)

        terminal = Person(open_page)
        monkeypatch.setattr(sys, "stdin", pasted)
        monkeypatch.setattr(sys, "stdout", terminal)
        assert command_line.main([]) == 0
    assert "Refreshed: Alex Moreno of Acme" in terminal.getvalue()
    assert SECRETS.search(terminal.getvalue()) is None
    assert len(service.requests) == 0


def test_the_command_line_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without credentials it names the variables, and exits with 1."""
    monkeypatch.delenv("PIPEDRIVE_CLIENT_SECRET", raising=False)
    assert command_line.main([]) == 1
    assert "PIPEDRIVE_CLIENT_SECRET" in capsys.readouterr().err


# --- The Celery worker ---


@pytest.mark.skipif(os.name != "posix", reason="the broker is a program for POSIX systems")
@pytest.mark.timeout(240)  # a broker and two workers
def test_workers_read_deals(tmp_path: Path) -> None:
    """An outage is retried, an ended grant is not, and one refresh serves both workers."""
    connected, ended, dormant = (
        sandbox.DEFAULT_USER,
        sandbox.OTHER_USER,
        evolve(sandbox.DEFAULT_USER, id=12, email="sam@acme.example"),
    )
    app = sandbox.create_app(users=[connected, ended, dormant])
    url = f"sqlite:///{tmp_path / 'tokens.db'}"
    with sandbox.run(app) as server, RedisServer(tmp_path) as broker, SQLTokenStore(url) as store:
        past = datetime.now(UTC) - timedelta(hours=2)
        with PipedriveOAuth(credentials(server), base_url=server.base_url) as oauth:
            for user, expires_at in (
                (connected, past),
                (ended, past),
                (dormant, past - timedelta(days=40)),
            ):
                code = server.install(user=user).partition("code=")[2]
                store.save(user.account, evolve(oauth.exchange(code), expires_at=expires_at))
        server.uninstall(ended)
        environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "CELERY_BROKER_URL": broker.url,
            "PIPEDRIVE_BASE_URL": server.base_url,
            "PIPEDRIVE_CLIENT_ID": server.app.client_id,
            "PIPEDRIVE_CLIENT_SECRET": server.app.client_secret,
            "PIPEDRIVE_REDIRECT_URI": server.app.redirect_uri,
            "PIPEDRIVE_OAUTH_STORE": url,
        }
        server.faults.add("/api/v2/deals", Fault.status(503))
        celery = f"{shlex.quote(sys.executable)} -m celery -A examples.celery_worker"
        logs = [f"worker{number}.log" for number in range(2)]

        def logged() -> str:
            return "".join((tmp_path / log).read_text(encoding="utf-8") for log in logs)

        def call(*arguments: str) -> None:
            subprocess.run(
                [sys.executable, "-m", *arguments],
                cwd=tmp_path,
                env=environ,
                check=True,
                capture_output=True,
                timeout=60,
            )

        with ExitStack() as stack:
            for log in logs:
                command = f"{celery} worker --concurrency 2 -n {log}@%h"
                stack.enter_context(started(command, tmp_path, environ, log))
            accounts = [connected.account] * 4 + [ended.account] * 2
            call("examples.celery_worker", *accounts)
            wait_until(
                lambda: logged().count(f"{connected.account} has ") == 4, "no deals are read"
            )
            gone = f"{ended.account} is disconnected"
            wait_until(lambda: logged().count(gone) == 2, "the end is not logged")
            refreshes = partial(server.requests.count, grant_type="refresh_token")
            assert (refreshes(outcome="ok"), refreshes(outcome="invalid_grant")) == (1, 1)
            assert server.requests.count(path="/api/v2/deals") == 5
            call("celery", "-A", "examples.celery_worker", "call", KEEP_ALIVE)
            wait_until(lambda: refreshes(outcome="ok") == 2, "the dormant account is not refreshed")
        assert refreshes() == 3
        assert SECRETS.search(logged()) is None


def test_beat_calls_a_task_that_exists() -> None:
    """The schedule keeps grants alive once a day, by the name of a task of the workers."""
    (entry,) = celery_worker.app.conf.beat_schedule.values()
    assert entry == {"task": KEEP_ALIVE, "schedule": timedelta(days=1)}
    assert KEEP_ALIVE in celery_worker.app.tasks


# --- The web app ---


@asynccontextmanager
async def web_browser(server: SandboxServer) -> AsyncGenerator[Callable[[], httpx.AsyncClient]]:
    """Serve the app without a network of its own; give what opens a new browser."""
    oauth = AsyncPipedriveOAuth(credentials(server), base_url=server.base_url)
    app = web_app.create_app(oauth)
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app):
        yield partial(
            httpx.AsyncClient,
            transport=transport,
            base_url="http://127.0.0.1:8123",
            verify=UNTRUSTING,
        )


async def come_back(browser: httpx.AsyncClient, server: SandboxServer) -> httpx.Response:
    """Begin to connect, say yes, and come back to the app."""
    return await browser.get(await asyncio.to_thread(server.visit, await to_consent(browser)))


async def to_consent(browser: httpx.AsyncClient) -> str:
    """Begin to connect, and give the address of the consent page."""
    answer = await browser.get("/connect")
    assert answer.status_code == 303
    return answer.headers["location"]


def test_the_web_app_connects_a_browser() -> None:
    """From the link over the consent page to the person's name; the cookie is well kept."""

    async def journey(server: SandboxServer) -> None:
        async with web_browser(server) as new_browser, new_browser() as browser:
            assert "/connect" in (await browser.get("/")).text
            began = await browser.get("/connect")
            cookie = began.headers["set-cookie"].lower()
            assert "httponly" in cookie
            assert "samesite=lax" in cookie
            before = browser.cookies["attempt"]
            back = await browser.get(server.visit(began.headers["location"]))
            assert (back.status_code, back.headers["location"]) == (303, "/")
            assert browser.cookies["session"] != before
            assert "attempt" not in browser.cookies
            page = (await browser.get("/")).text
            # A name is text, whatever is in it.
            assert page == "Connected as &lt;b&gt;Alex&lt;/b&gt;, Acme"
            async with new_browser() as other:
                assert "/connect" in (await other.get("/")).text
                other.cookies["session"] = before
                assert "/connect" in (await other.get("/")).text

    person = evolve(sandbox.DEFAULT_USER, name="<b>Alex</b>")
    with sandbox.run(sandbox.create_app(users=[person])) as server:
        asyncio.run(journey(server))
        assert server.requests.count(grant_type="authorization_code", outcome="ok") == 1
        assert server.requests.count(grant_type="refresh_token") == 0


def test_the_web_app_keeps_its_token_until_another_one_is_there() -> None:
    """A page that sends the browser to /connect, or a login that fails, ends no session."""

    async def journey(server: SandboxServer) -> None:
        async with web_browser(server) as new_browser, new_browser() as browser:
            await come_back(browser, server)
            first = browser.cookies["session"]
            declined = server.visit(await to_consent(browser), approve=False)
            assert "Alex Moreno" in (await browser.get("/")).text
            assert (await browser.get(declined)).status_code == 400
            assert "Alex Moreno" in (await browser.get("/")).text
            assert (await browser.get(server.visit(await to_consent(browser)))).status_code == 303
            assert browser.cookies["session"] != first
            assert "Alex Moreno" in (await browser.get("/")).text
            async with new_browser() as other:
                other.cookies["session"] = first
                assert "/connect" in (await other.get("/")).text

    with sandbox.run() as server:
        asyncio.run(journey(server))


def test_the_web_app_renews_a_token_in_time() -> None:
    """A token that is about to expire is renewed once, however many pages are open."""

    async def journey(server: SandboxServer) -> None:
        async with web_browser(server) as new_browser, new_browser() as browser:
            await come_back(browser, server)
            pages = await asyncio.gather(*(browser.get("/") for _ in range(5)))
            assert {page.text for page in pages} == {"Connected as Alex Moreno, Acme"}

    with sandbox.run(sandbox.create_app(access_token_lifetime_seconds=30)) as server:
        asyncio.run(journey(server))
        # Of these tokens, none lives long enough for a second page.
        assert server.requests.count(grant_type="refresh_token", outcome="ok") == 5
        assert server.requests.count(grant_type="refresh_token", outcome="invalid_grant") == 0


def test_the_web_app_refuses_what_is_not_its_own() -> None:
    """A no, a callback of another browser and one that comes twice lead to no exchange."""

    async def journey(server: SandboxServer) -> None:
        async with (
            web_browser(server) as new_browser,
            new_browser() as browser,
            new_browser() as victim,
        ):
            denied = await browser.get(server.visit(await to_consent(browser), approve=False))
            assert (denied.status_code, "user_denied" in denied.text) == (400, True)

            callback = server.visit(await to_consent(browser))
            assert (await victim.get(callback)).status_code == 400
            await to_consent(victim)
            assert (await victim.get(callback)).status_code == 400
            assert server.requests.count(grant_type="authorization_code") == 0

            assert (await browser.get(callback)).status_code == 303
            again = await browser.get(callback)
            assert (again.status_code, "/connect" in again.text) == (400, True)

    with sandbox.run() as server:
        asyncio.run(journey(server))
        assert server.requests.count(grant_type="authorization_code") == 1


def test_the_web_app_runs_with_a_sandbox() -> None:
    """`python -m examples.web_app --sandbox` serves it, and writes no address with a code in it."""
    port = free_port()
    arguments = [sys.executable, "-m", "examples.web_app", "--sandbox", "--port", str(port)]
    shown: list[str] = []
    with subprocess.Popen(arguments, cwd=ROOT, stderr=subprocess.PIPE, text=True) as running:
        try:
            assert running.stderr is not None
            with killed_after(running), closing(running.stderr):
                for line in running.stderr:
                    shown.append(line)
                    if "running on" in line:
                        break
                with httpx.Client(base_url=f"http://127.0.0.1:{port}", verify=UNTRUSTING) as client:
                    page = client.get("/connect").headers["location"]
                    base_url = page.partition("/oauth/")[0]
                    callback = visit(base_url, page, decision="allow", account=None)
                    assert client.get(callback, follow_redirects=True).text == (
                        "Connected as Alex Moreno, Acme"
                    )
                running.terminate()
                shown += running.stderr
        finally:
            running.kill()
    assert SECRETS.search("".join(shown)) is None
