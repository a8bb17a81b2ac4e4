"""Environments for this project and its tools: made once, from a lock file, and kept up to date.

Two things keep them right whenever a set-up is killed, run twice at once, or followed by a change:

- A stamp is removed before the first change and written after the last. It says what the
  environment was made from; where it is missing or differs, the environment is made anew.
- A lock file is held by this process and by every process it starts. The second set-up waits,
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
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

    # Runs one command, given the descriptor of the lock to hand on to it.
    Runner = Callable[[Sequence[str], int], None]

ROOT = Path(__file__).resolve().parent.parent
SETUP_LOCK = ROOT / ".setup.lock"
WAIT_SECONDS = 900.0
FULL_DISK = "No space left on device|ENOSPC"
FULL_DISK_BYTES = 2**20
LAST_LINES = 12

# Settings of the caller's shell that would send packages or imports somewhere else.
MISLEADING_VARIABLES = (
    "PIP_PREFIX",
    "PIP_ROOT",
    "PIP_TARGET",
    "PIP_USER",
    "PYTHONHOME",
    "PYTHONPATH",
    "__PYVENV_LAUNCHER__",
)


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
    """Hold `lock_file` and give its descriptor; a process that inherits it holds the lock too."""
    with lock_file.open("ab") as file:
        deadline = time.monotonic() + wait_seconds
        waiting = False
        while not try_lock(file.fileno()):
            if time.monotonic() >= deadline:
                raise SetupError(
                    f"another set-up has held {lock_file} for {wait_seconds:.0f} seconds;"
                    " end that one, then run this again"
                )
            if not waiting:
                say("waiting for another set-up to finish")
                waiting = True
            time.sleep(0.1)
        yield file.fileno()


def try_lock(descriptor: int) -> bool:
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
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> None:
    """Run a command with its output in `log`; a failure shows the end of it.

    Args:
        command: The program and its arguments.
        log: The file to append to.
        lock: Descriptor of the held lock. The command inherits it, so that the lock stays held for
            as long as the command runs, even if this process is killed.
        environment: Environment variables, if not this process's own.
        folder: Where to run, if not here.
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
        print(*printed.splitlines()[-LAST_LINES:], sep="\n", file=sys.stderr)
        # On a full disk the log may have nothing to say.
        if shutil.disk_usage(log.parent).free < FULL_DISK_BYTES or re.search(FULL_DISK, printed):
            raise SetupError("the disk is full; free some space and run it again")
        raise SetupError(f"a step failed, with the lines above; all of its output is in {log}")


def run_captured(
    command: Sequence[str],
    *,
    what: str,
    seconds: float,
    folder: Path,
    variables: Mapping[str, str],
) -> str:
    """Run a command within `seconds` and return its output; a failure shows the end of it."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            env=dict(variables),
            cwd=folder,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise SetupError(f"{what} took more than {seconds:.0f} seconds") from error
    if done.returncode != 0:
        print(*done.stdout.splitlines()[-60:], sep="\n", file=sys.stderr)
        raise SetupError(f"{what} failed (exit code {done.returncode})")
    return done.stdout


def make_environment(env_dir: Path, python: str, locked: Path, lock: int, run: Runner) -> None:
    """Make an environment anew, with exactly what a lock file names."""
    remove(env_dir)
    env_dir.mkdir(parents=True)
    run([python, "-I", "-m", "venv", str(env_dir)], lock)
    # Nothing is compiled here, and no package's build script runs.
    exact = ["--require-hashes", "--only-binary=:all:", "--requirement", str(locked)]
    run([*pip_install(env_dir), *exact], lock)


def tool_python(env_dir: Path, locked: Path) -> Path:
    """Return the Python of a tool's own environment, after its packages were installed.

    They are in a lock file beside the tool and installed when the tool is first run: a newcomer who
    only tests does not wait for them, and they can't hold back the versions that the project uses.
    """

    def work(reasons: list[str], lock: int) -> None:
        say(f"making {env_dir.relative_to(ROOT)} ({', '.join(reasons)})")
        make_environment(env_dir, base_python(), locked, lock, partial(run_in, env_dir))

    ensure(
        env_dir / "made-from.txt",
        lambda: {
            "Python": base_python(),
            "its place": str(env_dir),
            locked.name: fingerprint(locked),
        },
        work,
        lock_file=SETUP_LOCK,
        usable=lambda: os.access(interpreter(env_dir), os.X_OK),
    )
    return interpreter(env_dir)


def run_in(env_dir: Path, command: Sequence[str], lock: int) -> None:
    """Run a command on an environment, with its output in a file there."""
    run_logged(
        command, log=env_dir / "setup.log", lock=lock, environment=clean_environ(), folder=ROOT
    )


def pip_install(env_dir: Path) -> list[str]:
    """Return what pip's commands begin with."""
    quiet = ["--disable-pip-version-check", "--no-input", "--progress-bar=off"]
    # Bytecode is written when a module is first imported: most of it never is.
    return [str(interpreter(env_dir)), "-I", "-m", "pip", "install", "--no-compile", *quiet]


def clean_environ() -> dict[str, str]:
    """Return the variables of this process that do not send packages somewhere else."""
    return {k: v for k, v in os.environ.items() if k not in MISLEADING_VARIABLES}


def base_python() -> str:
    """Return the Python that environments are made from, also when called from inside one."""
    # `sys.executable` would be that environment's own, which is about to be removed.
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


def interpreter(env_dir: Path) -> Path:
    """Return the path of an environment's own Python."""
    return env_dir / "bin" / "python"


def supported_versions(pyproject: str) -> list[str]:
    """Return the versions that pyproject.toml's classifiers name, such as `3.11`, oldest first."""
    # No TOML parser: Python 3.10 has none, and has to get as far as the line that refuses it.
    found = re.findall(r"Programming Language :: Python :: (3\.\d+)[\"']", pyproject)
    return sorted(found, key=_numbers)


def newer_versions(versions: Sequence[str]) -> list[str]:
    """Return the three minor versions after the last one."""
    last = _numbers(versions[-1])[1]
    return [f"3.{minor}" for minor in range(last + 1, last + 4)]


def find_pythons(versions: Sequence[str]) -> dict[str, Path]:
    """Return an interpreter for each version that this machine has one of."""
    found = {v: next((p for p in candidates(v) if is_python(p, v)), None) for v in versions}
    return {version: python for version, python in found.items() if python is not None}


def candidates(version: str) -> Iterator[Path]:
    """Yield the interpreters that may be of a version: those on the PATH first, then pyenv's."""
    on_path = shutil.which(f"python{version}")
    if on_path:
        yield Path(on_path)
    roots = [os.environ.get("PYENV_ROOT"), str(Path.home() / ".pyenv")]
    for root in filter(None, dict.fromkeys(roots)):
        pythons = Path(root, "versions").glob(f"{version}.*/bin/python{version}")
        # The newest first: 3.11.10 comes after 3.11.9, not before it.
        yield from sorted(pythons, key=lambda p: _numbers(p.parents[1].name), reverse=True)


def is_python(program: Path, version: str) -> bool:
    """Tell whether a program is a Python of a version: pyenv's shims may not run one."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run(
            [str(program), "-I", "-c", code],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and done.stdout.strip() == version


def fingerprint(file: Path) -> str:
    """Return the SHA-256 of a file's content."""
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise SetupError(f"can't read {file}: {error.strerror}; restore it from git") from error


def remove(path: Path) -> None:
    """Remove whatever is at `path`; of a symbolic link only the link."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


def say(line: str) -> None:
    """Print a line about the set-up on standard error."""
    print(f"setup: {line}", file=sys.stderr, flush=True)


def exit_code(work: Callable[[], None]) -> int:
    """Do `work` and return the exit code; a failure is one line."""
    try:
        work()
    except SetupError as error:
        say(str(error))
        return 1
    except OSError as error:
        say(f"{error}; fix that and run it again")
        return 1
    except KeyboardInterrupt:
        say("stopped halfway; run it again to finish")
        return 130
    return 0


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]
