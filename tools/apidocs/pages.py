"""The reference pages as Markdown: an overview, a page per operation, a page per model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from ruamel.yaml import YAML

from tools.apidocs.calls import example_call
from tools.apidocs.facts import Model, Operation, Row, models, one_line, operations
from tools.generate.document import Document

CALLS = ("sync", "sync_detailed", "asyncio", "asyncio_detailed")


def read_document(spec: Path) -> Document:
    """Read a spec.

    Args:
        spec: The file.

    Raises:
        GenerationError: It is no spec that code can be generated from.
    """
    text = spec.read_bytes()
    return Document.read(text, YAML(typ="safe").load(text))


def pages(document: Document) -> Iterator[tuple[str, str]]:
    """Give each page: its path below the reference's folder, and its text.

    Args:
        document: The spec.
    """
    every_operation, every_model = list(operations(document)), list(models(document))
    yield "index.md", overview(document, every_operation, every_model)
    for operation in every_operation:
        yield f"operations/{operation.name}.md", operation_page(document, operation)
    for model in every_model:
        yield f"models/{model.name}.md", model_page(model, every_operation)


def overview(document: Document, operations: list[Operation], models: list[Model]) -> str:
    """Give the page that lists the operations and the models."""
    schemes = document.content["components"].get("securitySchemes", {})
    return "\n".join(
        [
            "# HTTP API\n",
            "Written from [openapi.yaml](../openapi.yaml) when the site is built.\n",
            f"All paths are relative to `{document.server_url}`.\n",
            "## Operations\n",
            *table(
                ("Method", "HTTP request", "Description"),
                (
                    (
                        f"[`{each.name}`](operations/{each.name}.md)",
                        f"`{each.method} {each.path}`",
                        each.summary,
                    )
                    for each in operations
                ),
            ),
            "\n## Models\n",
            *table(
                ("Model", "Description"),
                ((f"[`{each.name}`](models/{each.name}.md)", each.description) for each in models),
            ),
            "\n## Authorization\n",
            *(
                f"### `{name}` {{ #{name} }}\n\nType: {scheme['type']}, scheme {scheme['scheme']}. "
                f"{one_line(scheme.get('description'))}\n"
                for name, scheme in schemes.items()
            ),
        ]
    )


def operation_page(document: Document, operation: Operation) -> str:
    """Give the page of an operation, in the order of Pipedrive's own reference."""
    return "\n".join(
        [
            f"# {operation.name}\n",
            f"**{operation.summary}**\n",
            f"{operation.description}\n",
            "## HTTP request\n",
            f"`{operation.method} {operation.path}` at `{document.server_url}`\n",
            "## Parameters\n",
            *parameter_table(operation.rows),
            "",
            *_of_the_body(operation),
            "## Return type\n",
            f"{_return_type(operation)}\n",
            "## Authorization\n",
            f"{_authorization(operation)}\n",
            "## HTTP request headers\n",
            f"- **Content-Type**: {_code(operation.content_type) or 'not defined, no body'}",
            f"- **Accept**: {_code(operation.accept) or 'anything'}\n",
            "## Status codes\n",
            *_answers(operation),
            "\n## Call\n",
            f"```python\n{example_call(document, operation)}```\n",
            f"{_ways(operation)}\n",
            *_source(operation),
        ]
    )


def model_page(model: Model, operations: list[Operation]) -> str:
    """Give the page of a model."""
    sent = [each for each in operations if each.body_model == model.name]
    read = [each for each in operations if any(a.model == model.name for a in each.answers)]
    lines = [
        f"# {model.name}\n",
        f"{model.description}\n",
        "## Properties\n",
        *parameter_table(model.rows),
        "",
    ]
    if model.further_fields:
        lines.append("Fields that the spec does not name stand in `additional_properties`.\n")
    for word, users in (("Sent by", sent), ("Read by", read)):
        if users:
            links = (f"[`{each.name}`](../operations/{each.name}.md)" for each in users)
            lines.append(f"{word}: {', '.join(links)}\n")
    return "\n".join(lines)


def parameter_table(rows: Iterable[Row]) -> list[str]:
    """Give the lines of a table of parameters or properties."""
    return table(
        ("Name", "Type", "Description", "Required", "Notes"),
        (
            (
                f"`{row.name}`",
                f"`{row.type}`",
                row.description,
                "required" if row.required else "optional",
                "; ".join(row.notes),
            )
            for row in rows
        ),
    )


def table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Give the lines of a Markdown table."""
    lines = [heads, ("---",) * len(heads), *rows]
    return ["| " + " | ".join(map(_cell, line)) + " |" for line in lines]


def _cell(text: str) -> str:
    # In code a backslash would be shown, and a bar there ends no cell.
    pieces = re.split(r"(`[^`]*`)", text)
    return "".join(p if p.startswith("`") else p.replace("|", "\\|") for p in pieces)


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _model_link(name: str) -> str:
    return f"[`{name}`](../models/{name}.md)" if name else ""


def _of_the_body(operation: Operation) -> list[str]:
    if not operation.body_model:
        return []
    return [f"The fields of `body` are those of {_model_link(operation.body_model)}.\n"]


def _return_type(operation: Operation) -> str:
    found = [a.model for a in operation.answers if a.status.startswith("2") and a.model]
    if found:
        return _model_link(found[0])
    return "`None` (nothing is read from the body; it is in `content` of the detailed answer)"


def _authorization(operation: Operation) -> str:
    schemes = (f"[`{name}`](../index.md#{name})" for name in operation.security)
    return ", ".join(schemes) or "No authorization required"


def _source(operation: Operation) -> list[str]:
    if operation.source is None:
        return []
    title, address = operation.source
    return [f"Source: [{title}]({address})\n"]


def _answers(operation: Operation) -> list[str]:
    return table(
        ("Status", "Content type", "Meaning", "Read as", "Headers"),
        (
            (
                f"`{answer.status}`",
                ", ".join(map(_code, answer.content_types)),
                answer.description,
                _model_link(answer.model),
                "; ".join(f"`{name}`: {said}" for name, said in answer.headers.items()),
            )
            for answer in operation.answers
        ),
    )


def _ways(operation: Operation) -> str:
    names = ", ".join(f"`{name}`" for name in CALLS)
    return (
        f"The module `{operation.name}` has {names}, which take the same keyword arguments, and"
        " `url`, which gives the address without sending anything. What the functions raise is on"
        " the page of [errors](../../errors.md)."
    )
