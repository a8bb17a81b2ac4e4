"""Knowing an app's server by its credentials, the same way at every endpoint that asks for them.

Source:
    RFC 6749 section 2.3.1; RFC 7617 section 2; RFC 7009 section 2.1.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence

from starlette.requests import Request
from starlette.types import Scope

from pipedrive_oauth_client.sandbox.records import App
from pipedrive_oauth_client.sandbox.refusals import (
    NO_CREDENTIALS,
    TWO_AUTHENTICATIONS,
    WRONG_CLIENT,
    RefusedError,
)
from pipedrive_oauth_client.sandbox.requests import Credentials, basic_credentials

_CREDENTIALS = "pipedrive_oauth_client.sandbox.credentials"


def credentials_of(scope: Scope) -> Credentials | None:
    """Return what a request's Authorization header says, read once for all who ask; or None."""
    known = scope.get(_CREDENTIALS)
    if isinstance(known, Credentials):
        return known
    credentials = basic_credentials(
        [
            value.decode("latin-1")
            for name, value in scope["headers"]
            if name.lower() == b"authorization"
        ]
    )
    if credentials is not None:
        scope[_CREDENTIALS] = credentials
    return credentials


class Clients:
    """The registered apps, as clients that prove who they are.

    Args:
        apps: The registered apps.
    """

    def __init__(self, apps: Sequence[App]) -> None:
        self._apps = {app.client_id: app for app in apps}

    def authenticate(self, request: Request, form: Mapping[str, str]) -> App:
        """Return the app whose credentials a request carries in its Authorization header.

        Raises:
            RefusedError: There are no credentials that can be read, there are some in the form as
                well, or they are wrong.
        """
        credentials = credentials_of(request.scope)
        if credentials is None:
            raise RefusedError(NO_CREDENTIALS)
        if "client_secret" in form:
            raise RefusedError(TWO_AUTHENTICATIONS)
        app = self._apps.get(credentials.client_id)
        if not _is_secret_right(credentials, app) or app is None:
            raise RefusedError(WRONG_CLIENT)
        return app


def _is_secret_right(credentials: Credentials, app: App | None) -> bool:
    """Compare in constant time, for an unknown client as well: the time tells nothing."""
    expected = app.client_secret if app is not None else "no such client"
    return hmac.compare_digest(credentials.client_secret.encode(), expected.encode())
