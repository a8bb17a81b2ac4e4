"""The reference pages say what openapi.yaml and the generated code say, and their calls work."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import attrs
import httpx
import pytest

import pipedrive_oauth_client
from pipedrive_oauth_client.generated import models as generated_models
from tests.specs.published import PUBLISHED, PublishedOperation
from tools.apidocs.calls import example_call, example_of
from tools.apidocs.facts import METHODS, Operation, models, operations
from tools.apidocs.pages import pages, read_document, table
from tools.generate.document import Document

ROOT = Path(__file__).parents[1]
DOCUMENT = read_document(ROOT / "openapi.yaml")
OPERATIONS = {each.name: each for each in operations(DOCUMENT)}
MODELS = {each.name: each for each in models(DOCUMENT)}
PAGES = dict(pages(DOCUMENT))


def changed(*path: str, value: Any) -> Document:
    """Give the spec with one value that is another."""
    copied = read_document(ROOT / "openapi.yaml")
    node: Any = copied.content
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return copied


def cells(page: str, heading: str) -> list[list[str]]:
    """Give the rows of the table under a heading, without the head."""
    section = re.split(r"^## ", page, flags=re.MULTILINE)
    (text,) = (part for part in section if part.startswith(f"{heading}\n"))
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    # A bar in code ends no cell.
    cell = re.compile(r"((?:`[^`]*`|[^`|])*)\|")
    return [[text.strip() for text in cell.findall(line[1:])] for line in lines[2:]]


def test_every_operation_and_model_has_a_page() -> None:
    """What the spec has, and what the generated code has, has a page; nothing else does."""
    ids = [
        node[method]["operationId"]
        for node in DOCUMENT.content["paths"].values()
        for method in METHODS
        if method in node
    ]
    assert PAGES.keys() == {
        "index.md",
        *(f"operations/{name}.md" for name in ids),
        *(f"models/{name}.md" for name in generated_models.__all__),
    }


@pytest.mark.parametrize("published", PUBLISHED, ids=[each.name for each in PUBLISHED])
def test_page_has_the_published_rows_in_their_order(published: PublishedOperation) -> None:
    """The table of a page has the published parameters, each with type, need and default."""
    rows = cells(PAGES[f"operations/{published.name}.md"], "Parameters")
    assert len(rows) == len(published.rows)
    for row, wanted in zip(rows, published.rows, strict=True):
        name, kind, description, required, notes = row
        assert name == f"`{wanted.name}`"
        assert kind == ("`str`" if wanted.required else "`str | Unset`")
        assert len(description) > 20
        assert required == ("required" if wanted.required else "optional")
        assert (f"default to `{wanted.default}`" in notes) is (wanted.default is not None)


@pytest.mark.parametrize("name", OPERATIONS)
def test_rows_are_what_the_function_takes(name: str) -> None:
    """The rows of an operation are the arguments of its functions, and the fields of the body."""
    operation = OPERATIONS[name]
    module = getattr(pipedrive_oauth_client, name)
    taken = inspect.signature(module.sync_detailed).parameters.keys() - {"client", "body"}
    if operation.body_model:
        body = getattr(generated_models, operation.body_model)
        taken |= {field.name for field in attrs.fields(body)} - {"additional_properties"}
    assert {row.name for row in operation.rows} == taken


@pytest.mark.parametrize("name", MODELS)
def test_rows_are_the_fields_of_the_model(name: str) -> None:
    """A model's rows are its class's fields, with their types, and say which may be left out."""
    fields = {field.name: field for field in attrs.fields(getattr(generated_models, name))}
    further = fields.pop("additional_properties", None)
    assert {row.name: row.type for row in MODELS[name].rows} == {
        field.name: field.type for field in fields.values()
    }
    for row in MODELS[name].rows:
        assert row.required is (fields[row.name].default is attrs.NOTHING)
    assert MODELS[name].further_fields is (further is not None)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[httpx.Request]:
    """Answer each request with what the spec gives as an example, and note it."""
    noted: list[httpx.Request] = []

    def answer(_self: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        request.read()
        noted.append(request)
        operation = _operation_of(request)
        first = operation.answers[0]
        reference = DOCUMENT.resolve(operation.node["responses"][first.status])
        if not first.model:
            return httpx.Response(int(first.status))
        media = reference["content"][first.content_types[0]]
        return httpx.Response(int(first.status), json=example_of(media))

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", answer)
    return noted


def _operation_of(request: httpx.Request) -> Operation:
    found = (
        o for o in OPERATIONS.values() if (o.method, o.path) == (request.method, request.url.path)
    )
    return next(found)


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_call_of_a_page_works(
    name: str, sent: list[httpx.Request], capsys: pytest.CaptureFixture[str]
) -> None:
    """The program on a page sends the spec's example, reads the example answer, shows no secret."""
    (program,) = re.findall(
        r"^```python\n(.*?)^```$", PAGES[f"operations/{name}.md"], re.DOTALL | re.MULTILINE
    )
    names: dict[str, Any] = {}
    exec(compile(program, name, "exec"), names)  # noqa: S102 - the project's own code
    (request,) = sent
    operation = OPERATIONS[name]
    assert str(request.url).startswith(f"{DOCUMENT.server_url}{operation.path}")
    for reference in operation.node.get("parameters", []):
        node = DOCUMENT.resolve(reference)
        where = request.headers if node["in"] == "header" else request.url.params
        assert where[node["name"]] == node["example"]
    if operation.body_model:
        body = DOCUMENT.resolve(operation.node["requestBody"])["content"][operation.content_type]
        assert dict(parse_qsl(request.content.decode())) == example_of(body)
        assert request.headers["Content-Type"] == operation.content_type
    assert request.headers["Accept"] == operation.accept or not operation.accept
    model = operation.answers[0].model
    assert type(names["answer"].parsed).__name__ == (model or "NoneType")
    printed = capsys.readouterr().out
    assert printed.startswith("200 ")
    assert "not-a-real" not in printed


@pytest.mark.parametrize(
    ("path", "value", "page", "heading", "wanted"),
    [
        (("info", "title"), "Other", "index.md", "", "# HTTP API"),
        (
            ("paths", "/oauth/authorize", "get", "summary"),
            "Asking a person",
            "index.md",
            "Operations",
            "Asking a person",
        ),
        (
            ("components", "schemas", "GetTokensRequest", "properties", "code", "description"),
            "A | B",
            "models/GetTokensRequest.md",
            "Properties",
            "A \\| B",
        ),
        (
            ("components", "schemas", "GetTokensRequest", "required"),
            ["code"],
            "operations/get_tokens.md",
            "Parameters",
            "| required | form field of `body`; secret",
        ),
        (
            ("components", "responses", "Tokens", "description"),
            "Both tokens.",
            "operations/refresh_tokens.md",
            "Status codes",
            "Both tokens.",
        ),
        (
            ("paths", "/oauth/revoke", "post", "security"),
            [],
            "operations/revoke_tokens.md",
            "Authorization",
            "No authorization required",
        ),
    ],
)
def test_page_follows_the_spec(
    path: tuple[str, ...], value: Any, page: str, heading: str, wanted: str
) -> None:
    """What changes in the spec changes on the page that tells it."""
    document = changed(*path, value=value)
    text = dict(pages(document))[page]
    if heading:
        (text,) = (p for p in re.split(r"^## ", text, flags=re.MULTILINE) if p.startswith(heading))
        assert wanted not in PAGES[page]
    assert wanted in text


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_kind_of_body_is_told(name: str) -> None:
    """The row of a status names all media types that the spec has for it."""
    responses = OPERATIONS[name].node["responses"]
    rows = cells(PAGES[f"operations/{name}.md"], "Status codes")
    assert [row[:2] for row in rows] == [
        [
            f"`{status}`",
            ", ".join(f"`{kind}`" for kind in DOCUMENT.resolve(each).get("content", {})),
        ]
        for status, each in responses.items()
    ]


def test_bars_in_code_stay_and_others_are_escaped() -> None:
    """A bar in a cell does not end it, and no backslash is shown in code."""
    assert table(("a",), [("`x | y` | z",)])[2] == "| `x | y` \\| z |"


def test_a_quoted_example_stays_python() -> None:
    """An example with both kinds of quotes is still a program."""
    odd = """it's "odd" \\ here"""
    path = ("components", "parameters", "Authorization", "example")
    document = changed(*path, value=odd)
    name = "revoke_tokens"
    (operation,) = (each for each in operations(document) if each.name == name)
    program = example_call(document, operation)
    assert f"authorization={odd!r}" in program
    compile(program, name, "exec")
