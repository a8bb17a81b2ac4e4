"""A report as JSON, for other programs; report.schema.json says what it holds."""

from __future__ import annotations

import json
from typing import TypedDict

from tools.specdiff.findings import Location, Signature
from tools.specdiff.report import Report, View
from tools.specdiff.rules import Level

# Raised when a program that reads reports would have to change.
FORMAT = 1


class PlaceJSON(TypedDict):
    """Where something stands in one of the specs."""

    pointer: str
    line: int


class SignatureJSON(TypedDict):
    """A public name of the generated package, and how it was and is declared."""

    name: str
    old: str | None
    new: str | None


class FindingJSON(TypedDict):
    """One change."""

    rule: str
    http: str
    importer: str
    subject: str
    what: str
    effect: str
    old: PlaceJSON
    new: PlaceJSON
    operations: list[str]
    signatures: list[SignatureJSON]


class PythonJSON(TypedDict):
    """Whether the generated packages were compared, and what changed there besides."""

    status: str
    note: str | None
    signatures: list[SignatureJSON]


class ReportJSON(TypedDict):
    """A whole report."""

    format: int
    old: str
    new: str
    breaks: bool
    summary: dict[str, dict[str, int]]
    findings: list[FindingJSON]
    python: PythonJSON


def json_report(report: Report) -> ReportJSON:
    """Give a report in the form of report.schema.json."""
    views: tuple[View, ...] = ("http", "importer")
    return {
        "format": FORMAT,
        "old": report.old,
        "new": report.new,
        "breaks": report.breaks(),
        "summary": {
            view: {level.value: report.count(level, view) for level in Level} for view in views
        },
        "findings": [
            {
                "rule": each.rule.id,
                "http": each.http.value,
                "importer": each.importer.value,
                "subject": each.subject,
                "what": each.what,
                "effect": each.effect,
                "old": _place(each.old),
                "new": _place(each.new),
                "operations": list(each.operations),
                "signatures": [_signature(signature) for signature in each.signatures],
            }
            for each in report.findings
        ],
        "python": {
            "status": report.python,
            "note": report.python_note or None,
            "signatures": [_signature(signature) for signature in report.signatures],
        },
    }


def json_text(report: Report) -> str:
    """Write a report."""
    return json.dumps(json_report(report), indent=2, ensure_ascii=False) + "\n"


def _place(place: Location) -> PlaceJSON:
    return {"pointer": str(place), "line": place.line}


def _signature(each: Signature) -> SignatureJSON:
    return {"name": each.name, "old": each.old or None, "new": each.new or None}
