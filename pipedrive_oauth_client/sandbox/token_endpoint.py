"""The token endpoint, its path with a slash at the end, and the revocation endpoint.

A request for tokens is checked in this order, and the first mistake is what the response names: its
content type, its form, `grant_type`, the client's credentials, then what the grant needs.

Source:
    RFC 6749 sections 2.3.1, 3.2, 4.1.3, 5 and 6; RFC 7009 section 2;
    https://pipedrive.readme.io/docs/marketplace-oauth-authorization
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from pipedrive_oauth_client.sandbox.error_responses import (
    REDIRECT_URI_MALFORMED,
    UNSUPPORTED_GRANT_TYPE,
    RequestRejectedError,
)
from pipedrive_oauth_client.sandbox.models import GRANT_TYPES, App, TokenPair
from pipedrive_oauth_client.sandbox.request_log import NOTHING_WAS_DONE
from pipedrive_oauth_client.sandbox.requests import (
    ClientAuthenticator,
    read_form,
    require_parameter,
)
from pipedrive_oauth_client.sandbox.responses import PRIVATE_HEADERS, json_response
from pipedrive_oauth_client.sandbox.settings import SlashedTokenLocation
from pipedrive_oauth_client.sandbox.state import State
from pipedrive_oauth_client.sandbox.urls import ISSUE_PATH, base_path, base_url, is_absolute_uri


class TokenEndpoint:
    """Exchanges codes and refresh tokens for tokens."""

    def __init__(self, *, state: State, clients: ClientAuthenticator) -> None:
        self._state = state
        self._clients = clients

    async def issue(self, request: Request) -> Response:
        """Respond to POST /oauth/token, for both grants."""
        form = await read_form(request)
        grant_type = require_parameter(form, "grant_type")
        if grant_type not in GRANT_TYPES:
            raise RequestRejectedError(UNSUPPORTED_GRANT_TYPE)
        app = self._clients.authenticate(request, form)
        if grant_type == "authorization_code":
            tokens = self._exchange(form, app)
        else:
            tokens = self._state.refresh(require_parameter(form, "refresh_token"), app=app)
        return json_response(
            {
                "access_token": tokens.access_token,
                "token_type": "Bearer",
                "refresh_token": tokens.refresh_token,
                "scope": ",".join(tokens.scopes),
                "expires_in": tokens.expires_in_seconds,
                # At the address that the client used, so that its API calls come here too.
                "api_domain": base_url(request),
            }
        )

    def _exchange(self, form: Mapping[str, str], app: App) -> TokenPair:
        code = require_parameter(form, "code")
        redirect_uri = require_parameter(form, "redirect_uri")
        if not is_absolute_uri(redirect_uri):
            raise RequestRejectedError(REDIRECT_URI_MALFORMED)
        return self._state.redeem_code(code, app=app, redirect_uri=redirect_uri)


@attrs.frozen
class SlashedPathRedirect:
    """Redirects from the token path with a slash at the end to the one without."""

    status: int
    location: SlashedTokenLocation

    async def respond(self, request: Request) -> Response:
        """Respond to any POST with the redirect, and do nothing else."""
        request.scope[NOTHING_WAS_DONE] = True
        base = base_url(request) if self.location == "absolute" else base_path(request)
        return RedirectResponse(base + ISSUE_PATH, status_code=self.status, headers=PRIVATE_HEADERS)


class RevocationEndpoint:
    """Revokes tokens."""

    def __init__(self, *, state: State, clients: ClientAuthenticator) -> None:
        self._state = state
        self._clients = clients

    async def revoke(self, request: Request) -> Response:
        """Respond to POST /oauth/revoke: 200 without a body, also for an unknown token.

        A token of another client is rejected (RFC 7009 section 2.1) and stays active.
        """
        form = await read_form(request)
        app = self._clients.authenticate(request, form)
        is_refresh_token = form.get("token_type_hint") == "refresh_token"
        self._state.revoke(
            require_parameter(form, "token"),
            app=app,
            kind="refresh_token" if is_refresh_token else "access_token",
        )
        return Response(headers=PRIVATE_HEADERS)
