"""Report what a change of an OpenAPI document breaks, and for whom."""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from tools.safe_output import printable, without_commands
from tools.specdiff.diff import Report, View, diff
from tools.specdiff.findings import rules_table
from tools.specdiff.render import VIEWS, json_text, markdown, print_report
from tools.specdiff.spec_files import CannotCompareError, read_source

# A file or a log has no width of its own.
_WIDTH = 120


class Parser(argparse.ArgumentParser):
    """Reports a wrong option in one line, as every other problem."""

    def error(self, message: str) -> NoReturn:
        """Reject the arguments."""
        raise CannotCompareError(f"{message} (see --help)")


def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit status is 0 if nothing breaks, 1 if something does, 2 on errors."""
    return exit_status("specdiff", lambda: _run(argv))


def _run(argv: list[str] | None) -> int:
    status = "Exit status: 0 nothing breaks, 1 something does, 2 could not compare."
    parser = Parser(prog="python -m tools.specdiff", description=__doc__, epilog=status)
    names = "a file, a git revision (main, HEAD~1), or both (v1.0:openapi.yaml)"
    parser.add_argument("old", metavar="OLD", nargs="?", help=f"the old spec: {names}")
    parser.add_argument("new", metavar="NEW", nargs="?", help="the new spec, likewise")
    parser.add_argument("--format", choices=["text", "markdown", "json"], default="text")
    views = "whose breaking changes decide the exit status and the order (default: both)"
    parser.add_argument("--view", choices=["both", *VIEWS], default="both", help=views)
    no_python = "don't generate the packages of both specs; the report has no signatures then"
    parser.add_argument("--no-python", action="store_true", help=no_python)
    parser.add_argument("--rules", action="store_true", help="list the rules and exit")
    arguments = parser.parse_args(argv)
    if arguments.rules:
        print(rules_table())
        return 0
    if arguments.old is None or arguments.new is None:
        parser.error("OLD and NEW are required")
    old, new = read_source(arguments.old), read_source(arguments.new)
    report = diff(old, new, python=not arguments.no_python)
    write(report, arguments.format, arguments.view)
    return 1 if report.breaks(arguments.view) else 0


def write(report: Report, form: str, view: View = "both") -> None:
    """Write a report to standard output, as `text`, `markdown` or `json`."""
    if form == "text" and sys.stdout.isatty():
        print_report(report, Console(highlight=False), view)
    elif form == "text":
        text = io.StringIO()
        print_report(report, Console(highlight=False, width=_WIDTH, file=text), view)
        # A line may begin with any word of the spec, since long ones are wrapped.
        sys.stdout.write(without_commands(text.getvalue()))
    else:
        sys.stdout.write(json_text(report) if form == "json" else markdown(report, view))
    sys.stdout.flush()


def exit_status(program: str, command: Callable[[], int]) -> int:
    """Run a command; if it fails, print one line and return 2."""
    try:
        return command()
    except CannotCompareError as error:
        print(f"{program}: {error}", file=sys.stderr)
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            print(f"{program}: {without_commands(printable(str(error)))}", file=sys.stderr)
        # Keep Python from writing at exit what could not be written.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:  # noqa: BLE001 - status 1 would say that something breaks
        print(f"{program}: {_fault(error)}", file=sys.stderr)
    return 2


def _fault(error: Exception) -> str:
    """Say where this program has failed, in one line to report."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    what = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    where = f"{Path(place.filename).name}:{place.lineno}"
    return without_commands(
        printable(f"a fault of this program, please report it: {what} ({where})")
    )


def run_as_program(command: Callable[[], int]) -> NoReturn:
    """Run a command as this process; a signal leaves no temporary directory behind."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, lambda received, _frame: sys.exit(128 + received))
    if sys.stdout is None:  # closed by the caller
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        # Specs contain all scripts; not every terminal can show them.
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    try:
        status = command()
    except KeyboardInterrupt:
        status = 128 + signal.SIGINT
    sys.exit(status)


if __name__ == "__main__":
    run_as_program(main)
