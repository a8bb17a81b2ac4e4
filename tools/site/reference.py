"""The reference pages of the HTTP API as Markdown: an overview, a page per operation and model.

Names and types are those of the generated Python code; texts come from the spec.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import frozen
from openapi_python_client.config import Config, ConfigFile, MetaType
from openapi_python_client.parser import GeneratorData
from openapi_python_client.parser.openapi import Endpoint
from openapi_python_client.parser.properties import ModelProperty, Property

from tools.environments import ROOT
from tools.generate.document import Document, GenerationError, load_yaml
from tools.generate.facts import SpecFacts
from tools.site.example_call import example_call

CALLS = ("sync", "sync_detailed", "asyncio", "asyncio_detailed")
URL = (
    "`url`, which returns the address without sending anything. What the functions raise is on the"
    " page of [errors](../../errors.md)."
)
HEADS = ("Name", "Type", "Description", "Required", "Notes")
LIMITS = {
    "pattern": "matches",
    "minLength": "length at least",
    "maxLength": "length at most",
    "minimum": "at least",
    "maximum": "at most",
}


@frozen
class Api:
    """A spec as the generator reads it, its endpoints and models by name in the spec's order."""

    document: Document
    endpoints: Mapping[str, Endpoint]
    models: Mapping[str, ModelProperty]

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> Api:
        """Read a parsed spec.

        Raises:
            GenerationError: No code can be generated from it.
        """
        config = Config.from_sources(
            ConfigFile.load_from_path(ROOT / "generator-config.yml"),
            MetaType.NONE,
            document_source=ROOT / "openapi.yaml",
            file_encoding="utf-8",
            overwrite=False,
            output_path=None,
        )
        parsed = GeneratorData.from_dict(dict(content), config=config)
        if not isinstance(parsed, GeneratorData):
            raise GenerationError(f"openapi.yaml: {parsed.header} {parsed.detail or ''}")
        collections = parsed.endpoint_collections_by_tag.values()
        found = {str(model.class_info.name): model for model in parsed.models}
        return cls(
            Document.read(b"", content),
            {str(each.name): each for collection in collections for each in collection.endpoints},
            {name: found[name] for name in content["components"]["schemas"] if name in found},
        )

    def operation(self, name: str) -> Mapping[str, Any]:
        """Return the object of an operation in the spec."""
        return self.document.operation(self.endpoints[name])

    def request(self, name: str) -> tuple[str, str]:
        """Return method and path of an operation."""
        endpoint = self.endpoints[name]
        return endpoint.method.upper(), endpoint.path.get_untrusted_value()

    def responses(self, name: str) -> Mapping[str, Mapping[str, Any]]:
        """Return the responses of an operation by status, without references."""
        responses = self.operation(name)["responses"]
        return {status: self.document.resolve(each) for status, each in responses.items()}

    def body(self, name: str) -> tuple[str, str]:
        """Return media type and model of an operation's body, or two empty texts."""
        if "requestBody" not in self.operation(name):
            return "", ""
        content = self.document.resolve(self.operation(name)["requestBody"])["content"]
        ((media_type, media),) = content.items()
        return media_type, referred(media)


def read_spec(spec: Path) -> dict[str, Any]:
    """Read a spec's YAML."""
    content: dict[str, Any] = load_yaml(spec, spec.read_bytes()).content
    return content


def pages(api: Api) -> Iterator[tuple[str, str]]:
    """Yield each page: its path below the reference's folder, and its text."""
    yield "index.md", overview(api)
    for name in api.endpoints:
        yield f"operations/{name}.md", operation_page(api, name)
    for name in api.models:
        yield f"models/{name}.md", model_page(api, name)


def overview(api: Api) -> str:
    """Return the page that lists the operations and the models."""
    operations = (
        (
            f"[`{name}`](operations/{name}.md)",
            f"`{' '.join(api.request(name))}`",
            one_line(api.operation(name).get("summary")),
        )
        for name in api.endpoints
    )
    components = api.document.content["components"]
    models = (
        (f"[`{name}`](models/{name}.md)", one_line(components["schemas"][name].get("description")))
        for name in api.models
    )
    return "\n".join(
        [
            "# HTTP API\n",
            "Written from [openapi.yaml](../openapi.yaml) when the site is built.\n",
            f"All paths are relative to `{api.document.server_url}`.\n",
            "## Operations\n",
            *table(("Method", "HTTP request", "Description"), operations),
            "\n## Models\n",
            *table(("Model", "Description"), models),
            "\n## Authorization\n",
            *(
                f"### `{name}` {{ #{name} }}\n\nType: {scheme['type']}, scheme {scheme['scheme']}. "
                f"{one_line(scheme.get('description'))}\n"
                for name, scheme in components.get("securitySchemes", {}).items()
            ),
        ]
    )


def operation_page(api: Api, name: str) -> str:
    """Return the page of an operation, in the order of Pipedrive's own reference."""
    endpoint, node = api.endpoints[name], api.operation(name)
    content_type, body_model = api.body(name)
    rows = list(_parameters(api, endpoint))
    kind = "form field" if "form" in content_type else "JSON field"
    rows += _fields(api, body_model, f"{kind} of `body`") if body_model else []
    accept = SpecFacts(api.document).accept(endpoint)
    security = node.get("security", api.document.content.get("security")) or []
    schemes = (f"[`{scheme}`](../index.md#{scheme})" for each in security for scheme in each)
    results = (referred(_first_media(r)) for s, r in api.responses(name).items() if s[0] == "2")
    nothing = "`None` (nothing is read from the body; it is in `content` of the detailed response)"
    calls = ", ".join(f"`{call}`" for call in CALLS)
    source = node.get("externalDocs")
    return "\n".join(
        [
            f"# {name}\n",
            f"**{one_line(node.get('summary'))}**\n",
            f"{str(node.get('description') or '').strip()}\n",
            "## HTTP request\n",
            f"`{' '.join(api.request(name))}` at `{api.document.server_url}`\n",
            "## Parameters\n",
            *table(HEADS, rows),
            "",
            *[f"The fields of `body` are those of {model_link(body_model)}.\n"] * bool(body_model),
            "## Return type\n",
            f"{next(filter(None, map(model_link, results)), nothing)}\n",
            "## Authorization\n",
            f"{', '.join(schemes) or 'No authorization required'}\n",
            "## HTTP request headers\n",
            f"- **Content-Type**: {_code(content_type) or 'not defined, no body'}",
            f"- **Accept**: {'anything' if accept == '*/*' else _code(accept)}\n",
            "## Status codes\n",
            *_responses(api, name),
            "\n## Call\n",
            f"```python\n{example_call(api, name)}```\n",
            f"The module `{name}` has {calls}, which take the same keyword arguments, and {URL}\n",
            *([f"Source: [{source['description']}]({source['url']})\n"] if source else []),
        ]
    )


def model_page(api: Api, model: str) -> str:
    """Return the page of a model."""
    sent = [name for name in api.endpoints if api.body(name)[1] == model]
    read = [
        name
        for name in api.endpoints
        if any(referred(_first_media(each)) == model for each in api.responses(name).values())
    ]
    schema = api.document.content["components"]["schemas"][model]
    lines = [f"# {model}\n", f"{one_line(schema.get('description'))}\n", "## Properties\n"]
    lines += [*table(HEADS, _fields(api, model, "")), ""]
    if api.models[model].additional_properties:
        lines.append("Fields that the spec does not name are in `additional_properties`.\n")
    for word, users in (("Sent by", sent), ("Read by", read)):
        if users:
            links = (f"[`{name}`](../operations/{name}.md)" for name in users)
            lines.append(f"{word}: {', '.join(links)}\n")
    return "\n".join(lines)


def table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Return the lines of a Markdown table."""
    lines = [heads, ("---",) * len(heads), *rows]
    return ["| " + " | ".join(map(_cell, line)) + " |" for line in lines]


def one_line(text: str | None) -> str:
    """Join the words of a text with single blanks."""
    return " ".join((text or "").split())


def referred(media: Mapping[str, Any]) -> str:
    """Return the name of the model that a media type refers to, or nothing."""
    return str(media.get("schema", {}).get("$ref", "")).rpartition("/")[2]


def model_link(name: str) -> str:
    """Return a link to a model's page, or nothing."""
    return f"[`{name}`](../models/{name}.md)" if name else ""


def _cell(text: str) -> str:
    # In code a backslash would be shown, and a bar there ends no cell.
    pieces = re.split(r"(`[^`]*`)", text)
    return "".join(p if p.startswith("`") else p.replace("|", "\\|") for p in pieces)


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _first_media(response: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the media type of a response that is read."""
    media: Mapping[str, Any] = next(iter(response.get("content", {}).values()), {})
    return media


def _parameters(api: Api, endpoint: Endpoint) -> Iterator[tuple[str, ...]]:
    nodes = [api.document.resolve(p) for p in api.operation(str(endpoint.name))["parameters"]]
    for where, found in (
        ("path", endpoint.path_parameters),
        ("query", endpoint.query_parameters),
        ("header", endpoint.header_parameters),
    ):
        for prop in found:
            (node,) = (n for n in nodes if prop.name == n["name"] and n["in"] == where)
            place = where if where == "query" else f"{where} `{node['name']}`"
            notes = [place, *_notes(api.document.resolve(node["schema"]))]
            yield _row(prop, node.get("description"), notes)


def _fields(api: Api, model: str, place: str) -> Iterator[tuple[str, ...]]:
    found = api.models[model]
    properties = [*(found.required_properties or ()), *(found.optional_properties or ())]
    schema = api.document.content["components"]["schemas"][model]
    for wire_name, reference in schema.get("properties", {}).items():
        node = api.document.resolve(reference)
        (prop,) = (each for each in properties if each.name == wire_name)
        notes = [place] if place else []
        if prop.python_name != wire_name:
            notes.append(f"`{wire_name}` in the message")
        description = reference.get("description") or node.get("description")
        yield _row(prop, description, [*notes, *_notes(node)])


def _row(prop: Property, description: str | None, notes: list[str]) -> tuple[str, ...]:
    return (
        f"`{prop.python_name}`",
        f"`{prop.get_type_string().as_unembedded_code()}`",
        one_line(description),
        "required" if prop.required else "optional",
        "; ".join(notes),
    )


def _notes(schema: Mapping[str, Any]) -> Iterator[str]:
    if "default" in schema:
        yield f"default to `{schema['default']}`"
    if schema.get("format") == "password":
        yield "secret, hidden in `repr`"
    elif "format" in schema:
        yield f"format `{schema['format']}`"
    if "enum" in schema:
        yield "one of " + ", ".join(f"`{value}`" for value in schema["enum"])
    yield from (f"{word} `{schema[key]}`" for key, word in LIMITS.items() if key in schema)
    if schema.get("nullable"):
        yield "may be `None`"


def _responses(api: Api, name: str) -> list[str]:
    def headers(node: Mapping[str, Any]) -> Iterator[str]:
        for header, each in node.get("headers", {}).items():
            yield f"`{header}`: {one_line(api.document.resolve(each).get('description'))}"

    return table(
        ("Status", "Content type", "Meaning", "Read as", "Headers"),
        (
            (
                f"`{status}`",
                ", ".join(map(_code, node.get("content", {}))),
                one_line(node.get("description")),
                model_link(referred(_first_media(node))),
                "; ".join(headers(node)),
            )
            for status, node in api.responses(name).items()
        ),
    )
