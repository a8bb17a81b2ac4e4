"""What is written to the terminal, or wherever the output goes, and what is asked there."""

from __future__ import annotations

import getpass
import json
import os
import sys
import warnings
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO, cast

from pipedrive_oauth_client.cli.exit_codes import CommandError, ExitCode, OutputClosedError

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "ask",
    "ask_hidden",
    "can_ask",
    "checked_output",
    "console",
    "drop_unwritten",
    "finish_output",
    "prepare",
    "say",
    "write",
    "write_json",
]


def prepare() -> None:
    """Let no character that a terminal can't show end the command."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


class _CheckedOutput:
    """Standard output that fails with the command's own errors, for Typer's texts as well."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with _output_errors():
            return self._stream.write(text)

    def flush(self) -> None:
        with _output_errors():
            self._stream.flush()


@contextmanager
def checked_output() -> Generator[None]:
    """Turn each failure to write to standard output into an error of the command."""
    before: TextIO | None = sys.stdout
    if before is not None:
        sys.stdout = cast("TextIO", _CheckedOutput(before))
    try:
        yield
    finally:
        sys.stdout = cast("TextIO", before)


@contextmanager
def _output_errors() -> Generator[None]:
    try:
        yield
    except BrokenPipeError as error:
        raise OutputClosedError("Standard output is closed.") from error
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise CommandError(f"The output can't be written: {why}.", ExitCode.UNEXPECTED) from error


def write(text: str) -> None:
    """Write what the command is for to standard output, and make sure that it got there.

    Args:
        text: The text, line breaks included.

    Raises:
        OutputClosedError: The reader has closed it.
        CommandError: It can't be written.
    """
    # Python has none where the command was started with its output closed.
    out: TextIO | None = sys.stdout
    if out is None:
        raise OutputClosedError("Standard output is closed.")
    with _output_errors():
        out.write(text)
        out.flush()


def finish_output() -> None:
    """Write what is left, and have the file system report what it reports on closing alone.

    Raises:
        OutputClosedError: There is no standard output, or its reader has closed it.
        CommandError: It can't be written.
    """
    write("")
    with _output_errors():
        try:
            number = sys.stdout.fileno()
        except (AttributeError, ValueError):
            return  # not a file
        # Network file systems and quotas may refuse data only here. Closing a copy asks them, and
        # leaves the stream to a program that has called this.
        os.close(os.dup(number))


def drop_unwritten() -> None:
    """Drop what can't be written, so that the interpreter does not fail on it when it exits.

    It would print lines of its own, and replace the exit code by 120.
    """
    streams: tuple[TextIO | None, ...] = (sys.stdout, sys.stderr)
    for stream in streams:
        if stream is None:
            continue
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)


def write_json(value: object) -> None:
    """Write a value to standard output as JSON, in ASCII and on one line.

    Args:
        value: What JSON can hold.
    """
    write(json.dumps(value) + "\n")


def say(text: str) -> None:
    """Tell the person something beside the output, on standard error.

    Args:
        text: A line or several, without the last line break.
    """
    err: TextIO | None = sys.stderr
    if err is not None:
        with suppress(OSError, ValueError):
            err.write(text + "\n")
            err.flush()


def console(stream: TextIO, *, width: int | None = None) -> Console:
    """Make a Rich console, which knows about colours, NO_COLOR and dumb terminals.

    Args:
        stream: Where it writes.
        width: How wide it is; as wide as the terminal by default.

    Returns:
        The console.
    """
    from rich.console import Console  # noqa: PLC0415 - few commands need it, and help none

    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False)


def can_ask() -> bool:
    """Tell whether a person can be asked: both ends of the conversation are a terminal."""
    ends: tuple[TextIO | None, ...] = (sys.stdin, sys.stderr)
    return all(each is not None and not each.closed and each.isatty() for each in ends)


def ask(question: str) -> str:
    """Ask the person for a line.

    Args:
        question: What is asked, without a blank at its end.

    Returns:
        The answer without blanks around it.

    Raises:
        CommandError: There is no answer.
    """
    sys.stderr.write(f"{question} ")
    sys.stderr.flush()
    return _answered(sys.stdin.readline())


def ask_hidden(question: str) -> str:
    """Ask the person for a line that is not shown while they write it.

    Args:
        question: What is asked, without a blank at its end.

    Returns:
        The answer without blanks around it.

    Raises:
        CommandError: There is no answer, or the terminal can't hide it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            return _answered(getpass.getpass(f"{question} ", stream=sys.stderr) + "\n")
        except (EOFError, getpass.GetPassWarning) as error:
            raise CommandError(
                "This terminal can't ask without showing the answer. Use the environment or a"
                " file.",
                ExitCode.USAGE,
            ) from error


def _answered(line: str) -> str:
    if not line:
        raise CommandError("There was no answer.", ExitCode.USAGE)
    return line.strip()
