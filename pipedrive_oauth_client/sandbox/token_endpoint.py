"""The token endpoint: a code or a refresh token for new tokens.

A request is checked in this order, and the first thing wrong is what the answer names: its content
type, its form, `grant_type`, the client's credentials, then what the grant needs.

Source:
    RFC 6749 sections 2.3.1, 3.2, 4.1.3, 5 and 6;
    https://pipedrive.readme.io/docs/marketplace-oauth-authorization
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias, get_args

import attrs
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.sandbox.error_responses import (
    REDIRECT_URI_MALFORMED,
    UNSUPPORTED_GRANT_TYPE,
    RefusedError,
)
from pipedrive_oauth_client.sandbox.models import GRANT_TYPES, App, TokenPair
from pipedrive_oauth_client.sandbox.request_log import NOTHING_WAS_DONE
from pipedrive_oauth_client.sandbox.requests import Clients, need, read_form
from pipedrive_oauth_client.sandbox.responses import PRIVATE, json_answer
from pipedrive_oauth_client.sandbox.state import State
from pipedrive_oauth_client.sandbox.urls import ISSUE_PATH, base_path, base_url, is_absolute_uri

SlashedTokenPath: TypeAlias = Literal["serve", 301, 302, 303, 307, 308]
SlashedTokenLocation: TypeAlias = Literal["absolute", "relative"]


@attrs.frozen
class Redirect:
    """Sends whoever posts to the path with the slash to the one without.

    Args:
        status: The redirect's status.
        location: Whether its Location names the host (`absolute`) or only the path (`relative`).
    """

    status: int
    location: SlashedTokenLocation

    async def answer(self, request: Request) -> Response:
        """Answer any POST with the redirect, and do nothing else."""
        request.scope[NOTHING_WAS_DONE] = True
        base = base_url(request) if self.location == "absolute" else base_path(request)
        return RedirectResponse(base + ISSUE_PATH, status_code=self.status, headers=PRIVATE)


def check_settings(path: SlashedTokenPath, location: SlashedTokenLocation) -> None:
    """Refuse settings that are none of those there are.

    Raises:
        ConfigurationError: One is another.
    """
    if path not in get_args(SlashedTokenPath):
        raise ConfigurationError('slashed_token_path must be "serve", 301, 302, 303, 307 or 308.')
    if location not in get_args(SlashedTokenLocation):
        raise ConfigurationError('slashed_token_location must be "absolute" or "relative".')


class RevocationEndpoint:
    """The requests of an app's server to end a token.

    Args:
        state: The sandbox's memory.
        clients: The registered apps.
    """

    def __init__(self, *, state: State, clients: Clients) -> None:
        self._state = state
        self._clients = clients

    async def revoke(self, request: Request) -> Response:
        """Answer POST /oauth/revoke: 200 without a body, for a token that nobody knows as well.

        A token of another client is refused (RFC 7009 section 2.1) and lives on.
        """
        form = await read_form(request)
        app = self._clients.authenticate(request, form)
        is_refresh_token = form.get("token_type_hint") == "refresh_token"
        self._state.revoke(
            need(form, "token"),
            app=app,
            kind="refresh_token" if is_refresh_token else "access_token",
        )
        return Response(headers=PRIVATE)


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
