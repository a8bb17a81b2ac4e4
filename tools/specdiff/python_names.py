"""What the generator calls things in Python, by its own functions."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from openapi_python_client.parser.properties.enum_property import EnumProperty
from openapi_python_client.parser.properties.schemas import Class
from openapi_python_client.strings import ClassName, PythonIdentifier

from tools.specdiff.schemas import TYPED_FORMATS, Schema, class_hint, read_schema
from tools.specdiff.spec import Pointer, Spec, SpecLocation

# The default of the generator's setting `field_prefix`, which this project does not change.
_PREFIX = "field_"


def class_name(schema: Schema) -> str:
    """Give the name of the class that is generated for a schema, or nothing if there is none."""
    location = schema.location
    if schema.union:
        return ""
    if schema.enum is not None:
        if not schema.enum or location.get("const") is not None:
            return ""
        title = location.text("title")
        if title and not location.component:
            return _class(f"{location.parent}_{title}")
        return _class(class_hint(location))
    return _class(class_hint(location)) if schema.is_object else ""


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
        return dict(
            EnumProperty.values_from_list(
                values, Class(ClassName("E", ""), PythonIdentifier("e", "")), names
            )
        )
    except (ValueError, TypeError, AttributeError):
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
