"""Documents that stand for more than they say are rejected in one line; others mean what they say.

The same reader serves `make generate`, `make check ARGS=spec` and `make diff`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tools import bounded_yaml
from tools.bounded_yaml import MAX_BYTES, RejectedYAMLError, parse
from tools.environments import ROOT
from tools.generate.__main__ import main as generate
from tools.lint.__main__ import spec_problems, tangled_schema
from tools.specdiff.__main__ import main as specdiff

HEAD = "openapi: 3.0.3\ninfo: {title: T, version: '1'}\npaths: {}\n"


def lines(first: str, following: str, count: int) -> str:
    """Write lines that refer to the line before: `{0}` is the number, `{1}` the one before."""
    return first + "".join(following.format(i, i - 1) for i in range(1, count))


MERGES = lines("x0: &a0 {k: 1}\n", "x{0}: &a{0} {{<<: [*a{1}, *a{1}], k{0}: 1}}\n", 22)
WIDE = "x0: &a0 {" + ", ".join(f"k{i}: 1" for i in range(3000)) + "}\n"
# What stands for too much, and what the message says of it.
BOMBS = {
    "aliases": (
        lines("x0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]\n", "x{0}: &a{0} [" + "*a{1}, " * 9 + "]\n", 9),
        "more than 500,000 values",
    ),
    "merge keys": (
        WIDE + "x1: {<<: [" + ", ".join(["*a0"] * 3000) + "]}\n",
        "merge keys that stand for over 500,000 entries",
    ),
    "merge keys in many mappings": (
        WIDE + "".join(f"x{i}: {{<<: *a0}}\n" for i in range(1, 3000)),
        "more than 500,000 values",
    ),
    "depth through aliases": (
        lines("x0: &a0 [1]\n", "x{0}: &a{0} [*a{1}]\n", 3000),
        "more than 200 levels",
    ),
    "depth through merge keys": (
        "x: {" + lines("y0: &a0 {k: 1}", ", y{0}: &a{0} {{<<: *a{1}}}", 1500) + ", <<: *a1499}\n",
        "more than 200 levels",
    ),
    "depth": ("x: " + "[" * 500 + "]" * 500 + "\n", "more than 200 levels"),
    "more depth": ("x: " + "- " * 100_000 + "1\n", "not YAML"),
    "size": (f"x: {'a' * MAX_BYTES}\n", "too large for a spec"),
    "a loop": ("x: &a {<<: *a}\n", "an anchor that contains itself"),
    "a number without end": (f"x: {'9' * 500}\n", "is too large"),
}


def of_generate(file: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Have a package generated from a document, and return what is said of it."""
    root = file.parent / "project"
    shutil.copytree(ROOT / "generator-templates", root / "generator-templates")
    shutil.copy(ROOT / "generator-config.yml", root)
    shutil.copy(file, root / "openapi.yaml")
    assert generate(["--root", str(root)]) == 2
    first, *rest = capsys.readouterr().err.splitlines()
    assert first == "Nothing was generated."
    assert len(rest) == 1
    return rest[0]


def of_lint(file: Path, _capsys: pytest.CaptureFixture[str]) -> str:
    """Return what the linter says of a document."""
    (problem,) = spec_problems(file)
    return str(problem)


def of_diff(file: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Compare a document with another, and return what is said of it."""
    other = file.with_name("other.yaml")
    other.write_text(HEAD, encoding="utf-8")
    assert specdiff([str(other), str(file)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err


@pytest.mark.parametrize("tool", [of_generate, of_lint, of_diff])
@pytest.mark.parametrize(("text", "words"), BOMBS.values(), ids=BOMBS.keys())
def test_document_beyond_the_bounds_is_rejected_in_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    text: str,
    words: str,
    tool: Callable[[Path, pytest.CaptureFixture[str]], str],
) -> None:
    """Aliases, merge keys, depth and size are counted while they are read, by each tool."""
    file = tmp_path / "openapi.yaml"
    file.write_text(HEAD + text, encoding="utf-8")
    told = tool(file, capsys)
    assert words in told
    assert "openapi.yaml" in told


def test_merge_keys_are_followed_once() -> None:
    """A short document whose merge keys double 21 times is read, and each name is found."""
    parsed = parse("spec", MERGES.encode())
    assert len(parsed.content["x21"]) == 22
    assert parsed.line(("x21", "k")) == 1
    assert parsed.line(("x21", "gone")) == 22


def test_count_is_that_of_all_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values count as often as they are referred to, and so do merged ones."""
    monkeypatch.setattr(bounded_yaml, "MAX_VALUES", 10)
    assert parse("spec", b"[1, &a [1, 1], *a, 1, 1]").content == [1, [1, 1], [1, 1], 1, 1]
    with pytest.raises(RejectedYAMLError, match="more than 10 values"):
        parse("spec", b"[1, &a [1, 1], *a, 1, 1, 1]")
    assert len(parse("spec", b"[&a {a: 1, b: 1}, {<<: *a, c: 1, d: 1}]").content[1]) == 4
    with pytest.raises(RejectedYAMLError, match="more than 10 values"):
        parse("spec", b"[&a {a: 1, b: 1}, {<<: *a, c: 1, d: 1, e: 1, f: 1}]")


def test_schemas_that_refer_to_each_other_in_too_many_ways(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """References that double again and again end the diff and the linter as aliases do."""
    one = "{{$ref: '#/components/schemas/S{1}'}}"
    twice = f"    S{{0}}: {{{{allOf: [{one}, {one}]}}}}\n"
    file = tmp_path / "openapi.yaml"
    start = "components:\n  schemas:\n    S0: {type: string}\n"
    file.write_text(HEAD + lines(start, twice, 40), encoding="utf-8")
    assert "the same schemas in too many ways" in of_diff(file, capsys)
    assert ":19:5: The schema S13 refers to others in more than" in of_lint(file, capsys)


def test_circles_and_chains_of_references_are_not_tangled() -> None:
    """A schema may refer to itself, and a chain may be long."""
    names = [f"S{i}" for i in range(3000)]
    chain = {
        name: {"items": {"$ref": f"#/components/schemas/{names[i - 1]}"}}
        for i, name in enumerate(names)
    }
    assert tangled_schema({"components": {"schemas": chain}}) is None
    assert tangled_schema({"components": {"schemas": []}}) is None
    assert tangled_schema({}) is None


def test_yaml_1_2_is_parsed() -> None:
    """Words, numbers and keys are read as the generator reads them, merge keys included."""
    text = (
        b"\xef\xbb\xbfa: &x {on: yes, 200: '7', n: ~, d: 2026-01-02, 4XX: 0x1F}\r\n"
        b"c: {<<: *x, on: 2}\r\n"
    )
    parsed = parse("spec", text)
    plain = {"on": "yes", "200": "7", "n": None, "d": "2026-01-02", "4XX": 31}
    assert parsed.content == {"a": plain, "c": {**plain, "on": 2}}
    assert parsed.line(("c", "on")) == 2
    assert parsed.line(("c", "200")) == 1


def test_json_is_parsed() -> None:
    """A character that JSON writes as two escapes is one, and an escaped backslash stays."""
    for text in ("\U0001f4da", "\\ud83d\\udcda", "\\\U0001f4da\\"):
        written = json.dumps({"a": text})
        assert parse("spec", written.encode()).content == {"a": text}


def test_merge_key_takes_mappings_only() -> None:
    """A merge key takes mappings only."""
    with pytest.raises(RejectedYAMLError, match="merge key"):
        parse("spec", b"a: {<<: 1}")


STRICT = {
    "a date": ("a: {b: 2026-01-02}", "/a/b", "as a date: quote it"),
    "a time": ("a: {b: 2026-01-02T03:04:05Z}", "/a/b", "as a date: quote it"),
    "a key that is a boolean": ("a: {true: 1}", "/a", "the key true is not text: quote it"),
    "a key that is nothing": ("a: {~: 1}", "/a", "the key ~ is not text: quote it"),
}


@pytest.mark.parametrize(("text", "pointer", "words"), STRICT.values(), ids=STRICT.keys())
def test_what_other_readers_do_not_take_for_text(text: str, pointer: str, words: str) -> None:
    """The generator wants quotes where YAML of before has dates and booleans; the diff does not."""
    with pytest.raises(RejectedYAMLError, match=words) as caught:
        parse("spec", text.encode(), strict=True)
    assert "/" + "/".join(caught.value.pointer or ()) == pointer
    assert parse("spec", text.encode()).content


@pytest.mark.parametrize("number", [".inf", "-.Inf", "+.INF", ".nan", ".NaN", "1e999"])
def test_number_that_json_lacks_is_rejected(number: str) -> None:
    """What JSON has no number for is no value of a spec."""
    with pytest.raises(RejectedYAMLError, match=r"^spec:2: "):
        parse("spec", f"a:\n  - {number}\n".encode())
    assert parse("spec", f"a: '{number}'".encode()).content == {"a": number}


def test_position_of_a_path() -> None:
    """A path leads to the line and column of its last key that is there."""
    parsed = parse("spec", b"a:\n  - b\n  - c: 1\n    d: 2\n")
    assert parsed.position(["a", 1, "d"]) == (4, 5)
    assert parsed.position(["a", 1, "gone"]) == (3, 5)
    assert parsed.position(["a", 7]) == (1, 1)
    assert parsed.position([]) == (1, 1)
