"""Spans of time in words, as short as a table needs them."""

from __future__ import annotations

from datetime import timedelta

_UNITS = (("day", 86400), ("h", 3600), ("min", 60), ("s", 1))


def span_in_words(span: timedelta) -> str:
    """Return a span in its two largest units, such as `59 min 30 s`; a part of a second is none."""
    left, parts = int(span.total_seconds()), list[str]()
    for unit, seconds in _UNITS:
        count, left = divmod(left, seconds)
        if count:
            plural = "s" if unit == "day" and count > 1 else ""
            parts.append(f"{count} {unit}{plural}")
        elif parts:
            break
    return " ".join(parts[:2]) or "less than 1 s"
