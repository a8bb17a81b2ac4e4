"""A shell in a pseudo-terminal, and what a user types and sees there."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import termios
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from attrs import define

__all__ = ["Screen", "shell"]

_TIMEOUT_SECONDS = 30
_CONTROL_SEQUENCES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07|\r")
PROMPT = "ready> "


@define
class Screen:
    """The user's side of a terminal.

    Attributes:
        master: The file descriptor of the user's side.
        shown: All output so far.
    """

    master: int
    shown: str = ""

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self.master, keys.encode())

    def wait_for(self, pattern: str, *, after: int) -> re.Match[str]:
        """Read until something is shown, and return the match.

        Args:
            pattern: A regular expression.
            after: Where in `shown` to begin to look.
        """
        end = time.monotonic() + _TIMEOUT_SECONDS
        while (found := re.search(pattern, self.shown[after:], re.DOTALL)) is None:
            assert time.monotonic() < end, f"{pattern!r} is not in {self.shown[after:]!r}"
            if select.select([self.master], [], [], 0.2)[0]:
                self.shown += os.read(self.master, 65_536).decode(errors="replace")
        return found

    def run(self, line: str) -> str:
        """Run a line in the shell, and return its output without control sequences."""
        before = len(self.shown)
        self.type(f"{line}\n")
        return self.rest(before)

    def rest(self, before: int) -> str:
        """Wait for the shell's prompt, and return what was shown before it."""
        found = self.wait_for(rf"\n(?P<text>.*?)[\r\n]*{re.escape(PROMPT)}", after=before)
        return _CONTROL_SEQUENCES.sub("", found["text"])


@contextmanager
def shell(environ: dict[str, str], folder: Path, *, columns: int = 100) -> Generator[Screen]:
    """Start a shell in a pseudo-terminal.

    Args:
        environ: Its whole environment.
        folder: Where it starts.
        columns: How wide the terminal is.
    """
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (40, columns))
    shell_environ = {**environ, "PS1": PROMPT, "TERM": "xterm", "HISTFILE": ""}
    process = subprocess.Popen(
        ["/bin/sh", "-i"],
        cwd=folder,
        env=shell_environ,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=lambda: os.login_tty(0),  # noqa: PLW1509 - there is no other way
    )
    os.close(slave)
    screen = Screen(master)
    try:
        screen.wait_for(re.escape(PROMPT), after=0)
        yield screen
    finally:
        process.kill()
        process.wait(20)
        os.close(master)
