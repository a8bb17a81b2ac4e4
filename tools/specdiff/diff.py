"""Compares two specs: matches their operations, collects the findings, and makes the report."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

from attrs import evolve, frozen

from tools.specdiff.compare_operations import (
    compare_bodies,
    compare_parameters,
    compare_responses,
)
from tools.specdiff.compare_schemas import compare_schemas
from tools.specdiff.compare_security import (
    compare_security,
    compare_security_schemes,
    compare_servers,
)
from tools.specdiff.findings import Comparison, Finding, Level, Side, Signature
from tools.specdiff.python_names import component_classes, python_name
from tools.specdiff.python_package import (
    GeneratorRejectedError,
    assign_signatures,
    compare_packages,
)
from tools.specdiff.spec import METHODS, Operation, OperationIndex, Pointer, Spec, canonical
from tools.specdiff.spec_files import CannotCompareError, Source

View: TypeAlias = Literal["both", "http", "importer"]
PythonStatus: TypeAlias = Literal["compared", "partly", "skipped", "refused"]

_SIDES: tuple[Side, ...] = ("request", "response")
_ITEM_KEYS = {*METHODS, "parameters", "servers"}
_OPERATION_KEYS = {"tags", "operationId", "parameters", "requestBody", "responses", "deprecated",
                   "security", "servers"}  # fmt: skip
_DOCUMENT_KEYS = {"openapi", "info", "paths", "components", "tags", "servers", "security",
                  "jsonSchemaDialect"}  # fmt: skip
_TEMPLATE = re.compile(r"\{([^}]*)\}")


@frozen
class Report:
    """What changed between two specs.

    Attributes:
        old: The name that the user gave for the old spec.
        new: That of the new one.
        findings: Every change, the worst first.
        python: Whether the generated packages were compared: whole, as far as the changes concern
            them (long specs), not at all, or not since the generator rejects a side.
        python_note: Why they were not compared, or nothing.
        signatures: Public names of the generated package that changed compatibly and belong to no
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
        return self.count(Level.BREAKING, view) > 0

    def count(self, level: Level, view: View = "both") -> int:
        """Count the findings of a level."""
        return len(self.of_level(level, view))

    def of_level(self, level: Level, view: View = "both") -> list[Finding]:
        """Give the findings that have a level for a kind of reader; for both, the worse counts."""
        attribute = "level" if view == "both" else view
        return [each for each in self.findings if getattr(each, attribute) is level]


def diff(old: Source, new: Source, *, python: bool = True) -> Report:
    """Compare two specs and, with `python`, the packages that are generated from them."""
    try:
        return _diff(old, new, python=python)
    except RecursionError as error:
        raise CannotCompareError(
            f"{old.label} or {new.label} nests schemas too deeply to be compared"
        ) from error


def _diff(old: Source, new: Source, *, python: bool) -> Report:
    before = Spec.load(old)
    if old.text == new.text:
        return Report(old.label, new.label, ())
    after = Spec.load(new, before)
    ours, theirs = OperationIndex(before), OperationIndex(after)
    findings = [_with_operations(each, ours, theirs) for each in _compare(ours, theirs)]
    unassigned: list[Signature] = []
    status: PythonStatus = "skipped"
    note = ""
    if python and before.content != after.content:
        try:
            changes = compare_packages(ours, theirs, findings)
        except GeneratorRejectedError as error:
            status, note = "refused", str(error)
        else:
            status, note = "partly" if changes.partial else "compared", changes.note
            findings, unassigned = assign_signatures(findings, changes, ours, theirs)
    findings.sort(key=_order)
    return Report(old.label, new.label, tuple(findings), status, note, tuple(unassigned))


def _with_operations(each: Finding, old: OperationIndex, new: OperationIndex) -> Finding:
    """Add the operations that a finding affects, by their new addresses where they have one."""
    affected = new.affected_by(each.new.pointer) or old.affected_by(each.old.pointer)
    return evolve(each, operations=tuple(dict.fromkeys(one.address for one in affected)))


def _order(each: Finding) -> tuple[object, ...]:
    levels = (each.level.rank, each.http.rank, each.importer.rank)
    return (*levels, each.new.line, each.old.line, each.rule.id, each.what)


def _compare(old: OperationIndex, new: OperationIndex) -> list[Finding]:
    """Find every change between two specs."""
    comparison = Comparison(old.spec, new.spec)
    _compare_documents(comparison)
    changed = _changed_components(comparison)
    for before, after in _match_operations(comparison, old.operations, new.operations):
        unchanged = (
            changed is not None
            and _read_alike(before, after)
            and _uses_only_unchanged(old, before, changed)
            and _uses_only_unchanged(new, after, changed)
        )
        if not unchanged:
            _compare_operations(comparison, before, after)
    _compare_components(comparison)
    return comparison.findings


def _changed_components(comparison: Comparison) -> set[Pointer] | None:
    """Give the components that differ, or None where operations depend on other differences."""
    old, new = comparison.old, comparison.new
    if old.minor != new.minor or any(
        canonical(old.content.get(key)) != canonical(new.content.get(key))
        for key in ("security", "servers")
    ):
        return None
    before, after = (each.content.get("components") or {} for each in (old, new))
    if canonical(before.get("securitySchemes")) != canonical(after.get("securitySchemes")):
        return None
    return {
        ("components", kind, name)
        for kind in before.keys() | after.keys()
        for ours, theirs in [(before.get(kind) or {}, after.get(kind) or {})]
        for name in ours.keys() | theirs.keys()
        if canonical(ours.get(name)) != canonical(theirs.get(name)) or name not in ours
    }


def _uses_only_unchanged(
    index: OperationIndex, operation: Operation, changed: set[Pointer]
) -> bool:
    used = index.components_of(operation)
    return used.isdisjoint(changed) and all(each[:1] == ("components",) for each in used)


def _read_alike(old: Operation, new: Operation) -> bool:
    items = [
        {key: value for key, value in each.item.value.items() if key not in METHODS}
        for each in (old, new)
    ]
    return (
        old.path == new.path
        and canonical(old.location.value) == canonical(new.location.value)
        and canonical(items[0]) == canonical(items[1])
    )


def _match_operations(
    comparison: Comparison, old: list[Operation], new: list[Operation]
) -> list[tuple[Operation, Operation]]:
    """Match operations by address, then by operationId; report what has no counterpart."""
    by_address = {(each.method, _TEMPLATE.sub("{}", each.path)): each for each in new}
    pairs: list[tuple[Operation, Operation]] = []
    moved = []
    for each in old:
        found = by_address.pop((each.method, _TEMPLATE.sub("{}", each.path)), None)
        if found is None:
            moved.append(each)
        else:
            pairs.append((each, found))
    by_id = {each.id: each for each in by_address.values() if each.id}
    removed = []
    for each in moved:
        found = by_id.pop(each.id, None)
        if found is None:
            removed.append(each)
        else:
            words = {"old": each.address, "new": found.address}
            comparison.add("operation-moved", each.location, found.location, each.name, **words)
            pairs.append((each, found))
    paths = [each.top.at("paths") or each.top for each in (comparison.old, comparison.new)]
    matched = {id(found) for _, found in pairs}
    for each in removed:
        comparison.add("operation-removed", each.location, paths[1], each.name)
    for each in new:
        if id(each) not in matched:
            comparison.add("operation-added", paths[0], each.location, each.name)
    return pairs


def _compare_operations(comparison: Comparison, old: Operation, new: Operation) -> None:
    ours, theirs, name = old.location, new.location, new.name
    if old.id != new.id:
        if python_name(old.id) == python_name(new.id):
            comparison.add("wording-changed", ours, theirs, name, detail="operationId")
        else:
            words = {"old": old.id or "none", "new": new.id or "none"}
            comparison.add("operation-id-changed", ours, theirs, old.id or new.id, **words)
    _compare_tags(comparison, old, new)
    comparison.compare_wording(ours, theirs, name)
    comparison.compare_wording(old.item, new.item, new.path)
    comparison.compare_deprecation(ours, theirs, name)
    renamed = zip(_TEMPLATE.findall(old.path), _TEMPLATE.findall(new.path), strict=False)
    compare_parameters(comparison, (old.item, ours), (new.item, theirs), dict(renamed))
    compare_bodies(comparison, ours, theirs, name)
    compare_responses(comparison, ours, theirs, name)
    compare_security(comparison, ours, theirs, name)
    compare_servers(comparison, (ours, old.item), (theirs, new.item))
    comparison.compare_unknown(ours, theirs, name, _OPERATION_KEYS)
    comparison.compare_unknown(old.item, new.item, new.path, _ITEM_KEYS)


def _compare_tags(comparison: Comparison, old: Operation, new: Operation) -> None:
    before, after = ([*map(str, each.location.get("tags") or ())] for each in (old, new))
    if before == after:
        return
    first, second = (tags[0] if tags else "default" for tags in (before, after))
    rule, words = "operation-tag-changed", {"old": first, "new": second}
    if python_name(first) == python_name(second):
        rule = "operation-tags-changed"
        words = {"old": ", ".join(before), "new": ", ".join(after)}
    comparison.add(rule, old.location, new.location, new.name, **words)


def _compare_documents(comparison: Comparison) -> None:
    ours, theirs = comparison.old.top, comparison.new.top
    comparison.compare_wording(ours, theirs, "the document", more=("tags", "jsonSchemaDialect"))
    before, after = ours.at("info"), theirs.at("info")
    if before and after:
        more = ("version", "termsOfService", "contact", "license")
        comparison.compare_wording(before, after, "info", more=more)
    comparison.compare_unknown(ours, theirs, "the document", _DOCUMENT_KEYS)
    compare_servers(comparison, (ours,), (theirs,))
    compare_security_schemes(comparison)


def _compare_components(comparison: Comparison) -> None:
    """Compare the schemas that no operation uses, and report added and removed classes."""
    before, after = component_classes(comparison.old), comparison.new_classes
    shared = [(name, before[name], after[name]) for name in before if name in after]
    for name, ours, theirs in shared:
        comparison.compare_wording(ours, theirs, name)
    comparison.in_unused = True
    for name, ours, theirs in shared:
        if ours.component not in comparison.used:
            for side in _SIDES:
                compare_schemas(comparison, ours, theirs, side, name)
    comparison.in_unused = False
    for (gone, come), (ours, theirs) in comparison.renamed.items():
        comparison.add("schema-renamed", ours, theirs, gone, old=gone, new=come)
    parents = [each.top.at("components") or each.top for each in (comparison.old, comparison.new)]
    for name in before.keys() - after.keys() - {gone for gone, _ in comparison.renamed}:
        comparison.add("schema-removed", before[name], parents[1], name)
    for name in after.keys() - before.keys() - {come for _, come in comparison.renamed}:
        comparison.add("schema-added", parents[0], after[name], name)
