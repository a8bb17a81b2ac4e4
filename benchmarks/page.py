"""The page docs/benchmarks.md: the targets, a table for each question, two plots."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from benchmarks.call_cost import AUTH, BARE_AUTH
from benchmarks.fleet import FLEET
from benchmarks.import_cost import WITH_ATTRS
from benchmarks.measure import AGAIN, Figure, Run, Table
from benchmarks.peers import CALL, REFRESH
from benchmarks.storm import BY_HAND, OURS, SHARE

INTRODUCTION = """\
# Benchmarks

This page compares the time and memory of this package with those of other clients and of plain
httpx, on one machine. `make bench` repeats all measurements, saves the figures in
`benchmarks/results.json`, and writes this page. `make bench ARGS="import refresh"` repeats only
the named parts.

All clients run on the same interpreter with the same version of httpx, against a server in a
separate process. The whole benchmark takes less than five minutes: each comparison has a time
limit, after which no further round begins. The clients take turns, so that a slow moment of the
machine affects all of them.

A cell shows the median of all rounds, the range of nine rounds in ten, and the ratio to the first
row of its column (the median of the ratios in each round). In the table of many callers, a cell
shows the number of token requests instead of a ratio. Ratios are similar on other machines; the
figures themselves are not. `httpx, once more` measures httpx a second time: the difference between
its ratio and 1 is the noise of the measurement.
"""

PACKAGE = "this package"
# What is compared, the part and its cell, the most that the ratio may be.
RATIOS = (
    ("a generated call", "call", CALL, "sync", 1.0),
    ("a generated call, async", "call", CALL, "async", 1.0),
    ("PipedriveOAuth.refresh", "refresh", REFRESH, "sync", 1.04),
    ("AsyncPipedriveOAuth.refresh", "refresh", REFRESH, "async", 1.04),
    ("an API request with PipedriveAuth", "request", AUTH, "sync", 1.01),
    ("an API request with PipedriveAuth, async", "request", AUTH, "async", 1.01),
    ("importing a generated call", "import", CALL, "processor time", 1.24),
    ("importing PipedriveOAuth", "import", f"{PACKAGE}, PipedriveOAuth", "processor time", 1.30),
    ("importing PipedriveAuth", "import", f"{PACKAGE}, PipedriveAuth", "processor time", 1.38),
    (
        "refresh_due, time per account, 100,000 accounts compared with 1,000",
        *("fleet", "100,000 accounts", FLEET, 1.1),
    ),
)
COLOR_OURS, COLOR_OTHERS, GRID = "#1b7f4b", "#8a94a6", "#d8dce3"


@frozen
class Target:
    """A target in words, with what was measured, and whether it was met."""

    words: str
    is_met: bool


def targets(run: Run) -> list[Target]:
    """Judge a run by all targets whose figures it has."""
    return list(_judged({table.name: table for table in run.tables}))


def _judged(tables: dict[str, Table]) -> Iterator[Target]:
    for what, part, row, column, most in RATIOS:
        cell = tables[part].get(row, column) if part in tables else None
        if part in tables and cell is not None and cell.ratio is not None:
            # A target of 1 is httpx itself, which measured twice does not give 1 either.
            control = tables[part].get(AGAIN, column) if most == 1.0 else None
            yield _ratio(what, cell.ratio, most, control, _floor(tables[part], column))
    if "storm" not in tables:
        return
    storm = tables["storm"].figures
    for cell in storm:
        if cell.column == SHARE:
            by_hand = _share_by_hand(tables["storm"], cell)
            what = f"{cell.row}: share of the time limit"
            yield _ratio(what, cell.value, 1.0, floor=by_hand)
    sent = [cell.most_requests for cell in storm if cell.column == OURS]
    words = f"cases of many callers with one request in every round: {sent.count(1)} of {len(sent)}"
    yield Target(words, sent.count(1) == len(sent))


def _floor(table: Table, column: str) -> Figure | None:
    """Give what an import or a request costs without this package's own code."""
    row = {"import": WITH_ATTRS, "request": BARE_AUTH}.get(table.name)
    return None if row is None else table.get(row, column)


def _share_by_hand(storm: Table, share: Figure) -> Figure | None:
    """Give the share of the same time that a lock by hand has taken."""
    ours, by_hand = storm.get(share.row, OURS), storm.get(share.row, BY_HAND)
    if ours is None or by_hand is None:
        return None
    return evolve(by_hand, row=BY_HAND, ratio=share.value * by_hand.value / ours.value)


def _ratio(
    what: str,
    ratio: float,
    most: float,
    control: Figure | None = None,
    floor: Figure | None = None,
) -> Target:
    words = f"{what}: {ratio:.3f} (target {most:.2f})"
    if floor is not None and floor.ratio is not None:
        words = f"{what}: {ratio:.3f} (target {most:.2f}; {floor.row} alone: {floor.ratio:.3f})"
    if ratio <= most:
        return Target(words, is_met=True)
    noise = abs((control.ratio or 1.0) - 1.0) if control else 0.0
    if ratio <= most + noise:
        return Target(f"{words}, within the noise of {noise:.3f}", is_met=True)
    return Target(f"{words}, missed by {ratio - most:.3f}", is_met=False)


def write(run: Run, file: Path) -> None:
    """Write the page; its plots go into a folder of the same name beside it."""
    folder = file.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    plots: dict[str, str] = {}
    for table in run.tables:
        if table.name in {"refresh", "storm"}:
            figure = _bars(table) if table.name == "refresh" else _storm(table)
            plots[table.name] = f"{folder.name}/{_saved(figure, folder, table.name)}"
    file.write_text("\n".join(lines(run, plots)), encoding="utf-8")


def lines(run: Run, plots: Mapping[str, str]) -> Iterator[str]:
    """Yield the page's lines; `plots` has the addresses of plots by the names of tables."""
    yield INTRODUCTION
    yield "## Targets\n"
    yield "| Target | |"
    yield "| --- | --- |"
    for target in targets(run):
        yield f"| {target.words} | {'met' if target.is_met else 'missed'} |"
    for table in run.tables:
        yield f"\n## {table.title}\n"
        yield from _cells(table)
        if table.note:
            yield f"\n{table.note}"
        yield f"\nMeasured {table.measured}."
        if table.name in plots:
            yield f"\n![{table.title}]({plots[table.name]})"
    yield "\n## The machine\n"
    yield "| What | Which |"
    yield "| --- | --- |"
    yield from (f"| {name} | {value} |" for name, value in run.machine.items())
    yield ""


def _cells(table: Table) -> Iterator[str]:
    rows = list(dict.fromkeys(each.row for each in table.figures))
    columns = list(dict.fromkeys(each.column for each in table.figures))
    columns.sort(key=SHARE.__eq__)  # last
    yield f"| | {' | '.join(columns)} |"
    # Figures are read from the right.
    yield "| --- |" + " ---: |" * len(columns)
    for row in rows:
        cells = (table.get(row, column) for column in columns)
        yield f"| {row} | {' | '.join('' if cell is None else _text(cell) for cell in cells)} |"


def _text(cell: Figure) -> str:
    text = f"{_number(cell.value)} {cell.unit}".strip()
    if cell.requests is not None:
        return f"{text}, {cell.requests:g} request{'s' * (cell.requests != 1)}"
    if cell.low is not None and cell.high is not None and cell.low != cell.high:
        text += f" ({_number(cell.low)} to {_number(cell.high)})"
    return text if cell.ratio is None else f"{text}, x\u00a0{cell.ratio:.3f}"


def _number(value: float) -> str:
    """Write a figure with three digits or, where it is larger, without a fraction."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _saved(figure: Any, folder: Path, name: str) -> str:
    file = folder / f"{name}.svg"
    figure.savefig(file, metadata={"Date": None}, facecolor="white")
    # Trailing blanks, which no committed file has.
    text = re.sub(r"[ \t]+$", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    file.write_text(text, encoding="utf-8")
    return file.name


def _axes(height: float) -> tuple[Any, Any]:
    # Only the environment of the benchmarks has it.
    mpl = importlib.import_module("matplotlib")
    mpl.use("svg")
    # The same figures give the same bytes, and text stays text.
    mpl.rcParams.update({"svg.hashsalt": "benchmarks", "svg.fonttype": "none", "font.size": 10})
    module = importlib.import_module("matplotlib.figure")
    figure = module.Figure(figsize=(8, height), layout="constrained")
    return figure, figure.subplots()


def _bars(table: Table) -> Any:
    """Draw the ratio of each cell to plain httpx."""
    cells = [cell for cell in table.figures if cell.ratio is not None][::-1]
    figure, axes = _axes(0.6 + 0.32 * len(cells))
    ratios = [cell.ratio or 0.0 for cell in cells]
    places = range(len(cells))
    ours = [cell.row.startswith("this package") for cell in cells]
    axes.barh(places, ratios, color=[COLOR_OURS if own else COLOR_OTHERS for own in ours])
    for place, ratio in zip(places, ratios, strict=True):
        text = {"textcoords": "offset points", "va": "center"}
        axes.annotate(f"{ratio:.2f} x", (ratio, place), (4, 0), **text)
    axes.set_yticks(places, [f"{cell.row}, {cell.column}" for cell in cells])
    axes.axvline(1.0, color="#333", linewidth=0.8)
    axes.set_xlabel(f"times {table.figures[0].row}")
    if max(ratios) > 8:
        axes.set_xscale("log")
    axes.margins(x=0.12)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _storm(table: Table) -> Any:
    """Draw how the time of a storm of tasks grows with the number of tasks."""
    figure, axes = _axes(4)
    cells = [cell for cell in table.figures if "task" in cell.row and cell.column != SHARE]
    names = list(dict.fromkeys(cell.column for cell in cells))
    for style, name in zip(("o-", "s--", "^-", "d:", "v-."), names, strict=False):
        points = [(_callers(cell), cell.value) for cell in cells if cell.column == name]
        own = {"color": COLOR_OURS, "linewidth": 2.5} if name == OURS else {"linewidth": 1.2}
        axes.plot(*zip(*points, strict=True), style, label=name, **own)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("tasks that want the token")
    axes.set_ylabel("milliseconds until all have it")
    axes.grid(visible=True, color=GRID)
    axes.legend()
    return figure


def _callers(cell: Figure) -> int:
    return int(cell.row.partition(" ")[0].replace(",", ""))
