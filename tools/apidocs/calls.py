"""The call of an operation in Python, with the spec's own examples as arguments.

Tests run each of them and look at what goes over the wire.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any

from tools.apidocs.facts import Operation
from tools.apidocs.python_code import identifier
from tools.generate.document import Document

LINE = 88


def example_call(document: Document, operation: Operation) -> str:
    """Give a program that calls an operation.

    Args:
        document: The spec.
        operation: The operation.
    """
    arguments = ["client=client", *_parameters(document, operation)]
    names = {"Client", operation.name}
    if any(argument.startswith("authorization=basic_auth_header(") for argument in arguments):
        names.add("basic_auth_header")
    if operation.body_model:
        names.add(operation.body_model)
        arguments.append(_body(document, operation))
    imports = ", ".join(sorted(names, key=lambda name: (not name[0].isupper(), name)))
    lines = "\n".join(f"        {argument}," for argument in arguments)
    return (
        f"{_import(imports)}\n\n"
        f"with Client() as client:  # {document.server_url}\n"
        f"    answer = {operation.name}.sync_detailed(\n{lines}\n    )\n"
        "print(answer.status_code, answer.parsed)\n"
    )


def example_of(node: Mapping[str, Any]) -> Any:
    """Give the example of a parameter or media type: the one, or the first of several."""
    if "example" in node:
        return node["example"]
    return next(iter(node["examples"].values()))["value"]


def _import(names: str) -> str:
    line = f"from pipedrive_oauth_client import {names}"
    if len(line) <= LINE:
        return line
    each = "".join(f"    {name},\n" for name in names.split(", "))
    return f"from pipedrive_oauth_client import (\n{each})"


def _parameters(document: Document, operation: Operation) -> Iterator[str]:
    for reference in operation.node.get("parameters", []):
        node = document.resolve(reference)
        value = example_of(node)
        name = identifier(node["name"])
        if name == "authorization" and str(value).startswith("Basic "):
            client_id, _, secret = base64.b64decode(value[6:]).decode().partition(":")
            yield f"{name}=basic_auth_header({_quoted(client_id)}, {_quoted(secret)})"
        else:
            yield f"{name}={_quoted(value)}"


def _body(document: Document, operation: Operation) -> str:
    body = document.resolve(operation.node["requestBody"])
    schema = document.content["components"]["schemas"][operation.body_model]
    fields = [
        f"{identifier(name)}={_quoted(value)}"
        for name, value in example_of(body["content"][operation.content_type]).items()
        # What the model sends by itself need not be written.
        if document.resolve(schema["properties"][name]).get("default") != value
    ]
    lines = "".join(f"            {field},\n" for field in fields)
    return f"body={operation.body_model}(\n{lines}        )"


def _quoted(value: object) -> str:
    text = repr(value)
    return f'"{text[1:-1]}"' if isinstance(value, str) and '"' not in text else text
