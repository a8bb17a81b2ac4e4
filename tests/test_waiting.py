"""Waiting in an event loop for a thread: of either kind, cancelled or not, and without threads."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any, Final

import anyio
import anyio.lowlevel
import pytest
import trio

from pipedrive_oauth_client.token_source import wait_until_done
from tests.support.auths import PATIENCE_SECONDS
from tests.support.driver import ASYNC_MODES, run

MANY: Final = 1000


@pytest.fixture(params=ASYNC_MODES)
def loop(request: pytest.FixtureRequest) -> str:
    """Either kind of event loop."""
    return str(request.param)


@pytest.fixture
def future() -> Iterator[Future[int]]:
    """What a thread brings some time; should it hold up the loop, that has an end."""
    future: Future[int] = Future()
    guard = threading.Timer(PATIENCE_SECONDS, future.set_result, args=(0,))
    guard.start()
    yield future
    guard.cancel()
    guard.join()


def _land(future: Future[int]) -> threading.Thread:
    thread = threading.Thread(target=future.set_result, args=(1,))
    thread.start()
    return thread


def test_done_already(loop: str, future: Future[int]) -> None:
    """What is done already is not waited for."""
    future.set_result(1)

    async def main() -> None:
        with anyio.fail_after(PATIENCE_SECONDS):
            await wait_until_done(future)

    run(loop, main)


def test_done_by_a_thread(loop: str, future: Future[int]) -> None:
    """A thread's result wakes the waiting task, and an error does no less."""
    failed: Future[int] = Future()

    async def main() -> None:
        with anyio.fail_after(PATIENCE_SECONDS):
            async with anyio.create_task_group() as group:
                group.start_soon(wait_until_done, future)
                group.start_soon(wait_until_done, failed)
                await anyio.lowlevel.checkpoint()
                threading.Thread(target=failed.set_exception, args=(OSError(),)).start()
                _land(future).join()

    run(loop, main)
    assert future.result() == 1


def test_many_wait_without_a_thread(loop: str, future: Future[int]) -> None:
    """1,000 tasks wait in no thread at all, and all are woken."""
    woken = 0

    async def main() -> None:
        async def wait() -> None:
            nonlocal woken
            await wait_until_done(future)
            woken += 1

        before = threading.active_count()
        with anyio.fail_after(PATIENCE_SECONDS):
            async with anyio.create_task_group() as group:
                for _ in range(MANY):
                    group.start_soon(wait)
                for _ in range(5):
                    await anyio.lowlevel.checkpoint()
                assert threading.active_count() <= before  # an idle one of an earlier test may end
                assert woken == 0
                _land(future).join()

    run(loop, main)
    assert woken == MANY


def test_cancelling_leaves_the_future_alone(loop: str, future: Future[int]) -> None:
    """Whoever stops waiting stops nothing: the future can be waited for again."""

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(wait_until_done, future)
            await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        assert not future.cancelled()
        _land(future).join()
        with anyio.fail_after(PATIENCE_SECONDS):
            await wait_until_done(future)

    run(loop, main)
    assert future.result() == 1


def test_loop_that_has_ended(
    loop: str, future: Future[int], caplog: pytest.LogCaptureFixture
) -> None:
    """When the loop ends before the thread, the thread finishes all the same, and nobody cries."""

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(wait_until_done, future)
            await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()

    run(loop, main)
    _land(future).join(PATIENCE_SECONDS)
    gc.collect()
    assert future.result(0) == 1
    assert caplog.text == ""


def test_loops_of_two_kinds(future: Future[int]) -> None:
    """Tasks in loops of both kinds wait for one future."""
    started = threading.Barrier(3)

    async def main() -> None:
        with anyio.fail_after(PATIENCE_SECONDS):
            async with anyio.create_task_group() as group:
                group.start_soon(wait_until_done, future)
                await anyio.lowlevel.checkpoint()
                started.wait(PATIENCE_SECONDS)

    threads = [threading.Thread(target=run, args=(kind, main)) for kind in ASYNC_MODES]
    for thread in threads:
        thread.start()
    started.wait(PATIENCE_SECONDS)
    future.set_result(1)
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()


def test_trio_as_a_guest_of_asyncio() -> None:
    """A task of trio that runs as a guest in a loop of asyncio is woken as well."""
    futures: list[Future[int]] = [Future() for _ in range(20)]

    async def guest() -> str:
        for future in futures:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(wait_until_done, future)
                await trio.lowlevel.checkpoint()
                _land(future)
        return "woken"

    async def host() -> Any:
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[Any] = loop.create_future()
        trio.lowlevel.start_guest_run(
            guest,
            run_sync_soon_threadsafe=loop.call_soon_threadsafe,
            done_callback=outcome.set_result,
        )
        return (await asyncio.wait_for(outcome, PATIENCE_SECONDS)).unwrap()

    assert asyncio.run(host()) == "woken"
