"""Running a command: its exit code, its signals, and what is said when it fails."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import typer

from pipedrive_oauth_client.cli.app import app
from pipedrive_oauth_client.cli.exits import CommandError, ExitCode, exit_code_of
from pipedrive_oauth_client.cli.reports import Manners, described
from pipedrive_oauth_client.cli.terminal import can_ask, discard_output, prepare, say, write

__all__ = ["run"]

_COMPLETING = "_PIPEDRIVE_OAUTH_COMPLETE"


class _TerminatedError(BaseException):
    """SIGTERM has come."""


def run(arguments: Sequence[str]) -> int:
    """Run a command.

    Args:
        arguments: The command and its arguments.

    Returns:
        The exit code.
    """
    prepare()
    manners = Manners()
    error: BaseException | None = None
    try:
        with _sigterm():
            code = _called(list(arguments), manners)
            write("")
    except _TerminatedError:
        code = ExitCode.TERMINATED
    except (Exception, KeyboardInterrupt) as failure:  # noqa: BLE001 - one line, and the code
        code, error = exit_code_of(failure), failure
    if code is ExitCode.OUTPUT_CLOSED:
        discard_output()
        return int(code)
    if code in (ExitCode.INTERRUPTED, ExitCode.TERMINATED):
        error = CommandError(code.meaning, code)
        if can_ask():
            say("")  # the terminal has written ^C
    if error is not None:
        say(described(error, code, manners).removesuffix("\n"))
    return int(code)


def _called(arguments: list[str], manners: Manners) -> ExitCode:
    command: Any = typer.main.get_command(app)
    try:
        result = command.main(
            args=arguments, prog_name="pipedrive-oauth", standalone_mode=False, obj=manners
        )
    except SystemExit:
        # Typer exits by itself when a shell has what it asked for, and when nobody reads the help.
        if os.environ.get(_COMPLETING):
            raise
        return ExitCode.OUTPUT_CLOSED
    except typer.Abort:
        return ExitCode.INTERRUPTED
    except typer.TyperException as wrong:
        raise CommandError(_without_values(wrong.format_message()), ExitCode.USAGE) from None
    return ExitCode(result) if isinstance(result, int) else ExitCode.DONE


def _without_values(message: str) -> str:
    # Somebody may have written a secret on the command line; it is enough there.
    return re.sub(
        r"(unexpected extra argument(?:s|\(s\))?) \(.*\)", r"\1", message, flags=re.DOTALL
    )


@contextmanager
def _sigterm() -> Generator[None]:
    def end(_signal: int, _frame: FrameType | None) -> None:
        raise _TerminatedError

    try:
        before = signal.signal(signal.SIGTERM, end)
    except ValueError:  # a program that calls this in a thread has its own way
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
