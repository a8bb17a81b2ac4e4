"""What `LeasedStore` makes of the steps of a store, whatever its kind."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import Any

import pytest

from pipedrive_oauth_client.errors import (
    ConfigurationError,
    CorruptTokenError,
    StoreError,
    StoreLockTimeoutError,
)
from pipedrive_oauth_client.stores import LeasedStore
from pipedrive_oauth_client.stores.conformance import a_token
from pipedrive_oauth_client.stores.leased import (
    DEFAULT_LEASE,
    AnyVersion,
    Kept,
    Lease,
    Taken,
    from_text,
    to_text,
)
from tests.support.samples import ACCESS_TOKEN
from tests.support.sweep import found, visible

SECRET = a_token(access_token=ACCESS_TOKEN)


class Steps(LeasedStore):
    """A store that writes down its steps, and does what it is told to."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.done: list[tuple[Any, ...]] = []
        self.kept: Kept | None = None
        self.fails: dict[str, Exception] = {}
        self.is_written = True

    def _step(self, *step: Any) -> None:
        self.done.append(step)
        if step[0] in self.fails:
            raise self.fails[step[0]]

    def accounts(self) -> Iterator[str]:
        """Give none."""
        return iter(())

    def due(self, before: datetime) -> Iterator[str]:
        """Give none."""
        del before
        return iter(())

    def _read(self, account: str) -> Kept | None:
        self._step("read", account)
        return self.kept

    def _write(
        self, account: str, kept: Kept, expires_at: datetime, expected: AnyVersion | str | None
    ) -> bool:
        self._step("write", account, expires_at, expected)
        if self.is_written:
            self.kept = kept
        return self.is_written

    def _remove(self, account: str) -> None:
        self._step("remove", account)
        self.kept = None

    def _take(self, account: str, owner: str, stale: str | None) -> Taken:
        self._step("take", account, stale)
        self.owner = owner
        return Taken(version=None if self.kept is None else self.kept.version)

    def _release(self, account: str, owner: str) -> None:
        self._step("release", account, owner == self.owner)

    def expected(self) -> list[Any]:
        """Give which versions the writes expected."""
        return [step[3] for step in self.done if step[0] == "write"]


@pytest.fixture
def store() -> Steps:
    """Give a store that keeps a token."""
    store = Steps()
    store.kept = Kept(to_text(a_token()), "stored")
    return store


@pytest.mark.parametrize("name", ["lease", "wait"])
@pytest.mark.parametrize(
    "value", [timedelta(0), timedelta(seconds=-1), 5, 5.0, "5", float("nan")], ids=str
)
def test_times_are_checked(name: str, value: Any) -> None:
    """A lease or a wait that is no time above zero is refused, by its name."""
    with pytest.raises(ConfigurationError, match=name):
        Steps(**{name: value})


def test_wait_is_a_little_longer_than_the_lease() -> None:
    """By default a lock is waited for until its holder's lease is over."""
    assert Steps()._lease == DEFAULT_LEASE
    assert Steps()._wait - DEFAULT_LEASE == timedelta(seconds=15)
    assert Steps(lease=timedelta(minutes=5))._wait == timedelta(minutes=5, seconds=15)
    assert Steps(wait=timedelta(seconds=1))._wait == timedelta(seconds=1)
    with pytest.raises(ConfigurationError, match="lease"):
        Steps(lease=None)


def test_save_without_the_lock_expects_nothing(store: Steps) -> None:
    """A save without the lock takes place whatever is stored, under a new version each time."""
    versions: set[str] = set()
    for number in range(3):
        store.save("acme", a_token(number))
        assert store.kept is not None
        assert from_text(store.kept.text) == a_token(number)
        versions.add(store.kept.version)
    assert store.expected() == [AnyVersion()] * 3
    assert len(versions) == 3
    assert store.done[1] == ("write", "acme", a_token(1).expires_at, AnyVersion())


def test_save_under_the_lock_expects_what_was_there(store: Steps) -> None:
    """It expects the version of the time of the lock, or else of the last load, save or delete."""
    with store.lock("acme"):
        store.save("acme", a_token(1))
        assert store.kept is not None
        saved = store.kept.version
        store.save("acme", a_token(2))
        store.kept = Kept(to_text(a_token(3)), "somebody else's")
        store.load("acme")
        store.save("acme", a_token(4))
        store.delete("acme")
        store.save("acme", a_token(5))
        store.kept = None
        store.load("acme")
        store.save("acme", a_token(6))
    assert store.expected() == ["stored", saved, "somebody else's", None, None]


def test_lock_ends_with_its_block(store: Steps) -> None:
    """Afterwards saves are free again, and the lock was given back by its owner, once."""
    with store.lock("acme") as lease:
        assert isinstance(lease, Lease)
        assert lease.length == DEFAULT_LEASE
    store.save("acme", a_token(1))
    assert [step[0] for step in store.done] == ["take", "release", "write"]
    assert store.done[0] == ("take", "acme", None)
    assert store.done[1] == ("release", "acme", True)
    assert store.expected() == [AnyVersion()]


def test_lock_is_for_one_account(store: Steps) -> None:
    """A save for another account is one without the lock; several locks can be held."""
    with store.lock("acme"):
        store.save("umbrella", a_token(1))
        with store.lock("umbrella"):
            store.load("umbrella")
            store.save("acme", a_token(2))
            store.save("umbrella", a_token(3))
    writes = [step[1::2] for step in store.done if step[0] == "write"]
    assert writes[0] == ("umbrella", AnyVersion())
    assert writes[1] == ("acme", "stored")
    assert not isinstance(writes[2][1], AnyVersion)


def test_lock_is_for_one_thread(store: Steps) -> None:
    """What another thread saves with the same store is a save without the lock."""
    with store.lock("acme"):
        thread = threading.Thread(target=store.save, args=("acme", a_token(1)))
        thread.start()
        thread.join(20)
        assert not thread.is_alive()
        store.save("acme", a_token(2))
    assert store.expected() == [AnyVersion(), "stored"]


def test_lock_is_not_taken_twice(store: Steps) -> None:
    """A second lock in the same thread is refused without asking the store; the first stays."""
    with store.lock("acme"):
        with pytest.raises(ConfigurationError, match="already"), store.lock("acme"):
            pass
        store.save("acme", a_token(1))
    assert [step[0] for step in store.done] == ["take", "write", "release"]
    assert store.expected() == ["stored"]


def test_lock_that_is_not_given_has_no_trace(store: Steps) -> None:
    """After a lock that failed, saves are free, and the next attempt is made."""
    store.fails["take"] = StoreError("gone")
    with pytest.raises(StoreError, match="gone"), store.lock("acme"):
        pass
    store.fails.clear()
    store.save("acme", a_token(1))
    with store.lock("acme"):
        pass
    assert [step[0] for step in store.done] == ["take", "write", "take", "release"]
    assert store.expected() == [AnyVersion()]


def test_refused_save(store: Steps) -> None:
    """A save that the store refuses is an error, and what the next one expects is unchanged."""
    with store.lock("acme"):
        store.is_written = False
        with pytest.raises(StoreLockTimeoutError, match="Load it again") as info:
            store.save("acme", SECRET)
        assert not found(visible(info.value), [ACCESS_TOKEN])
        store.is_written = True
        store.save("acme", a_token(1))
    assert store.expected() == ["stored", "stored"]


@pytest.mark.parametrize("step", ["write", "remove", "read"])
def test_failed_step_can_be_repeated(store: Steps, step: str) -> None:
    """After an error of the store the same is tried again under the same lock."""
    store.fails[step] = StoreError("gone")
    attempts: dict[str, Callable[[], object]] = {
        "write": lambda: store.save("acme", a_token(1)),
        "remove": lambda: store.delete("acme"),
        "read": lambda: store.load("acme"),
    }
    with store.lock("acme"):
        for _ in range(2):
            with pytest.raises(StoreError, match="gone"):
                attempts[step]()
        store.fails.clear()
        store.save("acme", a_token(2))
    assert store.expected()[-1] == "stored"
    assert store.done[-1] == ("release", "acme", True)


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, GeneratorExit])
def test_lock_is_given_back_after_an_error(store: Steps, error: type[BaseException]) -> None:
    """Whatever comes out of the block, the lock is given back."""
    with pytest.raises(error), store.lock("acme"):
        raise error
    assert store.done[-1] == ("release", "acme", True)
    assert store._leases() == {}


@pytest.mark.parametrize("is_failing", [False, True])
def test_lock_that_cannot_be_given_back(
    store: Steps, caplog: pytest.LogCaptureFixture, is_failing: bool
) -> None:
    """That is a line in the log: what was done under the lock is done, and its error counts."""
    store.fails["release"] = StoreError("gone")
    with ExitStack() as stack:
        if is_failing:
            stack.enter_context(pytest.raises(ZeroDivisionError))
        stack.enter_context(store.lock("acme"))
        store.save("acme", a_token(1))
        if is_failing:
            raise ZeroDivisionError
    assert "ends with its lease: gone" in caplog.text
    assert store._leases() == {}


def test_damage_is_no_obstacle(store: Steps) -> None:
    """What can't be read is an error that shows nothing of it; a save under the lock is good."""
    store.kept = Kept(f'{{"access_token": "{ACCESS_TOKEN}"}}', "damaged")
    with store.lock("acme"):
        with pytest.raises(CorruptTokenError) as info:
            store.load("acme")
        store.save("acme", a_token(1))
    assert store.expected() == ["damaged"]
    assert not found(visible(info.value), [ACCESS_TOKEN])


def test_what_is_kept_is_hidden() -> None:
    """The `repr` of what a store handles shows no token."""
    assert repr(Kept(to_text(a_token()), "v1")) == "Kept(version='v1')"


@pytest.mark.parametrize("text", ["", "[", "planted", b"\xffplanted", "[" * 100_000, "5", "null"])
def test_text_that_is_no_token(text: str | bytes) -> None:
    """A stored text that is no token is an error of one kind, and nothing of it is repeated."""
    with pytest.raises(CorruptTokenError, match="stored token") as info:
        from_text(text)
    assert not found(visible(info.value), ["planted"])


def test_token_becomes_one_line() -> None:
    """The text of a token is plain ASCII on one line, whatever is in it, and reads back."""
    token = a_token(scope="\u00e4 \U0001f980\n")
    assert to_text(token).isascii()
    assert "\n" not in to_text(token)
    assert from_text(to_text(token)) == from_text(to_text(token).encode()) == token


@pytest.mark.parametrize("name", ["lease", "wait"])
def test_times_of_more_than_a_day_are_refused(name: str) -> None:
    """No renewal takes that long, and databases can't reckon with any time."""
    with pytest.raises(ConfigurationError, match=name):
        Steps(**{name: timedelta(days=1, seconds=1)})
    Steps(**{name: timedelta(days=1)})
