"""The few API calls that the sandbox offers: the current user, and the company's deals.

A call is checked in this order: its token, the token's rate limit, its scopes, its parameters.

Source:
    RFC 6750 sections 2.1 and 3; https://developers.pipedrive.com/docs/api/v1/Users#getCurrentUser;
    https://pipedrive.readme.io/docs/marketplace-scopes-and-permissions-explanations
"""

from __future__ import annotations

import base64
import math
import re
import threading
from collections import Counter
from collections.abc import Mapping

import attrs
from starlette.requests import Request
from starlette.responses import Response

from pipedrive_oauth_client.sandbox.clock import Now
from pipedrive_oauth_client.sandbox.error_responses import (
    ACCESS_TOKEN_INVALID,
    CURSOR_INVALID,
    LIMIT_INVALID,
    NO_ACCESS_TOKEN,
    SCOPE_MISSING,
    TOO_MANY_REQUESTS,
    RequestRejectedError,
    challenge_headers,
)
from pipedrive_oauth_client.sandbox.models import User
from pipedrive_oauth_client.sandbox.requests import bearer_token, parse_query
from pipedrive_oauth_client.sandbox.responses import json_response
from pipedrive_oauth_client.sandbox.state import State

# The first scope is the one that a call without any of them is told to ask for. Pipedrive puts
# `users/me` under `base`, which every app has, and not under `users:read`.
_USER_SCOPES = ("base",)
_DEAL_SCOPES = ("deals:read", "deals:full")

_WINDOW_SECONDS = 2

_DEAL_TITLES = (
    "Forty desks for the new office",
    "Coffee for a year",
    "A website in four languages",
    "Solar panels on the roof",
    "Two bicycles and a cargo trailer",
)
_DEFAULT_LIMIT = 100
_MAX_LIMIT = 500
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")


@attrs.frozen
class RateLimitStatus:
    """How much of a window a token has used, the current call included."""

    limit: int
    used: int
    reset_seconds: int

    @property
    def is_exceeded(self) -> bool:
        """Whether the current call is one too many."""
        return self.used > self.limit

    @property
    def headers(self) -> dict[str, str]:
        """The headers that tell the app."""
        headers = {
            "x-ratelimit-limit": str(self.limit),
            "x-ratelimit-remaining": str(max(self.limit - self.used, 0)),
            "x-ratelimit-reset": str(self.reset_seconds),
        }
        if self.is_exceeded:
            headers["Retry-After"] = str(self.reset_seconds)
        return headers


class RateLimit:
    """Counts the calls of each token in the current window of two seconds."""

    def __init__(self, *, calls: int, clock: Now) -> None:
        self._calls = calls
        self._clock = clock
        self._lock = threading.Lock()
        self._window = 0
        self._used = Counter[str]()

    def count(self, token: str) -> RateLimitStatus:
        """Count a call of a token."""
        with self._lock:
            window, elapsed = divmod(self._clock().timestamp(), _WINDOW_SECONDS)
            if window != self._window:
                self._window = int(window)
                self._used.clear()
            self._used[token] += 1
            reset_seconds = math.ceil(_WINDOW_SECONDS - elapsed)
            return RateLimitStatus(self._calls, self._used[token], reset_seconds)


class ApiEndpoint:
    """Responds to the calls of an app that has an access token."""

    def __init__(self, *, state: State, rate_limit: RateLimit) -> None:
        self._state = state
        self._rate_limit = rate_limit

    async def current_user(self, request: Request) -> Response:
        """Respond to GET /api/v1/users/me."""
        user, headers = self._authorize(request, _USER_SCOPES)
        return json_response(
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
            headers=headers,
        )

    async def deals(self, request: Request) -> Response:
        """Respond to GET /api/v2/deals with a page of the company's deals."""
        user, headers = self._authorize(request, _DEAL_SCOPES)
        try:
            page = _page_of_deals(user, parse_query(request.scope["query_string"]))
        except RequestRejectedError as error:
            raise RequestRejectedError(error.refusal, headers=headers) from error
        return json_response(page, headers=headers)

    def _authorize(
        self, request: Request, scopes: tuple[str, ...]
    ) -> tuple[User, Mapping[str, str]]:
        """Return the user of an active token with one of the scopes, and the rate limit's headers.

        The token counts in the Authorization header only, and must have a call left.
        """
        token = bearer_token(request.headers.getlist("authorization"))
        if token is None:
            raise RequestRejectedError(NO_ACCESS_TOKEN, headers=challenge_headers(NO_ACCESS_TOKEN))
        grant = self._state.find_access_token(token)
        if grant is None:
            headers = challenge_headers(ACCESS_TOKEN_INVALID)
            raise RequestRejectedError(ACCESS_TOKEN_INVALID, headers=headers)
        status = self._rate_limit.count(token)
        if status.is_exceeded:
            raise RequestRejectedError(TOO_MANY_REQUESTS, headers=status.headers)
        if not set(scopes) & set(self._state.scopes_of(grant)):
            headers = {**status.headers, **challenge_headers(SCOPE_MISSING, scope=scopes[0])}
            raise RequestRejectedError(SCOPE_MISSING, headers=headers)
        return grant.user, status.headers


def _page_of_deals(user: User, query: Mapping[str, str]) -> dict[str, object]:
    """Return the body with the deals that `limit` and `cursor` select."""
    deals = _deals_of(user)
    limit = _parse_limit(query.get("limit", str(_DEFAULT_LIMIT)))
    start = _parse_cursor(query["cursor"], len(deals)) if "cursor" in query else 0
    end = start + limit
    return {
        "success": True,
        "data": deals[start:end],
        "additional_data": {"next_cursor": _cursor(end) if end < len(deals) else None},
    }


def _deals_of(user: User) -> list[dict[str, object]]:
    """Return the deals of a user's company, in the order of their numbers.

    Deals of different companies have different numbers, so that a test sees a mix-up.
    """
    return [
        {
            "id": user.company_id * 100 + number,
            "title": title,
            "owner_id": user.id,
            "person_id": None,
            "org_id": None,
            "pipeline_id": 1,
            "stage_id": number,
            "value": 1250 * number,
            "currency": user.default_currency,
            "add_time": f"2025-11-{number:02}T09:00:00Z",
            "update_time": f"2025-12-{number:02}T15:30:00Z",
            "status": "open",
            "is_deleted": False,
        }
        for number, title in enumerate(_DEAL_TITLES, start=1)
    ]


def _parse_limit(text: str) -> int:
    limit = int(text) if _NUMBER.fullmatch(text) else 0
    if not 1 <= limit <= _MAX_LIMIT:
        raise RequestRejectedError(LIMIT_INVALID)
    return limit


def _cursor(start: int) -> str:
    return base64.urlsafe_b64encode(f'{{"deals":{start}}}'.encode()).decode()


def _parse_cursor(cursor: str, end: int) -> int:
    """Return the position of a cursor; only cursors that a page contained are valid."""
    for start in range(1, end):
        if cursor == _cursor(start):
            return start
    raise RequestRejectedError(CURSOR_INVALID)
