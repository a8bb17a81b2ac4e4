"""Processes that are killed or stopped at any moment of a renewal."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress

from pipedrive_oauth_client import InvalidGrantError, StoreError, StoreLockTimeoutError
from tests.faults.scene import ACCOUNT, TIME_LIMIT, Scene, process, received, rounds
from tests.faults.workers import renew_forever

pytestmark = TIME_LIMIT

LONGEST_SECONDS = 0.05


def test_killed_holder_leaves_a_whole_token(brief_scene: Scene) -> None:
    """After `kill -9` at a random moment a whole token is stored, and the account is usable.

    It is usable within the lease, since no caller here waits for much longer than that. What the
    kill may cost is the grant itself: if the service has rotated the refresh token and the new one
    was not saved, the user has to authorize again. Then, and only then, a refresh is rejected.
    """
    scene = brief_scene
    dice = random.Random(4)
    held = lost = 0
    for _ in range(rounds(200, 8)):
        with process(renew_forever, scene.part) as (victim, pipe):
            received(pipe)
            received(pipe)
            time.sleep(dice.uniform(0, LONGEST_SECONDS))  # the moment is what is tested
            victim.kill()
            victim.join(20)
        stored = scene.stored()
        held += is_held(scene)
        scene.forget()
        try:
            renewed = scene.auth().token(rejected=stored)
        except InvalidGrantError:
            lost += 1
            # One that was answered meanwhile is the victim's last.
            assert scene.refreshes() - scene.refreshes(outcome="ok") == 1
            authorized = scene.authorize()
            renewed = scene.auth().token(rejected=authorized)
        assert scene.stored() == renewed
    if rounds(1, 0):
        assert held > 0  # else the kills have missed what is tested
    print(f"{scene.part.place.kind}: lock held {held} times, grant lost {lost} times")  # noqa: T201


def test_stopped_holder_does_no_harm(brief_scene: Scene) -> None:
    """A process that is stopped for longer than its lease, at any moment, costs no grant.

    Meanwhile others may be refused only for one of two reasons. The sleeper has the answer and has
    not saved it. Or it was stopped within a step of a store on this machine's disk, of a few
    milliseconds, whose lock of the operating system can't be broken; a server's steps are its own.
    """
    scene = brief_scene
    dice = random.Random(5)
    for _ in range(rounds(40, 2)):
        with process(renew_forever, scene.part) as (sleeper, pipe):
            received(pipe)
            received(pipe)
            time.sleep(dice.uniform(0, LONGEST_SECONDS))  # the moment is what is tested
            assert sleeper.pid is not None
            os.kill(sleeper.pid, signal.SIGSTOP)
            on_disk = scene.part.place.kind in ("file", "sqlite")
            with suppress(InvalidGrantError, *([StoreError] if on_disk else [])):
                scene.auth().token(rejected=scene.stored())
            os.kill(sleeper.pid, signal.SIGCONT)
        stored = scene.stored()
        assert scene.auth().token(rejected=stored) == scene.stored() != stored


def is_held(scene: Scene) -> bool:
    """Tell whether a dead process has left the account's lock behind."""
    with scene.part.place.opened(impatient=True) as store:
        try:
            with store.lock(ACCOUNT):
                return False
        except StoreLockTimeoutError:
            return True
