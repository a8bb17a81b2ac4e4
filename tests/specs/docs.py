"""What a spec says in words, and where the generated code has to say it again."""

from __future__ import annotations

import keyword
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")

FUNCTIONS = ("sync", "sync_detailed", "asyncio", "asyncio_detailed")


class Operation(NamedTuple):
    """An operation of a spec."""

    method: str
    path: str
    node: dict[str, Any]

    @property
    def module(self) -> str:
        """The generated module of the operation, inside the package."""
        tag = self.node["tags"][0].lower().replace(" ", "_")
        return f"api.{tag}.{self.node['operationId']}"


def operations(document: dict[str, Any]) -> Iterator[Operation]:
    """Give each operation of a spec."""
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield Operation(method, path, item[method])


def resolve(document: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """Follow the references of an object, as far as they lead."""
    while "$ref" in node:
        target: Any = document
        for key in node["$ref"].removeprefix("#/").split("/"):
            target = target[key]
        node = target
    return node


def one_line(text: str | None) -> str:
    """Join the words of a text with single blanks."""
    return " ".join((text or "").split())


def said_of_operation(document: dict[str, Any], operation: Operation) -> Iterator[str]:
    """Give what the docstring of an operation's functions has to hold, on one line."""
    yield one_line(operation.node["summary"])
    yield one_line(operation.node.get("description"))
    for node in operation.node.get("parameters", []):
        parameter = resolve(document, node)
        yield entry(parameter["name"], parameter["description"])
    if "requestBody" in operation.node:
        yield entry("body", resolve(document, operation.node["requestBody"])["description"])
    if "externalDocs" in operation.node:
        yield operation.node["externalDocs"]["url"]


def said_of_schema(document: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    """Give what the docstring of a schema's class has to hold, on one line."""
    yield one_line(schema["description"])
    for name, node in schema.get("properties", {}).items():
        yield entry(name, resolve(document, node)["description"])


def entry(name: str, description: str) -> str:
    """Give an entry of a docstring; without the name, if Python can't have it as it is."""
    plain = name.islower() and name.isidentifier() and not keyword.iskeyword(name)
    plain = plain and name not in ("id", "list")
    return f"{name}: {one_line(description)}" if plain else one_line(description)
