"""What a fault test plays with: a rotating sandbox, a place for tokens, and processes.

The processes are real. Most are forked off a small server process that has everything imported, so
that hundreds of them can be started and killed in a minute; some are spawned, as on Windows and
macOS, and begin with nothing.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import cycle
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from typing import Any, Final

import httpx
import pytest
from attrs import evolve, field, frozen

from pipedrive_oauth_client import NO_STATE, AppCredentials, PipedriveAuth, PipedriveOAuth, Token
from pipedrive_oauth_client.sandbox import SandboxServer
from pipedrive_oauth_client.stores import LeasedStore
from tests.faults.places import Place
from tests.support.tls import UNTRUSTING

ACCOUNT: Final = "acme:1"
IS_FULL: Final = os.environ.get("FAULT_ROUNDS") == "full"
# Each of these tests starts many processes, one round after the other.
TIME_LIMIT: Final = pytest.mark.timeout(1800 if IS_FULL else 300)

_FORKED: Final = multiprocessing.get_context("forkserver")
_FORKED.set_forkserver_preload(["tests.faults.workers"])
_SPAWNED: Final = multiprocessing.get_context("spawn")


def rounds(full: int, short: int) -> int:
    """Give how often to do something: `make test` does it in short."""
    return full if IS_FULL else short


# One in so many is spawned, which takes a second.
_CONTEXTS: Final[cycle[ForkServerContext | SpawnContext]] = cycle(
    [_SPAWNED, *[_FORKED] * (rounds(20, 4) - 1)]
)


@frozen
class Part:
    """What a process needs to take part; it can be sent to one."""

    place: Place
    base_url: str
    credentials: AppCredentials = field(repr=False)

    @contextmanager
    def playing(self) -> Generator[tuple[PipedriveOAuth, LeasedStore]]:
        """Open the flow and the store, and close them."""
        with (
            httpx.Client(verify=UNTRUSTING, trust_env=False) as client,
            PipedriveOAuth(
                self.credentials, base_url=self.base_url, client=client, retry=None
            ) as oauth,
            self.place.opened() as store,
        ):
            yield oauth, store


@frozen
class Scene:
    """A sandbox, a place for tokens, and this process' own handles on them."""

    server: SandboxServer
    part: Part
    oauth: PipedriveOAuth
    store: LeasedStore

    def authorize(self) -> Token:
        """Have the person let the app in anew, and keep the token."""
        callback = self.server.install()
        token = self.oauth.exchange(self.oauth.read_callback(callback, NO_STATE))
        self.store.save(ACCOUNT, token)
        return token

    def age(self) -> Token:
        """Make the stored token one that has expired; its refresh token is still good."""
        stored = self.stored()
        old = evolve(stored, expires_at=datetime.now(UTC) - timedelta(seconds=1))
        self.store.save(ACCOUNT, old)
        return old

    def stored(self) -> Token:
        """Give the stored token, which has to be whole."""
        stored = self.store.load(ACCOUNT)
        assert stored is not None
        return stored

    def auth(self) -> PipedriveAuth:
        """Give a `PipedriveAuth` that remembers nothing."""
        return PipedriveAuth(self.oauth, self.store, ACCOUNT)

    def refreshes(self, **conditions: Any) -> int:
        """Count the refreshes that the sandbox was asked for since `forget`."""
        return self.server.requests.count(grant_type="refresh_token", **conditions)

    def forget(self) -> None:
        """Begin to count anew."""
        self.server.requests.clear()


@contextmanager
def process(
    work: Callable[..., None], *arguments: object
) -> Generator[tuple[BaseProcess, Connection]]:
    """Run a function in a process of its own, with a pipe to it as its first argument."""
    context = next(_CONTEXTS)
    here, there = context.Pipe()
    child = context.Process(target=work, args=(there, *arguments))
    child.start()
    there.close()
    try:
        yield child, here
    finally:
        with suppress(OSError):
            here.send("end")
        child.join(20)
        if child.is_alive():
            child.kill()
            child.join(20)
        here.close()
        child.close()


def received(pipe: Connection, seconds: float = 60) -> Any:
    """Give what a process has sent, which it has to do before long."""
    assert pipe.poll(seconds), "a process did not answer"
    return pipe.recv()
