"""A package generated from a spec with one of everything: its code, its words, its models."""

from __future__ import annotations

import datetime
import importlib
import json
import subprocess
import sys
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.specs.docs import FUNCTIONS, one_line, operations, said_of_operation, said_of_schema
from tests.specs.kitchen_sink import EVERYTHING, SPEC, TEXT
from tests.specs.project import Package, package_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Package]:
    """Give the package, generated once."""
    with pytest.MonkeyPatch.context() as patch:
        yield package_of(TEXT, tmp_path_factory.mktemp("kitchen"), patch)


@pytest.fixture(scope="module")
def models(package: Package) -> Any:
    """Give the package's models."""
    return package.module("models")


def test_every_module_can_be_imported(package: Package) -> None:
    """No hostile name or description breaks a module, or makes Python warn about it."""
    modules = [path.relative_to(package.folder) for path in package.folder.rglob("*.py")]
    assert len(modules) > 20
    for path in modules:
        name = ".".join(path.with_suffix("").parts).removesuffix("__init__").rstrip(".")
        importlib.import_module(f"{package.folder.name}.{name}".rstrip("."))


@pytest.mark.timeout(300)  # the type checkers read the whole package
@pytest.mark.parametrize(
    "command",
    [
        ["mypy", "--strict", "--config-file=", "--cache-dir=cache"],
        ["pyright", "--pythonpath", sys.executable],
        ["ruff", "check", "--isolated", "--no-cache", "--select=E,F,I,UP,B", "--ignore=E501",
         "--line-length=100", "--target-version=py311"],
    ],
    ids=["mypy", "pyright", "ruff"],
)  # fmt: skip
def test_tools_find_nothing(package: Package, tmp_path: Path, command: list[str]) -> None:
    """The strict type checkers and the linter pass on what is generated."""
    done = subprocess.run(
        [sys.executable, "-m", *command, package.folder],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_docstrings_say_what_the_spec_says(package: Package, models: Any) -> None:
    """Each description of the spec is in a docstring, word for word."""
    unsaid: list[str] = []
    for operation in operations(SPEC):
        module = package.module(operation.module)
        for function in FUNCTIONS:
            doc = one_line(getattr(module, function).__doc__)
            unsaid += [text for text in said_of_operation(SPEC, operation) if text not in doc]
    for name, schema in SPEC["components"]["schemas"].items():
        doc = one_line(getattr(models, name).__doc__)
        unsaid += [f"{name}: {text}" for text in said_of_schema(SPEC, schema) if text not in doc]
    assert unsaid == []


def test_values_are_read_as_what_they_are(models: Any) -> None:
    """Each kind of field becomes the Python type of its own."""
    read = models.Everything.from_dict(EVERYTHING)
    assert read.colour is models.Colour.RED
    assert read.level is models.Level(-1)
    assert read.day == datetime.date(2024, 2, 29)
    assert read.moment == datetime.datetime(2024, 2, 29, 18, 29, 58, tzinfo=datetime.UTC)
    assert read.key == uuid.UUID("6f1c9d2e-0b7a-4c55-9a3e-1d2f3a4b5c6d")
    assert read.days == [datetime.date(2024, 2, 29)]
    assert read.page == models.Page.from_dict(EVERYTHING["page"])
    assert read.page.items[0].note is None
    assert not read.page.items[1].note
    assert read.tree.children[0].name == "leaf"
    assert read.prices["EUR"] == 1.5
    assert read.from_ == "here"
    assert read["unknown"] == {"kept": 1}


def test_values_are_written_as_they_were_read(models: Any) -> None:
    """Reading and writing give back the same JSON, unknown fields included."""
    read = models.Everything.from_dict(EVERYTHING)
    assert read.to_dict() == EVERYTHING
    assert json.loads(json.dumps(read.to_dict())) == EVERYTHING


def test_least_of_a_model_is_what_is_required(models: Any) -> None:
    """What is not there stays unset and is not written; the constructor has the spec's default."""
    least = {"id": "a-1", "count": "7", "from": ""}
    assert models.Everything.from_dict(least).to_dict() == {**least, "count": 7}
    assert models.Everything(id="a-1", count=0, from_="").share == 0.75


def test_enumerations_have_the_values_of_the_spec(models: Any) -> None:
    """The members of an enumeration are the spec's values, letter for letter."""
    schemas = SPEC["components"]["schemas"]
    assert {each.value for each in models.Colour} == set(schemas["Colour"]["enum"])
    assert {each.value for each in models.Level} == set(schemas["Level"]["enum"])


def test_closed_model_keeps_nothing_unknown(models: Any) -> None:
    """With `additionalProperties: false` there is no place for other fields."""
    assert not hasattr(models.Item(id=1), "additional_properties")


def test_words_that_look_like_a_number_stay_words(models: Any) -> None:
    """Where a number or words are allowed, digits in quotes are words."""
    read = models.Everything.from_dict({**EVERYTHING, "mixed": "123"})
    assert read.mixed == "123"
    assert models.Everything.from_dict({**EVERYTHING, "mixed": 123}).mixed == 123


def test_secrets_are_hidden(models: Any) -> None:
    """`format: password` hides a field and the items of a list, and the rest is shown."""
    shown = repr(models.Everything.from_dict(EVERYTHING)) + repr(models.Order(count=3, pin="0000"))
    assert "planted-secret" not in shown
    assert "0000" not in shown
    assert "abc-12" in shown
    assert "count=3" in shown


def page(*items: object) -> dict[str, object]:
    """Give an envelope with a page of items."""
    return {"data": {"items": list(items)}}


def tree(*children: object) -> dict[str, object]:
    """Give a tree with the branches, one knot deep."""
    return {"name": "root", "children": [{"name": "twig", "children": list(children)}]}


WRONG = [
    ("Envelope", page({"id": 1}, {"id": "x"}), "data.items[1].id"),
    ("Envelope", page({"id": 1}, {}), "data.items[1].id"),
    ("Envelope", page({"id": 0}), "data.items[0].id"),
    ("Envelope", page([]), "data.items[0]"),
    ("Envelope", {"data": {"items": {}}}, "data.items"),
    ("Envelope", {"data": None}, "data"),
    ("Envelope", {}, "data"),
    ("Node", tree({"name": ""}), "children[0].children[0].name"),
    ("Node", tree({"name": "x", "parent": {"name": 1}}), "children[0].children[0].parent.name"),
    ("Prices", {"EUR": "dear"}, "EUR"),
    ("Prices", {"EUR": -1.0}, "EUR"),
    *(
        ("Everything", {**EVERYTHING, field: value}, path or field)
        for field, value, path in [
            ("id", "UPPER-1", None),
            ("id", "a-1\n", None),
            ("count", -1, None),
            ("count", 1.0, None),
            ("count", True, None),
            ("count", "-1", None),
            ("share", 0.25, None),
            ("share", "0.5", None),
            ("share", True, None),
            ("done", 0, None),
            ("done", "false", None),
            ("colour", "pink", None),
            ("colour", None, None),
            ("level", "1", None),
            ("level", True, None),
            ("level", 3, None),
            ("day", "2024-02-30", None),
            ("day", "29.02.2024", None),
            ("moment", "2024-02-29T23:59:58", None),
            ("moment", 1709164800, None),
            ("key", "no-uuid", None),
            ("words", "a", None),
            ("words", ["a", 1], "words[1]"),
            ("days", ["2024-02-29", "x"], "days[1]"),
            ("page", {"items": [{}]}, "page.items[0].id"),
            ("remark", 1, None),
            ("remark", "UPPER", None),
            ("mixed", [], None),
            ("item_or_words", {"id": "x"}, None),
            ("item_or_words", [1], None),
            ("prices", {"EUR": None}, "prices.EUR"),
            ("secrets", ["planted-secret", 5], "secrets[1]"),
            ("from", None, None),
            ('quo"te\\d', 1, None),
        ]
    ),
]


@pytest.mark.parametrize(("model", "content", "path"), WRONG)
def test_wrong_value_is_rejected_by_its_path(
    package: Package, models: Any, model: str, content: dict[str, object], path: str
) -> None:
    """What is not of the spec's type is rejected with the way to it, and without its value."""
    with pytest.raises(package.module("errors").InvalidResponseError) as caught:
        getattr(models, model).from_dict(content)
    assert caught.value.field == path
    assert repr(path) in str(caught.value)
    assert "planted-secret" not in str(caught.value)
