"""The threat model names, for each threat, tests that exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

TESTS: Final = Path(__file__).parent
PAGE: Final = TESTS.parent / "docs" / "threat-model.md"
# The cells of a table's row; the last one has the tests.
ROW: Final = re.compile(r"^\| (.+) \|$", re.MULTILINE)
TEST: Final = re.compile(r"`([\w/]+\.py)::(test_\w+)`")

ROWS: Final = [
    cells
    for cells in (row.split(" | ") for row in ROW.findall(PAGE.read_text(encoding="utf-8")))
    if cells[-1] != "test" and not set(cells[0]) <= {"-"}
]


def test_page_has_the_threats_of_both_standards() -> None:
    """The tables go through RFC 9700 and RFC 8252, and what is around the protocol."""
    text = PAGE.read_text(encoding="utf-8")
    assert text.count("|---|") >= 3
    assert len(ROWS) > 30
    for section in ("4.1", "4.2", "4.4", "4.5", "4.6", "4.7", "4.8", "4.9", "4.10", "4.11", "4.12"):
        assert re.search(rf"\b{re.escape(section)}\b", text), section
    for section in ("8.3", "8.5", "8.9", "8.10", "8.12"):
        assert re.search(rf"\b{re.escape(section)}\b", text), section


@pytest.mark.parametrize("cells", ROWS, ids=lambda cells: cells[-1].split("::")[-1].strip("`"))
def test_row_names_tests_that_exist(cells: list[str]) -> None:
    """The last cell of a row is a list of tests, each of which is a function of that module."""
    named = TEST.findall(cells[-1])
    assert named
    assert ", ".join(f"`{module}::{name}`" for module, name in named) == cells[-1]
    for module, name in named:
        source = (TESTS / module).read_text(encoding="utf-8")
        assert re.search(rf"^(?:async )?def {name}\(", source, re.MULTILINE), (module, name)
