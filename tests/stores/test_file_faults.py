"""`FileTokenStore` when the system fails, and when processes are killed, stopped or forked."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from filelock import BaseFileLock, FileLock, SoftFileLock

from pipedrive_oauth_client.errors import StoreError, StoreLockTimeoutError
from pipedrive_oauth_client.stores import FileTokenStore
from pipedrive_oauth_client.stores import file as file_module
from pipedrive_oauth_client.stores.conformance import START, a_token
from pipedrive_oauth_client.stores.file import lock_file, token_file
from tests.support.samples import ACCESS_TOKEN, REFRESH_TOKEN
from tests.support.sweep import found, visible
from tests.support.time_limits import ended_child, killed_after

# Programs are killed in hundreds of rounds, each of them bounded.
pytestmark = pytest.mark.timeout(300)

SECRETS = [ACCESS_TOKEN, REFRESH_TOKEN]
SECRET = a_token(access_token=ACCESS_TOKEN, refresh_token=REFRESH_TOKEN)
LATER = START + timedelta(days=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give the folder of the store."""
    return tmp_path / "tokens"


@pytest.fixture
def store(folder: Path) -> FileTokenStore:
    """Give a store with a token."""
    store = FileTokenStore(folder)
    store.save("acme", a_token(1))
    return store


def failing(number: int, real: Callable[..., Any], when: Callable[..., bool]) -> Callable[..., Any]:
    """Give a function of the operating system that fails for some arguments."""

    def fail(*arguments: Any, **named: Any) -> Any:
        if when(*arguments):
            raise OSError(number, os.strerror(number))
        return real(*arguments, **named)

    return fail


class HalfWritten:
    """A file on a disk that is full after some bytes."""

    def __init__(self, opened: Any) -> None:
        self.opened = opened

    def __enter__(self) -> HalfWritten:
        return self

    def __exit__(self, *_: object) -> None:
        self.opened.close()

    def write(self, data: bytes) -> None:
        """Write the first half, and fail."""
        self.opened.write(data[: len(data) // 2])
        self.opened.flush()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


# Where a save can fail, and what the operating system says then.
STEPS = {
    "make the draft": ("open", lambda path, *_: str(path).endswith(".new")),
    "write all of it": ("fdopen", None),
    "get it to the disk": ("fsync", lambda _: True),
    "put it in place": ("replace", lambda *_: True),
}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EACCES])
@pytest.mark.parametrize("is_locked", [False, True], ids=["alone", "under the lock"])
@pytest.mark.parametrize("step", STEPS)
def test_save_that_fails_changes_nothing(
    folder: Path,
    store: FileTokenStore,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    is_locked: bool,
    number: int,
) -> None:
    """At whatever step it fails: the cause is kept, the token before is there, nothing is left."""
    name, when = STEPS[step]
    with store.lock("acme") if is_locked else nullcontext():
        before = sorted(folder.iterdir())
        with monkeypatch.context() as patch:
            if when is None:
                number, fdopen = errno.ENOSPC, os.fdopen
                patch.setattr(
                    os,
                    name,
                    lambda opened, mode: (
                        HalfWritten(fdopen(opened, mode)) if mode == "wb" else fdopen(opened, mode)
                    ),
                )
            else:
                owner: Any = Path if name == "replace" else os
                patch.setattr(owner, name, failing(number, getattr(owner, name), when))
            with pytest.raises(StoreError, match="disk") as info:
                store.save("acme", SECRET)
        assert isinstance(info.value.__cause__, OSError)
        assert info.value.__cause__.errno == number
        assert os.strerror(number) in str(info.value)
        assert not found(visible(info.value), SECRETS)
        assert sorted(folder.iterdir()) == before
        assert store.load("acme") == a_token(1)
        store.save("acme", SECRET)
    assert store.load("acme") == SECRET


def test_token_is_there_though_it_may_not_last(
    folder: Path, store: FileTokenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where only the last step fails, getting the folder to the disk, an error says so."""
    synced: list[bool] = []

    def fsync(opened: int) -> None:
        synced.append(Path(f"/dev/fd/{opened}").is_dir())
        if synced[-1]:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch, store.lock("acme"):
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(StoreError):
            store.save("acme", a_token(2))
    assert synced == [False, True]
    assert store.load("acme") == a_token(2)
    assert not list(folder.glob("*.new"))


def test_writing_twice_is_writing_once(store: FileTokenStore) -> None:
    """A save that is repeated, because its result is unknown, counts as the first."""
    kept = store._read("acme")
    assert kept is not None
    other = FileTokenStore(store._folder)
    other.save("umbrella", a_token(2))
    following = other._read("umbrella")
    assert following is not None
    for _ in range(2):
        assert store._write("acme", following, START, kept.version)
    assert store.load("acme") == a_token(2)
    assert not store._write("acme", kept, START, "another version")
    assert not store._write("acme", kept, START, None)
    assert store.load("acme") == a_token(2)


def test_delete_that_fails(store: FileTokenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that can't be removed is still there."""
    with monkeypatch.context() as patch:
        unlink = failing(errno.EROFS, Path.unlink, lambda path, *_: path.name == token_file("acme"))
        patch.setattr(Path, "unlink", unlink)
        with pytest.raises(StoreError, match="Read-only") as info:
            store.delete("acme")
    assert isinstance(info.value.__cause__, OSError)
    assert store.load("acme") == a_token(1)


def test_load_that_fails(store: FileTokenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that can't be read is an error, of one account in a list of those that are due."""
    store.save("umbrella", a_token(2))
    with monkeypatch.context() as patch:
        is_acmes = lambda path, *_: str(path).endswith(token_file("acme"))  # noqa: E731 - one use
        patch.setattr(os, "open", failing(errno.EIO, os.open, is_acmes))
        with pytest.raises(StoreError, match="Input/output") as info:
            store.load("acme")
        assert isinstance(info.value.__cause__, OSError)
        assert sorted(store.due(LATER)) == ["acme", "umbrella"]
    assert store.load("acme") == a_token(1)


def test_folder_that_cannot_be_listed(
    store: FileTokenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that can't be listed is an error, and not one without accounts."""
    monkeypatch.setattr(os, "scandir", failing(errno.EACCES, os.scandir, lambda _: True))
    for listing in (store.accounts(), store.due(LATER)):
        with pytest.raises(StoreError, match="Permission denied") as info:
            list(listing)
        assert isinstance(info.value.__cause__, OSError)


def test_file_that_grows_too_large(folder: Path, store: FileTokenStore) -> None:
    """Where the system stops a real write in its middle, the token before is still there."""
    program = (
        "import resource, sys\n"
        "from pipedrive_oauth_client.errors import StoreError\n"
        "from pipedrive_oauth_client.stores import FileTokenStore\n"
        "from pipedrive_oauth_client.stores.conformance import a_token\n"
        "store = FileTokenStore(sys.argv[1])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (150, 150))\n"
        "try:\n"
        "    store.save('acme', a_token(2))\n"
        "except StoreError as error:\n"
        "    print(type(error.__cause__).__name__, error.__cause__.errno)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == f"OSError {errno.EFBIG}\n"
    assert store.load("acme") == a_token(1)
    assert not list(folder.glob("*.new"))


def test_leavings_of_a_killed_program_go(folder: Path, store: FileTokenStore) -> None:
    """A half-written file is no account, and the next save or delete removes it."""
    draft = folder / f"{token_file('acme')}.new"

    def leave() -> None:
        draft.write_bytes(b'{"account": "acme", "tok')
        assert list(store.accounts()) == ["acme"]

    leave()
    store.save("acme", a_token(2))
    assert not draft.exists()
    leave()
    store.delete("acme")
    assert not draft.exists()
    assert store.load("acme") is None


def test_folder_that_goes_and_comes_back(folder: Path, store: FileTokenStore) -> None:
    """Without its folder nothing works, nor is it taken for empty; with it, all works again."""
    away = folder.with_name("away")
    folder.rename(away)
    with pytest.raises(StoreError) as info:
        store.load("acme")
    assert isinstance(info.value.__cause__, FileNotFoundError)
    with pytest.raises(StoreError):
        store.save("acme", a_token(2))
    with pytest.raises(StoreError):
        store.delete("acme")
    with pytest.raises(StoreError), store.lock("acme"):
        pass
    for listing in (store.accounts(), store.due(LATER)):
        with pytest.raises(StoreError):
            list(listing)
    assert not folder.exists()
    away.rename(folder)
    assert store.load("acme") == a_token(1)
    assert list(store.due(LATER)) == ["acme"]


def test_folder_that_goes_during_a_renewal(
    folder: Path, store: FileTokenStore, caplog: pytest.LogCaptureFixture
) -> None:
    """A lock that can't be released is a line in the log, and no error in place of the work's."""
    lock = store.lock("acme")
    lock.__enter__()
    shutil.rmtree(folder)
    error = ZeroDivisionError()
    assert not lock.__exit__(ZeroDivisionError, error, None)
    assert "was not released" in caplog.text


def test_folder_that_goes_while_it_is_listed(folder: Path, store: FileTokenStore) -> None:
    """A list of what is due ends with an error when the folder goes, and not with every account."""
    store.save("umbrella", a_token(2))
    due = store.due(LATER)
    next(due)
    folder.rename(folder.with_name("away"))
    with pytest.raises(StoreError, match="look at the folder"):
        list(due)


def test_abandoned_listing_is_closed(store: FileTokenStore) -> None:
    """A list that is abandoned in the middle leaves nothing open, and others can save."""
    store.save("umbrella", a_token(2))
    accounts = store.accounts()
    first = next(accounts)
    store.delete(first)
    del accounts  # a folder that stays open would be a warning, and fail the test


def test_step_that_hangs(
    folder: Path, store: FileTokenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a program that was stopped in a step, everything but reading ends with an error."""
    monkeypatch.setattr(file_module, "MAX_STEP_SECONDS", 0.05)
    with FileLock(folder / lock_file("acme")):
        assert store.load("acme") == a_token(1)
        for attempt in (
            lambda: store.save("acme", a_token(2)),
            lambda: store.delete("acme"),
            lambda: store.lock("acme").__enter__(),
        ):
            with pytest.raises(StoreLockTimeoutError, match="Try again"):
                attempt()
    store.save("acme", a_token(2))
    assert store.load("acme") == a_token(2)


def test_lock_waits_no_longer_than_it_may(
    folder: Path, store: FileTokenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `wait` that is shorter than the wait for a step counts for that one, too, but for no save.

    A token that was obtained is worth some patience.
    """
    impatient = FileTokenStore(folder, wait=timedelta(milliseconds=20))
    waits: list[float] = []
    acquire = BaseFileLock.acquire

    def watched(lock: BaseFileLock, timeout: float, **named: Any) -> Any:
        waits.append(timeout)
        return acquire(lock, timeout, **named)

    monkeypatch.setattr(BaseFileLock, "acquire", watched)
    with impatient.lock("acme"):
        impatient.save("acme", a_token(2))
    with store.lock("acme"):
        pass
    assert waits == [0.02, 15, 15, 15, 15]
    monkeypatch.undo()
    with (
        FileLock(folder / lock_file("acme")),
        pytest.raises(StoreLockTimeoutError, match="keeps"),
        impatient.lock("acme"),
    ):
        pass
    assert store.load("acme") == a_token(2)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.ENOLCK])
def test_lock_file_that_fails(
    store: FileTokenStore, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A lock that the system does not give is an error with the cause, before anything is done."""
    acquire = failing(number, BaseFileLock.acquire, lambda *_: True)
    with monkeypatch.context() as patch:
        patch.setattr(BaseFileLock, "acquire", acquire)
        with pytest.raises(StoreError) as info, store.lock("acme"):
            pass
    assert isinstance(info.value.__cause__, OSError)
    assert not isinstance(info.value, StoreLockTimeoutError)
    with store.lock("acme"):
        pass


def test_file_system_without_locks(
    folder: Path, store: FileTokenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Locks that outlive their holder, which the library falls back to, are not made use of."""
    with monkeypatch.context() as patch:
        patch.setattr(file_module, "FileLock", SoftFileLock)
        (folder / lock_file("acme")).unlink()
        with pytest.raises(StoreError, match="has no locks"):
            store.save("acme", a_token(2))
    assert store.load("acme") == a_token(1)


def test_readers_wait_where_they_are_in_the_way(
    folder: Path, store: FileTokenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where an open file can't be replaced, as on Windows, a load is a step of its own."""
    monkeypatch.setattr(file_module, "_READERS_BLOCK_WRITERS", True)
    assert store.load("acme") == a_token(1)
    monkeypatch.setattr(file_module, "MAX_STEP_SECONDS", 0.05)
    with FileLock(folder / lock_file("acme")), pytest.raises(StoreLockTimeoutError):
        store.load("acme")


FORKS = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork.")

ROOT = Path(__file__).parents[2]
ROUNDS = 30


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
    "import sys; from pathlib import Path; from tests.stores.test_file_faults import {0};"
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


@FORKS
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
                if Path(frame.f_code.co_filename).name not in {"file.py", "_private_files.py"}:
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
        with store.lock("acme"):  # no caller is kept out
            report(number_of(store) - before, os.WIFSIGNALED(status))
            store.save("acme", numbered(before))
        if not os.WIFSIGNALED(status):
            return


@FORKS
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


@FORKS
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


@FORKS
def test_child_does_not_let_go_of_the_lock(folder: Path) -> None:
    """A child that was forked under the lock has none, and its parent's stays when it leaves."""
    assert run(forked_under_the_lock, folder) == [["refused"], ["held", 1], ["free"]]


@contextmanager
def holder(folder: Path, lease: float) -> Generator[subprocess.Popen[str]]:
    """Start a program that has the lock, and saves at a line on its standard input."""
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


@FORKS
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


@FORKS
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


@FORKS
def test_stopped_holder_saves_over_the_token_it_knows(folder: Path) -> None:
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


@FORKS
def test_readers_see_whole_tokens(folder: Path) -> None:
    """A load without the lock, while another program saves, gets one token or the other."""
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from pipedrive_oauth_client.stores import FileTokenStore\n"
        "from tests.stores.test_file_faults import numbered\n"
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
