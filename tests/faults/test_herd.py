"""Many processes, threads and tasks on one expired token."""

from __future__ import annotations

from contextlib import ExitStack

from tests.faults.scene import TIME_LIMIT, Scene, process, received, rounds
from tests.faults.workers import TASKS, THREADS, herd

pytestmark = TIME_LIMIT

PROCESSES = 8


def test_one_refresh_for_all(scene: Scene) -> None:
    """8 processes with 25 callers each send one refresh, and all 200 get the token it gave."""
    with ExitStack() as stack:
        started = [stack.enter_context(process(herd, scene.part)) for _ in range(PROCESSES)]
        pipes = [pipe for _process, pipe in started]
        assert [received(pipe) for pipe in pipes] == ["ready"] * PROCESSES
        for _ in range(rounds(20, 2)):
            old = scene.age()
            scene.forget()
            for pipe in pipes:
                pipe.send("go")
            got = [token for pipe in pipes for token in received(pipe)]
            assert len(got) == PROCESSES * (THREADS + TASKS) == 200
            assert set(got) == {scene.stored().access_token}
            assert got[0] != old.access_token
            assert (scene.refreshes(), scene.refreshes(outcome="ok")) == (1, 1)
