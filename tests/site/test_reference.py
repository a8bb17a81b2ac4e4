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
from tools.site.example_call import example_call, example_of
from tools.site.reference import Api, pages, read_spec, referred, table

SPEC = Path(__file__).parents[2] / "openapi.yaml"
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
API = Api.read(read_spec(SPEC))
PAGES = dict(pages(API))


def changed(*path: str, value: Any) -> Api:
    """Return the spec with one value replaced."""
    node: Any = (content := read_spec(SPEC))
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return Api.read(content)


def cells(page: str, heading: str) -> list[list[str]]:
    """Return the rows of the table under a heading, without the head."""
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
        for node in API.document.content["paths"].values()
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


@pytest.mark.parametrize("name", API.endpoints)
def test_rows_are_what_the_function_takes(name: str) -> None:
    """The rows of an operation are the arguments of its functions, and the fields of the body."""
    module = getattr(pipedrive_oauth_client, name)
    taken = inspect.signature(module.sync_detailed).parameters.keys() - {"client", "body"}
    _content_type, body_model = API.body(name)
    if body_model:
        body = getattr(generated_models, body_model)
        taken |= {field.name for field in attrs.fields(body)} - {"additional_properties"}
    rows = cells(PAGES[f"operations/{name}.md"], "Parameters")
    assert {row[0].strip("`") for row in rows} == taken


@pytest.mark.parametrize("name", API.models)
def test_rows_are_the_fields_of_the_model(name: str) -> None:
    """A model's rows are its class's fields, with their types, and say which may be left out."""
    fields = {field.name: field for field in attrs.fields(getattr(generated_models, name))}
    further = fields.pop("additional_properties", None)
    page = PAGES[f"models/{name}.md"]
    rows = {row[0].strip("`"): row for row in cells(page, "Properties")}
    assert {name: row[1].strip("`") for name, row in rows.items()} == {
        field.name: field.type for field in fields.values()
    }
    for row_name, row in rows.items():
        assert (row[3] == "required") is (fields[row_name].default is attrs.NOTHING)
    assert ("`additional_properties`" in page) is (further is not None)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[httpx.Request]:
    """Respond to each request with the spec's own example, and note it."""
    noted: list[httpx.Request] = []

    def respond(_self: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        request.read()
        noted.append(request)
        status, response = next(iter(API.responses(_operation_of(request)).items()))
        (media,) = response.get("content", {"": {}}).values()
        if not referred(media):
            return httpx.Response(int(status))
        return httpx.Response(int(status), json=example_of(media))

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", respond)
    return noted


def _operation_of(request: httpx.Request) -> str:
    wanted = (request.method, request.url.path)
    return next(name for name in API.endpoints if API.request(name) == wanted)


@pytest.mark.parametrize("name", API.endpoints)
def test_the_call_of_a_page_works(
    name: str, sent: list[httpx.Request], capsys: pytest.CaptureFixture[str]
) -> None:
    """The program of a page sends the spec's example, parses the response, shows no secret."""
    (program,) = re.findall(
        r"^```python\n(.*?)^```$", PAGES[f"operations/{name}.md"], re.DOTALL | re.MULTILINE
    )
    names: dict[str, Any] = {}
    exec(compile(program, name, "exec"), names)  # noqa: S102 - the project's own code
    (request,) = sent
    node = API.operation(name)
    assert str(request.url).startswith(f"{API.document.server_url}{API.request(name)[1]}")
    for reference in node.get("parameters", []):
        parameter = API.document.resolve(reference)
        where = request.headers if parameter["in"] == "header" else request.url.params
        assert where[parameter["name"]] == parameter["example"]
    content_type, body_model = API.body(name)
    if body_model:
        body = API.document.resolve(node["requestBody"])["content"][content_type]
        assert dict(parse_qsl(request.content.decode())) == example_of(body)
        assert request.headers["Content-Type"] == content_type
    content = next(iter(API.responses(name).values())).get("content", {})
    assert request.headers["Accept"] == ", ".join(content) or not content
    model = "".join(map(referred, content.values()))
    assert type(names["response"].parsed).__name__ == (model or "NoneType")
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
    """What changes in the spec changes on its page."""
    text = dict(pages(changed(*path, value=value)))[page]
    if heading:
        (text,) = (p for p in re.split(r"^## ", text, flags=re.MULTILINE) if p.startswith(heading))
        assert wanted not in PAGES[page]
    assert wanted in text


@pytest.mark.parametrize("name", API.endpoints)
def test_every_kind_of_body_is_told(name: str) -> None:
    """The row of a status names all media types that the spec has for it."""
    responses = API.operation(name)["responses"]
    rows = cells(PAGES[f"operations/{name}.md"], "Status codes")
    assert [row[:2] for row in rows] == [
        [
            f"`{status}`",
            ", ".join(f"`{kind}`" for kind in API.document.resolve(each).get("content", {})),
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
    name = "revoke_tokens"
    program = example_call(changed(*path, value=odd), name)
    assert f"authorization={odd!r}" in program
    compile(program, name, "exec")
