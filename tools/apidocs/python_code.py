"""What the generated code calls things, asked of the code itself."""

from __future__ import annotations

import inspect
from importlib import import_module
from types import ModuleType
from typing import Any

import attrs
from openapi_python_client.strings import PythonIdentifier

GENERATED = "pipedrive_oauth_client.generated"


def identifier(wire_name: str) -> str:
    """Give the Python name of a parameter or property, as the generator makes it."""
    return str(PythonIdentifier(wire_name, "field_"))


def type_of_field(model: str, name: str) -> str:
    """Give the type of a model's field as it stands in the code."""
    fields = {field.name: field for field in attrs.fields(getattr(_models(), model))}
    return _text(fields[name].type)


def type_of_argument(tag: str, operation: str, name: str) -> str:
    """Give the type of an endpoint function's argument as it stands in the code."""
    module = import_module(f"{GENERATED}.api.{PythonIdentifier(tag, 'tag_')}.{operation}")
    return _text(inspect.signature(module.sync_detailed).parameters[name].annotation)


def _models() -> ModuleType:
    return import_module(f"{GENERATED}.models")


def _text(annotation: Any) -> str:
    if isinstance(annotation, str):
        return annotation
    if isinstance(annotation, type):
        return annotation.__name__
    return str(annotation).replace(f"{GENERATED}.types.", "")
