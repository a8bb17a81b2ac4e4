"""What stands in the generated package, held against the spec that it comes from."""

from __future__ import annotations

import hashlib
import importlib
import re
from typing import TYPE_CHECKING, Any
from unicodedata import category

import httpx
import pytest
import yaml

from pipedrive_oauth_client import UNSET, Client, generated
from pipedrive_oauth_client.generated import models
from tests.specs.docs import (
    FUNCTIONS,
    Operation,
    one_line,
    operations,
    resolve,
    said_of_operation,
    said_of_schema,
)
from tests.specs.project import GENERATED, ROOT, SPECS, package_of, render_spec
from tools.generate.document import GenerationError
from tools.generate.prose import doc, item, sentence
from tools.generate.tree import read_tree

if TYPE_CHECKING:
    from pathlib import Path

SPEC: dict[str, Any] = yaml.safe_load((ROOT / "openapi.yaml").read_text(encoding="utf-8"))
SCHEMAS: dict[str, Any] = SPEC["components"]["schemas"]
OPERATIONS = list(operations(SPEC))
FILES = {str(path): content.decode() for path, content in read_tree(ROOT / GENERATED).items()}
MINIMAL = (SPECS / "minimal.yaml").read_text(encoding="utf-8")

for_each_operation = pytest.mark.parametrize(
    "operation", OPERATIONS, ids=[each.node["operationId"] for each in OPERATIONS]
)


def module_of(operation: Operation) -> Any:
    """Import the generated module of an operation."""
    return importlib.import_module(f"{generated.__name__}.{operation.module}")


def test_there_is_a_file_for_each_operation_and_schema() -> None:
    """Every operation and every schema of the spec has a module, and nothing else has one."""
    apis = {f"{each.module.replace('.', '/')}.py" for each in OPERATIONS}
    assert len(apis) >= 3
    assert {name for name in FILES if name.startswith("api/oauth/")} == apis | {
        "api/oauth/__init__.py"
    }
    assert set(models.__all__) == set(SCHEMAS)
    assert len([name for name in FILES if name.startswith("models/")]) == len(SCHEMAS) + 1


def test_generated_names_follow_the_file() -> None:
    """The module of `OAuthErrorResponse` is spelled `oauth_error_response`."""
    assert models.OAuthErrorResponse.__module__.endswith(".models.oauth_error_response")


@pytest.mark.parametrize("name", FILES)
def test_first_line_says_what_wrote_the_file(name: str) -> None:
    """Line 1 of every file says that it is generated, by which command and from what."""
    first = FILES[name].split("\n", 1)[0]
    for words in ("# @generated", "`make generate`", "openapi.yaml", "Do not edit"):
        assert words in first


@pytest.mark.parametrize("name", FILES)
def test_statuses_are_plain_numbers(name: str) -> None:
    """No file knows `HTTPStatus`, which has no 520."""
    assert re.search(r"\bHTTPStatus\b", FILES[name]) is None


def test_checksum_is_that_of_the_spec() -> None:
    """The package names the spec that it was generated from, with any line ends."""
    text = (ROOT / "openapi.yaml").read_bytes().replace(b"\r\n", b"\n")
    assert hashlib.sha256(text).hexdigest() == generated.SPEC_SHA256


@for_each_operation
def test_functions_say_what_the_spec_says(operation: Operation) -> None:
    """Each function's docstring holds the spec's words on the operation and its arguments."""
    for function in FUNCTIONS:
        said = one_line(getattr(module_of(operation), function).__doc__)
        for words in said_of_operation(SPEC, operation):
            assert words in said


@pytest.mark.parametrize("name", SCHEMAS)
def test_models_say_what_the_spec_says(name: str) -> None:
    """Each model's docstring holds the words of the spec on the schema and its fields."""
    said = one_line(getattr(models, name).__doc__)
    for words in said_of_schema(SPEC, SCHEMAS[name]):
        assert words in said


@pytest.mark.parametrize("name", SCHEMAS)
def test_models_hide_what_the_spec_marks_and_nothing_else(name: str) -> None:
    """A field with `format: password` is hidden in `repr`, and every other one is shown."""
    planted = {
        field: {"string": f"planted-{field}", "integer": 1234567, "boolean": True}[node["type"]]
        for field, node in SCHEMAS[name]["properties"].items()
    }
    shown = repr(getattr(models, name).from_dict(planted))
    for field, node in SCHEMAS[name]["properties"].items():
        secret = node.get("format") == "password"
        assert (f"{field}=<hidden>" in shown) is secret
        assert (f"{field}={planted[field]!r}" in shown) is not secret


@pytest.mark.parametrize("name", SCHEMAS)
def test_models_require_what_the_spec_requires(name: str) -> None:
    """A constructor asks for the required fields and has the spec's defaults for the others."""
    model = getattr(models, name)
    required = SCHEMAS[name].get("required", [])
    if required:
        with pytest.raises(TypeError):
            model()
    made = model(**dict.fromkeys(required, "x"))
    for field, node in SCHEMAS[name]["properties"].items():
        wanted = "x" if field in required else node.get("default", UNSET)
        assert getattr(made, field) == wanted


@for_each_operation
def test_accept_names_the_types_of_the_successful_responses(operation: Operation) -> None:
    """The `Accept` header is what the spec's 2xx responses come as."""
    wanted = [
        kind
        for status, node in operation.node["responses"].items()
        if status.startswith("2")
        for kind in resolve(SPEC, node).get("content", ())
    ] or ["*/*"]
    sent: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(400, json={})

    arguments: dict[str, object] = {
        parameter["name"].lower().replace("-", "_"): parameter["example"]
        for given in operation.node.get("parameters", [])
        if (parameter := resolve(SPEC, given))["required"]
    }
    if "requestBody" in operation.node:
        ((_media, content),) = operation.node["requestBody"]["content"].items()
        model = getattr(models, content["schema"]["$ref"].rpartition("/")[2])
        arguments["body"] = model.from_dict(content["example"])
    with httpx.Client(transport=httpx.MockTransport(handle)) as http:
        client = Client().set_httpx_client(http)
        module_of(operation).sync(client=client, **arguments)
    assert sent[0].headers["Accept"] == ", ".join(wanted)
    assert sent[0].method == operation.method.upper()
    assert str(sent[0].url.copy_with(query=None)) == SPEC["servers"][0]["url"] + operation.path


def test_server_is_that_of_the_spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client without arguments goes to the server that the spec names, whichever it is."""
    assert Client().base_url == SPEC["servers"][0]["url"]
    package = package_of(MINIMAL, tmp_path, monkeypatch)
    assert package.module("client").Client().base_url == "https://minimal.example"
    other = render_other(tmp_path, "https://minimal.example", "https://other.example:8443/base/")
    assert 'DEFAULT_BASE_URL: Final = "https://other.example:8443/base"' in other["__init__.py"]


def render_other(folder: Path, old: str, new: str) -> dict[str, str]:
    """Generate from the smallest spec with one thing changed."""
    assert old in MINIMAL
    spec = folder / "other.yaml"
    spec.write_text(MINIMAL.replace(old, new), encoding="utf-8")
    return {str(path): content.decode() for path, content in render_spec(spec).items()}


def test_marking_a_field_hides_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`format: password` in the spec is all that it takes to hide a field."""
    plain, marked = tmp_path / "plain", tmp_path / "marked"
    for folder in (plain, marked):
        folder.mkdir()
    shown = package_of(MINIMAL, plain, monkeypatch).module("models").Thing(id="planted")
    secret = MINIMAL.replace("id: {type: string,", "id: {type: string, format: password,")
    hidden = package_of(secret, marked, monkeypatch).module("models").Thing(id="planted")
    assert "planted" in repr(shown)
    assert "planted" not in repr(hidden)
    assert hidden.to_dict() == {"id": "planted"}


HOSTILE = {
    "quotes": 'The "last" word is in "quotes"',
    "three quotes": 'It """ends""" and ends """',
    "backslash": "It ends in \\",
    "escapes": r"C:\new\users, \N{BULLET}, \x4, \777, \u12",
    "template": "{{ 7 * 7 }} {% endraw %} {# note #} {f} %s",
    "long word": "a" * 300 + "\\" * 5 + "b" * 300 + '"',
    "unicode": "Ünïcödé 日本語 🍋 \u2028 \u202e \u00a0.",
    "control characters": "a\tb\x07c",
    "list": "First:\n\n- one;\n- two,\n  on two lines.\n\nLast.",
    "blank": "   ",
}


@pytest.mark.parametrize("words", HOSTILE.values(), ids=HOSTILE.keys())
def test_any_words_can_stand_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    """Words of the spec end no docstring and start no escape, wherever the spec has them."""
    document = yaml.safe_load(MINIMAL)
    (operation,) = operations(document)
    thing = document["components"]["schemas"]["Thing"]
    colour = {"type": "string", "enum": ["red"], "description": words}
    document["info"].update(title=words, version=words, description=words)
    operation.node.update(summary=words, description=words)
    operation.node["externalDocs"] = {"description": words, "url": "https://minimal.example"}
    operation.node["parameters"][0]["description"] = words
    operation.node["requestBody"]["description"] = words
    thing.update(description=words)
    thing["properties"].update(id={"type": "string", "description": words}, colour=colour)
    package = package_of(yaml.safe_dump(document), tmp_path, monkeypatch)
    importlib.import_module(package.folder.name)
    functions, model = package.module("api.things.make_thing"), package.module("models").Thing
    said = functions.sync.__doc__ + model.__doc__
    if "a" * 300 not in words:
        kept = "".join(each for each in words if category(each) != "Cc" or each.isspace())
        assert one_line(said).count(one_line(kept)) >= 6


def test_prose_ends_a_sentence_once() -> None:
    """A summary gets a full stop, unless it has an end of its own."""
    assert [sentence(text) for text in ("A b", "A b.", "Why?", "Go!", " A\n")] == [
        "A b.",
        "A b.",
        "Why?",
        "Go!",
        "A.",
    ]


def test_prose_wraps_paragraphs_and_items() -> None:
    """Paragraphs and items of a list stay apart, and long lines are wrapped."""
    assert doc("One two\nthree.\n\n- four five six\n- seven", width=12) == (
        "One two\nthree.\n\n- four five\n  six\n- seven"
    )
    assert item("name", "word " * 20).splitlines()[1].startswith("    word")


def test_error_of_the_generator_is_no_error_of_the_package() -> None:
    """What stops `make generate` is nothing that a user of the package can meet."""
    assert GenerationError.__mro__[1] is Exception


def test_status_without_quotes_is_the_same(tmp_path: Path) -> None:
    """`200:` is read as `'200':`, as most specs have it that are written by hand."""
    quoted, plain = "'200':", "200:"
    assert quoted in MINIMAL
    package = render_other(tmp_path, quoted, plain)
    spec = tmp_path / "quoted.yaml"
    spec.write_text(MINIMAL, encoding="utf-8")
    for path, content in render_spec(spec).items():
        texts = [
            re.sub("[0-9a-f]{64}", "checksum", each)
            for each in (content.decode(), package[str(path)])
        ]
        assert texts[0] == texts[1]
