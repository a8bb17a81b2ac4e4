"""The corpus: single changes of base.yaml, and what is expected of each, both ways."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from attrs import frozen

from tools.specdiff.diff import Report, diff
from tools.specdiff.spec_files import Source

HERE = Path(__file__).resolve().parent

# A finding as the corpus writes it: the rule, the level over HTTP, the level for importers.
Judgement = tuple[str, str, str]


@frozen
class Way:
    """One change in one direction.

    Attributes:
        name: The change, and the direction.
        old: The old spec.
        new: The new one.
        expected: The findings, each of them once.
    """

    name: str
    old: str
    new: str
    expected: frozenset[Judgement]

    @property
    def breaks_importers(self) -> bool:
        """Whether a program that imports the client is expected to break."""
        return any(importer == "breaking" for _rule, _http, importer in self.expected)


@frozen
class Change:
    """One change, in both directions.

    Attributes:
        name: What it is called.
        ways: Both directions.
        rejected: Whether the generator rejects one of the two specs.
        runnable: Whether the simulated service can tell the two apart.
    """

    name: str
    ways: tuple[Way, Way]
    rejected: bool
    runnable: bool


@cache
def base() -> str:
    """Give the text of base.yaml."""
    return (HERE / "base.yaml").read_text(encoding="utf-8")


@cache
def changes() -> tuple[Change, ...]:
    """Give every change of the corpus."""
    found: list[Change] = []
    for file in sorted((HERE / "corpus").glob("*.yaml")):
        for name, entry in yaml.safe_load(file.read_text(encoding="utf-8")).items():
            old, new = _edited(name, entry["edit"])
            there = Way(f"{name}, there", old, new, _judgements(entry.get("there", {})))
            back = Way(f"{name}, back", new, old, _judgements(entry.get("back", {})))
            rejected, runnable = entry.get("rejected", False), entry.get("runnable", True)
            found.append(Change(name, (there, back), rejected, runnable))
    return tuple(found)


def _edited(name: str, edits: list[dict[str, Any]]) -> tuple[str, str]:
    old = new = base()
    for edit in edits:
        before, after = edit["old"], edit["new"]
        where = new.count(before)
        assert where == 1 or (where and edit.get("everywhere")), f"{name}: {where} times {before!r}"
        new = new.replace(before, after)
        if edit.get("also_in_base"):
            old = old.replace(before, after)
    assert old != new, name
    return old, new


def _judgements(entry: dict[str, str]) -> frozenset[Judgement]:
    return frozenset((rule, *levels.split(" / ")) for rule, levels in entry.items())  # type: ignore[misc]


@cache
def report_of(old: str, new: str, *, python: bool = True) -> Report:
    """Compare two specs."""
    sources = [Source("spec", text.encode()) for text in (old, new)]
    return diff(*sources, python=python)


def judged(report: Report) -> Counter[Judgement]:
    """Give the findings of a report as the corpus writes them."""
    return Counter((each.rule.id, str(each.http), str(each.importer)) for each in report.findings)
