"""How long renewals that do not help are left alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipedrive_oauth_client.token_source import _RefreshCooldown

NOW: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE: Final = timedelta(minutes=1)


def test_there_is_no_rest_before_it_is_begun() -> None:
    """A new one lets the first renewal through."""
    assert not _RefreshCooldown().active(NOW)


@given(st.timedeltas(timedelta(days=-400), timedelta(days=400)))
def test_a_rest_lasts_a_minute(later: timedelta) -> None:
    """It is on from its beginning until a minute is over; a clock put back ends it."""
    rest = _RefreshCooldown()
    rest.start(NOW)
    assert rest.active(NOW + later) == (timedelta(0) <= later < MINUTE)


@pytest.mark.parametrize("first", [timedelta(0), timedelta(seconds=30), timedelta(hours=3)])
def test_a_rest_that_is_begun_again_lasts_from_then(first: timedelta) -> None:
    """What counts is the last renewal that was in vain."""
    rest = _RefreshCooldown()
    rest.start(NOW)
    rest.start(NOW + first)
    assert rest.active(NOW + first + MINUTE - timedelta.resolution)
    assert not rest.active(NOW + first + MINUTE)


def test_another_time_zone_makes_no_difference() -> None:
    """A moment is a moment."""
    rest = _RefreshCooldown()
    rest.start(NOW)
    assert rest.active(NOW.astimezone())
