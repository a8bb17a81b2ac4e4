"""Processes that fork, or end, while a token is renewed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from pipedrive_oauth_client.sandbox import Fault
from pipedrive_oauth_client.stores import FileTokenStore
from tests.support.auths import (
    REFRESH_PATH,
    Account,
    Gate,
    WatchedStore,
    connected,
    program,
    served,
)

needs_fork: Final = pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")


@pytest.fixture
def gate() -> Gate:
    """Hold the late answers of the sandbox."""
    return Gate()


@pytest.fixture(params=[True], ids=["rotating"])
def saved(request: pytest.FixtureRequest, tmp_path: Path, gate: Gate) -> Iterator[Account]:
    """Connect an account whose token is in a file, and have the next refresh's answer held."""
    store = WatchedStore(FileTokenStore(tmp_path / "tokens"))
    with (
        served(gate, rotate_refresh_tokens=request.param) as box,
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
def test_exit_waits_for_the_renewal(way: str, saved: Account, gate: Gate) -> None:
    """A program that ends in the middle of a renewal ends when the token is saved."""
    with program(saved, EXITS[way]) as running:
        gate.wait()
        running.tell()
        running.hear("leaving")
        gate.open()
        assert running.end() == 0, running.said
    assert [line.strip() for line in running.said] == ["leaving"]
    assert saved.stored() != saved.token
    assert saved.refreshes() == 1
    assert saved.is_alive()


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
def test_fork_during_a_renewal(saved: Account, gate: Gate) -> None:
    """A child that is forked in the middle waits for the parent's lock, and finds its token."""
    with program(saved, FORK, has_client=False) as running:
        gate.wait()
        running.tell()
        running.hear("child asks")
        gate.open()
        assert running.end() == 0, running.said
    token = saved.stored().access_token
    said = [line.strip() for line in running.said]
    assert f"child got {token}" in said
    assert f"parent got {token}" in said
    assert "status 0" in said
    assert saved.refreshes() == 1
    assert saved.is_alive()


@needs_fork
@pytest.mark.parametrize("saved", [False], ids=["same_refresh_token"], indirect=True)
def test_fork_with_a_memory_of_its_own(saved: Account, gate: Gate) -> None:
    """A child whose store is its own memory renews for itself, and waits for nobody."""
    code = f"""
from pipedrive_oauth_client.stores import MemoryTokenStore
memory = MemoryTokenStore()
memory.save("acme:ada", store.load("acme:ada"))
auth = PipedriveAuth(oauth, memory, "acme:ada")
{FORK}
"""
    with program(saved, code, has_client=False) as running:
        gate.wait()
        running.tell()
        running.hear("child got ")  # while the answer to the parent is held
        gate.open()
        assert running.end() == 0, running.said
    said = [line.strip() for line in running.said]
    assert "status 0" in said
    assert saved.refreshes(outcome="ok") == 2


@needs_fork
def test_fork_of_an_idle_parent(saved: Account, gate: Gate) -> None:
    """Children of a parent that has renewed before renew once for all, on their own connections."""
    gate.open()
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
    with program(saved, code, has_client=False) as running:
        assert running.end() == 0, running.said
    said = [line.strip() for line in running.said]
    token = saved.stored().access_token
    assert said.count(f"child got {token}") == 3
    assert f"parent got {token}" in said
    assert "statuses [0, 0, 0]" in said
    assert saved.refreshes() == 2
    assert saved.is_alive()
