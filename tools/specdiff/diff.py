"""Compares two specs: matches their operations, collects the findings, and makes the report."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

from attrs import evolve, frozen

from tools.specdiff.compare_operations import compare_bodies, compare_parameters, compare_responses
from tools.specdiff.compare_schemas import compare_schemas
from tools.specdiff.compare_security import compare_schemes, compare_security, compare_servers
from tools.specdiff.findings import Comparison, Finding, Level, Pair, Signature
from tools.specdiff.python_package import RejectedError, assign_signatures, compare_packages
from tools.specdiff.schemas import component_classes, python_name
from tools.specdiff.spec import METHODS, Operation, OperationIndex, Spec
from tools.specdiff.spec_files import CannotCompareError, Source

View: TypeAlias = Literal["both", "http", "importer"]
_Operations: TypeAlias = list[tuple[Operation, Operation]]
PythonStatus: TypeAlias = Literal["compared", "partly", "skipped", "refused"]

_ITEM_KEYS = {*METHODS, "parameters", "servers"}
_OPERATION_KEYS = {"tags", "operationId", "parameters", "requestBody", "responses", "deprecated",
                   "security", "servers"}  # fmt: skip
_DOCUMENT_KEYS = {"openapi", "info", "paths", "webhooks", "components", "tags", "servers",
                  "security", "jsonSchemaDialect"}  # fmt: skip
_ORIGIN = re.compile(r"(?:\w+:)?(?://[^/]*)?")
_TEMPLATE = re.compile(r"\{([^}]*)\}")


@frozen
class Report:
    """What changed between two specs, which have the names that the user gave for them."""

    old: str
    new: str
    findings: tuple[Finding, ...]  # the worst first
    python: PythonStatus = "skipped"  # whether the generated packages were compared
    python_note: str = ""  # why not, or why partly
    signatures: tuple[Signature, ...] = ()  # changed compatibly, and belong to no finding

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
        message = f"{old.label} or {new.label} nests schemas too deeply to be compared"
        raise CannotCompareError(message) from error


def _diff(old: Source, new: Source, *, python: bool) -> Report:
    before = Spec.load(old)
    if old.text == new.text:
        return Report(old.label, new.label, ())
    after = Spec.load(new)
    ours, theirs = OperationIndex(before), OperationIndex(after)
    findings = []
    for each in _compare(ours, theirs):
        # By their new addresses where they have one.
        affected = theirs.affected_by(each.new.pointer) or ours.affected_by(each.old.pointer)
        addresses = dict.fromkeys(operation.address for operation in affected)
        findings.append(evolve(each, operations=tuple(addresses)))
    unassigned: list[Signature] = []
    status: PythonStatus = "skipped"
    note = ""
    if python and before.content != after.content:
        try:
            changes = compare_packages(ours, theirs, findings)
        except RejectedError as error:
            status, note = "refused", str(error)
        else:
            status, note = "partly" if changes.partial else "compared", changes.note
            findings, unassigned = assign_signatures(findings, changes, ours, theirs)
    findings.sort(key=_order)
    return Report(old.label, new.label, tuple(findings), status, note, tuple(unassigned))


def _order(each: Finding) -> tuple[object, ...]:
    levels = map(list(Level).index, (each.level, each.http, each.importer))
    return (*levels, each.new.line, each.old.line, each.rule.id, each.what)


def _compare(old: OperationIndex, new: OperationIndex) -> list[Finding]:
    """Find every change between two specs."""
    comparison = Comparison(old.spec, new.spec, _moved_bases(old, new))
    top = Pair(comparison, old.spec.top, new.spec.top)
    _compare_documents(top)
    _compare_webhooks(top, old, new)
    for before, after in _match_operations(top, old.operations, new.operations):
        if old.dependencies(before) != new.dependencies(after):
            _compare_operations(comparison, before, after)
    _compare_components(top, old)
    return list(comparison.findings.values())


def _moved_bases(old: OperationIndex, new: OperationIndex) -> tuple[str, str]:
    """Give the base paths of the servers if the paths of the other spec contain them instead."""
    (ours, before), (theirs, after) = _split_servers(old), _split_servers(new)
    addresses = {(each.method, before + each.path) for each in old.operations}
    same = [each for each in new.operations if (each.method, after + each.path) in addresses]
    return (before, after) if before != after and ours == theirs and same else ("", "")


def _split_servers(index: OperationIndex) -> tuple[list[str], str]:
    """Split the servers of all operations into origins and their one base path, if there is one."""
    urls = [each.text("url").rstrip("/") for each in index.spec.top.items("servers")]
    bases = {_ORIGIN.sub("", url, count=1) for url in urls}
    own = any(at.get("servers") for each in index.operations for at in (each.location, each.item))
    base = bases.pop() if len(bases) == 1 and not own else ""
    return [url.removesuffix(base) for url in urls], base


def _match_operations(top: Pair, old: list[Operation], new: list[Operation]) -> _Operations:
    """Match operations by address, then by operationId; report what has no counterpart."""
    bases, pairs, removed, added = top.comparison.bases, _Operations(), [*old], [*new]
    for step in range(3):
        candidates = {_matching_keys(each, bases[1])[step]: each for each in added}
        for each in list(removed):
            key = _matching_keys(each, bases[0])[step]
            found = candidates.pop(key, None) if key else None
            if found is None:
                continue
            removed.remove(each)
            added.remove(found)
            pairs.append((each, found))
            if step == 2 or _TEMPLATE.sub("{}", each.path) != _TEMPLATE.sub("{}", found.path):
                http = None if step == 2 else Level.COMPATIBLE
                pair, words = top.of(each.location, found.location), (each.address, found.address)
                pair.add("operation-moved", each.name, http=http, old=words[0], new=words[1])
    paths = top.of(top.old.at("paths"), top.new.at("paths"))
    for each in removed:
        paths.of(old=each.location).add("operation-removed", each.name)
    modules = {_module(each) for each in new if each not in added}
    for each in added:
        importer = Level.BREAKING if each.id and _module(each) in modules else None
        paths.of(new=each.location).add("operation-added", each.name, importer=importer)
    return pairs


def _module(operation: Operation) -> tuple[str, str]:
    tag = next(iter(operation.location.get("tags") or ()), "default")
    return python_name(str(tag)), python_name(operation.id)


def _matching_keys(operation: Operation, base: str) -> tuple[object, ...]:
    method, path = operation.method, base + operation.path
    return (method, path), (method, _TEMPLATE.sub("{}", path)), operation.id


def _compare_webhooks(top: Pair, old: OperationIndex, new: OperationIndex) -> None:
    """Report added webhooks; what a change of one means for its receivers is not judged."""
    before, after = (each.get("webhooks") or {} for each in (top.old, top.new))
    webhooks = top.of(top.old.key("webhooks"), top.new.key("webhooks"))
    for name in after.keys() - before.keys():
        webhooks.add("operation-added", f"webhook {name}", importer=Level.NONE)
    if any(old.closure(before[name]) != new.closure(after.get(name)) for name in before):
        webhooks.add("not-judged", "the document", detail="webhooks")


def _compare_operations(comparison: Comparison, old: Operation, new: Operation) -> None:
    pair, name = Pair(comparison, old.location, new.location), new.name
    items = pair.of(old.item, new.item)
    if old.id != new.id:
        if python_name(old.id) == python_name(new.id):
            pair.add("wording-changed", name, detail="operationId")
        else:
            words = {"old": old.id or "none", "new": new.id or "none"}
            pair.add("operation-id-changed", old.id or new.id, **words)
    _compare_tags(pair, name)
    pair.compare_wording(name)
    items.compare_wording(new.path)
    pair.compare_deprecation(name)
    renamed = zip(_TEMPLATE.findall(old.path), _TEMPLATE.findall(new.path), strict=False)
    compare_parameters(pair, items, dict(renamed))
    compare_bodies(pair, name)
    compare_responses(pair, name)
    compare_security(pair, name)
    compare_servers(pair, items)
    pair.compare_unknown(name, _OPERATION_KEYS)
    items.compare_unknown(new.path, _ITEM_KEYS)


def _compare_tags(pair: Pair, operation: str) -> None:
    before, after = ([*map(str, each.get("tags") or ())] for each in (pair.old, pair.new))
    first, second = (tags[0] if tags else "default" for tags in (before, after))
    if python_name(first) != python_name(second):
        pair.add("operation-tag-changed", operation, old=first, new=second)
    elif before != after:
        tags = ", ".join(before), ", ".join(after)
        pair.add("operation-tags-changed", operation, old=tags[0], new=tags[1])


def _compare_documents(top: Pair) -> None:
    top.compare_wording("the document", "tags", "jsonSchemaDialect")
    info = top.of(top.old.at("info"), top.new.at("info"))
    info.compare_wording("info", "version", "termsOfService", "contact", "license")
    top.compare_unknown("the document", _DOCUMENT_KEYS)
    compare_servers(top, top)
    compare_schemes(top)


def _compare_components(top: Pair, old: OperationIndex) -> None:
    """Compare the schemas that no body uses, and report added and removed classes."""
    comparison = top.comparison
    before, after = component_classes(comparison.old), comparison.new_classes
    shared = {name: top.of(before[name], after[name]) for name in before if name in after}
    for name, pair in shared.items():
        pair.compare_wording(name)
    for name, pair in shared.items():
        if pair.old.component not in comparison.used:
            # A callback may use it.
            comparison.in_unused = not old.affected_by(pair.old.pointer)
            compare_schemas(pair, "request", name)
            compare_schemas(pair, "response", name)
    comparison.in_unused = False
    for (old_name, new_name), pair in comparison.renamed.items():
        pair.add("schema-renamed", old_name, old=old_name, new=new_name)
    components = top.of(top.old.at("components"), top.new.at("components"))
    for name in before.keys() - after.keys() - {old_name for old_name, _ in comparison.renamed}:
        components.of(old=before[name]).add("schema-removed", name)
    for name in after.keys() - before.keys() - {new_name for _, new_name in comparison.renamed}:
        importer = Level.BREAKING if "(" in name else None
        components.of(new=after[name]).add("schema-added", name, importer=importer)
