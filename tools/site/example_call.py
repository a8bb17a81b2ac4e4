"""The call of an operation in Python, with the spec's own examples as arguments.

Tests run each of them and look at what is sent.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tools.site.reference import Api

LINE = 88


def example_call(api: Api, name: str) -> str:
    """Return a program that calls an operation."""
    arguments = ["client=client", *_parameters(api, name)]
    names = {"Client", name}
    if any(argument.startswith("authorization=basic_auth_header(") for argument in arguments):
        names.add("basic_auth_header")
    content_type, body_model = api.body(name)
    if body_model:
        names.add(body_model)
        arguments.append(_body(api, name, content_type, body_model))
    imports = ", ".join(sorted(names, key=lambda each: (not each[0].isupper(), each)))
    lines = "\n".join(f"        {argument}," for argument in arguments)
    return (
        f"{_import(imports)}\n\n"
        f"with Client() as client:  # {api.document.server_url}\n"
        f"    response = {name}.sync_detailed(\n{lines}\n    )\n"
        "print(response.status_code, response.parsed)\n"
    )


def example_of(node: Mapping[str, Any]) -> Any:
    """Return the example of a parameter or media type: the one, or the first of several."""
    if "example" in node:
        return node["example"]
    return next(iter(node["examples"].values()))["value"]


def _import(names: str) -> str:
    line = f"from pipedrive_oauth_client import {names}"
    if len(line) <= LINE:
        return line
    each = "".join(f"    {name},\n" for name in names.split(", "))
    return f"from pipedrive_oauth_client import (\n{each})"


def _parameters(api: Api, operation: str) -> Iterator[str]:
    endpoint = api.endpoints[operation]
    properties = [
        *(*endpoint.path_parameters, *endpoint.query_parameters, *endpoint.header_parameters)
    ]
    for reference in api.operation(operation).get("parameters", []):
        node = api.document.resolve(reference)
        value = example_of(node)
        name = next(each.python_name for each in properties if each.name == node["name"])
        if name == "authorization" and str(value).startswith("Basic "):
            client_id, _, secret = base64.b64decode(value[6:]).decode().partition(":")
            yield f"{name}=basic_auth_header({_quoted(client_id)}, {_quoted(secret)})"
        else:
            yield f"{name}={_quoted(value)}"


def _body(api: Api, operation: str, content_type: str, body_model: str) -> str:
    body = api.document.resolve(api.operation(operation)["requestBody"])
    schema = api.document.content["components"]["schemas"][body_model]
    model = api.models[body_model]
    properties = [*(model.required_properties or ()), *(model.optional_properties or ())]

    def field(wire_name: str) -> str:
        return str(next(each.python_name for each in properties if each.name == wire_name))

    lines = "".join(
        f"            {field(name)}={_quoted(value)},\n"
        for name, value in example_of(body["content"][content_type]).items()
        # What the model sends by itself need not be written.
        if api.document.resolve(schema["properties"][name]).get("default") != value
    )
    return f"body={body_model}(\n{lines}        )"


def _quoted(value: object) -> str:
    text = repr(value)
    return f'"{text[1:-1]}"' if isinstance(value, str) and '"' not in text else text
