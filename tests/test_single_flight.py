"""One renewal of an account at a time, in a thread that no caller can stop."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import weakref
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from queue import SimpleQueue
from typing import Any, Final

import anyio
import anyio.lowlevel
import httpx
import pytest

from pipedrive_oauth_client import (
    ConfigurationError,
    GrantEndedError,
    InvalidClientError,
    InvalidResponseError,
    PipedriveAuth,
    PipedriveOAuth,
    PipedriveOAuthError,
    RateLimitedError,
    ServerError,
    StoreError,
    Token,
    TransportError,
    _renewal,
)
from pipedrive_oauth_client._renewal import result_of, start_or_join
from pipedrive_oauth_client.pytest_plugin import PipedriveSandbox
from pipedrive_oauth_client.sandbox import OTHER_USER, Fault
from pipedrive_oauth_client.stores import MemoryTokenStore
from tests.support.auths import (
    ACCOUNT,
    ME,
    OTHER_ACCOUNT,
    PATIENCE_SECONDS,
    REFRESH_PATH,
    Account,
    Gate,
    WatchedStore,
    connected,
    served,
    wait_for_callers,
)
from tests.support.driver import ASYNC_MODES, run
from tests.support.tls import UNTRUSTING

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


# --- One renewal for all who need it at the same moment, and what they get when it fails ---


THREADS: Final = 200
TASKS: Final = 1000


@pytest.fixture
def account(served_gate: tuple[PipedriveSandbox, Gate]) -> Iterator[Account]:
    """Connect an account, and let its token expire."""
    box, _gate = served_gate
    box.faults.clear()
    with connected(box) as account:
        account.expire()
        yield account


def _hold(account: Account) -> None:
    account.box.faults.add(REFRESH_PATH, Fault.latency(1))


@pytest.mark.parametrize("loop", ASYNC_MODES)
def test_a_thousand_tasks(loop: str, account: Account, gate: Gate) -> None:
    """1,000 tasks of a loop cause one refresh; none holds a thread, and the loop goes on."""
    _hold(account)
    auth = account.auth()
    ticks = threads = 0

    async def main() -> list[Token]:
        nonlocal ticks, threads
        tokens: list[Token] = []
        before = threading.active_count()

        async def ask() -> None:
            tokens.append(await auth.atoken())

        async with anyio.create_task_group() as group:
            for _ in range(TASKS):
                group.start_soon(ask)
            await gate.await_()
            for _ in range(20):
                await anyio.lowlevel.checkpoint()
                ticks += 1
            threads = threading.active_count() - before
            assert tokens == []
            gate.open()
        return tokens

    tokens = run(loop, main)
    assert ticks == 20
    assert threads <= 1
    assert tokens == [account.stored()] * TASKS
    assert account.refreshes() == 1


def test_many_threads(account: Account, gate: Gate) -> None:
    """200 threads that come while a renewal is under way get its token, with one refresh."""
    _hold(account)
    auth = account.auth()
    with ThreadPoolExecutor(THREADS) as pool:
        futures = [pool.submit(auth.token) for _ in range(THREADS)]
        gate.wait()
        gate.open()
        tokens = [future.result(PATIENCE_SECONDS) for future in futures]
    assert tokens == [account.stored()] * THREADS
    assert account.refreshes() == 1


@pytest.mark.parametrize("is_shared", [True, False], ids=["one_auth", "an_auth_each"])
def test_loops_and_threads_together(account: Account, gate: Gate, is_shared: bool) -> None:
    """Two loops of asyncio, one of trio and 20 threads share one refresh, and the token."""
    _hold(account)
    one = account.auth()
    started = threading.Barrier(23, timeout=60)

    def auth() -> PipedriveAuth:
        return one if is_shared else account.auth()

    def blocking() -> list[Token]:
        started.wait(PATIENCE_SECONDS)
        return [auth().token()]

    def looping(kind: str) -> list[Token]:
        started.wait(PATIENCE_SECONDS)
        tokens: list[Token] = []

        async def ask() -> None:
            tokens.append(await auth().atoken())

        async def main() -> None:
            async with anyio.create_task_group() as group:
                for _ in range(20):
                    group.start_soon(ask)

        run(kind, main)
        return tokens

    with ThreadPoolExecutor(23) as pool:
        loops = [pool.submit(looping, kind) for kind in ("asyncio", "asyncio", "trio")]
        futures = [*loops, *(pool.submit(blocking) for _ in range(20))]
        gate.wait()
        gate.open()
        tokens = [token for future in futures for token in future.result(PATIENCE_SECONDS)]
    assert tokens == [account.stored()] * 80
    assert account.refreshes() == 1


@pytest.mark.parametrize("loop", ASYNC_MODES)
def test_rejected_together(loop: str, account: Account) -> None:
    """100 requests that are answered with 401 together cause one refresh, and all succeed."""
    auth = account.auth()
    auth.token()
    account.revoke_access_token()
    account.box.requests.clear()

    async def main() -> list[int]:
        statuses: list[int] = []

        async def ask(client: httpx.AsyncClient) -> None:
            answer = await client.get(f"{account.box.base_url}/api/v1/users/me")
            statuses.append(answer.status_code)

        async with (
            httpx.AsyncClient(auth=auth, verify=UNTRUSTING, timeout=PATIENCE_SECONDS) as client,
            anyio.create_task_group() as group,
        ):
            for _ in range(100):
                group.start_soon(ask, client)
        return statuses

    assert run(loop, main) == [200] * 100
    assert account.refreshes() == 1


def test_accounts_do_not_wait_for_each_other() -> None:
    """Renewals of two accounts are under way at the same time."""
    both = Gate(opens_at=2)  # so that neither refresh is answered before the other has arrived
    with served(both) as box, connected(box) as ada:
        grace = ada.another(OTHER_ACCOUNT, OTHER_USER)
        ada.expire()
        box.faults.add(REFRESH_PATH, Fault.latency(1), times=2)
        with ThreadPoolExecutor(2) as pool:
            futures = [pool.submit(each.auth().token) for each in (ada, grace)]
            tokens = [future.result(PATIENCE_SECONDS) for future in futures]
        assert tokens == [ada.stored(), grace.stored()]
        assert ada.stored() != grace.stored()
        assert ada.refreshes(status=200) == 2


def test_accounts_of_one_name_in_two_stores(gate: Gate) -> None:
    """The same name in another store is another account: each gets its own token."""
    with (
        served(gate) as box,
        connected(box) as ada,
        connected(box, user=OTHER_USER, store=WatchedStore()) as grace,
    ):
        ada.expire()
        assert ada.auth().token() == ada.stored()
        assert grace.auth().token() == grace.stored() != ada.stored()
        assert ada.refreshes() == 2


FAILURES: Final[list[tuple[Fault, type[PipedriveOAuthError], int]]] = [
    (Fault.refusal("refresh_token_invalid"), GrantEndedError, 1),
    (Fault.refusal("client_invalid"), InvalidClientError, 0),
    (Fault.status(429, retry_after=7), RateLimitedError, 0),
    (Fault.status(503), ServerError, 0),
    (Fault.page(200), InvalidResponseError, 0),
    (Fault.garbage(), InvalidResponseError, 0),
    (Fault.closed(), TransportError, 1),
]


@pytest.mark.parametrize(("fault", "kind", "causes"), FAILURES, ids=lambda value: str(value)[:30])
def test_all_get_the_failure(
    account: Account, gate: Gate, fault: Fault, kind: type[PipedriveOAuthError], causes: int
) -> None:
    """When a renewal fails, all get an error of its kind, each its own; the next one succeeds."""
    account.box.faults.add(REFRESH_PATH, fault.delayed(1))
    auth = account.auth()

    errors = _errors(auth, gate, kind)
    assert {type(error) for error in errors} == {kind}
    assert len({id(error) for error in errors}) == len(errors) == 30
    assert len({str(error) for error in errors}) == 1
    assert {error.__cause__ is not None for error in errors} == {bool(causes)}
    assert len({repr(_attributes(error)) for error in errors}) == 1
    if isinstance(errors[0], TransportError):
        assert errors[0].maybe_sent
    assert account.refreshes() == 1

    if kind is GrantEndedError:
        account.box.clock.advance(timedelta(days=1))  # until then the service is not asked again
    assert auth.token() == account.stored()
    assert account.refreshes() == 2


def test_all_get_a_failure_of_the_store(account: Account, gate: Gate) -> None:
    """When the store fails, all get an error of its kind, and the next one causes no refresh."""
    _hold(account)
    account.store.at("save", StoreError("The disk is full."))
    auth = account.auth()
    errors = _errors(auth, gate, StoreError)
    assert {(type(error), str(error)) for error in errors} == {(StoreError, "The disk is full.")}
    assert len({id(error) for error in errors}) == 30
    assert auth.token() == account.stored()
    assert account.refreshes() == 1


def test_caller_s_context_is_the_renewals(mode: str, account: Account) -> None:
    """What a caller has in context variables, tracing for example, is seen by the renewal."""
    span: contextvars.ContextVar[str] = contextvars.ContextVar("span", default="none")
    seen: list[str] = []
    account.store.at("load", lambda: seen.append(span.get()))
    account.store.at("save", lambda: seen.append(span.get()), lambda: span.set("elsewhere"))
    auth = account.auth()

    async def main() -> None:
        span.set("mine")
        await auth.atoken()
        assert span.get() == "mine"

    if mode == "sync":
        contextvars.copy_context().run(lambda: (span.set("mine"), auth.token()))
    else:
        run(mode, main)
    assert seen == ["mine", "mine"]


def test_renewal_that_asks_for_itself(pipedrive_sandbox: PipedriveSandbox) -> None:
    """A renewal whose own client asks for the token is refused, and does not wait for itself."""
    box = pipedrive_sandbox
    auths: list[PipedriveAuth] = []

    def ask(request: httpx.Request) -> None:
        if auths and request.url.path == REFRESH_PATH:
            auths[0].token()

    with (
        httpx.Client(verify=UNTRUSTING, event_hooks={"request": [ask]}) as client,
        connected(box, client=client) as account,
    ):
        auths.append(account.auth())
        account.expire()
        outcome = _settled_soon(auths[0].token)
        with pytest.raises(ConfigurationError, match="must not use PipedriveAuth"):
            outcome.result(0)
        assert account.refreshes() == 0
        auths.clear()
        assert account.auth().token() == account.stored()


def test_one_client_for_api_and_renewals(account: Account) -> None:
    """A client that sends the token with each request can be the one that renews it."""
    client = account.oauth._client.get_httpx_client()
    client.auth = account.auth()
    outcome = _settled_soon(lambda: client.get(f"{account.box.base_url}{ME}").status_code)
    assert outcome.result(0) == 200
    assert account.refreshes() == 1


def test_store_that_asks_for_the_token(account: Account) -> None:
    """A store that asks for the token that it is to load is refused, too."""
    auth = account.auth()
    account.store.at("load", auth.token)
    with pytest.raises(ConfigurationError, match="must not use PipedriveAuth"):
        _settled_soon(auth.token).result(0)
    assert auth.token() == account.stored()


def test_two_flows_on_one_account(account: Account, gate: Gate) -> None:
    """Objects with flows of their own on one store and account share a refresh, too."""
    _hold(account)
    with (
        httpx.Client(verify=UNTRUSTING) as client,
        PipedriveOAuth(
            account.box.credentials,
            base_url=account.box.base_url,
            client=client,
            retry=None,
            clock=account.box.clock,
        ) as other,
        ThreadPoolExecutor(2) as pool,
    ):
        futures = [
            pool.submit(PipedriveAuth(oauth, account.store, ACCOUNT).token)
            for oauth in (account.oauth, other)
        ]
        gate.wait()
        gate.open()
        assert [each.result(PATIENCE_SECONDS) for each in futures] == [account.stored()] * 2
    assert account.refreshes() == 1


def _errors(auth: PipedriveAuth, gate: Gate, kind: type[PipedriveOAuthError]) -> list[Any]:
    """Have ten threads and twenty tasks ask, all of them before the answer comes."""
    errors: list[PipedriveOAuthError] = []

    async def caught(call: Callable[[], Awaitable[object]]) -> None:
        with pytest.raises(kind) as info:
            await call()
        errors.append(info.value)

    def blocking() -> None:
        with pytest.raises(kind) as info:
            auth.token()
        errors.append(info.value)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(caught, auth.atoken)
            await gate.await_()
            with ThreadPoolExecutor(10) as pool:
                waiting = [pool.submit(blocking) for _ in range(10)]
                wait_for_callers(threads=10, tasks=20)
                gate.open()
            assert [each.result() for each in waiting] == [None] * 10

    asyncio.run(main())
    return errors


def _attributes(error: PipedriveOAuthError) -> dict[str, object]:
    return {name: value for name, value in vars(error).items() if name != "headers"}


def _settled_soon(call: Callable[[], object]) -> Future[object]:
    """Call in a thread that may hang without holding up the tests."""
    future: Future[object] = Future()

    def work() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 - it is the outcome
            future.set_exception(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(PATIENCE_SECONDS)
    assert future.done(), "it hangs"
    return future
