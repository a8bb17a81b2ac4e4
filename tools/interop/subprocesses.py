"""Programs that a part starts: without proxies, bounded in time, ended with the part.

A subprocess stays in this process's group, so that whatever ends the group ends it, too. A part
that finds something wrong raises `DifferenceError`.
"""

from __future__ import annotations

import contextlib
import queue
import re
import subprocess
import threading
import time
from typing import TYPE_CHECKING

from tools.environments import clean_environ

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from pathlib import Path

# None of these programs has to reach anything but this machine; those that install packages do.
PROXIES = {f"{scheme}_proxy" for scheme in ("http", "https", "all", "ftp")}
QUIET = {
    "DO_NOT_TRACK": "1",
    "NO_COLOR": "1",
    "NO_UPDATE_NOTIFIER": "1",
    "PYTHONUTF8": "1",
    "PYTHONUNBUFFERED": "1",
}
GRACE_SECONDS = 5.0
LAST_LINES = 60


class DifferenceError(Exception):
    """Says in one line what differs; `output` is the end of what the other program printed."""

    def __init__(self, line: str, output: str = "") -> None:
        super().__init__(line)
        self.output = "\n".join(output.splitlines()[-LAST_LINES:])


def expect(condition: bool, otherwise: str, output: str = "") -> None:
    """Raise `DifferenceError` unless a condition holds."""
    if not condition:
        raise DifferenceError(otherwise, output)


def expect_equal(found: object, wanted: object, what: str, output: str = "") -> None:
    """Raise `DifferenceError`, with both values, unless they are equal."""
    expect(found == wanted, f"{what}: {wanted!r} expected, {found!r} found", output)


def environment(extra: Mapping[str, str] | None = None, *, network: bool = False) -> dict[str, str]:
    """Return a subprocess's environment variables; with `network` they name the proxies."""
    kept = {
        name: value
        for name, value in clean_environ().items()
        if network or name.lower() not in PROXIES
    }
    loopback = {} if network else {"NO_PROXY": "*", "no_proxy": "*"}
    return {**kept, **loopback, **QUIET, **(extra or {})}


def run(
    command: Sequence[str],
    *,
    what: str,
    seconds: float,
    folder: Path,
    variables: Mapping[str, str],
    reasons: str = "$^",
    text: str = "",
) -> str:
    """Run a program to its end and return all that it printed.

    Args:
        command: The program and its arguments.
        what: What to call it when it fails.
        seconds: How long it may take.
        folder: Where to run it.
        variables: All its environment variables.
        reasons: A regular expression for the lines in which it says why it failed.
        text: What it reads on its standard input.

    Raises:
        DifferenceError: It failed or took too long.
    """
    try:
        done = subprocess.run(
            command,
            input=text,
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
        printed = error.stdout.decode("utf-8", "replace") if error.stdout else ""
        raise DifferenceError(f"{what} took more than {seconds:.0f} seconds", printed) from error
    if done.returncode != 0:
        why = re.findall(reasons, done.stdout, re.MULTILINE)
        line = "; ".join([f"{what} failed (exit code {done.returncode})", *why])
        raise DifferenceError(line, done.stdout)
    return done.stdout


class Subprocess:
    """A running program that reads and writes lines."""

    def __init__(self, process: subprocess.Popen[str], what: str, seconds: float) -> None:
        self._process = process
        self._what = what
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._printed: list[str] = []
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        # Reads to the end, so that the program never waits for a full pipe.
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def printed(self) -> str:
        """All that it has printed so far."""
        return "\n".join(self._printed)

    def read_after(self, prefix: str) -> str:
        """Wait for a line that contains `prefix` and return what follows it there."""
        while True:
            try:
                line = self._lines.get(timeout=max(self._deadline - time.monotonic(), 0))
            except queue.Empty:
                raise self._timeout() from None
            if line is None:
                raise DifferenceError(f"{self._what} ended without {prefix!r}", self.printed)
            _before, found, rest = line.partition(prefix)
            if found:
                return rest.strip()

    def write_line(self, line: str) -> None:
        """Send it a line; the next `read_after` finds out about a program that has ended."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(line + "\n")
                self._process.stdin.flush()

    def wait(self) -> None:
        """Wait for its end, which has to be a success."""
        try:
            code = self._process.wait(max(self._deadline - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            raise self._timeout() from None
        self._reader.join(GRACE_SECONDS)
        expect(code == 0, f"{self._what} failed (exit code {code})", self.printed)

    def stop(self) -> None:
        """End it, whatever it is doing."""
        self._process.terminate()
        try:
            self._process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(GRACE_SECONDS)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def _read(self) -> None:
        if self._process.stdout is not None:
            for line in self._process.stdout:
                self._printed.append(line.rstrip("\n"))
                self._lines.put(line)
        self._lines.put(None)

    def _timeout(self) -> DifferenceError:
        return DifferenceError(
            f"{self._what} took more than {self._seconds:.0f} seconds", self.printed
        )


@contextlib.contextmanager
def started(
    command: Sequence[str], *, what: str, seconds: float, folder: Path, variables: Mapping[str, str]
) -> Generator[Subprocess]:
    """Start a program that reads and writes lines; it has ended when the `with` block has."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        env=dict(variables),
        cwd=folder,
    )
    running = Subprocess(process, what, seconds)
    try:
        yield running
    finally:
        running.stop()
