from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from pipedrive_oauth_client import AppCredentials, AsyncPipedriveOAuth, StoreError
from pipedrive_oauth_client.stores import MemoryTokenStore
from pipedrive_oauth_client.web.messages import WebResponse
from pipedrive_oauth_client.web.runner import AsyncStepRunner, Plan, Step, run_plan_async
from tests.support.auths import WatchedStore
from tests.support.driver import ASYNC_MODES, run

CREDENTIALS = AppCredentials("id", "secret", "https://app.example.com/callback")


@pytest.mark.parametrize("mode", ASYNC_MODES)
def test_cancelling_stops_nothing(mode: str) -> None:
    """In either event loop, a plan whose caller is cancelled goes on to its end."""
    steps: list[str] = []

    async def main() -> None:
        begun, ended = anyio.Event(), anyio.Event()

        async def first() -> str:
            begun.set()
            await anyio.lowlevel.checkpoint()
            return "first"

        async def second(before: str) -> None:
            await anyio.lowlevel.checkpoint()
            steps.append(before)
            ended.set()

        def plan() -> Plan:
            before = yield Step("call", (first,))
            yield Step("call", (second, before))
            return WebResponse(status=200)

        async with anyio.create_task_group() as group:
            oauth = AsyncPipedriveOAuth(CREDENTIALS)
            group.start_soon(
                run_plan_async, plan(), AsyncStepRunner(oauth, MemoryTokenStore(), None)
            )
            with anyio.fail_after(20):
                await begun.wait()
            group.cancel_scope.cancel()
        with anyio.fail_after(20):
            await ended.wait()

    run(mode, main)
    assert steps == ["first"]


@pytest.mark.parametrize("mode", ASYNC_MODES)
def test_errors_go_back_into_the_plan(mode: str) -> None:
    """An error of a step is the plan's to deal with, and one of the app's own is not."""
    store = WatchedStore()
    caught: list[BaseException] = []

    def broken() -> None:
        raise StoreError("the app's own")

    def plan(step: Step) -> Plan:
        try:
            yield step
        except StoreError as error:
            caught.append(error)
        return WebResponse(status=503)

    async def run_step(step: Step) -> Any:
        oauth = AsyncPipedriveOAuth(CREDENTIALS)
        return await run_plan_async(plan(step), AsyncStepRunner(oauth, store, None))

    async def main() -> None:
        store.at("delete", StoreError("down"))
        assert (await run_step(Step("delete", ("1:11",)))).status == 503
        with pytest.raises(StoreError, match="own"):
            await run_step(Step("call", (broken,)))

    run(mode, main)
    assert [str(each) for each in caught] == ["down"]


def test_nobody_forgets_what_is_under_way() -> None:
    """A plan whose caller is gone is not collected as garbage, which event loops would let be."""
    ended: list[str] = []

    async def main() -> None:
        begun = asyncio.Event()
        waiting: list[weakref.ref[asyncio.Future[str]]] = []

        async def wait() -> str:
            future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            waiting.append(weakref.ref(future))
            begun.set()
            return await future

        def plan() -> Plan:
            ended.append((yield Step("call", (wait,))))
            return WebResponse(status=200)

        runner = AsyncStepRunner(AsyncPipedriveOAuth(CREDENTIALS), MemoryTokenStore(), None)
        caller = asyncio.create_task(run_plan_async(plan(), runner))
        await asyncio.wait_for(begun.wait(), 20)
        caller.cancel()
        await asyncio.wait([caller], timeout=20)
        assert caller.cancelled()
        del caller
        gc.collect()
        future = waiting[0]()
        assert future is not None
        future.set_result("found")
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(main())
    assert ended == ["found"]


def test_step_hides_what_it_is_about() -> None:
    """What is printed of a step shows no code and no token."""
    assert "planted" not in repr(Step("exchange", ("code-planted-71",)))
