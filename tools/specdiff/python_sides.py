"""The generated package of each side: written into a temporary folder, read by griffe.

Both sides go through this project's generator as it stands, with its settings and templates, so
that what differs comes from the spec alone. Nothing that is generated is imported or run.
"""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import griffe
from attrs import frozen

from tools.generate.document import GenerationError
from tools.generate.render import Sources, render
from tools.specdiff.findings import Finding, Signature
from tools.specdiff.operations import Operation
from tools.specdiff.reach import Reach
from tools.specdiff.sources import ROOT
from tools.specdiff.spec import Pointer

# Above this many operations a side is generated as far as it is concerned, not whole.
WHOLE = 40
# And of those that are concerned, no more than this: the generator takes its time.
MOST = 60

# What griffe counts as a break and is one whichever way the data goes. Types and values of
# attributes and results are judged by the rules, which know who sends and who reads.
_BREAKS = {
    griffe.BreakageKind.OBJECT_REMOVED,
    griffe.BreakageKind.OBJECT_CHANGED_KIND,
    griffe.BreakageKind.PARAMETER_REMOVED,
    griffe.BreakageKind.PARAMETER_CHANGED_KIND,
    griffe.BreakageKind.PARAMETER_CHANGED_REQUIRED,
    griffe.BreakageKind.PARAMETER_ADDED_REQUIRED,
}


class RefusedError(Exception):
    """The generator refuses a spec."""


@frozen
class PythonChanges:
    """What changed in the generated package.

    Attributes:
        signatures: The public names that changed, by where they are: a class or an operation.
        broken: What griffe calls a break, by name, with what it says.
        partial: Whether only what the changes concern was generated.
        note: What was left out of that.
    """

    signatures: tuple[Signature, ...]
    broken: dict[str, str]
    partial: bool
    note: str = ""


def compare_packages(old: Reach, new: Reach, found: list[Finding]) -> PythonChanges:
    """Generate both sides and compare them.

    Args:
        old: The old spec.
        new: The new spec.
        found: What changed between the two; a long spec is generated only where that concerns it.

    Raises:
        RefusedError: The generator refuses one of the specs.
    """
    partial = max(len(old.operations), len(new.operations)) > WHOLE
    contents, note = [old.spec.content, new.spec.content], ""
    if partial:
        pointers = [each.old.pointer for each in found], [each.new.pointer for each in found]
        concerned = [_concerned(*side) for side in zip((old, new), pointers, strict=True)]
        # The same operations on both sides, so that none seems to have gone.
        kept = {each.address for each in concerned[0][:MOST]} if concerned[0] else set()
        kept |= {each.address for each in concerned[1] if len(kept) < MOST or each.address in kept}
        contents = [
            _slice(side, [each for each in chosen if each.address in kept], wanted)
            for side, chosen, wanted in zip((old, new), concerned, pointers, strict=True)
        ]
        left = len({each.address for side in concerned for each in side} - kept)
        note = f"{left} of the operations concerned were left out of the signatures" if left else ""
    labels = (old.spec.label, new.spec.label)
    modules = [
        _package(json.dumps(content, ensure_ascii=False), label)
        for label, content in zip(labels, contents, strict=True)
    ]
    before, after = (dict(_declarations(module)) for module in modules)
    signatures = tuple(
        Signature(name, before.get(name, ""), after.get(name, ""))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name) and not _of_gone_class(name, before, after)
    )
    broken = {
        each.obj.path.partition(".")[2]: each.kind.value
        for each in griffe.find_breaking_changes(*modules)
        if each.kind in _BREAKS
    }
    return PythonChanges(signatures, broken, partial, note)


def _concerned(reach: Reach, pointers: list[Pointer]) -> list[Operation]:
    """Give the operations that some places concern, those that are changed themselves first."""
    chosen: dict[Pointer, Operation] = {}
    for pointer in sorted(pointers, key=lambda each: each[:1] != ("paths",)):
        chosen |= {each.place.pointer: each for each in reach.reached_by(pointer)}
    return list(chosen.values())


def _slice(reach: Reach, chosen: list[Operation], pointers: list[Pointer]) -> dict[str, Any]:
    """Cut a spec down to some operations, and to the components that they and some places need."""
    content = reach.spec.content
    components = content.get("components") or {}
    wanted = reach.components_of(chosen)
    for kind, name in {each[1:3] for each in pointers if each[0:1] == ("components",) and each[2:]}:
        wanted.add(("components", kind, name))
        wanted |= reach.closure((components.get(kind) or {}).get(name))
    paths: dict[str, Any] = {}
    for each in chosen:
        shared = each.item.get("parameters")
        item = paths.setdefault(each.path, {"parameters": shared} if shared else {})
        item[each.method] = each.place.value
    return {
        **content,
        "paths": paths,
        "components": {
            kind: {
                name: value
                for name, value in (entries or {}).items()
                if kind == "securitySchemes" or ("components", kind, name) in wanted
            }
            for kind, entries in components.items()
            if isinstance(entries, dict)
        },
    }


@cache
def _package(text: str, label: str) -> griffe.Module:
    """Generate the package of a spec in a temporary folder, and read it."""
    logging.getLogger("griffe").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="specdiff-") as name:
        folder = Path(name)
        for path, content in generated(text, label).items():
            if path.parts[0] in ("api", "models", "__init__.py"):
                target = folder / "generated" / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
        module = griffe.load("generated", search_paths=[folder], allow_inspection=False)
    if not isinstance(module, griffe.Module):
        raise RefusedError(f"the package generated from {label} can't be read")
    return module


@cache
def generated(text: str, label: str) -> dict[PurePosixPath, bytes]:
    """Generate the package of a spec.

    Args:
        text: The spec, as JSON.
        label: What to call it.

    Returns:
        The content of each file by its path inside the package.

    Raises:
        RefusedError: The generator refuses it.
    """
    with tempfile.TemporaryDirectory(prefix="specdiff-") as folder:
        spec = Path(folder, "openapi.json")
        spec.write_text(text, encoding="utf-8")
        settings, templates = ROOT / "generator-config.yml", ROOT / "generator-templates"
        try:
            return render(Sources(spec, settings, templates))
        except GenerationError as error:
            words = " ".join(str(error).replace(str(spec), "the spec").split())
            raise RefusedError(f"the generator refuses {label}: {words[:400]}") from error
        except RecursionError as error:
            raise RefusedError(f"the generator can't cope with {label}") from error


def _declarations(package: griffe.Module) -> Iterator[tuple[str, str]]:
    """Give each public name of the package, and how it is declared."""
    for tag in _modules(package, "api"):
        for module in tag.modules.values():
            where = f"api.{tag.name}.{module.name}"
            yield where, f"module {where}"
            for function in module.functions.values():
                if not function.name.startswith("_"):
                    yield f"{where}.{function.name}", function.signature()
    for module in _modules(package, "models"):
        for made in module.classes.values():
            bases = ", ".join(str(base) for base in made.bases)
            yield f"models.{made.name}", f"class {made.name}({bases})".replace("()", "")
            for member in made.attributes.values():
                yield f"models.{made.name}.{member.name}", _declared(member)


def _modules(package: griffe.Module, name: str) -> list[griffe.Module]:
    folder = package.modules.get(name)
    return list(folder.modules.values()) if folder is not None else []


def _declared(member: griffe.Attribute) -> str:
    kind = f": {member.annotation}" if member.annotation is not None else ""
    value = f" = {member.value}" if member.value is not None else ""
    return f"{member.name}{kind}{value}"


def _of_gone_class(name: str, before: dict[str, str], after: dict[str, str]) -> bool:
    """Tell whether a class or module came or went whole, so that its members go without saying."""
    owner = name.rpartition(".")[0]
    return (owner in before) != (owner in after)
