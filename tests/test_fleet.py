"""Which accounts are due, how fast they are refreshed, and what a run reports."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final

import attrs
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipedrive_oauth_client import (
    AsyncPipedriveOAuth,
    ConfigurationError,
    CorruptTokenError,
    GrantEndedError,
    PipedriveOAuth,
    StoreError,
    StoreLockTimeoutError,
    Token,
    TokenNotFoundError,
)
from pipedrive_oauth_client.fleet import FleetProgress, FleetReport, RateLimiter, due, refresh_due
from pipedrive_oauth_client.stores import FileTokenStore, MemoryTokenStore, TokenStore
from tests.support.costs import counting_server
from tests.support.fake_time import FakeTime
from tests.support.fleets import (
    NOW,
    OLD,
    OLD_ACCESS_TOKEN,
    OLD_REFRESH_TOKEN,
    LazyStore,
    ListedStore,
    answered,
    fleet,
    renewed,
)
from tests.support.flows import CLIENT_SECRET, CREDENTIALS
from tests.support.samples import ACCESS_TOKEN, REFRESH_TOKEN
from tests.support.sweep import found, visible
from tests.support.untyped import untyped

NOTHING: Final = FleetReport(0, 0, {})
PATIENCE_SECONDS: Final = 60


def test_each_account_is_renewed_once() -> None:
    """All stored tokens are new, and work; later runs find nothing due and send nothing."""
    with fleet(25, MemoryTokenStore()) as many:
        before = {name: many.store.load(name) for name in many.names}
        report = refresh_due(many.oauth, many.store, many.before, per_second=None)
        assert report == FleetReport(25, 0, {})
        assert many.renewals() == many.renewals(status=200) == 25
        with httpx.Client(base_url=many.server.base_url) as api:
            for name in many.names:
                token = many.store.load(name)
                assert token is not None
                assert token != before[name]
                headers = {"Authorization": f"Bearer {token.access_token}"}
                assert api.get("/api/v1/users/me", headers=headers).is_success
        for _ in range(2):
            assert refresh_due(many.oauth, many.store, many.before) == NOTHING
        assert many.renewals() == 25


def test_each_worker_keeps_its_connection() -> None:
    """However many there are, no more connections are opened than there are workers."""
    store = MemoryTokenStore()
    for number in range(300):
        store.save(f"account {number}", OLD)
    with counting_server() as (url, connections):
        with PipedriveOAuth(CREDENTIALS, base_url=url) as oauth:
            report = refresh_due(oauth, store, NOW, per_second=None, concurrency=40)
        assert (report.renewed, report.errors) == (300, {})
        assert len(connections) <= 40


def test_only_what_is_due_is_renewed() -> None:
    """Accounts that somebody has used meanwhile are left alone."""
    with fleet(10, MemoryTokenStore()) as many:
        for name in many.names[:4]:
            token = many.store.load(name)
            assert token is not None
            many.store.save(name, many.oauth.refresh(token))
        report = refresh_due(many.oauth, many.store, many.before, per_second=None)
        assert report == FleetReport(6, 0, {})
        assert many.renewals() == 10


def same_object(_folder: Path) -> tuple[TokenStore, TokenStore]:
    """Give one store twice."""
    store = MemoryTokenStore()
    return store, store


def same_memory(_folder: Path) -> tuple[TokenStore, TokenStore]:
    """Give two stores that share what they keep, as those of two processes do."""
    one, other = MemoryTokenStore(), MemoryTokenStore()
    other._memory = one._memory
    return one, other


def same_files(folder: Path) -> tuple[TokenStore, TokenStore]:
    """Give two stores in one folder."""
    return FileTokenStore(folder), FileTokenStore(folder)


@pytest.mark.parametrize("pair", [same_object, same_memory, same_files])
def test_two_runs_at_once_renew_each_account_once(
    pair: Callable[[Path], tuple[TokenStore, TokenStore]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What one has renewed the other counts as done, and nobody counts it twice."""
    one, other = pair(tmp_path / "tokens")
    together = threading.Barrier(2, timeout=PATIENCE_SECONDS)

    def listed_together(store: TokenStore, before: datetime) -> Iterator[str]:
        listed = list(due(store, before))
        together.wait()
        return iter(listed)

    def take_part(store: TokenStore) -> FleetReport:
        return refresh_due(many.oauth, store, many.before, per_second=None, concurrency=4)

    monkeypatch.setattr("pipedrive_oauth_client.fleet.due", listed_together)
    with fleet(20, one) as many, ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(take_part, (one, other)))
        assert many.renewals() == 20
    assert [report.errors for report in reports] == [{}, {}]
    assert sum(report.renewed for report in reports) == 20
    assert sum(report.already_done for report in reports) == 20


def test_what_is_no_longer_due_is_counted_and_left_alone() -> None:
    """Since the accounts were listed, one was renewed and one was deleted."""
    with answered(never) as oauth:
        store = ListedStore(iter(["fresh", "gone"]))
        assert refresh_due(oauth, store, NOW) == FleetReport(0, 2, {})


def never(_request: httpx.Request) -> httpx.Response:
    """Answer what must not be asked."""
    raise AssertionError("something was sent")


def test_a_failure_of_one_account_does_not_stop_the_others() -> None:
    """Each is told with its own error, in the report and on the way."""
    store = MemoryTokenStore(wait=timedelta(milliseconds=20))
    told: dict[str, FleetProgress] = {}

    def note(progress: FleetProgress) -> None:
        told[progress.account] = progress

    with fleet(12, store) as many:
        revoked, corrupt, without, busy, *good = many.names
        token = store.load(revoked)
        assert token is not None
        many.oauth.revoke(token, "refresh_token")
        entry = store._memory.tokens[corrupt]
        store._memory.tokens[corrupt] = entry._replace(stored=entry.stored._replace(text="{"))
        store.save(without, attrs.evolve(token, refresh_token=None))
        with store.lock(busy):
            report = refresh_due(many.oauth, store, many.before, per_second=None, progress=note)
        assert many.renewals(outcome="ok") == len(good)
        assert many.renewals() == len(good) + 1
    assert report.renewed == len(good)
    assert {name: type(error) for name, error in report.errors.items()} == {
        revoked: GrantEndedError,
        corrupt: CorruptTokenError,
        without: TokenNotFoundError,
        busy: StoreLockTimeoutError,
    }
    assert {name: each.error for name, each in told.items() if each.error} == report.errors
    assert set(told) == set(many.names)


def test_progress_is_told_one_after_the_other() -> None:
    """Never twice at the same time, and each time one more account is done."""
    told: list[FleetProgress] = []
    at_work = threading.Lock()

    def note(progress: FleetProgress) -> None:
        assert at_work.acquire(blocking=False)
        told.append(progress)
        at_work.release()

    accounts = [f"{kind}-{number}" for kind in ("old", "fresh") for number in range(40)]
    with answered(renewed) as oauth:
        store = ListedStore(iter(accounts))
        report = refresh_due(oauth, store, NOW, per_second=None, progress=note)
    assert report == FleetReport(40, 40, {})
    assert sorted(each.account for each in told) == sorted(accounts)
    sums = [each.renewed + each.already_done + each.failed for each in told]
    assert sums == list(range(1, 81))
    last = told[-1]
    assert (last.renewed, last.already_done, last.failed) == (40, 40, 0)


def test_accounts_are_not_listed_ahead() -> None:
    """Of 20,000 accounts no more are in hand than are being renewed."""
    names = (f"old-{n}" if n % 100 == 0 else f"fresh-{n}" for n in range(20_000))
    store = LazyStore(names)
    ahead: list[int] = []

    def note(progress: FleetProgress) -> None:
        ahead.append(store.listed - 100 * progress.renewed)

    with answered(renewed) as oauth:
        report = refresh_due(oauth, store, NOW, per_second=None, concurrency=4, progress=note)
    assert report == FleetReport(200, 0, {})
    assert store.listed == 20_000
    assert max(ahead) <= 400


def test_an_asynchronous_flow_will_do() -> None:
    """Its synchronous counterpart is used, and nothing of it is left open."""
    with fleet(5, MemoryTokenStore()) as many:
        oauth = AsyncPipedriveOAuth(
            many.oauth.credentials, base_url=many.server.base_url, retry=None, clock=many.clock
        )
        report = refresh_due(oauth, many.store, many.before, per_second=None)
        assert report == FleetReport(5, 0, {})
        gc.collect()  # a connection that was left open would be told here
    assert many.renewals() == 5


def test_an_asynchronous_flow_with_a_client_of_its_own_is_refused() -> None:
    """Nobody else knows that client's settings; nothing is listed or sent."""
    store = LazyStore(iter(["old"]))
    with answered(never) as oauth:
        client = httpx.AsyncClient(transport=httpx.MockTransport(never))
        flow = AsyncPipedriveOAuth(oauth.credentials, client=client, clock=lambda: NOW)
        with pytest.raises(ConfigurationError, match=r"httpx\.AsyncClient"):
            refresh_due(flow, store, NOW)
    assert store.listed == 0


REFUSED: Final[dict[str, dict[str, Any]]] = {
    "oauth": {"oauth": None},
    "store": {"store": {}},
    "no time": {"before": "2026-03-01"},
    "naive": {"before": NOW.replace(tzinfo=None)},
    "future": {"before": NOW + timedelta.resolution},
    "none at once": {"concurrency": 0},
    "too many at once": {"concurrency": 65},
    "half at once": {"concurrency": 1.5},
    "truth at once": {"concurrency": True},
    "no pace": {"per_second": 0},
    "backward": {"per_second": -1.0},
    "not a number": {"per_second": float("nan")},
    "a word": {"per_second": "10"},
    "progress": {"progress": 7},
    "sleep": {"sleep": None},
    "monotonic": {"monotonic": 1.0},
}


@pytest.mark.parametrize("change", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_right_is_refused(change: dict[str, Any]) -> None:
    """Before anything is listed, sent or stored."""
    store = LazyStore(iter(["old"]))
    with answered(never) as oauth:
        arguments: dict[str, Any] = {"oauth": oauth, "store": store, "before": NOW, **change}
        with pytest.raises(ConfigurationError, match=next(iter(change))):
            untyped(refresh_due)(**arguments)
    assert (store.listed, store.saved) == (0, {})


def test_the_present_is_no_future() -> None:
    """Everything that has expired may be renewed, in any time zone."""
    with answered(renewed) as oauth:
        store = LazyStore(iter(["old", "fresh"]))
        before = NOW.astimezone(timezone(timedelta(hours=14)))
        assert refresh_due(oauth, store, before, per_second=None) == FleetReport(1, 0, {})
    token = store.saved["old"]
    assert (token.access_token, token.refresh_token) == (ACCESS_TOKEN, REFRESH_TOKEN)


def test_the_store_is_closed_with_the_run() -> None:
    """What it reads its accounts from is not left open, whether all were read or not."""
    with answered(renewed) as oauth:
        store = LazyStore(iter(["old-1", "old-2", "old-3", "old-4"]))
        with pytest.raises(ZeroDivisionError) as caught:
            refresh_due(
                oauth, store, NOW, per_second=None, concurrency=1, progress=lambda _: 1 // 0
            )
        assert caught.value.__traceback__ is not None
        assert store.listed == 1
        assert store.is_closed


def test_no_secret_is_shown() -> None:
    """Neither in the report, nor in what is told, nor in the errors."""
    told: list[FleetProgress] = []

    def handle(request: httpx.Request) -> httpx.Response:
        if b"refuse" in request.content:
            body = {"error": "invalid_grant", "message": request.content.decode()}
            return httpx.Response(400, json=body)
        return renewed(request)

    store = LazyStore(iter(["old", "bad"]))
    refused = "refuse-" + OLD_REFRESH_TOKEN
    store.saved["bad"] = attrs.evolve(OLD, refresh_token=refused)
    with answered(handle) as oauth:
        report = refresh_due(oauth, store, NOW, per_second=None, progress=told.append)
    assert (report.renewed, set(report.errors)) == (1, {"bad"})
    secrets = (OLD_ACCESS_TOKEN, OLD_REFRESH_TOKEN, ACCESS_TOKEN, REFRESH_TOKEN, CLIENT_SECRET)
    shown = [repr(report), repr(told), *map(visible, report.errors.values())]
    assert found("\n".join(shown), secrets) == []


# --- Which accounts are due, in stores that are asked and in stores that are read through ---


NOON: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY: Final = timedelta(days=1)


def token(expires_at: datetime, *, refresh_token: str | None = "r") -> Token:
    """Make a token of a certain age."""
    return Token(
        access_token="a",
        refresh_token=refresh_token,
        api_domain="https://acme.pipedrive.com",
        expires_at=expires_at,
    )


class PlainStore:
    """A store with the five methods and nothing else, that counts what is loaded."""

    def __init__(self) -> None:
        self.tokens: dict[str, Token | Exception] = {}
        self.loaded: list[str] = []
        self.listed = 0

    def load(self, account: str) -> Token | None:
        """Give the token, or raise what is there in its place."""
        self.loaded.append(account)
        found = self.tokens.get(account)
        if isinstance(found, Exception):
            raise found
        return found

    def save(self, account: str, token: Token) -> None:
        """Keep a token."""
        self.tokens[account] = token

    def delete(self, account: str) -> None:
        """Forget a token."""
        self.tokens.pop(account, None)

    def lock(self, account: str) -> AbstractContextManager[object]:
        """Lock nothing."""
        return nullcontext(account)

    def accounts(self) -> Iterator[str]:
        """Give the accounts one by one, and count them."""
        for account in list(self.tokens):
            self.listed += 1
            yield account


class AskedStore(PlainStore):
    """One that can be asked."""

    def __init__(self, answer: list[str]) -> None:
        super().__init__()
        self.answer = answer
        self.asked: list[datetime] = []

    def due(self, before: datetime) -> list[str]:
        """Give a list, as a careless store might."""
        self.asked.append(before)
        return self.answer


def filled(store: TokenStore) -> TokenStore:
    """Put three accounts into a store: long expired, expired at this moment, and fresh."""
    for account, expires_at in (("old", NOON - DAY), ("edge", NOON), ("fresh", NOON + DAY)):
        store.save(account, token(expires_at))
    return store


@pytest.mark.parametrize("kind", [PlainStore, MemoryTokenStore])
def test_what_expires_before_the_time_is_due(kind: type[PlainStore | MemoryTokenStore]) -> None:
    """What expires at that very time is not, whether the store can be asked or not."""
    store = filled(kind())
    assert list(due(store, NOON)) == ["old"]
    assert set(due(store, NOON + timedelta.resolution)) == {"old", "edge"}
    assert list(due(store, NOON - DAY)) == []


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.integers(-3, 3)), st.integers(-3, 3))
def test_both_ways_find_the_same(ages: dict[str, int], before: int) -> None:
    """A store that is asked and one that is read through agree."""
    plain, memory = PlainStore(), MemoryTokenStore()
    for account, days in ages.items():
        plain.save(account, token(NOON + days * DAY))
        memory.save(account, token(NOON + days * DAY))
    expected = {account for account, days in ages.items() if days < before}
    assert set(due(plain, NOON + before * DAY)) == expected
    assert set(due(memory, NOON + before * DAY)) == expected


def test_a_store_that_can_be_asked_is_asked() -> None:
    """Nothing is listed or loaded, and whatever it gives can be taken one by one."""
    store = AskedStore(["a", "b"])
    filled(store)
    found = due(store, NOON)
    assert next(found) == "a"
    assert list(found) == ["b"]
    assert store.asked == [NOON]
    assert (store.listed, store.loaded) == (0, [])


def test_accounts_are_read_through_one_by_one() -> None:
    """Nothing is done before the first is asked for, and nobody reads ahead."""
    store = PlainStore()
    for number in range(100):
        store.save(str(number), token(NOON - DAY))
    found = due(store, NOON)
    assert store.listed == 0
    assert [next(found), next(found)] == ["0", "1"]
    assert store.listed == 2
    assert store.loaded == ["0", "1"]


def test_what_cannot_be_read_is_due() -> None:
    """Somebody has to look at it, and those behind it are found all the same."""
    store = filled(PlainStore())
    assert isinstance(store, PlainStore)
    store.tokens = {"broken": CorruptTokenError("It is no token."), **store.tokens}
    assert list(due(store, NOON)) == ["broken", "old"]


def test_what_was_deleted_meanwhile_is_not_due() -> None:
    """Between listing and loading an account may go."""
    store = filled(PlainStore())
    found = due(store, NOON + 2 * DAY)
    assert next(found) == "old"
    store.delete("edge")
    assert list(found) == ["fresh"]


def test_a_token_that_cannot_be_renewed_is_due_as_any_other() -> None:
    """So that somebody is told that the person has to authorize again."""
    store = PlainStore()
    store.save("once", token(NOON - DAY, refresh_token=None))
    assert list(due(store, NOON)) == ["once"]


def test_a_store_that_does_not_work_is_an_error() -> None:
    """It is not passed over."""
    store = PlainStore()
    store.tokens["a"] = StoreError("The disk is gone.")
    with pytest.raises(StoreError, match="disk is gone"):
        list(due(store, NOON))


@pytest.mark.parametrize("kind", [PlainStore, MemoryTokenStore])
@pytest.mark.parametrize(
    "before",
    [None, "2026-03-01", 1772366400, date(2026, 3, 1), NOON.replace(tzinfo=None)],
    ids=repr,
)
def test_a_time_without_a_zone_is_refused(
    kind: type[PlainStore | MemoryTokenStore], before: object
) -> None:
    """It is refused at once, and not when the first account is asked for."""
    with pytest.raises(ConfigurationError, match="before must be"):
        untyped(due)(kind(), before)


@pytest.mark.parametrize("kind", [PlainStore, MemoryTokenStore])
def test_any_zone_will_do(kind: type[PlainStore | MemoryTokenStore]) -> None:
    """What counts is the moment."""
    before = NOON.astimezone(timezone(timedelta(hours=-11)))
    assert list(due(filled(kind()), before)) == ["old"]


def test_a_store_in_files_agrees(tmp_path: Path) -> None:
    """Its accounts are found as those of any other store."""
    assert list(due(filled(FileTokenStore(tmp_path / "tokens")), NOON)) == ["old"]


# --- A pace is kept by all threads together, a pause holds all of them back, and a stop lets go ---


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
