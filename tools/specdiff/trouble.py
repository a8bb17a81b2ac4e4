"""What is said where two specs can't be compared."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn


class CannotCompareError(Exception):
    """One of the two specs can't be found, read or understood.

    Its text is one line that says what is wrong and where.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(" ".join(message.split())))


def printable(text: str) -> str:
    """Take out what a terminal would obey instead of showing it."""
    return "".join(each if each.isprintable() else " " for each in text)


def outcome(program: str, work: Callable[[], int]) -> int:
    """Do the work of a command; where it fails, say so in one line.

    Args:
        program: The command's name.
        work: The work, which returns the exit status.

    Returns:
        The exit status: that of the work, or 2.
    """
    try:
        return work()
    except CannotCompareError as error:
        print(f"{program}: {error}", file=sys.stderr)
    except BrokenPipeError:
        _write_nothing_more()  # whoever read the output has enough of it
    except OSError as error:
        print(f"{program}: {printable(str(error))}", file=sys.stderr)
        _write_nothing_more()
    return 2


def _write_nothing_more() -> None:
    """Keep Python from writing at its exit what could not be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def as_program(main: Callable[[], int]) -> NoReturn:
    """Run a command as this process, and leave no temporary folder behind when it is stopped."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, lambda received, _frame: sys.exit(128 + received))
    if sys.stdout is None:  # closed by the caller
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        # Specs hold all scripts; not every terminal does.
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    try:
        status = main()
    except KeyboardInterrupt:
        status = 128 + signal.SIGINT
    sys.exit(status)
