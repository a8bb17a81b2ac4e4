"""What `manage.py check` says about the setting `PIPEDRIVE_OAUTH`."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.core.checks import CheckMessage, Error
from django.urls import Resolver404, resolve

from pipedrive_oauth_client.errors import PipedriveOAuthError
from pipedrive_oauth_client.web.django import views
from pipedrive_oauth_client.web.django.configuration import site

__all__ = ["check_callback", "check_settings"]


def check_settings(**_settings: Any) -> list[CheckMessage]:
    """Check that the setting is there and can be right.

    Returns:
        An error that says what is wrong with it, or nothing.
    """
    try:
        site()
    except PipedriveOAuthError as error:
        return [Error(str(error), id="pipedrive_oauth_client.E001")]
    return []


def check_callback(**_settings: Any) -> list[CheckMessage]:
    """Check that the redirect URI leads to the callback.

    Returns:
        An error that says where it leads, or nothing.
    """
    try:
        redirect_uri = site().oauth.credentials.redirect_uri
    except PipedriveOAuthError:
        return []  # said above
    path = urlsplit(redirect_uri).path or "/"
    try:
        found: object = resolve(path).func
    except Resolver404:
        found = None
    if found in (views.callback, views.acallback):
        return []
    return [
        Error(
            f"REDIRECT_URI leads to {path}, where the callback is not.",
            hint="Include pipedrive_oauth_client.web.django.urls so that its `callback` is there.",
            id="pipedrive_oauth_client.E002",
        )
    ]
