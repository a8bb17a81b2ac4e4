"""Damaged specs: whatever a spec says, the tools end with a report or with one line."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.specdiff.cases import base
from tests.specs.kitchen_sink import TEXT as KITCHEN_SINK
from tools.generate.document import GenerationError
from tools.generate.render import Sources, render
from tools.lint.__main__ import spec_problems
from tools.specdiff.__main__ import main
from tools.specdiff.diff import diff
from tools.specdiff.render import json_text, markdown
from tools.specdiff.spec_files import ROOT, CannotCompareError, Source

# What a value may be replaced by.
ODD: list[Any] = [
    None, True, False, 0, -1, 1, 10**30, -(10**30), 1e300, 1e-300, 0.1, 2.5, "", " ", "a", "true",
    "$ref", "\u202e", "\ud800", "9" * 400, [], {}, [None], [[]], [{}], {"": None}, {"$ref": "#"},
    {"$ref": "#/components/schemas/Book"}, {"$ref": "#/components/schemas/Missing"}, {"$ref": 5},
    {"type": ["null"]}, {"type": []}, {"type": "null"}, {"allOf": []}, {"oneOf": [{}]},
    {"enum": []},
    {"enum": [None, 1, "1", 1.0, [], {}]}, {"enum": [{"a": 1}]}, {"multipleOf": 0},
    {"multipleOf": 1e-300}, {"multipleOf": 10**30}, {"minimum": 10**30, "maximum": -(10**30)},
    {"type": "string", "default": {}}, {"const": []}, {"not": {}}, {"x-enum-varnames": 5},
    {"properties": {"a": True}}, {"properties": {"": {}}}, {"required": [1]}, {"items": False},
    {"additionalProperties": {"additionalProperties": {}}}, {"allOf": [{"$ref": "#/components"}]},
]  # fmt: skip
DOCUMENTS: dict[str, str] = {
    "books": base(),
    "books of 3.1": base().replace("openapi: 3.0.3", "openapi: 3.1.0"),
    "kitchen sink": KITCHEN_SINK,
}


def places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Give every place of a document: what it is in, and its key or index."""
    for key in list(node) if isinstance(node, dict) else range(len(node)):
        yield node, key
        if isinstance(node[key], dict | list):
            yield from places(node[key])


def damaged(text: str, seed: int) -> bytes:
    """Give a document with one to three damages: in its values, or in its bytes."""
    chance = random.Random(seed)
    if seed % 5 == 0:
        return damaged_bytes(text.encode(), chance)
    content = copy.deepcopy(yaml.safe_load(text))
    for _ in range(chance.randint(1, 3)):
        holder, key = chance.choice(list(places(content)))
        kind = chance.randrange(5)
        if kind == 0:
            del holder[key]
        elif kind == 1:  # a value from elsewhere, which may be the whole
            other, name = chance.choice(list(places(content)))
            holder[key] = copy.deepcopy(other[name])
        elif kind == 2 and isinstance(holder, dict):
            schema = chance.choice([each for each in ODD if isinstance(each, dict)])
            holder.update(copy.deepcopy(schema))
        elif kind == 3 and isinstance(holder, dict):
            holder[str(chance.choice(ODD))[:40] or "''"] = holder.pop(key)
        else:
            holder[key] = copy.deepcopy(chance.choice(ODD))
    return json.dumps(content).encode()


def damaged_bytes(text: bytes, chance: random.Random) -> bytes:
    """Give a text that is cut, doubled, or has other characters in a few places."""
    for _ in range(chance.randint(1, 4)):
        start = chance.randrange(len(text) - 1)
        end = start + chance.randint(1, 40)
        insert = chance.choice(
            [b"", b"\n", b"*a", b"&a ", b"<<: ", b".inf", b"{", b"]", b"\x00", b"\xff", b"!!x ",
             b"- ", b"? ", b": ", b"9" * 30, text[start:end], b"\t", b"'", b'"', b"#", b"%"]
        )  # fmt: skip
        text = text[:start] + insert + text[end if chance.random() < 0.5 else start :]
    return text


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize("part", range(4))
def test_diff_of_damaged_specs_is_a_report_or_one_line(name: str, part: int) -> None:
    """A spec that is damaged is compared or rejected; no other error comes up, in any form."""
    text, told = DOCUMENTS[name], list[str]()
    whole = Source("whole.yaml", text.encode())
    for seed in range(part * 15, part * 15 + 15):
        other = Source("damaged.yaml", damaged(text, seed))
        for pair in ((whole, other), (other, whole)):
            try:
                report = diff(*pair, python=False)
            except CannotCompareError as error:
                told.append(str(error))
            else:
                json.loads(json_text(report))
                assert markdown(report)
    assert not [each for each in told if "\n" in each or len(each) > 1000]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_packages_of_damaged_specs_are_compared_or_not(name: str) -> None:
    """Where the generator rejects a damaged spec, the report says why; nothing else happens."""
    whole = Source("whole.yaml", DOCUMENTS[name].encode())
    for seed in range(1000, 1008):
        try:
            report = diff(whole, Source("damaged.yaml", damaged(DOCUMENTS[name], seed)))
        except CannotCompareError:
            continue
        assert report.python in {"compared", "partly", "refused", "skipped"}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_generator_and_linter_reject_damaged_specs(tmp_path: Path, name: str) -> None:
    """The generator rejects what it can't write, and the linter lists what is not valid."""
    spec = tmp_path / "openapi.yaml"
    settings = ROOT / "generator-config.yml", ROOT / "generator-templates"
    told: list[str] = []
    for seed in range(2000, 2040):
        spec.write_bytes(damaged(DOCUMENTS[name], seed))
        try:
            render(Sources(spec, *settings))
        except GenerationError as error:
            told.append(str(error))
        for problem in spec_problems(spec):
            assert "\n" not in str(problem)
    assert not [each for each in told if len(each) > 2000]


NUMBERS = [".inf", "-.inf", ".nan", "1e999", "9" * 420, "0x" + "f" * 399, "1e308", "1e-320", "0"]


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("key", ["multipleOf", "minimum", "maxLength", "default", "x-number"])
def test_odd_number_ends_in_a_report_or_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], number: str, key: str
) -> None:
    """Numbers without end, too large for a float, or too small: never a traceback, nor status 1."""
    files = []
    for name, value in (("old", "2"), ("new", number)):
        files.append(tmp_path / f"{name}.yaml")
        text = base().replace("format: int32, minimum: 1", f"{key}: {value}")
        files[-1].write_text(text, encoding="utf-8")
    for pair in (files, files[::-1]):
        status = main([*map(str, pair), "--no-python"])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        assert "fault of" not in err
        assert (status == 2) is bool(err)
        assert err.count("\n") == (status == 2)
        assert bool(out) is (status != 2)


def test_fault_of_the_program_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that the program does not know is told in one line, with status 2, not 1."""

    def fail(*_arguments: object, **_more: object) -> None:
        raise ZeroDivisionError("with \x1b[31m")

    monkeypatch.setattr("tools.specdiff.__main__.diff", fail)
    file = tmp_path / "a.yaml"
    file.write_text(base(), encoding="utf-8")
    assert main([str(file), str(file)]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "please report it: ZeroDivisionError: with  [31m (test_damaged.py:" in told
