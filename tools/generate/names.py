"""Names of the generated code: each stands for one thing of the spec, and is made from its name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from openapi_python_client.config import Config
from openapi_python_client.parser.properties.schemas import Class
from openapi_python_client.strings import (
    PythonIdentifier,
    in_double_quote_literal,
    pascal_case,
    snake_case,
)

from tools.generate.document import ConstructError, Document, Pointer

# Names that the templates use in the scope of the spec's own names.
_ARGUMENTS = {
    "body", "headers", "params", "address", "argument", "document", "form", "header", "plain",
    "segment", "word", "quote", "client", "checked_date", "checked_time",
}  # fmt: skip
_FIELDS = {
    "field", "hidden", "counted", "to_dict", "from_dict", "additional_properties",
    "additional_keys",
}  # fmt: skip
_CLASSES = {
    "Response", "Unset", "UNSET", "Any", "Client", "AuthenticatedClient", "RawResponse",
    "UnexpectedStatus", "Decoder", "Final", "Mapping", "Self", "UUID", "StrEnum", "IntEnum",
}  # fmt: skip


class Names:
    """The classes, modules, fields and arguments that a spec leads to.

    Attributes:
        classes: Where each class comes from.
        fields: The attribute of each property, by class.
    """

    def __init__(self, document: Document, config: Config) -> None:
        self._document = document
        self._config = config
        self._modules: dict[str, Pointer] = {}
        self.classes: dict[str, Pointer] = {}
        self.fields: dict[str, dict[str, str]] = {}

    def check(self) -> None:
        """Reject two things of the spec with one name, and names that the templates need.

        Raises:
            ConstructError: With the place of one, and the name of the other.
        """
        components = self._document.content.get("components", {})
        for name, schema in components.get("schemas", {}).items():
            self._add_schema(schema, name, "", ("components", "schemas", name))
        for name, node in components.get("parameters", {}).items():
            if any(True for _ in _classes_in(node["schema"])):
                here = ("components", "parameters", name, "schema")
                raise ConstructError(here, "write this schema under components/schemas")
        for section in ("responses", "requestBodies"):
            for name, node in components.get(section, {}).items():
                self._add_content(node, name, "", ("components", section, name))
        self._check_operations()

    def _check_operations(self) -> None:
        tags: dict[str, str] = {}
        modules: dict[str, Pointer] = {}
        for at, operation in self._document.operations():
            tag, identifier = operation["tags"][0], operation["operationId"]
            folder = PythonIdentifier(tag, "tag")
            if tags.setdefault(folder, tag) != tag:
                raise ConstructError(
                    (*at, "tags", 0),
                    f"the tags {tags[folder]!r} and {tag!r} share the folder {folder}",
                )
            if PythonIdentifier(identifier, self._config.field_prefix) != identifier:
                raise ConstructError(
                    (*at, "operationId"),
                    f"the operationId {identifier!r} must be a Python name in snake_case",
                )
            if identifier in modules:
                raise ConstructError(
                    (*at, "operationId"),
                    f"{identifier} is the operationId of {_words(modules[identifier])}, too",
                )
            modules[identifier] = at
            self._add_operation(operation, identifier, at)

    def _add_operation(self, operation: Mapping[str, Any], name: str, at: Pointer) -> None:
        arguments: dict[str, str] = {}
        for index, given in enumerate(operation.get("parameters", [])):
            here = (*at, "parameters", index)
            parameter = self._document.resolve(given)
            argument = PythonIdentifier(parameter["name"], self._config.field_prefix)
            if argument in _ARGUMENTS:
                raise ConstructError(
                    here, f"a parameter cannot be called {argument}: the templates use the name"
                )
            if argument in arguments:
                raise ConstructError(
                    here,
                    f"the parameters {arguments[argument]!r} and {parameter['name']!r} share the"
                    f" argument {argument}: rename one",
                )
            arguments[argument] = parameter["name"]
            if "$ref" not in given:
                self._add_schema(parameter["schema"], parameter["name"], name, (*here, "schema"))
        if "requestBody" in operation and "$ref" not in operation["requestBody"]:
            self._add_content(operation["requestBody"], "body", name, (*at, "requestBody"))
        for code, response in operation["responses"].items():
            if "$ref" not in response and not code.startswith("x-"):
                here = (*at, "responses", code)
                self._add_content(response, f"response_{code}", name, here)

    def _add_content(self, node: Mapping[str, Any], name: str, parent: str, at: Pointer) -> None:
        if "$ref" in node:
            return
        for media, value in node.get("content", {}).items():
            here = (*at, "content", media, "schema")
            if "schema" not in value:
                continue
            if not parent and any(True for _ in _classes_in(value["schema"])):
                raise ConstructError(here, "write this schema under components/schemas")
            self._add_schema(value["schema"], name, parent, here)

    def _add_schema(self, node: Any, name: str, parent: str, at: Pointer) -> None:
        """Note the class of a schema and of every schema inside it, as the generator names them."""
        if not isinstance(node, Mapping) or "$ref" in node:
            return
        for key in ("oneOf", "anyOf"):
            for index, each in enumerate(node.get(key, [])):
                self._add_schema(each, f"{name}_type_{index}", parent, (*at, key, index))
        kind = node.get("type")
        kinds = kind if isinstance(kind, list) else [kind]
        if "array" in kinds:
            # The generator takes a nullable array for a union, whose members it numbers.
            nullable = bool(node.get("nullable")) or isinstance(kind, list)
            name = f"{name}_type_{kinds.index('array')}" if nullable else name
            self._add_schema(node["items"], f"{name}_item", parent, (*at, "items"))
        is_object = "object" in kinds
        if not is_object and "enum" not in node:
            return
        given = f"{pascal_case(parent)}{pascal_case(name)}" if parent else name
        made = Class.from_string(string=given, config=self._config)
        self._add_class(made, at)
        if "enum" in node:
            member_names([each for each in node["enum"] if each is not None], (*at, "enum"))
        if is_object:
            self._add_fields(node, made.name, at)

    def _add_class(self, made: Class, at: Pointer) -> None:
        if made.name in _CLASSES:
            raise ConstructError(at, f"a schema cannot be called {made.name}: the templates use it")
        if not str(made.name).isidentifier() or not str(made.module_name).isidentifier():
            raise ConstructError(at, f"{made.name!r} is no name of a Python class")
        for kind, name, known in (
            ("class", str(made.name), self.classes),
            ("module", str(made.module_name), self._modules),
        ):
            if name in known:
                raise ConstructError(
                    at,
                    f"{_words(known[name])} and {_words(at)} share the {kind} {name}: rename one,"
                    " or give one a class_override in generator-config.yml",
                )
            known[name] = at

    def _add_fields(self, node: Mapping[str, Any], owner: str, at: Pointer) -> None:
        fields: dict[str, str] = {}
        for name, schema in node.get("properties", {}).items():
            here = (*at, "properties", name)
            field = str(PythonIdentifier(name, self._config.field_prefix))
            if field in _FIELDS:
                raise ConstructError(
                    here, f"a field cannot be called {field}: the templates use the name"
                )
            if not field.isidentifier() or not snake_case(name):
                raise ConstructError(here, f"{name!r} makes no name of a Python attribute")
            if field in fields:
                raise ConstructError(
                    here, f"the fields {fields[field]!r} and {name!r} share the attribute {field}"
                )
            fields[field] = name
            self._add_schema(schema, name, owner, here)
        extra = node.get("additionalProperties")
        self._add_schema(extra, "AdditionalProperty", owner, (*at, "additionalProperties"))
        self.fields[owner] = {name: field for field, name in fields.items()}


def member_names(values: list[Any], at: Pointer = ()) -> dict[str, Any]:
    """Name the members of an enumeration by their values, never by their positions."""
    members: dict[str, Any] = {}
    for value in values:
        name = _member_name(value)
        if name in members:
            raise ConstructError(
                at, f"the values {members[name]!r} and {value!r} share the member {name}"
            )
        members[name] = value
    return members


def _member_name(value: str | int) -> str:
    if isinstance(value, int):
        return f"VALUE_{value}" if value >= 0 else f"VALUE_NEGATIVE_{-value}"
    if value[:1].isalpha():
        name = snake_case(value.upper()).upper()
        if name.isidentifier():
            return name
    spelled = "".join(
        each if each.isalnum() and each.isascii() else f"_X{ord(each):X}_" for each in value
    )
    return f"VALUE_{re.sub('_+', '_', spelled.upper()).strip('_') or 'EMPTY'}"


def values_for_template(values: list[Any], _class: object, _names: list[str]) -> dict[str, Any]:
    """Stand in for `EnumProperty.values_from_list` of the generator, which numbers some members."""
    return {
        name: in_double_quote_literal(value) if isinstance(value, str) else value
        for name, value in member_names(values).items()
    }


def _classes_in(node: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(node, Mapping) and "$ref" not in node:
        kinds = node.get("type")
        if "enum" in node or kinds == "object" or (isinstance(kinds, list) and "object" in kinds):
            yield node
        for each in (*node.get("oneOf", ()), *node.get("anyOf", ()), node.get("items")):
            yield from _classes_in(each)


def _words(at: Pointer) -> str:
    """Name a part of the spec in a few words: the name of a component, or its pointer."""
    if at[:1] == ("components",) and len(at) == 3:
        return str(at[-1])
    return "/".join(map(str, at))
