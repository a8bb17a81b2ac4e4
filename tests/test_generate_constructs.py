"""Every construct of OpenAPI is one that the templates write, or is rejected with a hint."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from openapi_python_client.config import Config, ConfigFile, MetaType

from tests.specs.project import SPECS
from tools.generate.constructs import REJECTED_OBJECTS, TABLES, UNREAD_OBJECTS
from tools.generate.document import ConstructError, GenerationError, load_yaml, located
from tools.generate.render import load_spec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MINIMAL = (SPECS / "minimal.yaml").read_text(encoding="utf-8")
THING = "#/components/schemas/Thing"
MODERN = MINIMAL.replace("openapi: 3.0.3", "openapi: 3.1.0")


def problem_of(text: str, path: Path, config: ConfigFile | None = None) -> str:
    """Give what is wrong with a spec; nothing if it is one that can be generated."""
    settings = Config.from_sources(
        config or ConfigFile(), MetaType.NONE, path, "utf-8", overwrite=False, output_path=None
    )
    try:
        parsed = load_yaml(path, text.encode())
    except GenerationError as error:
        return str(error)
    try:
        load_spec(text.encode(), parsed, settings)
    except ConstructError as error:
        return str(located(path, parsed, error))
    return ""


def field(text: str, base: str = MINIMAL) -> str:
    """Give a spec whose schema has one more field."""
    return f"{base}        extra: {text}\n"


def fields(*lines: str) -> str:
    """Give a spec whose schema has more fields."""
    return MINIMAL + "".join(f"        {line}\n" for line in lines)


def schemas(*lines: str) -> str:
    """Give a spec with more schemas."""
    return MINIMAL + "".join(f"    {line}\n" for line in lines)


def parameter(*texts: str, path: str = "/things") -> str:
    """Give a spec whose operation has more parameters."""
    lines = "".join(f"        - {text}\n" for text in texts)
    text = MINIMAL.replace("      parameters:\n", f"      parameters:\n{lines}", 1)
    return text.replace("  /things:\n", f"  {path}:\n")


def body(schema: str, media: str = "application/json") -> str:
    """Give a spec whose operation sends a body of a schema."""
    return MINIMAL.replace(
        "          application/json:\n            schema: {$ref: '#/components/schemas/Thing'}\n",
        f"          {media}:\n            schema: {schema}\n",
        1,
    )


def swap(old: str, new: str) -> str:
    """Give the spec with one thing in place of another."""
    assert old in MINIMAL
    return MINIMAL.replace(old, new, 1)


OPERATION = "      tags: [things]\n"
INLINE = "{application/json: {schema: {type: object}}}"
RESPONSE = "        '200':\n          description: The thing.\n"

# What is rejected: a spec, and what the one line about it has to name.
REJECTED: dict[str, tuple[str, tuple[str, ...]]] = {
    "a path item by reference": (
        swap("  /things:\n", "  /other: {$ref: '#/paths/~1things'}\n  /things:\n"),
        ("/paths/~1other/$ref", "operations"),
    ),
    "a server of an operation": (
        swap(OPERATION, f"{OPERATION}      servers: [{{url: 'https://a.example'}}]\n"),
        ("/post/servers", "out of scope", "CONTRIBUTING"),
    ),
    "a server of a path": (
        swap("  /things:\n", "  /things:\n    servers: [{url: 'https://a.example'}]\n"),
        ("/servers", "out of scope"),
    ),
    "webhooks": (f"{MODERN}webhooks: {{}}\n", ("/webhooks", "in words")),
    "callbacks": (swap(OPERATION, f"{OPERATION}      callbacks: {{}}\n"), ("callbacks",)),
    "links": (swap(RESPONSE, f"{RESPONSE}          links: {{}}\n"), ("links",)),
    "head": (
        swap("  /things:\n", "  /things:\n    head: {responses: {'204': {description: X.}}}\n"),
        ("/head",),
    ),
    "no tag": (swap(OPERATION, ""), ("must have a tag",)),
    "a status in lower case": (swap("'200':", "'2xx':"), ("/responses/2xx", "4XX")),
    "an unknown keyword": (field("{type: string, maxlength: 5}"), ("maxlength", "no keyword")),
    # Bodies.
    "a body that is a union": (
        body(f"{{oneOf: [{{$ref: '{THING}'}}, {{type: array, items: {{$ref: '{THING}'}}}}]}}"),
        ("/schema", "unions"),
    ),
    "a body of any type": (body("{}"), ("object or an array",)),
    "a body that is a string": (body("{type: string}"), ("object or an array",)),
    "a form that is an array": (
        body("{type: array, items: {type: string}}", "application/x-www-form-urlencoded"),
        ("a form must be an object",),
    ),
    "a form with an array": (
        body(
            "{type: object, properties: {a: {type: array, items: {type: string}}}}",
            "application/x-www-form-urlencoded",
        ),
        ("/properties/a", "a field of a form"),
    ),
    "a form with null": (
        body(
            "{type: object, properties: {a: {type: string, nullable: true}}}",
            "application/x-www-form-urlencoded",
        ),
        ("not nullable",),
    ),
    "a form with an encoding": (
        swap("            schema: {$ref", "            encoding: {}\n            schema: {$ref"),
        ("encoding",),
    ),
    "a media type in capitals": (body(f"{{$ref: '{THING}'}}", "Application/JSON"), ("lower case",)),
    "a media range": (body(f"{{$ref: '{THING}'}}", "'application/*'"), ("media type",)),
    "JSON after a page": (
        swap(
            "            application/json:\n              schema",
            "            text/html: {}\n            application/json:\n              schema",
        ),
        ("first media type",),
    ),
    "an inline schema of a shared response": (
        f"{MINIMAL}  responses: {{R: {{description: X., content: {INLINE}}}}}\n",
        ("components/schemas",),
    ),
    # Parameters.
    "deepObject": (
        parameter("{name: f, in: query, style: deepObject, schema: {type: object}}"),
        ("style",),
    ),
    "comma-separated values": (
        parameter(
            "{name: f, in: query, explode: false, schema: {type: array, items: {type: string}}}"
        ),
        ("explode",),
    ),
    "label style": (
        parameter(
            "{name: f, in: path, required: true, style: label, schema: {type: string}}",
            path="/things/{f}",
        ),
        ("style",),
    ),
    "an array in a header": (
        parameter("{name: f, in: header, schema: {type: array, items: {type: string}}}"),
        ("array in a header",),
    ),
    "reserved characters": (
        parameter("{name: f, in: query, allowReserved: true, schema: {type: string}}"),
        ("allowReserved", "percent-encoded"),
    ),
    "a nullable parameter": (
        parameter("{name: f, in: query, schema: {type: string, nullable: true}}"),
        ("not nullable",),
    ),
    "a parameter that is a union": (
        parameter("{name: f, in: query, schema: {oneOf: [{type: string}, {type: integer}]}}"),
        ("a parameter must be",),
    ),
    "an array of objects in the query": (
        parameter(f"{{name: f, in: query, schema: {{type: array, items: {{$ref: '{THING}'}}}}}}"),
        ("an item of a parameter",),
    ),
    "a header of the templates": (
        parameter("{name: Content-Type, in: header, schema: {type: string}}"),
        ("Content-Type", "leave it out"),
    ),
    "an optional path parameter": (
        parameter("{name: f, in: path, schema: {type: string}}", path="/things/{f}"),
        ("`required: true`",),
    ),
    "braces that are no parameter": (parameter(path="/things/{"), ("braces",)),
    "braces around nothing known": (parameter(path="/things/{x}"), ("['x']",)),
    "a path parameter that is not in the path": (
        parameter("{name: f, in: path, required: true, schema: {type: string}}"),
        ("['f']",),
    ),
    "a query in a path": (parameter(path="/things?a=1"), ("no query",)),
    # Schemas.
    "a discriminator": (
        field(f"{{oneOf: [{{$ref: '{THING}'}}, {{type: string}}], discriminator: {{}}}}"),
        ("discriminator",),
    ),
    "a union of two objects": (
        field(f"{{oneOf: [{{$ref: '{THING}'}}, {{$ref: '#/components/schemas/B'}}]}}")
        + "    B: {type: object}\n",
        ("two members", "type object"),
    ),
    "a union of two strings": (
        field("{oneOf: [{type: string}, {type: string, format: date}]}"),
        ("two members", "type string"),
    ),
    "a union with limits": (
        field("{oneOf: [{type: string, minLength: 2}, {type: integer}]}"),
        ("minLength", "union"),
    ),
    "a union of one": (field(f"{{anyOf: [{{$ref: '{THING}'}}]}}"), ("at least two",)),
    "allOf of two": (
        field(f"{{allOf: [{{$ref: '{THING}'}}, {{type: object}}]}}"),
        ("allOf", "one schema"),
    ),
    "allOf beside properties": (
        field(f"{{type: object, allOf: [{{$ref: '{THING}'}}]}}"),
        ("one of `type`",),
    ),
    "a keyword beside a reference": (
        field(f"{{$ref: '{THING}', nullable: true}}"),
        ("/nullable", "allOf"),
    ),
    "a schema by another name": (schemas(f"B: {{$ref: '{THING}'}}"), ("another name",)),
    "a reference into a schema": (field(f"{{$ref: '{THING}/properties/id'}}"), ("components",)),
    "a reference to a file": (field("{$ref: 'other.yaml#/A'}"), ("of this document",)),
    "an array of itself": (
        schemas("B: {type: array, items: {$ref: '#/components/schemas/B'}}"),
        ("hold itself",),
    ),
    "writeOnly and required": (
        MINIMAL.replace("      properties:\n", "      required: [id]\n      properties:\n").replace(
            "id: {type: string,", "id: {type: string, writeOnly: true,"
        ),
        ("/writeOnly", "one schema for requests"),
    ),
    "required and not there": (
        swap("      properties:\n", "      required: [no]\n      properties:\n"),
        ("'no'",),
    ),
    "not": (field("{not: {type: string}}"), ("not",)),
    "prefixItems": (field("{type: array, prefixItems: []}", MODERN), ("prefixItems",)),
    "if": (field("{if: {}}", MODERN), ("if",)),
    "two types": (field("{type: [string, integer]}", MODERN), ("write oneOf",)),
    "a list of types in 3.0": (field("{type: [string]}"), ("nullable",)),
    "nullable in 3.1": (field("{type: string, nullable: true}", MODERN), ("'null'",)),
    "null in 3.0": (field("{type: 'null'}"), ("no type",)),
    "a default that is a list": (
        field("{type: array, items: {type: string}, default: []}"),
        ("/default",),
    ),
    "a default of another type": (field("{type: integer, default: '1'}"), ("/default", "integer")),
    "a default that is a date": (
        field("{type: string, format: date, default: '2024-01-01'}"),
        ("/default",),
    ),
    "a default outside of the enum": (field("{type: string, enum: [a], default: b}"), ("enum",)),
    "a limit of another type": (field("{type: integer, minLength: 1}"), ("minLength", "integer")),
    "a limit on a date": (field("{type: string, format: date, minLength: 1}"), ("minLength",)),
    "an open alternative": (field("{type: string, pattern: '^a|b$'}"), ("anchored", "^(a|b)$")),
    "a dollar that is none": (field(r"{type: string, pattern: '^a\$'}"), ("anchored",)),
    "an unknown format": (field("{type: string, format: colour}"), ("colour",)),
    "a title": (field("{type: object, title: T}"), ("title",)),
    "names of members": (
        field("{type: string, enum: [a], x-enum-varnames: [B]}"),
        ("x-enum-varnames",),
    ),
    # Names.
    "values of an enum in two spellings": (
        field("{type: string, enum: [asc, ASC]}"),
        ("'asc'", "'ASC'", "member ASC"),
    ),
    "a value twice": (field("{type: string, enum: [a, a]}"), ("twice",)),
    "a value of another type": (field("{type: string, enum: [1]}"), ("quote",)),
    "two schemas of one module": (
        schemas("DealID: {type: object}", "DealId: {type: object}"),
        ("DealID", "DealId", "module deal_id"),
    ),
    "an inline schema of the name of another": (
        f"{field('{type: object}')}    ThingExtra: {{type: object}}\n",
        ("ThingExtra", "properties/extra"),
    ),
    "two fields of one attribute": (
        fields("nextStart: {type: string}", "next_start: {type: string}"),
        ("'nextStart'", "'next_start'", "attribute next_start"),
    ),
    "two parameters of one argument": (
        parameter(
            "{name: dealId, in: query, schema: {type: string}}",
            "{name: deal-id, in: header, schema: {type: string}}",
        ),
        ("'dealId'", "'deal-id'", "argument deal_id"),
    ),
    "a parameter twice": (
        parameter("{name: TRACE, in: header, schema: {type: string}}"),
        ("twice",),
    ),
    "a name that cannot be printed": (fields('"a\\u200bb": {type: string}'), ("printed",)),
    # YAML.
    "a date without quotes": (field("{type: string, example: 2024-01-01}"), ("quote",)),
    "a version without quotes": (
        swap("version: 1.0.0", "version: 1.0"),
        ("/info/version", "quote"),
    ),
    "a key that is a boolean": (fields("true: {type: string}"), ("quote",)),
    "a number that JSON lacks": (field("{type: number, example: .nan}"), ("nan",)),
}


@pytest.mark.parametrize(("text", "words"), REJECTED.values(), ids=REJECTED.keys())
def test_construct_is_rejected_with_its_place(
    tmp_path: Path, text: str, words: tuple[str, ...]
) -> None:
    """What the templates do not write is one line: file, line, pointer, what to write instead."""
    assert text != MINIMAL
    problem = problem_of(text, tmp_path / "openapi.yaml")
    assert re.fullmatch(r"openapi\.yaml:\d+: (/\S*|the document): .+", problem), problem
    for word in words:
        assert word in problem
    assert "UntrustedString" not in problem


ACCEPTED = {
    "an array in the path": parameter(
        "{name: f, in: path, required: true, schema: {type: array, items: {type: integer}}}",
        path="/things/{f}",
    ),
    "the default style, written out": parameter(
        "{name: f, in: query, style: form, explode: true, schema: {type: string}}"
    ),
    "a media type with a parameter": body(f"{{$ref: '{THING}'}}", "application/json;charset=UTF-8"),
    "a media type with a suffix": body(f"{{$ref: '{THING}'}}", "application/merge-patch+json"),
    "readOnly that is not required": field("{type: integer, readOnly: true}"),
    "a reference in an example": field("{type: object, example: {$ref: 'https://a.example/b'}}"),
    "a nullable reference": field(f"{{nullable: true, allOf: [{{$ref: '{THING}'}}]}}"),
    "a type or null in 3.1": field("{type: [string, 'null']}", MODERN),
    "a reference or null in 3.1": field(
        f"{{oneOf: [{{$ref: '{THING}'}}, {{type: 'null'}}]}}", MODERN
    ),
    "an extension": field("{type: string, x-anything: {$ref: 5}}"),
    "a second tag": swap("[things]", "[things, others]"),
    "a limit of a parameter": parameter(
        "{name: f, in: query, schema: {type: integer, minimum: 1, maximum: 500}}"
    ),
    "an enum whose values tell its type": field("{enum: [a, b]}"),
    "a default in another form": field("{type: integer, default: 50.0}"),
    "a grouped alternative": field("{type: string, pattern: '^(a|b)$'}"),
}


@pytest.mark.parametrize("text", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_construct_is_accepted(tmp_path: Path, text: str) -> None:
    """What the templates write is not rejected."""
    assert problem_of(text, tmp_path / "openapi.yaml") == ""


@pytest.mark.parametrize(
    ("override", "words"),
    [({"class_name": "Thing"}, "class Thing"), ({"module_name": "thing"}, "module thing")],
)
def test_override_that_makes_two_of_one_name_is_rejected(
    tmp_path: Path, override: dict[str, str], words: str
) -> None:
    """A class_override is held to the same rule as the names of the spec."""
    config = ConfigFile.model_validate({"class_overrides": {"Other": override}})
    problem = problem_of(schemas("Other: {type: object}"), tmp_path / "openapi.yaml", config)
    assert words in problem
    assert "Other" in problem
    assert "Thing" in problem


# The keywords of OpenAPI's own schemas.


def resource(package: str, *path: str) -> Any:
    """Read a JSON schema that a package brings along."""
    return json.loads(files(package).joinpath(*path).read_text(encoding="utf-8"))


def keywords_of_30() -> Iterator[tuple[str, str]]:
    """Give each object of OpenAPI 3.0 with each of its keywords."""
    schema = resource("openapi_spec_validator", "resources", "schemas", "v3.0", "schema.json")
    for name, node in {**schema["definitions"], "OpenAPI": schema}.items():
        for key in node.get("properties", {}):
            yield name, key
        for pattern in node.get("patternProperties", {}):
            if pattern.startswith("^(get|"):
                for key in pattern.strip("^()$").split("|"):
                    yield name, key


def keywords_of_31() -> Iterator[tuple[str, str]]:
    """Give each object of OpenAPI 3.1 with each of its keywords, and those of its JSON Schema."""
    schema = resource("openapi_spec_validator", "resources", "schemas", "v3.1", "schema.json")
    for name, node in {**schema["$defs"], "OpenAPI": schema}.items():
        own = {
            **node.get("properties", {}),
            **schema["$defs"].get("examples", {}).get("properties", {}),
        }
        title = "".join(part.capitalize() for part in name.split("-")) if "-" in name else name
        title = title[0].upper() + title[1:]
        for key in (
            own if name in ("parameter", "media-type", "header") else node.get("properties", {})
        ):
            yield title, key
    for vocabulary in ("core", "applicator", "unevaluated", "validation", "meta-data",
                       "format-annotation", "content"):  # fmt: skip
        node = resource(
            "jsonschema_specifications", "schemas", "draft202012", "vocabularies", vocabulary
        )
        for key in node["properties"]:
            yield "Schema", key
    for key in ("discriminator", "example", "externalDocs", "xml"):  # the vocabulary of OpenAPI
        yield "Schema", key


# In the schemas' own names: objects of these are those of that table, or of none.
SAME = {
    "Examples": "MediaType", "Content": "MediaType", "PathItem": "PathItem", "Responses": "",
    "OauthFlows": "", "Reference": "", "Paths": "", "MapOfStrings": "",
    "SpecificationExtensions": "",
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "key"), sorted({*keywords_of_30(), *keywords_of_31()}), ids=lambda each: each
)
def test_every_keyword_of_openapi_is_known(name: str, key: str) -> None:
    """Each keyword is handled, data, or rejected with a hint; none is unknown."""
    if name in REJECTED_OBJECTS | UNREAD_OBJECTS or name.endswith(("Flow", "SecurityScheme")):
        return
    if name in ("Callbacks", *(each for each, table in SAME.items() if not table)):
        return
    rule = TABLES[SAME.get(name, name)].get(key)
    if key == "$ref":
        return  # the walk itself
    assert rule is not None
    assert rule.kind != "rejected" or len(rule.detail.split()) >= 3


def test_objects_that_are_not_walked_are_data_or_rejected() -> None:
    """No table leads to an object that has none."""
    for table in TABLES.values():
        for rule in table.values():
            if rule.kind in ("object", "list", "map", "flag or schema"):
                assert rule.detail in TABLES
    assert not (REJECTED_OBJECTS | UNREAD_OBJECTS) & TABLES.keys()


def test_kitchen_sink_and_minimal_are_accepted(tmp_path: Path) -> None:
    """The specs of the other tests consist of what is on the list."""
    for name in ("kitchen_sink.yaml", "minimal.yaml", "crm.yaml"):
        text = (SPECS / name).read_text(encoding="utf-8")
        assert yaml.safe_load(text)
        assert problem_of(text, tmp_path / "openapi.yaml") == ""
