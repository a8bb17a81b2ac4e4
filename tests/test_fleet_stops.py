"""What slows a run down, what ends it early, and that nothing is lost by it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager, nullcontext
from typing import IO, Any, Final

import httpx
import pytest

from pipedrive_oauth_client import (
    AppCredentials,
    ConfigurationError,
    InvalidClientError,
    InvalidResponseError,
    PipedriveOAuth,
    RateLimitedError,
    StoreError,
    Token,
    TransportError,
)
from pipedrive_oauth_client.fleet import FleetProgress, FleetReport, refresh_due
from pipedrive_oauth_client.stores import MemoryTokenStore
from tests.support.fake_time import FakeTime
from tests.support.fleets import (
    NOW,
    OLD_ACCESS_TOKEN,
    OLD_REFRESH_TOKEN,
    LazyStore,
    ListedStore,
    answered,
    fleet,
    renewed,
)
from tests.support.flows import CREDENTIALS
from tests.support.samples import token_body
from tests.support.sweep import found, visible
from tests.support.time_limits import killed_after
from tests.support.wire import Peer, Wire, always, answer

PATIENCE_SECONDS: Final = 60


def olds(count: int) -> Iterator[str]:
    """Name accounts that are due."""
    return (f"old-{number}" for number in range(count))


# --- The pace ---


def in_time(time: FakeTime, **settings: Any) -> dict[str, Any]:
    """Let a run of one thread wait in this time."""
    return {"sleep": time.sleep, "monotonic": time.monotonic, "concurrency": 1, **settings}


def test_so_many_are_begun_in_a_second() -> None:
    """The first at once, and the others one after the other."""
    time = FakeTime()
    with answered(renewed) as oauth:
        report = refresh_due(oauth, LazyStore(olds(9)), NOW, **in_time(time, per_second=4))
    assert report.renewed == 9
    assert time.waits == [0.25] * 8


def test_the_pace_is_ten_in_a_second_by_default() -> None:
    """An app that says nothing is no burden to the service."""
    time = FakeTime()
    with answered(renewed) as oauth:
        refresh_due(oauth, LazyStore(olds(5)), NOW, **in_time(time))
    assert time.waits == pytest.approx([0.1] * 4, abs=1e-5)


def test_there_may_be_no_limit() -> None:
    """Then nobody waits."""
    time = FakeTime()
    with answered(renewed) as oauth:
        refresh_due(oauth, LazyStore(olds(50)), NOW, **in_time(time, per_second=None))
    assert time.waits == []


@pytest.mark.parametrize(("header", "seconds"), [("7", 7), (None, 1), ("0", 1)])
def test_too_many_requests_hold_all_back(header: str | None, seconds: float) -> None:
    """For as long as the service says, or a second; the account is told, and the others follow."""
    time = FakeTime()
    moments: list[float] = []

    def handle(request: httpx.Request) -> httpx.Response:
        moments.append(time.monotonic())
        if len(moments) != 2:
            return renewed(request)
        return httpx.Response(429, headers={} if header is None else {"Retry-After": header})

    started = time.monotonic()
    with answered(handle) as oauth:
        report = refresh_due(oauth, LazyStore(olds(4)), NOW, **in_time(time, per_second=None))
    assert report.renewed == 3
    assert [type(error) for error in report.errors.values()] == [RateLimitedError]
    assert [moment - started for moment in moments] == pytest.approx([0, 0, seconds, seconds])


def test_a_pause_holds_back_threads_that_wait_for_their_turn() -> None:
    """None of those that were waiting already goes into a service that asked for a pause."""
    # A clock that stands still, and waits that last until the pause has begun: the service's first
    # answer is that pause, and each of the others has a turn of its own before it.
    slept: list[float] = []
    asked: list[int] = []
    waiting = threading.Semaphore(0)
    paused = threading.Event()
    sleeps_before_the_pause: list[int] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if not paused.is_set():
            waiting.release()
            assert paused.wait(PATIENCE_SECONDS)

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(len(slept))
        if len(asked) > 1:
            return renewed(request)
        for _ in range(3):
            assert waiting.acquire(timeout=PATIENCE_SECONDS)
        sleeps_before_the_pause.append(len(slept))
        return httpx.Response(429, headers={"Retry-After": "5"})

    def note(progress: FleetProgress) -> None:
        if isinstance(progress.error, RateLimitedError):
            paused.set()  # by now the pause has begun

    with answered(handle) as oauth:
        report = refresh_due(
            oauth,
            LazyStore(olds(4)),
            NOW,
            concurrency=4,
            per_second=4,
            progress=note,
            sleep=sleep,
            monotonic=lambda: 1000.0,
        )
    assert (report.renewed, len(report.errors)) == (3, 1)
    assert sleeps_before_the_pause == [3]
    # Each of the three waits for the five seconds on top of the turn that it had.
    assert sum(slept) == pytest.approx((0.25 + 0.5 + 0.75) + (5 + 5.25 + 5.5))


def test_no_more_than_so_many_are_renewed_at_the_same_time() -> None:
    """As the service sees it: four at once are reached, and never five."""
    under_way: set[int] = set()
    most: list[int] = []
    guard = threading.Lock()
    four = threading.Barrier(4, timeout=PATIENCE_SECONDS)

    def script(peer: Peer) -> None:
        while peer.read_request():
            with guard:
                under_way.add(id(peer))
                most.append(len(under_way))
            four.wait()
            with guard:
                under_way.discard(id(peer))
            four.wait()
            peer.send(answer(token_body()))

    with (
        Wire(script) as wire,
        PipedriveOAuth(CREDENTIALS, base_url=wire.url, retry=None, clock=lambda: NOW) as oauth,
    ):
        report = refresh_due(oauth, LazyStore(olds(24)), NOW, concurrency=4, per_second=None)
    assert report.renewed == 24
    assert len(wire.requests) == 24
    assert max(most) == 4


# --- What ends a run ---


def test_wrong_credentials_end_the_run() -> None:
    """Those under way are refused as well, the rest is not tried, and no token is lost."""
    with fleet(30, MemoryTokenStore()) as many:
        app = many.oauth.credentials
        wrong = AppCredentials(app.client_id, "wrong-secret-6a", app.redirect_uri)
        before = {name: many.store.load(name) for name in many.names}
        with (
            PipedriveOAuth(
                wrong, base_url=many.server.base_url, retry=None, clock=many.clock
            ) as oauth,
            pytest.raises(InvalidClientError) as caught,
        ):
            refresh_due(oauth, many.store, many.before, concurrency=3, per_second=None)
        assert 1 <= many.renewals() <= 3
        assert {name: many.store.load(name) for name in many.names} == before
    assert found(visible(caught.value), ["wrong-secret-6a"]) == []


class FullStore(MemoryTokenStore):
    """A store that takes nothing while it is full."""

    is_full = False

    def save(self, account: str, token: Token) -> None:
        """Keep a token, if there is room."""
        if self.is_full:
            raise StoreError("The disk is full.")
        super().save(account, token)


def test_answers_that_can_not_be_used_end_the_run() -> None:
    """Each of them may have cost a refresh token, so that the other accounts keep theirs."""
    asked: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, text="<html>a proxy's page</html>")

    with answered(handle) as oauth, pytest.raises(InvalidResponseError):
        refresh_due(oauth, LazyStore(olds(100)), NOW, concurrency=3, per_second=None)
    assert 1 <= len(asked) <= 3


@pytest.mark.parametrize(("pattern", "most"), [("x", 5), ("xxxx.", 100)])
def test_lost_answers_in_a_row_end_the_run(pattern: str, most: int) -> None:
    """Five in a row are a network that is gone; four, and then an answer, are bad luck."""
    asked: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if pattern[(len(asked) - 1) % len(pattern)] == "x":
            raise httpx.ReadTimeout("No answer came.")
        return renewed(request)

    with answered(handle) as oauth:
        ending = pytest.raises(TransportError) if most == 5 else nullcontext()
        with ending:
            refresh_due(oauth, LazyStore(olds(100)), NOW, concurrency=1, per_second=None)
    assert len(asked) == most


def test_errors_of_a_report_keep_no_frames() -> None:
    """What the variables of thousands of tracebacks hold would fill the memory."""

    def handle(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("Nobody is there.")

    with answered(handle) as oauth:
        report = refresh_due(oauth, LazyStore(olds(3)), NOW, concurrency=1, per_second=None)
    assert len(report.errors) == 3
    for error in report.errors.values():
        assert error.__traceback__ is None
        assert isinstance(error.__cause__, httpx.ConnectError)
        assert error.__cause__.__traceback__ is None


@pytest.mark.parametrize("store", [MemoryTokenStore, None, {}], ids=["class", "none", "dict"])
def test_what_is_no_store_is_refused(store: Any) -> None:
    """Before anything is listed or sent."""
    with answered(renewed) as oauth, pytest.raises(ConfigurationError, match="store"):
        refresh_due(oauth, store, NOW)


def test_a_store_that_takes_nothing_ends_the_run() -> None:
    """Else each account would lose its refresh token; those few that were renewed are kept."""
    store = FullStore()
    with fleet(30, store) as many:
        store.is_full = True
        with pytest.raises(StoreError, match="disk is full"):
            refresh_due(many.oauth, store, many.before, concurrency=3, per_second=None)
        tried = many.renewals()
        assert 1 <= tried <= 3
        store.is_full = False
        report = refresh_due(many.oauth, store, many.before, per_second=None)
        assert report == FleetReport(30 - tried, tried, {})
        assert many.renewals() == many.renewals(outcome="ok") == 30


def test_an_account_that_cannot_be_read_is_one_of_many() -> None:
    """A token that the store can't read, for whatever reason, is its account's error alone."""
    names = list(olds(6))

    class Broken(ListedStore):
        def load(self, account: str) -> Token | None:
            if account == names[3]:
                raise StoreError("Others can read the file.")
            return super().load(account)

    store = Broken(iter(names))
    with answered(renewed) as oauth:
        report = refresh_due(oauth, store, NOW, concurrency=3, per_second=None)
    assert (report.renewed, list(report.errors)) == (5, [names[3]])


def test_a_store_that_fails_while_it_lists_ends_the_run() -> None:
    """What came before is renewed and saved."""

    def failing() -> Iterator[str]:
        yield from olds(3)
        raise StoreError("The list has broken off.")

    store = LazyStore(failing())
    with answered(renewed) as oauth, pytest.raises(StoreError, match="broken off"):
        refresh_due(oauth, store, NOW, concurrency=1, per_second=None)
    assert set(store.saved) == set(olds(3))


@pytest.mark.parametrize("raised", [ValueError, KeyboardInterrupt, SystemExit, StopIteration])
def test_what_progress_raises_ends_the_run(raised: type[BaseException]) -> None:
    """The caller gets it, and what was renewed is saved."""
    sent: list[bytes] = []

    def handle(request: httpx.Request) -> httpx.Response:
        sent.append(request.content)
        return renewed(request)

    def give_up(progress: FleetProgress) -> None:
        if progress.renewed == 2:
            raise raised("enough")

    store = LazyStore(olds(1000))
    with answered(handle) as oauth, pytest.raises(raised, match="enough"):
        refresh_due(oauth, store, NOW, concurrency=3, per_second=None, progress=give_up)
    assert len(store.saved) == len(sent) <= 5


def test_what_nobody_expected_ends_the_run() -> None:
    """An error of a store that is not of this package is raised as it is, secrets and all kept."""

    class Odd(LazyStore):
        def save(self, account: str, token: Token) -> None:  # noqa: ARG002 - as every store
            raise RuntimeError("odd")

    sent: list[bytes] = []

    def handle(request: httpx.Request) -> httpx.Response:
        sent.append(request.content)
        return renewed(request)

    with answered(handle) as oauth, pytest.raises(RuntimeError, match="odd") as caught:
        refresh_due(oauth, Odd(olds(1000)), NOW, concurrency=3, per_second=None)
    assert len(sent) <= 3
    assert found(visible(caught.value), [OLD_ACCESS_TOKEN, OLD_REFRESH_TOKEN]) == []


# A program that renews forty accounts and is interrupted.
PROGRAM: Final = """
import json, signal, sys
from datetime import UTC, datetime, timedelta
from pipedrive_oauth_client import AppCredentials, PipedriveOAuth, Token
from pipedrive_oauth_client.fleet import refresh_due
from pipedrive_oauth_client.stores import MemoryTokenStore

def say(line):
    sys.stdout.write(line + "\\n")  # at one stroke: two threads do it
    sys.stdout.flush()

def interrupted(*arguments):
    say("interrupted")
    signal.default_int_handler(*arguments)

signal.signal(signal.SIGINT, interrupted)
now = datetime.now(UTC)
store = MemoryTokenStore()
for number in range(40):
    store.save(f"old-{number}", Token(
        access_token="old", refresh_token=f"old-{number}", expires_at=now - timedelta(days=50)
    ))
credentials = AppCredentials("0123456789abcdef", "secret", "https://app.example.com/callback")
with PipedriveOAuth(credentials, base_url=sys.argv[1], retry=None) as oauth:
    try:
        refresh_due(
            oauth, store, now, concurrency=int(sys.argv[2]), per_second=None,
            progress=lambda told: say(type(told.error).__name__),
        )
    except KeyboardInterrupt:
        tokens = [store.load(account) for account in store.accounts()]
        say(json.dumps([token.refresh_token for token in tokens if token.access_token != "old"]))
"""


@contextmanager
def program(wire: Wire, concurrency: int) -> Generator[subprocess.Popen[str]]:
    """Start the program, and see that it ends by itself."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, wire.url, str(concurrency)],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            with killed_after(process, PATIENCE_SECONDS):
                yield process
            assert process.wait(PATIENCE_SECONDS) == 0
        finally:
            process.kill()


def interrupt(process: subprocess.Popen[str]) -> IO[str]:
    """Press Ctrl-C, wait until it has arrived, and give what the program writes from there on."""
    assert process.stdout is not None
    process.send_signal(signal.SIGINT)
    for line in process.stdout:
        if line == "interrupted\n":
            break
    return process.stdout


@pytest.mark.parametrize("concurrency", [1, 2, 8])
def test_ctrl_c_finishes_what_is_under_way(concurrency: int) -> None:
    """Each token that the service has given is saved, and the rest is not tried."""
    asked = threading.Semaphore(0)
    go_on = threading.Event()
    given: list[str] = []
    guard = threading.Lock()

    def script(peer: Peer) -> None:
        while peer.read_request():
            asked.release()
            assert go_on.wait(PATIENCE_SECONDS)
            with guard:
                following = f"new-{len(given)}"
                given.append(following)
            peer.send(answer(token_body(refresh_token=following)))

    with Wire(script) as wire, program(wire, concurrency) as process:
        for _ in range(concurrency):
            assert asked.acquire(timeout=PATIENCE_SECONDS)
        output = interrupt(process)
        go_on.set()
        saved = json.loads(output.read().splitlines()[-1])
    assert sorted(saved) == sorted(given)
    # Or a few more, if the program is slow to notice.
    assert concurrency <= len(given) < 40


def test_ctrl_c_does_not_wait_for_a_pause_to_end() -> None:
    """A service that asks for an hour does not keep the program for an hour."""
    refused = answer(status=429, headers={"Retry-After": "3600"})
    with Wire(always(refused)) as wire, program(wire, 2) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "RateLimitedError\n"
        saved = json.loads(interrupt(process).read().splitlines()[-1])
    assert saved == []
    assert len(wire.requests) <= 2
