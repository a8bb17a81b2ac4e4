"""The code of the guides is what runs here."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.test import RequestFactory

from pipedrive_oauth_client.pytest_plugin import PipedriveSandbox
from pipedrive_oauth_client.sandbox import DEFAULT_USER
from pipedrive_oauth_client.stores import MemoryTokenStore
from tests.web.conftest import CLIENT
from tests.web.sites import KEY, PANEL, WEBHOOK, Site, made

DOCS = Path(__file__).parents[2] / "docs"
GUIDES = ("web-fastapi.md", "web-flask.md", "web-django.md")

# What a person does, against a project of Django in the folder that it is started in.
VISIT = """
import os, sys
sys.path.insert(0, ".")
import django
from django.conf import settings
import settings as written
settings.configure(
    **{name: getattr(written, name) for name in ("INSTALLED_APPS", "PIPEDRIVE_OAUTH")},
    ALLOWED_HOSTS=["*"], ROOT_URLCONF="urls", SECRET_KEY=os.environ["SECRET_KEY"],
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
)
django.setup()
from django.core.management import call_command
call_command("check")
import httpx
from django.core.handlers.wsgi import WSGIHandler
from pipedrive_oauth_client.sandbox.browser import visit
transport = httpx.WSGITransport(app=WSGIHandler())
with httpx.Client(transport=transport, base_url="https://app.example.com") as browser:
    page = browser.get(browser.get("/deals").headers["Location"]).headers["Location"]
    callback = visit(os.environ["PIPEDRIVE_BASE_URL"], page, decision="allow", account=None)
    print(browser.get(callback).headers["Location"])
    print(browser.get("/deals").json()[1])
"""


def blocks(page: str) -> list[str]:
    """Give the pieces of Python code of a page."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


@pytest.fixture
def environment(
    box: PipedriveSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> PipedriveSandbox:
    """What the guides read from the environment."""
    values = {
        "PIPEDRIVE_CLIENT_ID": CLIENT.client_id,
        "PIPEDRIVE_CLIENT_SECRET": CLIENT.client_secret,
        "PIPEDRIVE_REDIRECT_URI": CLIENT.redirect_uri,
        "PIPEDRIVE_BASE_URL": box.base_url,
        "DATABASE_URL": f"sqlite:///{tmp_path / 'tokens.db'}",
        "SECRET_KEY": KEY,
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return box


@pytest.mark.parametrize("page", [*GUIDES, "web-apps.md"])
def test_guide_is_short(page: str) -> None:
    """A guide is under a screen, and its code is in one piece or in named files."""
    text = (DOCS / page).read_text(encoding="utf-8")
    assert len(text.splitlines()) < (75 if page == "web-apps.md" else 65)
    assert len(blocks(page)) == {"web-django.md": 3, "web-apps.md": 0}.get(page, 1)


@pytest.mark.parametrize("page", GUIDES[:2])
def test_whole_app(environment: PipedriveSandbox, page: str) -> None:
    """The app of a guide sends a person to connect, and shows deals until it is uninstalled."""
    names: dict[str, Any] = {"__name__": "guide"}
    exec(compile(blocks(page)[0], page, "exec", dont_inherit=True), names)  # noqa: S102 - our own
    is_flask = page == "web-flask.md"
    app = names["create_app"]() if is_flask else names["app"]
    box = environment
    with asyncio.Runner() as runner:
        loop = None if is_flask else runner
        # The app has a store of its own, in a file.
        site = Site(page, box, CLIENT, MemoryTokenStore(), None, "/pipedrive", app, loop, "")
        browser = site.browser()
        begun = browser.get("/deals")
        assert begun.status_code == 303
        page_of_consent = browser.get(begun.headers["Location"]).headers["Location"]
        assert browser.get(browser.consent(page_of_consent)).headers["Location"] == "/deals"
        assert browser.get("/deals").json()[1] == "Coffee for a year"
        notice = box.server.sandbox.uninstall(DEFAULT_USER, app=CLIENT)
        response = browser.send(
            "DELETE", notice.url, headers=notice.headers, content=notice.content
        )
        assert response.status_code == 200
        assert browser.get("/deals").status_code == 303
        if "oauth" in names:
            runner.run(names["oauth"].aclose())
    extension = app.extensions["pipedrive_oauth_client"]["pipedrive"].runner if is_flask else None
    if extension is not None:
        extension.oauth.close()
    store = names["store"] if extension is None else extension.store
    store.close()


@pytest.mark.parametrize("kind", ["fastapi", "flask"])
def test_extension(box: PipedriveSandbox, kind: str) -> None:
    """The endpoints of the page serve the user of a signed token, and the service itself."""
    block = blocks("web-extensions.md")[("fastapi", "flask").index(kind)]
    names: dict[str, Any] = {"__name__": "guide"}
    exec(compile(block, "page", "exec", dont_inherit=True), names)  # noqa: S102 - our own
    with made(kind, box, CLIENT, MemoryTokenStore(), extension=names["add_extension"]) as site:
        answer_both(site)


def answer_both(site: Site) -> None:
    """Call the endpoints of an app as the service does, and as a stranger."""
    service, browser = site.box.server.sandbox, site.browser()
    for path, status in ((f"{PANEL}?token={service.signed_token(app=CLIENT)}", 200), (PANEL, 401)):
        response = browser.get(path)
        assert response.status_code == status
        assert (DEFAULT_USER.account in response.text) is (status == 200)
    call = service.endpoint_call(WEBHOOK, app=CLIENT)
    for headers, status in ((call.headers, 200), ({}, 401)):
        assert browser.send("POST", WEBHOOK, headers=headers).status_code == status


def test_extension_of_django(box: PipedriveSandbox) -> None:
    """The same with the views for Django."""
    names: dict[str, Any] = {"__name__": "guide"}
    block = blocks("web-extensions.md")[2]
    exec(compile(block, "page", "exec", dont_inherit=True), names)  # noqa: S102 - our own
    visitor = RequestFactory()
    with made("django", box, CLIENT, MemoryTokenStore()):
        token = box.server.sandbox.signed_token(app=CLIENT)
        seen = names["panel"](visitor.get("/panel", {"token": token}))
        assert json.loads(seen.content) == {"account": DEFAULT_USER.account}
        assert names["panel"](visitor.get("/panel")).status_code == 401
        call = box.server.sandbox.endpoint_call(WEBHOOK, app=CLIENT)
        post = visitor.post(WEBHOOK, HTTP_AUTHORIZATION=call.headers["Authorization"])
        assert names["messages"](post).status_code == 200
        assert names["messages"](visitor.post(WEBHOOK)).status_code == 401


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("environment")
def test_project_of_django(tmp_path: Path) -> None:
    """The files of the guide are a project that connects a person and shows deals."""
    for block in blocks("web-django.md"):
        name = block.partition("\n")[0].removeprefix("# ")
        (tmp_path / name).write_text(block, encoding="utf-8")
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", VISIT],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == ["/deals", "Coffee for a year"]
