"""System checks of the setting `PIPEDRIVE_OAUTH` and what it depends on, for `manage.py check`.

E001 to E005 are errors, with which connecting can't work; W001 to W005 are warnings.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning
from django.db import connections
from django.urls import Resolver404, resolve

from pipedrive_oauth_client.errors import PipedriveOAuthError
from pipedrive_oauth_client.web.django import views
from pipedrive_oauth_client.web.django.configuration import (
    blocking_core,
    live_store_in_tests,
    site,
    table_store,
)

__all__ = ["check_callback", "check_database", "check_settings", "check_surroundings"]

_LOCAL_CACHES = ("locmem.LocMemCache", "dummy.DummyCache")
_AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"


def check_settings(**_settings: Any) -> list[CheckMessage]:
    """Check that the setting is there and can be right."""
    try:
        used = site().store
    except PipedriveOAuthError as error:
        return [Error(str(error), id="pipedrive_oauth_client.E001")]
    problem = live_store_in_tests(used)
    return [] if problem is None else [CheckWarning(problem, id="pipedrive_oauth_client.W005")]


def check_callback(**_settings: Any) -> list[CheckMessage]:
    """Check that the redirect URI leads to the callback."""
    try:
        redirect_uri = site().oauth.credentials.redirect_uri
    except PipedriveOAuthError:
        return []  # said above
    path = urlsplit(redirect_uri).path or "/"
    found = _views_below(path)
    if views.acallback in found:
        return []
    if views.callback in found:
        return _blocking()
    return [
        Error(
            f"REDIRECT_URI leads to {path}, where the callback is not.",
            hint="Include pipedrive_oauth_client.web.django.urls so that its `callback` is there.",
            id="pipedrive_oauth_client.E002",
        )
    ]


def check_surroundings(**_settings: Any) -> list[CheckMessage]:
    """Check the project's settings that connecting depends on."""
    try:
        given = site()
    except PipedriveOAuthError:
        return []  # said above
    return [*_of_session(), *_of_login(given.is_login_required), *_of_cache()]


def check_database(**_settings: Any) -> list[CheckMessage]:
    """Check the database that holds the table of tokens."""
    try:
        used = table_store()
    except PipedriveOAuthError:
        return []  # said above
    if used is None:
        return []
    alias, given = used.database, connections.settings[used.database]
    if connections[alias].vendor != "sqlite":
        return []
    return [*_of_file(alias, Path(given["NAME"])), *_of_transactions(alias, given)]


def _views_below(path: str) -> list[object]:
    # The path that the project is mounted at is known to the server and not to `manage.py`.
    found: list[object] = []
    while path:
        with suppress(Resolver404):
            found.append(resolve(path).func)
        _, slash, rest = path[1:].partition("/")
        path = slash + rest
    return found


def _blocking() -> list[CheckMessage]:
    try:
        blocking_core()
    except PipedriveOAuthError as error:
        hint = "Or include pipedrive_oauth_client.web.django.async_urls."
        return [Error(str(error), hint=hint, id="pipedrive_oauth_client.E003")]
    return []


def _of_session() -> Iterator[CheckMessage]:
    if settings.SESSION_COOKIE_SAMESITE == "Strict":
        yield Error(
            "With SESSION_COOKIE_SAMESITE = 'Strict' the browser does not send the session when"
            " Pipedrive sends it back, so that connecting fails.",
            hint="Set SESSION_COOKIE_SAMESITE to 'Lax', Django's default.",
            id="pipedrive_oauth_client.E004",
        )


def _of_login(is_required: bool) -> Iterator[CheckMessage]:
    if is_required and _AUTHENTICATION not in settings.MIDDLEWARE:
        yield Error(
            "PIPEDRIVE_OAUTH['LOGIN_REQUIRED'] is set, but no user is known to the views.",
            hint=f"Add {_AUTHENTICATION} to MIDDLEWARE, or remove LOGIN_REQUIRED.",
            id="pipedrive_oauth_client.E005",
        )


def _of_cache() -> Iterator[CheckMessage]:
    backend = str(settings.CACHES.get("default", {}).get("BACKEND", ""))
    # A project on a developer's machine has the first of the two, and one worker.
    is_used = "FIRST_USE" not in settings.PIPEDRIVE_OAUTH and not settings.DEBUG
    if is_used and backend.endswith(_LOCAL_CACHES):
        yield CheckWarning(
            f"CACHES['default'] is {backend}, which workers don't share: a callback that one worker"
            " has used is new to the others.",
            hint="Use a cache that all workers share, such as"
            " django.core.cache.backends.db.DatabaseCache, or set PIPEDRIVE_OAUTH['FIRST_USE'].",
            id="pipedrive_oauth_client.W001",
        )


def _of_file(alias: str, path: Path) -> Iterator[CheckMessage]:
    if sys.platform == "win32" or not path.is_file():
        return
    if path.stat().st_mode & 0o077:
        yield CheckWarning(
            f"Other users of this machine can read or change {path}, the SQLite file of"
            f" DATABASES[{alias!r}], which holds the tokens of Pipedrive.",
            hint=f"Run: chmod 600 '{path}'",
            id="pipedrive_oauth_client.W002",
        )


def _of_transactions(alias: str, given: dict[str, Any]) -> Iterator[CheckMessage]:
    if given["ATOMIC_REQUESTS"]:
        yield CheckWarning(
            f"DATABASES[{alias!r}] is an SQLite file with ATOMIC_REQUESTS: a view that has used the"
            " database keeps the token store from writing, and its token is not refreshed.",
            hint="Set PIPEDRIVE_OAUTH['DATABASE'] to another SQLite file, or put"
            " django.db.transaction.non_atomic_requests on views that use auth_for.",
            id="pipedrive_oauth_client.W003",
        )
