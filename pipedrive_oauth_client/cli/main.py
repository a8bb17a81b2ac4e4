"""Runs a command, and turns its result, errors and signals into an exit code and one line."""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from logging import NullHandler, getLogger
from types import FrameType
from typing import Any, Final

import typer

from pipedrive_oauth_client.cli.app import app
from pipedrive_oauth_client.cli.exit_codes import (
    CommandError,
    ExitCode,
    exit_code_of,
    exit_codes_help,
)
from pipedrive_oauth_client.cli.output import (
    OutputOptions,
    can_ask,
    checked_output,
    drop_unwritten,
    finish_output,
    format_error,
    replace_unencodable,
    say,
)

__all__ = ["run"]

_MIN_HELP_COLUMNS: Final = 52
_MAX_HELP_COLUMNS: Final = 200
_COMPLETING = "_PIPEDRIVE_OAUTH_COMPLETE"
# Messages that repeat a value, and the same without it. A short word is a misspelled command.
_VALUE_PATTERNS = (
    (r"(unexpected extra argument(?:s|\(s\))?) \(.*\)", r"\1"),
    (r"^(Invalid value for '[^']*'(?: \(env var: '\w+'\))?): .* is not ", r"\1: this is not "),
    (r"(No such command)(?! '[a-z-]{1,16}'\.) '.*'", r"\1"),
    (r"(No such option: --?[a-z-]{1,24})[^ ]*", r"\1"),
)


class _TerminatedError(BaseException):
    """The process has received SIGTERM."""


def run(arguments: Sequence[str]) -> int:
    """Run a command, and return its exit code."""
    replace_unencodable()
    # The command says itself what has happened. Python would print warnings between its lines.
    logger = getLogger("pipedrive_oauth_client")
    if not logger.hasHandlers():
        logger.addHandler(NullHandler())
    # The command line may turn out to be wrong before its options are read.
    output = OutputOptions(
        json="--json" in arguments or _is_on(os.environ.get("PIPEDRIVE_OAUTH_JSON"))
    )
    try:
        return int(_run_and_report(arguments, output))
    finally:
        drop_unwritten()


def _run_and_report(arguments: Sequence[str], output: OutputOptions) -> ExitCode:
    error: BaseException | None = None
    try:
        with _sigterm_raises(), checked_output():
            code = _invoke(list(arguments), output)
            finish_output()
    except _TerminatedError:
        code = ExitCode.TERMINATED
    except (Exception, KeyboardInterrupt) as failure:  # noqa: BLE001 - reported with its code
        code, error = exit_code_of(failure), failure
    if code is ExitCode.OUTPUT_CLOSED:
        return code
    if code in (ExitCode.INTERRUPTED, ExitCode.TERMINATED):
        error = CommandError(code.meaning, code)
        if can_ask():
            say("")  # the terminal has echoed ^C
    if error is not None:
        say(format_error(error, code, output).removesuffix("\n"))
    return code


def _invoke(arguments: list[str], output: OutputOptions) -> ExitCode:
    command: Any = typer.main.get_command(app)
    columns = shutil.get_terminal_size().columns
    command.epilog = exit_codes_help(min(columns, _MAX_HELP_COLUMNS) - 4)
    if columns < _MIN_HELP_COLUMNS:
        _narrow_help(command, columns)
    try:
        result = command.main(
            args=arguments, prog_name="pipedrive-oauth", standalone_mode=False, obj=output
        )
    except SystemExit as exited:
        # Typer exits by itself after completing a line for a shell, after showing or installing
        # the completion, and when the reader of the help has closed it.
        if os.environ.get(_COMPLETING):
            raise
        if not exited.code:
            return ExitCode.DONE
        return ExitCode.OUTPUT_CLOSED
    except typer.Abort:
        return ExitCode.INTERRUPTED
    except typer.TyperException as error:
        raise CommandError(_without_values(error.format_message()), ExitCode.USAGE) from None
    return ExitCode(result) if isinstance(result, int) else ExitCode.DONE


def _narrow_help(group: Any, columns: int) -> None:
    """Let the help fit a terminal that is narrower than Typer's least width."""
    formatter: Any = group.context_class.formatter_class

    class Formatter(formatter):  # type: ignore[misc] # a class that is known at run time
        def __init__(self, **_: Any) -> None:
            super().__init__(width=columns - 1)

        def write_dl(self, rows: Any, **_: Any) -> None:
            # An option has a line of its own, and its help the whole width below.
            is_short = all(len(first) < columns // 4 for first, _help in rows)
            super().write_dl(rows, col_max=columns // 4 if is_short else 4, col_spacing=2)

    for command in (group, *group.commands.values()):

        class Context(command.context_class):  # type: ignore[name-defined,misc] # likewise
            formatter_class = Formatter

        command.context_class = Context


def _without_values(message: str) -> str:
    # A user may have typed a secret on the command line; it must not appear again.
    for pattern, without in _VALUE_PATTERNS:
        message = re.sub(pattern, without, message, flags=re.DOTALL)
    return message


def _is_on(value: str | None) -> bool:
    return (value or "").strip().lower() in ("1", "true", "t", "yes", "y", "on")


@contextmanager
def _sigterm_raises() -> Generator[None]:
    def terminate(_signal: int, _frame: FrameType | None) -> None:
        raise _TerminatedError

    try:
        before = signal.signal(signal.SIGTERM, terminate)
    except ValueError:  # outside the main thread: the calling program handles it
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
