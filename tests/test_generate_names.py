"""Names of a spec that the generated code uses for itself: rejected by name, or working."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.specs.project import SPECS, Package, package_of
from tools.generate.document import GenerationError

if TYPE_CHECKING:
    from pathlib import Path

MINIMAL = (SPECS / "minimal.yaml").read_text(encoding="utf-8")


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """Give a folder of a name that no other test uses, since packages are imported from it."""
    return tmp_path_factory.mktemp(request.node.originalname)


def build(text: str, name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Package | None:
    """Generate, or check that the rejection names the name."""
    try:
        return package_of(text, folder, monkeypatch)
    except GenerationError as error:
        if name not in str(error):
            raise
        return None


def exchange(package: Package, response: object, **arguments: object) -> tuple[httpx.Request, Any]:
    """Call the one operation, and give what was sent and what was read."""
    sent: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, json=response)

    with httpx.Client(transport=httpx.MockTransport(handle)) as http:
        client = package.module("client").Client().set_httpx_client(http)
        read = package.module("api.things.make_thing").sync(client=client, **arguments)
    return sent[0], read


# Keywords, and every name that the functions around a parameter use.
PARAMETERS = [
    *(
        "body",
        "class",
        "client",
        "header",
        "headers",
        "plain",
        "self",
        "params",
        "kwargs",
    ),
    *(
        "address",
        "argument",
        "document",
        "form",
        "segment",
        "word",
        "quote",
        "url",
        "model",
        "text",
    ),
]


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameter_of_any_name_is_sent(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A query parameter arrives under its name, whatever the function calls its own variables."""
    query = (
        f"{{name: {name}, in: query, required: true, description: X., schema: {{type: string}}}}"
    )
    text = MINIMAL.replace("parameters:\n", f"parameters:\n        - {query}\n", 1)
    package = build(text, name, folder, monkeypatch)
    if package is None:
        return
    signature = inspect.signature(package.module("api.things.make_thing").sync)
    (argument,) = set(signature.parameters) - {"client", "body", "trace"}
    thing = package.module("models").Thing(id="1")
    request, read = exchange(package, {"id": "2"}, body=thing, trace="t", **{argument: "value"})
    assert dict(request.url.params) == {name: "value"}
    assert request.headers["trace"] == "t"
    assert json.loads(request.content) == {"id": "1"}
    assert read.id == "2"


@pytest.mark.parametrize(
    "name",
    [
        "additional_properties",
        "class",
        "counted",
        "field",
        "from_dict",
        "hidden",
        "text",
        "to_dict",
    ],
)
def test_field_of_any_name_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A field survives reading and writing, whatever the generated class calls its own members."""
    secret = "        pin: {type: string, format: password, description: X.}\n"
    text = f"{MINIMAL}        {name}: {{type: string, description: X.}}\n{secret}"
    package = build(text, name, folder, monkeypatch)
    if package is None:
        return
    thing = package.module("models").Thing
    content = {"id": "1", name: "value", "pin": "0000", "unknown": 1}
    read = thing.from_dict(content)
    assert read.to_dict() == content
    assert read == thing.from_dict(content)
    assert read["unknown"] == 1
    assert "value" in repr(read)
    assert "0000" not in repr(read)


@pytest.mark.parametrize("name", ["Client", "Response", "Unset", "class"])
def test_schema_of_any_name_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A schema becomes a model, whatever the generated modules import under its name."""
    text = MINIMAL.replace("/Thing'", f"/{name}'").replace("    Thing:", f"    {name}:")
    package = build(text, name, folder, monkeypatch)
    if package is None:
        return
    models = package.module("models")
    (model,) = (getattr(models, each) for each in models.__all__)
    request, read = exchange(package, {"id": "2"}, body=model(id="1"))
    assert json.loads(request.content) == {"id": "1"}
    assert isinstance(read, model)
    assert read.to_dict() == {"id": "2"}
