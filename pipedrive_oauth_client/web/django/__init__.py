"""An app for Django: add `pipedrive_oauth_client.web.django` to `INSTALLED_APPS`.

Its settings are in `PIPEDRIVE_OAUTH`; see `configuration`. Include `urls`, or `async_urls` for
views that are coroutines, and ask `auth_for` for what sends a valid token.
"""

from pipedrive_oauth_client.web.django.configuration import adisconnect, auth_for, disconnect
from pipedrive_oauth_client.web.django.decorators import (
    basic_auth_required,
    extension_user_required,
)
from pipedrive_oauth_client.web.django.store import DjangoTokenStore

__all__ = [
    "DjangoTokenStore",
    "adisconnect",
    "auth_for",
    "basic_auth_required",
    "disconnect",
    "extension_user_required",
]
