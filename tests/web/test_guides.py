"""The code of the guides is what runs here."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
from attrs import evolve
from django.conf import settings as django_settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory, override_settings
from django.urls import include
from django.urls import path as route
from fastapi import FastAPI

from pipedrive_oauth_client import AppCredentials, AsyncPipedriveOAuth, PipedriveOAuth
from pipedrive_oauth_client.pytest_plugin import PipedriveSandbox
from pipedrive_oauth_client.sandbox import DEFAULT_USER
from pipedrive_oauth_client.stores import MemoryTokenStore
from pipedrive_oauth_client.web import django as web_django
from pipedrive_oauth_client.web.django import configuration
from pipedrive_oauth_client.web.starlette import PipedriveWeb
from tests.web.conftest import CLIENT
from tests.web.sites import KEY, PANEL, WEBHOOK, Browser, Site, made

DOCS = Path(__file__).parents[2] / "docs"
GUIDES = {"web-fastapi.md": 2, "web-flask.md": 2, "web-django.md": 4}


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


@pytest.mark.parametrize(("page", "pieces"), {"web-apps.md": 4, **GUIDES}.items())
def test_guide_is_short(page: str, pieces: int) -> None:
    """A guide is read in a few minutes, and its code is in files that it names."""
    text = (DOCS / page).read_text(encoding="utf-8")
    assert len(text.splitlines()) < (160 if page == "web-apps.md" else 120)
    assert len(blocks(page)) == pieces
    # A file of an app begins with its name; the excerpts of examples/web_app.py don't.
    assert page == "web-apps.md" or all(block.startswith("# ") for block in blocks(page))


@pytest.mark.parametrize("page", ["web-fastapi.md", "web-flask.md"])
def test_whole_app(
    environment: PipedriveSandbox, page: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The app of a guide sends a person to connect, and shows deals until it is uninstalled."""
    names: dict[str, Any] = {"__name__": "guide"}
    exec(compile(blocks(page)[0], page, "exec", dont_inherit=True), names)  # noqa: S102 - our own
    box, app = environment, names["create_app"]()
    is_flask = page == "web-flask.md"
    with asyncio.Runner() as runner:
        loop = None if is_flask else runner
        lifespan = None if is_flask else app.router.lifespan_context(app)
        if lifespan is not None:
            runner.run(lifespan.__aenter__())
        # The check at the start has found nothing wrong.
        assert [each for each in caplog.records if each.levelname == "ERROR"] == []
        assert box.requests.count(grant_type="refresh_token") == 1
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
        if lifespan is not None:
            runner.run(lifespan.__aexit__(None, None, None))
    if is_flask:
        app.extensions["pipedrive_oauth_client"]["pipedrive"].runner.oauth.close()


def test_tests_of_the_guides(tmp_path: Path) -> None:
    """The tests that the guides show pass, in a project that has nothing else."""
    for page in ("web-fastapi.md", "web-flask.md"):
        for block in blocks(page):
            (tmp_path / block.partition("\n")[0].removeprefix("# ")).write_text(block, "utf-8")
    without = [f"-pno:{name}" for name in ("cacheprovider", "hypothesispytest", "xdist")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *without, str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


@pytest.mark.timeout(300)
def test_types_of_the_guides(tmp_path: Path) -> None:
    """The code of the guides passes mypy as strictly as the package does."""
    files: list[str] = []
    for page in ("web-fastapi.md", "web-flask.md", "web-databases.md", "web-extensions.md"):
        for number, block in enumerate(blocks(page)):
            if "migrations/env.py" in block:
                continue  # a piece of a file that Alembic writes
            prefix = page.removesuffix(".md").replace("-", "_")
            file = tmp_path / f"{prefix}_{number}.py"
            # The first block of a page is the app that the test after it imports.
            content = re.sub(
                r"^from (main|app) import", f"from {prefix}_0 import", block, flags=re.MULTILINE
            )
            file.write_text(content, encoding="utf-8")
            files.append(str(file))
    mypy = (sys.executable, "-m", "mypy")
    done = subprocess.run(
        # Flask-Migrate comes without types.
        [*mypy, "--config-file", "pyproject.toml", "--disable-error-code=import-untyped", *files],
        cwd=DOCS.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def end_without_notice(box: PipedriveSandbox, store: MemoryTokenStore) -> None:
    """Let a grant end at the service, which sends no notice, and its access token expire."""
    token = store.load(DEFAULT_USER.account)
    assert token is not None
    credentials = AppCredentials(CLIENT.client_id, CLIENT.client_secret, CLIENT.redirect_uri)
    with PipedriveOAuth(credentials, base_url=box.base_url, retry=None) as oauth:
        oauth.revoke(token, "refresh_token")
    box.clock.advance(timedelta(hours=2))


def test_disconnected_page_of_fastapi(
    box: PipedriveSandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """The event is logged once, the page has the link, and the link connects the account again."""
    names: dict[str, Any] = {"__name__": "guide"}
    block = blocks("disconnected-accounts.md")[0]
    exec(compile(block, "page", "exec", dont_inherit=True), names)  # noqa: S102 - our own
    store, app = MemoryTokenStore(), FastAPI()
    names["add_disconnected_page"](app)
    credentials = AppCredentials(CLIENT.client_id, CLIENT.client_secret, CLIENT.redirect_uri)
    oauth = AsyncPipedriveOAuth(
        credentials,
        base_url=box.base_url,
        retry=None,
        clock=box.clock,
        on_event=names["on_event"],
    )
    web = PipedriveWeb(oauth, store, secret_keys=[KEY])
    app.mount("/pipedrive", web.router)

    @app.get("/deals")
    async def deals() -> str:
        async with httpx.AsyncClient(auth=web.auth_for(DEFAULT_USER.account)) as api:
            response = await api.get(f"{box.base_url}/api/v2/deals")
        return str(response.json()["data"][1]["title"])

    with asyncio.Runner() as runner:
        site = Site("fastapi", box, CLIENT, store, web, "/pipedrive", app, runner, "")
        browser = site.browser()
        browser.connect()
        assert "Coffee" in browser.get("/deals").text
        end_without_notice(box, store)
        answer_disconnected(browser, box)
        runner.run(web.disconnect(DEFAULT_USER.account))
        runner.run(oauth.aclose())
    check_log(caplog)


def check_log(caplog: pytest.LogCaptureFixture) -> None:
    """Check that the event was logged once for each end of the connection."""
    logged = [record.getMessage() for record in caplog.records if record.name == "acme"]
    assert logged == [
        f"{DEFAULT_USER.account} is disconnected: {reason}"
        for reason in ("invalid_grant", "disconnected")
    ]


def answer_disconnected(browser: Browser, box: PipedriveSandbox) -> None:
    """Meet the page twice, which costs one refresh, and connect by its link."""
    box.requests.clear()
    pages = [browser.get("/deals") for _ in range(2)]
    for page in pages:
        assert page.status_code == 403
        assert f"disconnected since {box.clock():%Y-%m-%d}" in page.text
    assert box.requests.count(grant_type="refresh_token") == 1
    (link,) = re.findall(r'href="([^"]+)"', pages[0].text)
    begun = browser.get(link)
    assert begun.status_code == 303
    back = browser.get(browser.consent(begun.headers["Location"]))
    assert back.headers["Location"] == "/deals"
    assert "Coffee" in browser.get("/deals").text


def test_disconnected_page_of_django(
    box: PipedriveSandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The same with a middleware."""
    block = blocks("disconnected-accounts.md")[1]
    (tmp_path / "disconnected.py").write_text(block, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)

    def deals(_request: HttpRequest) -> HttpResponse:
        with httpx.Client(auth=web_django.auth_for(DEFAULT_USER.account)) as api:
            response = api.get(f"{box.base_url}/api/v2/deals")
        return HttpResponse(response.json()["data"][1]["title"])

    store = MemoryTokenStore()
    routes = ModuleType("urls_of_the_guide")
    routes.urlpatterns = [  # type: ignore[attr-defined] # what Django looks for
        route("pipedrive/", include("pipedrive_oauth_client.web.django.urls")),
        route("deals", deals),
    ]
    with made("django", box, CLIENT, store) as plain:
        setting = {**django_settings.PIPEDRIVE_OAUTH, "ON_EVENT": "disconnected.on_event"}
        with override_settings(
            PIPEDRIVE_OAUTH=setting,
            ROOT_URLCONF=routes,
            MIDDLEWARE=["disconnected.DisconnectedPage"],
        ):
            browser = evolve(plain, app=WSGIHandler()).browser()  # with the middleware
            browser.connect()
            assert "Coffee" in browser.get("/deals").text
            end_without_notice(box, store)
            answer_disconnected(browser, box)
            web_django.disconnect(DEFAULT_USER.account)
            configuration.site().oauth.close()
    check_log(caplog)


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
