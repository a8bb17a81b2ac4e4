"""A process that is forked while its parent holds a lock."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from pipedrive_oauth_client.stores import FileTokenStore
from pipedrive_oauth_client.stores.conformance import a_token
from tests.support.time_limits import ended_child

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork.")


def forked_inside(folder: str) -> None:
    """Fork inside of a lock's block; the child saves, leaves nothing, and locks in its turn."""
    store = FileTokenStore(folder, wait=timedelta(seconds=20))
    store.save("acme", a_token(1))
    with store.lock("acme"):
        assert store.load("acme") == a_token(1)
        child = os.fork()
        if child == 0:
            store.save("acme", a_token(2))  # without a lock, so that it replaces whatever is there
            with store.lock("acme"):  # as soon as the parent lets go of it
                store.save("acme", a_token(3))
            os._exit(7)
    status = ended_child(child)
    print(os.waitstatus_to_exitcode(status), store.load("acme") == a_token(3))  # noqa: T201


def test_child_has_no_lock_of_its_parents(tmp_path: Path) -> None:
    """A child that never leaves its parent's block can save, and waits for the lock as others."""
    call = (
        "from tests.stores.test_base_forks import forked_inside;"
        f"forked_inside({str(tmp_path / 'tokens')!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", call],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
    )
    assert (done.stdout, done.stderr) == ("7 True\n", "")
