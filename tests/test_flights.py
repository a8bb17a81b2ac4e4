"""One piece of work at a time for a store and account, in a thread that nobody can stop."""

from __future__ import annotations

import contextvars
import gc
import threading
import weakref
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from queue import SimpleQueue
from typing import Final

import pytest

from pipedrive_oauth_client import ConfigurationError, ServerError, Token, TransportError, _renewal
from pipedrive_oauth_client._renewal import result_of, start_or_join
from pipedrive_oauth_client.stores import MemoryTokenStore
from tests.support.auths import PATIENCE_SECONDS

TOKEN: Final = Token(access_token="a", expires_at=datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def store() -> MemoryTokenStore:
    """Give a store that is known to nobody."""
    return MemoryTokenStore()


def test_work_is_done_elsewhere(store: MemoryTokenStore) -> None:
    """The work is done in a thread of its own that the interpreter waits for at its end."""
    threads: list[threading.Thread] = []

    def work() -> Token:
        threads.append(threading.current_thread())
        return TOKEN

    assert result_of(start_or_join(store, "a", work)) is TOKEN
    assert threads[0] is not threading.current_thread()
    assert not threads[0].daemon
    assert threads[0].name == "pipedrive-oauth-renewal"


def test_work_is_done_here(store: MemoryTokenStore) -> None:
    """With `here` the work is done by the caller, and its result is there already."""
    threads: list[int] = []

    def work() -> Token:
        threads.append(threading.get_ident())
        return TOKEN

    future = start_or_join(store, "a", work, run_here=True)
    assert future.done()
    assert result_of(future) is TOKEN
    assert threads == [threading.get_ident()]


def test_others_join(store: MemoryTokenStore) -> None:
    """Whoever comes while the work is under way joins it; whoever comes later begins anew."""
    held, calls = threading.Event(), 0

    def work() -> Token:
        nonlocal calls
        calls += 1
        assert held.wait(PATIENCE_SECONDS)
        return TOKEN

    first = start_or_join(store, "a", work)
    assert start_or_join(store, "a", work) is first
    assert start_or_join(store, "a", work, run_here=True) is first
    held.set()
    assert result_of(first) is TOKEN
    assert calls == 1
    assert start_or_join(store, "a", work) is not first
    assert calls == 2


def test_other_accounts_and_stores_do_not_join(store: MemoryTokenStore) -> None:
    """Work of another account, or of another store, is other work."""
    held = threading.Event()

    def work() -> Token:
        assert held.wait(PATIENCE_SECONDS)
        return TOKEN

    other = MemoryTokenStore()
    futures = [
        start_or_join(store, "a", work),
        start_or_join(store, "b", work),
        start_or_join(other, "a", work),
    ]
    assert len({id(future) for future in futures}) == 3
    held.set()
    assert [result_of(future) for future in futures] == [TOKEN] * 3


def test_whoever_is_told_can_begin_anew(store: MemoryTokenStore) -> None:
    """When a failure is told, the flight is over: who tries again at once does not join it."""
    again: SimpleQueue[Future[Token]] = SimpleQueue()

    def fail() -> Token:
        raise ServerError("It is out of order.", status_code=503)

    def retry(_future: Future[Token]) -> None:
        again.put(start_or_join(store, "a", lambda: TOKEN))

    failed = threading.Event()

    def work() -> Token:
        assert failed.wait(PATIENCE_SECONDS)
        return fail()

    future = start_or_join(store, "a", work)
    future.add_done_callback(retry)
    failed.set()
    with pytest.raises(ServerError):
        result_of(future)
    assert result_of(again.get(timeout=PATIENCE_SECONDS)) is TOKEN


def test_everybody_gets_an_error_of_their_own(store: MemoryTokenStore) -> None:
    """The error that is raised is equal in kind, text, attributes and cause, and a new object."""
    cause = OSError("The cable is cut.")
    original = TransportError("No answer.", maybe_sent=True)
    original.__cause__ = cause

    def work() -> Token:
        raise original

    future = start_or_join(store, "a", work)
    errors: list[TransportError] = []
    for _ in range(3):
        with pytest.raises(TransportError, match=r"No answer\.") as caught:
            result_of(future)
        errors.append(caught.value)
    assert len({id(error) for error in [original, *errors]}) == 4
    for error in errors:
        assert (error.maybe_sent, error.__cause__, str(error)) == (True, cause, "No answer.")
        entries = [entry.name for entry in pytest.ExceptionInfo.from_exception(error).traceback]
        assert entries[-1] == "work"  # it tells where it happened


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), ValueError("x")])
def test_any_error_reaches_the_callers(store: MemoryTokenStore, error: BaseException) -> None:
    """Whatever ends the work, nobody is left waiting, and the next one can begin."""

    def work() -> Token:
        raise error

    with pytest.raises(type(error)):
        result_of(start_or_join(store, "a", work))
    assert result_of(start_or_join(store, "a", lambda: TOKEN)) is TOKEN


def test_joining_oneself_is_refused(store: MemoryTokenStore) -> None:
    """Work that asks for its own result is refused in place of waiting for ever."""

    def work() -> Token:
        return start_or_join(store, "a", lambda: TOKEN).result(PATIENCE_SECONDS)

    with pytest.raises(ConfigurationError, match="must not use PipedriveAuth"):
        result_of(start_or_join(store, "a", work))
    with pytest.raises(ConfigurationError, match="must not use PipedriveAuth"):
        result_of(start_or_join(store, "a", work, run_here=True))


def test_work_may_ask_for_another_account(store: MemoryTokenStore) -> None:
    """Work may need the token of another account."""
    assert (
        result_of(
            start_or_join(store, "a", lambda: result_of(start_or_join(store, "b", lambda: TOKEN)))
        )
        is TOKEN
    )


def test_no_thread_left(store: MemoryTokenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no thread can be started, the work is done here."""

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    threads: list[int] = []

    def work() -> Token:
        threads.append(threading.get_ident())
        return TOKEN

    monkeypatch.setattr(threading.Thread, "start", refuse)
    future = start_or_join(store, "a", work)
    assert future.done()
    assert result_of(future) is TOKEN
    assert threads == [threading.get_ident()]


def test_context_of_whoever_begins(store: MemoryTokenStore) -> None:
    """The work sees the context variables of its beginner, and changes none of them."""
    where: contextvars.ContextVar[str] = contextvars.ContextVar("where", default="nowhere")
    seen: list[str] = []

    def work() -> Token:
        seen.append(where.get())
        where.set("changed")
        return TOKEN

    mark = where.set("here")
    result_of(start_or_join(store, "a", work))
    assert (seen, where.get()) == (["here"], "here")
    where.reset(mark)


def test_nothing_is_kept() -> None:
    """When the work is done, the store is let go of."""
    store = MemoryTokenStore()
    result_of(start_or_join(store, "a", lambda: TOKEN))
    for thread in threading.enumerate():
        if thread.name == "pipedrive-oauth-renewal":
            thread.join(PATIENCE_SECONDS)
    known = weakref.ref(store)
    del store
    gc.collect()
    assert known() is None
    assert _renewal._single_flight.flights == {}


def test_herd(store: MemoryTokenStore) -> None:
    """However the callers come, no two pieces of work of one account are ever under way at once."""
    guard = threading.Lock()
    calls = 0

    def work() -> Token:
        nonlocal calls
        assert guard.acquire(blocking=False), "two at once"
        calls += 1
        guard.release()
        return TOKEN

    def ask(_number: int) -> Token:
        return result_of(start_or_join(store, "a", work))

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(ask, range(400))) == [TOKEN] * 400
    assert 1 <= calls <= 400
