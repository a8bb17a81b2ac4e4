"""The generated package of each spec, what changed in it, and which finding explains which change.

This project's generator writes both into a temporary directory, with its settings and templates,
and griffe reads them; nothing that is generated is imported or run.
"""

from __future__ import annotations

import json
import logging
import re
import tempfile
from collections.abc import Iterator
from functools import cache
from itertools import compress
from pathlib import Path, PurePosixPath
from typing import Any, cast

import griffe
from attrs import evolve, frozen

from tools.generate.document import GenerationError
from tools.generate.render import Sources, render
from tools.specdiff.findings import Comparison, Finding, Level, Pair, Signature
from tools.specdiff.schemas import class_name, python_name, read_schema
from tools.specdiff.spec import Operation, Pointer
from tools.specdiff.spec import OperationIndex as _Index
from tools.specdiff.spec_files import ROOT

# Above MAX_WHOLE operations, only MAX_AFFECTED that the changes affect are generated: it is slow.
MAX_WHOLE, MAX_AFFECTED = 40, 60

# What breaks importers whichever way the data goes. Types and values are judged by the rules.
_BREAKS = re.compile(r"OBJECT_|PARAMETER_(REMOVED|ADDED|CHANGED_KIND|CHANGED_REQUIRED)")
# The four functions of an operation change alike; one stands for all.
_CLASS_RULES = re.compile(r"(renamed|replaced|schema-removed|schema-added)$|unknown-fields|enum")
_CALL_RULES = re.compile(r"schema-renamed|schema-replaced|enum|type")
_LIKE_SYNC = (".sync_detailed", ".asyncio", ".asyncio_detailed")


class RejectedError(Exception):
    """The generator rejects a spec."""


@frozen
class PackageChanges:
    """What changed in the generated package."""

    signatures: tuple[Signature, ...]
    broken: tuple[str, ...]  # the names that griffe reports
    partial: bool  # whether only what the changes affect was generated
    note: str = ""  # what was left out of that


def compare_packages(old: _Index, new: _Index, findings: list[Finding]) -> PackageChanges:
    """Generate both packages, of long specs as far as the findings affect them; compare them."""
    partial = max(len(old.operations), len(new.operations)) > MAX_WHOLE
    contents, note = [old.spec.content, new.spec.content], ""
    if partial:
        pointers = [each.old.pointer for each in findings], [each.new.pointer for each in findings]
        affected = [_affected(*side) for side in zip((old, new), pointers, strict=True)]
        # The same operations on both sides, so that none seems to be removed.
        kept = {each.address for each in affected[0][:MAX_AFFECTED]}
        kept |= {each.address for each in affected[1] if len(kept) < MAX_AFFECTED}
        sides = zip((old, new), affected, pointers, strict=True)
        contents = [_slice(index, chosen, kept, wanted) for index, chosen, wanted in sides]
        left = len({each.address for side in affected for each in side} - kept)
        note = f"{left} affected operations were left out of the signatures" if left else ""
    texts = [json.dumps(content, ensure_ascii=False) for content in contents]
    modules = [_load_package(texts[0], old.spec.label), _load_package(texts[1], new.spec.label)]
    before, after = (dict(_declarations(module)) for module in modules)
    signatures = tuple(
        Signature(name, before.get(name, ""), after.get(name, ""))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
        # A class or module that was added or removed as a whole stands for its members.
        and ((owner := name.rpartition(".")[0]) in before) == (owner in after)
    )
    broken = dict.fromkeys(
        each.obj.path.partition(".")[2]
        for each in griffe.find_breaking_changes(*modules)
        if _BREAKS.match(each.kind.name)
        # The member of an enum has another value.
        or (
            each.kind.name == "ATTRIBUTE_CHANGED_VALUE"
            and any("Enum" in str(base) for base in getattr(each.obj.parent, "bases", ()))
        )
    )
    return PackageChanges(signatures, tuple(broken), partial, note)


def _affected(index: _Index, pointers: list[Pointer]) -> list[Operation]:
    """Give the operations that some locations affect, those that are changed themselves first."""
    chosen: dict[Pointer, Operation] = {}
    for pointer in sorted(pointers, key=lambda each: each[:1] != ("paths",)):
        chosen |= {each.location.pointer: each for each in index.affected_by(pointer)}
    return list(chosen.values())


def _slice(
    index: _Index, affected: list[Operation], kept: set[str], pointers: list[Pointer]
) -> dict[str, Any]:
    """Reduce a spec to some operations and locations, with the components that they need."""
    content, chosen = index.spec.content, [each for each in affected if each.address in kept]
    components = content.get("components") or {}
    wanted = index.components_of(*chosen)
    for kind, name in {each[1:3] for each in pointers if each[0:1] == ("components",) and each[2:]}:
        wanted.add(("components", kind, name))
        wanted |= index.components_in((components.get(kind) or {}).get(name))
    schemes = components.get("securitySchemes") or {}
    paths: dict[str, Any] = {}
    for each in chosen:
        shared = each.item.get("parameters")
        item = paths.setdefault(each.path, {"parameters": shared} if shared else {})
        item[each.method] = each.location.value
    return {
        **content,
        "paths": paths,
        "components": {
            kind: {key: each for key, each in values.items() if ("components", kind, key) in wanted}
            for kind, values in components.items()
            if isinstance(values, dict)
        }
        | {"securitySchemes": schemes},
    }


@cache
def _load_package(text: str, label: str) -> griffe.Module:
    """Generate the package of a spec in a temporary directory, and load it with griffe."""
    logging.getLogger("griffe").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="specdiff-") as name:
        directory = Path(name)
        for path, content in generate_package(text, label).items():
            if path.parts[0] in ("api", "models", "__init__.py"):
                target = directory / "generated" / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
        module = griffe.load("generated", search_paths=[directory], allow_inspection=False)
    return cast("griffe.Module", module)


@cache
def generate_package(text: str, label: str) -> dict[PurePosixPath, bytes]:
    """Generate the package of a spec, given as JSON; give the content of each file by its path."""
    with tempfile.TemporaryDirectory(prefix="specdiff-") as directory:
        spec = Path(directory, "openapi.json")
        spec.write_text(text, encoding="utf-8")
        settings, templates = ROOT / "generator-config.yml", ROOT / "generator-templates"
        try:
            return render(Sources(spec, settings, templates))
        except Exception as error:  # whatever its parser raises, the HTTP comparison is made
            text = str(error) if isinstance(error, GenerationError) else repr(error)
            reason = " ".join(text.replace(str(spec), "the spec").split())[:400]
            raise RejectedError(f"the generator rejects {label}: {reason}") from error


def _declarations(package: griffe.Module) -> Iterator[tuple[str, str]]:
    """Give each public name of the package with its declaration."""
    none: dict[str, griffe.Module] = {}
    api, models = (package.modules.get(name) for name in ("api", "models"))
    for tag in (api.modules if api else none).values():
        for module in tag.modules.values():
            name = f"api.{tag.name}.{module.name}"
            yield name, f"module {name}"
            for function in module.functions.values():
                if not function.name.startswith("_"):
                    yield f"{name}.{function.name}", function.signature()
    for module in (models.modules if models else none).values():
        for model in module.classes.values():
            bases = ", ".join(str(base) for base in model.bases)
            yield f"models.{model.name}", f"class {model.name}({bases})".replace("()", "")
            for member in model.attributes.values():
                kind = f": {member.annotation}" if member.annotation is not None else ""
                value = f" = {member.value}" if member.value is not None else ""
                yield f"models.{model.name}.{member.name}", f"{member.name}{kind}{value}"


def assign_signatures(
    findings: list[Finding], changes: PackageChanges, old: _Index, new: _Index
) -> tuple[list[Finding], list[Signature]]:
    """Assign changed signatures to findings, add unexplained breaks, and give what is left."""
    owners = [_owners(each, old, new) for each in findings]
    assigned: list[list[Signature]] = [[] for _ in findings]
    unassigned: list[Signature] = []
    for signature in changes.signatures:
        if signature.name.endswith(_LIKE_SYNC):
            continue
        indices = _explaining(signature.name, findings, owners)
        for index in indices:
            assigned[index].append(signature)
        if not indices:
            unassigned.append(signature)
    pairs = zip(findings, assigned, strict=True)
    result = [evolve(each, signatures=tuple(signatures)) for each, signatures in pairs]
    breaking = [each.importer is Level.BREAKING for each in findings]
    explained = {name for names in compress(owners, breaking) for name in names}
    return result + _unexplained(changes, explained, old, new), unassigned


def _owners(each: Finding, old: _Index, new: _Index) -> set[str]:
    """Give the classes and operations that a finding is about, by their plain names."""
    names: set[str] = set()
    for index, pointer in ((old, each.old.pointer), (new, each.new.pointer)):
        names |= {python_name(operation.id) for operation in index.affected_by(pointer)}
        if pointer[:2] == ("components", "schemas") and len(pointer) > 2:
            schema = index.spec.components("schemas").get(pointer[2])
            names.add(class_name(read_schema(schema)) if schema else "")
    names.add(each.subject.partition(".")[0])
    return {_plain(name) for name in names} - {""}


def _plain(name: str) -> str:
    """Write a class and its module, or an operation and its module, in the same way."""
    return name.replace("_", "").lower()


def _owner_and_member(name: str) -> tuple[str, str]:
    parts = [*name.split("."), "", ""]
    return (parts[1], parts[2]) if parts[0] == "models" else (parts[2], "")


def _explaining(name: str, findings: list[Finding], owners: list[set[str]]) -> list[int]:
    """Give the indices of the findings that explain a changed name."""
    owner, member = _owner_and_member(name)
    return [
        index
        for index, (each, names) in enumerate(zip(findings, owners, strict=True))
        if _belongs(owner, names) and each.level is not Level.WORDING
        and _can_change(each, member, is_call=name.startswith("api."))
    ]  # fmt: skip


def _belongs(owner: str, names: set[str]) -> bool:
    """Tell whether a class or operation is among some, or inline in one of them."""
    plain = _plain(owner)
    return plain in names or any(plain[:end] in names for end in range(3, len(plain)))


def _can_change(each: Finding, member: str, *, is_call: bool) -> bool:
    """Tell whether a finding can change the declaration of a function, or of a class's member."""
    if is_call:
        in_schema = each.new.pointer[:2] == ("components", "schemas")
        return not in_schema or bool(_CALL_RULES.search(each.rule.id))
    name = each.subject.rpartition(".")[2].replace("[]", "")
    return python_name(name) == member or bool(_CLASS_RULES.search(each.rule.id))


def _unexplained(
    changes: PackageChanges, explained: set[str], old: _Index, new: _Index
) -> list[Finding]:
    """Make a finding of each break in Python that no finding about the spec explains."""
    operations = {python_name(each.id): each.location for each in reversed(old.operations)}
    comparison = Comparison(old.spec, new.spec)
    for name in changes.broken:
        owner, _member = _owner_and_member(name)
        if owner and not _belongs(owner, explained) and comparison.is_first(_plain(owner)):
            location = operations.get(owner, old.spec.top)
            Pair(comparison, location, new.spec.top).add("python-surface", owner)
    return list(comparison.findings.values())
