"""Callers that are cancelled at any moment of a renewal."""

from __future__ import annotations

import asyncio
import random

from tests.faults.scene import TIME_LIMIT, Scene, rounds

pytestmark = TIME_LIMIT

CALLERS = 5
LONGEST_SECONDS = 0.03


def test_cancelled_callers_lose_nothing(scene: Scene) -> None:
    """Whenever callers are cancelled, the rotated refresh token is saved and the next one used."""
    dice = random.Random(6)
    cancelled = 0

    async def play() -> int:
        stored = await asyncio.to_thread(scene.stored)
        auth = scene.auth()
        tasks = [asyncio.create_task(auth.atoken(rejected=stored)) for _ in range(CALLERS)]
        for task in dice.sample(tasks, dice.randint(1, CALLERS)):
            await asyncio.sleep(dice.uniform(0, LONGEST_SECONDS / CALLERS))  # the random moment
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        following = await scene.auth().atoken(rejected=stored)
        assert following == await asyncio.to_thread(scene.stored) != stored
        return sum(isinstance(end, asyncio.CancelledError) for end in ends)

    for _ in range(rounds(200, 10)):
        scene.forget()
        cancelled += asyncio.run(play())
        assert (scene.refreshes(), scene.refreshes(outcome="ok")) == (1, 1)
    assert cancelled > 0
