"""Which changed signature belongs to which finding, and what no finding explains."""

from __future__ import annotations

from attrs import evolve

from tools.specdiff.findings import Finding, Signature, finding
from tools.specdiff.names import class_name, python_name
from tools.specdiff.operations import Operation
from tools.specdiff.python_sides import PythonChanges
from tools.specdiff.reach import Reach
from tools.specdiff.rules import Level
from tools.specdiff.shapes import shape_of
from tools.specdiff.spec import Pointer

# The four functions of an operation change alike; one stands for all.
_SAME_AS_SYNC = (".sync_detailed", ".asyncio", ".asyncio_detailed")


def attach(
    found: list[Finding], changes: PythonChanges, old: Reach, new: Reach
) -> tuple[list[Finding], list[Signature]]:
    """Hang changed signatures on the findings that explain them.

    Args:
        found: The findings.
        changes: What changed in the generated package.
        old: The old spec.
        new: The new spec.

    Returns:
        The findings, with one more for each break in Python that none of them explains; and the
        signatures that changed without one, all of them harmless.
    """
    owners = [_owners(each, old, new) for each in found]
    hung: list[list[Signature]] = [[] for _ in found]
    left: list[Signature] = []
    for signature in changes.signatures:
        if signature.name.endswith(_SAME_AS_SYNC):
            continue
        places = _places(signature.name, found, owners)
        for place in places:
            hung[place].append(signature)
        if not places:
            left.append(signature)
    result = [
        evolve(each, signatures=tuple(signatures))
        for each, signatures in zip(found, hung, strict=True)
    ]
    return result + list(_unexplained(changes, found, owners, old, new)), left


def _owners(each: Finding, old: Reach, new: Reach) -> set[str]:
    """Give the classes and operations that a finding is about, by their plain names."""
    names: set[str] = set()
    for reach, pointer in ((old, each.old.pointer), (new, each.new.pointer)):
        names |= {python_name(op.place.text("operationId")) for op in reach.reached_by(pointer)}
        names.add(_class_at(reach, pointer))
    names.add(each.subject.partition(".")[0])
    return {_plain(name) for name in names} - {""}


def _plain(name: str) -> str:
    """Write a class and its module, or an operation and its module, in the same way."""
    return name.replace("_", "").lower()


def _class_at(reach: Reach, pointer: Pointer) -> str:
    if pointer[:2] != ("components", "schemas") or len(pointer) < 3:
        return ""
    schemas = reach.spec.top.at("components")
    place = schemas.entries("schemas").get(pointer[2]) if schemas else None
    return class_name(shape_of(place)) if place else ""


def _owner_and_member(name: str) -> tuple[str, str]:
    parts = name.split(".")
    if parts[0] == "models":
        return (parts[1], parts[2] if len(parts) > 2 else "") if len(parts) > 1 else ("", "")
    return parts[2] if len(parts) > 2 else "", ""


def _places(name: str, found: list[Finding], owners: list[set[str]]) -> list[int]:
    owner, member = _owner_and_member(name)
    mine = [index for index, names in enumerate(owners) if _belongs(owner, names)]
    mine = [index for index in mine if found[index].level is not Level.WORDING]
    if name.startswith("api."):
        return [index for index in mine if _changes_calls(found[index])]
    return [
        index
        for index in mine
        if python_name(found[index].subject.rpartition(".")[2].replace("[]", "")) == member
        or found[index].rule.id.endswith(("renamed", "replaced", "schema-removed", "schema-added"))
        or "unknown-fields" in found[index].rule.id
        or "enum" in found[index].rule.id
    ]


def _belongs(owner: str, names: set[str]) -> bool:
    """Tell whether a class or operation is among some, or inline in one of them."""
    plain = _plain(owner)
    return plain in names or any(plain[:end] in names for end in range(3, len(plain)))


def _changes_calls(each: Finding) -> bool:
    """Tell whether a finding can change how an operation's functions are declared."""
    in_schema = each.new.pointer[:2] == ("components", "schemas")
    return not in_schema or each.rule.id in {"schema-renamed", "schema-replaced"} or (
        "enum" in each.rule.id or "type" in each.rule.id)  # fmt: skip


def _unexplained(
    changes: PythonChanges, found: list[Finding], owners: list[set[str]], old: Reach, new: Reach
) -> list[Finding]:
    """Make a finding of each break in Python that no finding about the spec explains."""
    explained: set[str] = set()
    for each, names in zip(found, owners, strict=True):
        if each.importer is Level.BREAKING:
            explained |= names
    missed: dict[str, Finding] = {}
    for name in changes.broken:
        owner, _member = _owner_and_member(name)
        plain = _plain(owner)
        if owner and not _belongs(owner, explained) and plain not in missed:
            place = _operation(old, owner)
            top = old.spec.top if place is None else place.place
            missed[plain] = finding("python-surface", top, new.spec.top, owner)
    return list(missed.values())


def _operation(reach: Reach, name: str) -> Operation | None:
    wanted = (each for each in reach.operations
              if python_name(each.place.text("operationId")) == name)  # fmt: skip
    return next(wanted, None)
