"""The few API calls that the sandbox answers: whose token is this, and the company's deals.

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
    RefusedError,
    challenge,
)
from pipedrive_oauth_client.sandbox.models import User
from pipedrive_oauth_client.sandbox.requests import bearer_token, parse_query
from pipedrive_oauth_client.sandbox.responses import json_answer
from pipedrive_oauth_client.sandbox.state import State

WINDOW_SECONDS = 2


@attrs.frozen
class Standing:
    """Where a token is after a call.

    Attributes:
        limit: How many calls a window has.
        used: How many were made in this one, with the call at hand.
        reset_seconds: When the next window begins, in whole seconds from now.
    """

    limit: int
    used: int
    reset_seconds: int

    @property
    def is_over(self) -> bool:
        """Whether the call at hand is one too many."""
        return self.used > self.limit

    @property
    def headers(self) -> dict[str, str]:
        """The headers that tell the app so."""
        told = {
            "x-ratelimit-limit": str(self.limit),
            "x-ratelimit-remaining": str(max(self.limit - self.used, 0)),
            "x-ratelimit-reset": str(self.reset_seconds),
        }
        return {**told, "Retry-After": str(self.reset_seconds)} if self.is_over else told


class RateLimit:
    """The calls of the window at hand, by token.

    Args:
        calls: How many calls a token has in a window.
        clock: Tells the time.
    """

    def __init__(self, *, calls: int, clock: Now) -> None:
        self._calls = calls
        self._clock = clock
        self._lock = threading.Lock()
        self._window = 0
        self._used = Counter[str]()

    def count(self, token: str) -> Standing:
        """Count a call and return where its token is now."""
        with self._lock:
            window, since = divmod(self._clock().timestamp(), WINDOW_SECONDS)
            if window != self._window:
                self._window = int(window)
                self._used.clear()
            self._used[token] += 1
            reset_seconds = math.ceil(WINDOW_SECONDS - since)
            return Standing(self._calls, self._used[token], reset_seconds)


_TITLES = (
    "Forty desks for the new office",
    "Coffee for a year",
    "A website in four languages",
    "Solar panels on the roof",
    "Two bicycles and a cargo trailer",
)
_USUAL_LIMIT = 100
_LARGEST_LIMIT = 500
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")


def deals_of(user: User) -> list[dict[str, object]]:
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
        for number, title in enumerate(_TITLES, start=1)
    ]


def page_of_deals(user: User, query: Mapping[str, str]) -> dict[str, object]:
    """Return the body of an answer with a page of the deals.

    Args:
        user: Whose company's deals.
        query: `limit`, from 1 to 500 and 100 unless given, and the `cursor` of the page before.

    Raises:
        RefusedError: The limit or the cursor is not one.
    """
    deals = deals_of(user)
    limit = _limit(query.get("limit", str(_USUAL_LIMIT)))
    start = _start(query["cursor"], len(deals)) if "cursor" in query else 0
    end = start + limit
    return {
        "success": True,
        "data": deals[start:end],
        "additional_data": {"next_cursor": _cursor(end) if end < len(deals) else None},
    }


def _limit(text: str) -> int:
    limit = int(text) if _NUMBER.fullmatch(text) else 0
    if not 1 <= limit <= _LARGEST_LIMIT:
        raise RefusedError(LIMIT_INVALID)
    return limit


def _cursor(start: int) -> str:
    return base64.urlsafe_b64encode(f'{{"deals":{start}}}'.encode()).decode()


def _start(cursor: str, end: int) -> int:
    """Return the place that a cursor stands for; only cursors that were given are known."""
    for start in range(1, end):
        if cursor == _cursor(start):
            return start
    raise RefusedError(CURSOR_INVALID)


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
