"""docs/operations.md: its commands run as they stand, against a sandbox."""

from __future__ import annotations

import configparser
import json
import logging
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import yaml
from attrs import evolve, frozen

from pipedrive_oauth_client import AppCredentials, PipedriveOAuth, Token
from pipedrive_oauth_client.fleet import due
from pipedrive_oauth_client.sandbox import (
    DEFAULT_APP,
    DEFAULT_USER,
    Fault,
    SandboxServer,
    User,
    create_app,
    run,
)
from pipedrive_oauth_client.stores import FileTokenStore, SQLTokenStore
from tests.support.programs import started, wait_until
from tests.support.redis_server import RedisServer
from tests.support.wire import free_port

ROOT: Final = Path(__file__).parents[1]
TEXT: Final = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """Give the pieces of code in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


SHELL: Final = blocks("sh")
PYTHON: Final = blocks("python")
SERVERS: Final = [block for block in SHELL if block.startswith("uvicorn") or " worker " in block]
(TASKS,) = [block for block in PYTHON if block.startswith("# tasks.py\n")]
USERS: Final = [evolve(DEFAULT_USER, company_id=company) for company in range(1, 13)]

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="the commands of the page are for a shell"),
    pytest.mark.usefixtures("no_proxy"),
]


@frozen
class Place:
    """A folder with the programs of this environment, a store and a sandbox."""

    folder: Path
    server: SandboxServer
    environ: dict[str, str]

    def run(self, script: str, *, code: int = 0) -> str:
        """Run a script, and return its output."""
        done = subprocess.run(
            ["sh", "-eu", "-c", script],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=80,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def grant(self, user: User | None = None) -> Token:
        """Have the app authorized."""
        credentials = AppCredentials.from_env(self.environ)
        with PipedriveOAuth(credentials, base_url=self.server.base_url) as oauth:
            callback = self.server.install(user=user)
            return oauth.exchange(callback.partition("code=")[2])


@pytest.fixture
def place(tmp_path: Path) -> Generator[Place]:
    """A folder to run the commands of the page in, with one account in a file store."""
    programs = tmp_path / "bin"
    programs.mkdir()
    python = shlex.quote(sys.executable)
    modules = {
        "pipedrive-oauth": "-m pipedrive_oauth_client.cli",
        "python": "",
        "uvicorn": "-m uvicorn",
        "celery": "-m celery",
    }
    for name, arguments in modules.items():
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec {python} {arguments} "$@"\n', encoding="utf-8")
        program.chmod(0o755)
    with run(create_app(users=USERS)) as server:
        environ = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": f"{ROOT}:{tmp_path}",
            "HOME": str(tmp_path),
            "PIPEDRIVE_CLIENT_ID": DEFAULT_APP.client_id,
            "PIPEDRIVE_CLIENT_SECRET": DEFAULT_APP.client_secret,
            "PIPEDRIVE_REDIRECT_URI": DEFAULT_APP.redirect_uri,
            "PIPEDRIVE_BASE_URL": server.base_url,
            "PIPEDRIVE_OAUTH_STORE": "file:tokens",
        }
        made = Place(tmp_path, server, environ)
        FileTokenStore(tmp_path / "tokens").save("1:11", made.grant())
        yield made


def test_every_command_is_run() -> None:
    """The tests below know each piece of code of the page."""
    assert len(SHELL) == 10
    assert len(SERVERS) == 2
    assert (len(PYTHON), len(blocks("ini")), len(blocks("yaml"))) == (3, 2, 1)


def test_checks(place: Place) -> None:
    """The checks find nothing wrong; their JSON says so."""
    checks = [block for block in SHELL if "check" in block]
    assert len(checks) == 3
    for block in checks:
        place.run(block)
    assert json.loads(place.run(checks[1]))


def test_cron_and_systemd(place: Place) -> None:
    """What cron and systemd start refreshes what is due, with the settings of a file."""
    settings = place.folder / "pipedrive.env"
    names = [name for name in place.environ if name.startswith("PIPEDRIVE_")]
    lines = [f"{name}={place.environ.pop(name)}" for name in names]
    settings.write_text("\n".join(lines), encoding="utf-8")
    settings.chmod(0o600)
    store = FileTokenStore(place.folder / "tokens")
    token = store.load("1:11")
    assert token is not None
    store.save("1:11", evolve(token, expires_at=datetime.now(UTC) - timedelta(days=50)))

    (cron,) = re.findall(r"^# /etc/cron.d/pipedrive\n(.*)$", TEXT, re.MULTILINE)
    *times, user, command = re.split(r"\s+", cron, maxsplit=6)
    assert (times, user) == (["23", "4", "*", "*", "*"], "app")
    place.run(command.replace("/etc/pipedrive.env", str(settings)))
    assert place.server.requests.count(grant_type="refresh_token", outcome="ok") == 1

    service, timer = map(ini, blocks("ini"))
    assert service["Service"]["EnvironmentFile"] == "/etc/pipedrive.env"
    script = f"set -a; . {shlex.quote(str(settings))}; {service['Service']['ExecStart']}"
    assert json.loads(place.run(script))["renewed"] == 0
    assert timer["Timer"]["Persistent"] == "true"
    if shutil.which("systemd-analyze") is not None:
        calendar = shlex.quote(timer["Timer"]["OnCalendar"])
        assert "04:23:00" in place.run(f"systemd-analyze calendar {calendar}")


def ini(text: str) -> configparser.ConfigParser:
    """Read a unit of systemd."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # letters keep their case
    parser.read_string(text)
    return parser


def test_disconnected(place: Place) -> None:
    """The accounts whose grant has ended are found by their state."""
    (block,) = [block for block in SHELL if "accounts.json" in block]
    assert place.run(block) == "[]\n"
    token = place.grant()
    store = FileTokenStore(place.folder / "tokens")
    store.save("1:12", evolve(token, expires_at=datetime.now(UTC) - timedelta(days=90)))
    assert place.run(block) == "['1:12']\n"


def test_new_key(place: Place) -> None:
    """The steps leave every token readable with the new key alone."""
    (block,) = [block for block in SHELL if "rotate" in block]
    place.run(SHELL[[*SHELL].index(block)].splitlines()[0].replace("new.key", "old.key"))
    place.run("pipedrive-oauth copy --to file:sealed --to-keys-file old.key")
    place.environ["PIPEDRIVE_OAUTH_STORE"] = "file:sealed"
    assert "1:11" in place.run(block)
    place.run("pipedrive-oauth token 1:11 --store-keys-file new.key")


def test_another_store(place: Place) -> None:
    """All accounts are in the new store, and work there."""
    (block,) = [block for block in SHELL if " copy " in block]
    assert "1:11" in place.run(block)
    place.run("pipedrive-oauth token 1:11 --store sqlite:///tokens.db")


def test_deleting(place: Place) -> None:
    """The grants of a company end, and their tokens are deleted."""
    (block,) = [block for block in SHELL if "--company" in block]
    place.run(block)
    assert list(FileTokenStore(place.folder / "tokens").accounts()) == []
    assert not place.server.sandbox.is_installed(place.server.sandbox.users[0])


def test_pod() -> None:
    """The pod's variables are those of the package, and its store is below the mount point."""
    (text,) = blocks("yaml")
    (container,) = yaml.safe_load(text)["spec"]["containers"]
    values = {each["name"]: each.get("value") for each in container["env"]}
    assert set(values) == {"PIPEDRIVE_OAUTH_STORE", "PIPEDRIVE_CLIENT_SECRET"}
    (mount,) = container["volumeMounts"]
    assert values["PIPEDRIVE_OAUTH_STORE"] == f"file://{mount['mountPath']}/tokens"


def test_python_of_the_page() -> None:
    """The settings of gunicorn are its names, and the loggers have the levels that are said."""
    gunicorn, _, logs = PYTHON
    names: dict[str, Any] = {}
    exec(compile(gunicorn, "gunicorn.conf.py", "exec"), names)  # noqa: S102 - the page's own code
    assert {"workers", "graceful_timeout", "accesslog"} <= set(names)
    root, own = logging.getLogger(), logging.getLogger("pipedrive_oauth_client")
    loggers = [root, own, logging.getLogger("httpx"), logging.getLogger("httpcore")]
    before = [(each, each.level) for each in loggers]
    handlers = list(root.handlers)
    try:
        exec(compile(logs, "logging", "exec"), {})  # noqa: S102 - the page's own code
        assert [each.level for each in loggers] == [20, 20, 30, 30]
    finally:
        root.handlers[:] = handlers
        for logger, level in before:
            logger.setLevel(level)


# --- Servers ---


def test_web_workers(place: Place) -> None:
    """Workers start, serve the callback, and write no address of it into a log."""
    (command,) = [block for block in SERVERS if block.startswith("uvicorn")]
    port = free_port()
    (place.folder / "app.py").write_text(
        "from starlette.applications import Starlette\n"
        "from starlette.responses import PlainTextResponse\n"
        "from starlette.routing import Route\n"
        "async def callback(request): return PlainTextResponse('done')\n"
        "app = Starlette(routes=[Route('/callback', callback)])\n",
        encoding="utf-8",
    )
    place.environ["UVICORN_PORT"] = str(port)
    url = f"http://127.0.0.1:{port}/callback?code=planted-code"
    client = httpx.Client(trust_env=False)

    def serves() -> bool:
        try:
            return client.get(url).text == "done"
        except httpx.TransportError:
            return False

    with client, started(command, place.folder, place.environ, "uvicorn.log"):
        wait_until(serves, "uvicorn serves nothing")
    assert "planted-code" not in (place.folder / "uvicorn.log").read_text(encoding="utf-8")


@pytest.mark.timeout(240)  # a broker and four workers
def test_fleet_of_four_with_one_killed(place: Place) -> None:
    """Four workers of Celery refresh each account once, though one is killed in the middle."""
    lease = 'os.environ["PIPEDRIVE_OAUTH_STORE"], lease=timedelta(seconds=10)'
    tasks = TASKS.replace('os.environ["PIPEDRIVE_OAUTH_STORE"]', lease)
    # So that the worker that is killed has one account in hand.
    tasks = tasks.replace("before=due)", "before=due, concurrency=1)")
    (place.folder / "tasks.py").write_text(tasks, encoding="utf-8")
    place.environ["PIPEDRIVE_OAUTH_STORE"] = f"sqlite:///{place.folder / 'tokens.db'}"
    (worker,) = [block for block in SERVERS if " worker " in block]
    (call,) = [block for block in SHELL if " call " in block]
    requests, before = place.server.requests, datetime.now(UTC) - timedelta(days=30)
    with (
        SQLTokenStore(place.environ["PIPEDRIVE_OAUTH_STORE"]) as store,
        RedisServer(place.folder) as broker,
        ExitStack() as stack,
    ):
        place.environ["CELERY_BROKER_URL"] = broker.url

        def start(number: int) -> subprocess.Popen[bytes]:
            command = f"{worker.strip()} -n worker{number}@%h"
            log = f"worker{number}.log"
            return stack.enter_context(started(command, place.folder, place.environ, log))

        for user in place.server.sandbox.users:
            token = place.grant(user)
            store.save(user.account, evolve(token, expires_at=before - timedelta(days=20)))
        # Killed before the service has looked at its request: what is lost is the worker alone.
        held = Fault.status(503).delayed(200)
        place.server.faults.add("/oauth/token/", held, times=1)
        first = start(0)
        place.run(call)
        wait_until(lambda: requests.count(grant_type="refresh_token") == 1, "nothing was begun")
        for number in (1, 2, 3):
            start(number)
        for _ in range(3):
            place.run(call)
        refreshed = partial(requests.count, grant_type="refresh_token", outcome="ok")
        wait_until(lambda: refreshed() >= 3, "the others do nothing")
        os.killpg(first.pid, signal.SIGKILL)
        wait_until(lambda: list(due(store, before)) == [], "accounts are left")
        assert refreshed() == len(USERS)
        assert requests.count(outcome="invalid_grant") == 0
        with PipedriveOAuth(
            AppCredentials.from_env(place.environ), base_url=place.server.base_url
        ) as oauth:
            for user in USERS:
                kept = store.load(user.account)
                assert kept is not None
                oauth.refresh(kept)  # the service knows it
