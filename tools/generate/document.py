"""The spec as a document: its server, its operations, its references."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from attrs import define, field
from openapi_python_client.parser.openapi import Endpoint
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError


class GenerationError(Exception):
    """The spec, the configuration or a template cannot be turned into code."""


def refuse(message: str) -> NoReturn:
    """Stop the generation from inside a template."""
    raise GenerationError(message)


def load_yaml(path: Path) -> tuple[bytes, dict[str, Any]]:
    """Read a YAML file that holds a mapping: its bytes, and its content with text keys."""
    try:
        text = path.read_bytes()
        content = with_text_keys(YAML(typ="safe").load(text))
    except OSError as error:
        raise GenerationError(f"Cannot read {path}: {error.strerror}.") from error
    except (YAMLError, RecursionError) as error:
        raise GenerationError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise GenerationError(f"{path} holds no mapping (openapi.yaml: no OpenAPI document).")
    return text, content


def with_text_keys(node: Any) -> Any:
    """Return a value of YAML with every key as text: `200:` is the same as `'200':`."""
    if isinstance(node, Mapping):
        return {str(key): with_text_keys(value) for key, value in node.items()}
    return [with_text_keys(each) for each in node] if isinstance(node, list) else node


@define
class Document:
    """A parsed spec.

    Attributes:
        content: The parsed spec.
        sha256: SHA-256 of the spec's text with LF line ends, in hexadecimal.
        server_url: The one server.

    Raises:
        GenerationError: The spec does not name exactly one server for everything, or a reference
            has no target.
    """

    content: Mapping[str, Any]
    sha256: str
    server_url: str = field(init=False)

    @classmethod
    def read(cls, text: bytes, content: Mapping[str, Any]) -> Document:
        """Make a document of a spec's bytes and of what was parsed from them."""
        return cls(content, hashlib.sha256(text.replace(b"\r\n", b"\n")).hexdigest())

    def __attrs_post_init__(self) -> None:
        servers = self.content.get("servers") or []
        if len(servers) != 1:
            raise GenerationError(
                "The spec must name exactly one server: it becomes the client's default."
            )
        self.server_url = str(servers[0]["url"]).rstrip("/")
        if re.fullmatch(r"https?://[^\s{}?#]+", self.server_url) is None:
            raise GenerationError(
                "The server of the spec must be an absolute http(s) URL without variables."
            )
        for path, item in self.content.get("paths", {}).items():
            if "servers" in item or any("servers" in op for op in _operations(item)):
                raise GenerationError(
                    f"{path} names a server of its own, which the client would not use."
                )
        for reference in _references(self.content):
            self.resolve(reference)

    def resolve(self, node: Mapping[str, Any]) -> Mapping[str, Any]:
        """Follow the `$ref` of an object, where it has one, as far as references lead."""
        reference = ""
        for _ in range(20):
            if "$ref" not in node:
                return node
            target: Any = self.content
            reference = str(node["$ref"])
            for key in reference.removeprefix("#/").split("/"):
                target = (
                    target.get(key.replace("~1", "/").replace("~0", "~"), {})
                    if isinstance(target, Mapping)
                    else {}
                )
            node = target
            if not node:
                raise GenerationError(f"The spec has no {reference}, which a $ref names.")
        raise GenerationError(f"{reference} is a circular reference.")

    def operation(self, endpoint: Endpoint) -> Mapping[str, Any]:
        """Return the operation object of one of the generator's endpoints."""
        wanted = str(endpoint.name)
        for item in self.content["paths"].values():
            for operation in _operations(item):
                if operation.get("operationId") == wanted:
                    return operation
        raise GenerationError(
            f"{wanted} is no operationId of the spec: give every operation one, in snake_case as"
            " Python will have it."
        )


def _references(node: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(node, Mapping):
        if isinstance(node.get("$ref"), str):
            yield node
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _operations(item: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    methods = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
    return [item[method] for method in methods if item.get(method)]
