"""What a clock has to be."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from pipedrive_oauth_client import ConfigurationError
from pipedrive_oauth_client._checks import read_clock, utc_now
from tests.support.untyped import untyped


def test_present_is_aware() -> None:
    """The clock that is used by default shows the present, in UTC."""
    before = datetime.now(UTC)
    now = utc_now()
    assert before <= now <= datetime.now(UTC)
    assert now.utcoffset() == timedelta(0)


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=-7)), timezone(timedelta(hours=9))])
def test_any_zone_will_do(zone: timezone) -> None:
    """An aware time is given as it is, in whatever zone."""
    now = datetime(2026, 3, 1, 12, tzinfo=zone)
    assert read_clock(lambda: now) is now


@pytest.mark.parametrize(
    ("clock", "told"),
    [
        (lambda: datetime(2026, 1, 1), "aware"),  # noqa: DTZ001 - what is refused
        (lambda: date(2026, 1, 1), "clock must return a datetime"),
        (lambda: 1_767_225_600.0, "clock must return a datetime"),
        (lambda: None, "clock must return a datetime"),
        (datetime(2026, 1, 1, tzinfo=UTC), "callable"),
        (None, "callable"),
    ],
)
def test_anything_else_is_refused(clock: Callable[[], Any], told: str) -> None:
    """What is no clock, or shows a time that can't be reckoned with, is refused."""
    with pytest.raises(ConfigurationError, match=told):
        untyped(read_clock)(clock)


def test_error_of_a_clock_comes_through() -> None:
    """When a clock fails, its own error is raised."""

    def broken() -> datetime:
        raise LookupError("no battery")

    with pytest.raises(LookupError, match="no battery"):
        read_clock(broken)
