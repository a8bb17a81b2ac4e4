"""The setting `PIPEDRIVE_OAUTH`, read when it is first needed.

It describes one Pipedrive app or, like `DATABASES`, is a dictionary of names to apps; the app that
is meant where none is named is `default`. The keys of an app are the arguments of `WebSettings` in
upper case (`AFTER_CONNECT`, `CONNECTED`, ...) and `CLIENT_ID`, `CLIENT_SECRET`, `REDIRECT_URI`,
`BASE_URL`, `CLIENT`, `RETRY`, `CLOCK`, `ON_EVENT`, `LOGIN_REQUIRED`, `STORE`, `DATABASE` and
`MODEL`. Functions, the store and `CLIENT` may be given by their dotted names, and the last two as
functions that make them. `CLIENT` is an `httpx.Client` that sends every request, for a proxy or
certificates. Without `STORE`, tokens are in the database of the alias `DATABASE`, or `default`, in
the table of `MODEL`, or `models.PipedriveAccount`.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
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
from django.db.models import Model, QuerySet
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
from pipedrive_oauth_client.stores.file import FileTokenStore
from pipedrive_oauth_client.stores.memory import MemoryTokenStore
from pipedrive_oauth_client.stores.protocol import TokenStore, checked_store
from pipedrive_oauth_client.web import disconnecting
from pipedrive_oauth_client.web.connect import is_name
from pipedrive_oauth_client.web.django import signals
from pipedrive_oauth_client.web.django.connections import is_testing, notice_testcase
from pipedrive_oauth_client.web.django.store import (
    DEFAULT_MODEL,
    DjangoTokenStore,
    account_model,
    label_of,
    table_of,
)
from pipedrive_oauth_client.web.notices import UninstallNotice
from pipedrive_oauth_client.web.runner import identification_client, is_asynchronous
from pipedrive_oauth_client.web.settings import HOOKS, Connection, WebCore, WebSettings

__all__ = [
    "DEFAULT",
    "Site",
    "adisconnect",
    "auth_for",
    "blocking_core",
    "clear_caches",
    "database",
    "database_of",
    "disconnect",
    "forget_user",
    "has_users",
    "innermost",
    "key",
    "live_store_in_tests",
    "model_of",
    "name_of_model",
    "name_of_namespaces",
    "names",
    "non_atomic",
    "refresh",
    "rows",
    "site",
    "table_store",
    "uses_cache",
]

DEFAULT: Final = "default"
"""The name of the app that is meant where none is named."""

# The namespace of the routes where `include` is given none.
_DEFAULT_NAMESPACE: Final = "pipedrive"

_CREDENTIALS: Final = ("CLIENT_ID", "CLIENT_SECRET", "REDIRECT_URI")
_OWN: Final = (
    *_CREDENTIALS,
    *("BASE_URL", "CLIENT", "CLOCK", "DATABASE", "LOGIN_REQUIRED", "MODEL", "ON_EVENT"),
    *("RETRY", "STORE"),
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
_ALL_KEYS: Final = frozenset((*_OWN, *map(str.upper, _SHARED)))


_ViewT = TypeVar("_ViewT", bound=Callable[..., Any])


@frozen(eq=False)
class Site:
    """What the setting comes to for one Pipedrive app."""

    name: str
    oauth: PipedriveOAuth
    async_oauth: AsyncPipedriveOAuth | PipedriveOAuth
    store: TokenStore
    core: WebCore
    api_client: httpx.Client | None
    is_login_required: bool


# --- Which apps there are ---


def names() -> tuple[str, ...]:
    """Give the names of the Pipedrive apps that the setting describes."""
    return tuple(_apps())


def key(name: str, setting: str = "") -> str:
    """Write a key of an app as in settings.py, or the app itself."""
    given = _mapping()
    is_named = given is not None and _is_of_names(given)
    app = f"PIPEDRIVE_OAUTH[{name!r}]" if is_named else "PIPEDRIVE_OAUTH"
    return f"{app}[{setting!r}]" if setting else app


def name_of_namespaces(namespaces: Sequence[str]) -> str:
    """Give the name of the app whose routes are in a namespace, the last one of these."""
    known = names()
    if len(known) == 1:
        return known[0]
    namespace = namespaces[-1] if namespaces else _DEFAULT_NAMESPACE
    name = DEFAULT if namespace == _DEFAULT_NAMESPACE else namespace
    if name not in known:
        raise ConfigurationError(
            f"The routes in the namespace {namespace!r} belong to no app of PIPEDRIVE_OAUTH, which"
            f" has {_listed(known)}. Pass one of these names to `include` as namespace"
            f" ({_DEFAULT_NAMESPACE!r}, without one, is {DEFAULT!r})."
        )
    return name


def name_of_model(model: type[Model]) -> str:
    """Give the name of the app whose accounts a model has."""
    found = _names_of_model(model)
    if not found:
        label = model._meta.label  # noqa: SLF001 - as Django names it
        raise ConfigurationError(
            f"No app of PIPEDRIVE_OAUTH has {label!r} as MODEL, so its accounts have no"
            " credentials. Set MODEL of their app."
        )
    return found[0]


def _names_of_model(model: type[Model]) -> list[str]:
    concrete: Any = model._meta.concrete_model  # noqa: SLF001 - as Django names it
    label = concrete._meta.label_lower  # noqa: SLF001 - as Django names it
    return [name for name in names() if _label_of_model(name).lower() == label]


def _mapping() -> Mapping[str, Any] | None:
    given: object = getattr(settings, "PIPEDRIVE_OAUTH", None)
    return cast("Mapping[str, Any]", given) if isinstance(given, Mapping) else None


def _apps() -> Mapping[str, Mapping[str, Any]]:
    found = _mapping()
    if found is None:
        raise ConfigurationError("The setting PIPEDRIVE_OAUTH is missing; it is a dictionary.")
    if not _is_of_names(found):
        return {DEFAULT: found}
    for name, app in found.items():
        if name in _ALL_KEYS or not isinstance(app, Mapping):
            raise ConfigurationError(
                f"PIPEDRIVE_OAUTH mixes keys of one app ({name!r}) with names of several"
                f" ({_listed(_app_names(found))}). Put the keys of the first app into a dictionary"
                f" of its own: PIPEDRIVE_OAUTH = {{{DEFAULT!r}: {{...}}, ...}}."
            )
        if name == _DEFAULT_NAMESPACE or not is_name(name):
            raise ConfigurationError(
                f"PIPEDRIVE_OAUTH can't have the name {name!r}. A name is letters, digits, _ or -,"
                f" for example 'reports', and not {_DEFAULT_NAMESPACE!r}, the namespace of"
                f" {DEFAULT!r}."
            )
    return found


def _app_names(given: Mapping[Any, Any]) -> list[Any]:
    others = [each for each in given if each not in _ALL_KEYS]
    return [each for each in others if isinstance(given[each], Mapping)]


def _is_of_names(given: Mapping[Any, Any]) -> bool:
    return bool(_app_names(given))


def _listed(known: Iterable[object]) -> str:
    return ", ".join(map(repr, known))


def _checked_name(name: str) -> str:
    known = names()
    if argument("name", name, str) in known:
        return name
    advice = f"Pass one of these names: {_listed(known)}."
    if known == (DEFAULT,):
        advice = (
            "It describes one app, which needs no name; for several it is a dictionary of names to"
            " such dictionaries."
        )
    raise ConfigurationError(f"PIPEDRIVE_OAUTH has no app {name!r}. {advice}")


# --- What an app comes to ---


def site(name: str = DEFAULT) -> Site:
    """Read the setting of an app."""
    if is_testing():
        notice_testcase()
    return _site(_checked_name(name))


@cache
def _site(name: str) -> Site:
    given = _given(name)
    missing = [each for each in _CREDENTIALS if not given.get(each)]
    if missing:
        raise ConfigurationError(
            f"{key(name)} needs {', '.join(missing)}: Pipedrive's Developer Hub shows their values."
        )
    credentials = AppCredentials(*(given[each] for each in _CREDENTIALS))
    flow: dict[str, Any] = {
        "base_url": given.get("BASE_URL", DEFAULT_BASE_URL),
        "retry": given.get("RETRY", "default"),
        "clock": _found(name, "CLOCK", given.get("CLOCK", utc_now)),
        "on_event": _reporter(name, _found(name, "ON_EVENT", given.get("ON_EVENT"))),
    }
    client = _made(_found(name, "CLIENT", given.get("CLIENT")), "send")
    if not isinstance(client, httpx.Client | None):
        raise ConfigurationError(
            f"{key(name, 'CLIENT')} must be an httpx.Client, a function that makes one, or its"
            f" dotted name, not {type(client).__name__}. It serves the asynchronous views as well."
        )
    oauth = PipedriveOAuth(credentials, client=client, **flow)
    # A client of the project's own is a synchronous one, which serves coroutines in threads.
    async_oauth = oauth if client is not None else AsyncPipedriveOAuth(credentials, **flow)
    store = _store(name)
    _require_own(name, store)
    return Site(
        name=name,
        oauth=oauth,
        async_oauth=async_oauth,
        store=store,
        core=WebCore(async_oauth, _web_settings(name, given), _keys(), is_async=True),
        api_client=identification_client(None, oauth.own_client),
        is_login_required=argument(
            key(name, "LOGIN_REQUIRED"), given.get("LOGIN_REQUIRED", False), bool
        ),
    )


@cache
def _blocking_core(name: str) -> WebCore:
    return WebCore(site(name).oauth, site(name).core.settings, _keys())


def blocking_core(name: str = DEFAULT) -> WebCore:
    """Give what the app has decided, for views that block."""
    return _blocking_core(_checked_name(name))


def auth_for(account: str, *, name: str = DEFAULT) -> PipedriveAuth:
    """Return an `httpx.Auth` that sends a valid token of the account with every request.

    Create one for each request, so that a disconnected account is noticed.

    Args:
        account: The account. It must come from your session, never from the request's query.
        name: The Pipedrive app, where `PIPEDRIVE_OAUTH` describes several.

    Returns:
        The auth, for `httpx.Client(auth=...)`, `httpx.AsyncClient(auth=...)` or an adapter.

    Raises:
        ConfigurationError: `account` can't be a name, there is no such app, or the setting can't be
            right.
    """
    found = site(name)
    return PipedriveAuth(found.oauth, found.store, account)


def refresh(account: str, *, name: str = DEFAULT) -> None:
    """Refresh the stored token of an account now, be it valid or not."""
    auth_for(account, name=name).token(rejected=site(name).store.load(account))


def disconnect(account: str, *, name: str = DEFAULT) -> None:
    """Revoke the grant of an account and delete its token.

    Call it from a view that is protected against forged requests, never from a GET.

    Args:
        account: The account.
        name: The Pipedrive app, where `PIPEDRIVE_OAUTH` describes several.

    Raises:
        PipedriveOAuthError: The grant was not revoked, and the token is still stored.

    Source:
        RFC 7009, section 2.
    """
    found = site(name)
    if disconnecting.disconnect(found.oauth, found.store, account):
        signals.account_disconnected.send(model_of(name), account=account, notice=None, name=name)


async def adisconnect(account: str, *, name: str = DEFAULT) -> None:
    """Do the same as `disconnect` without blocking the event loop.

    Args:
        account: The account.
        name: The Pipedrive app, where `PIPEDRIVE_OAUTH` describes several.

    Raises:
        PipedriveOAuthError: As `disconnect` says.
    """
    await sync_to_async(disconnect)(account, name=name)


def database(name: str = DEFAULT) -> str:
    """Give the alias of the database that holds an app's table of tokens."""
    alias = _apps()[name].get("DATABASE", DEFAULT_DB_ALIAS)
    if alias not in connections.settings or _is_dummy(connections.settings[alias]):
        raise ConfigurationError(
            f"DATABASES has no {alias!r}, where tokens are to be kept. Add it, set"
            f" {key(name, 'DATABASE')} to the alias of another one, or"
            f" {key(name, 'STORE')} to another store."
        )
    return str(alias)


def database_of(model: type[Model]) -> str:
    """Give the alias of the database that holds the table of a model."""
    if _mapping() is None:
        return DEFAULT_DB_ALIAS
    known = names()
    found = known if len(known) == 1 else _names_of_model(model)
    return database(found[0]) if found else DEFAULT_DB_ALIAS


def model_of(name: str = DEFAULT) -> Any:
    """Give the model of an app's accounts."""
    # Not imported above: settings may import this module, before there can be models.
    return account_model(_label_of_model(name), key(name, "MODEL"))


def _label_of_model(name: str) -> str:
    given = _apps()[name].get("MODEL", DEFAULT_MODEL)
    return label_of(given, key(name, "MODEL"))


def rows(name: str = DEFAULT) -> QuerySet[Any]:
    """Give an app's accounts in its own database."""
    found: QuerySet[Any] = model_of(name).objects.using(database(name))
    return found


def table_store(name: str = DEFAULT) -> DjangoTokenStore | None:
    """Give the store that uses the table of an app, also where tokens are encrypted in it."""
    found = innermost(site(name).store)
    return found if isinstance(found, DjangoTokenStore) else None


def uses_cache(found: Site) -> bool:
    """Tell whether an app remembers used callbacks in Django's cache, for want of a function."""
    return found.core.first_use is _first_use


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
        for name in names():
            with suppress(ConfigurationError):
                if table_store(name) is not None:
                    rows(name).filter(user_id=instance.pk).update(user=None)


def clear_caches(*, setting: str, **_rest: object) -> None:
    """Forget what the setting came to, when a test has changed it."""
    if setting in ("PIPEDRIVE_OAUTH", "SECRET_KEY", "SECRET_KEY_FALLBACKS"):
        _site.cache_clear()
        _store.cache_clear()
        _blocking_core.cache_clear()


def _given(name: str) -> Mapping[str, Any]:
    found = _apps()[name]
    unknown = sorted({str(each) for each in found} - _ALL_KEYS)
    if unknown:
        named = [_with_suggestion(each) for each in unknown]
        raise ConfigurationError(f"{key(name)} has unknown keys: {', '.join(named)}.")
    return found


def _is_dummy(database: Mapping[str, Any]) -> bool:
    return bool(database["ENGINE"] == "django.db.backends.dummy")


def _with_suggestion(unknown: str) -> str:
    close = get_close_matches(unknown.upper(), sorted(_ALL_KEYS), 1)
    return f"{unknown} (did you mean {close[0]}?)" if close else unknown


def _web_settings(app: str, given: Mapping[str, Any]) -> WebSettings[HttpRequest, HttpResponseBase]:
    arguments: dict[str, Any] = {"session_of": _user_of, "first_use": _first_use}
    for name in _SHARED:
        if name.upper() in given:
            value = given[name.upper()]
            arguments[name] = _found(app, name.upper(), value) if name in HOOKS else value
    arguments["connected"] = _connected(app, arguments.get("connected"))
    arguments["uninstalled"] = _uninstalled(app, arguments.get("uninstalled"))
    return WebSettings(**arguments)


def _connected(name: str, own: Any) -> Callable[[HttpRequest, Connection], Any]:
    """Call the project's function; then keep the user, whom it may have logged in, and tell."""

    def tell(request: HttpRequest, connection: Connection) -> None:
        user = _user_to_keep(name, request, connection)
        if user is not None:
            rows(name).filter(account=connection.account).update(user=user)
        signals.account_connected.send(
            model_of(name),
            account=connection.account,
            connection=connection,
            request=request,
            user=user,
            name=name,
        )

    def connected(request: HttpRequest, connection: Connection) -> Any:
        native = None if own is None else own(request, connection)
        tell(request, connection)
        return native

    async def connected_async(request: HttpRequest, connection: Connection) -> Any:
        native = await own(request, connection)
        await sync_to_async(tell)(request, connection)
        return native

    _checked_function(name, "CONNECTED", own)
    return connected_async if is_asynchronous(own) else connected


def _uninstalled(name: str, own: Any) -> Callable[[UninstallNotice, str | None], Any]:
    def tell(notice: UninstallNotice, account: str | None) -> None:
        if account is not None:
            signals.account_disconnected.send(
                model_of(name), account=account, notice=notice, name=name
            )

    def uninstalled(notice: UninstallNotice, account: str | None) -> Any:
        found = None if own is None else own(notice, account)
        tell(notice, account)
        return found

    async def uninstalled_async(notice: UninstallNotice, account: str | None) -> None:
        await own(notice, account)
        await sync_to_async(tell)(notice, account)

    _checked_function(name, "UNINSTALLED", own)
    return uninstalled_async if is_asynchronous(own) else uninstalled


def _reporter(name: str, own: Any) -> Callable[[Event], None]:
    _checked_function(name, "ON_EVENT", own)
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
                    model_of(name),
                    account=event.account,
                    at=event.at,
                    error=event.error,
                    name=name,
                )
        finally:
            for each in connections.all(initialized_only=True):
                if each not in open_before and not each.in_atomic_block:
                    each.close()

    return report


def _checked_function(name: str, setting: str, given: Any) -> None:
    if given is not None and not callable(given):
        raise ConfigurationError(f"{key(name, setting)} must be a function, or its name.")


def _user_to_keep(name: str, request: HttpRequest, connection: Connection) -> Any:
    user = getattr(request, "user", None)
    if connection.from_marketplace or user is None or not has_users() or table_store(name) is None:
        return None  # in the first case, an attacker may have sent this browser here
    is_one = isinstance(user, get_user_model()) and user.is_authenticated
    return user if is_one and user.pk is not None else None


# --- The stores of the apps ---


@cache
def _store(name: str) -> TokenStore:
    given = _given(name)
    label = _label_of_model(name)
    if label != DEFAULT_MODEL:
        account_model(label, key(name, "MODEL"))
    found = _found(name, "STORE", given.get("STORE"))
    if found is None:
        return DjangoTokenStore(database(name), model=label)
    made = checked_store("STORE", _made(found, "load"))
    _require_model(name, made)
    problem = live_store_in_tests(made, name)
    if problem is not None:
        warnings.warn(problem, UserWarning, stacklevel=2)
    return made


def _require_model(name: str, made: TokenStore) -> None:
    inner = innermost(made)
    if isinstance(inner, DjangoTokenStore) and inner.model.lower() != _label_of_model(name).lower():
        raise ConfigurationError(
            f"{key(name, 'STORE')} has the accounts of {inner.model!r}. Set"
            f" {key(name, 'MODEL')} to {inner.model!r}, so that the admin and the signals know it."
        )


def _require_own(name: str, store: TokenStore) -> None:
    """Refuse tokens or credentials that another app has as well."""
    own_id = _apps()[name].get("CLIENT_ID")
    known = names()
    for other in known:
        if other == name:
            continue
        # In the order of the setting, so that both apps say the same.
        both = " and ".join(key(each) for each in known if each in (name, other))
        if _apps()[other].get("CLIENT_ID") == own_id:
            raise ConfigurationError(
                f"{both} have the same CLIENT_ID. Describe each Pipedrive app once."
            )
        try:
            theirs = _store(other)
        except Exception:  # noqa: BLE001, S112 - it is reported where that app is used
            continue
        if _place_of(store) == _place_of(theirs):
            raise ConfigurationError(
                f"{both} keep their tokens in the same place, so that the apps would end each"
                " other's grants. Derive a model from AbstractPipedriveAccount of"
                " pipedrive_oauth_client.web.django.models and set MODEL of one of them to it, or"
                " give each a STORE with a table, folder or prefix of its own."
            )


def _place_of(store: TokenStore) -> object:
    """Give what is equal for stores of the same tokens, as far as that can be seen."""
    inner: Any = innermost(store)
    if isinstance(inner, DjangoTokenStore):
        given = connections.settings.get(inner.database, {})
        address = [given.get(each) for each in ("ENGINE", "NAME", "HOST", "PORT", "OPTIONS")]
        return [*address, table_of(inner.model).name]
    own: dict[str, Any] = getattr(inner, "__dict__", {})
    if isinstance(inner, FileTokenStore):
        return own["_folder"]
    # The modules of the others need extras; a store exists only where its module is imported.
    if _is_of(inner, "sql", "SQLTokenStore"):
        engine, table = own["_engine"], own["_table"].name
        is_in_memory = engine.url.database in (None, "", ":memory:")
        return engine if is_in_memory else engine.url, table
    pool = getattr(own.get("_client"), "connection_pool", None)  # a cluster has none
    if _is_of(inner, "redis", "RedisTokenStore") and pool is not None:
        keys = ("host", "port", "db", "path")
        return [own["_prefix"], *map(pool.connection_kwargs.get, keys)]
    return inner


def _is_of(store: object, module: str, name: str) -> bool:
    imported = sys.modules.get(f"pipedrive_oauth_client.stores.{module}")
    return imported is not None and isinstance(store, getattr(imported, name))


def live_store_in_tests(used: TokenStore, name: str = DEFAULT) -> str | None:
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
        f"Tests run with {key(name, 'STORE')} of the settings, a {type(inner).__name__}: they"
        " may overwrite live tokens. Override PIPEDRIVE_OAUTH in tests, with"
        " pipedrive_oauth_client.stores.MemoryTokenStore as STORE, or leave STORE out."
    )


def _made(found: Any, method: str) -> Any:
    # A class or a function makes the object, which has the method.
    if isinstance(found, type) or (callable(found) and not hasattr(found, method)):
        return found()
    return found


def _found(name: str, setting: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return import_string(value)
    except ImportError as error:
        raise ConfigurationError(
            f"{key(name, setting)} names {value!r}, which can't be imported."
        ) from error


def _keys() -> list[str | bytes]:
    return [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]


def _user_of(request: HttpRequest) -> str | None:
    user = getattr(request, "user", None)
    return str(user.pk) if user is not None and user.is_authenticated else None


def _first_use(key: str, lifetime: timedelta) -> bool:
    # A cache that the workers share makes this the first use for all of them.
    return django_cache.add(key, True, timeout=lifetime.total_seconds())
