"""A run renews each account that is due once, and tells what became of each."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final

import attrs
import httpx
import pytest

from pipedrive_oauth_client import (
    AsyncPipedriveOAuth,
    ConfigurationError,
    CorruptTokenError,
    InvalidGrantError,
    StoreLockTimeoutError,
    TokenNotFoundError,
)
from pipedrive_oauth_client.fleet import FleetProgress, FleetReport, due, refresh_due
from pipedrive_oauth_client.stores import FileTokenStore, MemoryTokenStore, TokenStore
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
from tests.support.flows import CLIENT_SECRET
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
        revoked: InvalidGrantError,
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
