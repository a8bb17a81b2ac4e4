"""Schemas in one form, whatever the version and the way of writing.

OpenAPI 3.0 says `nullable: true`, 3.1 has a list of types; 3.0 makes a limit exclusive with a
boolean, 3.1 with a number; `const` is an enum of one; `allOf` is read as one schema, and a union
of a schema and null as a schema that may be null.
"""

from __future__ import annotations

from typing import Any

from attrs import define, evolve, field

from tools.specdiff.limits import Limits, read_limits, stricter
from tools.specdiff.spec import Place, Pointer, canonical

TYPES = frozenset({"string", "number", "integer", "boolean", "object", "array", "null"})

# Keys that this module reads.
_READ = {
    "$ref", "type", "nullable", "enum", "const", "format", "properties", "required", "items",
    "additionalProperties", "allOf", "oneOf", "anyOf", "readOnly", "writeOnly", "deprecated",
    "default",
}  # fmt: skip
_LIMITS = {
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength",
    "maxLength", "pattern", "minItems", "maxItems", "uniqueItems", "minProperties",
    "maxProperties",
}  # fmt: skip
WORDS = {"title", "description", "example", "examples", "externalDocs", "summary", "$comment"}
_OBJECT_KEYS = {"properties", "additionalProperties", "required", "minProperties", "maxProperties"}


@define
class Shape:
    """What a schema says.

    Attributes:
        place: Where it stands; of an `allOf` around one schema, where that one does.
        types: The types that a value may have, null included; None for any.
        enum: The values that there are, as JSON; None for any.
        formats: Formats, `password` aside.
        secret: Whether `format: password` is said.
        fields: What is said of each field.
        required: The names of fields that have to be there.
        others: What is said of other fields: yes, no, or a schema.
        item: What is said of an array's items.
        union: The forms that a value may take, of `oneOf` or `anyOf`.
        limits: Limits of values.
        flags: Those of `readOnly`, `writeOnly` and `deprecated` that are set.
        default: The default, as JSON.
        hard: What is said in keys that this tool has no rules for, as JSON.
    """

    place: Place
    types: frozenset[str] | None = None
    enum: tuple[str, ...] | None = None
    formats: frozenset[str] = frozenset()
    secret: bool = False
    fields: dict[str, Place] = field(factory=dict)
    required: frozenset[str] = frozenset()
    others: bool | Place = True
    item: Place | None = None
    union: tuple[Place, ...] = ()
    limits: Limits = field(factory=dict)
    flags: frozenset[str] = frozenset()
    default: str | None = None
    hard: dict[str, str] = field(factory=dict)

    @property
    def is_object(self) -> bool:
        """Whether a value is an object, null aside."""
        return self.types is not None and self.types - {"null"} == frozenset({"object"})

    @property
    def says_nothing(self) -> bool:
        """Whether any value will do."""
        return not (self.types or self.enum or self.formats or self.fields or self.required
                    or self.item or self.limits or self.hard) and self.others is True  # fmt: skip


def shape_of(place: Place, above: frozenset[Pointer] = frozenset()) -> Shape:
    """Read a schema.

    Args:
        place: The schema, or a reference to it.
        above: The schemas whose `allOf`, `oneOf` or `anyOf` it stands in. One that stands in its
            own says nothing there.
    """
    place = place.follow()
    if place.refers:  # 3.1 lets keys stand beside a reference; they count as in an allOf.
        beside = {key: value for key, value in place.value.items() if key != "$ref"}
        place = evolve(place, value={**beside, "allOf": [{"$ref": place.value["$ref"]}]})
    if place.pointer in above:
        return Shape(place)
    if not isinstance(place.value, dict):
        return Shape(place, hard={"false": "nothing"} if place.value is False else {})
    inside = above | {place.pointer}
    shape = _own(place)
    typeless = shape.types is None
    members = [shape_of(each, inside) for each in place.items("allOf")]
    for member in members:
        shape = _both(shape, member)
    shape, forms = _with_union(shape, place, inside)
    if _refers_only(place) and len(members + forms) == 1:
        # The generator makes no class of its own for it, whatever stands beside.
        shape.place = (members + forms)[0].place
    if place.get("nullable") is True and typeless:
        # Beside an allOf or a union OpenAPI 3.0 passes over it; the generator does not.
        if shape.types is not None:
            shape.types |= {"null"}
        elif shape.union:
            shape.union = (*shape.union, evolve(place, value={"type": "null"}))
    return shape


def _refers_only(place: Place) -> bool:
    """Tell whether an `allOf`, `oneOf` or `anyOf` holds one reference, null aside."""
    parts = [each for key in ("allOf", "oneOf", "anyOf") for each in place.get(key) or ()]
    parts = [each for each in parts if each != {"type": "null"}]
    return len(parts) == 1 and isinstance(parts[0], dict) and "$ref" in parts[0]


def _own(place: Place) -> Shape:
    node: dict[str, Any] = place.value
    shape = Shape(place, types=_types(node), enum=_enum(node), limits=read_limits(node))
    if (
        shape.types is not None
        and not place.get("nullable")
        and None not in node.get("enum", [None])
    ):
        # OpenAPI 3.1 wants null in both, the types and the values.
        shape.types -= {"null"}
    said = node.get("format")
    if isinstance(said, str):
        shape.secret = said == "password"
        shape.formats = frozenset({said} - {"password"})
    if place.component:
        place = place.named("", place.component)
    owner = class_hint(place)
    shape.fields = {
        key: inner.named(owner, key) for key, inner in place.entries("properties").items()
    }
    needed = node.get("required")
    shape.required = frozenset(map(str, needed)) if isinstance(needed, list) else frozenset()
    extra = place.at("additionalProperties")
    if extra is not None:
        open_ = extra.value if isinstance(extra.value, bool) else extra.value == {}
        shape.others = bool(open_) if open_ or extra.value is False else (
            extra.named(owner, "additional_property"))  # fmt: skip
    items = place.at("items")
    shape.item = None if items is None else items.named(place.parent, f"{place.name}_item")
    shape.flags = frozenset(
        key for key in ("readOnly", "writeOnly", "deprecated") if node.get(key) is True
    )
    shape.default = canonical(node["default"]) if "default" in node else None
    shape.hard = {
        key: canonical(value)
        for key, value in node.items()
        if key not in _READ | _LIMITS | WORDS and not key.startswith("x-")
    }
    return shape


def _types(node: dict[str, Any]) -> frozenset[str] | None:
    said = node.get("type")
    types = {said} if isinstance(said, str) else set(said) if isinstance(said, list) else set()
    types &= TYPES
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


def _both(one: Shape, other: Shape) -> Shape:
    """Put two members of an allOf together: a value has to be right for both."""
    types = one.types if other.types is None else other.types
    if one.types is not None and other.types is not None:
        types = one.types & other.types
        if "number" in one.types | other.types and "integer" in one.types | other.types:
            types |= {"integer"}
    enum = one.enum if other.enum is None else other.enum
    if one.enum is not None and other.enum is not None:
        enum = tuple(value for value in one.enum if value in other.enum)
    fields = dict(other.fields)
    for name, place in one.fields.items():
        twice = name in fields and canonical(fields[name].value) != canonical(place.value)
        fields[name] = _all_of(place, fields[name]) if twice else place
    hard = {**one.hard, **other.hard}
    if one.union and other.union:
        hard["oneOf"] = canonical([each.value for each in one.union + other.union])
    return Shape(
        one.place,
        types=types,
        enum=enum,
        formats=one.formats | other.formats,
        secret=one.secret or other.secret,
        fields=fields,
        required=one.required | other.required,
        others=other.others if one.others is True else one.others,
        item=one.item or other.item,
        union=one.union or other.union,
        limits=stricter(one.limits, other.limits),
        flags=one.flags | other.flags,
        default=one.default or other.default,
        hard=hard,
    )


def _all_of(one: Place, other: Place) -> Place:
    return evolve(one, value={"allOf": [one.value, other.value]})


def _with_union(
    shape: Shape, place: Place, inside: frozenset[Pointer]
) -> tuple[Shape, list[Shape]]:
    """Add the forms that a value may take; give them, too, null aside."""
    found: list[Shape] = []
    for key in ("oneOf", "anyOf"):
        forms = [
            each.named(place.parent, f"{place.name}_type_{index}")
            for index, each in enumerate(place.items(key))
        ]
        shapes = [(each, shape_of(each, inside)) for each in forms]
        real = [(each, form) for each, form in shapes if form.types != frozenset({"null"})]
        found += [form for _, form in real]
        nullable = len(real) < len(shapes)
        if not shapes:
            continue
        if shape.union or (len(real) > 1 and nullable):
            shape.union = (*shape.union, *forms)
        elif len(real) == 1:
            shape = _both(shape, real[0][1])
            if nullable and shape.types is not None:
                shape.types |= {"null"}
        else:
            shape.union = tuple(each for each, _ in real)
    return shape, found


def class_hint(place: Place) -> str:
    """Give what the class of an object found here would be called, before it is made a name."""
    title = place.text("title")
    return title or place.component or f"{place.parent}_{place.name}".strip("_")
