"""What the templates have to know of an operation or a schema and the generator does not tell them.

openapi-python-client passes names, types and descriptions to its templates, but no server, no media
types, no description beside a parameter's schema, no `format` and no limits of values. They are
read here, so that the spec stays the one place that says which field is secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from attrs import frozen
from openapi_python_client.parser.openapi import Endpoint
from openapi_python_client.parser.properties import Property
from openapi_python_client.parser.responses import Response
from openapi_python_client.schema import Reference, Schema
from openapi_python_client.schema import Response as ResponseData
from openapi_python_client.schema.untrusted_string import UntrustedString

from tools.generate.document import Document, GenerationError

_PARAMETER = re.compile(r"{([A-Za-z_][A-Za-z0-9_-]*)}")


@frozen
class SpecFacts:
    """The facts of the spec and its operations; `spec` in the templates."""

    document: Document

    @property
    def sha256(self) -> str:
        """SHA-256 of the spec's text with LF line ends, in hexadecimal."""
        return self.document.sha256

    @property
    def server_url(self) -> str:
        """The one server."""
        return self.document.server_url

    def parameter_description(self, endpoint: Endpoint, parameter: Property, where: str) -> str:
        """Return what the spec says of a parameter (`where`: path, query or header)."""
        for node in self.document.operation(endpoint).get("parameters") or []:
            found = self.document.resolve(node)
            if (parameter.name, where) == (found["name"], found["in"]):
                return str(
                    found.get("description") or found.get("schema", {}).get("description") or ""
                )
        raise GenerationError(f"{endpoint.name} declares no {where} parameter {parameter.name}.")

    def body_description(self, endpoint: Endpoint) -> str:
        """Return what the spec says of a request body."""
        body = self.document.resolve(self.document.operation(endpoint)["requestBody"])
        return str(body.get("description", "The body."))

    def source(self, endpoint: Endpoint) -> str:
        """Return the description and the address of an operation's `externalDocs`, or nothing."""
        documents = self.document.operation(endpoint).get("externalDocs")
        return f"{documents.get('description', 'See')}: {documents['url']}" if documents else ""

    def path_parts(self, endpoint: Endpoint) -> list[UntrustedString | Property]:
        """Return an operation's path as what is sent as it stands, and the parameters between."""
        parameters = {_text(each.name): each for each in endpoint.path_parameters}
        parts: list[UntrustedString | Property] = []
        for index, part in enumerate(_PARAMETER.split(self.document.path(endpoint))):
            if index % 2:
                parts.append(parameters[part])
            elif part:
                if "{" in part or "}" in part:
                    raise GenerationError(f"Braces in {part} enclose no parameter.")
                parts.append(UntrustedString(part))
        return parts

    def accept(self, endpoint: Endpoint) -> str:
        """Return the `Accept` header: the media types of the successful responses."""
        types = [
            name
            for code, node in self.document.operation(endpoint)["responses"].items()
            if str(code).startswith("2")
            for name in self.document.resolve(node).get("content", {})
        ]
        return ", ".join(dict.fromkeys(types)) or "*/*"

    def result_type(self, endpoint: Endpoint) -> str:
        """Return the annotation of what is read from an endpoint's responses."""
        types = {
            response.prop.get_type_string().as_unembedded_code()
            for response in endpoint.responses
            if response.source["attribute"] != "None"
        }
        return " | ".join([*sorted(types), "None"])


@frozen
class SchemaFacts:
    """The facts of the spec's schemas; `schemas` in the templates."""

    document: Document

    def is_secret(self, schema: Schema, name: object) -> bool:
        """Tell whether a property is marked with `format: password`, itself or in its items."""
        parts = self.property_schemas(schema, name)
        while parts:
            if any(part.schema_format == "password" for part in parts):
                return True
            parts = self.item_schemas(parts)
        return False

    def property_schemas(self, schema: Schema, name: object) -> list[Schema]:
        """Return the schemas that a property is composed of."""
        return [
            part
            for owner in self._composed(schema)
            for key, value in (owner.properties or {}).items()
            if key == name
            for part in self._composed(value)
        ]

    def item_schemas(self, parts: list[Schema]) -> list[Schema]:
        """Return the schemas that the items of an array are composed of."""
        return [
            part for each in parts if each.items is not None for part in self._composed(each.items)
        ]

    def additional_schemas(self, schema: Schema) -> list[Schema]:
        """Return the schemas that the unknown fields of an object are composed of."""
        given = schema.additionalProperties
        return [] if given is None or isinstance(given, bool) else list(self._composed(given))

    def response_schemas(self, response: Response) -> list[Schema]:
        """Return the schemas that the body of a response is composed of."""
        content = response.data.content if isinstance(response.data, ResponseData) else {}
        for media in (content or {}).values():
            if media.media_type_schema is not None:
                return list(self._composed(media.media_type_schema))
        return []

    def field_description(self, schema: Schema, prop: Property) -> str:
        """Return what the spec says of a field: beside its schema, else in it."""
        for owner in self._composed(schema):
            for key, value in (owner.properties or {}).items():
                if key == prop.name and isinstance(value, Schema) and value.description:
                    return value.description.get_untrusted_value()
        return prop.description.get_untrusted_value() if prop.description else ""

    def constraints(self, parts: list[Schema]) -> dict[str, str | int | float]:
        """Return the limits of a value, as arguments of the decoders of decode.py."""
        found: dict[str, str | int | float] = {}
        for part in parts:
            if part.pattern is not None:
                found["pattern"] = part.pattern.get_untrusted_value()
            if part.minLength:
                found["min_length"] = part.minLength
            if part.minimum is not None:
                minimum = part.minimum
                found["minimum"] = int(minimum) if minimum == int(minimum) else minimum
        return found

    def _composed(self, schema: Schema | Reference) -> Iterator[Schema]:
        if isinstance(schema, Reference):
            schema = Schema.model_validate(
                self.document.resolve({"$ref": schema.ref.get_untrusted_value()})
            )
        yield schema
        # A schema that holds itself does so through its properties, which are not followed.
        for part in [*schema.allOf, *schema.oneOf, *schema.anyOf]:
            yield from self._composed(part)


def _text(name: UntrustedString | str) -> str:
    return name.get_untrusted_value() if isinstance(name, UntrustedString) else name
