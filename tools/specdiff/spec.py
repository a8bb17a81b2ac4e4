"""A parsed spec: locations with pointer and line, references, and which operation uses what."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, TypeAlias
from urllib.parse import unquote

from attrs import define, evolve, field, frozen
from jsonschema.exceptions import best_match
from openapi_spec_validator.schemas import openapi_v30_schema_validator as v30_validator
from openapi_spec_validator.schemas import openapi_v31_schema_validator as v31_validator
from referencing import Registry, Specification
from referencing.exceptions import Unresolvable

from tools.bounded_yaml import ParsedYAML, RejectedYAMLError, parse
from tools.specdiff.spec_files import CannotCompareError, Source

Pointer: TypeAlias = tuple[str, ...]

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")

_MAX_HOPS = 50
# Schemas that refer to each other twice over and over stand for more than any spec says.
_MAX_STEPS = 300_000
# Keys whose value is a schema; elsewhere, text beside a reference only replaces other text.
_SCHEMA_KEYS = {("schema",), ("items",), ("additionalProperties",)}


@frozen(eq=False)
class Spec:
    """An OpenAPI document of version 3.0 or 3.1 (`minor`)."""

    label: str
    content: dict[str, Any]
    minor: int
    parsed: ParsedYAML
    _registry: Registry[Any]
    _steps: list[int] = field(factory=lambda: [0])

    @classmethod
    def load(cls, source: Source) -> Spec:
        """Parse and validate a spec."""
        try:
            parsed = parse(source.label, source.text)
        except RejectedYAMLError as error:
            raise CannotCompareError(str(error)) from error
        content = parsed.content
        version = content.get("openapi") if isinstance(content, dict) else None
        found = re.fullmatch(r"3\.([01])\.[0-9]+", version) if isinstance(version, str) else None
        if found is None:
            problem = "has no key `openapi`" if version is None else f"says {version!r}"
            if isinstance(version, int | float):
                problem = "gives its version as a number, not as text like '3.0.3'"
            message = f"{source.label} is not an OpenAPI 3.0 or 3.1 document: it {problem}"
            raise CannotCompareError(message)
        minor = int(found[1])
        invalid = best_match((v31_validator if minor else v30_validator).iter_errors(content))
        if invalid is not None:
            path = tuple(str(key) for key in invalid.absolute_path)
            where = f"{source.label}:{parsed.line(path)} is not OpenAPI 3.{minor}"
            raise CannotCompareError(f"{where}: {pointer_text(path)}: {invalid.message[:200]}")
        resource = Specification.OPAQUE.create_resource(content)
        return cls(source.label, content, minor, parsed, Registry().with_resource("", resource))

    @property
    def top(self) -> SpecLocation:
        """The document itself."""
        return SpecLocation(self, self.content, ())

    def components(self, kind: str) -> dict[str, SpecLocation]:
        """Give the components of a kind, for example `schemas`, by their names."""
        components = self.top.at("components")
        return components.entries(kind) if components else {}

    def count_step(self) -> None:
        """Count a look at a schema or another object; the first one too many ends it."""
        self._steps[0] += 1
        if self._steps[0] > _MAX_STEPS:
            problem = "refers to the same schemas in too many ways to be compared"
            raise CannotCompareError(f"{self.label} {problem}")

    def resolve(self, reference: str, pointer: Pointer) -> SpecLocation:
        """Find the target of the `$ref` at a pointer. Nothing is ever fetched."""
        if not reference.startswith("#"):
            problem = "which is another document; put both into one"
        elif reference not in ("#", "#/") and not reference.startswith("#/"):
            problem = "which is not a JSON pointer"
        else:
            try:
                target = self._registry.resolver("").lookup(reference).contents
                return SpecLocation(self, target, tuple(_reference_keys(reference)))
            except (Unresolvable, ValueError, LookupError, TypeError):
                problem = "which does not exist"
        line = self.parsed.line((*pointer, "$ref"))
        raise CannotCompareError(f"{self.label}:{line} refers to {reference!r}, {problem}")


@frozen(eq=False)
class SpecLocation:
    """A value of a spec and where it stands."""

    spec: Spec
    value: Any
    pointer: Pointer  # keys and indices from the top
    parent: str = ""  # what the generator would name an inline class after
    name: str = ""
    alias: str = ""  # the component schema, with a class, that is only a reference to this one

    def __str__(self) -> str:
        return pointer_text(self.pointer)

    def at(self, key: str) -> SpecLocation | None:
        """Give the value of a key, with references followed; None if the key is missing."""
        if not isinstance(self.value, dict) or key not in self.value:
            return None
        return self.child(key, self.value[key]).follow()

    def entries(self, key: str) -> dict[str, SpecLocation]:
        """Give the entries of the mapping under a key, with references followed."""
        inner = self.at(key)
        if inner is None or not isinstance(inner.value, dict):
            return {}
        return {name: inner.child(name, value).follow() for name, value in inner.value.items()}

    def items(self, key: str) -> list[SpecLocation]:
        """Give the items of the array under a key, with references followed."""
        inner = self.at(key)
        if inner is None or not isinstance(inner.value, list):
            return []
        return [inner.child(str(i), value).follow() for i, value in enumerate(inner.value)]

    def get(self, key: str, default: Any = None) -> Any:
        """Give the plain value of a key."""
        return self.value.get(key, default) if isinstance(self.value, dict) else default

    def text(self, key: str) -> str:
        """Give the string under a key, or an empty one."""
        found = self.get(key)
        return found if isinstance(found, str) else ""

    def is_set(self, key: str) -> bool:
        """Tell whether a key is `true`."""
        return self.get(key) is True

    def named(self, parent: str, name: str) -> SpecLocation:
        """Set what the generator would call an inline class found here."""
        return evolve(self, parent=parent, name=name)

    def empty(self) -> SpecLocation:
        """Stand for a schema that is not written down here, and allows everything."""
        return evolve(self, value={})

    def without(self, keys: set[str]) -> SpecLocation:
        """Leave out some keys."""
        return evolve(self, value={k: each for k, each in self.value.items() if k not in keys})

    def key(self, key: str) -> SpecLocation:
        """Point at a key, or at the location itself where the key is missing."""
        if not isinstance(self.value, dict) or key not in self.value:
            return self
        return evolve(self, value=self.value[key], pointer=(*self.pointer, key))

    def follow(self) -> SpecLocation:
        """Follow references, but not in a circle, nor past siblings that `read_schema` reads."""
        location = self
        self.spec.count_step()
        for _ in range(_MAX_HOPS):
            if not location.is_reference or location._has_siblings:
                return location
            target = location.spec.resolve(location.value["$ref"], location.pointer)
            alias = location.alias or location.component
            location = evolve(target, parent=self.parent, name=self.name, alias=alias)
        raise CannotCompareError(f"{self.spec.label}:{self.line} refers to itself in a circle")

    @property
    def is_reference(self) -> bool:
        """Whether this is a reference."""
        return isinstance(self.value, dict) and isinstance(self.value.get("$ref"), str)

    @property
    def _has_siblings(self) -> bool:
        in_schema = self.pointer[-2:-1] == ("properties",) or self.pointer[-1:] in _SCHEMA_KEYS
        ignored: set[str] = set() if in_schema else {"summary", "description"}
        return bool(self.spec.minor and self.value.keys() - {"$ref"} - ignored)

    @property
    def line(self) -> int:
        """The line, from 1."""
        return self.spec.parsed.line(self.pointer)

    @property
    def component(self) -> str:
        """The name of the component schema that this is, or nothing."""
        here = self.pointer
        is_component = len(here) == 3 and here[:2] == ("components", "schemas")
        return self.alias or here[2] if is_component else ""

    def child(self, key: str, value: Any) -> SpecLocation:
        """Give a value that stands in this one, as it is written."""
        return SpecLocation(self.spec, value, (*self.pointer, key), self.parent, self.name)


@frozen(eq=False)
class Operation:
    """An operation of a spec, with its path item."""

    method: str
    path: str
    item: SpecLocation
    location: SpecLocation

    @property
    def address(self) -> str:
        """Method and path, as they are written."""
        return f"{self.method.upper()} {self.path}"

    @property
    def id(self) -> str:
        """The operationId, or nothing."""
        return self.location.text("operationId")

    @property
    def name(self) -> str:
        """The operationId, or the address where there is none."""
        return self.id or self.address


@define(eq=False)
class OperationIndex:
    """The operations of a spec, and the components that each of them uses."""

    spec: Spec
    operations: list[Operation] = field(init=False)
    _direct: dict[Pointer, set[Pointer]] = field(factory=dict)
    _used: dict[Pointer, set[Pointer]] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.operations = [
            Operation(method, path, item, location)
            for path, item in self.spec.top.entries("paths").items()
            if path.startswith("/")
            for method in METHODS
            if (location := item.at(method)) is not None
        ]
        for each in self.operations:
            values = [each.location.value, each.item.get("parameters")]
            self._used[each.location.pointer] = self.components_in(values)

    def components_in(self, values: Any) -> set[Pointer]:
        """Give the components that a value refers to, directly or through others."""
        found: set[Pointer] = set()
        waiting = set(_references(values))
        while waiting:
            target = waiting.pop()
            found.add(target)
            if target not in self._direct:
                self._direct[target] = set(_references(self._value(target)))
            waiting |= self._direct[target] - found
        return found

    def _value(self, target: Pointer) -> Any:
        node: Any = self.spec.content
        for key in target:
            node = node.get(key) if isinstance(node, dict) else None
        return node

    def dependencies(self, operation: Operation) -> str:
        """Give all that an operation depends on as text; equal ones need no comparison."""
        keys = [("openapi",), ("security",), ("servers",), ("components", "securitySchemes")]
        shared = [self._value(each) for each in keys]
        item = operation.item.without(set(METHODS)).value
        return self.closure([operation.path, operation.location.value, item, shared])

    def closure(self, values: Any) -> str:
        """Give a value as text, with the components that it uses."""
        used = {"/".join(each): self._value(each) for each in self.components_in(values)}
        return canonical([values, used])

    def components_of(self, *chosen: Operation) -> set[Pointer]:
        """Give the components that some operations use."""
        return set[Pointer]().union(*(self._used[each.location.pointer] for each in chosen))

    def affected_by(self, pointer: Pointer) -> list[Operation]:
        """Give the operations that contain or use what a pointer names."""
        if pointer[:1] == ("components",) and len(pointer) >= 3:
            return [each for each in self.operations if pointer[:3] in self.components_of(each)]
        in_item = pointer[:2] if pointer[2:3] in (("parameters",), ("servers",)) else None
        places = ((each, each.location.pointer, each.item.pointer) for each in self.operations)
        return [each for each, at, item in places if pointer[: len(at)] == at or item == in_item]


def _references(value: Any) -> Iterator[Pointer]:
    """Give the component, by the first three keys, of each reference in a value."""
    if isinstance(value, dict):
        reference = value.get("$ref")
        if isinstance(reference, str) and reference.startswith("#/"):
            yield tuple(_reference_keys(reference)[:3])
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def _reference_keys(reference: str) -> list[str]:
    """Give the keys of a reference inside the document."""
    keys = unquote(reference[1:]).split("/")[1:]
    return [key.replace("~1", "/").replace("~0", "~") for key in keys]


def pointer_text(pointer: Pointer) -> str:
    """Write a pointer as RFC 6901 has it."""
    return "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in pointer) or "/"


def canonical(value: Any) -> str:
    """Write a value so that equal ones are equal text, whatever the order of keys."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
