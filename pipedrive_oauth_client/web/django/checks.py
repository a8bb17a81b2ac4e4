"""System checks of the setting `PIPEDRIVE_OAUTH`, for `manage.py check`."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from django.core.checks import CheckMessage, Error
from django.urls import Resolver404, resolve

from pipedrive_oauth_client.errors import PipedriveOAuthError
from pipedrive_oauth_client.web.django import views
from pipedrive_oauth_client.web.django.configuration import blocking_core, site

__all__ = ["check_callback", "check_settings"]


def check_settings(**_settings: Any) -> list[CheckMessage]:
    """Check that the setting is there and can be right."""
    try:
        site()
    except PipedriveOAuthError as error:
        return [Error(str(error), id="pipedrive_oauth_client.E001")]
    return []


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
