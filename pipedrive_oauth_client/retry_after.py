"""How long a service asks to wait: the `Retry-After` header (RFC 9110, section 10.2.3)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

__all__ = ["read_retry_after"]

_LONGEST: Final = timedelta(days=366)

# The three forms of an HTTP date. Without this, dateutil reads "Mon 12:00" as noon of next Monday,
# and warns of time zones that no HTTP date names.
_MONTH = "(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"
_TIME = r"\d\d:\d\d:(?:[0-5]\d|60)"
_HTTP_DATE = re.compile(
    rf"(?:mon|tue|wed|thu|fri|sat|sun), \d\d? {_MONTH} [1-9]\d{{3}} {_TIME} gmt"
    rf"|(?:mon|tues|wednes|thurs|fri|satur|sun)day, \d\d-{_MONTH}-\d\d {_TIME} gmt"
    rf"|(?:mon|tue|wed|thu|fri|sat|sun) {_MONTH} [ \d]\d {_TIME} [1-9]\d{{3}}",
    re.IGNORECASE | re.ASCII,
)


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
        digits = text.lstrip("0") or "0"
        return min(timedelta(seconds=int(digits)), _LONGEST) if len(digits) <= 10 else _LONGEST
    if _HTTP_DATE.fullmatch(text) is None:
        return None
    from dateutil import parser  # noqa: PLC0415 - the import is dear, and few need it

    # A date may name the leap second, which no datetime can.
    without_leap_second = text.upper().replace(":60 ", ":59 ")
    try:
        moment = parser.parse(without_leap_second)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)  # asctime names no zone and means UTC
    wait = moment - now
    if without_leap_second != text.upper():
        wait += timedelta(seconds=1)
    return min(max(wait, timedelta(0)), _LONGEST)
