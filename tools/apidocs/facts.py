"""What the reference pages say of operations and models, read from the spec.

Types are those of the generated Python code, since that is what a reader of the page calls.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import frozen

from tools.apidocs import python_code
from tools.generate.document import Document

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


@frozen
class Row:
    """A line of a table of parameters or properties.

    Attributes:
        name: The name in Python.
        type: The type in Python.
        description: What the spec says of it, on one line.
        required: Whether it has to be given, or is always there.
        notes: The rest, in a few words each.
    """

    name: str
    type: str
    description: str
    required: bool
    notes: tuple[str, ...]


@frozen
class Answer:
    """An answer that an operation may give.

    Attributes:
        status: The status code, or a range such as `5XX`.
        description: What it means.
        content_types: The media types that the body may be of; the first is the one that is read.
        model: The model that the body is read as, or nothing.
        headers: Headers that the spec describes, each with its description.
    """

    status: str
    description: str
    content_types: tuple[str, ...]
    model: str
    headers: Mapping[str, str]


@frozen
class Operation:
    """An operation as its page shows it; `node` is its object in the spec."""

    name: str
    tag: str
    method: str
    path: str
    summary: str
    description: str
    rows: tuple[Row, ...]
    content_type: str
    body_model: str
    accept: str
    security: tuple[str, ...]
    answers: tuple[Answer, ...]
    source: tuple[str, str] | None
    node: Mapping[str, Any]


@frozen
class Model:
    """A model as its page shows it."""

    name: str
    description: str
    rows: tuple[Row, ...]
    further_fields: bool


def operations(document: Document) -> Iterator[Operation]:
    """Give each operation of a spec, in its order."""
    for path, item in document.content["paths"].items():
        for method in METHODS:
            if method in item:
                yield _operation(document, method, str(path), item[method])


def models(document: Document) -> Iterator[Model]:
    """Give each named schema of a spec, in its order."""
    for name, schema in document.content["components"]["schemas"].items():
        # OpenAPI lets an object have further fields unless it says otherwise.
        further = schema.get("additionalProperties", True) is not False
        rows = tuple(properties(document, str(name), ""))
        yield Model(str(name), one_line(schema.get("description")), rows, further)


def properties(document: Document, model: str, place: str) -> Iterator[Row]:
    """Give a line for each property of a named schema.

    Args:
        document: The spec.
        model: The schema's name.
        place: Where the properties travel, if that is to be noted.
    """
    schema = document.content["components"]["schemas"][model]
    required = schema.get("required") or []
    for wire_name, reference in schema.get("properties", {}).items():
        node = document.resolve(reference)
        name = python_code.identifier(wire_name)
        yield Row(
            name,
            python_code.type_of_field(model, name),
            one_line(reference.get("description") or node.get("description")),
            wire_name in required,
            _notes(node, place, "" if name == wire_name else str(wire_name)),
        )


def one_line(text: str | None) -> str:
    """Join the words of a text with single blanks."""
    return " ".join((text or "").split())


def referred(node: Mapping[str, Any]) -> str:
    """Give the last name of a reference, or nothing."""
    return str(node.get("$ref", "")).rpartition("/")[2]


def _operation(document: Document, method: str, path: str, node: Mapping[str, Any]) -> Operation:
    name, tag = str(node["operationId"]), str(node["tags"][0])
    rows = [_parameter(document, name, tag, each) for each in node.get("parameters", [])]
    content_type = body_model = ""
    if "requestBody" in node:
        ((content_type, media),) = document.resolve(node["requestBody"])["content"].items()
        body_model = referred(media["schema"])
        kind = "form field" if "form" in content_type else "JSON field"
        rows += properties(document, body_model, f"{kind} of `body`")
    answers = tuple(
        _answer(document, str(status), reference) for status, reference in node["responses"].items()
    )
    accepted = [kind for a in answers if a.status.startswith("2") for kind in a.content_types]
    documents = node.get("externalDocs")
    return Operation(
        name=name,
        tag=tag,
        method=method.upper(),
        path=path,
        summary=one_line(node.get("summary")),
        description=str(node.get("description") or "").strip(),
        rows=tuple(rows),
        content_type=str(content_type),
        body_model=body_model,
        accept=", ".join(accepted),
        security=tuple(scheme for each in _security(document, node) for scheme in each),
        answers=answers,
        source=(str(documents["description"]), str(documents["url"])) if documents else None,
        node=node,
    )


def _security(document: Document, node: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = node.get("security", document.content.get("security"))
    return list(found or [])


def _parameter(document: Document, operation: str, tag: str, node: Mapping[str, Any]) -> Row:
    parameter = document.resolve(node)
    schema = document.resolve(parameter["schema"])
    wire_name = str(parameter["name"])
    name = python_code.identifier(wire_name)
    place = "query" if parameter["in"] == "query" else f"{parameter['in']} `{wire_name}`"
    return Row(
        name,
        python_code.type_of_argument(tag, operation, name),
        one_line(parameter.get("description")),
        bool(parameter.get("required")),
        _notes(schema, place, ""),
    )


def _notes(schema: Mapping[str, Any], place: str, wire_name: str) -> tuple[str, ...]:
    notes = [place] if place else []
    if wire_name:
        notes.append(f"`{wire_name}` in the message")
    if "default" in schema:
        notes.append(f"default to `{schema['default']}`")
    if schema.get("format") == "password":
        notes.append("secret, hidden in `repr`")
    elif "format" in schema:
        notes.append(f"format `{schema['format']}`")
    if "enum" in schema:
        notes.append("one of " + ", ".join(f"`{value}`" for value in schema["enum"]))
    notes += [
        f"{word} `{schema[key]}`"
        for key, word in (
            ("pattern", "matches"),
            ("minLength", "length at least"),
            ("maxLength", "length at most"),
            ("minimum", "at least"),
            ("maximum", "at most"),
        )
        if key in schema
    ]
    if schema.get("nullable"):
        notes.append("may be `None`")
    return tuple(notes)


def _answer(document: Document, status: str, reference: Mapping[str, Any]) -> Answer:
    node = document.resolve(reference)
    content = node.get("content") or {}
    read: Mapping[str, Any] = next(iter(content.values()), {})
    headers = {
        str(name): one_line(document.resolve(header).get("description"))
        for name, header in (node.get("headers") or {}).items()
    }
    return Answer(
        status,
        one_line(node.get("description")),
        tuple(map(str, content)),
        referred(read.get("schema") or {}),
        headers,
    )
