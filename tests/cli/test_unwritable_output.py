"""Output that cannot be written: full disks, closed pipes, closed streams.

Each command runs in its own process with a minimal environment: how Python writes its output, and
where that fails, depends on environment variables.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx
import pytest

from pipedrive_oauth_client import Token
from pipedrive_oauth_client.sandbox import SandboxServer
from pipedrive_oauth_client.stores import FileTokenStore
from tests.cli.conftest import COMMAND
from tests.support.time_limits import killed_after

FULL: Final = Path("/dev/full")
NO_SPACE: Final = "Cannot write the output: No space left on device."
COMMANDS: Final = (
    "header",
    "header --json",
    "refresh --all --older-than 0d",
    "refresh acme",
    "refresh acme --json",
    "revoke acme --yes",
    "sandbox",
    "status",
    "status --json",
    "token",
    "token --json",
    "token --help",
    "--help",
    "--version",
    "--show-completion bash",
)
needs_full_disk = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")


@pytest.fixture
def bare(environ: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """A minimal environment for a command."""
    system = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    # There may be no shell among the processes above this one, where Typer looks for it.
    shell = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    return {**system, "HOME": str(tmp_path), "LANG": "C.UTF-8", **shell, **environ}


@pytest.fixture(autouse=True)
def stored(store: FileTokenStore, granted: Callable[[], Token]) -> Token:
    """A stored token."""
    token = granted()
    store.save("acme", token)
    return token


@pytest.fixture(params=["buffered", "unbuffered"])
def buffered_or_not(request: pytest.FixtureRequest, bare: dict[str, str]) -> dict[str, str]:
    """The minimal environment, with buffered and with unbuffered output."""
    return bare | ({"PYTHONUNBUFFERED": "1"} if request.param == "unbuffered" else {})


@contextmanager
def broken_pipe() -> Generator[int]:
    """Yield the writing end of a pipe whose reader is closed."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        yield writer
    finally:
        os.close(writer)


def run_process(
    environment: dict[str, str],
    command: str,
    *,
    stdout: int = subprocess.PIPE,
    stderr: int = subprocess.PIPE,
) -> subprocess.CompletedProcess[str]:
    """Run a command in exactly this environment."""
    return subprocess.run(
        [*COMMAND, *command.split()],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        text=True,
        check=False,
        timeout=60,
    )


def run_in_shell(
    environment: dict[str, str], command: str, redirection: str
) -> subprocess.CompletedProcess[str]:
    """Run a command with a shell's redirection, in exactly this environment."""
    return subprocess.run(
        ["/bin/sh", "-c", f'"$@" {redirection}', "sh", *COMMAND, *command.split()],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@needs_full_disk
@pytest.mark.parametrize("command", COMMANDS)
def test_full_disk(bare: dict[str, str], command: str) -> None:
    """A full disk is an error in one line, with code 1."""
    with FULL.open("wb") as full:
        done = run_process(bare, command, stdout=full.fileno())
    assert done.returncode == 1, done.stderr
    if "--json" in command:
        error = {"reason": "unexpected", "message": NO_SPACE, "exit_code": 1}
        assert done.stderr == json.dumps({"error": error}) + "\n"
    else:
        assert done.stderr == f"Error: {NO_SPACE}\n"


@needs_full_disk
@pytest.mark.parametrize("command", ["status", "token", "token --help"])
def test_full_disk_unbuffered(bare: dict[str, str], command: str) -> None:
    """The same is true for unbuffered output."""
    with FULL.open("wb") as full:
        done = run_process({**bare, "PYTHONUNBUFFERED": "1"}, command, stdout=full.fileno())
    assert (done.returncode, done.stderr) == (1, f"Error: {NO_SPACE}\n")


@needs_full_disk
def test_login_on_full_disk_keeps_its_token(
    bare: dict[str, str], store: FileTokenStore, box: SandboxServer
) -> None:
    """A login whose result cannot be written has stored the token, and reports the error."""
    arguments = [*COMMAND, "login", "--no-browser", "--account", "late"]
    with (
        FULL.open("wb") as full,
        subprocess.Popen(
            arguments, env=bare, stdout=full, stderr=subprocess.PIPE, text=True
        ) as process,
    ):
        assert process.stderr is not None
        with killed_after(process):
            url = next(line.strip() for line in process.stderr if "/oauth/authorize?" in line)
        httpx.get(box.visit(url), trust_env=False, timeout=20).raise_for_status()
        _out, err = process.communicate(timeout=60)
    assert process.returncode == 1, err
    assert err.splitlines()[-1] == f"Error: {NO_SPACE}"
    assert "Exception ignored" not in err
    assert store.load("late") is not None


@pytest.mark.parametrize("command", COMMANDS[::2])
def test_closed_pipe(bare: dict[str, str], command: str) -> None:
    """If the reader has closed the output, the command ends silently with code 141."""
    with broken_pipe() as writer:
        done = run_process(bare, command, stdout=writer)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("command", ["status", "token", "token --json", "--help"])
def test_closed_pipe_unbuffered(bare: dict[str, str], command: str) -> None:
    """The same is true for unbuffered output."""
    with broken_pipe() as writer:
        done = run_process({**bare, "PYTHONUNBUFFERED": "1"}, command, stdout=writer)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("command", ["token", "status --json"])
def test_closed_output(buffered_or_not: dict[str, str], command: str) -> None:
    """A command whose output is closed from the start ends silently with code 141."""
    done = run_in_shell(buffered_or_not, command, ">&-")
    assert (done.returncode, done.stdout, done.stderr) == (141, "", "")


def test_read_only_output(buffered_or_not: dict[str, str]) -> None:
    """An output that was opened for reading is an error in one line."""
    done = run_in_shell(buffered_or_not, "token", "1</dev/null")
    assert done.returncode == 1
    assert done.stderr == "Error: Cannot write the output: Bad file descriptor.\n"


@needs_full_disk
@pytest.mark.parametrize(("command", "code"), [("token unknown", 3), ("--nonsense", 2)])
def test_full_error_output(buffered_or_not: dict[str, str], command: str, code: int) -> None:
    """If the error message cannot be written, the exit code is still that of the error."""
    with FULL.open("wb") as full:
        done = run_process(buffered_or_not, command, stderr=full.fileno())
    assert (done.returncode, done.stdout) == (code, "")


@pytest.mark.parametrize(("command", "code"), [("token unknown", 3), ("--nonsense", 2)])
def test_closed_error_output(bare: dict[str, str], command: str, code: int) -> None:
    """A closed standard error, or one without a reader, does not change the exit code."""
    assert run_in_shell(bare, command, "2>&-").returncode == code
    with broken_pipe() as writer:
        assert run_process(bare, command, stderr=writer).returncode == code


@needs_full_disk
@pytest.mark.parametrize(
    ("redirection", "code"),
    [(">/dev/full 2>&1", 1), (">/dev/full 2>&-", 1), (">&- 2>&-", 141), (">&- 2>/dev/full", 141)],
)
def test_both_outputs(buffered_or_not: dict[str, str], redirection: str, code: int) -> None:
    """If neither output works, the exit code is that of standard output."""
    done = run_in_shell(buffered_or_not, "token", redirection)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


WITHOUT_TYPER = """
import sys
sys.modules["typer"] = None
from pipedrive_oauth_client.cli.__main__ import main
sys.exit(main(["status"]))
"""


@needs_full_disk
def test_without_the_extra(bare: dict[str, str]) -> None:
    """Without the extra the command ends with code 2, even if it cannot write the reason."""
    arguments = [sys.executable, "-c", WITHOUT_TYPER]
    for full, lines in ((False, 1), (True, 0)):
        with FULL.open("wb") as disk:
            done = subprocess.run(
                arguments, env=bare, stdout=subprocess.DEVNULL, text=True, check=False, timeout=60,
                stderr=disk if full else subprocess.PIPE,
            )  # fmt: skip
        assert (done.returncode, (done.stderr or "").count("\n")) == (2, lines)


FAILS_ON_CLOSING = """
import errno, os, sys
import pipedrive_oauth_client.cli.main  # some Pythons close files while they import
from pipedrive_oauth_client.cli.__main__ import main
def close(number, close=os.close):
    close(number)
    raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
os.close = close
sys.exit(main(["header"]))
"""


def test_file_system_that_fails_on_closing(bare: dict[str, str]) -> None:
    """An error that a network file system reports only on closing is reported."""
    done = subprocess.run(
        [sys.executable, "-c", FAILS_ON_CLOSING],
        env=bare, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == f"Error: Cannot write the output: {os.strerror(errno.EDQUOT)}.\n"
