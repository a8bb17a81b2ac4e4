"""What each framework's users expect besides the routes."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from io import BytesIO, StringIO
from threading import current_thread
from types import SimpleNamespace
from typing import Any

import anyio
import httpx
import pytest
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory, override_settings
from django.utils.decorators import method_decorator
from django.views import View
from flask import Flask, request, url_for
from starlette.applications import Starlette
from starlette.routing import Mount

from pipedrive_oauth_client import (
    AppCredentials,
    AsyncPipedriveOAuth,
    ConfigurationError,
    PipedriveAuth,
    PipedriveOAuth,
    TokenNotFoundError,
)
from pipedrive_oauth_client.pytest_plugin import PipedriveSandbox
from pipedrive_oauth_client.sandbox import DEFAULT_USER, OTHER_USER, Fault
from pipedrive_oauth_client.stores import MemoryTokenStore
from pipedrive_oauth_client.web import ExtensionUser
from pipedrive_oauth_client.web import django as web_django
from pipedrive_oauth_client.web import flask as web_flask
from pipedrive_oauth_client.web import starlette as web_starlette
from pipedrive_oauth_client.web.django import configuration
from tests.web.conftest import CLIENT, PREFIXED_CLIENT
from tests.web.sites import HOST, KEY, OTHER_KEY, Build, Site, made
from tests.web.test_disconnecting import FIELDS, RIGHT, basic

ACCOUNT = DEFAULT_USER.account


def auth_of(site: Site, account: str = ACCOUNT) -> PipedriveAuth:
    """Ask an app for what sends the token of an account."""
    if site.kind.startswith("django"):
        return web_django.auth_for(account)
    if site.kind == "flask":
        with site._app.app_context():
            auth: PipedriveAuth = site.web.auth_for(account)
            return auth
    found: PipedriveAuth = site.web.auth_for(account)
    return found


def disconnect(site: Site, account: str = ACCOUNT) -> None:
    """Ask an app to end a connection."""
    if site.kind == "django":
        web_django.disconnect(account)
    elif site.kind == "flask":
        with site._app.app_context():
            site.web.disconnect(account)
    else:
        assert site._runner is not None
        end = web_django.adisconnect if site.kind == "django-async" else site.web.disconnect
        site._runner.run(end(account))


def test_using_a_connection(site: Site) -> None:
    """The app sends a valid token, and renews it when it has expired."""
    site.browser().connect()
    site.box.clock.advance(timedelta(hours=2))
    with httpx.Client(base_url=site.box.base_url, auth=auth_of(site)) as api:
        assert api.get("/api/v2/deals").status_code == 200
    assert site.box.requests.count(grant_type="refresh_token", outcome="ok") == 1


def test_disconnecting(site: Site) -> None:
    """Ending a connection revokes the grant, and forgets the token; twice does no harm."""
    site.browser().connect()
    assert site.box.server.sandbox.is_installed(DEFAULT_USER, app=CLIENT)
    disconnect(site)
    assert not site.box.server.sandbox.is_installed(DEFAULT_USER, app=CLIENT)
    assert list(site.store.accounts()) == []
    with pytest.raises(TokenNotFoundError):
        auth_of(site).token()
    disconnect(site)
    assert site.box.requests.count(path="/oauth/revoke") == 1


def test_disconnecting_while_the_service_is_down(site: Site) -> None:
    """A grant that was not revoked keeps its token, so that it can be tried again."""
    site.browser().connect()
    site.box.faults.add("/oauth/revoke", Fault.status(503), times=20)
    with pytest.raises(Exception, match="could not process the revocation"):
        disconnect(site)
    assert site.store.load(ACCOUNT) is not None


def test_one_client_for_every_request(kind: str, box: PipedriveSandbox) -> None:
    """The client that the app is given sends all requests: a proxy or certificates are its own."""
    sent: list[str] = []
    with (
        httpx.Client(
            event_hooks={"request": [lambda request: sent.append(request.url.path)]}
        ) as own,
        made(kind, box, CLIENT, MemoryTokenStore(), own_client=own) as site,
    ):
        assert site.browser().connect().status_code == 303
        box.clock.advance(timedelta(hours=2))
        auth_of(site).token()
        disconnect(site)
        assert not own.is_closed
    assert sent == ["/oauth/token", "/api/v1/users/me", "/oauth/token/", "/oauth/revoke"]


# --- Starlette and FastAPI ---


def test_names_of_routes() -> None:
    """Two Pipedrive apps in one app have routes of different names."""
    credentials = AppCredentials(CLIENT.client_id, CLIENT.client_secret, CLIENT.redirect_uri)
    oauth = AsyncPipedriveOAuth(credentials)
    web = web_starlette.PipedriveWeb(oauth, MemoryTokenStore(), secret_keys=[KEY], name="eu")
    app = Starlette(routes=[Mount("/eu", routes=web.routes)])
    assert app.url_path_for("eu_connect") == "/eu/connect"
    assert app.url_path_for("eu_callback") == "/eu/callback"


@pytest.mark.parametrize("kind", ["starlette", "fastapi"], indirect=True)
def test_browser_that_is_gone(build: Build) -> None:
    """A callback that the server cancels, since its browser is gone, is finished and saved."""
    gone, saved = asyncio.Event(), asyncio.Event()

    async def account_for(_request: Any, _token: Any, user: Any) -> str:
        gone.set()
        await asyncio.sleep(0)
        return str(user.account)

    async def connected(_request: Any, _connection: Any) -> None:
        saved.set()

    site = build(
        account_for=account_for, account_of=lambda notice: notice.account, connected=connected
    )
    browser = site.browser()
    request = browser.request("GET", browser.consent(browser.begin()))

    async def main() -> None:
        task = asyncio.create_task(site._gather([request]))
        await asyncio.wait_for(gone.wait(), 20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with anyio.fail_after(20):
            await saved.wait()

    assert site._runner is not None
    site._runner.run(main())
    assert site.store.load(ACCOUNT) is not None


# --- Flask ---


@pytest.fixture
def flask_app() -> Flask:
    """An app of Flask with what its configuration needs."""
    app = Flask("tests.web")
    app.config.update(
        SECRET_KEY=KEY,
        PIPEDRIVE_CLIENT_ID=CLIENT.client_id,
        PIPEDRIVE_CLIENT_SECRET=CLIENT.client_secret,
        PIPEDRIVE_REDIRECT_URI=CLIENT.redirect_uri,
    )
    return app


def test_flask_configuration(flask_app: Flask, box: PipedriveSandbox) -> None:
    """Credentials and keys are those of the app's configuration."""
    flask_app.config["PIPEDRIVE_BASE_URL"] = box.base_url
    web_flask.PipedriveWeb().init_app(flask_app, store=MemoryTokenStore())
    with flask_app.test_request_context():
        assert url_for("pipedrive.connect") == "/pipedrive/connect"
    response = flask_app.test_client().get("/pipedrive/connect")
    assert response.location.startswith(f"{box.base_url}/oauth/authorize")


def test_flask_fallback_keys(flask_app: Flask) -> None:
    """An attempt that was begun under an old key of Flask's is still believed."""
    web_flask.PipedriveWeb().init_app(flask_app, store=MemoryTokenStore())
    begun = flask_app.test_client().get("/pipedrive/connect")
    denied = f"/pipedrive/callback?error=no&state={httpx.URL(begun.location).params['state']}"
    cookie = {"Cookie": begun.headers["Set-Cookie"].partition(";")[0]}
    for fallbacks, status in (([KEY.encode()], 403), ([], 400)):
        later = Flask("tests.web")
        later.config.update(flask_app.config)
        later.config.update(SECRET_KEY=OTHER_KEY, SECRET_KEY_FALLBACKS=fallbacks)
        web_flask.PipedriveWeb().init_app(later, store=MemoryTokenStore())
        answer = later.test_client(use_cookies=False).get(denied, headers=cookie)
        assert answer.status_code == status


def test_flask_former_client_secrets(flask_app: Flask) -> None:
    """The configuration names secrets of before, beside the secret; a flow has none of them."""
    old = {"Authorization": basic(f"{CLIENT.client_id}:the-old-secret")}
    credentials = AppCredentials(CLIENT.client_id, CLIENT.client_secret, CLIENT.redirect_uri)
    flask_app.config["PIPEDRIVE_FORMER_CLIENT_SECRETS"] = ["the-old-secret"]
    with PipedriveOAuth(credentials) as flow:
        for oauth, status in ((None, 200), (flow, 401)):
            app = Flask("tests.web")
            app.config.update(flask_app.config)
            web_flask.PipedriveWeb().init_app(app, store=MemoryTokenStore(), oauth=oauth)
            response = app.test_client().delete("/pipedrive/callback", json=FIELDS, headers=old)
            assert response.status_code == status
    flask_app.config["PIPEDRIVE_FORMER_CLIENT_SECRETS"] = "the-old-secret"
    with pytest.raises(ConfigurationError, match="PIPEDRIVE_FORMER_CLIENT_SECRETS") as caught:
        web_flask.PipedriveWeb().init_app(flask_app, store=MemoryTokenStore())
    assert "the-old-secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["PIPEDRIVE_CLIENT_ID", "PIPEDRIVE_CLIENT_SECRET", "SECRET_KEY"])
def test_flask_configuration_lacks_something(flask_app: Flask, name: str) -> None:
    """What is missing in the configuration is named."""
    flask_app.config[name] = None
    expected = "secret_keys" if name == "SECRET_KEY" else f"the Flask app: .*{name}"
    with pytest.raises(ConfigurationError, match=expected):
        web_flask.PipedriveWeb().init_app(flask_app, store=MemoryTokenStore())


def test_flask_app_without_the_extension(flask_app: Flask) -> None:
    """An app that was not initialised says so."""
    with flask_app.app_context(), pytest.raises(ConfigurationError, match="init_app"):
        web_flask.PipedriveWeb().auth_for("1:11")


def test_one_extension_in_two_apps(flask_app: Flask) -> None:
    """One object serves several apps, each with its own store."""
    web = web_flask.PipedriveWeb(secret_keys=[KEY])
    other = Flask("tests.web")
    credentials = AppCredentials("other", "secret", "https://other.example/pipedrive/callback")
    with PipedriveOAuth(credentials) as oauth:
        web.init_app(flask_app, store=MemoryTokenStore())
        web.init_app(other, store=MemoryTokenStore(), oauth=oauth)
        for app, client_id in ((flask_app, CLIENT.client_id), (other, "other")):
            location = app.test_client().get("/pipedrive/connect").location
            assert httpx.URL(location).params["client_id"] == client_id


def test_two_pipedrive_apps_in_one_flask_app(flask_app: Flask) -> None:
    """Each has routes, credentials and a store of its own, and answers for no other."""
    webs: dict[str, web_flask.PipedriveWeb] = {}
    for name in ("one", "two"):
        credentials = AppCredentials(name, "secret", f"{HOST}/{name}/callback")
        webs[name] = web_flask.PipedriveWeb(name=name)
        oauth = PipedriveOAuth(credentials)
        webs[name].init_app(flask_app, store=MemoryTokenStore(), oauth=oauth, url_prefix=f"/{name}")
    for name, web in webs.items():
        with flask_app.test_request_context():
            assert url_for(f"{name}.connect") == f"/{name}/connect"
            assert web.auth_for("1:11").token_source._store is web._extension().runner.store
        location = flask_app.test_client().get(f"/{name}/connect").location
        assert httpx.URL(location).params["client_id"] == name
        page = flask_app.test_client().get(f"/{name}/callback").text
        assert f'href="/{name}/connect"' in page


@pytest.mark.parametrize(
    ("name", "prefix", "words"),
    [("pipedrive", "/other/pipedrive", "'pipedrive'"), ("second", "/pipedrive", "/pipedrive/conn")],
)
def test_second_flask_extension_that_collides(
    flask_app: Flask, name: str, prefix: str, words: str
) -> None:
    """A name or routes that are taken are refused, and the first extension goes on as it was."""
    first, second = web_flask.PipedriveWeb(), web_flask.PipedriveWeb(name=name)
    first.init_app(flask_app, store=MemoryTokenStore())
    before = (dict(flask_app.extensions["pipedrive_oauth_client"]), dict(flask_app.blueprints))
    credentials = AppCredentials("other", "secret", f"{HOST}{prefix}/callback")
    with PipedriveOAuth(credentials) as oauth:
        for again in (second, first):
            with pytest.raises(ConfigurationError, match=words):
                again.init_app(flask_app, store=MemoryTokenStore(), oauth=oauth, url_prefix=prefix)
            words = "'pipedrive'"
    assert before == (flask_app.extensions["pipedrive_oauth_client"], flask_app.blueprints)
    with flask_app.app_context(), pytest.raises(ConfigurationError, match="init_app"):
        second.auth_for("1:11")


def test_flask_client(flask_app: Flask) -> None:
    """A client belongs to the flow that the configuration makes, or in the one that is passed."""
    web = web_flask.PipedriveWeb()
    with (
        httpx.Client() as own,
        PipedriveOAuth(AppCredentials("a", "b", f"{HOST}/callback")) as flow,
    ):
        with pytest.raises(ConfigurationError, match="Pass client to the PipedriveOAuth"):
            web.init_app(flask_app, store=MemoryTokenStore(), oauth=flow, client=own)
        web.init_app(flask_app, store=MemoryTokenStore(), client=own)
        with flask_app.app_context():
            assert web._extension().runner.oauth.own_client is own


@pytest.mark.parametrize("prefix", ["/crm", "/pipedrive/callback"])
def test_flask_prefix_that_does_not_fit(flask_app: Flask, prefix: str) -> None:
    """A prefix under which nobody would be where the redirect URI leads is refused."""
    with pytest.raises(ConfigurationError, match=f"{prefix}/callback"):
        web_flask.PipedriveWeb().init_app(flask_app, store=MemoryTokenStore(), url_prefix=prefix)


@pytest.mark.parametrize("prefix", ["", "/"])
def test_flask_without_a_prefix(flask_app: Flask, prefix: str) -> None:
    """The routes can be at the root."""
    flask_app.config["PIPEDRIVE_REDIRECT_URI"] = f"{HOST}/callback"
    web_flask.PipedriveWeb().init_app(flask_app, store=MemoryTokenStore(), url_prefix=prefix)
    assert flask_app.test_client().get("/connect").status_code == 303


def test_flask_body_that_is_too_long(flask_app: Flask) -> None:
    """Nothing of a body is read whose length is said to be too much."""

    class Body(BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise AssertionError(f"{size} bytes were to be read")

        def readinto(self, buffer: Any) -> int:
            raise AssertionError(f"{len(buffer)} bytes were to be read")

    web_flask.PipedriveWeb().init_app(flask_app, store=MemoryTokenStore())
    response = flask_app.test_client().delete(
        "/pipedrive/callback", input_stream=Body(b" " * 20_000), headers=RIGHT
    )
    assert response.status_code == 413


def test_flask_body_that_was_read_before(flask_app: Flask) -> None:
    """A notice is read as well where the app, to log it for example, has read the body before."""
    store = MemoryTokenStore()
    web_flask.PipedriveWeb().init_app(flask_app, store=store)
    flask_app.before_request(lambda: flask_app.logger.debug("%s", request.get_data()))
    visitor = flask_app.test_client()
    for body, status in ((json.dumps(FIELDS), 200), ("x" * 17_000, 413)):
        response = visitor.delete("/pipedrive/callback", data=body, headers=RIGHT)
        assert response.status_code == status


# --- Django ---


@pytest.fixture
def django_site(box: PipedriveSandbox) -> Any:
    """An app of Django."""
    with made("django", box, CLIENT, MemoryTokenStore()) as site:
        yield site


@pytest.mark.parametrize("kind", ["django", "django-async"], indirect=True)
def test_django_takes_notices_with_csrf_protection(build: Build) -> None:
    """Django's own protection of forms, which a notice knows nothing of, lets it through."""
    with override_settings(MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware"]):
        site = build()
        site.browser().connect()
        response = site.browser().send(
            "DELETE", site.callback, content=json.dumps(FIELDS), headers=RIGHT
        )
    assert response.status_code == 200
    assert list(site.store.accounts()) == []


def user_of_header(get_response: Any) -> Any:
    """Let a header say who is logged in; a middleware in place of Django's own."""

    def middleware(request: Any) -> Any:
        name, _, state = request.headers.get("Test-User", "nobody:out").partition(":")
        request.user = SimpleNamespace(pk=name, is_authenticated=state == "in")
        return get_response(request)

    return middleware


@pytest.mark.parametrize("kind", ["django", "django-async"], indirect=True)
@pytest.mark.parametrize(
    ("begun_by", "ended_by", "status"),
    [
        ("ada:in", "ada:in", 303),
        ("ada:in", "grace:in", 400),
        ("ada:in", "ada:out", 400),
        ("ada:out", "ada:in", 400),
        ("ada:out", "grace:out", 303),
    ],
)
def test_django_user(build: Build, begun_by: str, ended_by: str, status: int) -> None:
    """An attempt ends for the user who has begun it; people who are not logged in are alike."""
    with override_settings(MIDDLEWARE=[f"{__name__}.user_of_header"]):
        browser = build().browser()
        callback = browser.consent(browser.begin(headers={"Test-User": begun_by}))
        assert browser.get(callback, headers={"Test-User": ended_by}).status_code == status


@pytest.mark.parametrize("kind", ["django", "django-async"], indirect=True)
def test_django_cache(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default cache knows which callbacks were used, so that workers can share it."""
    added: list[tuple[str, float]] = []

    def add(key: str, _value: object, timeout: float) -> bool:
        added.append((key, timeout))
        return False

    monkeypatch.setattr(configuration, "django_cache", SimpleNamespace(add=add))
    assert site.browser().connect().status_code == 400
    assert site.box.requests.count(grant_type="authorization_code") == 0
    assert [timeout for _key, timeout in added] == [600]


@pytest.mark.parametrize("kind", ["django", "django-async"], indirect=True)
@pytest.mark.parametrize(("fallbacks", "status"), [([KEY], 403), ([], 400)])
def test_django_fallback_keys(build: Build, fallbacks: list[str], status: int) -> None:
    """An attempt that was begun under an old key of Django's is believed while that key is."""
    browser = build(secret_keys=[]).browser()
    callback = browser.consent(browser.begin(), approve=False)
    with override_settings(SECRET_KEY=OTHER_KEY, SECRET_KEY_FALLBACKS=fallbacks):
        assert browser.get(callback).status_code == status


@pytest.mark.parametrize("kind", ["django-async"], indirect=True)
def test_django_thread(build: Build) -> None:
    """Functions that are not asynchronous run where Django keeps its database connections."""
    threads: list[str] = []
    site = build(connected=lambda *_: threads.append(current_thread().name))
    assert site.browser().connect().status_code == 303
    assert len(threads) == 1
    assert "AnyIO" not in threads[0]


@pytest.mark.parametrize("kind", ["django-async"], indirect=True)
def test_django_with_a_transaction_for_each_request(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A project that wants a transaction around each view can have coroutines as views here."""
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    assert site.browser().connect().status_code == 303


def complaints() -> list[str | None]:
    """Give what `manage.py check` says."""
    own = [each for each in run_checks() if str(each.id).startswith("pipedrive")]
    return [each.id for each in own if not each.is_silenced()]


@pytest.mark.usefixtures("django_site")
def test_django_check_is_content() -> None:
    """A setting that can be right, with the routes in their place, is not complained about."""
    assert complaints() == []


def test_django_check_below_a_path() -> None:
    """A project that the server mounts at a path, of which `manage.py` knows nothing, is right."""
    setting = {
        "CLIENT_ID": CLIENT.client_id,
        "CLIENT_SECRET": CLIENT.client_secret,
        "REDIRECT_URI": PREFIXED_CLIENT.redirect_uri,
        "STORE": MemoryTokenStore,
    }
    with override_settings(PIPEDRIVE_OAUTH=setting):
        assert complaints() == []


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        (None, "E001"),
        ({}, "E001"),
        ({"STORE": None}, "E001"),
        ({"STORE": "no.such.place"}, "E001"),
        ({"CONNECTD": print}, "E001"),
        ({"CONNECTED": asyncio.sleep}, "E003"),
        ({"CLIENT_SECRET": None}, "E001"),
        ({"CLIENT_ID": 7}, "E001"),
        ({"REDIRECT_URI": f"{HOST}/pipedrive/elsewhere"}, "E002"),
    ],
)
def test_django_check(setting: dict[str, Any] | None, complaint: str) -> None:
    """A setting that can't be right, or a redirect URI that leads nowhere, is complained about."""
    right = {
        "CLIENT_ID": CLIENT.client_id,
        "CLIENT_SECRET": CLIENT.client_secret,
        "REDIRECT_URI": CLIENT.redirect_uri,
        "STORE": MemoryTokenStore,
    }
    given = {**right, **setting} if setting else setting
    with override_settings(PIPEDRIVE_OAUTH=given):
        assert complaints() == [f"pipedrive_oauth_client.{complaint}"]


class Panel(View):
    """A panel as a class."""

    def get(self, _request: HttpRequest, user: ExtensionUser) -> HttpResponse:
        """Say whose panel it is."""
        return HttpResponse(user.account)


@method_decorator(web_django.extension_user_required, name="dispatch")
class GuardedPanel(Panel):
    """A panel that is decorated as a class."""


class AsyncPanel(View):
    """A panel as a class, whose methods are coroutines."""

    async def get(self, _request: HttpRequest, user: ExtensionUser) -> HttpResponse:
        """Say whose panel it is."""
        return HttpResponse(user.account)


def test_django_views_that_are_classes(django_site: Site) -> None:
    """The decorators take what `as_view` gives, and `method_decorator` takes the decorators."""
    token = django_site.box.server.sandbox.signed_token(app=CLIENT)
    blocking = [web_django.extension_user_required(Panel.as_view()), GuardedPanel.as_view()]
    for query, status in (({"token": token}, 200), ({}, 401)):
        asked = RequestFactory().get("/panel", query)
        seen: list[Any] = [view(asked) for view in blocking]
        seen.append(asyncio.run(web_django.extension_user_required(AsyncPanel.as_view())(asked)))
        assert [each.status_code for each in seen] == [status] * 3
        assert {each.content for each in seen} == {ACCOUNT.encode() if query else b""}


def make_store() -> MemoryTokenStore:
    """Make a store, as a setting of Django can name it."""
    return MemoryTokenStore()


def test_django_names(box: PipedriveSandbox) -> None:
    """The store and functions may be given by their dotted names."""
    names: Any = f"{__name__}.make_store"
    with made("django", box, CLIENT, names, first_use=f"{__name__}.always_first") as site:
        assert site.browser().connect().status_code == 303
        assert web_django.auth_for(ACCOUNT).token().api_domain == box.base_url


def always_first(_key: str, _lifetime: timedelta) -> bool:
    """Remember nothing."""
    return True


def test_django_command(django_site: Site) -> None:
    """The command renews what was not renewed in a while, and says how much it was."""
    site = django_site
    for user in (DEFAULT_USER, OTHER_USER):
        site.browser().connect(user=user)
    site.box.clock.advance(timedelta(days=31))
    said = StringIO()
    call_command("pipedrive_refresh", stdout=said)
    assert said.getvalue() == "2 refreshed, 0 done elsewhere, 0 failed.\n"
    call_command("pipedrive_refresh", stdout=said)
    assert said.getvalue().splitlines()[-1] == "0 refreshed, 0 done elsewhere, 0 failed."


def test_django_command_fails(django_site: Site) -> None:
    """The command names the accounts that were not renewed, and ends with an error."""
    site = django_site
    for user in (DEFAULT_USER, OTHER_USER):
        site.browser().connect(user=user)
    site.box.server.sandbox.uninstall(DEFAULT_USER, app=CLIENT)
    site.box.clock.advance(timedelta(days=31))
    said, complained = StringIO(), StringIO()
    with pytest.raises(CommandError, match="1 accounts"):
        call_command("pipedrive_refresh", "--per-second", "100", stdout=said, stderr=complained)
    assert "1 refreshed" in said.getvalue()
    assert complained.getvalue().startswith(f"{ACCOUNT}: ")


@pytest.mark.parametrize("option", ["--days=-1", "--days=1e12", "--concurrency=0"])
def test_django_command_of_nonsense(django_site: Site, option: str) -> None:
    """An option that can't be right is refused in a sentence."""
    assert django_site.kind == "django"
    with pytest.raises(CommandError):
        call_command("pipedrive_refresh", option)
