"""Specs that were written to deceive: what they say stays text wherever it is shown."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.specdiff.cases import base
from tests.specdiff.test_review import Project
from tools.environments import ROOT
from tools.generate.__main__ import main as generate
from tools.lint.__main__ import spec_problems
from tools.specdiff.__main__ import main as specdiff

# A terminal's escapes, commands of a job, markup, links, a mention, code, and the characters that
# reverse the direction of writing or break lines.
WILD = (
    "w\x1b[31m\x9b1m\x07\u202e\u2066\u2028\n::error::x\n# Heading\n##[error]x <img src=x>"
    " </details> [x](http://evil.example) http://evil.example www.evil.example @all `` ` ``` | y"
    " a long word, so that lines are wrapped somewhere before ::warning::z \n\n::group::\n"
)
W = json.dumps(WILD)
# Where the spec has a name or a value: what stands there, and what is to stand there.
PLACES: dict[str, tuple[str, str]] = {
    "a parameter": ("name: q, in: query", f"name: {W}, in: query"),
    "a header": ("name: X-Trace, in", f"name: {W}, in"),
    "a header of a response": ("            X-Total:", f"            {W}:"),
    "a path": ("  /login:", f"  {json.dumps('/login' + WILD)}:"),
    "an operationId": ("operationId: log_in", f"operationId: {W}"),
    "a tag": ("tags: [shop]\n      operationId: log_in", f"tags: [{W}]\n      operationId: log_in"),
    "a property": ("        title: {type: string, d", f"        {W}: {{type: string, d"),
    "a required property": ("required: [id, title, state]", f"required: [id, title, state, {W}]"),
    "values": ("enum: [fiction, poetry", f"enum: [fiction, {W}"),
    "a default": ("default: paperback", f"default: {W}"),
    "a pattern": ("pattern: '^[0-9]{6}$'", f"pattern: {W}"),
    "a format": ("format: int32", f"format: {W}"),
    "a title": ("    Page:\n", f"    Page:\n      title: {W}\n"),
    "a media type": ("application/x-www-form-urlencoded:", f"{W}:"),
    "a server": ("https://books.example", W),
    "a scheme": ("name: X-Session}", f"name: {W}}}"),
    "an extension": ("    Page:\n", f"    Page:\n      {json.dumps('x-' + WILD)}: 1\n"),
    "a keyword": ("    Page:\n", f"    Page:\n      if: {{const: {W}}}\n"),
    "a description": ("description: A page of books.\n      req", f"description: {W}\n      req"),
    "the version": ("openapi: 3.0.3", f"openapi: {W}"),
    "a reference": ("$ref: '#/components/parameters/Key'", f"$ref: {W}"),
    "a reference to a name": (
        "$ref: '#/components/parameters/Key'",
        f"$ref: {json.dumps('#/components/parameters/' + WILD)}",
    ),
    "a key": ("openapi: 3.0.3", f"openapi: 3.0.3\n{W}: 1"),
    "a tag of YAML": ("version: 1.0.0", "version: !<%1B%5B31m%E2%80%AE> 1"),
}
OWN_HTML = re.compile(r"<details><summary>[\w ()]+</summary>|</details>")


def assert_harmless(printed: str) -> None:
    """Check that nothing here is a command of a terminal or of a job."""
    assert {char for char in printed if not char.isprintable()} <= {"\n"}
    assert not [line for line in printed.split("\n") if line.strip().startswith("::")]
    assert "##[" not in printed


def flat(tokens: list[Token]) -> list[Token]:
    """Give tokens with those inside them."""
    return [each for token in tokens for each in [token, *flat(token.children or [])]]


def assert_plain(markdown: str) -> None:
    """Check that no markup comes from a spec, as one that reads Markdown sees it."""
    tokens = flat(MarkdownIt("commonmark").enable("table").parse(markdown))
    headings = [
        tokens[index + 1].content for index, each in enumerate(tokens) if each.tag[:1] == "h"
        and each.type == "heading_open"
    ]  # fmt: skip
    for heading in headings:
        assert re.fullmatch(r"What this change of the spec breaks|\w+( \w+)? \(\d+\)", heading)
    for each in tokens:
        assert each.type not in {"link_open", "image"}, each
        if each.type in {"html_block", "html_inline"}:
            for line in filter(None, each.content.splitlines()):
                assert OWN_HTML.fullmatch(line), line
        if each.type == "text":
            assert not re.search(r"evil|@all|error::", each.content), each.content


@pytest.mark.parametrize(("old", "new"), PLACES.values(), ids=PLACES.keys())
@pytest.mark.parametrize("form", ["text", "markdown", "json"])
def test_diff_shows_text_of_specs_as_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str, old: str, new: str
) -> None:
    """Names and values of a spec are no escapes, commands or markup, in every form, both ways."""
    files = {"plain": base(), "wild": base().replace(old, new)}
    assert files["plain"] != files["wild"]
    for name, text in files.items():
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    plain, wild = (str(tmp_path / f"{name}.yaml") for name in files)
    for pair in ([plain, wild], [wild, plain]):
        status = specdiff([*pair, "--format", form, "--no-python"])
        out, err = capsys.readouterr()
        assert_harmless(out + err)
        assert bool(err) is (status == 2)
        if form == "markdown":
            assert_plain(out)
        if form == "json" and status != 2:
            assert json.loads(out)["findings"]


@pytest.mark.parametrize("form", ["text", "markdown"])
def test_review_shows_names_as_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    """The lines to paste into CHANGELOG.md, and the generator's reason, hold no markup either."""
    project = Project(tmp_path)
    project.git("switch", "--quiet", "--create", "topic")
    for place in ("a parameter", "a property", "a required property", "a path", "a default"):
        project.edit("openapi.yaml", *PLACES[place])
    assert project.diff("main", "--format", form) == 1
    out, err = capsys.readouterr()
    assert_harmless(out + err)
    assert "Python signatures were not compared" in out
    declared = re.findall(r"^- \*\*Breaking:\*\* .*$", out, re.MULTILINE)
    assert declared
    if form == "markdown":
        assert_plain(out)
    changelog = "\n".join(line.replace("…", "do this.") for line in declared)
    project.edit("CHANGELOG.md", "- Something.\n", f"- Something.\n{changelog}\n")
    project.version("0.2.0")
    assert project.diff("main", "--format", form) == 0


@pytest.mark.parametrize(("old", "new"), PLACES.values(), ids=PLACES.keys())
def test_generator_and_linter_show_text_of_specs_as_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str
) -> None:
    """What the generator and the validator say of a spec is no escape and no command."""
    shutil.copytree(ROOT / "generator-templates", tmp_path / "generator-templates")
    shutil.copy(ROOT / "generator-config.yml", tmp_path)
    spec = tmp_path / "openapi.yaml"
    spec.write_text(base().replace(old, new), encoding="utf-8")
    generate(["--root", str(tmp_path)])
    generate(["--root", str(tmp_path), "--check"])
    problems = "\n".join(map(str, spec_problems(spec)))
    assert_harmless("".join([*capsys.readouterr(), problems]))


def test_drift_shows_text_of_specs_as_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line of the difference that begins with a command of a job is not one."""
    shutil.copytree(ROOT / "generator-templates", tmp_path / "generator-templates")
    shutil.copy(ROOT / "generator-config.yml", tmp_path)
    spec = tmp_path / "openapi.yaml"
    text = (ROOT / "tests/specs/minimal.yaml").read_text(encoding="utf-8")
    wild = "A list.\n\n::error::x\n\n##[error]x\n\n\u202e\u2066Reversed.\n\nThe end."
    described = f"      description: {json.dumps(wild)}\n      operationId"
    spec.write_text(text.replace("      operationId", described), encoding="utf-8")
    assert generate(["--root", str(tmp_path)]) == 0
    spec.write_text(spec.read_text("utf-8").replace("A list.", "Lists."), encoding="utf-8")
    capsys.readouterr()
    assert generate(["--root", str(tmp_path), "--check"]) == 1
    out, err = capsys.readouterr()
    assert "\\::error::x" in out
    assert_harmless(out + err)
