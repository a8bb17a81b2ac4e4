"""A report for a terminal of any width, with colours or without."""

from __future__ import annotations

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from tools.specdiff.findings import Finding, Signature
from tools.specdiff.report import Report, View, level_for
from tools.specdiff.rules import Level
from tools.specdiff.trouble import printable

_HEADINGS = {
    Level.BREAKING: ("BREAKING", "bold red"),
    Level.COMPATIBLE: ("COMPATIBLE", "bold green"),
    Level.WORDING: ("WORDING ONLY", "bold"),
    Level.NONE: ("NO CHANGE FOR THIS READER", "dim"),
}
_STYLES = {Level.BREAKING: "red", Level.COMPATIBLE: "green", Level.WORDING: "", Level.NONE: "dim"}
_MOST_OPERATIONS = 4


def print_report(report: Report, console: Console, view: View = "both") -> None:
    """Print a report.

    Args:
        report: The report.
        console: Where to.
        view: Whose levels order it.
    """
    for level in Level:
        group = [each for each in report.findings if level_for(each, view) is level]
        if group:
            word, style = _HEADINGS[level]
            console.print(Text(f"{word} ({len(group)})", style))
            console.print()
            for each in group:
                _print_finding(each, report, console)
    if report.signatures:
        console.print(Text("ALSO IN THE GENERATED CODE, WITHOUT HARM", "bold"))
        _print_signatures(report.signatures, console)
        console.print()
    console.print(_text(summary(report, view)))
    if report.python_note and report.findings:
        console.print(_text(python_text(report)))


def _print_finding(each: Finding, report: Report, console: Console) -> None:
    console.print(_text(each.what))
    lines = [
        _text(each.effect),
        Text.assemble("over HTTP: ", (each.http.value, _STYLES[each.http]), "   importers: ",
                      (each.importer.value, _STYLES[each.importer]), f"   rule: {each.rule.id}"),
        *(_text(place, "dim") for place in places(each, report)),
    ]  # fmt: skip
    if each.operations:
        lines.append(_text(f"in {operations_text(each)}", "dim"))
    for line in lines:
        console.print(Padding(line, (0, 0, 0, 2), expand=False))
    _print_signatures(each.signatures, console)
    console.print()


def _print_signatures(signatures: tuple[Signature, ...], console: Console) -> None:
    for each in signatures:
        console.print(Padding(_text(each.name, "bold"), (0, 0, 0, 4), expand=False))
        for sign, text, style in (("-", each.old, "red"), ("+", each.new, "green")):
            if text:
                console.print(Padding(_text(f"{sign} {text}", style), (0, 0, 0, 4), expand=False))


def python_text(report: Report) -> str:
    """Say why signatures were not compared, or not all."""
    if report.python == "partly":
        return f"Of a spec of this length, {report.python_note}."
    return f"Python signatures were not compared: {report.python_note}."


def _text(text: str, style: str = "") -> Text:
    return Text(printable(text), style)


def places(each: Finding, report: Report) -> list[str]:
    """Say where a finding is in both specs, on one line where that is the same place."""
    if each.old.pointer == each.new.pointer:
        return [f"{each.new}  ({report.old}:{each.old.line}, {report.new}:{each.new.line})"]
    return [
        f"{report.old}:{each.old.line}  {each.old}",
        f"{report.new}:{each.new.line}  {each.new}",
    ]


def operations_text(each: Finding) -> str:
    """Name the operations that a finding reaches, or the first of many."""
    shown = ", ".join(each.operations[:_MOST_OPERATIONS])
    more = len(each.operations) - _MOST_OPERATIONS
    return f"{shown} and {more} more operations" if more > 0 else shown


def summary(report: Report, view: View = "both") -> str:
    """Say in one line what it comes to."""
    if not report.findings:
        return f"No change between {report.old} and {report.new}."
    counts = ", ".join(
        f"{report.count(level, view)} {word}"
        for level, word in (
            (Level.BREAKING, "breaking"), (Level.COMPATIBLE, "compatible"),
            (Level.WORDING, "wording only"),
        )
    )  # fmt: skip
    http, importer = (report.count(Level.BREAKING, each) for each in ("http", "importer"))
    return f"{counts}. Breaking over HTTP: {http}; for importers: {importer}."
