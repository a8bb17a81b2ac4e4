"""How long renewals that do not help are left alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipedrive_oauth_client.auth import Rest

NOW: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE: Final = timedelta(minutes=1)


def test_there_is_no_rest_before_it_is_begun() -> None:
    """A new one lets the first renewal through."""
    assert not Rest().is_on(NOW)


@given(st.timedeltas(timedelta(days=-400), timedelta(days=400)))
def test_a_rest_lasts_a_minute(later: timedelta) -> None:
    """It is on from its beginning until a minute is over; a clock put back ends it."""
    rest = Rest()
    rest.begin(NOW)
    assert rest.is_on(NOW + later) == (timedelta(0) <= later < MINUTE)


@pytest.mark.parametrize("first", [timedelta(0), timedelta(seconds=30), timedelta(hours=3)])
def test_a_rest_that_is_begun_again_lasts_from_then(first: timedelta) -> None:
    """What counts is the last renewal that was in vain."""
    rest = Rest()
    rest.begin(NOW)
    rest.begin(NOW + first)
    assert rest.is_on(NOW + first + MINUTE - timedelta.resolution)
    assert not rest.is_on(NOW + first + MINUTE)


def test_another_time_zone_makes_no_difference() -> None:
    """A moment is a moment."""
    rest = Rest()
    rest.begin(NOW)
    assert rest.is_on(NOW.astimezone())
