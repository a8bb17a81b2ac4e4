"""Writes a report: as text for a terminal, as Markdown for a pull request, as JSON for programs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from tools.safe_output import printable, without_commands
from tools.specdiff.diff import Report, View
from tools.specdiff.findings import Finding, Level, Signature, shorten
from tools.specdiff.spec import SpecLocation

# Raised when a program that reads JSON reports would have to change.
JSON_FORMAT = 1

VIEWS: tuple[View, ...] = ("http", "importer")
# For each level: the heading in text, that in Markdown, and the style of the word.
_HEADINGS = {
    Level.BREAKING: ("BREAKING", "Breaking", "red"),
    Level.COMPATIBLE: ("COMPATIBLE", "Compatible", "green"),
    Level.WORDING: ("WORDING ONLY", "Wording only", ""),
    Level.NONE: ("NO CHANGE FOR THIS READER", "No change for this reader", "dim"),
}
_MARKED = {Level.BREAKING: "**breaking**"}
_MAX_OPERATIONS = 4
_MAX_ROWS = 200
_TABLE_HEADER = ("| change | over HTTP | importers | where: old → new |", "|---|---|---|---|")
# What Markdown or HTML would interpret in a table cell.
_MARKUP = re.compile(r"([\\`*_\[\]<>|#~!&@$])")


def _by_level(report: Report, view: View) -> list[tuple[Level, list[Finding]]]:
    groups = ((level, report.of_level(level, view)) for level in Level)
    return [(level, group) for level, group in groups if group]


def _summary(report: Report, view: View) -> str:
    """Sum up a report in one line."""
    if not report.findings:
        return f"No change between {report.old} and {report.new}."
    words = {each: _HEADINGS[each][1].lower() for each in Level if each is not Level.NONE}
    counts = ", ".join(f"{report.count(each, view)} {word}" for each, word in words.items())
    http, importer = (report.count(Level.BREAKING, each) for each in VIEWS)
    return f"{counts}. Breaking over HTTP: {http}; for importers: {importer}."


def _python_note(report: Report, code: Callable[[str], str] = str) -> str:
    """Say why signatures were not compared, or not all; nothing if there is nothing to say."""
    if not report.python_note or not report.findings:
        return ""
    if report.python == "partly":
        return f"Of a spec of this length, {report.python_note}."
    # The reason repeats what the spec says.
    return f"Python signatures were not compared: {code(report.python_note)}."


def _operations(each: Finding) -> str:
    """Name the operations that a finding affects, or the first of many."""
    names = ", ".join(each.operations[:_MAX_OPERATIONS])
    more = len(each.operations) - _MAX_OPERATIONS
    return f"{names} and {more} more operations" if more > 0 else names


def _diff_lines(each: Signature) -> list[tuple[str, str]]:
    """Give the lines that differ with their style: the old declaration, then the new one."""
    lines = [(f"- {each.old}", "red", each.old), (f"+ {each.new}", "green", each.new)]
    return [(line, style) for line, style, declaration in lines if declaration]


def print_report(report: Report, console: Console, view: View = "both") -> None:
    """Print a report as text, to a terminal of any width; a view's levels decide the order."""
    for level, group in _by_level(report, view):
        heading, _title, style = _HEADINGS[level]
        bold = f"bold {style}".strip() if style != "dim" else style
        console.print(Text(f"{heading} ({len(group)})", bold))
        console.print()
        for each in group:
            _print_finding(each, report, console)
    if report.signatures:
        console.print(Text("ALSO IN THE GENERATED CODE, COMPATIBLY", "bold"))
        _print_signatures(report.signatures, console)
        console.print()
    console.print(_text(_summary(report, view)))
    if note := _python_note(report):
        console.print(_text(note))


def _print_finding(each: Finding, report: Report, console: Console) -> None:
    console.print(_text(each.what))
    http, importer = ((level.value, _HEADINGS[level][2]) for level in (each.http, each.importer))
    levels = Text.assemble("over HTTP: ", http, "   importers: ", importer)
    lines = [_text(each.rule.effect), levels.append(f"   rule: {each.rule.id}")]
    old, new = each.old, each.new
    if old.pointer == new.pointer:
        where = [f"{new}  ({report.old}:{old.line}, {report.new}:{new.line})"]
    else:
        where = [f"{report.old}:{old.line}  {old}", f"{report.new}:{new.line}  {new}"]
    where += [f"in {_operations(each)}"] * bool(each.operations)
    for line in [*lines, *(_text(each, "dim") for each in where)]:
        console.print(Padding(line, (0, 0, 0, 2), expand=False))
    _print_signatures(each.signatures, console)
    console.print()


def _print_signatures(signatures: tuple[Signature, ...], console: Console) -> None:
    for each in signatures:
        for line, style in [(each.name, "bold"), *_diff_lines(each)]:
            console.print(Padding(_text(line, style), (0, 0, 0, 4), expand=False))


def _text(text: str, style: str = "") -> Text:
    return Text(printable(text), style)


def markdown(report: Report, view: View = "both") -> str:
    """Write a report as a pull request comment, in which nothing of the specs is markup."""
    parts = [f"## What this change of the spec breaks\n\n{_escape(_summary(report, view))}"]
    rows = 0
    for level, group in _by_level(report, view):
        table = [_row(each) for each in group[: max(0, _MAX_ROWS - rows)]]
        rows += len(table)
        text = "\n".join([*_TABLE_HEADER, *table])
        if len(table) < len(group):
            text += f"\n\n{len(group) - len(table)} more are omitted here; the text form has all."
        title = f"{_HEADINGS[level][1]} ({len(group)})"
        folded = level in (Level.WORDING, Level.NONE)
        parts.append(_folded(title, text) if folded else f"### {title}\n\n{text}")
    parts += _signature_block(report)
    if note := _python_note(report, code=_code):
        parts.append(note)
    return without_commands("\n\n".join(parts) + "\n")


def _folded(title: str, text: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{text}\n\n</details>"


def _row(each: Finding) -> str:
    what = f"{_sentence(each.what)} {_sentence(each.rule.effect)} Rule: `{each.rule.id}`."
    if each.operations:
        what += f" In {_code(_operations(each))}."
    same = each.old.pointer == each.new.pointer
    where = f"{_where(each.old)} → {each.new.line if same else _where(each.new)}"
    http, importer = (_MARKED.get(level, level) for level in (each.http, each.importer))
    return f"| {what} | {http} | {importer} | {where} |"


def _where(location: SpecLocation) -> str:
    return f"{_code(str(location))} line {location.line}"


def _sentence(text: str) -> str:
    """Escape a sentence, but keep what stands between backticks as code."""
    parts = text.split("`")
    return "".join(_code(part) if index % 2 else _escape(part) for index, part in enumerate(parts))


def _escape(text: str) -> str:
    return _MARKUP.sub(r"\\\1", printable(re.sub(r"\s+", " ", text)))


def _code(text: str) -> str:
    """Write code for a table cell, which a bar would end even there."""
    plain = shorten(text, 500).replace("\\", "\\\\").replace("|", "\\|").strip()
    return f"`{plain}`" if plain else ""


def _signature_block(report: Report) -> list[str]:
    signatures = [signature for each in report.findings for signature in each.signatures]
    signatures += report.signatures
    if not signatures:
        return []
    lines: list[str] = []
    for each in list(dict.fromkeys(signatures))[:_MAX_ROWS]:
        lines += [f"# {each.name}", *(line for line, _style in _diff_lines(each))]
    body = "\n".join(map(printable, lines))
    # No line of a signature may end the block.
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall(r"`+", body)), 3)
    return [_folded("Changed Python signatures", f"{fence}diff\n{body}\n{fence}")]


def json_report(report: Report) -> dict[str, Any]:
    """Give a report in the form of report.schema.json."""
    signatures = _json_signatures(report.signatures)
    note = report.python_note or None
    return {
        "format": JSON_FORMAT, "old": report.old, "new": report.new, "breaks": report.breaks(),
        "summary": {view: {each: report.count(each, view) for each in Level} for view in VIEWS},
        "findings": [_json_finding(each) for each in report.findings],
        "python": {"status": report.python, "note": note, "signatures": signatures},
    }  # fmt: skip


def _json_finding(each: Finding) -> dict[str, Any]:
    places = ({"pointer": str(at), "line": at.line} for at in (each.old, each.new))
    return {
        "rule": each.rule.id, "http": each.http, "importer": each.importer,
        "subject": each.subject, "what": each.what, "effect": each.rule.effect,
        "old": next(places), "new": next(places), "operations": each.operations,
        "signatures": _json_signatures(each.signatures),
    }  # fmt: skip


def _json_signatures(signatures: tuple[Signature, ...]) -> list[dict[str, str | None]]:
    return [{"name": s.name, "old": s.old or None, "new": s.new or None} for s in signatures]


def json_text(report: Report) -> str:
    """Write a report as JSON, with escapes for what a terminal or a job would interpret."""
    text = json.dumps(json_report(report), indent=2, ensure_ascii=False) + "\n"
    shown = (
        each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1] for each in text
    )
    return "".join(shown).replace("##[", r"##\u005b")
