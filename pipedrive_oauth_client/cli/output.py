"""Output, error messages and prompts: whatever reaches the user's terminal."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import sys
import textwrap
import traceback
import warnings
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO, cast
from urllib.parse import quote, quote_plus

from attrs import define, field

from pipedrive_oauth_client.cli.exit_codes import CommandError, ExitCode, OutputClosedError
from pipedrive_oauth_client.errors import PipedriveOAuthError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

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
    "print_parts",
    "progress_bar",
    "replace_unencodable",
    "safe_message",
    "say",
    "say_prose",
    "write",
    "write_json",
]

# A shorter text is no secret, and occurs in many words.
_MIN_SECRET_LENGTH = 4


@define(eq=False)
class OutputOptions:
    """How a command reports; `secrets` are removed even from tracebacks."""

    json: bool = False
    debug: bool = False
    secrets: list[str] = field(factory=list[str], repr=False)


def format_error(error: BaseException, code: ExitCode, output: OutputOptions) -> str:
    """Return what standard error says about an error: one line, after a traceback with --debug."""
    # The message of an unexpected error says little without its type.
    message = safe_message(str(error), error, output) or type(error).__name__
    if code is ExitCode.UNEXPECTED and not isinstance(error, PipedriveOAuthError):
        where = "" if output.debug else " (--debug shows where)"
        message = f"{type(error).__name__}: {message}{where}"
    lines = ""
    if output.debug and error.__traceback__ is not None:
        # Without the variables of the frames, which hold tokens.
        text = _redact("".join(traceback.format_exception(error)), output.secrets)
        lines = "".join(each if each.isprintable() or each == "\n" else " " for each in text)
    if output.json:
        details = {"reason": code.name.lower(), "message": message, "exit_code": int(code)}
        return f"{lines}{json.dumps({'error': details})}\n"
    return f"{lines}Error: {message}\n"


def safe_message(text: str, error: BaseException | None, output: OutputOptions) -> str:
    """Return the message of an error, with its cause where it refers to it, without secrets."""
    # A developer can look at the cause; a user sees only this message.
    if error is not None and error.__cause__ is not None:
        text = text.replace("the cause says why.", f"the cause: {error.__cause__}")
    return one_line(_redact(text, output.secrets))


def one_line(text: str) -> str:
    """Make foreign text safe for a terminal: one line without control characters."""
    shown = "".join(each if each.isprintable() else " " for each in text)
    return " ".join(shown.split())


def _redact(text: str, secrets: Sequence[str]) -> str:
    for secret in sorted(_encodings(secrets), key=len, reverse=True):
        text = text.replace(secret, "<hidden>")
    return text


def _encodings(secrets: Iterable[str]) -> set[str]:
    encoded = {form(each) for each in secrets for form in (str, _quoted, quote_plus, repr)}
    return {each for each in encoded if len(each.strip("'\"")) >= _MIN_SECRET_LENGTH}


def _quoted(text: str) -> str:
    return quote(text, safe="")


def replace_unencodable() -> None:
    """Escape characters that the terminal's encoding lacks, instead of failing on them."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


class _CheckedOutput:
    """Standard output that raises the command's own errors, also for what Typer writes."""

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
    """Turn each failure to write to standard output into one of the command's own errors."""
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
        reason = error.strerror or type(error).__name__
        raise CommandError(f"Cannot write the output: {reason}.", ExitCode.UNEXPECTED) from error


def write(text: str) -> None:
    """Write a result to standard output, and flush it."""
    # There is none if the command was started with its standard output closed.
    out: TextIO | None = sys.stdout
    if out is None:
        raise OutputClosedError("Standard output is closed.")
    with _output_errors():
        out.write(text)
        out.flush()


def finish_output() -> None:
    """Flush standard output, and let the file system report errors that only closing shows."""
    write("")
    with _output_errors():
        try:
            number = sys.stdout.fileno()
        except (AttributeError, ValueError):
            return  # not a file
        # Network file systems and quotas may reject data only here. Closing a copy triggers that,
        # and leaves the stream open for a program that calls this.
        os.close(os.dup(number))


def drop_unwritten() -> None:
    """Drop output that cannot be written, so that the interpreter does not fail on it at exit."""
    # It would print lines of its own, and replace the exit code with 120.
    streams: tuple[TextIO | None, ...] = (sys.stdout, sys.stderr)
    for stream in streams:
        if stream is None:
            continue
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                devnull = os.open(os.devnull, os.O_WRONLY)
                os.dup2(devnull, stream.fileno())
                os.close(devnull)


def write_json(value: object) -> None:
    """Write a value to standard output as one line of JSON, in ASCII."""
    write(json.dumps(value) + "\n")


def say(text: str) -> None:
    """Write a message to standard error; the text has no line break at its end."""
    err: TextIO | None = sys.stderr
    if err is not None:
        with suppress(OSError, ValueError):
            err.write(text + "\n")
            err.flush()


def say_prose(text: str) -> None:
    """Write sentences to standard error, broken at words where it is a terminal."""
    err: TextIO | None = sys.stderr
    if err is not None and err.isatty():
        width = max(shutil.get_terminal_size().columns - 1, 20)
        text = textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)
    say(text)


def console(stream: TextIO, *, width: int | None = None) -> Console:
    """Return a Rich console, which handles colors, NO_COLOR and dumb terminals."""
    from rich.console import Console  # noqa: PLC0415 - few commands need it

    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False)


def print_parts(terminal: Console, *parts: RenderableType) -> None:
    """Print what Rich can render to standard output."""
    with terminal.capture() as captured:
        for part in parts:
            terminal.print(part)
    # Not written by Rich, which exits the whole program when the reader has closed the output.
    write("".join(f"{line.rstrip(' ')}\n" for line in captured.get().splitlines()))


@contextmanager
def progress_bar(
    label: str, count: Callable[[], int]
) -> Generator[Callable[[int, int], object] | None]:
    """Show a bar if standard error is a terminal; it is called with how many are done and failed.

    `count` gives the total, and is called only for a bar.
    """
    err: TextIO | None = sys.stderr
    if err is None or not err.isatty():
        yield None
        return
    from rich.progress import (  # noqa: PLC0415 - only for a terminal
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
    )

    with Progress(
        TextColumn(label),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failed]}"),
        console=console(err),
        transient=True,
    ) as bar:
        task = bar.add_task("", total=count(), failed="")

        def update(done: int, failed: int) -> None:
            bar.update(task, completed=done, failed=f"{failed} failed" if failed else "")

        yield update


def can_ask() -> bool:
    """Return whether the command can prompt: input and standard error are a terminal."""
    streams: tuple[TextIO | None, ...] = (sys.stdin, sys.stderr)
    return all(each is not None and not each.closed and each.isatty() for each in streams)


def ask(question: str) -> str:
    """Prompt for a line."""
    sys.stderr.write(f"{question} ")
    sys.stderr.flush()
    return _checked_input(sys.stdin.readline())


def ask_hidden(question: str) -> str:
    """Prompt for a line that is not shown while it is typed."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            return _checked_input(getpass.getpass(f"{question} ", stream=sys.stderr) + "\n")
        except (EOFError, getpass.GetPassWarning) as error:
            raise CommandError(
                "This terminal cannot hide what is typed. Use an environment variable or a file.",
                ExitCode.USAGE,
            ) from error


def _checked_input(line: str) -> str:
    if not line:
        raise CommandError("The input ended before the prompt was answered.", ExitCode.USAGE)
    return line.strip()
