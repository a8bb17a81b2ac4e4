"""The token endpoint: a code or a refresh token for new tokens.

A request is checked in this order, and the first thing wrong is what the answer names: its content
type, its form, `grant_type`, the client's credentials, then what the grant needs.

Source:
    RFC 6749 sections 2.3.1, 3.2, 4.1.3, 5 and 6;
    https://pipedrive.readme.io/docs/marketplace-oauth-authorization
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from pipedrive_oauth_client.sandbox.addresses import base_url
from pipedrive_oauth_client.sandbox.answers import json_answer
from pipedrive_oauth_client.sandbox.bodies import need, read_form
from pipedrive_oauth_client.sandbox.clients import Clients
from pipedrive_oauth_client.sandbox.grants import TokenPair
from pipedrive_oauth_client.sandbox.peeking import GRANT_TYPES
from pipedrive_oauth_client.sandbox.records import App
from pipedrive_oauth_client.sandbox.refusals import (
    REDIRECT_URI_MALFORMED,
    UNSUPPORTED_GRANT_TYPE,
    RefusedError,
)
from pipedrive_oauth_client.sandbox.state import State
from pipedrive_oauth_client.sandbox.uris import is_absolute_uri


class TokenEndpoint:
    """The requests of an app's server for tokens.

    Args:
        state: The sandbox's memory.
        clients: The registered apps.
    """

    def __init__(self, *, state: State, clients: Clients) -> None:
        self._state = state
        self._clients = clients

    async def issue(self, request: Request) -> Response:
        """Answer POST /oauth/token, for both grants."""
        form = await read_form(request)
        grant_type = need(form, "grant_type")
        if grant_type not in GRANT_TYPES:
            raise RefusedError(UNSUPPORTED_GRANT_TYPE)
        app = self._clients.authenticate(request, form)
        if grant_type == "authorization_code":
            tokens = self._exchange(form, app)
        else:
            tokens = self._state.refresh(need(form, "refresh_token"), app=app)
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

    def _exchange(self, form: Mapping[str, str], app: App) -> TokenPair:
        code, redirect_uri = need(form, "code"), need(form, "redirect_uri")
        if not is_absolute_uri(redirect_uri):
            raise RefusedError(REDIRECT_URI_MALFORMED)
        return self._state.redeem_code(code, app=app, redirect_uri=redirect_uri)
