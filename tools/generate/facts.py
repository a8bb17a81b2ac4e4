"""What the templates have to know of the spec and the generator does not tell them.

openapi-python-client hands its templates names, types and descriptions, but no `format`, no
server, no limits of values, and no description that stands beside a parameter's schema. They are
read here, so that the spec stays the one place that says which field is secret and which host is
the server.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from attrs import define, field
from openapi_python_client.parser.openapi import Endpoint
from openapi_python_client.parser.properties import Property
from openapi_python_client.schema import Reference, Schema


class GenerationError(Exception):
    """The spec, the configuration or a template can't be turned into code."""


def refuse(message: str) -> NoReturn:
    """Stop the generation from inside a template.

    Args:
        message: What can't be generated.
    """
    raise GenerationError(message)


@define
class SpecFacts:
    """The spec's facts by the generator's own objects.

    Attributes:
        document: The parsed spec.
        sha256: SHA-256 of the spec's text with LF line ends, in hexadecimal.
        server_url: The one server.
    """

    document: Mapping[str, Any]
    sha256: str
    server_url: str = field(init=False)

    @classmethod
    def read(cls, text: bytes, document: Mapping[str, Any]) -> SpecFacts:
        """Collect the facts of a spec.

        Args:
            text: The spec's bytes.
            document: The same, parsed.

        Returns:
            The facts.

        Raises:
            GenerationError: The spec does not name exactly one server for everything.
        """
        return cls(document, hashlib.sha256(text.replace(b"\r\n", b"\n")).hexdigest())

    def __attrs_post_init__(self) -> None:
        servers = self.document.get("servers") or []
        if len(servers) != 1:
            raise GenerationError(
                "The spec must name exactly one server: it becomes the client's default."
            )
        for path, item in self.document.get("paths", {}).items():
            if "servers" in item or any("servers" in op for op in _operations(item)):
                raise GenerationError(
                    f"{path} names a server of its own, which the client would not use."
                )
        self.server_url = servers[0]["url"].rstrip("/")

    def is_secret(self, schema: Schema, name: object) -> bool:
        """Tell whether a property is marked with `format: password`, itself or inside.

        Args:
            schema: The schema that has the property.
            name: The property's name in the spec.
        """
        return any(part.schema_format == "password" for part in self._parts(schema, name))

    def constraints(self, schema: Schema, name: object) -> dict[str, str | int | float]:
        """Find the limits that a property's value has to keep.

        Args:
            schema: The schema that has the property.
            name: The property's name in the spec.

        Returns:
            Arguments of the decoders of decode.py.

        Raises:
            GenerationError: A pattern is not anchored at both ends or is no regular expression of
                Python's.
        """
        found: dict[str, str | int | float] = {}
        for part in self._parts(schema, name, into_items=False):
            if part.pattern is not None:
                found["pattern"] = _checked_pattern(part.pattern.get_untrusted_value())
            if part.minLength:
                found["min_length"] = part.minLength
            if part.minimum is not None:
                minimum = part.minimum
                found["minimum"] = int(minimum) if minimum == int(minimum) else minimum
        return found

    def _parts(self, schema: Schema, name: object, *, into_items: bool = True) -> Iterator[Schema]:
        """Give the schema of a property, and the schemas that it is put together from."""
        for owner in self._composed(schema, into_items=False):
            for key, value in (owner.properties or {}).items():
                if key == name:
                    yield from self._composed(value, into_items=into_items)

    def _composed(self, schema: Schema | Reference, *, into_items: bool) -> Iterator[Schema]:
        if isinstance(schema, Reference):
            schema = Schema.model_validate(self.resolve({"$ref": schema.ref.get_untrusted_value()}))
        yield schema
        inner = [*schema.allOf, *schema.oneOf, *schema.anyOf]
        if into_items and schema.items is not None:
            inner.append(schema.items)
        # A schema that holds itself does so through its properties, which are not followed.
        for part in inner:
            yield from self._composed(part, into_items=into_items)

    def resolve(self, node: Mapping[str, Any]) -> Mapping[str, Any]:
        """Follow a `$ref` inside the document.

        Args:
            node: An object of the document that may be a reference.

        Returns:
            The object that it stands for.

        Raises:
            GenerationError: The reference leads nowhere.
        """
        for _ in range(20):
            if "$ref" not in node:
                return node
            target: Any = self.document
            for key in str(node["$ref"]).removeprefix("#/").split("/"):
                target = target.get(key.replace("~1", "/").replace("~0", "~"), {})
            node = target
            if not node:
                break
        raise GenerationError("A $ref of the spec leads nowhere.")

    def operation(self, endpoint: Endpoint) -> Mapping[str, Any]:
        """Find the operation object of an endpoint.

        Args:
            endpoint: The generator's endpoint.
        """
        wanted = str(endpoint.name)
        for item in self.document["paths"].values():
            for operation in _operations(item):
                if operation.get("operationId") == wanted:
                    return operation
        raise GenerationError(
            f"{wanted} is no operationId of the spec: give every operation one, in snake_case as"
            " Python will have it."
        )

    def parameter_description(self, endpoint: Endpoint, parameter: Property) -> str:
        """Find what the spec says of a parameter, beside its schema or in it.

        Args:
            endpoint: The endpoint.
            parameter: The parameter.
        """
        for node in self.operation(endpoint).get("parameters", []):
            found = self.resolve(node)
            if parameter.name == found["name"]:
                return str(
                    found.get("description") or found.get("schema", {}).get("description") or ""
                )
        raise GenerationError(
            f"{endpoint.name}: the parameter {parameter.python_name} stands at the path; move it to"
            " the operation."
        )

    def body_description(self, endpoint: Endpoint) -> str:
        """Find what the spec says of a request body.

        Args:
            endpoint: The endpoint.
        """
        return str(
            self.resolve(self.operation(endpoint)["requestBody"]).get("description", "The body.")
        )

    def source(self, endpoint: Endpoint) -> str:
        """Find where an operation is defined outside the spec.

        Args:
            endpoint: The endpoint.

        Returns:
            The description and address of `externalDocs`, or nothing.
        """
        documents = self.operation(endpoint).get("externalDocs")
        return f"{documents.get('description', 'See')}: {documents['url']}" if documents else ""

    def accept(self, endpoint: Endpoint) -> str:
        """Give the `Accept` header: the media types of the successful answers.

        Args:
            endpoint: The endpoint.
        """
        types: list[str] = []
        for code, node in self.operation(endpoint)["responses"].items():
            if str(code).startswith("2"):
                types += [
                    name for name in self.resolve(node).get("content", {}) if name not in types
                ]
        return ", ".join(types) or "*/*"

    def result_type(self, endpoint: Endpoint) -> str:
        """Give the annotation of what is read from an endpoint's answers.

        Args:
            endpoint: The endpoint.
        """
        types = {
            response.prop.get_type_string().as_unembedded_code()
            for response in endpoint.responses
            if response.source["attribute"] != "None"
        }
        return " | ".join([*sorted(types), "None"])

    def check_endpoint(self, endpoint: Endpoint) -> str:
        """Refuse what the endpoint template would render wrongly.

        Args:
            endpoint: The endpoint.

        Returns:
            Nothing to print.

        Raises:
            GenerationError: The endpoint has cookies, several kinds of body, an optional body or
                one of another kind.
        """
        if endpoint.cookie_parameters:
            raise GenerationError(f"{endpoint.name}: the templates send no cookie parameters.")
        if len(endpoint.bodies) > 1:
            raise GenerationError(f"{endpoint.name}: the templates send one kind of body.")
        for body in endpoint.bodies:
            if not body.prop.required or body.body_type not in ("data", "json"):
                raise GenerationError(
                    f"{endpoint.name}: the templates send required forms and JSON only."
                )
        return ""


def _operations(item: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    methods = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
    return [item[method] for method in methods if method in item]


def _checked_pattern(pattern: str) -> str:
    if not (pattern.startswith("^") and pattern.endswith("$")):
        raise GenerationError(
            f"The pattern {pattern!r} must be anchored: ^ at its start and $ at its end."
        )
    try:
        re.compile(pattern)
    except re.error as error:
        raise GenerationError(
            f"The pattern {pattern!r} is no regular expression of Python's."
        ) from error
    return pattern
