"""The setting `PIPEDRIVE_OAUTH`, read when it is first needed.

Its keys are the arguments of `WebSettings` in upper case (`AFTER_CONNECT`, `CONNECTED`, ...) and
`CLIENT_ID`, `CLIENT_SECRET`, `REDIRECT_URI`, `BASE_URL`, `CLIENT`, `RETRY`, `CLOCK`, `ON_EVENT`,
`LOGIN_REQUIRED`, `STORE` and `DATABASE`. Functions, the store and `CLIENT` may be given by their
dotted names, and the last two as functions that make them. `CLIENT` is an `httpx.Client` that sends
every request, for a proxy or certificates. Without `STORE`, tokens are in the database of the alias
`DATABASE`, or `default`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from difflib import get_close_matches
from functools import cache
from typing import Any, Final, TypeVar, cast

import httpx
from asgiref.sync import sync_to_async
from attrs import frozen
from django.apps import apps
from django.conf import UserSettingsHolder, settings
from django.contrib.auth import get_user_model
from django.core.cache import cache as django_cache
from django.db import DEFAULT_DB_ALIAS, connections
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.module_loading import import_string

from pipedrive_oauth_client._checks import utc_now
from pipedrive_oauth_client.auth import PipedriveAuth
from pipedrive_oauth_client.credentials import AppCredentials
from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.events import Event, GrantEnded, checked_function
from pipedrive_oauth_client.generated.client import DEFAULT_BASE_URL
from pipedrive_oauth_client.generated.encode import argument
from pipedrive_oauth_client.oauth import AsyncPipedriveOAuth, PipedriveOAuth
from pipedrive_oauth_client.stores.memory import MemoryTokenStore
from pipedrive_oauth_client.stores.protocol import TokenStore, checked_store
from pipedrive_oauth_client.web import disconnecting
from pipedrive_oauth_client.web.django import signals
from pipedrive_oauth_client.web.django.connections import is_testing, notice_testcase
from pipedrive_oauth_client.web.django.store import DjangoTokenStore
from pipedrive_oauth_client.web.notices import UninstallNotice
from pipedrive_oauth_client.web.runner import identification_client, is_asynchronous
from pipedrive_oauth_client.web.settings import HOOKS, Connection, WebCore, WebSettings

__all__ = [
    "Site",
    "adisconnect",
    "auth_for",
    "blocking_core",
    "clear_caches",
    "database",
    "disconnect",
    "forget_user",
    "has_users",
    "innermost",
    "live_store_in_tests",
    "non_atomic",
    "site",
    "table_store",
]

_CREDENTIALS: Final = ("CLIENT_ID", "CLIENT_SECRET", "REDIRECT_URI")
_OWN: Final = (
    *_CREDENTIALS,
    *("BASE_URL", "CLIENT", "CLOCK", "DATABASE", "LOGIN_REQUIRED", "ON_EVENT", "RETRY", "STORE"),
)
# Ends of a grant that `account_disconnected` tells of.
_OWN_ENDS: Final = ("disconnected", "uninstalled")
_SHARED: Final = (
    *HOOKS,
    "after_connect",
    "return_origins",
    "allow_marketplace_installs",
    "lifetime",
    "secret_keys",
    "extension_secrets",
    "former_client_secrets",
)


_ViewT = TypeVar("_ViewT", bound=Callable[..., Any])


@frozen(eq=False)
class Site:
    """What the setting comes to."""

    oauth: PipedriveOAuth
    async_oauth: AsyncPipedriveOAuth | PipedriveOAuth
    store: TokenStore
    core: WebCore
    api_client: httpx.Client | None
    is_login_required: bool


def site() -> Site:
    """Read the setting."""
    if is_testing():
        notice_testcase()
    return _site()


@cache
def _site() -> Site:
    given = _given()
    missing = [name for name in _CREDENTIALS if not given.get(name)]
    if missing:
        raise ConfigurationError(
            f"PIPEDRIVE_OAUTH needs {', '.join(missing)}: Pipedrive's Developer Hub shows their"
            " values."
        )
    credentials = AppCredentials(*(given[name] for name in _CREDENTIALS))
    flow: dict[str, Any] = {
        "base_url": given.get("BASE_URL", DEFAULT_BASE_URL),
        "retry": given.get("RETRY", "default"),
        "clock": _found("CLOCK", given.get("CLOCK", utc_now)),
        "on_event": _reporter(_found("ON_EVENT", given.get("ON_EVENT"))),
    }
    client = _made(_found("CLIENT", given.get("CLIENT")), "send")
    if not isinstance(client, httpx.Client | None):
        raise ConfigurationError(
            "PIPEDRIVE_OAUTH['CLIENT'] must be an httpx.Client, a function that makes one, or its"
            f" dotted name, not {type(client).__name__}. It serves the asynchronous views as well."
        )
    oauth = PipedriveOAuth(credentials, client=client, **flow)
    # A client of the project's own is a synchronous one, which serves coroutines in threads.
    async_oauth = oauth if client is not None else AsyncPipedriveOAuth(credentials, **flow)
    return Site(
        oauth=oauth,
        async_oauth=async_oauth,
        store=_store(given),
        core=WebCore(async_oauth, _web_settings(given), _keys(), is_async=True),
        api_client=identification_client(None, oauth.own_client),
        is_login_required=argument(
            "PIPEDRIVE_OAUTH['LOGIN_REQUIRED']", given.get("LOGIN_REQUIRED", False), bool
        ),
    )


@cache
def blocking_core() -> WebCore:
    """Give what the app has decided, for views that block."""
    return WebCore(site().oauth, site().core.settings, _keys())


def auth_for(account: str) -> PipedriveAuth:
    """Return an `httpx.Auth` that sends a valid token of the account with every request.

    Create one for each request, so that a disconnected account is noticed.

    Args:
        account: The account. It must come from your session, never from the request's query.

    Returns:
        The auth, for `httpx.Client(auth=...)`, `httpx.AsyncClient(auth=...)` or an adapter.

    Raises:
        ConfigurationError: `account` can't be a name, or the setting can't be right.
    """
    return PipedriveAuth(site().oauth, site().store, account)


def disconnect(account: str) -> None:
    """Revoke the grant of an account and delete its token.

    Call it from a view that is protected against forged requests, never from a GET.

    Args:
        account: The account.

    Raises:
        PipedriveOAuthError: The grant was not revoked, and the token is still stored.

    Source:
        RFC 7009, section 2.
    """
    if disconnecting.disconnect(site().oauth, site().store, account):
        signals.account_disconnected.send(_sender(), account=account, notice=None)


async def adisconnect(account: str) -> None:
    """Do the same as `disconnect` without blocking the event loop.

    Args:
        account: The account.

    Raises:
        PipedriveOAuthError: As `disconnect` says.
    """
    await sync_to_async(disconnect)(account)


def database() -> str:
    """Give the alias of the database that holds the table of tokens."""
    given: object = getattr(settings, "PIPEDRIVE_OAUTH", None)
    if not isinstance(given, Mapping):
        return DEFAULT_DB_ALIAS
    return _database(cast("Mapping[str, Any]", given))


def table_store() -> DjangoTokenStore | None:
    """Give the store that uses the table of this app, also where tokens are encrypted in it."""
    found = innermost(site().store)
    return found if isinstance(found, DjangoTokenStore) else None


def innermost(outer: TokenStore) -> TokenStore:
    """Give the store inside an `EncryptedTokenStore`, whose module needs an extra."""
    inner: TokenStore = getattr(outer, "_inner", outer)
    return inner


def has_users() -> bool:
    """Tell whether the project has users, so that an account may be one's."""
    return settings.AUTH_USER_MODEL.partition(".")[0] in apps.app_configs


class _EveryDatabase(frozenset[str]):
    def __contains__(self, _alias: object) -> bool:
        return True


def non_atomic(view: _ViewT) -> _ViewT:
    """Do for every database what `django.db.transaction.non_atomic_requests` does for one.

    An error of the app's own functions must not undo what belongs to a token that is saved.
    """
    view.__dict__["_non_atomic_requests"] = _EveryDatabase()
    return view


def forget_user(*, instance: Any, **_rest: object) -> None:
    """Leave the accounts of a user who was deleted without one."""
    with suppress(ConfigurationError):  # then there is no table
        if table_store() is not None:
            _sender().objects.filter(user_id=instance.pk).update(user=None)


def clear_caches(*, setting: str, **_rest: object) -> None:
    """Forget what the setting came to, when a test has changed it."""
    if setting in ("PIPEDRIVE_OAUTH", "SECRET_KEY", "SECRET_KEY_FALLBACKS"):
        _site.cache_clear()
        blocking_core.cache_clear()


def _given() -> Mapping[str, Any]:
    given: object = getattr(settings, "PIPEDRIVE_OAUTH", None)
    if not isinstance(given, Mapping):
        raise ConfigurationError("The setting PIPEDRIVE_OAUTH is missing; it is a dictionary.")
    found = cast("Mapping[str, Any]", given)
    known = [*_OWN, *map(str.upper, _SHARED)]
    unknown = sorted({str(key) for key in found} - {*known})
    if unknown:
        named = [_with_suggestion(key, known) for key in unknown]
        raise ConfigurationError(f"PIPEDRIVE_OAUTH has unknown keys: {', '.join(named)}.")
    return found


def _database(given: Mapping[str, Any]) -> str:
    alias = given.get("DATABASE", DEFAULT_DB_ALIAS)
    if alias not in connections.settings or _is_dummy(connections.settings[alias]):
        raise ConfigurationError(
            f"DATABASES has no {alias!r}, where tokens are to be kept. Add it, set"
            " PIPEDRIVE_OAUTH['DATABASE'] to the alias of another one, or"
            " PIPEDRIVE_OAUTH['STORE'] to another store."
        )
    return str(alias)


def _is_dummy(database: Mapping[str, Any]) -> bool:
    return bool(database["ENGINE"] == "django.db.backends.dummy")


def _with_suggestion(key: str, known: list[str]) -> str:
    close = get_close_matches(key.upper(), known, 1)
    return f"{key} (did you mean {close[0]}?)" if close else key


def _web_settings(given: Mapping[str, Any]) -> WebSettings[HttpRequest, HttpResponseBase]:
    arguments: dict[str, Any] = {"session_of": _user_of, "first_use": _first_use}
    for name in _SHARED:
        if name.upper() in given:
            value = given[name.upper()]
            arguments[name] = _found(name.upper(), value) if name in HOOKS else value
    arguments["connected"] = _connected(arguments.get("connected"))
    arguments["uninstalled"] = _uninstalled(arguments.get("uninstalled"))
    return WebSettings(**arguments)


def _connected(own: Any) -> Callable[[HttpRequest, Connection], Any]:
    """Call the project's function; then keep the user, whom it may have logged in, and tell."""

    def tell(request: HttpRequest, connection: Connection) -> None:
        user = _user_to_keep(request, connection)
        if user is not None:
            model = _sender()
            model.objects.filter(account=connection.account).update(user=user)
        signals.account_connected.send(
            _sender(),
            account=connection.account,
            connection=connection,
            request=request,
            user=user,
        )

    def connected(request: HttpRequest, connection: Connection) -> Any:
        native = None if own is None else own(request, connection)
        tell(request, connection)
        return native

    async def connected_async(request: HttpRequest, connection: Connection) -> Any:
        native = await own(request, connection)
        await sync_to_async(tell)(request, connection)
        return native

    _checked_function("CONNECTED", own)
    return connected_async if is_asynchronous(own) else connected


def _uninstalled(own: Any) -> Callable[[UninstallNotice, str | None], Any]:
    def tell(notice: UninstallNotice, account: str | None) -> None:
        if account is not None:
            signals.account_disconnected.send(_sender(), account=account, notice=notice)

    def uninstalled(notice: UninstallNotice, account: str | None) -> Any:
        found = None if own is None else own(notice, account)
        tell(notice, account)
        return found

    async def uninstalled_async(notice: UninstallNotice, account: str | None) -> None:
        await own(notice, account)
        await sync_to_async(tell)(notice, account)

    _checked_function("UNINSTALLED", own)
    return uninstalled_async if is_asynchronous(own) else uninstalled


def _reporter(own: Any) -> Callable[[Event], None]:
    _checked_function("ON_EVENT", own)
    checked_function(own)

    def report(event: Event) -> None:
        # A renewal has a thread of its own, whose connections no request closes.
        open_before = [
            each for each in connections.all(initialized_only=True) if each.connection is not None
        ]
        try:
            if own is not None:
                own(event)
            if isinstance(event, GrantEnded) and event.error not in _OWN_ENDS:
                signals.grant_ended.send(
                    _sender(), account=event.account, at=event.at, error=event.error
                )
        finally:
            for each in connections.all(initialized_only=True):
                if each not in open_before and not each.in_atomic_block:
                    each.close()

    return report


def _checked_function(name: str, given: Any) -> None:
    if given is not None and not callable(given):
        raise ConfigurationError(f"PIPEDRIVE_OAUTH[{name!r}] must be a function, or its name.")


def _user_to_keep(request: HttpRequest, connection: Connection) -> Any:
    user = getattr(request, "user", None)
    if connection.from_marketplace or user is None or not has_users() or table_store() is None:
        return None  # in the first case, an attacker may have sent this browser here
    is_one = isinstance(user, get_user_model()) and user.is_authenticated
    return user if is_one and user.pk is not None else None


def _sender() -> Any:
    # Not imported above: settings may import this module, before there can be models.
    return apps.get_model("pipedrive_oauth_client", "PipedriveAccount")


def _store(given: Mapping[str, Any]) -> TokenStore:
    found = _found("STORE", given.get("STORE"))
    if found is None:
        return DjangoTokenStore(_database(given))
    made = checked_store("STORE", _made(found, "load"))
    problem = live_store_in_tests(made)
    if problem is not None:
        warnings.warn(problem, UserWarning, stacklevel=2)
    return made


def live_store_in_tests(used: TokenStore) -> str | None:
    """Say what is wrong if tests run with the store that the settings file names."""
    inner = innermost(used)
    if not is_testing() or isinstance(inner, DjangoTokenStore | MemoryTokenStore):
        return None
    holder: Any = settings._wrapped  # noqa: SLF001 - the public function can't tell the two apart
    while isinstance(holder, UserSettingsHolder):
        if "PIPEDRIVE_OAUTH" in vars(holder):
            return None
        holder = holder.default_settings
    return (
        f"Tests run with PIPEDRIVE_OAUTH['STORE'] of the settings, a {type(inner).__name__}: they"
        " may overwrite live tokens. Override PIPEDRIVE_OAUTH in tests, with"
        " pipedrive_oauth_client.stores.MemoryTokenStore as STORE, or leave STORE out."
    )


def _made(found: Any, method: str) -> Any:
    # A class or a function makes the object, which has the method.
    if isinstance(found, type) or (callable(found) and not hasattr(found, method)):
        return found()
    return found


def _found(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return import_string(value)
    except ImportError as error:
        raise ConfigurationError(
            f"PIPEDRIVE_OAUTH[{name!r}] names {value!r}, which can't be imported."
        ) from error


def _keys() -> list[str | bytes]:
    return [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]


def _user_of(request: HttpRequest) -> str | None:
    user = getattr(request, "user", None)
    return str(user.pk) if user is not None and user.is_authenticated else None


def _first_use(key: str, lifetime: timedelta) -> bool:
    # A cache that the workers share makes this the first use for all of them.
    return django_cache.add(key, True, timeout=lifetime.total_seconds())
