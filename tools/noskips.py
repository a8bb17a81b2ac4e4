"""Fail if a JUnit report has skipped tests, or none at all: `python -m tools.noskips REPORT`.

A test that skips itself where something is missing looks like one that passes. On CI nothing is
missing.
"""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree as ET


def faults(report: Path) -> list[str]:
    """Return what is wrong with a report: each skipped test, or that there is no test."""
    # Written by the pytest run just before, not by a stranger.
    cases = list(ET.parse(report).iter("testcase"))  # noqa: S314
    if not cases:
        return ["no test ran"]
    # An expected failure is written as a skipped test too, and is as little of a pass.
    skipped = [case for case in cases if case.find("skipped") is not None]
    return [f"not run to the end: {case.get('classname')}::{case.get('name')}" for case in skipped]


def main() -> int:
    """Print the faults of the report named on the command line and return the exit code."""
    found = faults(Path(sys.argv[1]))
    for fault in found:
        print(fault, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
