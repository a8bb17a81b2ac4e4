from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.sandbox import Clock, create_app
from tests.sandbox.support import Wire


def test_clock_stands_still_until_it_is_moved() -> None:
    """A clock shows the same time until it is advanced, and tells the new time."""
    clock = Clock(datetime(2026, 5, 1, tzinfo=UTC))
    assert clock() == clock.now() == datetime(2026, 5, 1, tzinfo=UTC)
    assert clock.advance(timedelta(hours=1)) == datetime(2026, 5, 1, 1, tzinfo=UTC)
    assert clock() == clock.now() == datetime(2026, 5, 1, 1, tzinfo=UTC)
    assert repr(clock) == "<Clock at 2026-05-01T01:00:00+00:00>"


def test_clock_is_a_sandbox_clock() -> None:
    """A sandbox takes the clock and sees it move."""
    clock = Clock()
    wire = Wire(create_app(clock=clock))
    tokens = wire.tokens()
    clock.advance(timedelta(minutes=59))
    assert wire.me(tokens["access_token"]).status_code == 200
    clock.advance(timedelta(minutes=1))
    assert wire.me(tokens["access_token"]).status_code == 401


@pytest.mark.parametrize(
    "start",
    [
        datetime(2026, 1, 1),  # noqa: DTZ001
        datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=2))),
    ],
)
def test_other_starts_are_refused(start: datetime) -> None:
    """A clock shows aware UTC datetimes alone."""
    with pytest.raises(ConfigurationError, match=r"^start must be"):
        Clock(start)


def test_clock_does_not_go_back() -> None:
    """A negative span is refused, and the clock stays where it is."""
    clock = Clock()
    before = clock.now()
    with pytest.raises(ConfigurationError, match="moves on"):
        clock.advance(timedelta(seconds=-1))
    assert clock.now() == before
