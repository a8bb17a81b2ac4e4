"""A test that hangs is ended, is named, and the others run."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import pytest

from tests.support import time_limits

ROOT: Final = Path(__file__).parents[1]
LIMIT_SECONDS: Final = 5
# Each of these starts a pytest that waits for that long, and starts processes of its own.
pytestmark = pytest.mark.timeout(300)
HANGING: Final = """
import queue, threading
from concurrent.futures import ThreadPoolExecutor

def test_first():
    pass

def test_waits_for_a_queue():
    waits_here = queue.Queue()
    waits_here.get()

{more}

def test_last():
    pass
"""
FAILED: Final = "FAILED test_hanging.py::test_waits_for_a_queue - Failed: Timeout"
STUBBORN: Final = """
def test_cleans_up_without_end():
    event = threading.Event()
    with ThreadPoolExecutor() as pool:
        pool.submit(event.wait)
        event.wait()
"""


def test_limit_is_under_two_minutes(pytestconfig: pytest.Config) -> None:
    """However a test hangs, it is over within two minutes."""
    assert time_limits.hard_end(float(pytestconfig.getini("timeout"))) <= 120


def run(folder: Path, source: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run tests with the settings of this project, and a limit of a few seconds."""
    file = folder / "test_hanging.py"
    file.write_text(source, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "--rootdir"]
    command += [str(folder), "-p", "tests.support.time_limits", "-p", "no:cacheprovider"]
    command += ["-o", f"timeout={LIMIT_SECONDS}", *arguments, str(file)]
    begin = time.monotonic()
    done = subprocess.run(
        command, cwd=folder, env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert time.monotonic() - begin >= LIMIT_SECONDS
    return done


def test_hanging_test_fails_and_the_others_run(tmp_path: Path) -> None:
    """A test that waits for ever is named with the line that it stood in, and one test failed."""
    done = run(tmp_path, HANGING.format(more=""))
    assert done.returncode == 1, done.stderr
    assert "1 failed, 2 passed" in done.stdout
    assert FAILED in done.stdout
    assert ">       waits_here.get()" in done.stdout


def test_stubborn_test_is_ended(tmp_path: Path) -> None:
    """A test that hangs in its clean-up as well ends the run, which prints where it stood."""
    done = run(tmp_path, HANGING.format(more=STUBBORN), "-k", "without_end")
    assert done.returncode == 1
    assert "in test_cleans_up_without_end" in done.stderr


def test_several_processes(tmp_path: Path) -> None:
    """With `-n` both are named with where they stood, and all others have their result."""
    done = run(tmp_path, HANGING.format(more=STUBBORN), "-n", "2")
    assert done.returncode == 1, done.stderr
    assert "2 failed, 2 passed" in done.stdout
    assert FAILED in done.stdout
    assert ">       waits_here.get()" in done.stdout
    assert "crashed while running 'test_hanging.py::test_cleans_up_without_end'" in done.stdout
    assert "in test_cleans_up_without_end" in done.stderr


def test_bounded_waits_end(tmp_path: Path) -> None:
    """A named pipe that is not written, a child and a process that do not end fail the test."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(AssertionError, match="was not written"):
        time_limits.read_fifo(tmp_path / "pipe", 0.05)
    command = [sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(60)"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        with pytest.raises(AssertionError, match="did not end"):
            time_limits.ended_child(process.pid, 0.05)
        process.returncode = -9
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        with time_limits.killed_after(process, 0.05):
            assert list(process.stdout) in ([], ["ready\n"])


def test_named_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    """All that a writer writes is read, however long it takes to come."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    program = "import pathlib, sys, time; time.sleep(0.1); f = pathlib.Path(sys.argv[1]).open('w')"
    program += "; f.write('one'); f.flush(); time.sleep(0.1); f.write('two')"
    with subprocess.Popen([sys.executable, "-c", program, str(pipe)]):
        assert time_limits.read_fifo(pipe) == "onetwo"
