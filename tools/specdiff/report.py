"""A whole comparison: findings, the generated packages, and what it all comes to."""

from __future__ import annotations

from typing import Literal, TypeAlias

from attrs import frozen

from tools.specdiff.attach import attach
from tools.specdiff.compare import compare
from tools.specdiff.findings import Finding, Signature
from tools.specdiff.python_sides import RefusedError, compare_packages
from tools.specdiff.reach import Reach, with_operations
from tools.specdiff.rules import Level
from tools.specdiff.sources import Source
from tools.specdiff.spec import Spec
from tools.specdiff.trouble import CannotCompareError

View: TypeAlias = Literal["both", "http", "importer"]
PythonStatus: TypeAlias = Literal["compared", "partly", "skipped", "refused"]


@frozen
class Report:
    """What changed between two specs.

    Attributes:
        old: What the old spec is called.
        new: What the new one is called.
        findings: Every change, the worst first.
        python: Whether the generated packages were compared: whole, as far as the changes concern
            them (long specs), not at all, or not since the generator refuses a side.
        python_note: Why they were not compared, or nothing.
        signatures: Public names of the generated package that changed without harm and belong to no
            finding.
    """

    old: str
    new: str
    findings: tuple[Finding, ...]
    python: PythonStatus = "skipped"
    python_note: str = ""
    signatures: tuple[Signature, ...] = ()

    def breaks(self, view: View = "both") -> bool:
        """Tell whether something breaks, for one kind of reader or for any."""
        return any(level_for(each, view) is Level.BREAKING for each in self.findings)

    def count(self, level: Level, view: View = "both") -> int:
        """Count the findings of a level."""
        return sum(level_for(each, view) is level for each in self.findings)


def level_for(each: Finding, view: View) -> Level:
    """Give the level that counts for a kind of reader; for both, the worse one."""
    return {"both": each.level, "http": each.http, "importer": each.importer}[view]


def diff(old: Source, new: Source, *, python: bool = True) -> Report:
    """Compare two specs.

    Args:
        old: The old spec's text.
        new: The new spec's text.
        python: Whether to generate and compare the packages of both sides, too.

    Raises:
        CannotCompareError: One of the two is no spec that this tool understands.
    """
    try:
        return _diff(old, new, python=python)
    except RecursionError as error:
        raise CannotCompareError(
            f"{old.label} or {new.label} nests schemas too deeply to be compared"
        ) from error


def _diff(old: Source, new: Source, *, python: bool) -> Report:
    before = Spec.load(old)
    after = before if old.text == new.text else Spec.load(new, before)
    if after is before:
        return Report(old.label, new.label, ())
    ours, theirs = Reach(before), Reach(after)
    found = with_operations(compare(ours, theirs), ours, theirs)
    left: list[Signature] = []
    status: PythonStatus = "skipped"
    note = ""
    if python and before.content != after.content:
        try:
            changes = compare_packages(ours, theirs, found)
        except RefusedError as error:
            status, note = "refused", str(error)
        else:
            status, note = "partly" if changes.partial else "compared", changes.note
            found, left = attach(found, changes, ours, theirs)
    found.sort(key=_order)
    return Report(old.label, new.label, tuple(found), status, note, tuple(left))


def _order(each: Finding) -> tuple[object, ...]:
    return (
        each.level.rank,
        each.http.rank,
        each.importer.rank,
        each.new.line,
        each.old.line,
        each.rule.id,
        each.what,
    )
