"""What a Django project learns of its accounts: users, signals, the admin, commands and checks."""

from __future__ import annotations

import asyncio
import re
import warnings
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from attrs import evolve
from django.apps import apps
from django.conf import settings as django_settings
from django.contrib.auth.models import Permission, User
from django.core import mail
from django.core.checks import run_checks
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import CommandError, call_command
from django.db import connections
from django.dispatch import Signal
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory, override_settings
from django.test.utils import CaptureQueriesContext

from pipedrive_oauth_client import (
    AsyncPipedriveOAuth,
    ConfigurationError,
    InvalidGrantError,
)
from pipedrive_oauth_client.events import GrantEnded
from pipedrive_oauth_client.pytest_plugin import PipedriveSandbox
from pipedrive_oauth_client.sandbox import DEFAULT_USER, OTHER_USER, App
from pipedrive_oauth_client.stores import (
    FileTokenStore,
    MemoryTokenStore,
    RedisTokenStore,
    SQLTokenStore,
)
from pipedrive_oauth_client.stores.leased import microseconds, token_to_json
from pipedrive_oauth_client.tokens import GrantEnd
from pipedrive_oauth_client.web import ExtensionUser
from pipedrive_oauth_client.web import django as web_django
from pipedrive_oauth_client.web.django import DjangoTokenStore, configuration, signals
from pipedrive_oauth_client.web.django.connections import Connection
from pipedrive_oauth_client.web.django.models import AbstractPipedriveAccount, PipedriveAccount
from tests.support.sweep import found
from tests.web.conftest import CLIENT, REPORTS_CLIENT
from tests.web.crm.models import ReportsAccount
from tests.web.django_databases import database, migrated
from tests.web.sites import KEY, Browser, Build, Site, collect_bodies
from tests.web.test_disconnecting import notify
from tests.web.test_frameworks import complaints

ACCOUNT = DEFAULT_USER.account
BOTH = pytest.mark.parametrize("kind", ["django", "django-async"], indirect=True)
BLOCKING = pytest.mark.parametrize("kind", ["django"], indirect=True)


@pytest.fixture(scope="module")
def migrated_database(tmp_path_factory: pytest.TempPathFactory) -> Generator[None]:
    """Give the project a database with all tables."""
    folder = tmp_path_factory.mktemp("django")
    with database("sqlite", folder) as settings, migrated(settings, alias="default"):
        yield


@pytest.fixture
def ada(migrated_database: None) -> Generator[User]:  # noqa: ARG001 - it is there
    """A user, and nothing else in the database."""
    yield User.objects.create(username="ada")
    for model in (User, apps.get_model("sessions", "Session")):
        model.objects.all().delete()
    for store in (DjangoTokenStore(), DjangoTokenStore(model=ReportsAccount)):
        for account in store.accounts():
            store.delete(account)
    connections.close_all()


def user_of_header(get_response: Any) -> Any:
    """Let a header say who is logged in; a middleware in place of Django's own."""

    def middleware(request: Any) -> Any:
        name = request.headers.get("Test-User")

        class Anonymous:
            is_authenticated = False

        request.user = User.objects.get(username=name) if name else Anonymous()

        async def auser() -> Any:
            return request.user

        request.auser = auser
        return get_response(request)

    return middleware


@pytest.fixture
def users() -> Generator[None]:
    """Let the header say who is logged in."""
    with override_settings(MIDDLEWARE=[f"{__name__}.user_of_header"]):
        yield


def connect(site: Site, name: str | None, *, user: Any = DEFAULT_USER) -> None:
    """Connect an account as a user of the project."""
    headers = {"Test-User": name} if name else {}
    browser = site.browser()
    callback = browser.consent(browser.begin(headers=headers), user=user)
    assert browser.get(callback, headers=headers).status_code == 303


@contextmanager
def received(
    signal: Signal, model: type[AbstractPipedriveAccount] = PipedriveAccount
) -> Generator[list[dict[str, Any]]]:
    """Collect what receivers of a signal are told."""
    told: list[dict[str, Any]] = []

    def receive(sender: object, **arguments: Any) -> None:
        assert sender is model
        told.append({name: arguments[name] for name in arguments if name != "signal"})

    signal.connect(receive)
    try:
        yield told
    finally:
        signal.disconnect(receive)


# --- Users ---


@BOTH
@pytest.mark.usefixtures("users")
def test_account_belongs_to_the_user_who_connects(build: Build, ada: User) -> None:
    """The account of a user who is logged in is theirs; that of a visitor has no user."""
    site = build(store=DjangoTokenStore())
    connect(site, "ada")
    connect(site, None, user=OTHER_USER)
    assert [each.account for each in ada.pipedrive_accounts.all()] == [ACCOUNT]  # type: ignore[attr-defined]
    assert PipedriveAccount.objects.get(account=OTHER_USER.account).user is None
    # A refresh changes nothing of it, and the end of the connection ends it.
    web_django.auth_for(ACCOUNT).token(rejected=site.store.load(ACCOUNT))
    assert PipedriveAccount.objects.get(user=ada).account == ACCOUNT
    web_django.disconnect(ACCOUNT)
    assert not PipedriveAccount.objects.filter(user=ada).exists()
    connect(site, None)
    assert PipedriveAccount.objects.get(account=ACCOUNT).user is None


@BLOCKING
@pytest.mark.usefixtures("users")
def test_user_whom_the_project_logs_in(build: Build, ada: User) -> None:
    """The user whom `CONNECTED` has logged in counts."""

    def connected(request: Any, _connection: Any) -> None:
        request.user = ada

    site = build(
        store=DjangoTokenStore(), connected=connected, session_of=lambda _request: "the same"
    )
    connect(site, None)
    assert PipedriveAccount.objects.get(user=ada).account == ACCOUNT


@BLOCKING
@pytest.mark.usefixtures("users")
def test_install_from_the_marketplace_gets_no_user(build: Build, ada: User) -> None:
    """An attacker may have sent the browser, so that the account is not the user's."""
    site = build(store=DjangoTokenStore(), allow_marketplace_installs=True)
    callback = site.box.server.install(app=CLIENT)
    response = site.browser().get(callback, headers={"Test-User": ada.username})
    assert response.status_code == 303
    assert PipedriveAccount.objects.get(account=ACCOUNT).user is None


@BLOCKING
@pytest.mark.usefixtures("users")
def test_deleted_user_leaves_the_account(build: Build, ada: User) -> None:
    """Deleting a user leaves the connection, without a user."""
    connect(build(store=DjangoTokenStore()), "ada")
    ada.delete()
    assert PipedriveAccount.objects.get(account=ACCOUNT).user_id is None


@BOTH
@pytest.mark.usefixtures("users")
def test_login_required(build: Build, ada: User) -> None:
    """With `LOGIN_REQUIRED`, a user who is not logged in goes to the login page, and comes back."""
    site = build(login_required=True)
    response = site.browser().get(f"{site.start}?next=/deals")
    assert response.headers["Location"] == (
        "/accounts/login/?next=/pipedrive/connect%3Fnext%3D/deals"
    )
    connect(site, ada.username)


@BOTH
def test_login_required_without_users(build: Build) -> None:
    """Without the middleware, the view says what is missing."""
    site = build(login_required=True)
    with pytest.raises(ConfigurationError, match="AuthenticationMiddleware"):
        site.browser().get(site.start)


# --- Signals ---


@BOTH
def test_signals(build: Build, ada: User) -> None:
    """Receivers are told of a connection, of a notice and of a disconnection, once each."""
    assert ada.pk
    site = build(store=DjangoTokenStore())
    with received(signals.account_connected) as told:
        site.browser().connect()
    (arguments,) = told
    assert arguments["account"] == arguments["connection"].account == ACCOUNT
    assert arguments["request"].path == site.callback
    assert arguments["user"] is None
    with received(signals.account_disconnected) as told:
        for _ in range(2):
            web_django.disconnect(ACCOUNT)
    assert told == [{"account": ACCOUNT, "notice": None, "name": "default"}]
    site.browser().connect()
    notice = site.box.server.sandbox.uninstall(DEFAULT_USER, app=CLIENT)
    with received(signals.account_disconnected) as told:
        response = site.browser().send(
            "DELETE", notice.url, headers=notice.headers, content=notice.content
        )
    assert response.status_code == 200
    assert [each["account"] for each in told] == [ACCOUNT]
    assert told[0]["notice"].account == ACCOUNT


@BOTH
def test_signals_beside_functions_of_the_project(build: Build) -> None:
    """Functions of the project are called before the receivers, and their response counts."""
    order: list[str] = []

    async def connected_async(_request: Any, _connection: Any) -> None:
        order.append("function")

    def connected(_request: Any, _connection: Any) -> None:
        order.append("function")

    def receive(**_: Any) -> None:
        order.append("receiver")

    signals.account_connected.connect(receive)
    try:
        for function in (connected, connected_async):
            site = build(connected=function)
            if function is connected or site.kind == "django-async":
                site.browser().connect()
                assert order == ["function", "receiver"]
                order.clear()
    finally:
        signals.account_connected.disconnect(receive)


@BLOCKING
def test_grant_that_the_service_has_ended(build: Build, ada: User) -> None:
    """The first refresh that the service rejects is told, and the account's state is kept."""
    assert ada.pk
    site = build(store=DjangoTokenStore())
    site.browser().connect()
    site.box.server.sandbox.uninstall(DEFAULT_USER, app=CLIENT)
    stored = site.store.load(ACCOUNT)
    with received(signals.grant_ended) as told:
        for _ in range(2):
            with pytest.raises(InvalidGrantError):
                web_django.auth_for(ACCOUNT).token(rejected=stored)
    assert [each["account"] for each in told] == [ACCOUNT]
    assert [each.account for each in DjangoTokenStore().overview() if each.may_have_ended] == [
        ACCOUNT
    ]
    with pytest.raises(CommandError, match="1 of 1 accounts"):
        call("pipedrive_status")


@BLOCKING
def test_ended_grant(build: Build, ada: User) -> None:
    """A grant that the service has ended is told, from the thread that has noticed it."""
    build(store=DjangoTokenStore(), on_event=None)
    now = datetime.now(UTC)

    def use_the_database(**_: Any) -> None:
        assert User.objects.count() == 1

    signals.grant_ended.connect(use_the_database)
    try:
        with received(signals.grant_ended) as told:
            for error in ("invalid_grant", "disconnected", "uninstalled"):
                configuration.site().oauth.emit(GrantEnded(account=ACCOUNT, at=now, error=error))
    finally:
        signals.grant_ended.disconnect(use_the_database)
    (arguments,) = told
    assert arguments == {
        "account": ACCOUNT,
        "at": now,
        "error": "invalid_grant",
        "name": "default",
    }
    assert ada.pk


# --- Commands ---


def call(*words: str) -> str:
    """Run a command of `manage.py`, and give what it has printed."""
    said = StringIO()
    call_command(*words, stdout=said, stderr=said)
    return said.getvalue()


@BLOCKING
@pytest.mark.usefixtures("users")
def test_status_command(build: Build, ada: User) -> None:
    """The command lists accounts, users and states, and fails for a grant that has ended."""
    site = build(store=DjangoTokenStore())
    assert "No account is connected" in call("pipedrive_status")
    connect(site, "ada")
    connect(site, None, user=OTHER_USER)
    lines = call("pipedrive_status").splitlines()
    assert len(lines) == 2
    (own,) = (line for line in lines if line.startswith(ACCOUNT))
    assert "valid until" in own
    assert own.endswith(f"user {ada.pk}")
    site.box.clock.advance(timedelta(hours=2))
    company = ACCOUNT.partition(":")[0] + ":"
    assert "refreshed when it is used" in call("pipedrive_status", "--prefix", company)
    token = site.store.load(ACCOUNT)
    assert token is not None
    now = datetime.now(UTC)
    end = GrantEnd(at=now, error="invalid_grant", tried_at=now)
    site.store.save(ACCOUNT, evolve(token, grant_end=end))
    with pytest.raises(CommandError, match="1 of 2 accounts"):
        call("pipedrive_status")


@BLOCKING
def test_disconnect_command(build: Build, ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command asks first, revokes, and names an account that is not connected."""
    assert ada.pk
    site = build(store=DjangoTokenStore())
    site.browser().connect()
    with pytest.raises(CommandError, match="No token is stored for 9:9"):
        call("pipedrive_disconnect", ACCOUNT, "9:9")
    monkeypatch.setattr("builtins.input", lambda _prompt: "n")
    with pytest.raises(CommandError, match="Nothing was done"):
        call("pipedrive_disconnect", ACCOUNT)
    assert list(site.store.accounts()) == [ACCOUNT]
    assert "disconnected" in call("pipedrive_disconnect", "--noinput", ACCOUNT)
    assert list(site.store.accounts()) == []
    assert site.box.requests.count(path="/oauth/revoke", outcome="ok") == 1


@BLOCKING
def test_refresh_command_with_names(build: Build, ada: User) -> None:
    """With names, the command refreshes those accounts at once."""
    assert ada.pk
    site = build(store=DjangoTokenStore())
    site.browser().connect()
    before = site.store.load(ACCOUNT)
    assert "refreshed" in call("pipedrive_refresh", ACCOUNT)
    assert site.store.load(ACCOUNT) != before
    with pytest.raises(CommandError, match="1 accounts"):
        call("pipedrive_refresh", "9:9")


# --- Admin ---


@pytest.fixture
def admin(ada: User) -> Generator[Client]:
    """The browser of an administrator. Use it before `build`: settings are restored in turn."""
    ada.is_superuser = ada.is_staff = True
    ada.save()
    middleware = [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ]
    with override_settings(MIDDLEWARE=middleware):
        client = Client()
        client.force_login(ada)
        yield client


LIST = "/admin/pipedrive_oauth_client/pipedriveaccount/"


@BLOCKING
def test_admin(admin: Client, build: Build) -> None:
    """Accounts are shown without tokens; they are refreshed, and disconnected once confirmed."""
    site = build(store=DjangoTokenStore())
    with override_settings(ROOT_URLCONF="tests.web.django_admin_urls"):
        callback = admin.get("/pipedrive/connect")["Location"]
        admin.get("/pipedrive/callback?" + site.box.server.visit(callback).partition("?")[2])
        before = site.store.load(ACCOUNT)
        assert before is not None
        pages = [admin.get(LIST).text, admin.get(f"{LIST}{ACCOUNT}/change/").text]
        secrets = [before.access_token, before.refresh_token or ""]
        for page in pages:
            assert ACCOUNT in page
            assert "ada" in page
            assert not found(page, secrets)
        assert f"{LIST}add/" not in pages[0]
        assert admin.get(f"{LIST}{ACCOUNT}/delete/").status_code == 403
        chosen = {"_selected_action": [ACCOUNT]}
        shown = admin.post(LIST, {**chosen, "action": "refresh"}, follow=True).text
        assert "refreshed" in shown
        assert site.store.load(ACCOUNT) != before
        asked = admin.post(LIST, {**chosen, "action": "disconnect"}).text
        assert "has to connect again" in asked
        assert list(site.store.accounts()) == [ACCOUNT]
        site.box.server.sandbox.uninstall(OTHER_USER, app=CLIENT)
        confirmed = {**chosen, "action": "disconnect", "confirmed": "yes"}
        assert "disconnected" in admin.post(LIST, confirmed, follow=True).text
    assert list(site.store.accounts()) == []
    assert site.box.requests.count(path="/oauth/revoke", outcome="ok") == 1


@BLOCKING
def test_admin_without_permissions(admin: Client, ada: User, build: Build) -> None:
    """Who may only view accounts can neither refresh nor disconnect them."""
    site = build(store=DjangoTokenStore())
    site.browser().connect()
    ada.is_superuser = False
    ada.save()
    ada.user_permissions.add(Permission.objects.get(codename="view_pipedriveaccount"))
    with override_settings(ROOT_URLCONF="tests.web.django_admin_urls"):
        assert ACCOUNT in admin.get(LIST).text
        for action in ("refresh", "disconnect"):
            given = {"_selected_action": [ACCOUNT], "action": action, "confirmed": "yes"}
            admin.post(LIST, given)
    assert list(site.store.accounts()) == [ACCOUNT]
    assert site.box.requests.count(grant_type="refresh_token") == 0


@BLOCKING
def test_admin_with_tokens_in_another_database(
    admin: Client, ada: User, build: Build, tmp_path: Path
) -> None:
    """The users of the accounts are shown as well, which no join can find."""
    with database("sqlite", tmp_path) as settings, migrated(settings) as alias:
        site = build(store=DjangoTokenStore(alias), database=alias)
        with override_settings(ROOT_URLCONF="tests.web.django_admin_urls"):
            callback = admin.get("/pipedrive/connect")["Location"]
            admin.get("/pipedrive/callback?" + site.box.server.visit(callback).partition("?")[2])
            assert PipedriveAccount.objects.get(user_id=ada.pk).account == ACCOUNT
            row = admin.get(LIST).text.partition("<tbody>")[2]
            asked = admin.post(LIST, {"_selected_action": [ACCOUNT], "action": "disconnect"}).text
        assert "ada" in row
        assert f"{ACCOUNT} (ada)" in asked
        ada.delete()
        assert PipedriveAccount.objects.get().user_id is None


# --- Checks ---


def setting(**changes: Any) -> dict[str, Any]:
    """Give a setting that is right, with changes."""
    return {
        "CLIENT_ID": CLIENT.client_id,
        "CLIENT_SECRET": CLIENT.client_secret,
        "REDIRECT_URI": CLIENT.redirect_uri,
        **changes,
    }


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"PIPEDRIVE_OAUTH": setting(AFTER_CONECT="/")}, "E001 .*did you mean AFTER_CONNECT"),
        ({"PIPEDRIVE_OAUTH": setting(store=None)}, "E001 .*did you mean STORE"),
        ({"PIPEDRIVE_OAUTH": setting(DATABASE="elsewhere")}, "E001 .*'elsewhere'.*DATABASE"),
        ({"PIPEDRIVE_OAUTH": setting(CLIENT=5)}, "E001 .*CLIENT.*httpx.Client"),
        ({"PIPEDRIVE_OAUTH": setting(CLIENT=httpx.AsyncClient)}, "E001 .*CLIENT.*httpx.Client"),
        ({"PIPEDRIVE_OAUTH": setting(LOGIN_REQUIRED="yes")}, "E001 .*LOGIN_REQUIRED"),
        ({"PIPEDRIVE_OAUTH": setting(ON_EVENT=5)}, "E001 .*ON_EVENT"),
        ({"PIPEDRIVE_OAUTH": setting(CONNECTED=5)}, "E001 .*CONNECTED"),
        ({"SESSION_COOKIE_SAMESITE": "Strict"}, "E004 .*SESSION_COOKIE_SAMESITE"),
        ({"PIPEDRIVE_OAUTH": setting(LOGIN_REQUIRED=True)}, "E005 .*LOGIN_REQUIRED"),
        ({"SILENCED_SYSTEM_CHECKS": []}, "W001 .*CACHES"),
    ],
)
@pytest.mark.usefixtures("ada")
def test_checks(changes: dict[str, Any], says: str) -> None:
    """Each check names the setting and the cure."""
    with override_settings(**{"PIPEDRIVE_OAUTH": setting(), "MIDDLEWARE": [], **changes}):
        own = [each for each in run_checks() if str(each.id).startswith("pipedrive")]
        (message,) = [each for each in own if not each.is_silenced()]
    assert re.search(says, f"{message.id} {message.msg} {message.hint}")


@pytest.mark.usefixtures("ada")
def test_checks_of_sqlite() -> None:
    """A file that others can read, and a transaction for each request, are warned of."""
    given = connections.settings["default"]
    with override_settings(PIPEDRIVE_OAUTH=setting()):
        assert complaints() == []
        Path(given["NAME"]).chmod(0o644)
        given["ATOMIC_REQUESTS"] = True
        try:
            found_ones = complaints()
        finally:
            Path(given["NAME"]).chmod(0o600)
            given["ATOMIC_REQUESTS"] = False
    assert found_ones == ["pipedrive_oauth_client.W002", "pipedrive_oauth_client.W003"]


def test_live_store_in_tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store of the settings that tests would write to is warned of, once by each way."""
    monkeypatch.setattr(mail, "outbox", [], raising=False)  # as Django's test runner does
    with override_settings():
        outermost: Any = django_settings._wrapped
        base = outermost.default_settings
        live = setting(STORE=lambda: FileTokenStore(tmp_path / "tokens"))
        monkeypatch.setattr(base, "default_settings", _Plain(base.default_settings, live))
        configuration.clear_caches(setting="PIPEDRIVE_OAUTH")
        with pytest.warns(UserWarning, match=r"FileTokenStore.*Override PIPEDRIVE_OAUTH"):
            configuration.site()
        assert "pipedrive_oauth_client.W005" in complaints()
        with override_settings(PIPEDRIVE_OAUTH=live), warnings.catch_warnings():
            warnings.simplefilter("error")
            configuration.site()
        with override_settings(PIPEDRIVE_OAUTH=setting(STORE=MemoryTokenStore)):
            assert "pipedrive_oauth_client.W005" not in complaints()
    configuration.clear_caches(setting="PIPEDRIVE_OAUTH")


class _Plain:
    # Settings as a module has them: no test has overridden the setting.
    def __init__(self, others: Any, live: dict[str, Any]) -> None:
        self._others = others
        self.PIPEDRIVE_OAUTH = live

    def __getattr__(self, name: str) -> Any:
        return getattr(self._others, name)


# --- Two Pipedrive apps in one project ---


def described(client: App, box: PipedriveSandbox, **changes: Any) -> dict[str, Any]:
    """Describe an app of the service as a setting."""
    return {
        "CLIENT_ID": client.client_id,
        "CLIENT_SECRET": client.client_secret,
        "REDIRECT_URI": client.redirect_uri,
        "BASE_URL": box.base_url,
        "CLOCK": box.clock,
        "RETRY": None,
        "SECRET_KEYS": [KEY],
        **changes,
    }


@contextmanager
def two_apps(
    kind: str, box: PipedriveSandbox, *, urls: str = "", **changes: Any
) -> Generator[tuple[Site, Site]]:
    """Give a project with two Pipedrive apps as two sites; `changes` are of the second one."""
    second = {"MODEL": "crm.ReportsAccount", **changes}
    setting = {
        "default": described(CLIENT, box),
        "reports": described(REPORTS_CLIENT, box, **second),
    }
    is_async = kind == "django-async"
    urls = urls or f"tests.web.django_two_{'async_' if is_async else ''}urls"
    with ExitStack() as stack:
        stack.enter_context(override_settings(PIPEDRIVE_OAUTH=setting, ROOT_URLCONF=urls))
        runner = stack.enter_context(asyncio.Runner()) if is_async else None
        rest: Any = (ASGIHandler() if is_async else WSGIHandler(), runner, "")
        webs = [configuration.site("default"), configuration.site("reports")]
        yield (
            Site(kind, box, CLIENT, webs[0].store, webs[0], "/pipedrive", *rest),
            Site(kind, box, REPORTS_CLIENT, webs[1].store, webs[1], "/reports", *rest),
        )
        for web in webs:
            web.oauth.close()
            if isinstance(web.async_oauth, AsyncPipedriveOAuth) and runner is not None:
                runner.run(web.async_oauth.aclose())
        if is_async:
            collect_bodies()


@pytest.fixture
def pair(kind: str, box: PipedriveSandbox, ada: User) -> Generator[tuple[Site, Site]]:
    """A project with two Pipedrive apps; a header says who is logged in."""
    assert ada.pk
    middleware = [f"{__name__}.user_of_header"]
    with override_settings(MIDDLEWARE=middleware), two_apps(kind, box) as sites:
        yield sites


def adas(model: type[AbstractPipedriveAccount]) -> list[str]:
    """Give the accounts of a model that are Ada's."""
    return [each.account for each in model.objects.filter(user__username="ada")]


@BOTH
def test_two_apps_of_one_user(pair: tuple[Site, Site], ada: User) -> None:
    """One user connects both; a refresh and a notice of one app leave the other's token alone."""
    plain, reports = pair
    with received(signals.account_connected) as told:
        connect(plain, "ada")
    with received(signals.account_connected, ReportsAccount) as told_of_reports:
        connect(reports, "ada")
    names = [each["name"] for each in (*told, *told_of_reports)]
    assert names == ["default", "reports"]
    assert adas(PipedriveAccount) == adas(ReportsAccount) == [ACCOUNT]
    related: Any = ada
    assert [each.account for each in related.crm_reportsaccount_set.all()] == [ACCOUNT]
    before = plain.store.load(ACCOUNT), reports.store.load(ACCOUNT)
    assert None not in before
    assert before[0] != before[1]
    auth = web_django.auth_for(ACCOUNT, name="reports")
    assert auth.token(rejected=before[1]) == reports.store.load(ACCOUNT) != before[1]
    assert plain.store.load(ACCOUNT) == before[0]
    web_django.auth_for(ACCOUNT).token(rejected=before[0])
    notice = reports.box.server.sandbox.uninstall(DEFAULT_USER, app=REPORTS_CLIENT)
    with received(signals.account_disconnected, ReportsAccount) as told:
        response = reports.browser().send(
            "DELETE", notice.url, headers=notice.headers, content=notice.content
        )
    assert response.status_code == 200
    assert [each["name"] for each in told] == ["reports"]
    assert reports.store.load(ACCOUNT) is None
    web_django.auth_for(ACCOUNT).token(rejected=plain.store.load(ACCOUNT))
    # A notice with the credentials of the other app is none.
    connect(reports, "ada")
    assert notify(reports).status_code == 401
    assert plain.store.load(ACCOUNT) is not None
    ada.delete()
    assert PipedriveAccount.objects.get().user_id is None
    assert ReportsAccount.objects.get().user_id is None


@BOTH
def test_disconnecting_one_of_two_apps(pair: tuple[Site, Site]) -> None:
    """It revokes the grant of that app, and the receivers learn which one it was."""
    plain, reports = pair
    for site in pair:
        connect(site, None)
    with received(signals.account_disconnected, ReportsAccount) as told:
        web_django.disconnect(ACCOUNT, name="reports")
    assert told == [{"account": ACCOUNT, "notice": None, "name": "reports"}]
    assert reports.store.load(ACCOUNT) is None
    web_django.auth_for(ACCOUNT).token(rejected=plain.store.load(ACCOUNT))
    asyncio.run(web_django.adisconnect(ACCOUNT, name="default"))
    assert plain.store.load(ACCOUNT) is None
    assert plain.box.requests.count(path="/oauth/revoke", outcome="ok") == 2


@BOTH
def test_login_of_one_app_is_none_of_the_other(pair: tuple[Site, Site]) -> None:
    """A callback with the state of the other app's login is rejected, in the same browser too."""
    plain, reports = pair
    browser = plain.browser()
    callback = browser.consent(browser.begin())
    elsewhere = callback.replace("/pipedrive/", "/reports/")
    other = Browser(reports, cookies=browser.cookies)
    answer = other.get(elsewhere)
    assert answer.status_code == 400
    assert 'href="/reports/connect"' in answer.text
    assert browser.get(callback).status_code == 303
    assert plain.store.load(ACCOUNT) is not None
    assert reports.store.load(ACCOUNT) is None


@BLOCKING
def test_grant_of_one_app_that_has_ended(pair: tuple[Site, Site]) -> None:
    """Its receivers learn which app it was, and `pipedrive_status` shows it."""
    for site in pair:
        connect(site, "ada")
    reports = pair[1]
    reports.box.server.sandbox.uninstall(DEFAULT_USER, app=REPORTS_CLIENT)
    with received(signals.grant_ended, ReportsAccount) as told, pytest.raises(InvalidGrantError):
        web_django.auth_for(ACCOUNT, name="reports").token(rejected=reports.store.load(ACCOUNT))
    assert [each["name"] for each in told] == ["reports"]
    said = StringIO()
    with pytest.raises(CommandError, match="1 of 2 accounts"):
        call_command("pipedrive_status", stdout=said)
    plain_line, reports_line = said.getvalue().splitlines()
    assert plain_line.startswith(f"default  {ACCOUNT}  valid until ")
    assert reports_line.startswith(f"reports  {ACCOUNT}  ended on ")
    assert "(invalid_grant)" in reports_line
    assert len(call("pipedrive_status", "--name", "default").splitlines()) == 1


@BLOCKING
def test_commands_for_two_apps(pair: tuple[Site, Site]) -> None:
    """A refresh treats every app, or the one that is named; a disconnection needs the name."""
    plain, reports = pair
    for site in pair:
        connect(site, None)
    connect(reports, None, user=OTHER_USER)
    before = [site.store.load(ACCOUNT) for site in pair]
    assert call("pipedrive_refresh", ACCOUNT, OTHER_USER.account).count("refreshed") == 2
    assert [site.store.load(ACCOUNT) == old for site, old in zip(pair, before, strict=True)] == [
        False,
        False,
    ]
    with pytest.raises(CommandError, match="1 accounts"):
        call("pipedrive_refresh", OTHER_USER.account, "--name", "default")
    plain.box.clock.advance(timedelta(days=31))
    printed = call("pipedrive_refresh", "--name", "reports", "--per-second", "100")
    assert printed == "reports: 2 refreshed, 0 done elsewhere, 0 failed.\n"
    assert call("pipedrive_refresh", "--per-second", "100").splitlines() == [
        "default: 1 refreshed, 0 done elsewhere, 0 failed.",
        "reports: 0 refreshed, 0 done elsewhere, 0 failed.",
    ]
    with pytest.raises(CommandError, match=r"Pass --name.*default, reports"):
        call("pipedrive_disconnect", "--noinput", ACCOUNT)
    assert "disconnected" in call("pipedrive_disconnect", "--noinput", "--name=reports", ACCOUNT)
    assert plain.store.load(ACCOUNT) is not None
    assert reports.store.load(ACCOUNT) is None
    for command in ("pipedrive_status", "pipedrive_refresh"):
        with pytest.raises(CommandError, match=r"no app 'sales'.*'default', 'reports'"):
            call(command, "--name", "sales")


@BLOCKING
def test_refresh_of_one_app_goes_on_without_the_other(
    box: PipedriveSandbox, ada: User, kind: str
) -> None:
    """What is wrong with one app keeps no other from its refreshes."""
    assert ada.pk
    with two_apps(kind, box) as (plain, _reports):
        connect(plain, None)
        box.clock.advance(timedelta(days=31))
        broken = {**django_settings.PIPEDRIVE_OAUTH, "sales": {"STORE": MemoryTokenStore}}
        with override_settings(PIPEDRIVE_OAUTH=broken):
            said = StringIO()
            with pytest.raises(CommandError, match=r"sales: .*\['sales'\] needs CLIENT_ID"):
                call_command("pipedrive_refresh", stdout=said)
            configuration.site().oauth.close()
        assert "default: 1 refreshed" in said.getvalue()


@BLOCKING
def test_admin_of_the_second_app(
    admin: Client, box: PipedriveSandbox, ada: User, kind: str
) -> None:
    """The admin of the derived model acts with the credentials of its app."""
    with two_apps(kind, box) as (plain, reports):
        for site in (plain, reports):
            page = admin.get(site.start)["Location"]
            back = site.box.server.visit(page).partition("?")[2]
            assert admin.get(f"{site.callback}?{back}").status_code == 303
        before = plain.store.load(ACCOUNT), reports.store.load(ACCOUNT)
        address = "/admin/crm/reportsaccount/"
        assert ada.username in admin.get(address).text.partition("<tbody>")[2]
        chosen = {"_selected_action": [ACCOUNT]}
        assert "refreshed" in admin.post(address, {**chosen, "action": "refresh"}, follow=True).text
        assert reports.store.load(ACCOUNT) != before[1]
        confirmed = {**chosen, "action": "disconnect", "confirmed": "yes"}
        assert "disconnected" in admin.post(address, confirmed, follow=True).text
        assert reports.store.load(ACCOUNT) is None
        assert plain.store.load(ACCOUNT) == before[0]
        # A model that no app has can't be refreshed, and the page says why.
        plain_only = {"default": described(CLIENT, box), "sales": described(REPORTS_CLIENT, box)}
        reports.store.save(ACCOUNT, plain.store.load(ACCOUNT))  # type: ignore[arg-type]
        with override_settings(PIPEDRIVE_OAUTH=plain_only):
            shown = admin.post(address, {**chosen, "action": "refresh"}, follow=True).text
        assert "so its accounts have no credentials" in shown


@BLOCKING
def test_decorators_with_a_name(box: PipedriveSandbox, kind: str, ada: User) -> None:
    """A view that names the app takes that app's signed tokens and credentials alone."""
    assert ada.pk

    @web_django.extension_user_required(name="reports")
    def panel(_request: HttpRequest, user: ExtensionUser) -> HttpResponse:
        return HttpResponse(user.account)

    @web_django.basic_auth_required(name="reports")
    def messages(_request: HttpRequest) -> HttpResponse:
        return HttpResponse("received")

    def as_view(_request: HttpRequest, user: ExtensionUser) -> HttpResponse:
        return HttpResponse(user.account)

    visitor = RequestFactory()
    with two_apps(kind, box):
        for app, status in ((REPORTS_CLIENT, 200), (CLIENT, 401)):
            signed = visitor.get("/panel", {"token": box.server.sandbox.signed_token(app=app)})
            assert panel(signed).status_code == status
            both = web_django.extension_user_required(as_view, name="reports")
            assert both(signed).status_code == status
            called = box.server.sandbox.endpoint_call("/messages", app=app)
            post = visitor.post("/messages", HTTP_AUTHORIZATION=called.headers["Authorization"])
            assert messages(post).status_code == status


@BLOCKING
def test_name_of_an_app(box: PipedriveSandbox, kind: str, ada: User) -> None:
    """A name that is unknown, or missing where there is no `default`, is refused with the names."""
    assert ada.pk
    with two_apps(kind, box):
        with pytest.raises(ConfigurationError, match=r"no app 'sales'.*'default', 'reports'"):
            web_django.auth_for(ACCOUNT, name="sales")
        first, second = django_settings.PIPEDRIVE_OAUTH.values()
        without = {"sales": first, "reports": second}
        with override_settings(PIPEDRIVE_OAUTH=without):
            for call_it in (web_django.auth_for, web_django.disconnect):
                with pytest.raises(ConfigurationError, match=r"'default'.*'sales', 'reports'"):
                    call_it(ACCOUNT)
        one_app = pytest.raises(ConfigurationError, match=r"no app 'reports'.*one app")
        with override_settings(PIPEDRIVE_OAUTH=first), one_app:
            web_django.auth_for(ACCOUNT, name="reports")
        # One app serves the routes of any namespace.
        with override_settings(PIPEDRIVE_OAUTH={"reports": second}):
            for start in ("/pipedrive/connect", "/reports/connect"):
                assert "reports-client" in Client().get(start)["Location"]


def two(first: dict[str, Any] | None = None, **second: Any) -> dict[str, Any]:
    """Give a setting of two apps that is right, with changes."""
    reports = {
        "CLIENT_ID": REPORTS_CLIENT.client_id,
        "CLIENT_SECRET": REPORTS_CLIENT.client_secret,
        "REDIRECT_URI": REPORTS_CLIENT.redirect_uri,
        "MODEL": "crm.ReportsAccount",
        **second,
    }
    return {"default": setting(**(first or {})), "reports": reports}


SHARED = MemoryTokenStore()
KEY_OF_REPORTS = r"PIPEDRIVE_OAUTH\['reports'\]"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({**setting(), "reports": two()["reports"]}, "E001 .*mixes keys.*'CLIENT_ID'.*'reports'"),
        ({**two(), "STORE": None}, "E001 .*mixes keys.*'STORE'"),
        ({**two(), "a b": {}}, "E001 .*can't have the name 'a b'"),
        ({**two(), "pipedrive": {}}, "E001 .*can't have the name 'pipedrive'"),
        (two(MODEL=PipedriveAccount), "E001 .*\\['default'\\] and .*\\['reports'\\] keep.*MODEL"),
        (two({"STORE": SHARED}, STORE=SHARED), "E001 .*\\['default'\\] and .*keep their tokens"),
        (two(CLIENT_ID=CLIENT.client_id), "E001 .*the same CLIENT_ID"),
        (two(MODEL="crm.Nothing"), f"E001 {KEY_OF_REPORTS}\\['MODEL'\\] names 'crm.Nothing'"),
        (two(MODEL=User), f"E001 {KEY_OF_REPORTS}\\['MODEL'\\] must be a model"),
        (
            two(MODEL=PipedriveAccount, STORE=lambda: DjangoTokenStore(model=ReportsAccount)),
            f"E001 {KEY_OF_REPORTS}\\['STORE'\\] has the accounts of 'crm.ReportsAccount'",
        ),
        (two(CONNECTED=5), f"E001 {KEY_OF_REPORTS}\\['CONNECTED'\\]"),
        (two(DATABASE="elsewhere"), f"E001 .*{KEY_OF_REPORTS}\\['DATABASE'\\]"),
        (two(CLIENT_SECRET=None), f"E001 {KEY_OF_REPORTS} needs CLIENT_SECRET"),
        (two(REDIRECT_URI=CLIENT.redirect_uri), "E002 .*the callback of the app 'default'"),
        (two(LOGIN_REQUIRED=True), f"E005 {KEY_OF_REPORTS}\\['LOGIN_REQUIRED'\\]"),
        ({"default": setting(), "sales": two()["reports"]}, "E006 .*'reports'.*'default', 'sales'"),
    ],
)
@pytest.mark.usefixtures("ada")
def test_checks_of_two_apps(given: dict[str, Any], says: str) -> None:
    """Each check names the app, the key and the cure, once, and shows no secret."""
    urls = "tests.web.django_two_urls"
    with override_settings(PIPEDRIVE_OAUTH=given, MIDDLEWARE=[], ROOT_URLCONF=urls):
        own = [each for each in run_checks() if str(each.id).startswith("pipedrive")]
        messages = {each.id: each for each in own if not each.is_silenced()}
        assert len(messages) == len([each for each in own if not each.is_silenced()])
    message = messages[f"pipedrive_oauth_client.{says[:4]}"]
    text = f"{says[:4]} {message.msg} {message.hint}"
    assert re.search(says, text)
    assert not found(text, [CLIENT.client_secret, REPORTS_CLIENT.client_secret])


@pytest.mark.usefixtures("ada")
def test_two_apps_pass_the_checks() -> None:
    """Two apps that can be right are not complained about, and keep their tokens apart."""
    with override_settings(PIPEDRIVE_OAUTH=two(), ROOT_URLCONF="tests.web.django_two_urls"):
        assert complaints() == []
    # One model in two databases, and one kind of store in two places, are apart as well.
    memory = two({"STORE": MemoryTokenStore}, STORE=MemoryTokenStore)
    with override_settings(PIPEDRIVE_OAUTH=memory, ROOT_URLCONF="tests.web.django_two_urls"):
        assert complaints() == []


def test_stores_in_one_place_are_refused(box: PipedriveSandbox, tmp_path: Path) -> None:
    """The first use of either app fails, before anything is stored; other places are accepted."""
    url, address = f"sqlite:///{tmp_path / 'tokens.db'}", "redis://127.0.0.1:6379/0"
    pairs: list[tuple[Any, Any, bool]] = [
        (DjangoTokenStore, DjangoTokenStore, True),
        (lambda: FileTokenStore(tmp_path / "a"), lambda: FileTokenStore(tmp_path / "a"), True),
        (lambda: FileTokenStore(tmp_path / "a"), lambda: FileTokenStore(tmp_path / "b"), False),
        (lambda: SQLTokenStore(url), lambda: SQLTokenStore(url), True),
        (lambda: SQLTokenStore(url), lambda: SQLTokenStore(url, table="reports"), False),
        (lambda: RedisTokenStore(address), lambda: RedisTokenStore(address), True),
        (
            lambda: RedisTokenStore(address),
            lambda: RedisTokenStore(address, prefix="{reports}:"),
            False,
        ),
        (MemoryTokenStore, lambda: FileTokenStore(tmp_path / "a"), False),
    ]
    for first, second, is_refused in pairs:
        setting = {
            "default": described(CLIENT, box, STORE=first),
            "reports": described(REPORTS_CLIENT, box, STORE=second),
        }
        with override_settings(PIPEDRIVE_OAUTH=setting):
            for name in setting:
                if is_refused:
                    with pytest.raises(ConfigurationError, match="keep their tokens in the same"):
                        web_django.auth_for(ACCOUNT, name=name)
                else:
                    web_django.auth_for(ACCOUNT, name=name)


# --- Many accounts ---


@BLOCKING
def test_status_costs_pages(build: Build, ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """`pipedrive_status` reads accounts and users by pages, and loads those that have ended."""
    site = build(store=DjangoTokenStore())
    connect(site, None)
    token = site.store.load(ACCOUNT)
    assert token is not None
    expires_at = microseconds("expires_at", token.expires_at)
    others = [
        PipedriveAccount(
            account=f"2:{number:04}",
            token=token_to_json(token),
            version="1",
            expires_at=expires_at,
            user=ada,
        )
        for number in range(1199)
    ]
    PipedriveAccount.objects.bulk_create(others)
    now = site.box.clock()
    end = GrantEnd(at=now, error="invalid_grant", tried_at=now)
    site.store.save("2:0000", evolve(token, grant_end=end))
    statements: list[str] = []
    execute = Connection.execute

    def counted(self: Connection, statement: str, *parameters: object) -> None:
        statements.append(statement)
        execute(self, statement, *parameters)

    monkeypatch.setattr(Connection, "execute", counted)
    said = StringIO()
    fails = pytest.raises(CommandError, match="1 of 1200 accounts")
    with CaptureQueriesContext(connections["default"]) as queries, fails:
        call_command("pipedrive_status", stdout=said)
    assert len(said.getvalue().splitlines()) == 1200
    assert said.getvalue().count(f"user {ada.pk}") == 1199
    # Three pages and the empty one, and twice the token whose grant has ended; pages of users.
    assert len(statements) == 4 + 2
    assert len(queries) == 3
    PipedriveAccount.objects.all()._raw_delete("default")


@BLOCKING
def test_status_of_accounts_that_are_not_used(build: Build, ada: User) -> None:
    """The command says which refresh tokens lapse soon, which have lapsed, and what is damaged."""
    assert ada.pk
    site = build(store=DjangoTokenStore())
    connect(site, None)
    site.box.clock.advance(timedelta(days=55))
    assert "unless it is used: run pipedrive_refresh" in call("pipedrive_status")
    site.box.clock.advance(timedelta(days=6))
    said = StringIO()
    with pytest.raises(CommandError, match="1 of 1 accounts"):
        call_command("pipedrive_status", stdout=said)
    assert "(not used for 60 days)" in said.getvalue()
    PipedriveAccount.objects.filter(account=ACCOUNT).update(token="{}")
    with pytest.raises(CommandError, match="1 of 1 accounts"):
        call_command("pipedrive_status", stdout=said)
