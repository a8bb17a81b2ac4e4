from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
import pytest

from pipedrive_oauth_client import AppCredentials, AsyncPipedriveOAuth, StoreError
from pipedrive_oauth_client.stores import MemoryTokenStore
from pipedrive_oauth_client.web.messages import Answer
from pipedrive_oauth_client.web.steps import AsyncCarrier, Plan, Step, carry_async
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
            return Answer(status=200)

        async with anyio.create_task_group() as group:
            oauth = AsyncPipedriveOAuth(CREDENTIALS)
            group.start_soon(carry_async, plan(), AsyncCarrier(oauth, MemoryTokenStore(), None))
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
        return Answer(status=503)

    async def take(step: Step) -> Any:
        oauth = AsyncPipedriveOAuth(CREDENTIALS)
        return await carry_async(plan(step), AsyncCarrier(oauth, store, None))

    async def main() -> None:
        store.at("delete", StoreError("down"))
        assert (await take(Step("delete", ("1:11",)))).status == 503
        with pytest.raises(StoreError, match="own"):
            await take(Step("call", (broken,)))

    run(mode, main)
    assert [str(each) for each in caught] == ["down"]
