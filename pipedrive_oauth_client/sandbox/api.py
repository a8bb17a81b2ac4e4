"""The few API calls that the sandbox answers: whose token is this, and the company's deals.

A call is checked in this order: its token, the token's rate limit, its scopes, its parameters.

Source:
    RFC 6750 sections 2.1 and 3; https://developers.pipedrive.com/docs/api/v1/Users#getCurrentUser;
    https://pipedrive.readme.io/docs/marketplace-scopes-and-permissions-explanations
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs
from starlette.requests import Request
from starlette.responses import Response

from pipedrive_oauth_client.sandbox.answers import json_answer
from pipedrive_oauth_client.sandbox.challenges import challenge
from pipedrive_oauth_client.sandbox.deals import page_of_deals
from pipedrive_oauth_client.sandbox.rate_limit import RateLimit
from pipedrive_oauth_client.sandbox.records import User
from pipedrive_oauth_client.sandbox.refusals import (
    ACCESS_TOKEN_INVALID,
    NO_ACCESS_TOKEN,
    SCOPE_MISSING,
    TOO_MANY_REQUESTS,
    RefusedError,
)
from pipedrive_oauth_client.sandbox.requests import bearer_token, parse_query
from pipedrive_oauth_client.sandbox.state import State

# The first one is what a call without any of them is told to ask for. Pipedrive puts `users/me`
# under `base`, which every app has, and not under `users:read`.
_USER_SCOPES = ("base",)
_DEAL_SCOPES = ("deals:read", "deals:full")


@attrs.frozen
class _Caller:
    user: User
    headers: Mapping[str, str]


class Api:
    """The calls of an app that has an access token.

    Args:
        state: The sandbox's memory.
        rate_limit: Counts the calls.
    """

    def __init__(self, *, state: State, rate_limit: RateLimit) -> None:
        self._state = state
        self._rate_limit = rate_limit

    async def current_user(self, request: Request) -> Response:
        """Answer GET /api/v1/users/me."""
        caller = self._admit(request, _USER_SCOPES)
        user = caller.user
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
            },
            headers=caller.headers,
        )

    async def deals(self, request: Request) -> Response:
        """Answer GET /api/v2/deals with a page of the company's deals."""
        caller = self._admit(request, _DEAL_SCOPES)
        try:
            page = page_of_deals(caller.user, parse_query(request.scope["query_string"]))
        except RefusedError as error:
            raise RefusedError(error.refusal, headers=caller.headers) from error
        return json_answer(page, headers=caller.headers)

    def _admit(self, request: Request, scopes: tuple[str, ...]) -> _Caller:
        """Let a call in that has a living token, with any of the scopes, and a call left.

        The token counts in the Authorization header only.
        """
        token = bearer_token(request.headers.getlist("authorization"))
        if token is None:
            raise RefusedError(NO_ACCESS_TOKEN, headers=challenge(NO_ACCESS_TOKEN))
        grant = self._state.find_access_token(token)
        if grant is None:
            raise RefusedError(ACCESS_TOKEN_INVALID, headers=challenge(ACCESS_TOKEN_INVALID))
        standing = self._rate_limit.count(token)
        if standing.is_over:
            raise RefusedError(TOO_MANY_REQUESTS, headers=standing.headers)
        if not set(scopes) & set(grant.app.scopes):
            told = challenge(SCOPE_MISSING, scope=scopes[0])
            raise RefusedError(SCOPE_MISSING, headers={**standing.headers, **told})
        return _Caller(grant.user, standing.headers)
