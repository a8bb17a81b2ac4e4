"""A report as a comment on a pull request."""

from __future__ import annotations

import re

from tools.specdiff.as_text import operations_text, python_text, summary
from tools.specdiff.findings import Finding, Location, shown
from tools.specdiff.report import Report, View, level_for
from tools.specdiff.rules import Level

# What Markdown or HTML would take for itself in a cell of a table.
_SPECIAL = re.compile(r"([\\*_\[\]<>|#~!&@$])")
_MOST_ROWS = 200
_TITLES = {
    Level.BREAKING: "Breaking",
    Level.COMPATIBLE: "Compatible",
    Level.WORDING: "Wording only",
    Level.NONE: "No change for this reader",
}


def markdown(report: Report, view: View = "both") -> str:
    """Write a report.

    Args:
        report: The report.
        view: Whose levels order it.

    Returns:
        Markdown for a pull request of a public forge: one table for each level, what is long folded
        away, and nothing of the specs' own text read as Markdown or HTML.
    """
    parts = [f"## What this change of the spec breaks\n\n{_escape(summary(report, view))}"]
    rows = 0
    for level in Level:
        group = [each for each in report.findings if level_for(each, view) is level]
        if not group:
            continue
        table = [_row(each) for each in group[: max(0, _MOST_ROWS - rows)]]
        rows += len(table)
        text = "\n".join(
            [
                "| change | over HTTP | importers | where: old → new |",
                "|---|---|---|---|",
                *table,
            ]
        )
        if len(table) < len(group):
            text += f"\n\n{len(group) - len(table)} more are left out here; the text form has all."
        title = f"{_TITLES[level]} ({len(group)})"
        if level in (Level.WORDING, Level.NONE):
            text = f"<details><summary>{title}</summary>\n\n{text}\n\n</details>"
        else:
            text = f"### {title}\n\n{text}"
        parts.append(text)
    parts += _signatures(report)
    if report.python_note and report.findings:
        parts.append(_escape(python_text(report)))
    return "\n\n".join(parts) + "\n"


def _row(each: Finding) -> str:
    what = f"{_sentence(each.what)} {_sentence(each.effect)} Rule: `{each.rule.id}`."
    if each.operations:
        what += f" In {_code(operations_text(each))}."
    where = f"{_where(each.old)} → {_where(each.new)}"
    if each.old.pointer == each.new.pointer:
        where = f"{_where(each.old)} → {each.new.line}"
    return f"| {what} | {_level(each.http)} | {_level(each.importer)} | {where} |"


def _level(level: Level) -> str:
    return f"**{level}**" if level is Level.BREAKING else str(level)


def _where(place: Location) -> str:
    return f"{_code(str(place))} line {place.line}"


def _sentence(text: str) -> str:
    """Escape a sentence, but keep what stands between backticks as code."""
    parts = text.split("`")
    return "".join(_code(part) if index % 2 else _escape(part) for index, part in enumerate(parts))


def _escape(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", re.sub(r"\s+", " ", text))


def _code(text: str) -> str:
    """Write a piece of code that may stand in a cell: a bar would end the cell even there."""
    plain = shown(text, 300).replace("\\", "\\\\").replace("|", "\\|").strip()
    return f"`{plain}`" if plain else ""


def _signatures(report: Report) -> list[str]:
    seen = dict.fromkeys(
        signature
        for signatures in [*(each.signatures for each in report.findings), report.signatures]
        for signature in signatures
    )
    if not seen:
        return []
    lines: list[str] = []
    for each in list(seen)[:_MOST_ROWS]:
        lines.append(f"# {each.name}")
        lines += [f"- {each.old}"] * bool(each.old) + [f"+ {each.new}"] * bool(each.new)
    # No line of a signature may end the block.
    body = "\n".join("".join(c if c.isprintable() else " " for c in line) for line in lines)
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall(r"`+", body)), 3)
    title = "<details><summary>Changed Python signatures</summary>"
    return [f"{title}\n\n{fence}diff\n{body}\n{fence}\n\n</details>"]
