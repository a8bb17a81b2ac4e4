"""How long a service asks to wait: the `Retry-After` header (RFC 9110, section 10.2.3)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

__all__ = ["read_retry_after"]

_LONGEST: Final = timedelta(days=366)

# The first word of all three forms of an HTTP date. Without this, dateutil reads "12:00" as noon
# today.
_WEEKDAY = re.compile(r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? ", re.ASCII)


def read_retry_after(value: str | None, now: datetime) -> timedelta | None:
    """Read the header.

    Args:
        value: Seconds in digits, or an HTTP date in one of its three forms (IMF-fixdate, RFC 850,
            asctime).
        now: The time that a date is counted from, aware.

    Returns:
        How long to wait, not negative and no longer than a year; None where there is no header or
        it can't be read.

    Source:
        RFC 9110, sections 5.6.7 and 10.2.3.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdecimal():
        return min(timedelta(seconds=int(text[:10])), _LONGEST) if len(text) <= 10 else _LONGEST
    if _WEEKDAY.match(text) is None:
        return None
    from dateutil import parser  # noqa: PLC0415 - the import is dear, and few need it

    try:
        moment = parser.parse(text)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)  # asctime names no zone and means UTC
    return min(max(moment - now, timedelta(0)), _LONGEST)
