"""A spec to walk through: places with their JSON pointer and line, references followed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from attrs import evolve, frozen
from jsonschema.exceptions import best_match
from openapi_spec_validator.schemas import (
    openapi_v30_schema_validator,
    openapi_v31_schema_validator,
)
from referencing import Registry, Specification
from referencing.exceptions import Unresolvable

from tools.specdiff.reading import Reading, read
from tools.specdiff.sources import Source
from tools.specdiff.trouble import CannotCompareError

Pointer = tuple[str, ...]

_MOST_HOPS = 50
# Keys whose value is a schema; elsewhere, words beside a reference only take the place of others.
_SCHEMAS = {("schema",), ("items",), ("additionalProperties",)}


@frozen(eq=False)
class Spec:
    """An OpenAPI document of version 3.0 or 3.1.

    Attributes:
        label: What to call it.
        content: The document.
        minor: 0 or 1, of the version 3.0 or 3.1.
    """

    label: str
    content: dict[str, Any]
    minor: int
    _reading: Reading
    _registry: Registry[Any]

    @classmethod
    def load(cls, source: Source, known: Spec | None = None) -> Spec:
        """Read a spec and hold it against the schema of its version.

        Args:
            source: Its text.
            known: A spec that was found right; what is the same in both is not looked at again.

        Raises:
            CannotCompareError: It is no OpenAPI 3.0 or 3.1.
        """
        reading = read(source.label, source.text)
        content = reading.content
        version = content.get("openapi") if isinstance(content, dict) else None
        found = re.fullmatch(r"3\.([01])\.[0-9]+", version) if isinstance(version, str) else None
        if found is None:
            said = "has no key `openapi`" if version is None else f"says {version!r}"
            if isinstance(version, int | float):
                said = "gives its version as a number, not as text like '3.0.3'"
            raise CannotCompareError(f"{source.label} is no OpenAPI 3.0 or 3.1 document: it {said}")
        minor = int(found[1])
        check = openapi_v31_schema_validator if minor else openapi_v30_schema_validator
        same_version = known is not None and known.minor == minor
        unseen = _without(content, known.content) if known and same_version else content
        fault = best_match(check.iter_errors(unseen))
        if fault is not None:
            path = tuple(str(step) for step in fault.absolute_path)
            raise CannotCompareError(
                f"{source.label}:{reading.line(path)} is no OpenAPI 3.{minor}:"
                f" {pointer_text(path)}: {fault.message[:200]}"
            )
        resource = Specification.OPAQUE.create_resource(content)
        return cls(source.label, content, minor, reading, Registry().with_resource("", resource))

    @property
    def top(self) -> Place:
        """The document itself."""
        return Place(self, self.content, ())

    def line(self, pointer: Pointer) -> int:
        """Find the line of what a pointer names."""
        return self._reading.line(pointer)

    def look_up(self, reference: str, pointer: Pointer) -> Place:
        """Find what a `$ref` names. Nothing is ever fetched.

        Args:
            reference: The reference.
            pointer: Where it stands, for the error.

        Raises:
            CannotCompareError: It leads out of the document or nowhere.
        """
        if not reference.startswith("#"):
            raise self._astray(reference, pointer, "which is another document; put both into one")
        if reference not in ("#", "#/") and not reference.startswith("#/"):
            raise self._astray(reference, pointer, "which is no JSON pointer")
        try:
            found = self._registry.resolver("").lookup(reference).contents
        except (Unresolvable, ValueError, LookupError, TypeError) as error:
            raise self._astray(reference, pointer, "which is not there") from error
        steps = unquote(reference[1:]).split("/")[1:]
        target = tuple(step.replace("~1", "/").replace("~0", "~") for step in steps)
        return Place(self, found, target)

    def _astray(self, reference: str, pointer: Pointer, why: str) -> CannotCompareError:
        line = self.line((*pointer, "$ref"))
        return CannotCompareError(f"{self.label}:{line} refers to {reference!r}, {why}")


@frozen(eq=False)
class Place:
    """A value of a spec and where it stands.

    Attributes:
        spec: The spec.
        value: The value.
        pointer: Keys and indices from the top.
        parent: The class in whose code the generator would put an inline class found here.
        name: What the generator would call it there.
        alias: The schema among the components that is nothing but a reference to this one, and that
            led here. The generator makes a class of it.
    """

    spec: Spec
    value: Any
    pointer: Pointer
    parent: str = ""
    name: str = ""
    alias: str = ""

    def at(self, key: str) -> Place | None:
        """Give what a key has, with references followed; None if the key is missing."""
        if not isinstance(self.value, dict) or key not in self.value:
            return None
        return self.step(key, self.value[key]).follow()

    def entries(self, key: str) -> dict[str, Place]:
        """Give the entries of the mapping that a key has, with references followed."""
        inner = self.at(key)
        if inner is None or not isinstance(inner.value, dict):
            return {}
        return {name: inner.step(name, value).follow() for name, value in inner.value.items()}

    def items(self, key: str) -> list[Place]:
        """Give the items of the array that a key has, with references followed."""
        inner = self.at(key)
        if inner is None or not isinstance(inner.value, list):
            return []
        return [inner.step(str(i), value).follow() for i, value in enumerate(inner.value)]

    def text(self, key: str, default: str = "") -> str:
        """Give a text that a key has."""
        found = self.get(key)
        return found if isinstance(found, str) else default

    def get(self, key: str, default: Any = None) -> Any:
        """Give the plain value of a key."""
        return self.value.get(key, default) if isinstance(self.value, dict) else default

    def named(self, parent: str, name: str) -> Place:
        """Say what the generator would call an inline class found here."""
        return evolve(self, parent=parent, name=name)

    def follow(self) -> Place:
        """Follow a reference, through as many as there are.

        What stands beside `$ref` counts only where OpenAPI lets it: in a 3.1 schema, which
        `tools.specdiff.shapes` reads by itself.

        Raises:
            CannotCompareError: It leads out of the document, nowhere or in a circle.
        """
        place = self
        for _ in range(_MOST_HOPS):
            if not place.refers or place.has_siblings:
                return place
            target = place.spec.look_up(place.value["$ref"], place.pointer)
            alias = place.alias or place.component
            place = evolve(target, parent=self.parent, name=self.name, alias=alias)
        raise CannotCompareError(
            f"{self.spec.label}:{self.spec.line(self.pointer)} refers to itself in a circle"
        )

    @property
    def refers(self) -> bool:
        """Whether this is a reference."""
        return isinstance(self.value, dict) and isinstance(self.value.get("$ref"), str)

    @property
    def has_siblings(self) -> bool:
        """Whether keys beside `$ref` say something."""
        in_schema = self.pointer[-2:-1] == ("properties",) or self.pointer[-1:] in _SCHEMAS
        words = set() if in_schema else {"summary", "description"}
        return bool(self.spec.minor and self.value.keys() - {"$ref"} - words)

    @property
    def line(self) -> int:
        """The line, from 1."""
        return self.spec.line(self.pointer)

    @property
    def component(self) -> str:
        """The name of the schema among the components that this is, or nothing."""
        here = self.pointer
        return (
            self.alias or here[2]
            if len(here) == 3 and here[:2] == ("components", "schemas")
            else ""
        )

    def step(self, key: str, value: Any) -> Place:
        """Give a value that stands in this one, as it is written."""
        return Place(self.spec, value, (*self.pointer, key), self.parent, self.name)


def _without(content: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """Leave out the paths and components that another document has alike."""
    result = dict(content)
    if isinstance(content.get("paths"), dict):
        result["paths"] = _fresh(content["paths"], known.get("paths"))
    components = content.get("components")
    if isinstance(components, dict):
        before = known.get("components") or {}
        result["components"] = {
            kind: _fresh(entries, before.get(kind) or {}) for kind, entries in components.items()
        }
    return result


def _fresh(entries: Any, known: Any) -> Any:
    if not isinstance(entries, dict) or not isinstance(known, dict):
        return entries
    return {key: value for key, value in entries.items() if key not in known or known[key] != value}


def pointer_text(pointer: Pointer) -> str:
    """Write a pointer as RFC 6901 has it."""
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in pointer) or "/"


def canonical(value: Any) -> str:
    """Write a value so that equal ones are equal text, whatever the order of keys."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)


def differing_keys(old: Place, new: Place, known: set[str]) -> Iterator[str]:
    """Give the keys in which two mappings differ, without those that are dealt with elsewhere."""
    for key in sorted(({*(old.value or {})} | {*(new.value or {})}) - known):
        if canonical(old.get(key)) != canonical(new.get(key)):
            yield key
