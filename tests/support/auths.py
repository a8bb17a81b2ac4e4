"""An account connected to a sandbox, and what the tests of `PipedriveAuth` watch it with."""

from __future__ import annotations

import inspect
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent
from typing import Any, Final, TypeVar, cast

import anyio
import httpx
from attrs import evolve, field, frozen

from pipedrive_oauth_client import (
    NO_STATE,
    PipedriveAuth,
    PipedriveOAuth,
    Token,
    _renewal,
    sandbox,
    token_source,
)
from pipedrive_oauth_client.pytest_plugin import PipedriveSandbox
from pipedrive_oauth_client.sandbox import User
from pipedrive_oauth_client.stores import FileTokenStore, MemoryTokenStore, TokenStore
from tests.support.flows import play
from tests.support.tls import UNTRUSTING
from tests.support.untyped import untyped

T = TypeVar("T")

ACCOUNT: Final = "acme:ada"
OTHER_ACCOUNT: Final = "globex:grace"
ME: Final = "/api/v1/users/me"
REFRESH_PATH: Final = "/oauth/token/"
HOURS: Final = timedelta(hours=2)

# Guards against a hang; no test waits for it.
PATIENCE_SECONDS: Final = 20


class WatchedStore:
    """A store of the five methods that counts its calls, and fails where a test says so.

    Attributes:
        inner: What keeps the tokens.
        calls: How often each method was called; `release` is the end of a lock.
        offered: What was to be saved, whether it was or not.
    """

    def __init__(self, inner: TokenStore | None = None) -> None:
        self.inner: TokenStore = MemoryTokenStore() if inner is None else inner
        self.calls: Counter[str] = Counter()
        self.offered: list[Token] = []
        self._errors: dict[str, list[BaseException | Callable[[], object]]] = {}

    def at(self, name: str, *happening: BaseException | Callable[[], object]) -> None:
        """Let the next calls of a method raise an error, or do something before their work."""
        self._errors.setdefault(name, []).extend(happening)

    def load(self, account: str) -> Token | None:
        """Give the token of an account."""
        self._note("load")
        return self.inner.load(account)

    def save(self, account: str, token: Token) -> None:
        """Keep a token."""
        self.offered.append(token)
        self._note("save")
        self.inner.save(account, token)

    def delete(self, account: str) -> None:
        """Forget the token of an account."""
        self._note("delete")
        self.inner.delete(account)

    @contextmanager
    def lock(self, account: str) -> Generator[object]:
        """Hold the lock of an account."""
        self._note("lock")
        with self.inner.lock(account) as lease:
            yield lease
        self._note("release")

    def accounts(self) -> Iterator[str]:
        """Give all accounts."""
        self._note("accounts")
        return self.inner.accounts()

    def _note(self, name: str) -> None:
        self.calls[name] += 1
        waiting = self._errors.get(name)
        if not waiting:
            return
        happening = waiting.pop(0)
        if isinstance(happening, BaseException):
            raise happening
        happening()


class PlainStore:
    """The least that a user's own store is: five methods, and a lock that is no lease."""

    def __init__(self) -> None:
        self._tokens: dict[str, Token] = {}
        self._lock = threading.Lock()

    def load(self, account: str) -> Token | None:
        """Give the token of an account."""
        return self._tokens.get(account)

    def save(self, account: str, token: Token) -> None:
        """Keep a token."""
        self._tokens[account] = token

    def delete(self, account: str) -> None:
        """Forget the token of an account."""
        self._tokens.pop(account, None)

    def lock(self, account: str) -> threading.Lock:
        """Hold the one lock of all accounts."""
        del account
        return self._lock

    def accounts(self) -> Iterator[str]:
        """Give all accounts."""
        return iter(list(self._tokens))


class Gate:
    """Holds the sandbox's late answers back until a test lets them go.

    Attributes:
        arrived: Released once for each answer that is held.
    """

    def __init__(self, *, opens_at: int | None = None) -> None:
        self.arrived = threading.Semaphore(0)
        self._opens_at = opens_at
        self._held = 0
        self._open = threading.Event()

    async def sleep(self, _seconds: float) -> None:
        """Hold an answer; what the sandbox calls for `Fault.latency`."""
        self._held += 1
        self.arrived.release()
        if self._held == self._opens_at:
            self._open.set()
        with anyio.fail_after(PATIENCE_SECONDS):
            while not self._open.is_set():  # noqa: ASYNC110 - a thread opens it
                await anyio.sleep(0.002)

    def wait(self) -> None:
        """Wait until one more answer is held."""
        assert self.arrived.acquire(timeout=PATIENCE_SECONDS), "the sandbox was not asked"

    async def await_(self) -> None:
        """Wait until one more answer is held, without blocking the event loop."""
        with anyio.fail_after(PATIENCE_SECONDS):
            while not self.arrived.acquire(blocking=False):  # noqa: ASYNC110 - of a thread
                await anyio.sleep(0.002)

    def open(self) -> None:
        """Let all answers go."""
        self._open.set()

    def close(self) -> None:
        """Begin anew, when nothing is held any more."""
        self._open.clear()
        self._held = 0
        while self.arrived.acquire(blocking=False):
            pass


@frozen
class Account:
    """An account whose token is stored, in a sandbox that rotates refresh tokens.

    Attributes:
        box: The sandbox; its clock stands still.
        oauth: The flow that renews, with the clock of the sandbox.
        store: Where the token is kept.
        token: The first token.
        name: The account.
    """

    box: PipedriveSandbox
    oauth: PipedriveOAuth
    store: WatchedStore
    token: Token
    name: str = ACCOUNT

    def auth(self, **settings: Any) -> PipedriveAuth:
        """Give a `PipedriveAuth` that knows no token yet."""
        return PipedriveAuth(self.oauth, self.store, self.name, **settings)

    def expire(self) -> None:
        """Let the token expire."""
        self.box.clock.advance(HOURS)

    def stored(self) -> Token:
        """Give the stored token, by no call that is counted."""
        token = self.store.inner.load(self.name)
        assert token is not None
        return token

    def refreshes(self, **conditions: Any) -> int:
        """Count the refreshes that the sandbox was asked for."""
        return self.box.requests.count(grant_type="refresh_token", **conditions)

    def api_calls(self, **conditions: Any) -> int:
        """Count the calls of the API."""
        return self.box.requests.count(path=ME, **conditions)

    def revoke_access_token(self) -> None:
        """Make the stored access token worthless, which nobody is told of."""
        self.oauth.revoke(self.stored(), "access_token")

    def renew_elsewhere(self) -> Token:
        """Renew and save, as another process would."""
        token = self.oauth.refresh(self.stored())
        self.store.inner.save(self.name, token)
        return token

    def is_alive(self) -> bool:
        """Tell whether the stored refresh token still renews."""
        self.renew_elsewhere()
        return True

    def another(self, name: str, user: User) -> Account:
        """Connect another account in the same store."""
        token = _connected(self.box, self.oauth, self.store, name, user)
        return evolve(self, name=name, token=token)


@frozen
class AnyClient:
    """An `httpx.Client` or an `httpx.AsyncClient` behind methods that are awaited."""

    inner: httpx.Client | httpx.AsyncClient
    auth: PipedriveAuth = field(repr=False)

    async def send(self, method: str, url: str = ME, **arguments: Any) -> httpx.Response:
        """Send a request."""
        return await _settled(self.inner.request(method, url, **arguments))

    async def get(self, url: str = ME, **arguments: Any) -> httpx.Response:
        """Send a GET."""
        return await self.send("GET", url, **arguments)

    async def token(self, **arguments: Any) -> Token:
        """Give a valid token the way that suits the client."""
        if isinstance(self.inner, httpx.Client):
            return self.auth.token(**arguments)
        return await self.auth.atoken(**arguments)


class Program:
    """A real process that holds the account's token in a file, and says how far it is.

    Its code has `oauth`, `store` and `auth`, `say(text)` and `until_told()`.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.said: list[str] = []

    def hear(self, text: str) -> str:
        """Wait until the process says something with a text in it, and give the line."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.said.append(line)
            if text in line:
                return line
        raise AssertionError(f"{text!r} was not said, but: {''.join(self.said)}")

    def tell(self) -> None:
        """Let the process go on."""
        assert self._process.stdin is not None
        self._process.stdin.write("go on\n")
        self._process.stdin.flush()

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    def end(self) -> int:
        """Wait for the end of the process, and give its return code."""
        assert self._process.stdout is not None
        self.said += list(self._process.stdout)
        return self._process.wait(PATIENCE_SECONDS)


_START: Final = """
import asyncio, atexit, os, signal, ssl, sys, threading, time
import httpx
from pipedrive_oauth_client import AppCredentials, PipedriveAuth, PipedriveOAuth, _renewal
from pipedrive_oauth_client.stores import FileTokenStore

# A shell that starts the tests in the background has them, and so this, ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
*credentials, base_url, folder, has_client = sys.argv[1:]
settings = {"base_url": base_url, "retry": None}
if has_client:
    settings["client"] = httpx.Client(verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
oauth = PipedriveOAuth(AppCredentials(*credentials), **settings)
store = FileTokenStore(folder)
auth = PipedriveAuth(oauth, store, "acme:ada")

def say(text):
    print(text, flush=True)

def until_told():
    sys.stdin.readline()
"""


@contextmanager
def program(account: Account, code: str, *, has_client: bool = True) -> Generator[Program]:
    """Run a program whose account is this one, with a token that has expired.

    Its flow sends through a client that was given to it, or through its own. It is killed if it
    does not end in time.
    """
    inner = account.store.inner
    assert isinstance(inner, FileTokenStore)
    inner.save(ACCOUNT, evolve(account.token, expires_at=datetime(2001, 1, 1, tzinfo=UTC)))
    credentials = account.box.credentials
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            _START + dedent(code),
            credentials.client_id,
            credentials.client_secret,
            credentials.redirect_uri,
            account.box.base_url,
            str(inner._folder),
            "yes" if has_client else "",
        ],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    guard = threading.Timer(3 * PATIENCE_SECONDS, process.kill)
    guard.start()
    try:
        with process:
            yield Program(process)
            assert process.poll() is not None, "the program was not waited for"
    finally:
        process.kill()
        guard.cancel()
        guard.join()


def wait_for_callers(*, threads: int = 0, tasks: int = 0) -> None:
    """Wait until so many wait for the only renewal that is under way, so that none comes late."""
    for _ in range(PATIENCE_SECONDS * 200):
        futures = [flight.future for flight in list(_renewal._single_flight.flights.values())]
        for future in futures:
            in_loops = sum(
                event.statistics().tasks_waiting
                for key, event in list(token_source._EVENTS.items())
                if key[1] is future
            )
            known = len(future._condition._waiters), in_loops  # type: ignore[attr-defined]
            if known == (threads, tasks):
                return
        time.sleep(0.005)
    raise AssertionError("they do not wait")


@contextmanager
def served(gate: Gate | None = None, **settings: Any) -> Generator[PipedriveSandbox]:
    """Serve a sandbox whose late answers a gate holds."""
    clock = sandbox.Clock()
    if gate is not None:
        settings["sleep"] = gate.sleep
    with sandbox.run(sandbox.create_app(clock=clock, **settings)) as server:
        yield PipedriveSandbox(server, clock)


@contextmanager
def connected(
    box: PipedriveSandbox,
    *,
    store: WatchedStore | None = None,
    user: User | None = None,
    name: str = ACCOUNT,
    **settings: Any,
) -> Generator[Account]:
    """Connect an account, and forget the requests that it took."""
    store = WatchedStore() if store is None else store
    wanted: dict[str, Any] = {"base_url": box.base_url, "retry": None, "clock": box.clock}
    with (
        httpx.Client(verify=UNTRUSTING) as client,
        untyped(PipedriveOAuth)(
            box.credentials, **{**wanted, "client": client, **settings}
        ) as oauth,
    ):
        token = _connected(box, oauth, store, name, user)
        yield Account(box, oauth, store, token, name)


@asynccontextmanager
async def opened(
    mode: str, account: Account, *, auth: PipedriveAuth | None = None, **settings: Any
) -> AsyncGenerator[AnyClient]:
    """Open a client of the API that sends the account's token."""
    auth = account.auth() if auth is None else auth
    wanted: dict[str, Any] = {
        "base_url": account.box.base_url,
        "verify": UNTRUSTING,
        "auth": auth,
        "timeout": PATIENCE_SECONDS,
        **settings,
    }
    if mode == "sync":
        with httpx.Client(**wanted) as client:
            yield AnyClient(client, auth)
    else:
        async with httpx.AsyncClient(**wanted) as async_client:
            yield AnyClient(async_client, auth)


def with_client(
    mode: str, account: Account, steps: Callable[[AnyClient], Awaitable[T]], **settings: Any
) -> T:
    """Open a client of the API, take the steps, and close it."""

    async def main() -> T:
        async with opened(mode, account, **settings) as client:
            return await steps(client)

    return play(mode, main)


def got(mode: str, account: Account, **settings: Any) -> httpx.Response:
    """Ask the API once who the user is."""
    return with_client(mode, account, AnyClient.get, **settings)


def given(mode: str, account: Account, **settings: Any) -> Token:
    """Ask once for a token, and for nothing else."""
    return with_client(mode, account, AnyClient.token, **settings)


def sent_token(response: httpx.Response) -> str:
    """Give the access token that a request carried."""
    return response.request.headers["Authorization"].removeprefix("Bearer ")


def _connected(
    box: PipedriveSandbox,
    oauth: PipedriveOAuth,
    store: WatchedStore,
    name: str,
    user: User | None,
) -> Token:
    callback = box.server.install(user=user)
    token = oauth.exchange(oauth.read_callback(callback, NO_STATE))
    store.inner.save(name, token)
    box.requests.clear()
    return token


async def _settled(value: T | Awaitable[T]) -> T:
    return cast(T, await value if inspect.isawaitable(value) else value)
