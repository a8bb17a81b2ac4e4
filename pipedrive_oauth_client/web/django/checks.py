"""System checks of the setting `PIPEDRIVE_OAUTH` and what it depends on, for `manage.py check`.

E001 to E006 are errors, with which connecting can't work; W001 to W005 are warnings.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning
from django.db import connections
from django.urls import Resolver404, ResolverMatch, URLResolver, get_resolver, resolve

from pipedrive_oauth_client.errors import PipedriveOAuthError
from pipedrive_oauth_client.web.django import views
from pipedrive_oauth_client.web.django.configuration import (
    DEFAULT,
    Site,
    blocking_core,
    key,
    live_store_in_tests,
    name_of_namespaces,
    names,
    site,
    table_store,
    uses_cache,
)

__all__ = [
    "check_callback",
    "check_database",
    "check_routes",
    "check_settings",
    "check_surroundings",
]

_CALLBACKS = (views.callback, views.acallback)
_LOCAL_CACHES = ("locmem.LocMemCache", "dummy.DummyCache")
_AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"


def check_settings(**_settings: Any) -> list[CheckMessage]:
    """Check that the setting is there and can be right, for every app that it describes."""
    try:
        known = names()
    except PipedriveOAuthError as error:
        return [Error(str(error), id="pipedrive_oauth_client.E001")]
    found: dict[str, CheckMessage] = {}  # what is wrong with two apps together is said once
    for name in known:
        try:
            used = site(name).store
        except PipedriveOAuthError as error:
            found[str(error)] = Error(str(error), id="pipedrive_oauth_client.E001")
            continue
        problem = live_store_in_tests(used, name)
        if problem is not None:
            found[problem] = CheckWarning(problem, id="pipedrive_oauth_client.W005")
    return list(found.values())


def check_callback(**_settings: Any) -> list[CheckMessage]:
    """Check that the redirect URI of each app leads to its callback."""
    return [each for found in _sites() for each in _of_callback(found)]


def check_routes(**_settings: Any) -> list[CheckMessage]:
    """Check that the routes of each namespace belong to an app."""
    problems: dict[str, CheckMessage] = {}
    for namespaces in _namespaces_of_routes(get_resolver().url_patterns, ()):
        try:
            name_of_namespaces(namespaces)
        except PipedriveOAuthError as error:
            if _has_setting():
                problems[str(error)] = Error(str(error), id="pipedrive_oauth_client.E006")
    return list(problems.values())


def check_surroundings(**_settings: Any) -> list[CheckMessage]:
    """Check the project's settings that connecting depends on."""
    found = list(_sites())
    if not found:
        return []
    of_login = [each for one in found if one.is_login_required for each in _of_login(one.name)]
    return [*_of_session(), *of_login, *_of_cache(found)]


def check_database(**_settings: Any) -> list[CheckMessage]:
    """Check the databases that hold tables of tokens."""
    messages: dict[tuple[object, object], CheckMessage] = {}  # one for each of the files
    for found in _sites():
        used = table_store(found.name)
        if used is None:
            continue
        alias, given = used.database, connections.settings[used.database]
        if connections[alias].vendor != "sqlite":
            continue
        for each in (
            *_of_file(alias, Path(given["NAME"])),
            *_of_transactions(found.name, alias, given),
        ):
            messages.setdefault((each.id, alias), each)
    return list(messages.values())


def _sites() -> Iterator[Site]:
    """Give what each app comes to; what is wrong with another one is said by `check_settings`."""
    if _has_setting():
        for name in names():
            with suppress(PipedriveOAuthError):
                yield site(name)


def _has_setting() -> bool:
    try:
        return bool(names())
    except PipedriveOAuthError:
        return False


def _of_callback(found: Site) -> list[CheckMessage]:
    path = urlsplit(found.oauth.credentials.redirect_uri).path or "/"
    there = [each for each in _matches_below(path) if each.func in _CALLBACKS]
    owners = {match.func: _owner(match.namespaces) for match in there}
    if owners.get(views.acallback) == found.name:
        return []
    if owners.get(views.callback) == found.name:
        return _blocking(found.name)
    if None in owners.values():
        return []  # said by `check_routes`
    what, where = "where the callback is not", ""
    if owners:
        what = f"the callback of the app {next(iter(owners.values()))!r}"
    if len(names()) > 1 and found.name != DEFAULT:
        where = f" with namespace={found.name!r}"
    setting = "REDIRECT_URI" if len(names()) == 1 else key(found.name, "REDIRECT_URI")
    return [
        Error(
            f"{setting} leads to {path}, {what}.",
            hint=f"Include pipedrive_oauth_client.web.django.urls{where} so that its `callback` is"
            " there.",
            id="pipedrive_oauth_client.E002",
        )
    ]


def _owner(namespaces: Sequence[str]) -> str | None:
    try:
        return name_of_namespaces(namespaces)
    except PipedriveOAuthError:
        return None


def _namespaces_of_routes(
    patterns: Iterable[Any], outer: tuple[str, ...]
) -> Iterator[tuple[str, ...]]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            inner = (*outer, pattern.namespace) if pattern.namespace else outer
            yield from _namespaces_of_routes(pattern.url_patterns, inner)
        elif pattern.callback in _CALLBACKS:
            yield outer


def _matches_below(path: str) -> list[ResolverMatch]:
    # The path that the project is mounted at is known to the server and not to `manage.py`.
    found: list[ResolverMatch] = []
    while path:
        with suppress(Resolver404):
            found.append(resolve(path))
        _, slash, rest = path[1:].partition("/")
        path = slash + rest
    return found


def _blocking(name: str) -> list[CheckMessage]:
    try:
        blocking_core(name)
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


def _of_login(name: str) -> Iterator[CheckMessage]:
    if _AUTHENTICATION not in settings.MIDDLEWARE:
        yield Error(
            f"{key(name, 'LOGIN_REQUIRED')} is set, but no user is known to the views.",
            hint=f"Add {_AUTHENTICATION} to MIDDLEWARE, or remove LOGIN_REQUIRED.",
            id="pipedrive_oauth_client.E005",
        )


def _of_cache(found: Sequence[Site]) -> Iterator[CheckMessage]:
    backend = str(settings.CACHES.get("default", {}).get("BACKEND", ""))
    # A project on a developer's machine has the first of the two, and one worker.
    users = [] if settings.DEBUG else [each.name for each in found if uses_cache(each)]
    if users and backend.endswith(_LOCAL_CACHES):
        yield CheckWarning(
            f"CACHES['default'] is {backend}, which workers don't share: a callback that one worker"
            " has used is new to the others.",
            hint="Use a cache that all workers share, such as"
            " django.core.cache.backends.db.DatabaseCache, or set"
            f" {' and '.join(key(name, 'FIRST_USE') for name in users)}.",
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


def _of_transactions(name: str, alias: str, given: dict[str, Any]) -> Iterator[CheckMessage]:
    if given["ATOMIC_REQUESTS"]:
        yield CheckWarning(
            f"DATABASES[{alias!r}] is an SQLite file with ATOMIC_REQUESTS: a view that has used the"
            " database keeps the token store from writing, and its token is not refreshed.",
            hint=f"Set {key(name, 'DATABASE')} to another SQLite file, or put"
            " django.db.transaction.non_atomic_requests on views that use auth_for.",
            id="pipedrive_oauth_client.W003",
        )
