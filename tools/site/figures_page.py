"""The page of the benchmarks, written from the figures that `make bench` has kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.results import Row, Run, Table, load
from tools.apidocs.pages import table

INTRODUCTION = """\
# Benchmarks

What this package costs, against the plain way of doing the same on the same machine in the same
run. `make bench` measures anew and keeps the figures in `benchmarks/results.json`, which this page
is written from.

The ways are taken in turns, so that a slow moment of the machine hits all of them. A figure is the
median of the rounds; the spread is from the least to the most. Ratios are what carries over to
another machine; the figures themselves don't.
"""


def page(results: Path) -> str:
    """Give the page as Markdown.

    Args:
        results: The file that `make bench` has written.
    """
    return "\n".join(_lines(load(results)))


def _lines(run: Run) -> Iterator[str]:
    yield INTRODUCTION
    yield "## The machine\n"
    yield from table(("What", "Which"), ((name, value) for name, value in run.machine.items()))
    for each in run.tables:
        yield f"\n## {each.title}\n"
        yield from _figures(each)
        if each.note:
            yield f"\n{each.note}"
    yield ""


def _figures(figures: Table) -> list[str]:
    """Give a table with only the columns that some row fills."""
    spread = any(row.low is not None for row in figures.rows)
    ratio = any(row.ratio is not None for row in figures.rows)
    first = figures.rows[0].name
    heads = ("What", "Figure", *["Spread"] * spread, *[f"Ratio to {first}"] * ratio)
    lines = table(heads, (_cells(row, spread=spread, ratio=ratio) for row in figures.rows))
    # Figures are read from the right.
    lines[1] = "| --- |" + " ---: |" * (len(heads) - 1)
    return lines


def _cells(row: Row, *, spread: bool, ratio: bool) -> tuple[str, ...]:
    cells = [row.name, f"{number(row.value)} {row.unit}".strip()]
    if spread:
        both = row.low is not None and row.high is not None
        cells.append(f"{number(row.low or 0)} to {number(row.high or 0)}" if both else "")
    if ratio:
        cells.append("" if row.ratio is None else f"{row.ratio:.3f}")
    return tuple(cells)


def number(value: float) -> str:
    """Write a figure with as many digits as it is worth."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
