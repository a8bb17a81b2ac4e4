"""What `LeasedStore` makes of the steps of a store, whatever its kind."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from pipedrive_oauth_client.errors import (
    ConfigurationError,
    CorruptTokenError,
    StoreError,
    StoreLockTimeoutError,
)
from pipedrive_oauth_client.stores import (
    EncryptedTokenStore,
    FileTokenStore,
    LeasedStore,
    MemoryTokenStore,
    RedisTokenStore,
    SQLTokenStore,
)
from pipedrive_oauth_client.stores.conformance import START, a_token
from pipedrive_oauth_client.stores.leased import (
    ANY_VERSION,
    DEFAULT_LEASE,
    GRANT_ENDED_START,
    ExpectedVersion,
    Lease,
    LockAttempt,
    StoredToken,
    load_first,
    save_last,
    token_from_json,
    token_to_json,
)
from pipedrive_oauth_client.tokens import GrantEnd, Token
from tests.support.backends import redis_url, sql_url, throwaway_prefix, throwaway_table
from tests.support.fake_time import FakeTime
from tests.support.samples import ACCESS_TOKEN
from tests.support.sweep import found, visible
from tests.support.time_limits import ended_child

SECRET = a_token(access_token=ACCESS_TOKEN)


class Steps(LeasedStore):
    """A store that writes down its steps, and fails or succeeds as it is set to."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.done: list[tuple[Any, ...]] = []
        self.kept: StoredToken | None = None
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

    def _read(self, account: str) -> StoredToken | None:
        self._step("read", account)
        return self.kept

    def _write(
        self, account: str, new: StoredToken, expires_at: datetime, expected: ExpectedVersion
    ) -> bool:
        self._step("write", account, expires_at, expected)
        if self.is_written:
            self.kept = new
        return self.is_written

    def _remove(self, account: str) -> None:
        self._step("remove", account)
        self.kept = None

    def _take(self, account: str, owner: str, stale: str | None) -> LockAttempt:
        self._step("take", account, stale)
        self.owner = owner
        return LockAttempt(version=None if self.kept is None else self.kept.version)

    def _release(self, account: str, owner: str) -> None:
        self._step("release", account, owner == self.owner)

    def expected(self) -> list[Any]:
        """Give which versions the writes expected."""
        return [step[3] for step in self.done if step[0] == "write"]


@pytest.fixture
def store() -> Steps:
    """Give a store that keeps a token."""
    store = Steps()
    store.kept = StoredToken(token_to_json(a_token()), "stored")
    return store


def test_text_of_an_ended_grant_begins_with_its_mark() -> None:
    """Databases tell it by the beginning, which no other token has."""
    end = GrantEnd(at=START, error="invalid_grant", tried_at=START)
    assert token_to_json(a_token(grant_end=end)).startswith(GRANT_ENDED_START)
    assert not token_to_json(a_token()).startswith(GRANT_ENDED_START)


def test_store_of_five_steps_has_an_overview(store: Steps) -> None:
    """A subclass that lists its accounts need do no more; damaged content is told apart."""
    end = GrantEnd(at=START, error="invalid_grant", tried_at=START)
    store.accounts = lambda: iter(["acme"])  # type: ignore[method-assign]
    assert list(store.overview()) == [("acme", START, False, False)]
    assert list(store.ended()) == []
    store.kept = StoredToken(token_to_json(a_token(grant_end=end)), "stored")
    assert list(store.overview()) == [("acme", START, True, False)]
    assert list(store.ended()) == ["acme"]
    store.kept = StoredToken("damage", "stored")
    assert list(store.overview()) == [("acme", None, False, True)]
    store.kept = None
    assert list(store.overview()) == []


KINDS = ("memory", "file", "sqlite", "postgresql", "mariadb", "redis", "encrypted")


@pytest.fixture(params=KINDS)
def open_kind(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Generator[Callable[..., LeasedStore | EncryptedTokenStore]]:
    """Give what opens one more store of a kind on the same tokens."""
    kind = str(request.param)
    with ExitStack() as closing:
        if kind in {"memory", "encrypted"}:
            first = MemoryTokenStore()
            key = Fernet.generate_key()

            def in_memory(**settings: Any) -> LeasedStore | EncryptedTokenStore:
                store = MemoryTokenStore(**settings)
                store._memory = first._memory
                return store if kind == "memory" else EncryptedTokenStore(store, key)

            yield in_memory
        elif kind == "file":
            yield lambda **settings: FileTokenStore(tmp_path / "tokens", **settings)
        elif kind == "redis":
            prefix = closing.enter_context(throwaway_prefix(redis_url()))
            yield lambda **settings: closing.enter_context(
                RedisTokenStore(redis_url(), prefix=prefix, **settings)
            )
        else:
            url = sql_url(kind, tmp_path)
            table = closing.enter_context(throwaway_table(url))
            yield lambda **settings: closing.enter_context(
                SQLTokenStore(url, table=table, **settings)
            )


def is_free(store: LeasedStore | EncryptedTokenStore) -> bool:
    """Tell whether the lock can be taken at once."""
    try:
        with store.lock("acme"):
            return True
    except StoreLockTimeoutError:
        return False


SOON = timedelta(milliseconds=50)
LONG = timedelta(minutes=1)


def test_last_save_releases_the_lock(open_kind: Callable[..., Any]) -> None:
    """The next caller gets the lock and the token, while the first one is still in its block."""
    first, second = open_kind(lease=LONG), open_kind(lease=LONG, wait=SOON)
    first.save("acme", a_token(1))
    with first.lock("acme") as lease:
        assert load_first(first, "acme", lease) == a_token(1)
        assert not is_free(second)
        save_last(first, "acme", a_token(2))
        with second.lock("acme") as other:
            assert load_first(second, "acme", other) == a_token(2)
            save_last(second, "acme", a_token(3))
    assert first.load("acme") == a_token(3)
    assert is_free(second)


def test_last_save_of_a_late_holder_keeps_the_next_ones_lock(open_kind: Callable[..., Any]) -> None:
    """It stores the token if it overwrites nothing, and releases no lock but its own."""
    late, third = open_kind(lease=SOON, wait=LONG), open_kind(lease=LONG, wait=SOON)
    late.save("acme", a_token(1))
    with late.lock("acme"):
        with open_kind(lease=LONG, wait=LONG).lock("acme"):
            save_last(late, "acme", a_token(2))
            assert not is_free(third)
        assert third.load("acme") == a_token(2)
    assert is_free(third)


def test_last_save_that_is_rejected_keeps_the_lock(open_kind: Callable[..., Any]) -> None:
    """Where another caller has saved a token since, the holder goes on, and releases at the end."""
    holder, third = open_kind(lease=LONG), open_kind(lease=LONG, wait=SOON)
    holder.save("acme", a_token(1))
    with holder.lock("acme") as lease:
        open_kind().save("acme", a_token(2))
        assert load_first(holder, "acme", lease) in (a_token(1), a_token(2))
        if holder.load("acme") == a_token(2):
            open_kind().save("acme", a_token(3))
        with pytest.raises(StoreLockTimeoutError):
            save_last(holder, "acme", a_token(4))
        assert not is_free(third)
        assert holder.load("acme") == a_token(3)
        save_last(holder, "acme", a_token(5))
        assert is_free(third)
    assert third.load("acme") == a_token(5)


def test_what_the_lock_has_read_is_used_once(open_kind: Callable[..., Any]) -> None:
    """Each later load reads the store, and so does the first one of an account without a token."""
    holder = open_kind(lease=LONG)
    with holder.lock("acme") as lease:
        assert load_first(holder, "acme", lease) is None
        save_last(holder, "acme", a_token(1))
    with holder.lock("acme") as lease:
        assert load_first(holder, "acme", lease) == a_token(1)
        open_kind().save("acme", a_token(2))
        assert load_first(holder, "acme", lease) == a_token(2)
        holder.save("acme", a_token(3))


def test_methods_of_a_subclass_are_called() -> None:
    """A store that changes what `load` and `save` do is not passed over."""
    called: list[str] = []

    class Watched(MemoryTokenStore):
        def load(self, account: str) -> Token | None:
            called.append("load")
            return super().load(account)

        def save(self, account: str, token: Token) -> None:
            called.append("save")
            super().save(account, token)

    class Sealed(EncryptedTokenStore):
        def load(self, account: str) -> Token | None:
            called.append("load")
            return super().load(account)

        def save(self, account: str, token: Token) -> None:
            called.append("save")
            super().save(account, token)

    for store in (Watched(), Sealed(MemoryTokenStore(), Fernet.generate_key())):
        with store.lock("acme") as lease:
            save_last(store, "acme", a_token(1))
            assert load_first(store, "acme", lease) == a_token(1)
        assert called == ["save", "load"]
        called.clear()


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
        assert token_from_json(store.kept.text, "acme") == a_token(number)
        versions.add(store.kept.version)
    assert store.expected() == [ANY_VERSION] * 3
    assert len(versions) == 3
    assert store.done[1] == ("write", "acme", a_token(1).expires_at, ANY_VERSION)


def test_save_under_the_lock_expects_what_was_there(store: Steps) -> None:
    """It expects the version of the time of the lock, or else of the last load, save or delete."""
    with store.lock("acme"):
        store.save("acme", a_token(1))
        assert store.kept is not None
        saved = store.kept.version
        store.save("acme", a_token(2))
        store.kept = StoredToken(token_to_json(a_token(3)), "another caller's")
        store.load("acme")
        store.save("acme", a_token(4))
        store.delete("acme")
        store.save("acme", a_token(5))
        store.kept = None
        store.load("acme")
        store.save("acme", a_token(6))
    assert store.expected() == ["stored", saved, "another caller's", None, None]


def test_lock_ends_with_its_block(store: Steps) -> None:
    """Afterwards saves are free again, and its owner has released the lock, once."""
    with store.lock("acme") as lease:
        assert isinstance(lease, Lease)
        assert lease.length == DEFAULT_LEASE
    store.save("acme", a_token(1))
    assert [step[0] for step in store.done] == ["take", "release", "write"]
    assert store.done[0] == ("take", "acme", None)
    assert store.done[1] == ("release", "acme", True)
    assert store.expected() == [ANY_VERSION]


def test_lock_is_for_one_account(store: Steps) -> None:
    """A save for another account is one without the lock; several locks can be held."""
    with store.lock("acme"):
        store.save("umbrella", a_token(1))
        with store.lock("umbrella"):
            store.load("umbrella")
            store.save("acme", a_token(2))
            store.save("umbrella", a_token(3))
    writes = [step[1::2] for step in store.done if step[0] == "write"]
    assert writes[0] == ("umbrella", ANY_VERSION)
    assert writes[1] == ("acme", "stored")
    assert writes[2][1] is not ANY_VERSION


def test_lock_is_for_one_thread(store: Steps) -> None:
    """What another thread saves with the same store is a save without the lock."""
    with store.lock("acme"):
        thread = threading.Thread(target=store.save, args=("acme", a_token(1)))
        thread.start()
        thread.join(20)
        assert not thread.is_alive()
        store.save("acme", a_token(2))
    assert store.expected() == [ANY_VERSION, "stored"]


def test_lock_is_not_taken_twice(store: Steps) -> None:
    """A second lock in the same thread is rejected without calling the store; the first stays."""
    with store.lock("acme"):
        with pytest.raises(ConfigurationError, match="already"), store.lock("acme"):
            pass
        store.save("acme", a_token(1))
    assert [step[0] for step in store.done] == ["take", "write", "release"]
    assert store.expected() == ["stored"]


def test_lock_that_fails_leaves_no_trace(store: Steps) -> None:
    """After a lock that failed, saves are free, and the next attempt is made."""
    store.fails["take"] = StoreError("gone")
    with pytest.raises(StoreError, match="gone"), store.lock("acme"):
        pass
    store.fails.clear()
    store.save("acme", a_token(1))
    with store.lock("acme"):
        pass
    assert [step[0] for step in store.done] == ["take", "write", "take", "release"]
    assert store.expected() == [ANY_VERSION]


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
def test_lock_is_released_after_an_error(store: Steps, error: type[BaseException]) -> None:
    """Whatever the block raises, the lock is released."""
    with pytest.raises(error), store.lock("acme"):
        raise error
    assert store.done[-1] == ("release", "acme", True)
    assert store._held.by_account == {}


@pytest.mark.parametrize("is_failing", [False, True])
def test_lock_that_cannot_be_released(
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
    assert "expires with its lease: gone" in caplog.text
    assert store._held.by_account == {}


def test_damage_is_no_obstacle(store: Steps) -> None:
    """What can't be read is an error that shows nothing of it; a save under the lock is good."""
    store.kept = StoredToken(f'{{"access_token": "{ACCESS_TOKEN}"}}', "damaged")
    with store.lock("acme"):
        with pytest.raises(CorruptTokenError) as info:
            store.load("acme")
        store.save("acme", a_token(1))
    assert store.expected() == ["damaged"]
    assert not found(visible(info.value), [ACCESS_TOKEN])


def test_what_is_kept_is_hidden() -> None:
    """The `repr` of what a store handles shows no token."""
    assert repr(StoredToken(token_to_json(a_token()), "v1")) == "StoredToken(version='v1')"


@pytest.mark.parametrize("text", ["", "[", "planted", b"\xffplanted", "[" * 100_000, "5", "null"])
def test_text_that_is_no_token(text: str | bytes) -> None:
    """A stored text that is no token is an error of one kind, and nothing of it is repeated."""
    with pytest.raises(CorruptTokenError, match="stored token") as info:
        token_from_json(text, "acme")
    assert not found(visible(info.value), ["planted"])


def test_token_becomes_one_line() -> None:
    """The text of a token is plain ASCII on one line, whatever is in it, and reads back."""
    token = a_token(scope="\u00e4 \U0001f980\n")
    assert token_to_json(token).isascii()
    assert "\n" not in token_to_json(token)
    text = token_to_json(token)
    assert token_from_json(text, "acme") == token_from_json(text.encode(), "acme") == token


@pytest.mark.parametrize("name", ["lease", "wait"])
def test_times_of_more_than_a_day_are_refused(name: str) -> None:
    """No renewal takes that long, and databases can't calculate with any time."""
    with pytest.raises(ConfigurationError, match=name):
        Steps(**{name: timedelta(days=1, seconds=1)})
    Steps(**{name: timedelta(days=1)})


LEASE, WAIT = timedelta(seconds=60), timedelta(seconds=75)


class Attempts(Steps):
    """A store whose lock's holder a function names, by the number of the attempt."""

    def __init__(
        self,
        time: FakeTime,
        holder: Callable[[int], str | None],
        *,
        lease: timedelta = LEASE,
        wait: timedelta = WAIT,
    ) -> None:
        super().__init__(lease=lease, wait=wait)
        self.time = time
        self.started = time.monotonic()
        self.holder = holder
        self.owners: list[str] = []
        self.stale: list[str | None] = []
        self._monotonic = time.monotonic
        self._sleep = time.sleep

    @property
    def passed(self) -> float:
        """How much time has passed since the beginning."""
        return self.time.monotonic() - self.started

    def _take(self, account: str, owner: str, stale: str | None) -> LockAttempt:
        del account
        self.owners.append(owner)
        self.owner = owner
        self.stale.append(stale)
        holder = self.holder(len(self.owners))
        if holder is None or holder == stale:
            return LockAttempt(version="v1")
        return LockAttempt(holder=holder)

    def take(self) -> Lease:
        """Take the lock, and release it; give the lease."""
        with self.lock("acme") as lease:
            return lease


@pytest.fixture
def time() -> FakeTime:
    """Give a clock that only waits move."""
    return FakeTime()


def test_free_lock_is_taken_at_once(time: FakeTime) -> None:
    """A lock that is free costs one attempt and no wait."""
    attempts = Attempts(time, lambda _: None)
    lease = attempts.take()
    assert (lease.version, lease.length) == ("v1", LEASE)
    assert attempts.owners == [lease.owner]
    assert time.waits == []


def test_every_holder_has_a_word_of_its_own(time: FakeTime) -> None:
    """Two attempts have one owner, two locks have two, and none can be guessed from another."""
    attempts = Attempts(time, lambda number: "other" if number % 2 else None)
    attempts.take()
    attempts.take()
    first, again, second, _ = attempts.owners
    assert first == again != second
    assert len(first) == 16


def test_waits_grow_and_differ(time: FakeTime) -> None:
    """The waits between attempts grow to a quarter of a second, and no two callers keep step."""
    attempts = Attempts(time, lambda number: f"holder {number}" if number <= 40 else None)
    attempts.take()
    assert len(time.waits) == 40
    assert time.waits[0] == pytest.approx(0.00375, abs=0.00125)
    assert max(time.waits) <= 0.25
    assert min(time.waits[15:]) >= 0.125
    assert len(set(time.waits)) > 30


def test_waiting_ends(time: FakeTime) -> None:
    """A caller that waited for `wait` gets an error, after one more attempt and hardly later."""
    attempts = Attempts(time, lambda number: f"holder {number}", wait=timedelta(seconds=3))
    with pytest.raises(StoreLockTimeoutError, match="Try again"):
        attempts.take()
    assert attempts.passed == pytest.approx(3.125, abs=0.125)
    assert len(attempts.owners) == len(time.waits) + 1


def test_lock_that_becomes_free_at_the_end_is_taken(time: FakeTime) -> None:
    """The last attempt is made after the last wait."""
    wait = timedelta(seconds=3)
    attempts = Attempts(time, lambda _: "other" if attempts.passed < 3 else None, wait=wait)
    attempts.take()
    assert attempts.passed >= 3


def test_holder_that_was_watched_for_a_lease_is_stale(time: FakeTime) -> None:
    """Where the clock of the store hangs, a holder loses the lock after a whole lease."""
    attempts = Attempts(time, lambda _: "hanging")
    lease = attempts.take()
    assert 60 <= attempts.passed <= 60.6
    assert set(attempts.stale[:-1]) == {None}
    assert attempts.stale[-1] == "hanging"
    assert lease.version == "v1"


def test_next_holder_has_a_lease_of_its_own(time: FakeTime) -> None:
    """Watching begins anew with each holder: none loses a lock for another's time."""
    attempts = Attempts(time, lambda _: "first" if attempts.passed < 50 else "second")
    with pytest.raises(StoreLockTimeoutError):
        attempts.take()
    assert set(attempts.stale) == {None}
    attempts = Attempts(
        time,
        lambda _: "first" if attempts.passed < 50 else "second",
        wait=timedelta(seconds=120),
    )
    attempts.take()
    assert attempts.stale[-1] == "second"
    assert 110 <= attempts.passed <= 111


def test_lease_is_counted_from_the_attempt(time: FakeTime) -> None:
    """A slow response makes a lease shorter and never longer."""

    def slow(_: int) -> None:
        time.move(20)

    lease = Attempts(time, slow).take()
    time.move(39.9)
    assert not lease.is_over()
    time.move(0.1)
    assert lease.is_over()


def test_error_of_the_store_comes_out(time: FakeTime) -> None:
    """A store that fails is not called again."""

    def fail(_: int) -> str:
        raise ZeroDivisionError

    attempts = Attempts(time, fail)
    with pytest.raises(ZeroDivisionError):
        attempts.take()
    assert len(attempts.owners) == 1


def test_repr_is_short(time: FakeTime) -> None:
    """A lease shows how long it is, and nothing that would let another pass for its holder."""
    lease = Attempts(time, lambda _: None).take()
    assert repr(lease).startswith(f"Lease(length={LEASE!r}")
    assert lease.owner not in repr(lease)
    assert lease != Attempts(time, lambda _: None).take()


def forked_inside(folder: str) -> None:
    """Fork inside of a lock's block; the child saves, leaves nothing, and locks in its turn."""
    store = FileTokenStore(folder, wait=timedelta(seconds=20))
    store.save("acme", a_token(1))
    with store.lock("acme"):
        assert store.load("acme") == a_token(1)
        child = os.fork()
        if child == 0:
            store.save("acme", a_token(2))  # without a lock, so that it replaces whatever is there
            with store.lock("acme"):  # as soon as the parent releases it
                store.save("acme", a_token(3))
            os._exit(7)
    status = ended_child(child)
    print(os.waitstatus_to_exitcode(status), store.load("acme") == a_token(3))  # noqa: T201


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork.")
def test_child_has_no_lock_of_its_parents(tmp_path: Path) -> None:
    """A child that never leaves its parent's block can save, and waits for the lock as others."""
    call = (
        "from tests.stores.test_leased import forked_inside;"
        f"forked_inside({str(tmp_path / 'tokens')!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", call],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
    )
    assert (done.stdout, done.stderr) == ("7 True\n", "")
