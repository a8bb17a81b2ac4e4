"""Say what a change of an OpenAPI document breaks, and for whom."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

from rich.console import Console

from tools.specdiff.as_json import json_text
from tools.specdiff.as_markdown import markdown
from tools.specdiff.as_text import print_report
from tools.specdiff.report import Report, View, diff
from tools.specdiff.rules import rules_table
from tools.specdiff.sources import read_source
from tools.specdiff.trouble import CannotCompareError, as_program, outcome

_WIDTH = 120


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise CannotCompareError(f"{message} (see --help)")


def main(argv: list[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: Arguments, without the program's name.

    Returns:
        0 when nothing breaks, 1 when something does, 2 when the specs can't be compared.
    """
    return outcome("specdiff", lambda: _run(argv))


def _run(argv: list[str] | None) -> int:
    parser = _Parser(
        prog="python -m tools.specdiff",
        description=__doc__,
        epilog="Exit status: 0 nothing breaks, 1 something does, 2 could not compare.",
    )
    names = "a file, a revision of git (main, HEAD~1), or both (v1.0:openapi.yaml)"
    parser.add_argument("old", metavar="OLD", nargs="?", help=f"the old spec: {names}")
    parser.add_argument("new", metavar="NEW", nargs="?", help="the new spec, likewise")
    parser.add_argument("--format", choices=["text", "markdown", "json"], default="text")
    parser.add_argument(
        "--view",
        choices=["both", "http", "importer"],
        default="both",
        help="whose breaks decide the exit status and the order (default: both)",
    )
    parser.add_argument(
        "--no-python",
        action="store_true",
        help="don't generate the packages of both sides; no signatures then",
    )
    parser.add_argument("--rules", action="store_true", help="list the rules and stop")
    arguments = parser.parse_args(argv)
    if arguments.rules:
        print(rules_table())
        return 0
    if arguments.old is None or arguments.new is None:
        parser.error("OLD and NEW are needed")
    report = diff(
        read_source(arguments.old), read_source(arguments.new), python=not arguments.no_python
    )
    write(report, arguments.format, arguments.view)
    return 1 if report.breaks(arguments.view) else 0


def write(report: Report, form: str, view: View = "both") -> None:
    """Write a report to standard output.

    Args:
        report: The report.
        form: `text`, `markdown` or `json`.
        view: Whose levels order it.
    """
    if form == "json":
        sys.stdout.write(json_text(report))
    elif form == "markdown":
        sys.stdout.write(markdown(report, view))
    else:
        # A file or a log has no width of its own.
        width = None if sys.stdout.isatty() else _WIDTH
        print_report(report, Console(highlight=False, width=width), view)
    sys.stdout.flush()


if __name__ == "__main__":
    as_program(main)
