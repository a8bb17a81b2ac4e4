"""What the Django guide says, in the project that `startproject` makes, from a wheel."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from attrs import evolve, frozen

from pipedrive_oauth_client.pytest_plugin import PipedriveSandbox
from pipedrive_oauth_client.sandbox import DEFAULT_APP, DEFAULT_USER, Clock, create_app, run
from tests.browser.driver import Browser
from tests.support.programs import ROOT, end, wait_for
from tests.support.redis_server import free_port
from tests.support.wheels import environment_from_wheel

DEAL = "Coffee for a year"
REPORTS = evolve(DEFAULT_APP, client_id="reports-client", client_secret="reports-secret-00000")


def blocks(page: str) -> list[tuple[str, str]]:
    """Give the files of a page, each with its name, which its first line says."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    found = re.findall(r"^```python\n# ([\w/.]+)(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [(name, "#" + code) for name, code in found]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the package from its wheel."""
    return environment_from_wheel(tmp_path_factory.mktemp("wheel"))


@frozen
class Project:
    """A project in a folder, and the service that it is configured for."""

    folder: Path
    python: Path
    port: int
    box: PipedriveSandbox

    def url(self, path: str) -> str:
        """Give the address of a path."""
        return f"http://127.0.0.1:{self.port}{path}"

    @property
    def _environment(self) -> dict[str, str]:
        given = self.box.credentials
        return {
            "PATH": os.environ["PATH"],
            "DJANGO_SETTINGS_MODULE": "mysite.settings",
            "PIPEDRIVE_BASE_URL": self.box.base_url,
            "PIPEDRIVE_CLIENT_ID": given.client_id,
            "PIPEDRIVE_CLIENT_SECRET": given.client_secret,
            "PIPEDRIVE_REDIRECT_URI": given.redirect_uri,
            "REPORTS_CLIENT_ID": REPORTS.client_id,
            "REPORTS_CLIENT_SECRET": REPORTS.client_secret,
            "REPORTS_REDIRECT_URI": self.url("/reports/callback"),
        }

    def run(self, *words: str) -> str:
        """Run Python in the folder, and give what it has printed."""
        done = subprocess.run(
            [self.python, *words],
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=80,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    @contextmanager
    def served(self, *words: str) -> Generator[None]:
        """Serve the project until the end of the block."""
        log = self.folder / "log"
        with ExitStack() as stack:
            output = stack.enter_context(log.open("w", encoding="utf-8"))
            process = subprocess.Popen(
                [self.python, *words],
                cwd=self.folder,
                env=self._environment,
                stdout=output,
                stderr=output,
            )
            stack.callback(end, process)
            client = stack.enter_context(httpx.Client(trust_env=False))
            wait_for(client, self.url("/admin/login/"), log)
            yield


@pytest.fixture
def project(python: Path, tmp_path: Path) -> Generator[Project]:
    """The project of the guide, with its synchronous pages."""
    port = free_port()
    app = evolve(DEFAULT_APP, redirect_uri=f"http://127.0.0.1:{port}/pipedrive/callback")
    clock = Clock()
    reports = evolve(REPORTS, redirect_uri=f"http://127.0.0.1:{port}/reports/callback")
    created = create_app(apps=[app, reports], clock=clock, api_calls_per_two_seconds=100_000)
    with run(created) as server:
        project = Project(tmp_path, python, port, PipedriveSandbox(server, clock))
        subprocess.run(
            [python, "-m", "django", "startproject", "mysite", tmp_path], check=True, timeout=80
        )
        settings, urls, views, _ = blocks("web-django.md")
        with (tmp_path / settings[0]).open("a", encoding="utf-8") as file:
            file.write(settings[1])
        for name, code in (urls, views):
            (tmp_path / name).write_text(code, encoding="utf-8")
        yield project


def make_asynchronous(project: Project) -> None:
    """Change the project as the guide says it for coroutines."""
    views = blocks("web-django.md")[3]
    (project.folder / views[0]).write_text(views[1], encoding="utf-8")
    urls = project.folder / "mysite" / "urls.py"
    text = urls.read_text(encoding="utf-8")
    urls.write_text(text.replace('django.urls")', 'django.async_urls")'), encoding="utf-8")


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_project_of_the_guide(project: Project, browser: Browser, kind: str) -> None:
    """A user connects, sees deals, also when the token has expired, and uninstalls the app."""
    server = ["manage.py", "runserver", "--noreload", str(project.port)]
    if kind == "async":
        make_asynchronous(project)
        server = ["-m", "uvicorn", "mysite.asgi:application", "--port", str(project.port)]
    project.run("manage.py", "migrate", "-v0")
    assert "chmod 600" in project.run("manage.py", "check")
    (project.folder / "db.sqlite3").chmod(0o600)
    assert "no issues" in project.run("manage.py", "check")
    box = project.box
    with project.served(*server):
        browser.open(project.url("/deals"))
        browser.arrive(box.base_url)
        browser.button("Allow and install").click()
        browser.arrive(project.url("/deals"))
        assert DEAL in [item.text for item in browser.find_all("li")]
        box.clock.advance(timedelta(hours=2))
        browser.open(project.url("/deals"))
        assert DEAL in [item.text for item in browser.find_all("li")]
        assert box.requests.count(grant_type="refresh_token", outcome="ok") == 1
        assert box.requests.count(grant_type="refresh_token") == 1
        assert "valid until" in project.run("manage.py", "pipedrive_status")
        assert box.server.uninstall(DEFAULT_USER) is not None
        browser.open(project.url("/deals"))
        browser.arrive(box.base_url)
        assert "No account" in project.run("manage.py", "pipedrive_status")


def test_more_of_django(project: Project) -> None:
    """The test that the second page shows passes, with encrypted tokens, and the receiver works."""
    for name, code in blocks("web-django-more.md")[:3]:
        (project.folder / name).write_text(code, encoding="utf-8")
    with (project.folder / "mysite" / "settings.py").open("a", encoding="utf-8") as file:
        file.write('PIPEDRIVE_OAUTH["STORE"] = "mysite.tokens.make_store"\n')
        file.write('os.environ["TOKEN_KEY"] = "{}"\n'.format("A" * 43 + "="))
        file.write('ADMINS = [("Ada", "ada@example.com")]\n')
    with (project.folder / "test_connecting.py").open("a", encoding="utf-8") as file:
        file.write(RECEIVING)
    printed = project.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_connecting.py")
    assert "2 passed" in printed


RECEIVING = """

def test_receiver(mailoutbox):
    from datetime import UTC, datetime
    from mysite import receivers
    from pipedrive_oauth_client.web.django.models import PipedriveAccount
    receivers.grant_ended.send(
        PipedriveAccount, account="1:11", at=datetime.now(UTC), error="invalid_grant"
    )
    (mail,) = mailoutbox
    assert "1:11" in mail.body
"""


def test_two_apps(project: Project) -> None:
    """A user connects both apps of the second page, whose accounts are in two tables."""
    models, settings, urls, views = blocks("web-django-more.md")[3:]
    project.run("manage.py", "startapp", "crm")
    for name, code in (models, urls, views):
        (project.folder / name).write_text(code, encoding="utf-8")
    with (project.folder / settings[0]).open("a", encoding="utf-8") as file:
        file.write(settings[1])
    project.run("manage.py", "makemigrations", "crm")
    project.run("manage.py", "migrate", "-v0")
    (project.folder / "db.sqlite3").chmod(0o600)
    assert "no issues" in project.run("manage.py", "check")
    session = project.run("manage.py", "shell", "-c", LOGGING_IN).split()[-1]
    server = ["manage.py", "runserver", "--noreload", str(project.port)]
    cookies = {"sessionid": session}
    with project.served(*server), httpx.Client(trust_env=False, cookies=cookies) as client:
        begun = client.get(project.url("/reports"), follow_redirects=False)
        assert begun.headers["Location"] == "/reports/connect"
        for start in ("/reports/connect", "/pipedrive/connect"):
            page = client.get(project.url(start)).headers["Location"]
            assert client.get(project.box.server.visit(page)).status_code == 303
            if start == "/reports/connect":
                assert "deals" in client.get(project.url("/reports")).text
        lines = project.run("manage.py", "pipedrive_status").splitlines()
    account = DEFAULT_USER.account
    assert [line.split()[:2] for line in lines] == [["default", account], ["reports", account]]
    assert lines[1].endswith("user 1")


LOGGING_IN = """
from django.contrib.auth.models import User
from django.test import Client
client = Client()
client.force_login(User.objects.create(username="ada"))
print(client.cookies["sessionid"].value)
"""


@pytest.mark.timeout(180)
def test_types_of_the_guide(project: Project) -> None:
    """mypy, with the types of Django, finds nothing in the code of the two pages."""
    settings, urls, views, asynchronous = blocks("web-django.md")
    files = {
        settings[0]: "INSTALLED_APPS: list[str] = []\n" + settings[1],
        urls[0]: urls[1],
        views[0]: views[1],
        "mysite/more_views.py": asynchronous[1],
    }
    more = blocks("web-django-more.md")
    files |= dict(more[:3])
    models, settings_of_two, urls_of_two, reports = more[3:]
    before = "INSTALLED_APPS: list[str] = []\nPIPEDRIVE_OAUTH: dict[str, object] = {}\nimport os\n"
    files |= {
        "crm/__init__.py": "",
        models[0]: models[1],
        "mysite/settings_of_two.py": before + settings_of_two[1],
        "mysite/urls_of_two.py": urls_of_two[1],
        reports[0]: reports[1],
    }
    (project.folder / "crm").mkdir()
    for name, code in files.items():
        (project.folder / name).write_text(code, encoding="utf-8")
    project.run("-m", "mypy", "--strict", "--python-executable", str(project.python), *files)
