"""The spec as a document: its server, its operations, its references, the lines of its parts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from attrs import define
from openapi_python_client.parser.openapi import Endpoint
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedBase
from ruamel.yaml.error import MarkedYAMLError, YAMLError

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
        pointer = "".join(f"/{str(key).replace('~', '~0').replace('/', '~1')}" for key in at)
        super().__init__(f"{pointer or 'the document'}: {problem.rstrip('.')}.")


def refuse(message: str) -> NoReturn:
    """Stop the generation from inside a template."""
    raise GenerationError(message)


def read_bytes(path: Path) -> bytes:
    """Read a file of the project."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise GenerationError(f"Cannot read {path}: {error.strerror}.") from error


def load_yaml(path: Path, text: bytes) -> dict[Any, Any]:
    """Read YAML that holds a mapping."""
    try:
        content = YAML(typ="safe").load(text)
    except (YAMLError, ValueError, RecursionError) as error:
        mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
        line = f":{mark.line + 1}" if mark else ""
        why = (error.problem if isinstance(error, MarkedYAMLError) else None) or str(error)
        raise GenerationError(f"{path}{line}: not valid YAML: {one_line(why)}.") from error
    if not isinstance(content, dict):
        raise GenerationError(f"{path} holds no mapping (openapi.yaml: no OpenAPI document).")
    return content


def one_line(text: str, longest: int = 300) -> str:
    """Join the lines of a message, and cut it where it is long."""
    joined = " ".join(text.split())
    return joined if len(joined) <= longest else f"{joined[:longest]}..."


def with_text_keys(node: Any) -> Any:
    """Return a value of YAML with every key as text: `200:` is the same as `'200':`."""
    if isinstance(node, Mapping):
        return {str(key): with_text_keys(value) for key, value in node.items()}
    return [with_text_keys(each) for each in node] if isinstance(node, list) else node


def position_of(content: Any, at: Sequence[str | int]) -> tuple[int, int]:
    """Return line and column, from 1, of the last key of a pointer that exists.

    Args:
        content: YAML as the round-trip loader of ruamel.yaml reads it.
        at: The pointer.
    """
    line = column = 0
    for key in at:
        if not isinstance(content, CommentedBase):
            break
        try:
            if isinstance(content, dict):
                key = next((each for each in content if str(each) == key), key)  # noqa: PLW2901
                known = content.lc.key(key)
            else:
                known = content.lc.item(key)
            content = content[key]  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            break
        line, column = known
    return line + 1, column + 1


def located(path: Path, text: bytes, error: ConstructError) -> GenerationError:
    """Name the file and the line of a part of the spec that cannot be turned into code."""
    line, _column = position_of(YAML().load(text), error.at)
    return GenerationError(f"{path.name}:{line}: {error}")


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
        for _at, operation in self.operations():
            if operation.get("operationId") == str(endpoint.name):
                return operation
        raise GenerationError(f"{endpoint.name} is no operationId of the spec.")
