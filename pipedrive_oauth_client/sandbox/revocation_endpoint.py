"""The revocation endpoint: an app's server gives a token back.

A request is checked in the order of the token endpoint: its content type, its form, the client's
credentials, then `token`.

A `token_type_hint` that is neither `access_token` nor `refresh_token` is ignored. RFC 7009 section
2.2.1 has an error `unsupported_token_type`, but for a server that can't revoke tokens of the kind
presented; here all kinds can be, and section 2.1 makes the hint no more than a help in the search.

Source:
    RFC 7009 section 2; https://pipedrive.readme.io/docs/app-uninstallation
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from pipedrive_oauth_client.sandbox.answers import PRIVATE
from pipedrive_oauth_client.sandbox.bodies import need, read_form
from pipedrive_oauth_client.sandbox.clients import Clients
from pipedrive_oauth_client.sandbox.state import State


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
