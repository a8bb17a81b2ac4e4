"""Cancelled callers, Ctrl-C, forks, and the end of the interpreter."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final, TypeAlias

import anyio
import anyio.lowlevel
import httpx
import pytest
import trio

from pipedrive_oauth_client import PipedriveAuth, Token, _renewal
from pipedrive_oauth_client.pytest_plugin import PipedriveSandbox
from pipedrive_oauth_client.sandbox import Fault
from pipedrive_oauth_client.stores import FileTokenStore
from tests.support.auths import (
    ME,
    PATIENCE_SECONDS,
    REFRESH_PATH,
    Account,
    Gate,
    WatchedStore,
    connected,
    program,
    served,
)
from tests.support.driver import ASYNC_MODES, run
from tests.support.tls import UNTRUSTING

Ask: TypeAlias = Callable[[], Coroutine[Any, Any, object]]

ROUNDS: Final = 40


@pytest.fixture
def account(served_gate: tuple[PipedriveSandbox, Gate]) -> Iterator[Account]:
    """Connect an account, and let its token expire."""
    box, _gate = served_gate
    box.faults.clear()
    with connected(box) as account:
        account.expire()
        box.faults.add(REFRESH_PATH, Fault.latency(1))
        yield account


@pytest.fixture
def saved(served_gate: tuple[PipedriveSandbox, Gate], tmp_path: Path) -> Iterator[Account]:
    """Give the same with the token in a file, where other processes find it."""
    box, _gate = served_gate
    box.faults.clear()
    store = WatchedStore(FileTokenStore(tmp_path / "tokens"))
    with connected(box, store=store) as account:
        box.faults.add(REFRESH_PATH, Fault.latency(1))
        yield account


async def _cancelled_by_asyncio(ask: Ask, gate: Gate) -> None:
    task = asyncio.ensure_future(ask())
    await gate.await_()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def _timed_out_by_wait_for(ask: Ask, gate: Gate) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(ask(), 0.05)
    await gate.await_()


async def _timed_out_by_asyncio(ask: Ask, gate: Gate) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await ask()
    await gate.await_()


async def _left_by_trio(ask: Ask, gate: Gate) -> None:
    with trio.move_on_after(0.05) as scope:
        await ask()
    assert scope.cancelled_caught
    await gate.await_()


async def _nursery_cancelled(ask: Ask, gate: Gate) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await gate.await_()
        nursery.cancel_scope.cancel()


async def _timed_out_by_anyio(ask: Ask, gate: Gate) -> None:
    with pytest.raises(TimeoutError), anyio.fail_after(0.05):
        await ask()
    await gate.await_()


async def _group_cancelled(ask: Ask, gate: Gate) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await gate.await_()
        group.cancel_scope.cancel()


WAYS: Final = [
    ("asyncio", _cancelled_by_asyncio),
    ("asyncio", _timed_out_by_wait_for),
    ("asyncio", _timed_out_by_asyncio),
    ("asyncio", _timed_out_by_anyio),
    ("asyncio", _group_cancelled),
    ("trio", _left_by_trio),
    ("trio", _nursery_cancelled),
    ("trio", _timed_out_by_anyio),
    ("trio", _group_cancelled),
]


@pytest.mark.parametrize(("loop", "cancel"), WAYS, ids=lambda value: getattr(value, "__name__", ""))
@pytest.mark.parametrize("way", ["token", "request"])
def test_cancelled_caller(
    loop: str, cancel: Callable[..., Awaitable[None]], way: str, account: Account, gate: Gate
) -> None:
    """A caller who is cancelled in the middle ends at once; the renewal goes on and is saved."""
    auth = account.auth()

    async def main() -> Token:
        async with httpx.AsyncClient(auth=auth, verify=UNTRUSTING) as client:

            async def ask() -> object:
                if way == "token":
                    return await auth.atoken()
                return await client.get(f"{account.box.base_url}{ME}")

            with anyio.fail_after(PATIENCE_SECONDS):
                await cancel(ask, gate)
                assert account.stored() == account.token  # the answer is still held
                gate.open()
                return await auth.atoken()

    assert run(loop, main) == account.stored() != account.token
    assert account.refreshes() == 1
    assert account.is_alive()


@pytest.mark.parametrize("loop", ASYNC_MODES)
def test_the_others_go_on(loop: str, account: Account, gate: Gate) -> None:
    """When the one who began is cancelled, all who have joined get the token."""
    auth = account.auth()
    tokens: list[Token] = []

    async def ask() -> None:
        tokens.append(await auth.atoken())

    async def main() -> None:
        async with anyio.create_task_group() as group:
            with anyio.CancelScope() as first:
                async with anyio.create_task_group() as inner:
                    inner.start_soon(ask)
                    await gate.await_()
                    for _ in range(10):
                        group.start_soon(ask)
                    await anyio.lowlevel.checkpoint()
                    first.cancel()
            assert tokens == []
            gate.open()

    run(loop, main)
    assert tokens == [account.stored()] * 10
    assert account.refreshes() == 1


@pytest.mark.parametrize("loop", ASYNC_MODES)
def test_loop_that_ends_first(loop: str, account: Account, gate: Gate) -> None:
    """When the event loop is closed during a renewal, its token is saved, and used by the next."""
    auth = account.auth()

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(auth.atoken)
            await gate.await_()
            group.cancel_scope.cancel()

    run(loop, main)
    future: Future[Token] = next(iter(_renewal._single_flight.flights.values())).future
    gate.open()
    assert future.result(PATIENCE_SECONDS) == auth.token() == account.stored() != account.token
    assert account.refreshes() == 1


@pytest.mark.parametrize("loop", ASYNC_MODES)
@pytest.mark.parametrize("way", ["token", "request"])
def test_cancelled_anywhere(loop: str, way: str) -> None:
    """Wherever callers are cancelled, the next use finds a refresh token that is good."""
    dice = random.Random(f"{loop} {way}")
    with served() as box, connected(box) as account:
        url = f"{box.base_url}{ME}"

        async def ask(auth: PipedriveAuth, client: httpx.AsyncClient) -> None:
            await (auth.atoken() if way == "token" else client.get(url))

        async def main() -> None:
            auth = account.auth()
            async with httpx.AsyncClient(
                auth=auth, verify=UNTRUSTING, timeout=PATIENCE_SECONDS
            ) as client:
                for number in range(ROUNDS):
                    account.expire()
                    async with anyio.create_task_group() as group:
                        for _ in range(dice.randint(1, 3)):
                            group.start_soon(ask, auth, client)
                        if number % 2:
                            for _ in range(dice.randint(0, 12)):
                                await anyio.lowlevel.checkpoint()
                        else:
                            await anyio.sleep(dice.uniform(0, 0.02))
                        group.cancel_scope.cancel()
                    with anyio.fail_after(PATIENCE_SECONDS):
                        assert await auth.atoken() == account.stored()

        run(loop, main)
        assert account.refreshes(outcome="ok") == account.refreshes() == ROUNDS
        assert account.is_alive()


ASKING: Final = {
    "sync": "auth.token()",
    "asyncio": "asyncio.run(auth.atoken())",
    # What is imported late would be imported while Ctrl-C comes, and Python may lose it there.
    "trio": "import anyio, trio; trio.run(anyio.sleep, 0); trio.run(auth.atoken)",
}


@pytest.mark.skipif(sys.platform == "win32", reason="there, Ctrl-C can't be sent to one process")
@pytest.mark.parametrize("asking", ["sync", "trio"])
def test_ctrl_c_that_is_caught(asking: str, saved: Account, gate: Gate) -> None:
    """A program that is interrupted in the middle goes on at once, and gets the token later."""
    code = f"""
try:
    {ASKING[asking]}
except KeyboardInterrupt:
    say("interrupted")
say("got " + auth.token().access_token)
"""
    with program(saved, code) as running:
        gate.wait()
        running.interrupt()
        running.hear("interrupted")
        gate.open()
        line = running.hear("got ")
        assert running.end() == 0
    assert line.split() == ["got", saved.stored().access_token]
    assert saved.refreshes() == 1
    assert saved.is_alive()


@pytest.mark.skipif(sys.platform == "win32", reason="there, Ctrl-C can't be sent to one process")
@pytest.mark.parametrize("asking", ["sync", "asyncio"])
def test_ctrl_c_that_ends_the_program(asking: str, saved: Account, gate: Gate) -> None:
    """A program that is ended in the middle by Ctrl-C saves the token before it is gone."""
    with program(saved, f"{ASKING[asking]}\n") as running:
        gate.wait()
        running.interrupt()
        running.hear("KeyboardInterrupt")
        gate.open()
        assert running.end() in {-signal.SIGINT, 1, 130}
    assert saved.stored() != saved.token
    assert saved.refreshes() == 1
    assert saved.is_alive()


# --- Processes that fork, or end, while a token is renewed ---


needs_fork: Final = pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")


@pytest.fixture
def own_gate() -> Gate:
    """Hold the late answers of the sandbox."""
    return Gate()


@pytest.fixture(params=[True], ids=["rotating"])
def on_disk(request: pytest.FixtureRequest, tmp_path: Path, own_gate: Gate) -> Iterator[Account]:
    """Connect an account whose token is in a file, and have the next refresh's answer held."""
    store = WatchedStore(FileTokenStore(tmp_path / "tokens"))
    with (
        served(own_gate, rotate_refresh_tokens=request.param) as box,
        connected(box, store=store) as account,
    ):
        box.faults.add(REFRESH_PATH, Fault.latency(1))
        yield account


EXITS: Final = {
    "task": """
async def main():
    task = asyncio.ensure_future(auth.atoken())
    await asyncio.to_thread(until_told)

asyncio.run(main())
say("leaving")
""",
    "daemon_thread": """
threading.Thread(target=auth.token, daemon=True).start()
until_told()
say("leaving")
sys.exit(0)
""",
    "at_exit": """
# Python 3.12 starts no thread any more by then.
atexit.register(auth.token)
say("leaving")
""",
}


@pytest.mark.parametrize("way", EXITS)
def test_exit_waits_for_the_renewal(way: str, on_disk: Account, own_gate: Gate) -> None:
    """A program that ends in the middle of a renewal ends when the token is saved."""
    with program(on_disk, EXITS[way]) as running:
        own_gate.wait()
        running.tell()
        running.hear("leaving")
        own_gate.open()
        assert running.end() == 0, running.said
    assert [line.strip() for line in running.said] == ["leaving"]
    assert on_disk.stored() != on_disk.token
    assert on_disk.refreshes() == 1
    assert on_disk.is_alive()


FORK: Final = """
threading.Thread(target=auth.token, daemon=True).start()
until_told()
child = os.fork()
if child == 0:
    signal.alarm(50)
    say("child asks")
    token = auth.token()
    say("child got " + token.access_token)
    os._exit(0)
say("parent got " + auth.token().access_token)
say("status " + str(os.waitpid(child, 0)[1]))
"""


@needs_fork
def test_fork_during_a_renewal(on_disk: Account, own_gate: Gate) -> None:
    """A child that is forked in the middle waits for the parent's lock, and finds its token."""
    with program(on_disk, FORK, has_client=False) as running:
        own_gate.wait()
        running.tell()
        running.hear("child asks")
        own_gate.open()
        assert running.end() == 0, running.said
    token = on_disk.stored().access_token
    said = [line.strip() for line in running.said]
    assert f"child got {token}" in said
    assert f"parent got {token}" in said
    assert "status 0" in said
    assert on_disk.refreshes() == 1
    assert on_disk.is_alive()


@needs_fork
@pytest.mark.parametrize("on_disk", [False], ids=["same_refresh_token"], indirect=True)
def test_fork_with_a_memory_of_its_own(on_disk: Account, own_gate: Gate) -> None:
    """A child whose store is its own memory renews for itself, and waits for nobody."""
    code = f"""
from pipedrive_oauth_client.stores import MemoryTokenStore
memory = MemoryTokenStore()
memory.save("acme:ada", store.load("acme:ada"))
auth = PipedriveAuth(oauth, memory, "acme:ada")
{FORK}
"""
    with program(on_disk, code, has_client=False) as running:
        own_gate.wait()
        running.tell()
        running.hear("child got ")  # while the answer to the parent is held
        own_gate.open()
        assert running.end() == 0, running.said
    said = [line.strip() for line in running.said]
    assert "status 0" in said
    assert on_disk.refreshes(outcome="ok") == 2


@needs_fork
def test_fork_of_an_idle_parent(on_disk: Account, own_gate: Gate) -> None:
    """Children of a parent that has renewed before renew once for all, on their own connections."""
    own_gate.open()
    code = """
from datetime import UTC, datetime
from attrs import evolve

first = auth.token()
store.save("acme:ada", evolve(first, expires_at=datetime(2001, 1, 1, tzinfo=UTC)))
children = []
for _ in range(3):
    child = os.fork()
    if child == 0:
        signal.alarm(50)
        token = auth.token(rejected=first)
        assert token != first
        say("child got " + token.access_token)
        os._exit(0)
    children.append(child)
token = auth.token(rejected=first)
say("parent got " + token.access_token)
say("statuses " + str([os.waitpid(child, 0)[1] for child in children]))
"""
    with program(on_disk, code, has_client=False) as running:
        assert running.end() == 0, running.said
    said = [line.strip() for line in running.said]
    token = on_disk.stored().access_token
    assert said.count(f"child got {token}") == 3
    assert f"parent got {token}" in said
    assert "statuses [0, 0, 0]" in said
    assert on_disk.refreshes() == 2
    assert on_disk.is_alive()
