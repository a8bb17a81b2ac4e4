"""`FileTokenStore` between processes that are killed, stopped and forked."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from pipedrive_oauth_client.errors import StoreLockTimeoutError
from pipedrive_oauth_client.stores import FileTokenStore
from pipedrive_oauth_client.stores.conformance import START, a_token
from tests.support.time_limits import ended_child, killed_after

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork."),
    # Programs are killed in hundreds of rounds; `run` bounds each of them.
    pytest.mark.timeout(300),
]

ROOT = Path(__file__).parents[2]
ROUNDS = 30


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give the folder of the store."""
    return tmp_path / "tokens"


def run(program: Callable[[Path], None], folder: Path) -> list[Any]:
    """Run a function of this file in a Python of its own, that has one thread and may fork.

    Gives what it has reported.
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _IMPORT.format(program.__name__), str(folder)],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


_IMPORT = (
    "import sys; from pathlib import Path; from tests.stores.test_file_processes import {0};"
    " {0}(Path(sys.argv[1]))"
)


def report(*values: object) -> None:
    """Tell the test something."""
    os.write(1, json.dumps(values).encode() + b"\n")


def forked(work: Callable[[], object]) -> int:
    """Do something in a child; give its number."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return child


def number_of(store: FileTokenStore) -> int:
    """Give the number of the stored token, and check that it is whole."""
    token = store.load("acme")
    assert token is not None
    number = round((token.expires_at - START).total_seconds())
    assert token == numbered(number)
    return number


def numbered(number: int) -> Any:
    """Make a token that takes more than one write of the system."""
    return a_token(number, scope=f"{number}," * 5000)


def killed_at_random(folder: Path) -> None:
    """Kill a program that saves and saves, at some moment, again and again."""
    store = FileTokenStore(folder)
    store.save("acme", numbered(0))
    for _ in range(ROUNDS):
        first = number_of(store)
        reader, writer = os.pipe()

        def work(writer: int = writer, first: int = first) -> None:
            for number in range(first + 1, first + 10_000):
                store.save("acme", numbered(number))
                os.write(writer, b".")

        child = forked(work)
        os.close(writer)
        os.read(reader, 1)
        signal.sigtimedwait([], random.uniform(0, 0.01))
        os.kill(child, signal.SIGKILL)
        ended_child(child)
        saved = 1
        while more := len(os.read(reader, 4096)):
            saved += more
        os.close(reader)
        report(first + saved, number_of(store), len(list(folder.glob("*.new"))))


def test_killed_at_any_moment(folder: Path) -> None:
    """After a kill the token is whole: the last one that was saved, or the one that was next."""
    rounds = run(killed_at_random, folder)
    assert len(rounds) == ROUNDS
    for saved, stored, drafts in rounds:
        assert stored - saved in (0, 1)
        assert drafts <= 1
    store = FileTokenStore(folder)
    store.save("acme", a_token(1))
    assert not list(folder.glob("*.new"))
    assert store.load("acme") == a_token(1)


def killed_at_each_line(folder: Path) -> None:
    """Kill a program at the first line of a renewal's code, then at the second, and so on."""
    store = FileTokenStore(folder, lease=timedelta(milliseconds=1))
    store.save("acme", numbered(0))
    for last in range(1, 2000):
        before = number_of(store)

        def renewal(before: int = before, last: int = last) -> None:
            lines = 0

            def trace(frame: FrameType, event: str, _: object) -> Any:
                nonlocal lines
                if Path(frame.f_code.co_filename).name not in {"file.py", "private_files.py"}:
                    return None
                lines += event == "line"
                if lines == last:
                    os.kill(os.getpid(), signal.SIGKILL)
                return trace

            sys.settrace(trace)  # the lines that change files are all in those two
            with store.lock("acme"):
                store.load("acme")
                store.save("acme", numbered(before + 1))
            sys.settrace(None)

        status = ended_child(forked(renewal))
        with store.lock("acme"):  # nobody is kept out
            report(number_of(store) - before, os.WIFSIGNALED(status))
            store.save("acme", numbered(before))
        if not os.WIFSIGNALED(status):
            return


def test_killed_at_each_line(folder: Path) -> None:
    """Wherever a renewal is killed, the token is the one before or the next, and the lock ends."""
    *kills, whole = run(killed_at_each_line, folder)
    assert whole == [1, False]
    assert len(kills) > 100, len(kills)
    changes = [change for change, _ in kills]
    # Before one certain line it is never saved, and after it always.
    assert changes == sorted(changes)
    assert {0, 1} == set(changes)
    assert all(was_killed for _, was_killed in kills)
    assert not list(folder.glob("*.new"))


def four_at_once(folder: Path) -> None:
    """Let four programs, made by forking, add to a number, with one store of before the fork."""
    store = FileTokenStore(folder)
    store.save("acme", a_token())

    def add() -> None:
        for _ in range(15):
            with store.lock("acme"):
                token = store.load("acme")
                assert token is not None
                later = token.expires_at + timedelta(seconds=1)
                store.save("acme", a_token(expires_at=later))

    children = [forked(add) for _ in range(4)]
    for child in children:
        ended_child(child)
    token = store.load("acme")
    assert token is not None
    report((token.expires_at - START).total_seconds())


def test_nothing_is_lost_between_processes(folder: Path) -> None:
    """Programs that were forked from one, and share its store, take turns."""
    assert run(four_at_once, folder) == [[60.0]]
    assert not list(folder.glob("lease-*"))


def forked_under_the_lock(folder: Path) -> None:
    """Fork while the lock is held, and let the child leave the block first."""
    store = FileTokenStore(folder, lease=timedelta(minutes=5), wait=timedelta(milliseconds=50))
    store.save("acme", a_token())
    with store.lock("acme"):
        child = os.fork()
        if child:
            ended_child(child)
            report("held", len(list(folder.glob("lease-*"))))
            store.save("acme", a_token(1))
    if child == 0:
        try:
            with FileTokenStore(folder, wait=timedelta(milliseconds=50)).lock("acme"):
                report("the child took it")
        except StoreLockTimeoutError:
            report("refused")
        os._exit(0)
    with store.lock("acme"):
        report("free")


def test_child_does_not_let_go_of_the_lock(folder: Path) -> None:
    """A child that was forked under the lock has none, and its parent's stays when it leaves."""
    assert run(forked_under_the_lock, folder) == [["refused"], ["held", 1], ["free"]]


@contextmanager
def holder(folder: Path, lease: float) -> Generator[subprocess.Popen[str]]:
    """Start a program that has the lock, and saves when it is told to."""
    program = (
        "import sys\n"
        "from datetime import timedelta\n"
        "from pipedrive_oauth_client.errors import StoreLockTimeoutError\n"
        "from pipedrive_oauth_client.stores import FileTokenStore\n"
        "from pipedrive_oauth_client.stores.conformance import a_token\n"
        "store = FileTokenStore(sys.argv[1], lease=timedelta(seconds=float(sys.argv[2])))\n"
        "with store.lock('acme'):\n"
        "    store.load('acme')\n"
        "    print('has the lock', flush=True)\n"
        "    sys.stdin.readline()\n"
        "    try:\n"
        "        store.save('acme', a_token(5))\n"
        "        print('saved', flush=True)\n"
        "    except StoreLockTimeoutError:\n"
        "        print('refused', flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(folder), str(lease)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        try:
            assert process.stdout is not None
            with killed_after(process):
                assert process.stdout.readline() == "has the lock\n"
            yield process
        finally:
            process.kill()


def test_killed_holder_is_outlived(folder: Path) -> None:
    """The lock of a program that was killed is free when its lease is over, and not before."""
    store = FileTokenStore(folder)
    store.save("acme", a_token(1))
    with holder(folder, lease=600) as process:
        process.kill()
        process.wait(60)
        with (
            pytest.raises(StoreLockTimeoutError),
            FileTokenStore(folder, wait=timedelta(milliseconds=50)).lock("acme"),
        ):
            pass
        # Another program's clock shows a time after the lease.
        later = FileTokenStore(folder, wait=timedelta(milliseconds=50))
        now = later._now
        later._now = lambda: now() + 601
        with later.lock("acme"):
            later.save("acme", a_token(2))
    assert store.load("acme") == a_token(2)


def test_stopped_holder_is_outlived_and_refused(folder: Path) -> None:
    """A program that is stopped under the lock loses it, and what it saves later is refused."""
    store = FileTokenStore(folder)
    store.save("acme", a_token(1))
    with holder(folder, lease=0.1) as process:
        process.send_signal(signal.SIGSTOP)
        with store.lock("acme"):
            store.save("acme", a_token(2))
        process.send_signal(signal.SIGCONT)
        assert process.communicate("go on\n", timeout=60)[0] == "refused\n"
    assert store.load("acme") == a_token(2)


def test_stopped_holder_saves_what_nobody_has_replaced(folder: Path) -> None:
    """A program that was stopped saves what it has, where the token is still the one it knows."""
    store = FileTokenStore(folder)
    store.save("acme", a_token(1))
    with holder(folder, lease=0.1) as process:
        process.send_signal(signal.SIGSTOP)
        with store.lock("acme"):
            assert store.load("acme") == a_token(1)
        process.send_signal(signal.SIGCONT)
        assert process.communicate("go on\n", timeout=60)[0] == "saved\n"
    assert store.load("acme") == a_token(5)


def test_readers_see_whole_tokens(folder: Path) -> None:
    """Whoever loads while another program saves, without a lock, gets one token or the other."""
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from pipedrive_oauth_client.stores import FileTokenStore\n"
        "from tests.stores.test_file_processes import numbered\n"
        "store = FileTokenStore(Path(sys.argv[1]))\n"
        "for number in range(1, 121):\n"
        "    store.save('acme', numbered(number))\n"
    )
    store = FileTokenStore(folder)
    store.save("acme", numbered(0))
    seen = {0}
    with subprocess.Popen([sys.executable, "-c", program, str(folder)], cwd=ROOT) as process:
        try:
            while process.poll() is None:
                seen.add(number_of(store))
        finally:
            process.kill()
    assert process.returncode == 0
    assert number_of(store) == 120
    assert len(seen) > 2
