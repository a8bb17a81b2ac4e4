"""`MemoryTokenStore` passes the tests that every store has to pass, and what it has of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipedrive_oauth_client.errors import ConfigurationError, StoreLockTimeoutError
from pipedrive_oauth_client.stores import MemoryTokenStore
from pipedrive_oauth_client.stores.conformance import (
    START,
    LeaseConformance,
    ListingConformance,
    TokenStoreConformance,
    a_token,
)
from tests.support.samples import ACCESS_TOKEN, REFRESH_TOKEN
from tests.support.sweep import found
from tests.support.time_limits import ended_child


class TestConformance(TokenStoreConformance, LeaseConformance, ListingConformance):
    """The shared tests; what another process would open are handles on the same memory here."""

    @pytest.fixture
    def open_store(self) -> Callable[..., MemoryTokenStore]:
        """Give handles that share what they keep, with settings of their own."""
        first = MemoryTokenStore()

        def open_again(**settings: Any) -> MemoryTokenStore:
            store = MemoryTokenStore(**settings)
            store._memory = first._memory
            return store

        return open_again


def test_two_stores_are_two() -> None:
    """Stores don't share what they keep."""
    one, other = MemoryTokenStore(), MemoryTokenStore()
    one.save("acme", a_token())
    assert other.load("acme") is None
    with one.lock("acme"), other.lock("acme"):
        pass


def test_repr_counts() -> None:
    """The `repr` says how many accounts there are, and shows nothing that is kept."""
    store = MemoryTokenStore()
    assert repr(store) == "MemoryTokenStore(<0 accounts>)"
    store.save("acme", a_token(access_token=ACCESS_TOKEN, refresh_token=REFRESH_TOKEN))
    assert repr(store) == "MemoryTokenStore(<1 accounts>)"
    assert not found(repr(vars(store)), [ACCESS_TOKEN, REFRESH_TOKEN])


def test_due_comes_in_order() -> None:
    """What expires first is given first, and what expires at the very time is not due yet."""
    store = MemoryTokenStore()
    for number in (3, 1, 2, 4):
        store.save(f"account {number}", a_token(number))
    due = list(store.due(START + timedelta(seconds=4)))
    assert due == ["account 1", "account 2", "account 3"]


def test_lists_are_of_their_moment() -> None:
    """Saving and deleting while a list is read does it no harm."""
    store = MemoryTokenStore()
    for number in range(3):
        store.save(f"account {number}", a_token(number))
    for listing in (store.accounts(), store.due(START + timedelta(days=1))):
        first = next(listing)
        store.delete(first)
        store.save("another", a_token())
        assert len(list(listing)) == 2
        store.save(first, a_token())
        store.delete("another")


def test_lease_is_over_by_the_clock() -> None:
    """A lock is lent for the length of the lease, to the moment."""
    time = [100.0]
    store = MemoryTokenStore(lease=timedelta(seconds=60))
    store._now = lambda: time[0]
    assert store._take("acme", "first", None).holder is None
    time[0] += 59.9
    assert store._take("acme", "second", None).holder == "first"
    time[0] += 0.1
    assert store._take("acme", "second", None).holder is None
    store._release("acme", "first")
    assert store._take("acme", "third", None).holder == "second"
    assert store._take("acme", "third", "second").holder is None
    store._release("acme", "third")
    assert store._take("acme", "fourth", None).holder is None


def test_waiting_takes_no_time_of_others() -> None:
    """A caller that waits sleeps, and tries again until `wait` is over."""
    store = MemoryTokenStore(wait=timedelta(seconds=10))
    time, naps = [0.0], [0.0]
    store._monotonic = lambda: time[0]

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        time[0] += seconds

    store._sleep = sleep
    store._take("acme", "another caller", None)
    with pytest.raises(StoreLockTimeoutError), store.lock("acme"):
        pass
    assert 10 <= sum(naps) <= 10.25


def test_time_without_zone_is_refused() -> None:
    """`due` can't compare a time that has no time zone, and says so."""
    with pytest.raises(ConfigurationError, match="time zone"):
        MemoryTokenStore().due(datetime(2030, 1, 1))  # noqa: DTZ001


def forked() -> None:
    """Fork while a thread has the guard and the lock, and use the store in the child."""
    store = MemoryTokenStore(wait=timedelta(seconds=5))
    store.save("acme", a_token(1))
    store._take("acme", "a thread of the parent", None)
    store._memory.guard.acquire()
    child = os.fork()
    if child:
        status = ended_child(child)
        store._memory.guard.release()
        assert store._take("acme", "another", None).holder == "a thread of the parent"
        print(os.waitstatus_to_exitcode(status), store.load("acme") == a_token(1))  # noqa: T201
        return
    with store.lock("acme"):
        assert store.load("acme") == a_token(1)
        store.save("acme", a_token(2))
    os._exit(7 if store.load("acme") == a_token(2) else 1)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork.")
def test_forked_child_has_a_copy() -> None:
    """A child waits for no thread of its parent's, and what it saves is its own."""
    done = subprocess.run(
        [sys.executable, "-c", "from tests.stores.test_memory import forked; forked()"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
    )
    assert (done.stdout, done.stderr) == ("7 True\n", "")
