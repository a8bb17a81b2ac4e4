"""The spec as a document: its server, its operations, its references, the lines of its parts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from attrs import define
from openapi_python_client.parser.openapi import Endpoint

from tools.bounded_yaml import ParsedYAML, RejectedYAMLError, parse
from tools.bounded_yaml import read_bytes as read_bounded

# The keys that lead to a part of the spec.
Pointer: TypeAlias = "tuple[str | int, ...]"

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


class GenerationError(Exception):
    """The spec, the configuration or a template cannot be turned into code."""


class ConstructError(GenerationError):
    """A part of the spec cannot be turned into code."""

    def __init__(self, at: Pointer, problem: str) -> None:
        self.at = at
        self.problem = problem
        super().__init__(f"{pointer_text(at)}: {problem.rstrip('.')}.")


def refuse(message: str) -> NoReturn:
    """Stop the generation from inside a template."""
    raise GenerationError(message)


def read_bytes(path: Path) -> bytes:
    """Read a file of the project."""
    try:
        return read_bounded(path)
    except OSError as error:
        raise GenerationError(f"Cannot read {path}: {error.strerror}.") from error


def load_yaml(path: Path, text: bytes) -> ParsedYAML:
    """Read YAML that holds a mapping."""
    try:
        parsed = parse(path.name, text, strict=True)
    except RejectedYAMLError as error:
        where = "" if error.pointer is None else f"{one_line(pointer_text(error.pointer), 120)}: "
        problem = one_line(f"{where}{error.problem}")
        raise GenerationError(f"{path.name}:{error.position[0]}: {problem}.") from error
    if not isinstance(parsed.content, dict):
        raise GenerationError(f"{path} holds no mapping (openapi.yaml: no OpenAPI document).")
    return parsed


def pointer_text(at: Pointer) -> str:
    """Write a pointer as RFC 6901 has it."""
    keys = (str(key).replace("~", "~0").replace("/", "~1") for key in at)
    return "".join(f"/{key}" for key in keys) or "the document"


def one_line(text: str, longest: int = 300) -> str:
    """Join the lines of a message, and cut it where it is long."""
    joined = " ".join(text.split())
    return joined if len(joined) <= longest else f"{joined[:longest]}..."


def located(path: Path, parsed: ParsedYAML, error: ConstructError) -> GenerationError:
    """Name the file and the line of a part of the spec that cannot be turned into code."""
    return GenerationError(f"{path.name}:{parsed.line(error.at)}: {error}")


@define
class Document:
    """A parsed spec.

    Attributes:
        content: The parsed spec.
        sha256: SHA-256 of the spec's text with LF line ends, in hexadecimal.
    """

    content: Mapping[str, Any]
    sha256: str

    @classmethod
    def read(cls, text: bytes, content: Mapping[str, Any]) -> Document:
        """Make a document of a spec's bytes and of what was parsed from them."""
        return cls(content, hashlib.sha256(text.replace(b"\r\n", b"\n")).hexdigest())

    @property
    def server_url(self) -> str:
        """The one server, without a slash at its end."""
        return str(self.content["servers"][0]["url"]).rstrip("/")

    def resolve(self, node: Mapping[str, Any], at: Pointer = ()) -> Mapping[str, Any]:
        """Follow the `$ref` of an object, where it has one, as far as references lead."""
        reference = ""
        for _ in range(20):
            if "$ref" not in node:
                return node
            target: Any = self.content
            reference = str(node["$ref"])
            for key in reference.removeprefix("#/").split("/"):
                target = (
                    target.get(key.replace("~1", "/").replace("~0", "~"))
                    if isinstance(target, Mapping)
                    else None
                )
            if not isinstance(target, Mapping):
                raise ConstructError(at, f"the spec has no {reference}")
            node = target
        raise ConstructError(at, f"{reference} is a circular reference")

    def operations(self) -> Iterator[tuple[Pointer, Mapping[str, Any]]]:
        """Yield the operations of the spec and where they are."""
        for path, item in self.content.get("paths", {}).items():
            for method in METHODS:
                if method in item:
                    yield ("paths", path, method), item[method]

    def operation(self, endpoint: Endpoint) -> Mapping[str, Any]:
        """Return the operation object of one of the generator's endpoints."""
        return self._find(endpoint)[1]

    def path(self, endpoint: Endpoint) -> str:
        """Return the path of one of the generator's endpoints, with the spec's own names."""
        return str(self._find(endpoint)[0][1])

    def _find(self, endpoint: Endpoint) -> tuple[Pointer, Mapping[str, Any]]:
        for at, operation in self.operations():
            if operation.get("operationId") == str(endpoint.name):
                return at, operation
        raise GenerationError(f"{endpoint.name} is no operationId of the spec.")
