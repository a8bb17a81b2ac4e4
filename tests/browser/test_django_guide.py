"""What the Django guide says, in the project that `startproject` makes, from a wheel."""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from pipedrive_oauth_client.sandbox import DEFAULT_USER
from tests.browser.driver import Browser
from tests.support.django_guide import Project, blocks, made_project
from tests.support.wheels import environment_from_wheel

DEAL = "Coffee for a year"


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the package from its wheel."""
    return environment_from_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture
def project(python: Path, tmp_path: Path) -> Generator[Project]:
    """The project of the guide."""
    with made_project(python, tmp_path) as project:
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
