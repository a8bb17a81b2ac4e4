"""What can't be generated is rejected in words, before anything is written."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, TypeAlias

import pytest

from tests.specs.project import GENERATED, SPECS, copy_project, edit, generate, snapshot
from tools.generate.tree import rewrite

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Change: TypeAlias = "Callable[[Path], object]"

MINIMAL = (SPECS / "minimal.yaml").read_text(encoding="utf-8")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Give a project with the smallest spec, and something in its generated folder."""
    root = copy_project(tmp_path / "project", spec=SPECS / "minimal.yaml")
    rewrite(root / GENERATED, {PurePosixPath("client.py"): b"kept = True"})
    return root


def rejected(project: Path, change: Change, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Check that a changed project is rejected with a helpful message and writes nothing."""
    change(project)
    before = snapshot(project)
    assert generate(project) == 2
    report = capsys.readouterr()
    assert report.out == ""
    assert "Traceback" not in report.err
    assert words in report.err
    assert snapshot(project) == before


def spec(content: str | bytes) -> Change:
    """Return a change that writes another spec."""
    text = content.encode() if isinstance(content, str) else content
    return lambda root: (root / "openapi.yaml").write_bytes(text)


def folder_for_spec(root: Path) -> None:
    """Put a folder where the spec is."""
    (root / "openapi.yaml").unlink()
    (root / "openapi.yaml").mkdir()


def swap(old: str, new: str) -> Change:
    """Return a change of a part of the spec."""
    return lambda root: edit(root / "openapi.yaml", old, new)


def parameter(text: str) -> Change:
    """Return a change that adds a parameter to the operation."""
    return swap("      parameters:\n", f"      parameters:\n        - {text}\n")


def field(text: str) -> Change:
    """Return a change that adds a field to the schema."""
    return lambda root: (root / "openapi.yaml").write_text(f"{MINIMAL}        extra: {text}\n")


SERVERS = "servers:\n  - url: https://minimal.example\n"

# A change of the spec, and what the message has to name.
BROKEN_SPECS: dict[str, tuple[Change, str]] = {
    "missing": (lambda root: (root / "openapi.yaml").unlink(), "openapi.yaml"),
    "a folder": (folder_for_spec, "openapi.yaml"),
    "empty": (spec(""), "openapi.yaml"),
    "not YAML": (spec("paths: [\n"), "YAML"),
    "not text": (spec(b"\xff\xfe\xff"), "YAML"),
    "a list": (spec("- openapi: 3.0.3\n"), "OpenAPI"),
    "a word": (spec("openapi\n"), "OpenAPI"),
    "a doubled key": (spec(MINIMAL + "paths: {}\n"), "paths"),
    "Swagger 2": (swap("openapi: 3.0.3", "swagger: '2.0'"), "Swagger"),
    "no title": (swap("  title: Minimal\n", ""), "title"),
    "no server": (swap(SERVERS, ""), "server"),
    "two servers": (swap(SERVERS, SERVERS + "  - url: https://other.example\n"), "server"),
    "a server at a path": (
        swap("  /things:\n", "  /things:\n    servers: [{url: https://other.example}]\n"),
        "server",
    ),
    "a server at an operation": (
        swap("      tags: [things]\n", "      servers: [{url: https://other.example}]\n"),
        "server",
    ),
    "a server without host": (swap("https://minimal.example", "/v1"), "server"),
    "a server with variables": (swap("//minimal", "//{region}"), "server"),
    "servers of another shape": (swap(SERVERS, "servers: [https://minimal.example]\n"), "server"),
    "paths of another shape": (spec(MINIMAL.split("paths:")[0] + "paths: [a]\n"), "paths"),
    "no paths": (spec(MINIMAL.split("paths:")[0]), "paths"),
    "an empty path": (swap("  /things:\n", "  /nothing:\n  /things:\n"), "/paths/~1nothing"),
    "a schema nowhere": (swap("schemas/Thing'}", "schemas/Thong'}"), "Thong"),
    "a field nowhere": (field("{$ref: '#/components/schemas/Thong'}"), "Thong"),
    "a response nowhere": (
        swap(
            "        '200':\n",
            "        '404': {$ref: '#/components/responses/No'}\n        '200':\n",
        ),
        "responses/No",
    ),
    "a parameter nowhere": (parameter("$ref: '#/components/parameters/No'"), "parameters/No"),
    "a reference through a word": (parameter("$ref: '#/info/title/No'"), "/info/title/No"),
    "operationId twice": (
        swap(
            "  /things:\n",
            "  /others:\n    get:\n      operationId: make_thing\n      tags: [things]\n"
            "      responses: {'204': {description: X.}}\n  /things:\n",
        ),
        "make_thing",
    ),
    "no operationId": (swap("      operationId: make_thing\n", ""), "operationId"),
    "operationId in another style": (swap("make_thing", "makeThing"), "operationId"),
    "operationId of a keyword": (swap("make_thing", "import"), "operationId"),
    "a multipart body": (swap("application/json", "multipart/form-data"), "multipart"),
    "a body of bytes": (
        swap(
            "application/json:\n            schema: {$ref: '#/components/schemas/Thing'}",
            "application/octet-stream:\n            schema: {type: string, format: binary}",
        ),
        "files",
    ),
    "a body of text": (swap("application/json", "text/plain"), "text~1plain"),
    "two kinds of body": (
        swap(
            "          application/json:\n",
            "          application/x-www-form-urlencoded:\n"
            "            schema: {$ref: '#/components/schemas/Thing'}\n"
            "          application/json:\n",
        ),
        "exactly one media type",
    ),
    "an optional body": (swap("        required: true\n", ""), "`required: true`"),
    "a response of text": (
        swap(
            "            application/json:\n              schema: {$ref: '#/comp",
            "            text/plain:\n              schema: {$ref: '#/comp",
        ),
        "only JSON has a schema",
    ),
    "a response of an unknown kind": (
        swap("            application/json:", "            image/png:"),
        "only JSON has a schema",
    ),
    "a cookie": (parameter("{name: jar, in: cookie, schema: {type: string}}"), "cookie"),
    "a parameter at the path": (
        swap(
            "  /things:\n",
            "  /things:\n    parameters: [{name: deep, in: query, schema: {type: string}}]\n",
        ),
        "each operation",
    ),
    "a parameter with content": (
        parameter(
            "{name: filter, in: query, content: {application/json: {schema: {type: object}}}}"
        ),
        "`schema`",
    ),
    "a parameter that is an object": (
        parameter("{name: filter, in: query, schema: {$ref: '#/components/schemas/Thing'}}"),
        "a parameter must be",
    ),
    "a parameter in another style": (
        parameter(
            "{name: all, in: query, explode: false, schema: {type: array, items: {type: string}}}"
        ),
        "explode",
    ),
    "a pattern without end": (field("{type: string, pattern: '^a'}"), "anchored"),
    "a pattern without start": (field("{type: string, pattern: 'a$'}"), "anchored"),
    "a pattern that is none": (field("{type: string, pattern: '^(a$'}"), "regular expression"),
    "a pattern of another dialect": (field(r"{type: string, pattern: '^\p{L}$'}"), "regular"),
    "a limit that is not enforced: maximum": (field("{type: integer, maximum: 5}"), "maximum"),
    "a limit that is not enforced: maxLength": (field("{type: string, maxLength: 5}"), "maxLength"),
    "a limit that is not enforced: minItems": (
        field("{type: array, minItems: 1, items: {type: string}}"),
        "minItems",
    ),
    "a file": (field("{type: string, format: binary}"), "files"),
    "a constant": (field("{const: 5}"), "`enum` of one value"),
    "an unknown type": (field("{type: thing}"), "type"),
    "half of a surrogate pair": (field('{type: string, description: "\\ud800"}'), "Unicode"),
}


@pytest.mark.parametrize(("change", "words"), BROKEN_SPECS.values(), ids=BROKEN_SPECS.keys())
def test_broken_spec_is_rejected(
    project: Path, capsys: pytest.CaptureFixture[str], change: Change, words: str
) -> None:
    """A spec that can't become strict code ends with status 2 and a message."""
    rejected(project, change, words, capsys)


def config(content: str) -> Change:
    """Return a change that adds to the generator's settings."""

    def change(root: Path) -> None:
        file = root / "generator-config.yml"
        file.write_text(file.read_text(encoding="utf-8") + content, encoding="utf-8")

    return change


BROKEN_SETTINGS: dict[str, tuple[Change, str]] = {
    "missing": (lambda root: (root / "generator-config.yml").unlink(), "generator-config.yml"),
    "not YAML": (config("a: [\n"), "generator-config.yml"),
    "a list": (
        lambda root: (root / "generator-config.yml").write_text("- a\n"),
        "generator-config.yml",
    ),
    "an unknown setting": (config("use_path_prefixes: true\n"), "use_path_prefixes"),
    "an unknown setting inside": (
        lambda root: edit(root / "generator-config.yml", "module_name:", "module:"),
        "module",
    ),
    "a value of another type": (config("http_timeout: soon\n"), "http_timeout"),
    "a setting that the templates ignore": (
        config("docstrings_on_attributes: true\n"),
        "docstrings_on_attributes",
    ),
}


@pytest.mark.parametrize(("change", "words"), BROKEN_SETTINGS.values(), ids=BROKEN_SETTINGS.keys())
def test_broken_settings_are_rejected(
    project: Path, capsys: pytest.CaptureFixture[str], change: Change, words: str
) -> None:
    """Settings that are wrong or without effect end with status 2 and a message."""
    rejected(project, change, words, capsys)


def template(name: str, old: str, new: str) -> Change:
    """Return a change of a template."""
    return lambda root: edit(root / "generator-templates" / f"{name}.jinja", old, new)


def runtime(old: str, new: str) -> Change:
    """Return a change of a module that is copied as it is."""
    return lambda root: edit(root / "generator-templates/runtime/types.py", old, new)


BROKEN_TEMPLATES: dict[str, tuple[Change, str]] = {
    "syntax": (template("model.py", "@define", "{% if %}@define"), "template"),
    "an undefined name": (template("model.py", "@define", "{{ nothing }}"), "nothing"),
    "an undefined attribute": (
        template("package_init.py", "spec.server_url", "spec.nothing"),
        "nothing",
    ),
    "an undefined filter": (template("model.py", "@define", "{{ 1 | nothing }}"), "nothing"),
    "an error in an expression": (template("model.py", "@define", "{{ 1 + 'a' }}"), "template"),
    "not Python": (template("model.py", "@define", "@define @"), "thing.py"),
    "Python that cannot be compiled": (
        template("model.py", "@define", "return\n@define"),
        "thing.py",
    ),
    "without header": (template("model.py", '{% include "_header.jinja" %}', ""), "thing.py"),
    "missing": (lambda root: (root / "generator-templates/model.py.jinja").unlink(), "model.py"),
    "a runtime module that is not Python": (runtime("class Unset:", "class Unset"), "types.py"),
    "a runtime module that cannot be compiled": (
        runtime("class Unset:", "return\nclass Unset:"),
        "types.py",
    ),
    "a missing runtime module": (
        lambda root: (root / "generator-templates/runtime/decode.py").unlink(),
        "decode.py",
    ),
}


@pytest.mark.parametrize(
    ("change", "words"), BROKEN_TEMPLATES.values(), ids=BROKEN_TEMPLATES.keys()
)
def test_broken_template_is_rejected(
    project: Path, capsys: pytest.CaptureFixture[str], change: Change, words: str
) -> None:
    """A template that can't be rendered, or renders no code, ends with status 2 and a message."""
    rejected(project, change, words, capsys)


def both(*changes: Change) -> Change:
    """Return a change that makes several."""

    def change(root: Path) -> None:
        for each in changes:
            each(root)

    return change


ENUM = field("{type: string, enum: [a, b]}")

# What is Python and can be formatted, and yet wrong: found when it is imported and tried out.
UNPROVEN: dict[str, tuple[Change, str]] = {
    "a module that cannot be imported": (
        runtime("class Unset:", "raise RuntimeError('no')\n\n\nclass Unset:"),
        "RuntimeError: no",
    ),
    "a name that is nowhere": (
        template("model.py", "UNSET, Equality, Unset, counted", "UNSET, Equality, Unset"),
        "counted",
    ),
    "a field under another name": (
        template("model.py", '            fields["{{ prop', '            fields["x{{ prop'),
        "/components/schemas/Thing: Thing writes this example back",
    ),
    "a field that is not read": (
        template("model.py", '{{ property.python_name }}={{ "req', 'x={{ "req'),
        "Thing.from_dict",
    ),
    "an enum with a value of another": (
        both(ENUM, template("str_enum.py", '= "{{ value }}"', '= "x{{ value }}"')),
        "/enum: ThingExtra has the values",
    ),
    "an enum without members": (
        both(ENUM, template("str_enum.py", '    {{ key }} = "{{ value }}"\n', "")),
        "/enum: ThingExtra has the values []",
    ),
    "a request of another method": (
        template("endpoint_module.py", '"method": "{{', '"method": "X{{'),
        "has the method XPOST",
    ),
    "a request to another path": (
        template("endpoint_module.py", '_PATH: Final = "', '_PATH: Final = "/x'),
        "the request goes to /x/things",
    ),
    "a parameter under another name": (
        template(
            "endpoint_module.py",
            'Unset):\n        headers["{{ parameter',
            'Unset):\n        headers["x{{ parameter',
        ),
        "lacks the header parameter trace",
    ),
    "a body of another type": (
        both(
            swap("application/json:", "application/merge-patch+json:"),
            template("endpoint_module.py", 'body.content_type != "application/json"', "false"),
        ),
        "the body goes as application/json",
    ),
    "an example that does not fit": (field("{type: integer, example: x}"), "must be an integer"),
    "an example of a body that does not fit": (
        swap(
            "            schema: {$ref", "            example: {id: 5}\n            schema: {$ref"
        ),
        "/example: Thing.from_dict of this example fails",
    ),
    "an example of a parameter that does not fit": (
        parameter("{name: page, in: query, example: x, schema: {type: integer}}"),
        "page must be int",
    ),
    "a default that breaks a limit": (
        field("{type: integer, minimum: 5, default: 1}"),
        "is less than 5",
    ),
}


@pytest.mark.parametrize(("change", "words"), UNPROVEN.values(), ids=UNPROVEN.keys())
def test_wrong_code_is_found_before_it_replaces_anything(
    project: Path, capsys: pytest.CaptureFixture[str], change: Change, words: str
) -> None:
    """What was generated is imported, its examples read and its requests made, before the rest."""
    rejected(project, change, words, capsys)
