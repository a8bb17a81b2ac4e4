"""Changes whose meaning only the wire shows, and rewritings that mean the same.

The packages are not generated here: what breaks importers is found where the generator rejects a
spec, too.
"""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn, TypeAlias

import pytest

from tests.specdiff.cases import Judgement, base, judged, report_of
from tools.specdiff import python_package
from tools.specdiff.__main__ import main

Edits: TypeAlias = dict[str, str]

GENRES = "enum: [fiction, poetry, science]"
WORDS = "type: string\n      description: A kind of book."
DIGITS = "enum: ['1', '3', '5']"
NAMED = "x-enum-varnames: [ONE, THREE, FIVE]"
ISBN = "            - {type: string}\n            - {type: integer}"
MONEY = "{$ref: '#/components/schemas/Money'}"
SERIES = "{$ref: '#/components/schemas/Series'}"
TWO_CLASSES = f"            - {MONEY}\n            - {SERIES}"
CLASSES_SWAPPED = f"            - {SERIES}\n            - {MONEY}"
NOTE = "        note: {type: string, nullable: true, description: What else there is to say.}"
ANY_NOTE = NOTE.replace("type: string, nullable: true", "anyOf: [{a}, {b}]")
CODE = "        code: {type: string, description: For a program.}"
BOOK_BODY = "application/json:\n            schema: {$ref: '#/components/schemas/NewBook'}"
PAGE = "application/json:\n              schema: {$ref: '#/components/schemas/Page'}"
SERVER = "https://books.example"
PATHS = {"  /books:\n": "  /v1/books:\n", "  /books/{book_id}:": "  /v1/books/{book_id}:",
         "  /login:": "  /v1/login:"}  # fmt: skip
V31 = {"openapi: 3.0.3": "openapi: 3.1.0", "nullable: true, ": "",
       "subtitle: {type: string": "subtitle: {type: [string, 'null']",
       "note: {type: string": "note: {type: [string, 'null']"}  # fmt: skip
HOOK = "webhooks: {sold: {post: {responses: {'200': {description: Seen.}}}}}\n\npaths:"
TWIN = """  /books/{id}:
    get: &get
      tags: [shop]
      operationId: get_again
      summary: Getting a book
      parameters:
        - {name: id, in: path, required: true, description: Which one., schema: {type: string}}
      responses: {'204': {description: No book.}}

  /login:"""
CALLBACKS = (
    "callbacks: {seen: {'{$url}': {post: {requestBody: {content: {application/json: {schema:"
    " {$ref: '#/components/schemas/Seen'}}}}, responses: {'200': {description: Seen.}}}}}}"
)
SEEN = "    Seen: {type: object, properties: {at: {type: string}}}\n\n    Problem:\n"
CALLBACK = {
    "summary: Logging in": f"summary: Logging in\n      {CALLBACKS}",
    "    Problem:\n": SEEN,
}
NOTHING: set[Judgement] = set()


def surface(http: str = "none") -> set[Judgement]:
    """Give the finding of a name that means something else."""
    return {("python-surface", http, "breaking")}


CASES: dict[str, tuple[Edits, Edits, set[Judgement]]] = {
    "digits with a value before them": (
        {GENRES: DIGITS},
        {GENRES: "enum: ['0', '1', '3', '5']"},
        {("request-enum-value-added", "compatible", "breaking")},
    ),
    "digits with a value after them": (
        {GENRES: DIGITS},
        {GENRES: "enum: ['1', '3', '5', '7']"},
        {("request-enum-value-added", "compatible", "compatible")},
    ),
    "digits in another order": ({GENRES: DIGITS}, {GENRES: "enum: ['3', '1', '5']"}, surface()),
    "integers in another order": (
        {f"{WORDS}\n      {GENRES}": "type: integer\n      enum: [1, 3]"},
        {f"{WORDS}\n      {GENRES}": "type: integer\n      enum: [3, 1]"},
        NOTHING,
    ),
    "words in another order": ({}, {GENRES: "enum: [poetry, science, fiction]"}, NOTHING),
    "a value with the member of another": (
        {},
        {GENRES: "enum: [fiction, poetry, science, FICTION]"},
        {("request-enum-value-added", "compatible", "breaking")},
    ),
    "other names of members": (
        {GENRES: f"{DIGITS}\n      {NAMED}"},
        {GENRES: f"{DIGITS}\n      {NAMED.replace('ONE', 'FIRST')}"},
        surface() | {("extension-changed", "wording", "wording")},
    ),
    "a field with the attribute of another, in a response": (
        {},
        {CODE: f"{CODE}\n        Code: {{type: string}}"},
        {("response-field-added", "compatible", "breaking")},
    ),
    "a field with the attribute of another, in a request": (
        {},
        {NOTE: f"{NOTE}\n        Title: {{type: string}}"},
        {("request-field-added", "compatible", "breaking")},
    ),
    "a field with the attribute of every model": (
        {},
        {CODE: f"{CODE}\n        additionalProperties: {{type: string}}"},
        {("response-field-added", "compatible", "breaking")},
    ),
    "a parameter with the argument of another": (
        {},
        {"- {name: q,": "- {name: Limit, in: header, schema: {type: string}}\n        - {name: q,"},
        {("parameter-added", "compatible", "breaking")},
    ),
    "classes of a response in another order": (
        {ISBN: TWO_CLASSES}, {ISBN: CLASSES_SWAPPED}, surface(),
    ),
    "types of a response in another order": (
        {}, {ISBN: "\n".join(reversed(ISBN.split("\n")))}, NOTHING,
    ),
    "classes of a request in another order": (
        {NOTE: ANY_NOTE.replace("{a}", MONEY).replace("{b}", SERIES)},
        {NOTE: ANY_NOTE.replace("{a}", SERIES).replace("{b}", MONEY)},
        NOTHING,
    ),
    "a required field with a default that is not written": (
        {},
        {"required: [title]\n": "required: [title, marks]\n",
         NOTE: f"{NOTE}\n        marks: {{type: array, items: {{type: string}}, default: []}}"},
        {("request-field-required-added", "breaking", "breaking")},
    ),
    "a charset of JSON": (
        {},
        {PAGE: PAGE.replace("json:", "json; charset=utf-8:"),
         BOOK_BODY: BOOK_BODY.replace("json:", 'json;charset="UTF-8":')},
        {("response-media-type-added", "compatible", "none"),
         ("request-media-type-added", "compatible", "none")},
    ),
    "a charset of JSON no more": (
        {PAGE: PAGE.replace("json:", "json; charset=utf-8:")},
        {},
        {("response-media-type-added", "compatible", "none")},
    ),
    "another charset": (
        {},
        {BOOK_BODY: BOOK_BODY.replace("json:", "json; charset=latin-1:")},
        {("request-media-type-added", "compatible", "compatible"),
         ("request-media-type-removed", "breaking", "compatible")},
    ),
    "the base path moved into the paths": (
        {SERVER: f"{SERVER}/v1"}, PATHS, {("operation-moved", "compatible", "compatible")},
    ),
    "the base path moved into the servers": (
        PATHS, {SERVER: f"{SERVER}/v1/"}, {("operation-moved", "compatible", "compatible")},
    ),
    "another base path": (
        {SERVER: f"{SERVER}/v1"}, {SERVER: f"{SERVER}/v2"},
        {("server-removed", "breaking", "compatible"),
         ("server-added", "compatible", "compatible")},
    ),
    "a media range in place of a type that is sent": (
        {},
        {BOOK_BODY: BOOK_BODY.replace("application/json", "application/*")},
        {("request-media-type-added", "compatible", "compatible")},
    ),
    "a media range in place of a type that is read": (
        {},
        {PAGE: PAGE.replace("application/json", "'*/*'")},
        {("response-media-type-added", "compatible", "compatible"),
         ("response-no-longer-read", "none", "breaking")},
    ),
    "a type in place of a media range": (
        {BOOK_BODY: BOOK_BODY.replace("application/json", "application/*")},
        {},
        {("request-media-type-added", "compatible", "compatible"),
         ("request-media-type-removed", "breaking", "compatible")},
    ),
    "bytes as in OpenAPI 3.1": (
        {CODE: CODE.replace("string", "string, format: byte")},
        V31 | {CODE: CODE.replace("string", "string, contentEncoding: base64")},
        NOTHING,
    ),
    "another encoding of bytes": (
        V31 | {CODE: CODE.replace("string", "string, contentEncoding: base64")},
        V31 | {CODE: CODE.replace("string", "string, contentEncoding: base32")},
        {("response-format-widened", "breaking", "breaking"),
         ("not-judged", "breaking", "breaking")},
    ),
    "a summary beside paths that differ in names only": (
        {"  /login:": TWIN},
        {"  /login:": TWIN.replace("Getting a book", "Getting it")},
        {("wording-changed", "wording", "wording")},
    ),
    "a webhook": (V31, V31 | {"paths:": HOOK}, {("operation-added", "compatible", "none")}),
    "another webhook": (
        V31 | {"paths:": HOOK},
        V31 | {"paths:": HOOK.replace("200", "204")},
        {("not-judged", "breaking", "breaking")},
    ),
    "a schema with the class of another": (
        {},
        {"    Problem:\n": "    book: {type: object}\n\n    Problem:\n"},
        {("schema-added", "none", "breaking")},
    ),
    "an operation with the module of another": (
        {},
        {"  /login:": TWIN.replace("get_again", "logIn")},
        {("operation-added", "compatible", "breaking")},
    ),
    "a schema that only a callback uses": (
        CALLBACK,
        CALLBACK | {"    Problem:\n": CALLBACK["    Problem:\n"].replace("string", "integer")},
        {("request-type-changed", "breaking", "breaking"),
         ("response-type-changed", "breaking", "breaking")},
    ),
    "a discriminator": (
        {ISBN: TWO_CLASSES},
        {ISBN: f"{TWO_CLASSES}\n          discriminator: {{propertyName: kind}}"},
        {("wording-changed", "wording", "wording")},
    ),
    "a discriminator no more": (
        {ISBN: f"{TWO_CLASSES}\n          discriminator: {{propertyName: kind}}"},
        {ISBN: TWO_CLASSES},
        {("not-judged", "breaking", "breaking")},
    ),
}  # fmt: skip


def edited(edits: Edits) -> str:
    """Give the base spec with some texts replaced."""
    text = base()
    for old, new in edits.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize(("old", "new", "expected"), CASES.values(), ids=CASES.keys())
def test_change_is_judged_by_its_meaning(old: Edits, new: Edits, expected: set[Judgement]) -> None:
    """A change has exactly the findings that its meaning for both kinds of readers asks for."""
    assert judged(report_of(edited(old), edited(new), python=False)).keys() == expected


def test_failing_generator_leaves_the_comparison_over_http(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the generator raises becomes a note; the exit status is that of the findings."""

    def failing(*_arguments: object) -> NoReturn:
        raise KeyError("a\nlong story")

    monkeypatch.setattr(python_package, "render", failing)
    for name, edits in (("old", {}), ("same", {"A book.": "Any book."}), ("new", {GENRES: DIGITS})):
        (tmp_path / f"{name}.yaml").write_text(edited(edits), encoding="utf-8")
    files = [str(tmp_path / f"{name}.yaml") for name in ("old", "same", "new")]
    for new, status in ((files[1], 0), (files[2], 1)):
        assert main([files[0], new]) == status
        printed = capsys.readouterr().out
        assert "Python signatures were not compared: the generator rejects" in printed
        assert "KeyError('a\\nlong story')" in printed


@pytest.mark.parametrize("name", ["fiction", "poetry", "science"])
def test_renamed_enum_value_breaks_importers(name: str) -> None:
    """A renamed value takes its member away, whether it is sent or read."""
    renamed = edited({GENRES: GENRES.replace(name, f"{name}_new")})
    assert report_of(base(), renamed, python=False).breaks("importer")
