"""How long somebody waits for a lock, and when somebody else's is over."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta

import pytest

from pipedrive_oauth_client.errors import StoreLockTimeoutError
from pipedrive_oauth_client.stores.leased import Lease, Taken, take_in_time
from tests.support.fake_time import FakeTime

LEASE, WAIT = timedelta(seconds=60), timedelta(seconds=75)


class Attempts:
    """A lock whose holder a function names, by the number of the attempt, and who asked."""

    def __init__(self, time: FakeTime, holder: Callable[[int], str | None]) -> None:
        self.time = time
        self.started = time.monotonic()
        self.holder = holder
        self.owners: list[str] = []
        self.stale: list[str | None] = []

    @property
    def passed(self) -> float:
        """How much time has passed since the beginning."""
        return self.time.monotonic() - self.started

    def take(self, owner: str, stale: str | None) -> Taken:
        """Try once."""
        self.owners.append(owner)
        self.stale.append(stale)
        holder = self.holder(len(self.owners))
        if holder is None or holder == stale:
            return Taken(version="v1")
        return Taken(holder=holder)

    def take_in_time(self, *, lease: timedelta = LEASE, wait: timedelta = WAIT) -> Lease:
        """Try until it works."""
        return take_in_time(
            self.take,
            lease=lease,
            wait=wait,
            monotonic=self.time.monotonic,
            sleep=self.time.sleep,
        )


@pytest.fixture
def time() -> FakeTime:
    """Give a clock that only waits move."""
    return FakeTime()


def test_free_lock_is_taken_at_once(time: FakeTime) -> None:
    """A lock that is free costs one attempt and no wait."""
    attempts = Attempts(time, lambda _: None)
    lease = attempts.take_in_time()
    assert (lease.version, lease.length, lease.process) == ("v1", LEASE, os.getpid())
    assert attempts.owners == [lease.owner]
    assert time.waits == []


def test_every_holder_has_a_word_of_its_own(time: FakeTime) -> None:
    """Two attempts have one owner, two locks have two, and none can be guessed from another."""
    attempts = Attempts(time, lambda number: "other" if number % 2 else None)
    attempts.take_in_time()
    attempts.take_in_time()
    first, again, second, _ = attempts.owners
    assert first == again != second
    assert len(first) == 16


def test_waits_grow_and_differ(time: FakeTime) -> None:
    """The waits between attempts grow to a quarter of a second, and no two callers keep step."""
    attempts = Attempts(time, lambda number: f"holder {number}" if number <= 40 else None)
    attempts.take_in_time()
    assert len(time.waits) == 40
    assert time.waits[0] == pytest.approx(0.00375, abs=0.00125)
    assert max(time.waits) <= 0.25
    assert min(time.waits[15:]) >= 0.125
    assert len(set(time.waits)) > 30


def test_waiting_ends(time: FakeTime) -> None:
    """Whoever has waited for `wait` gets an error, after one more attempt and hardly later."""
    attempts = Attempts(time, lambda number: f"holder {number}")
    with pytest.raises(StoreLockTimeoutError, match="Try again"):
        attempts.take_in_time(wait=timedelta(seconds=3))
    assert attempts.passed == pytest.approx(3.125, abs=0.125)
    assert len(attempts.owners) == len(time.waits) + 1


def test_lock_that_becomes_free_at_the_end_is_taken(time: FakeTime) -> None:
    """The last attempt is made after the last wait."""
    attempts = Attempts(time, lambda _: "other" if attempts.passed < 3 else None)
    attempts.take_in_time(wait=timedelta(seconds=3))
    assert attempts.passed >= 3


def test_holder_that_was_watched_for_a_lease_is_stale(time: FakeTime) -> None:
    """Where the clock of the store hangs, whoever had the lock for a whole lease has lost it."""
    attempts = Attempts(time, lambda _: "hanging")
    lease = attempts.take_in_time()
    assert 60 <= attempts.passed <= 60.6
    assert set(attempts.stale[:-1]) == {None}
    assert attempts.stale[-1] == "hanging"
    assert lease.version == "v1"


def test_next_holder_has_a_lease_of_its_own(time: FakeTime) -> None:
    """Being watched begins anew with each holder: nobody loses a lock for another's time."""
    attempts = Attempts(time, lambda _: "first" if attempts.passed < 50 else "second")
    with pytest.raises(StoreLockTimeoutError):
        attempts.take_in_time()
    assert set(attempts.stale) == {None}
    attempts = Attempts(time, lambda _: "first" if attempts.passed < 50 else "second")
    attempts.take_in_time(wait=timedelta(seconds=120))
    assert attempts.stale[-1] == "second"
    assert 110 <= attempts.passed <= 111


def test_lease_is_counted_from_the_question(time: FakeTime) -> None:
    """An answer that takes long to arrive makes a lease shorter and never longer."""

    def slow(_: int) -> None:
        time.move(20)

    lease = Attempts(time, slow).take_in_time()
    time.move(39.9)
    assert not lease.is_over()
    time.move(0.1)
    assert lease.is_over()


def test_error_of_the_store_comes_out(time: FakeTime) -> None:
    """A store that fails is not asked again."""

    def fail(_: int) -> str:
        raise ZeroDivisionError

    attempts = Attempts(time, fail)
    with pytest.raises(ZeroDivisionError):
        attempts.take_in_time()
    assert len(attempts.owners) == 1


def test_repr_is_short(time: FakeTime) -> None:
    """A lease shows how long it is, and nothing that would let another pass for its holder."""
    lease = Attempts(time, lambda _: None).take_in_time()
    assert repr(lease).startswith(f"Lease(length={LEASE!r}")
    assert lease.owner not in repr(lease)
    assert lease != Attempts(time, lambda _: None).take_in_time()
