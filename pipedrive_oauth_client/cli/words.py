"""Spans of time in people's words, there and back."""

from __future__ import annotations

import re
from datetime import timedelta

from pipedrive_oauth_client.errors import ConfigurationError

__all__ = ["read_span", "span_in_words", "until_in_words"]

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SPAN = re.compile(r"([0-9]{1,6})\s*([smhdw])")


def read_span(text: str) -> timedelta:
    """Read a span such as `30d`.

    Args:
        text: A whole number and a unit: s, m, h, d or w.

    Returns:
        The span.

    Raises:
        ConfigurationError: It is something else, or longer than a hundred years.
    """
    found = _SPAN.fullmatch(text.strip().lower())
    span = timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else None
    if span is None or span > timedelta(days=36_500):
        raise ConfigurationError(
            "A span of time is a whole number and a unit: 90s, 15m, 12h, 30d or 8w."
        )
    return span


def span_in_words(span: timedelta) -> str:
    """Say a span in its largest unit.

    Args:
        span: The span, of either sign.

    Returns:
        For example `41 minutes`; never more than the span.
    """
    seconds = int(abs(span).total_seconds())
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        # Two of a unit are needed to say it, or else "1 day" could be nearly two.
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}s"
    return "1 second" if seconds == 1 else f"{seconds} seconds"


def until_in_words(span: timedelta) -> str:
    """Say when something is.

    Args:
        span: The time until then; negative where it is over.

    Returns:
        For example `in 41 minutes` or `3 days ago`.
    """
    words = span_in_words(span)
    return f"{words} ago" if span < timedelta(0) else f"in {words}"
