"""A few made-up deals for each company, and the pages in which a list of them is read.

Source:
    https://developers.pipedrive.com/docs/api/v2/Deals#getDeals;
    https://pipedrive.readme.io/docs/core-api-concepts-pagination
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping

from pipedrive_oauth_client.sandbox.records import User
from pipedrive_oauth_client.sandbox.refusals import CURSOR_INVALID, LIMIT_INVALID, RefusedError

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
