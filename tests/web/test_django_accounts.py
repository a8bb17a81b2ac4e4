"""What a Django project learns of its accounts: users, signals, the admin, commands and checks."""

from __future__ import annotations

import re
import warnings
from collections.abc import Generator
from contextlib import contextmanager
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
from django.core.management import CommandError, call_command
from django.db import connections
from django.dispatch import Signal
from django.test import Client, override_settings

from pipedrive_oauth_client import ConfigurationError, InvalidGrantError
from pipedrive_oauth_client.events import GrantEnded
from pipedrive_oauth_client.sandbox import DEFAULT_USER, OTHER_USER
from pipedrive_oauth_client.stores import FileTokenStore, MemoryTokenStore
from pipedrive_oauth_client.tokens import GrantEnd
from pipedrive_oauth_client.web import django as web_django
from pipedrive_oauth_client.web.django import DjangoTokenStore, configuration, signals
from pipedrive_oauth_client.web.django.models import PipedriveAccount
from tests.support.sweep import found
from tests.web.conftest import CLIENT
from tests.web.django_databases import database, migrated
from tests.web.sites import Build, Site
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
    for account in DjangoTokenStore().accounts():
        DjangoTokenStore().delete(account)
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
def received(signal: Signal) -> Generator[list[dict[str, Any]]]:
    """Collect what receivers of a signal are told."""
    told: list[dict[str, Any]] = []

    def receive(sender: object, **arguments: Any) -> None:
        assert sender is PipedriveAccount
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
