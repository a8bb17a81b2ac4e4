"""Pythons, extras and licences: what can't be tried or must not be brought along is told."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tools.bootstrap import ROOT
from tools.pythons import candidates, found_pythons, missing_faults, runs, supported
from tools.release import extras
from tools.release.licences import is_fine, licence_faults, licences_of
from tools.release.papers import checksum, table

PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
THIS = f"{sys.version_info[0]}.{sys.version_info[1]}"


def test_supported_pythons_are_the_classifiers() -> None:
    """The versions of pyproject.toml count, the oldest first and the tenth after the ninth."""
    assert THIS in supported(PYPROJECT)
    named = ["3.13", "3.9", "3.10", "3", "2.7", "3 :: Only"]
    classifiers = [f"Programming Language :: Python :: {each}" for each in named]
    assert supported(f"[project]\nclassifiers = {classifiers}\n") == ["3.9", "3.10", "3.13"]


def python_like(file: Path, prints: str, code: int = 0) -> Path:
    """Write a program that pretends to be Python."""
    file.parent.mkdir(parents=True)
    file.write_text(f"#!/bin/sh\necho {prints}\nexit {code}\n", encoding="utf-8")
    file.chmod(0o755)
    return file


def test_python_is_found_on_the_path_and_in_pyenv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in that does not run is passed over for the newest that pyenv has."""
    stand_in = python_like(tmp_path / "bin" / "python3.98", "no such command", 127)
    old = python_like(tmp_path / "pyenv/versions/3.98.9/bin/python", "3.98")
    new = python_like(tmp_path / "pyenv/versions/3.98.10/bin/python", "3.98")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    assert list(candidates("3.98")) == [stand_in, new, old]
    assert found_pythons(["3.98", "3.99"]) == {"3.98": new}
    assert list(missing_faults(["3.98", "3.99"], {"3.98": new})) == [
        "Python 3.99 is supported and not on this machine"
    ]


def test_python_of_another_version_is_none(tmp_path: Path) -> None:
    """What says another version than its name, or can't be run, does not count."""
    assert runs(Path(sys.executable), THIS)
    assert not runs(Path(sys.executable), "3.98")
    assert not runs(tmp_path / "gone", THIS)


def test_every_extra_can_be_tried() -> None:
    """The check has a program for each extra of the project, and for nothing else."""
    assert list(extras.extra_faults(extras.extras_of(PYPROJECT))) == []
    known = list(extras.PROGRAMS)
    assert list(extras.extra_faults([*known, "new"])) == [
        "the extra new is not in tools/release/extras.py"
    ]
    assert list(extras.extra_faults(known[1:])) == [
        f"the extra {known[0]} is not in pyproject.toml"
    ]


CORE = "LOADED pipedrive_oauth_client httpx sys\nTHERE httpx pipedrive_oauth_client\n"
ALL = "LOADED pipedrive_oauth_client httpx sys\nTHERE httpx pipedrive_oauth_client redis\n"


@pytest.mark.parametrize(
    ("core", "everything", "faults"),
    [
        (CORE, ALL, []),
        (
            CORE,
            ALL.replace("LOADED", "LOADED redis"),
            ["the core loads redis, which only an extra brings"],
        ),
        (CORE, CORE, ["what the extras bring, or what the core loads, was not told"]),
        (CORE, "", ["what the extras bring, or what the core loads, was not told"]),
    ],
)
def test_core_that_loads_an_extra_is_told(core: str, everything: str, faults: list[str]) -> None:
    """What only an extra brings, the core must not load, and silence is no proof of it."""
    assert list(extras.core_faults(core, everything)) == faults


@pytest.mark.parametrize(
    ("expression", "fine"),
    [
        ("MIT", True),
        ("MPL-2.0", True),
        ("Apache-2.0 OR GPL-3.0-only", True),
        ("GPL-3.0-only OR (MIT AND ISC)", True),
        ("(MIT OR GPL-2.0-only) AND BSD-3-Clause", True),
        ("GPL-3.0-only", False),
        ("AGPL-3.0-or-later", False),
        ("LGPL-2.1-only", False),
        ("MIT AND GPL-3.0-only", False),
        ("GPL-3.0-only OR (MIT AND LGPL-3.0-only)", False),
        ("Apache-2.0 WITH LLVM-exception", False),
        ("Proprietary", False),
        ("(MIT", False),
        ("", False),
    ],
)
def test_licence_expressions(expression: str, fine: bool) -> None:
    """A licence is fine if one may choose among its alternatives so that all that counts is."""
    assert is_fine(expression) is fine


def bom(folder: Path, *licences: list[dict[str, object]]) -> Path:
    """Write a CycloneDX document with a package for each list of licences."""
    components = [
        {"name": f"p{number}", "version": "1", "licenses": each}
        for number, each in enumerate(licences)
    ]
    file = folder / "bom.json"
    file.write_text(json.dumps({"components": components}), encoding="utf-8")
    return file


def test_licences_are_read_in_every_form(tmp_path: Path) -> None:
    """Identifiers, expressions and classifiers are understood; what differs counts together."""
    classifier = "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)"
    file = bom(
        tmp_path,
        [{"license": {"id": "MIT"}}],
        [{"expression": "Apache-2.0 OR BSD-3-Clause"}],
        [{"license": {"id": "MPL-2.0"}}, {"license": {"name": classifier}}],
        [{"license": {"id": "MIT"}}, {"license": {"id": "GPL-3.0-only"}}],
        [{"license": {"name": "my own"}}],
        [],
    )
    licences = licences_of(file)
    assert list(licences.values()) == [
        "MIT",
        "Apache-2.0 OR BSD-3-Clause",
        "MPL-2.0",
        "MIT AND GPL-3.0-only",
        "my own",
        "",
    ]
    assert list(licence_faults(licences)) == [
        "p3 1 is under MIT AND GPL-3.0-only, which is not among the licences that are fine",
        "p4 1 is under my own, which is not among the licences that are fine",
        "p5 1 does not say under which licence it is",
    ]


def test_listing_says_what_brings_a_package() -> None:
    """Each package is listed once, with the core or the extras that bring it."""
    lines = list(
        table({"core": {"b 1": "MIT"}, "x": {"b 1": "MIT", "A 2": "ISC"}, "y": {"A 2": "ISC"}})
    )
    assert lines[2:] == ["| A 2 | ISC | x, y |", "| b 1 | MIT | core |"]


def test_checksum_is_as_sha256sum_writes_it(tmp_path: Path) -> None:
    """A line has the digest, two blanks and the name without its folder."""
    (tmp_path / "x").write_bytes(b"")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert checksum(tmp_path / "x") == f"{empty}  x\n"
