"""The apps of docs/web-databases.md, made by the page alone: from the wheel, nothing else there."""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from secrets import token_hex
from typing import Final

import httpx
import pytest
import sqlalchemy
from attrs import evolve, frozen
from sqlalchemy import create_engine, make_url, text

from pipedrive_oauth_client.pytest_plugin import PipedriveSandbox
from pipedrive_oauth_client.sandbox import DEFAULT_APP, DEFAULT_USER, Clock, create_app, run
from tests.browser.driver import Browser
from tests.support.backends import postgres_url
from tests.support.programs import end
from tests.support.wheels import environment_from_wheel
from tests.support.wire import free_port

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs/web-databases.md").read_text(encoding="utf-8")
DEAL: Final = "Coffee for a year"
PATIENCE_SECONDS: Final = 60
# Each app with the drivers that its page names, for both databases.
DRIVERS: Final = {
    ("FastAPI", "postgresql"): "postgresql+asyncpg",
    ("FastAPI", "sqlite"): "sqlite+aiosqlite",
    ("Flask", "postgresql"): "postgresql+psycopg",
    ("Flask", "sqlite"): "sqlite",
}


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the wheel; all other packages are the locked ones."""
    return environment_from_wheel(tmp_path_factory.mktemp("wheel"))


@frozen
class Project:
    """An app in a folder of its own, as the page says.

    Attributes:
        python: The Python of its environment.
        folder: The folder.
        variables: Its environment variables.
        commands: The commands of the page, the last of which serves the app.
    """

    python: Path
    folder: Path
    variables: dict[str, str]
    commands: list[list[str]]

    def argv(self, command: list[str], *more: str) -> list[str]:
        """Return what runs a command: the module behind it, of this environment."""
        return [str(self.python), "-m", *command, *more]

    def prepare(self, environment: str | None) -> None:
        """Run the commands before the last one; fill in the page's piece of migrations/env.py."""
        for command in self.commands[:-1]:
            done = subprocess.run(
                self.argv(command),
                cwd=self.folder,
                env=self.variables,
                capture_output=True,
                text=True,
                check=False,
                timeout=PATIENCE_SECONDS,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            if environment is not None and command[:2] == ["alembic", "init"]:
                file = self.folder / "migrations/env.py"
                written = file.read_text(encoding="utf-8")
                assert written.count("target_metadata = None\n") == 1
                file.write_text(
                    written.replace("target_metadata = None\n", environment), encoding="utf-8"
                )

    @contextmanager
    def served(self, port: int) -> Generator[Path]:
        """Serve the app, and yield the file of what it prints."""
        log = self.folder / "log.txt"
        with log.open("w", encoding="utf-8") as output:
            process = subprocess.Popen(
                self.argv(self.commands[-1], "--port", str(port)),
                cwd=self.folder,
                env=self.variables,
                stdout=output,
                stderr=output,
            )
            try:
                until = time.monotonic() + PATIENCE_SECONDS
                while True:
                    with socket.socket() as connection:
                        if connection.connect_ex(("127.0.0.1", port)) == 0:
                            break
                    assert process.poll() is None, log.read_text(encoding="utf-8")
                    assert time.monotonic() < until, log.read_text(encoding="utf-8")
                    time.sleep(0.05)
                yield log
            finally:
                end(process)


def section(framework: str) -> str:
    """Return the section of a framework."""
    (found,) = re.findall(rf"^## {framework} .*?(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    return str(found)


def blocks(page: str, language: str) -> list[str]:
    """Return the pieces of code in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)


@contextmanager
def database(kind: str, folder: Path) -> Generator[sqlalchemy.URL]:
    """Make an empty database for the length of the block."""
    if kind == "sqlite":
        yield make_url(f"sqlite:///{folder / 'app.db'}")
        return
    url, name = make_url(postgres_url()), f"guide_{token_hex(6)}"
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        try:
            # A password with a character that Alembic's file of settings would interpret.
            yield url.set(database=name, password=url.password or "50%")
        finally:
            with engine.connect() as connection:
                connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    finally:
        engine.dispose()


@frozen
class Running:
    """An app that is served, and the service.

    Attributes:
        box: The service.
        address: Where the app is.
        log: What it prints.
    """

    box: PipedriveSandbox
    address: str
    log: Path

    def refreshes(self) -> int:
        """Count the refreshes that went well."""
        return self.box.requests.count(grant_type="refresh_token", outcome="ok")


@pytest.fixture
def app(request: pytest.FixtureRequest, python: Path, tmp_path: Path) -> Iterator[Running]:
    """The app of a framework with a database, made and served as the page says."""
    framework, kind = request.param
    port = free_port()
    uri = f"http://127.0.0.1:{port}/pipedrive/callback"
    clock = Clock()
    created = create_app(
        apps=[evolve(DEFAULT_APP, redirect_uri=uri)], clock=clock, api_calls_per_two_seconds=100_000
    )
    with ExitStack() as stack:
        box = PipedriveSandbox(stack.enter_context(run(created)), clock)
        url = stack.enter_context(database(kind, tmp_path)).set(drivername=DRIVERS[framework, kind])
        inherited = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        variables = {
            **inherited,
            **box.environment,
            "DATABASE_URL": url.render_as_string(hide_password=False),
            "SECRET_KEY": token_hex(20),
            "HOME": str(tmp_path),
        }
        files = {
            block.partition("\n")[0].removeprefix("# "): block
            for block in blocks(section(framework), "python")
        }
        environment = files.pop("migrations/env.py", None)
        for name, content in files.items():
            (tmp_path / name).write_text(content, encoding="utf-8")
        lines = "".join(blocks(section(framework), "sh")).splitlines()
        project = Project(python, tmp_path, variables, [shlex.split(line) for line in lines])
        where = [str(python), "-c", "import pipedrive_oauth_client as it; print(it.__file__)"]
        found = subprocess.run(
            where, cwd=tmp_path, env=variables, capture_output=True, text=True, check=True
        )
        assert Path(found.stdout).is_relative_to(python.parents[1])
        project.prepare(environment)
        log = stack.enter_context(project.served(port))
        yield Running(box, f"http://127.0.0.1:{port}", log)


BROWSED = [("FastAPI", "postgresql"), ("Flask", "sqlite")]
OTHERS = [("FastAPI", "sqlite"), ("Flask", "postgresql")]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("app", BROWSED, indirect=True, ids="-".join)
def test_app_of_the_guide(app: Running, browser: Browser) -> None:
    """A user connects and sees deals, also after the token's expiry, but not after uninstalling."""
    browser.driver.delete_all_cookies()
    browser.open(f"{app.address}/deals")
    browser.arrive(app.box.base_url)
    browser.button("Allow and install").click()
    browser.arrive(f"{app.address}/deals")
    assert DEAL in browser.text()
    assert DEFAULT_USER.company_name in browser.text()
    assert app.refreshes() == 0
    app.box.clock.advance(timedelta(hours=2))
    browser.driver.refresh()
    assert DEAL in browser.text()
    assert app.refreshes() == 1
    assert app.box.server.uninstall(DEFAULT_USER)
    browser.open(f"{app.address}/deals")
    browser.arrive(app.box.base_url)
    assert app.refreshes() == 1
    assert "Traceback" not in app.log.read_text(encoding="utf-8")


@pytest.mark.timeout(240)
@pytest.mark.parametrize("app", OTHERS, indirect=True, ids="-".join)
def test_app_of_the_guide_with_the_other_database(app: Running) -> None:
    """The same with the other database that the page names, without a browser."""
    deals = f"{app.address}/deals"
    with httpx.Client(trust_env=False) as visitor:
        start = visitor.get(deals).headers["Location"]
        page = visitor.get(f"{app.address}{start}").headers["Location"]
        callback = app.box.server.visit(page)
        assert visitor.get(callback).headers["Location"] == "/deals"
        assert DEAL in visitor.get(deals).json()
        app.box.clock.advance(timedelta(hours=2))
        assert DEAL in visitor.get(deals).json()
        assert app.refreshes() == 1
        assert app.box.server.uninstall(DEFAULT_USER)
        assert visitor.get(deals).status_code == 303
    assert "Traceback" not in app.log.read_text(encoding="utf-8")
