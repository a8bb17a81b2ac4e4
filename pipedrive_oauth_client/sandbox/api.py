"""The one API call that the sandbox answers: whose token is this?

Source:
    RFC 6750 sections 2.1 and 3; https://developers.pipedrive.com/docs/api/v1/Users#getCurrentUser
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from pipedrive_oauth_client.sandbox.answers import json_answer
from pipedrive_oauth_client.sandbox.refusals import (
    ACCESS_TOKEN_INVALID,
    NO_ACCESS_TOKEN,
    RefusedError,
)
from pipedrive_oauth_client.sandbox.requests import bearer_token
from pipedrive_oauth_client.sandbox.state import State


class Api:
    """The calls of an app that has an access token.

    Args:
        state: The sandbox's memory.
    """

    def __init__(self, *, state: State) -> None:
        self._state = state

    async def current_user(self, request: Request) -> Response:
        """Answer GET /api/v1/users/me; the token counts in the Authorization header only."""
        token = bearer_token(request.headers.getlist("authorization"))
        if token is None:
            raise RefusedError(NO_ACCESS_TOKEN)
        grant = self._state.find_access_token(token)
        if grant is None:
            raise RefusedError(ACCESS_TOKEN_INVALID)
        user = grant.user
        return json_answer(
            {
                "success": True,
                "data": {
                    "id": user.id,
                    "name": user.name,
                    "email": user.email,
                    "is_you": True,
                    "active_flag": True,
                    "company_id": user.company_id,
                    "company_name": user.company_name,
                    "company_domain": user.company_domain,
                    "locale": user.locale,
                    "timezone_name": user.timezone_name,
                    "default_currency": user.default_currency,
                },
            }
        )
