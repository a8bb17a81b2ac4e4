"""Work that is done once and stays done: what sets up .venv and the spec linter share.

Two things keep such work right whenever it is stopped, run twice at once, or overtaken by a change:

- A stamp is removed before the first change and written after the last. It says what the work was
  made from; where it is missing or says something else, the work is done anew.
- A lock file is held by this process and by every process it starts. Whoever comes second waits,
  also for a pip that outlived its killed parent.

Standard library only: this runs before anything is installed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from pathlib import Path

WAIT_SECONDS = 900.0
FULL_DISK = "No space left on device|ENOSPC"
FULL_DISK_BYTES = 2**20


class SetupError(Exception):
    """Says in one line what went wrong and what to do."""


def ensure(
    stamp: Path,
    wanted: Callable[[], Mapping[str, str]],
    work: Callable[[list[str], int], None],
    *,
    lock_file: Path,
    usable: Callable[[], bool],
) -> None:
    """Do `work` unless `stamp` says that it is done already.

    Args:
        stamp: The file that says what the finished work was made from.
        wanted: Returns what it has to be made from, each part under its name.
        work: Does it, given the reasons and the descriptor of the lock for `run_logged`.
        lock_file: Held while the work is done. It lies outside whatever the work removes.
        usable: Whether what the stamp stands for is still there.

    Raises:
        SetupError: The work failed, or somebody else's was not finished in time.
    """
    if not reasons_to_work(stamp, wanted(), usable):
        return
    with held(lock_file) as lock:
        # Read before the work: a file that changes meanwhile must show as a difference next time.
        target = wanted()
        reasons = reasons_to_work(stamp, target, usable)
        if not reasons:
            return
        with contextlib.suppress(NotADirectoryError):
            stamp.unlink(missing_ok=True)
        work(reasons, lock)
        lines = [f"{name}: {value}\n" for name, value in target.items()]
        unfinished = stamp.with_name(stamp.name + ".new")
        unfinished.write_text("".join(lines), encoding="utf-8")
        unfinished.replace(stamp)


def reasons_to_work(
    stamp: Path, wanted: Mapping[str, str], usable: Callable[[], bool]
) -> list[str]:
    """Return why the work has to be done; nothing if it is done."""
    try:
        lines = stamp.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return ["no finished set-up here"]
    if not usable():
        return ["part of it is gone"]
    pairs = [line.partition(": ") for line in lines]
    found = {name: value for name, _colon, value in pairs}
    return [f"{name} changed" for name, value in wanted.items() if found.get(name) != value]


@contextlib.contextmanager
def held(lock_file: Path, wait_seconds: float = WAIT_SECONDS) -> Generator[int]:
    """Hold `lock_file`, waiting for whoever has it.

    Yields:
        The lock's descriptor. A process that inherits it holds the lock as well.

    Raises:
        SetupError: The lock was not free within `wait_seconds`.
    """
    with lock_file.open("ab") as file:
        gives_up = time.monotonic() + wait_seconds
        waiting = False
        while not taken(file.fileno()):
            if time.monotonic() >= gives_up:
                raise SetupError(
                    f"another set-up has held {lock_file} for {wait_seconds:.0f} seconds;"
                    " end that one, then run this again"
                )
            if not waiting:
                say("waiting for another set-up to finish")
                waiting = True
            time.sleep(0.1)
        yield file.fileno()


def taken(descriptor: int) -> bool:
    """Try to take the lock on an open file, without waiting."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def run_logged(
    command: Sequence[str],
    *,
    log: Path,
    lock: int,
    trouble: Mapping[str, str],
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> None:
    """Run a command with its output in `log`, and turn a failure into one line.

    Args:
        command: The program and its arguments.
        log: The file to append to.
        lock: Descriptor of the held lock. The command inherits it, so that the lock stays held for
            as long as the command runs, even if this process is killed.
        trouble: What to do about a failure, by a regular expression for what was printed. The
            first that fits is told.
        environment: Environment variables, if not this process's own.
        folder: Where to run, if not here.

    Raises:
        SetupError: The command failed.
    """
    with log.open("ab+") as output:
        began = output.seek(0, os.SEEK_END)
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=folder,
            pass_fds=[lock],
            check=False,
        )
        output.seek(began)
        printed = output.read().decode("utf-8", "replace")
    if done.returncode != 0:
        print(*printed.splitlines()[-12:], sep="\n", file=sys.stderr)
        # On a full disk the log may have nothing to say.
        if shutil.disk_usage(log.parent).free < FULL_DISK_BYTES or re.search(FULL_DISK, printed):
            raise SetupError("the disk is full; free some space and run it again")
        fitting = (line for sign, line in trouble.items() if re.search(sign, printed))
        raise SetupError(next(fitting, f"a step failed; all it printed is in {log}"))


def fingerprint(file: Path) -> str:
    """Return the SHA-256 of a file's content."""
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise SetupError(f"can't read {file}: {error.strerror}; restore it from git") from error


def say(line: str) -> None:
    """Tell the person at the terminal what is going on."""
    print(f"setup: {line}", file=sys.stderr, flush=True)


def exit_code(work: Callable[[], None]) -> int:
    """Do `work` and return the exit code; a failure is told in one line."""
    try:
        work()
    except SetupError as error:
        say(str(error))
        return 1
    except OSError as error:
        say(f"{error}; put that right and run it again")
        return 1
    except KeyboardInterrupt:
        say("stopped halfway; run it again to finish")
        return 130
    return 0
