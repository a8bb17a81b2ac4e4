"""A pace is kept by all threads together, a pause holds all of them back, and a stop lets go."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipedrive_oauth_client.fleet import RateLimiter
from tests.support.fake_time import FakeTime

PATIENCE_SECONDS = 20


def paced(time: FakeTime, seconds_between: float) -> RateLimiter:
    """Make a pace that is kept in this time."""
    return RateLimiter(seconds_between, time.monotonic, time.sleep)


def test_the_first_does_not_wait() -> None:
    """There is nobody to keep a distance from."""
    time = FakeTime()
    paced(time, 0.5).wait()
    assert time.waits == []


def test_each_further_one_keeps_its_distance() -> None:
    """Ten in a row are let through one after the other."""
    time = FakeTime()
    pace = paced(time, 0.5)
    for _ in range(10):
        pace.wait()
    assert time.waits == [0.5] * 9


def test_time_that_has_passed_is_not_waited_for_again() -> None:
    """Nor is it saved up: after a lull the distance is kept as before."""
    time = FakeTime()
    pace = paced(time, 0.5)
    pace.wait()
    time.move(0.25)
    pace.wait()
    time.move(60)
    pace.wait()
    pace.wait()
    assert time.waits == [0.25, 0.5]


def test_no_distance_is_no_wait() -> None:
    """Zero stands for no limit."""
    time = FakeTime()
    pace = paced(time, 0)
    for _ in range(100):
        pace.wait()
    assert time.waits == []


@given(st.lists(st.floats(0, 3600), max_size=5))
def test_a_pause_is_as_long_as_the_longest_asked_for(pauses: list[float]) -> None:
    """A shorter one that comes later does not cut it short."""
    time = FakeTime()
    pace = paced(time, 0)
    for seconds in pauses:
        pace.pause(seconds)
    pace.wait()
    assert sum(time.waits) == pytest.approx(max(pauses, default=0), abs=1e-5)


def test_after_a_pause_the_distance_is_kept() -> None:
    """Those who waited do not come all at once."""
    time = FakeTime()
    pace = paced(time, 0.5)
    pace.pause(0.75)
    for _ in range(3):
        pace.wait()
    assert time.waits == [0.75, 0.5, 0.5]


def test_a_long_wait_is_made_of_short_ones() -> None:
    """So that a stop is heard within a second."""
    time = FakeTime()
    pace = paced(time, 0)
    pace.pause(600)
    pace.wait()
    assert sum(time.waits) == pytest.approx(600)
    assert max(time.waits) <= 1


def test_a_pause_holds_back_who_has_a_turn_already() -> None:
    """Who waited for a turn when the pause began goes after the pause, and not into it."""
    time = FakeTime()

    def sleep(seconds: float) -> None:
        if not time.waits:
            pace.pause(100)
        time.sleep(seconds)

    pace = RateLimiter(0.5, time.monotonic, sleep)
    started = time.monotonic()
    pace.wait()
    pace.wait()
    assert time.monotonic() - started == pytest.approx(100)


def test_a_stop_ends_the_waits() -> None:
    """Who waits is let go after the piece at hand, and nobody waits any more."""
    time = FakeTime()

    def sleep(seconds: float) -> None:
        time.sleep(seconds)
        if len(time.waits) == 3:
            pace.stop()

    pace = RateLimiter(1, time.monotonic, sleep)
    pace.pause(3600)
    pace.wait()
    pace.wait()
    assert time.waits == [1, 1, 1]


def test_threads_keep_one_pace() -> None:
    """Eight threads have a distance between any two of their turns, whoever comes first."""
    waits: list[float] = []
    pace = RateLimiter(
        0.125, lambda: 1000.0, waits.append
    )  # a clock that stands: each waits for its turn
    threads = [threading.Thread(target=pace.wait) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert sorted(waits) == [0.125 * turn for turn in range(1, 8)]
