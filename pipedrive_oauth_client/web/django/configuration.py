"""The setting `PIPEDRIVE_OAUTH`, read when it is first needed.

Its keys are the arguments of `WebSettings` in upper case (`AFTER_CONNECT`, `CONNECTED`, ...) and
`CLIENT_ID`, `CLIENT_SECRET`, `REDIRECT_URI`, `BASE_URL`, `CLIENT`, `RETRY`, `CLOCK` and `STORE`.
Functions, the store and `CLIENT` may be given by their dotted names, and the last two as functions
that make them. `CLIENT` is an `httpx.Client` that sends every request, for a proxy or certificates.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from typing import Any, Final, cast

import httpx
from asgiref.sync import sync_to_async
from attrs import frozen
from django.conf import settings
from django.core.cache import cache as django_cache
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.module_loading import import_string

from pipedrive_oauth_client._checks import utc_now
from pipedrive_oauth_client.auth import PipedriveAuth
from pipedrive_oauth_client.credentials import AppCredentials
from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.generated.client import DEFAULT_BASE_URL
from pipedrive_oauth_client.oauth import AsyncPipedriveOAuth, PipedriveOAuth
from pipedrive_oauth_client.stores.protocol import TokenStore, checked_store
from pipedrive_oauth_client.web import disconnecting
from pipedrive_oauth_client.web.runner import identification_client
from pipedrive_oauth_client.web.settings import HOOKS, WebCore, WebSettings

__all__ = ["Site", "adisconnect", "auth_for", "blocking_core", "clear_caches", "disconnect", "site"]

_CREDENTIALS: Final = ("CLIENT_ID", "CLIENT_SECRET", "REDIRECT_URI")
_OWN: Final = (*_CREDENTIALS, "BASE_URL", "CLIENT", "CLOCK", "RETRY", "STORE")
_SHARED: Final = (
    *HOOKS,
    "after_connect",
    "return_origins",
    "allow_marketplace_installs",
    "lifetime",
    "secret_keys",
    "extension_secrets",
)


@frozen(eq=False)
class Site:
    """What the setting comes to."""

    oauth: PipedriveOAuth
    async_oauth: AsyncPipedriveOAuth | PipedriveOAuth
    store: TokenStore
    core: WebCore
    api_client: httpx.Client | None


@cache
def site() -> Site:
    """Read the setting."""
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
    }
    client = _made(_found("CLIENT", given.get("CLIENT")), "send")
    oauth = PipedriveOAuth(credentials, client=client, **flow)
    # A client of the project's own is a synchronous one, which serves coroutines in threads.
    async_oauth = oauth if client is not None else AsyncPipedriveOAuth(credentials, **flow)
    return Site(
        oauth=oauth,
        async_oauth=async_oauth,
        store=_store(given),
        core=WebCore(async_oauth, _web_settings(given), _keys(), is_async=True),
        api_client=identification_client(None, oauth.own_client),
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
    disconnecting.disconnect(site().oauth, site().store, account)


async def adisconnect(account: str) -> None:
    """Do the same as `disconnect` without blocking the event loop.

    Args:
        account: The account.

    Raises:
        PipedriveOAuthError: As `disconnect` says.
    """
    await sync_to_async(disconnect)(account)


def clear_caches(*, setting: str, **_rest: object) -> None:
    """Forget what the setting came to, when a test has changed it."""
    if setting in ("PIPEDRIVE_OAUTH", "SECRET_KEY", "SECRET_KEY_FALLBACKS"):
        site.cache_clear()
        blocking_core.cache_clear()


def _given() -> Mapping[str, Any]:
    given: object = getattr(settings, "PIPEDRIVE_OAUTH", None)
    if not isinstance(given, Mapping):
        raise ConfigurationError("The setting PIPEDRIVE_OAUTH is missing; it is a dictionary.")
    found = cast("Mapping[str, Any]", given)
    unknown = {*found} - {*_OWN, *map(str.upper, _SHARED)}
    if unknown:
        raise ConfigurationError(
            f"PIPEDRIVE_OAUTH has unknown keys: {', '.join(sorted(map(str, unknown)))}."
        )
    return found


def _web_settings(given: Mapping[str, Any]) -> WebSettings[HttpRequest, HttpResponseBase]:
    arguments: dict[str, Any] = {"session_of": _user_of, "first_use": _first_use}
    for name in _SHARED:
        if name.upper() in given:
            value = given[name.upper()]
            arguments[name] = _found(name.upper(), value) if name in HOOKS else value
    return WebSettings(**arguments)


def _store(given: Mapping[str, Any]) -> TokenStore:
    found = _found("STORE", given.get("STORE"))
    if found is None:
        raise ConfigurationError("PIPEDRIVE_OAUTH needs STORE: where tokens are kept.")
    return checked_store("STORE", _made(found, "load"))


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
