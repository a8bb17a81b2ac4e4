"""Values that a schema allows, chosen without any code of the tool that is tested."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator
from openapi_schema_validator import (
    OAS30Validator,
    OAS31Validator,
    oas30_format_checker,
)

# Ordinary values and odd ones, of every kind; a schema gets those that it allows.
_POOL: tuple[Any, ...] = (
    "fiction", "poetry", "science", "in_stock", "sold_out", "ordered", "a", "abcdef", "", "1234",
    "123456", "2026-01-02", "2026-01-02T03:04:05Z", "x" * 200, 7, 1, 0, 50, 12345678901, 2.5, 0.25,
    True, None, [], ["a"],
)  # fmt: skip


class Document:
    """A spec, and values by its schemas."""

    def __init__(self, content: dict[str, Any]) -> None:
        self.content = content
        self._validators: dict[str, Validator] = {}

    def resolve(self, node: dict[str, Any]) -> dict[str, Any]:
        """Follow references."""
        while "$ref" in node:
            target: Any = self.content
            for key in node["$ref"].removeprefix("#/").split("/"):
                target = target[key]
            node = target
        return node

    def allows(self, schema: dict[str, Any], value: Any) -> bool:
        """Tell whether a value is right by a schema."""
        return self.fault(schema, value) is None

    def fault(self, schema: dict[str, Any], value: Any) -> ValidationError | None:
        """Give what is wrong with a value."""
        return next(self._validator(schema).iter_errors(value), None)

    def _validator(self, schema: dict[str, Any]) -> Validator:
        """Give what checks a schema, made once, since each has to look through all components."""
        key = json.dumps(schema, sort_keys=True)
        if key not in self._validators:
            whole = {**schema, "components": self.content.get("components", {})}
            if "$ref" in whole:
                whole = {"allOf": [schema], "components": whole["components"]}
            kind = OAS31Validator if self.content["openapi"] > "3.1" else OAS30Validator
            self._validators[key] = kind(whole, format_checker=oas30_format_checker)
        return self._validators[key]

    def fields(self, schema: dict[str, Any], *, sent: bool) -> dict[str, dict[str, Any]]:
        """Give the fields of an object that are sent, or those that are read."""
        hidden = "readOnly" if sent else "writeOnly"
        return {
            name: field
            for name, field in self.resolve(schema).get("properties", {}).items()
            if not self.resolve(field).get(hidden)
        }

    def is_object(self, schema: dict[str, Any]) -> bool:
        """Tell whether a schema is one of an object."""
        return "properties" in self.resolve(schema)

    def values(self, schema: dict[str, Any], *, sent: bool, depth: int = 0) -> list[Any]:
        """Give values of a schema, the plainest first."""
        schema = self.unwrapped(schema)
        if self.is_object(schema):
            return list(self.objects(schema, sent=sent, depth=depth))
        found = [value for value in _POOL if self.allows(schema, value)]
        items = schema.get("items")
        if items is not None and self.is_object(items):
            found = [[each] for each in self.values(items, sent=sent, depth=depth + 1)]
        return found

    def unwrapped(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Follow references and take an allOf of one off."""
        schema = self.resolve(schema)
        if len(schema.get("allOf", ())) == 1 and len(schema) == 1:
            return self.unwrapped(schema["allOf"][0])
        return schema

    def objects(self, schema: dict[str, Any], *, sent: bool, depth: int = 0) -> Iterator[Any]:
        """Give objects: with every field, with as few as may be, and with each value once."""
        schema = self.resolve(schema)
        fields = self.fields(schema, sent=sent)
        if depth > 2:
            fields = {k: v for k, v in fields.items() if k in schema.get("required", ())}
        choices = {k: self.values(v, sent=sent, depth=depth + 1) for k, v in fields.items()}
        full = {name: values[0] for name, values in choices.items() if values}
        yield full
        if depth > 1:
            return  # what is nested that deeply is seen elsewhere, nearer to the top
        needed = {name: full[name] for name in schema.get("required", ()) if name in full}
        yield needed
        for name, values in choices.items():
            yield from ({**full, name: value} for value in values[1:])
        if not sent and schema.get("additionalProperties", True) is True:
            yield {**full, "a_field_of_tomorrow": 1}
