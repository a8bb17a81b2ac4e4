"""Licenses that may not be brought along are told, and what is delivered is listed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools.release.metadata import (
    checksum,
    is_allowed,
    license_faults,
    license_table,
    licenses_of,
)


@pytest.mark.parametrize(
    ("expression", "allowed"),
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
def test_license_expressions(expression: str, allowed: bool) -> None:
    """A license is allowed if the user can choose alternatives that are all allowed."""
    assert is_allowed(expression) is allowed


def bom(folder: Path, *licenses: list[dict[str, object]]) -> Path:
    """Write a CycloneDX document with a package for each list of licenses."""
    components = [
        {"name": f"p{number}", "version": "1", "licenses": each}
        for number, each in enumerate(licenses)
    ]
    file = folder / "bom.json"
    file.write_text(json.dumps({"components": components}), encoding="utf-8")
    return file


def test_licenses_are_read_in_every_form(tmp_path: Path) -> None:
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
    licenses = licenses_of(file)
    assert list(licenses.values()) == [
        "MIT",
        "Apache-2.0 OR BSD-3-Clause",
        "MPL-2.0",
        "MIT AND GPL-3.0-only",
        "my own",
        "",
    ]
    assert list(license_faults(licenses)) == [
        "p3 1 is under MIT AND GPL-3.0-only, which is not among the allowed licenses",
        "p4 1 is under my own, which is not among the allowed licenses",
        "p5 1 does not say under which license it is",
    ]


def test_table_says_what_brings_a_package() -> None:
    """Each package is listed once, with the core or the extras that bring it."""
    licenses = {"b 1": "MIT", "A 2": "ISC"}
    brought = {"core": {"b 1"}, "x": {"b 1", "A 2"}, "y": {"A 2"}}
    lines = list(license_table(licenses, brought))
    assert lines[2:] == ["| A 2 | ISC | x, y |", "| b 1 | MIT | core |"]


def test_checksum_is_as_sha256sum_writes_it(tmp_path: Path) -> None:
    """A line has the digest, two blanks and the name without its folder."""
    (tmp_path / "x").write_bytes(b"")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert checksum(tmp_path / "x") == f"{empty}  x\n"
