"""Schemas in one form, whatever the OpenAPI version, and their names in the generated code.

OpenAPI 3.0 says `nullable: true`, 3.1 has a list of types; 3.0 makes a limit exclusive with a
boolean, 3.1 with a number; `const` is an enum of one; `allOf` is read as one schema, and a union
of a schema and null as a schema that may be null.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from typing import Any, Literal, TypeAlias

from attrs import define, evolve, field
from openapi_python_client.parser.properties.enum_property import EnumProperty
from openapi_python_client.parser.properties.schemas import Class
from openapi_python_client.strings import ClassName, PythonIdentifier

from tools.specdiff.spec import Pointer, Spec, SpecLocation, canonical

Limits: TypeAlias = dict[str, Any]
Verdict: TypeAlias = Literal["tightened", "loosened", "changed"]

TYPES = frozenset({"string", "number", "integer", "boolean", "object", "array", "null"})
# The default of the generator's setting `field_prefix`, which this project does not change.
_PREFIX = "field_"
_ANY_CLASS = Class(ClassName("Any", ""), PythonIdentifier("any", ""))
# Formats that give a value another Python type than its JSON type has.
TYPED_FORMATS = frozenset({"date", "date-time", "uuid", "binary"})
WORDING_KEYS = {
    "title", "description", "example", "examples", "externalDocs", "summary", "$comment",
}  # fmt: skip

# Keys that `_read_keys` takes care of.
_READ = {
    "$ref", "type", "nullable", "enum", "const", "format", "properties", "required", "items",
    "additionalProperties", "allOf", "oneOf", "anyOf", "readOnly", "writeOnly", "deprecated",
    "default",
}  # fmt: skip
_LOWER = ("minLength", "minItems", "minProperties")
_UPPER = ("maxLength", "maxItems", "maxProperties")
_LIMITS = {
    *_LOWER, *_UPPER, "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
    "pattern", "uniqueItems",
}  # fmt: skip
_KNOWN = _READ | _LIMITS | WORDING_KEYS
_FLAGS = ("readOnly", "writeOnly", "deprecated")
_OBJECT_KEYS = {"properties", "additionalProperties", "required", "minProperties", "maxProperties"}


@define
class Schema:
    """What a schema says."""

    location: SpecLocation  # of an `allOf` around one schema: the location of that one
    types: frozenset[str] | None = None  # null included; None for any
    enum: tuple[str, ...] | None = None  # values as JSON; None for any
    formats: frozenset[str] = frozenset()  # `password` aside
    secret: bool = False  # has `format: password`
    fields: dict[str, SpecLocation] = field(factory=dict)
    required: frozenset[str] = frozenset()
    additional: bool | SpecLocation = True  # whether there may be other properties, or their schema
    item: SpecLocation | None = None
    union: tuple[SpecLocation, ...] = ()  # the variants of `oneOf` or `anyOf`
    limits: Limits = field(factory=dict)
    flags: frozenset[str] = frozenset()  # of `readOnly`, `writeOnly` and `deprecated`
    default: str | None = None  # as JSON
    unsupported: dict[str, str] = field(factory=dict)  # keys that no rule knows, as JSON

    @property
    def is_object(self) -> bool:
        """Whether a value is an object, null aside."""
        return self.types is not None and self.types - {"null"} == frozenset({"object"})

    @property
    def allows_anything(self) -> bool:
        """Whether any value is valid."""
        says = (self.types, self.enum, self.formats, self.fields, self.required, self.item,
                self.limits, self.unsupported)  # fmt: skip
        return not any(says) and self.additional is True


def read_schema(location: SpecLocation, above: frozenset[Pointer] = frozenset()) -> Schema:
    """Read a schema; one that its own `allOf`, `oneOf` or `anyOf` (`above`) leads to is empty."""
    location = location.follow()
    if location.is_reference:  # 3.1 allows keys beside a reference; they count as in an allOf.
        all_of = [{"$ref": location.value["$ref"]}]
        location = evolve(location, value={**location.without({"$ref"}).value, "allOf": all_of})
    if location.pointer in above:
        return Schema(location)
    if not isinstance(location.value, dict):
        return Schema(location, unsupported={"false": "nothing"} if location.value is False else {})
    inside = above | {location.pointer}
    schema = _read_keys(location)
    typeless = schema.types is None
    members = [read_schema(each, inside) for each in location.items("allOf")]
    for member in members:
        schema = _both(schema, member)
    schema, variants = _with_union(schema, location, inside)
    if _is_one_reference(location) and len(members + variants) == 1:
        # The generator makes no class of its own for it, whatever stands beside.
        schema.location = (members + variants)[0].location
    if location.is_set("nullable") and typeless:
        # Beside an allOf or a union, OpenAPI 3.0 ignores it; the generator does not.
        if schema.types is not None:
            schema.types |= {"null"}
        elif schema.union:
            schema.union = (*schema.union, evolve(location, value={"type": "null"}))
    return schema


def _is_one_reference(location: SpecLocation) -> bool:
    """Tell whether an `allOf`, `oneOf` or `anyOf` holds one reference, null aside."""
    # The schemas of OpenAPI 3.1 are not validated: any value may be of any type.
    lists = [location.get(key) for key in ("allOf", "oneOf", "anyOf")]
    parts = [each for every in lists if isinstance(every, list) for each in every]
    parts = [each for each in parts if each != {"type": "null"}]
    return len(parts) == 1 and isinstance(parts[0], dict) and "$ref" in parts[0]


def _read_keys(location: SpecLocation) -> Schema:
    """Read what a schema says itself, without `allOf`, `oneOf` and `anyOf`."""
    node: dict[str, Any] = location.value
    types = _types(node)
    values = node["enum"] if isinstance(node.get("enum"), list) else [None]
    if types is not None and not node.get("nullable") and None not in values:
        # In OpenAPI 3.1, null has to be in both, the types and the values.
        types -= {"null"}
    # The spelling of `format: byte` in OpenAPI 3.1.
    is_base64 = node.get("contentEncoding") == "base64"
    format_ = location.text("format") or ("byte" if is_base64 else "")
    if location.component:
        location = location.named("", location.component)
    owner, properties = class_hint(location), location.entries("properties")
    required = node.get("required")
    extra = location.at("additionalProperties")
    additional: bool | SpecLocation = True
    if extra is not None and extra.value not in (True, {}):
        additional = extra.value is not False and extra.named(owner, "additional_property")
    items = location.at("items")
    known = _KNOWN | {"contentEncoding"} if is_base64 else _KNOWN
    unknown = [key for key in node if key not in known and not key.startswith("x-")]
    return Schema(
        location,
        types=types,
        enum=_enum(node),
        formats=frozenset({format_} - {"", "password"}),
        secret=format_ == "password",
        fields={key: each.named(owner, key) for key, each in properties.items()},
        required=frozenset(map(str, required)) if isinstance(required, list) else frozenset(),
        additional=additional,
        item=items and items.named(location.parent, f"{location.name}_item"),
        limits=_read_limits(node),
        flags=frozenset(key for key in _FLAGS if location.is_set(key)),
        default=canonical(node["default"]) if "default" in node else None,
        unsupported={key: canonical(node[key]) for key in unknown},
    )


def _types(node: dict[str, Any]) -> frozenset[str] | None:
    given = node.get("type")
    names = given if isinstance(given, list) else [given]
    types = {each for each in names if isinstance(each, str)} & TYPES
    if not types and _OBJECT_KEYS & node.keys():
        types = {"object"}
    if not types and "items" in node:
        types = {"array"}
    if not types and isinstance(node.get("enum"), list):
        types = {_type_of(value) for value in node["enum"]}
    if not types:
        return None
    return frozenset(types | ({"null"} if node.get("nullable") is True else set()))


def _type_of(value: Any) -> str:
    kinds = ((type(None), "null"), (bool, "boolean"), (int, "integer"), (float, "number"),
             (str, "string"), (list, "array"))  # fmt: skip
    return next((name for kind, name in kinds if isinstance(value, kind)), "object")


def _enum(node: dict[str, Any]) -> tuple[str, ...] | None:
    if "const" in node:
        return (canonical(node["const"]),)
    values = node.get("enum")
    if not isinstance(values, list):
        return None
    # Whether null is among the values is told with the types.
    return tuple(canonical(value) for value in values if value is not None)


def _both(one: Schema, other: Schema) -> Schema:
    """Combine two members of an allOf: a value has to be valid for both."""
    types = one.types if other.types is None else other.types
    if one.types is not None and other.types is not None:
        types = one.types & other.types
        if "number" in one.types | other.types and "integer" in one.types | other.types:
            types |= {"integer"}
    enum = one.enum if other.enum is None else other.enum
    if one.enum is not None and other.enum is not None:
        enum = tuple(value for value in one.enum if value in other.enum)
    fields = dict(other.fields)
    for name, location in one.fields.items():
        again = fields.get(name)
        if again is not None and canonical(again.value) != canonical(location.value):
            fields[name] = evolve(location, value={"allOf": [location.value, again.value]})
        else:
            fields[name] = location
    unsupported = {**one.unsupported, **other.unsupported}
    if one.union and other.union:
        unsupported["oneOf"] = canonical([each.value for each in one.union + other.union])
    additional = other.additional if one.additional is True else one.additional
    return Schema(
        one.location, types, enum, one.formats | other.formats, one.secret or other.secret, fields,
        one.required | other.required, additional, one.item or other.item, one.union or other.union,
        _stricter(one.limits, other.limits), one.flags | other.flags, one.default or other.default,
        unsupported,
    )  # fmt: skip


def _with_union(
    schema: Schema, location: SpecLocation, inside: frozenset[Pointer]
) -> tuple[Schema, list[Schema]]:
    """Add the variants of a union; give them, null aside, as well."""
    found: list[Schema] = []
    for key in ("oneOf", "anyOf"):
        name = f"{location.name}_type_"
        items = enumerate(location.items(key))
        variants = [each.named(location.parent, f"{name}{index}") for index, each in items]
        schemas = [(each, read_schema(each, inside)) for each in variants]
        non_null = [(each, read) for each, read in schemas if read.types != frozenset({"null"})]
        found += [read for _, read in non_null]
        nullable = len(non_null) < len(schemas)
        if not schemas:
            continue
        if schema.union or (len(non_null) > 1 and nullable):
            schema.union = (*schema.union, *variants)
        elif len(non_null) == 1:
            schema = _both(schema, non_null[0][1])
            if nullable and schema.types is not None:
                schema.types |= {"null"}
        else:
            schema.union = tuple(each for each, _ in non_null)
    return schema, found


def class_hint(location: SpecLocation) -> str:
    """Give what the class of an object found here is named after."""
    inline = f"{location.parent}_{location.name}".strip("_")
    return location.text("title") or location.component or inline


def class_name(schema: Schema) -> str:
    """Give the name of the class that is generated for a schema, or nothing if there is none."""
    location, title = schema.location, schema.location.text("title")
    if schema.union or not (schema.is_object if schema.enum is None else schema.enum):
        return ""
    if schema.enum and location.get("const") is not None:
        return ""
    inline_enum = schema.enum and title and not location.component
    return _class(f"{location.parent}_{title}" if inline_enum else class_hint(location))


def _class(hint: str) -> str:
    return str(ClassName(hint, _PREFIX)) if hint.strip("_") else ""


@cache
def python_name(name: str) -> str:
    """Give the name of the argument, attribute, module or package that is generated for a name."""
    return str(PythonIdentifier(name, _PREFIX))


def keeps_members(old: Schema, new: Schema) -> bool:
    """Tell whether each value that both enums have is still the member of the same name."""
    before, after = _members(old), _members(new)
    if before is None or after is None:
        return before is None
    kept = set(after.values())
    return all(after.get(name) == value for name, value in before.items() if value in kept)


def _members(schema: Schema) -> dict[str, Any] | None:
    """Give the members of the generated enum; None if two values have the same name."""
    values = [json.loads(value) for value in schema.enum or ()]
    names = schema.location.get("x-enum-varnames") or []
    try:
        return dict(EnumProperty.values_from_list(values, _ANY_CLASS, names))

    except (ValueError, TypeError, AttributeError, LookupError):
        return None


def python_type(schema: Schema, above: tuple[Pointer, ...] = ()) -> str:
    """Name the Python type of a value (in the arrays `above`); equal types have equal names."""
    if name := class_name(schema):
        return name
    here = schema.location.pointer
    if schema.types is None or here in above:
        return "Any"
    kinds = sorted(schema.types - {"null"})
    if kinds == ["array"]:
        inside = (*above, here)
        inner = python_type(read_schema(schema.item), inside) if schema.item else "Any"
        return f"list[{inner}]"
    formats = sorted(schema.formats & TYPED_FORMATS)
    return " | ".join(formats or kinds)


def component_classes(spec: Spec) -> dict[str, SpecLocation]:
    """Give the classes that are generated for a spec's components, each with its schema."""
    found: dict[str, SpecLocation] = {}
    for location in spec.components("schemas").values():
        name = class_name(read_schema(location))
        if name and location.component:
            # The generator rejects two classes of one name.
            found[f"{name} ({location.component})" if name in found else name] = location
    return found


def _read_limits(node: dict[str, Any]) -> Limits:
    """Read the limits of a schema; `minimum` and `maximum` with whether they are exclusive."""
    found: Limits = {}
    for key in (*_LOWER, *_UPPER, "multipleOf"):
        if _is_number(node.get(key)) and not (key in _LOWER and node[key] == 0):
            found[key] = node[key]
    for key, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        ends: list[tuple[float, bool]] = []
        if _is_number(node.get(key)):
            ends.append((node[key], node.get(exclusive) is True))
        if _is_number(node.get(exclusive)):
            ends.append((node[exclusive], True))
        if ends:
            found[key] = max(ends, key=lambda end: _strictness(key, end))
    if isinstance(node.get("pattern"), str):
        found["pattern"] = frozenset({node["pattern"]})
    if node.get("uniqueItems") is True:
        found["uniqueItems"] = True
    return found


def _stricter(one: Limits, other: Limits) -> Limits:
    both = {**other, **one}
    for key in one.keys() & other.keys():
        if key == "pattern":
            both[key] = one[key] | other[key]
        elif one[key] != other[key] and _compare_limit(key, one[key], other[key]) == "tightened":
            both[key] = other[key]
    return both


def changed_limits(old: Limits, new: Limits) -> Iterator[tuple[str, Verdict, str, str]]:
    """Give each changed limit with a verdict and both texts."""
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if before != after:
            verdict = _compare_limit(key, before, after)
            yield key, verdict, _limit_text(key, before), _limit_text(key, after)


def _compare_limit(key: str, old: Any, new: Any) -> Verdict:
    if old is None or new is None:
        return "tightened" if old is None else "loosened"
    if key == "pattern":
        return "tightened" if old < new else "loosened" if new < old else "changed"
    if key == "multipleOf":
        return _compare_multiples(old, new)
    return "tightened" if _strictness(key, new) > _strictness(key, old) else "loosened"


def _compare_multiples(old: float, new: float) -> Verdict:
    if not old or not new:
        return "changed"
    ratio = Fraction(str(new)) / Fraction(str(old))
    if ratio.denominator == 1:
        return "tightened"
    return "loosened" if ratio.numerator == 1 else "changed"


def _limit_text(key: str, value: Any) -> str:
    if value is None:
        return "none"
    if key in ("minimum", "maximum"):
        end, exclusive = value
        return f"{end}, exclusive" if exclusive else f"{end}"
    return " and ".join(sorted(value)) if key == "pattern" else str(value)


def _strictness(key: str, value: Any) -> Any:
    """Give a sort key for limits, the strictest last."""
    if key in ("minimum", "maximum"):
        end, exclusive = value
        return (end if key == "minimum" else -end, exclusive)
    return value if key in _LOWER else -value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value  # noqa: PLR0124
