"""What the generator calls things in Python, by its own functions."""

from __future__ import annotations

from functools import cache

from openapi_python_client.strings import ClassName, PythonIdentifier

from tools.specdiff.shapes import Shape, class_hint, shape_of
from tools.specdiff.spec import Place, Pointer, Spec

# The default of the generator's setting `field_prefix`, which this project leaves alone.
_PREFIX = "field_"

# Formats that give a value another Python type than its JSON type has.
TYPED_FORMATS = frozenset({"date", "date-time", "uuid", "binary"})


def class_name(shape: Shape) -> str:
    """Give the name of the class that is generated for a schema, or nothing if there is none."""
    place = shape.place
    if shape.union:
        return ""
    if shape.enum is not None:
        if not shape.enum or place.get("const") is not None:
            return ""
        title = place.text("title")
        if place.component or not title:
            return _class(class_hint(place))
        return _class(f"{place.parent}_{title}")
    return _class(class_hint(place)) if shape.is_object else ""


def _class(hint: str) -> str:
    return str(ClassName(hint, _PREFIX)) if hint.strip("_") else ""


@cache
def python_name(name: str) -> str:
    """Give the name of the argument, attribute, module or folder that is generated for a name."""
    return str(PythonIdentifier(name, _PREFIX))


def python_type(shape: Shape, above: tuple[Pointer, ...] = ()) -> str:
    """Give a word for the Python type of a value; equal types have equal words.

    Args:
        shape: The value's schema.
        above: The arrays that it is an item of.
    """
    if name := class_name(shape):
        return name
    here = shape.place.pointer
    if shape.types is None or here in above:
        return "Any"
    kinds = sorted(shape.types - {"null"})
    if kinds == ["array"]:
        inside = (*above, here)
        inner = python_type(shape_of(shape.item), inside) if shape.item else "Any"
        return f"list[{inner}]"
    formats = sorted(shape.formats & TYPED_FORMATS)
    return " | ".join(formats or kinds)


def component_classes(spec: Spec) -> dict[str, Place]:
    """Give the classes that are made of a spec's components, each with its schema."""
    found: dict[str, Place] = {}
    schemas = spec.top.at("components")
    for place in (schemas.entries("schemas") if schemas else {}).values():
        name = class_name(shape_of(place))
        if name and place.component:
            found.setdefault(name, place)
    return found
