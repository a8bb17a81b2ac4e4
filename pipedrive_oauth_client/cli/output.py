"""What is written to the terminal, or wherever the output goes, and what is asked there."""

from __future__ import annotations

import getpass
import json
import os
import sys
import traceback
import warnings
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO, cast
from urllib.parse import quote, quote_plus

from attrs import define, field

from pipedrive_oauth_client.cli.exit_codes import CommandError, ExitCode, OutputClosedError
from pipedrive_oauth_client.errors import PipedriveOAuthError

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "OutputOptions",
    "ask",
    "ask_hidden",
    "can_ask",
    "checked_output",
    "console",
    "drop_unwritten",
    "finish_output",
    "format_error",
    "one_line",
    "replace_unencodable",
    "say",
    "write",
    "write_json",
]

# What is shorter is no secret, and stands in many words.
_SHORTEST = 4


@define
class OutputOptions:
    """How a command talks.

    Attributes:
        json: Whether in JSON.
        debug: Whether errors come with a traceback.
        secrets: What must not be written even there; the settings add what they have read.
    """

    json: bool = False
    debug: bool = False
    secrets: list[str] = field(factory=list[str], repr=False)


def format_error(error: BaseException, code: ExitCode, output: OutputOptions) -> str:
    """Describe an error for standard error.

    Args:
        error: The error.
        code: The exit code that belongs to it.
        output: How to say it.

    Returns:
        Lines with a line break at the end.
    """
    # What was expected says enough in its own words; of anything else the kind says most.
    message = one_line(_hidden(_words(error), output.secrets)) or type(error).__name__
    if code is ExitCode.UNEXPECTED and not isinstance(error, PipedriveOAuthError):
        where = "" if output.debug else " (--debug shows where)"
        message = f"{type(error).__name__}: {message}{where}"
    lines = ""
    if output.debug and error.__traceback__ is not None:
        # Without the variables of the frames, which hold tokens.
        told = traceback.format_exception(error)
        text = _hidden("".join(told), output.secrets)
        lines = "".join(each if each.isprintable() or each == "\n" else " " for each in text)
    if output.json:
        told_in_json = {"reason": code.name.lower(), "message": message, "exit_code": int(code)}
        return f"{lines}{json.dumps({'error': told_in_json})}\n"
    return f"{lines}Error: {message}\n"


def _words(error: BaseException) -> str:
    # In the library the cause is at hand; here only what is said of it.
    if error.__cause__ is None:
        return str(error)
    return str(error).replace("the cause says why.", f"the cause: {error.__cause__}")


def one_line(text: str) -> str:
    """Make a text of others fit for a terminal: one line, and nothing that steers it.

    Args:
        text: The text.

    Returns:
        The same words.
    """
    shown = "".join(each if each.isprintable() else " " for each in text)
    return " ".join(shown.split())


def _hidden(text: str, secrets: Sequence[str]) -> str:
    for secret in sorted(_spellings(secrets), key=len, reverse=True):
        text = text.replace(secret, "<hidden>")
    return text


def _spellings(secrets: Iterable[str]) -> set[str]:
    spelled = {form(each) for each in secrets for form in (str, _quoted, quote_plus, repr)}
    return {each for each in spelled if len(each.strip("'\"")) >= _SHORTEST}


def _quoted(text: str) -> str:
    return quote(text, safe="")


def replace_unencodable() -> None:
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
