"""Many processes, threads and tasks on one grant that has ended."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from pipedrive_oauth_client import GrantEndedError
from tests.faults.scene import TIME_LIMIT, Scene, process, received, rounds
from tests.faults.workers import TASKS, THREADS, herd

pytestmark = TIME_LIMIT

PROCESSES = 8


def test_one_refresh_for_all(scene: Scene) -> None:
    """Of 8 processes with 25 callers each one learns it of the service, and all 200 are told.

    A new login by this process ends it for all of them, without a restart.
    """
    with ExitStack() as stack:
        started = [stack.enter_context(process(herd, scene.part)) for _ in range(PROCESSES)]
        pipes = [pipe for _process, pipe in started]
        assert [received(pipe) for pipe in pipes] == ["ready"] * PROCESSES
        for _ in range(rounds(10, 2)):
            scene.oauth.revoke(scene.age(), "refresh_token")
            scene.forget()
            for _again in range(2):
                for pipe in pipes:
                    pipe.send("go")
                got = [text for pipe in pipes for text in received(pipe)]
                assert len(got) == PROCESSES * (THREADS + TASKS) == 200
                assert {text.partition("(")[0] for text in got} == {GrantEndedError.__name__}
                assert scene.refreshes() == 1
            with pytest.raises(GrantEndedError):
                scene.auth().token()
            assert scene.refreshes(outcome="invalid_grant") == scene.refreshes() == 1
            token = scene.authorize()
            for pipe in pipes:
                pipe.send("go")
            got = [text for pipe in pipes for text in received(pipe)]
            assert set(got) == {token.access_token}
            assert scene.refreshes() == 1
