"""What a run of the benchmarks has found, as it is printed, kept as JSON, and shown in the docs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import asdict, evolve, frozen

__all__ = ["Row", "Run", "Table", "load", "save", "show"]


@frozen
class Row:
    """A figure.

    Attributes:
        name: What was measured.
        value: The figure; of several rounds the median.
        unit: Its unit.
        low: Where its spread begins, if there were several rounds: nine of ten lie within it.
        high: Where it ends.
        ratio: How often the first row's figure it is, if the rows are to be compared: the median of
            the rounds' ratios.
        ratio_low: Where the ratio's spread begins.
        ratio_high: Where it ends.
        halves: What the two halves of the run have found, each by itself, with its spread:
            ratios where there are any, and figures otherwise.
    """

    name: str
    value: float
    unit: str
    low: float | None = None
    high: float | None = None
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    halves: tuple[tuple[float, float, float], ...] = ()


@frozen
class Table:
    """Figures that belong together.

    Attributes:
        title: What they answer.
        rows: The figures.
        note: What a reader has to know of how they were taken.
    """

    title: str
    rows: tuple[Row, ...]
    note: str = ""


@frozen
class Run:
    """A run of all benchmarks.

    Attributes:
        machine: What it ran on and with, by name.
        tables: What it found.
    """

    machine: Mapping[str, str]
    tables: tuple[Table, ...]


def show(tables: Sequence[Table]) -> None:
    """Print tables for a person at a terminal."""
    for table in tables:
        print(f"\n{table.title}")
        for row in table.rows:
            line = f"  {row.name:<44}{row.value:>12,.1f} {row.unit:<10}"
            line += "" if row.ratio is None else f" x{row.ratio:.3f}"
            if row.low is not None and row.high is not None:
                line += f"   ({row.low:,.1f} to {row.high:,.1f})"
            print(line.rstrip())


def save(run: Run, file: Path) -> None:
    """Write a run as JSON."""
    text = json.dumps(asdict(run), indent=2, ensure_ascii=False)
    file.write_text(text + "\n", encoding="utf-8")


def load(file: Path) -> Run:
    """Read what `save` has written."""
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    tables = (
        Table(table["title"], tuple(map(_row, table["rows"])), table["note"])
        for table in content["tables"]
    )
    return Run(content["machine"], tuple(tables))


def _row(fields: dict[str, Any]) -> Row:
    row = Row(**fields)
    return evolve(row, halves=tuple((one, low, high) for one, low, high in row.halves))
