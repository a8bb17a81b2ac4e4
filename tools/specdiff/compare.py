"""Two specs: which operation became which, and everything about each."""

from __future__ import annotations

import re

from tools.specdiff.compare_access import compare_schemes, compare_security, compare_servers
from tools.specdiff.compare_bodies import compare_bodies
from tools.specdiff.compare_parameters import compare_parameters
from tools.specdiff.compare_responses import compare_responses
from tools.specdiff.compare_schemas import compare_schemas
from tools.specdiff.findings import Finding
from tools.specdiff.names import component_classes, python_name
from tools.specdiff.operations import METHODS, Operation
from tools.specdiff.reach import Reach
from tools.specdiff.spec import Pointer, canonical
from tools.specdiff.walk import Walk

_ITEM = {*METHODS, "parameters", "servers"}
_OPERATION = {"tags", "operationId", "parameters", "requestBody", "responses", "deprecated",
              "security", "servers"}  # fmt: skip
_TEMPLATE = re.compile(r"\{([^}]*)\}")


def compare(old: Reach, new: Reach) -> list[Finding]:
    """Find every change between two specs.

    Args:
        old: The old spec.
        new: The new one.
    """
    walk = Walk(old.spec, new.spec)
    _compare_documents(walk)
    changed = _changed_components(walk)
    for before, after in _pair(walk, old.operations, new.operations):
        if changed is None or not (
            _reads_alike(before, after)
            and _leads_to_components(old, before, changed)
            and _leads_to_components(new, after, changed)
        ):
            _compare_operations(walk, before, after)
    _compare_components(walk)
    return walk.findings


def _changed_components(walk: Walk) -> set[Pointer] | None:
    """Give the components that differ, or None where that is not all that operations depend on."""
    old, new = walk.old, walk.new
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


def _leads_to_components(reach: Reach, operation: Operation, changed: set[Pointer]) -> bool:
    """Tell whether an operation refers to nothing but components that did not change."""
    leads = reach.leads_to(operation)
    return leads.isdisjoint(changed) and all(each[:1] == ("components",) for each in leads)


def _reads_alike(old: Operation, new: Operation) -> bool:
    items = [
        {key: value for key, value in each.item.value.items() if key not in METHODS}
        for each in (old, new)
    ]
    return (
        old.path == new.path
        and canonical(old.place.value) == canonical(new.place.value)
        and canonical(items[0]) == canonical(items[1])
    )


def _pair(
    walk: Walk, old: list[Operation], new: list[Operation]
) -> list[tuple[Operation, Operation]]:
    """Match operations by address, then by operationId; note what has no counterpart."""
    places = {(each.method, _TEMPLATE.sub("{}", each.path)): each for each in new}
    pairs: list[tuple[Operation, Operation]] = []
    left = []
    for each in old:
        found = places.pop((each.method, _TEMPLATE.sub("{}", each.path)), None)
        if found is None:
            left.append(each)
        else:
            pairs.append((each, found))
    ids = {each.place.text("operationId"): each for each in places.values()}
    ids.pop("", None)
    gone = []
    for each in left:
        found = ids.pop(each.place.text("operationId"), None)
        if found is None:
            gone.append(each)
        else:
            words = {"old": each.address, "new": found.address}
            walk.add("operation-moved", each.place, found.place, each.name, **words)
            pairs.append((each, found))
    nowhere = [each.top.at("paths") or each.top for each in (walk.old, walk.new)]
    matched = {id(found) for _, found in pairs}
    for each in gone:
        walk.add("operation-removed", each.place, nowhere[1], each.name)
    for each in new:
        if id(each) not in matched:
            walk.add("operation-added", nowhere[0], each.place, each.name)
    return pairs


def _compare_operations(walk: Walk, old: Operation, new: Operation) -> None:
    ours, theirs = old.place, new.place
    before, after = ours.text("operationId"), theirs.text("operationId")
    if before != after:
        if python_name(before) == python_name(after):
            walk.add("wording-changed", ours, theirs, new.name, detail="operationId")
        else:
            words = {"old": before or "none", "new": after or "none"}
            walk.add("operation-id-changed", ours, theirs, before or after, **words)
    _compare_tags(walk, old, new)
    walk.wording(ours, theirs, new.name)
    walk.wording(old.item, new.item, new.path)
    walk.deprecation(ours, theirs, new.name)
    names = zip(_TEMPLATE.findall(old.path), _TEMPLATE.findall(new.path), strict=False)
    compare_parameters(walk, (old.item, ours), (new.item, theirs), dict(names))
    compare_bodies(walk, ours, theirs, new.name)
    compare_responses(walk, ours, theirs, new.name)
    compare_security(walk, ours, theirs, new.name)
    compare_servers(walk, (ours, old.item), (theirs, new.item))
    walk.rest(ours, theirs, new.name, _OPERATION)
    walk.rest(old.item, new.item, new.path, _ITEM)


def _compare_tags(walk: Walk, old: Operation, new: Operation) -> None:
    before, after = ([*map(str, each.place.get("tags") or ())] for each in (old, new))
    if before == after:
        return
    first, second = (tags[0] if tags else "default" for tags in (before, after))
    same = python_name(first) == python_name(second)
    words = {"old": first, "new": second}
    if same:
        words = {"old": ", ".join(before), "new": ", ".join(after)}
    rule = "operation-tags-changed" if same else "operation-tag-changed"
    walk.add(rule, old.place, new.place, new.name, **words)


def _compare_documents(walk: Walk) -> None:
    ours, theirs = walk.old.top, walk.new.top
    walk.wording(ours, theirs, "the document", more=("tags", "jsonSchemaDialect"))
    before, after = ours.at("info"), theirs.at("info")
    if before and after:
        walk.wording(before, after, "info", more=(
            "version", "termsOfService", "contact", "license"))  # fmt: skip
    known = {"openapi", "info", "paths", "components", "tags", "servers", "security"}
    walk.rest(ours, theirs, "the document", known | {"jsonSchemaDialect"})
    compare_servers(walk, (ours,), (theirs,))
    compare_schemes(walk)


def _compare_components(walk: Walk) -> None:
    """Look at the schemas that no operation uses, and at the classes that came and went."""
    before, after = component_classes(walk.old), walk.new_classes
    for name, place in before.items():
        if name in after:
            walk.wording(place, after[name], name)
    walk.unused = True
    for name in before:
        if name in after and before[name].component not in walk.reached:
            for side in ("request", "response"):
                compare_schemas(walk, before[name], after[name], side, name)
    walk.unused = False
    for (gone, come), (ours, theirs) in walk.renamed.items():
        walk.add("schema-renamed", ours, theirs, gone, old=gone, new=come)
    nowhere = [each.top.at("components") or each.top for each in (walk.old, walk.new)]
    for name in before.keys() - after.keys() - {gone for gone, _ in walk.renamed}:
        walk.add("schema-removed", before[name], nowhere[1], name)
    for name in after.keys() - before.keys() - {come for _, come in walk.renamed}:
        walk.add("schema-added", nowhere[0], after[name], name)
