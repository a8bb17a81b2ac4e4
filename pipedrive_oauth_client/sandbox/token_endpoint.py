"""The token endpoint: a code or a refresh token for new tokens.

A request is checked in this order, and the first thing wrong is what the answer names: its content
type, its form, `grant_type`, the client's credentials, then what the grant needs.

Source:
    RFC 6749 sections 2.3.1, 3.2, 4.1.3, 5 and 6;
    https://pipedrive.readme.io/docs/marketplace-oauth-authorization
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence

from starlette.requests import Request
from starlette.responses import Response

from pipedrive_oauth_client.sandbox.addresses import base_url
from pipedrive_oauth_client.sandbox.answers import json_answer
from pipedrive_oauth_client.sandbox.bodies import read_form
from pipedrive_oauth_client.sandbox.records import App
from pipedrive_oauth_client.sandbox.refusals import (
    NO_CREDENTIALS,
    REDIRECT_URI_MALFORMED,
    TWO_AUTHENTICATIONS,
    UNSUPPORTED_GRANT_TYPE,
    WRONG_CLIENT,
    RefusedError,
    missing_parameter,
)
from pipedrive_oauth_client.sandbox.requests import Credentials, basic_credentials
from pipedrive_oauth_client.sandbox.state import State, TokenPair
from pipedrive_oauth_client.sandbox.uris import is_absolute_uri

_GRANT_TYPES = ("authorization_code", "refresh_token")


class TokenEndpoint:
    """The requests of an app's server for tokens.

    Args:
        state: The sandbox's memory.
        apps: The registered apps.
    """

    def __init__(self, *, state: State, apps: Sequence[App]) -> None:
        self._state = state
        self._apps = {app.client_id: app for app in apps}

    async def issue(self, request: Request) -> Response:
        """Answer POST /oauth/token, for both grants."""
        form = await read_form(request)
        grant_type = _need(form, "grant_type")
        if grant_type not in _GRANT_TYPES:
            raise RefusedError(UNSUPPORTED_GRANT_TYPE)
        app = self._authenticate(request.headers.getlist("authorization"), form)
        if grant_type == "authorization_code":
            tokens = self._exchange(form, app)
        else:
            tokens = self._state.refresh(_need(form, "refresh_token"), app=app)
        return json_answer(
            {
                "access_token": tokens.access_token,
                "token_type": "Bearer",
                "refresh_token": tokens.refresh_token,
                "scope": ",".join(tokens.scopes),
                "expires_in": tokens.expires_in_seconds,
                # Under the address that the client used, so that its API calls come here too.
                "api_domain": base_url(request),
            }
        )

    def _authenticate(self, authorization: Sequence[str], form: Mapping[str, str]) -> App:
        credentials = basic_credentials(authorization)
        if credentials is None:
            raise RefusedError(NO_CREDENTIALS)
        if "client_secret" in form:
            raise RefusedError(TWO_AUTHENTICATIONS)
        app = self._apps.get(credentials.client_id)
        if not _is_secret_right(credentials, app) or app is None:
            raise RefusedError(WRONG_CLIENT)
        return app

    def _exchange(self, form: Mapping[str, str], app: App) -> TokenPair:
        code, redirect_uri = _need(form, "code"), _need(form, "redirect_uri")
        if not is_absolute_uri(redirect_uri):
            raise RefusedError(REDIRECT_URI_MALFORMED)
        return self._state.redeem_code(code, app=app, redirect_uri=redirect_uri)


def _need(form: Mapping[str, str], name: str) -> str:
    if name not in form:
        raise RefusedError(missing_parameter(name))
    return form[name]


def _is_secret_right(credentials: Credentials, app: App | None) -> bool:
    """Compare in constant time, for an unknown client as well: the time tells nothing."""
    expected = app.client_secret if app is not None else "no such client"
    return hmac.compare_digest(credentials.client_secret.encode(), expected.encode())
