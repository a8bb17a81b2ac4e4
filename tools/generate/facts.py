"""What the endpoint template has to know of an operation and the generator does not tell it.

openapi-python-client hands its templates names and types, but no server, no media types, and no
description that stands beside a parameter's schema.
"""

from __future__ import annotations

from attrs import frozen
from openapi_python_client.parser.openapi import Endpoint
from openapi_python_client.parser.properties import Property

from tools.generate.document import Document, GenerationError


@frozen
class SpecFacts:
    """The spec's facts by the generator's own objects; `spec` in the templates.

    Attributes:
        document: The spec.
    """

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
        """Find what the spec says of a parameter, beside its schema or in it.

        Args:
            endpoint: The endpoint.
            parameter: The parameter.
            where: Where it is sent: `path`, `query` or `header`.
        """
        for node in self.document.operation(endpoint).get("parameters") or []:
            found = self.document.resolve(node)
            if (parameter.name, where) == (found["name"], found["in"]):
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
            self.document.resolve(self.document.operation(endpoint)["requestBody"]).get(
                "description", "The body."
            )
        )

    def source(self, endpoint: Endpoint) -> str:
        """Find where an operation is defined outside the spec.

        Args:
            endpoint: The endpoint.

        Returns:
            The description and address of `externalDocs`, or nothing.
        """
        documents = self.document.operation(endpoint).get("externalDocs")
        return f"{documents.get('description', 'See')}: {documents['url']}" if documents else ""

    def accept(self, endpoint: Endpoint) -> str:
        """Give the `Accept` header: the media types of the successful answers.

        Args:
            endpoint: The endpoint.
        """
        types: list[str] = []
        for code, node in self.document.operation(endpoint)["responses"].items():
            if str(code).startswith("2"):
                types += [
                    name
                    for name in self.document.resolve(node).get("content", {})
                    if name not in types
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
