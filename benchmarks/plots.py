"""Plots of a run, as SVG: how much dearer each way is, and how a storm grows."""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.results import Row, Run, Table

__all__ = ["drawn"]

OURS, OTHERS, GRID = "#1b7f4b", "#8a94a6", "#d8dce3"
# Tables of which a bar says more than a number.
BARS = (
    "A refresh on a kept connection",
    "The same, async, on a kept connection",
    "Importing: processor time",
    "Reading a token answer",
    "1,000 accounts at the same time, by as many tasks",
)


def drawn(run: Run, folder: Path) -> dict[str, str]:
    """Draw the plots into a folder.

    Args:
        run: The run.
        folder: Where to; it is made.

    Returns:
        The file names of the plots, by the title of the table that each belongs to.
    """
    # Only the environment of the benchmarks has it.
    mpl = importlib.import_module("matplotlib")
    mpl.use("svg")
    # The same figures give the same bytes, and text stays text.
    mpl.rcParams.update({"svg.hashsalt": "benchmarks", "svg.fonttype": "none", "font.size": 10})
    folder.mkdir(parents=True, exist_ok=True)
    names: dict[str, str] = {}
    for table in run.tables:
        if table.title in BARS:
            names[table.title] = _saved(_bars(table), folder, table.title)
    for kind in ("tasks", "threads"):
        storm = [each for each in run.tables if re.match(rf"[\d,]+ {kind} want", each.title)]
        if storm:
            names[storm[-1].title] = _saved(_storm(storm, kind), folder, f"storm {kind}")
    return names


def _saved(figure: Any, folder: Path, title: str) -> str:
    name = "-".join(re.findall(r"[a-z0-9]+", title.lower())) + ".svg"
    figure.savefig(folder / name, metadata={"Date": None}, facecolor="white")
    # Trailing blanks, which no committed file has.
    text = (folder / name).read_text(encoding="utf-8")
    (folder / name).write_text(re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE), encoding="utf-8")
    return name


def _bars(table: Table) -> Any:
    rows = [row for row in table.rows if row.ratio is not None][::-1]
    figure = importlib.import_module("matplotlib.figure").Figure(
        figsize=(8, 0.6 + 0.36 * len(rows)), layout="constrained"
    )
    axes = figure.subplots()
    places = range(len(rows))
    ratios = [row.ratio or 0.0 for row in rows]
    colours = [OURS if row.name.startswith("this package") else OTHERS for row in rows]
    axes.barh(places, ratios, color=colours, xerr=_whiskers(rows), error_kw={"ecolor": "#333"})
    for place, row in zip(places, rows, strict=True):
        end = max(row.ratio or 0.0, row.ratio_high or 0.0)
        axes.annotate(
            f"{row.ratio:.2f} x", (end, place), (4, 0), textcoords="offset points", va="center"
        )
    axes.set_yticks(places, [row.name for row in rows])
    axes.axvline(1.0, color="#333", linewidth=0.8)
    axes.set_xlabel(f"times {rows[-1].name}")
    if max(ratios) > 8:
        axes.set_xscale("log")
    axes.margins(x=0.12)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _whiskers(rows: Sequence[Row]) -> list[list[float]]:
    low = [max((row.ratio or 0.0) - (row.ratio_low or row.ratio or 0.0), 0.0) for row in rows]
    high = [max((row.ratio_high or row.ratio or 0.0) - (row.ratio or 0.0), 0.0) for row in rows]
    return [low, high]


def _storm(tables: Sequence[Table], kind: str) -> Any:
    lines: dict[str, list[tuple[int, Row]]] = {}
    for table in tables:
        callers = int(table.title.partition(" ")[0].replace(",", ""))
        for row in table.rows:
            if not row.name.startswith("share"):
                lines.setdefault(row.name, []).append((callers, row))
    figure = importlib.import_module("matplotlib.figure").Figure(
        figsize=(8, 4), layout="constrained"
    )
    axes = figure.subplots()
    for style, (name, points) in zip(("o-", "s--", "^-", "d:", "v-."), lines.items(), strict=False):
        ours = name.startswith("this package")
        axes.plot(
            [callers for callers, _row in points],
            [row.value for _callers, row in points],
            style,
            label=name,
            color=OURS if ours else None,
            linewidth=2.5 if ours else 1.2,
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(f"{kind} that want the token")
    axes.set_ylabel("milliseconds until all have it")
    axes.grid(visible=True, color=GRID)
    axes.legend()
    return figure
