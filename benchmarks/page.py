"""The page of the documentation that shows a run: docs/benchmarks.md, with its plots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.halves import disagreements
from benchmarks.plots import drawn
from benchmarks.results import Row, Run, Table
from benchmarks.targets import targets

__all__ = ["write"]

INTRODUCTION = """\
# Benchmarks

What this package costs beside other clients, and beside plain httpx, on one machine in one run.
`make bench` measures anew, keeps the figures in `benchmarks/results.json`, and writes this page;
`make bench ARGS="import refresh"` measures some parts.

All clients run on the same interpreter with the same httpx, against a server in a process of its
own. The ways are taken in turns, so that a slow moment of the machine hits all of them. A figure is
the median of the rounds, nine rounds of ten lie within its spread, and a ratio is taken round by
round. Ratios carry over to another machine; the figures themselves don't. `httpx, once more` is the
same again, so that what its ratio differs from 1 by is the noise of the measurement.

A run has two halves that share nothing. A figure here is the mean of both, its spread that of both
together. The halves agree on a figure where their spreads meet.
"""

WHERE = """\
### Where the time goes, where a target is missed

- **Importing.** httpx itself is what most of an import costs. attrs, which the models and settings
  are made with, adds more than the target allows by itself, as `httpx and attrs` shows. The rest
  is, in about equal parts, the classes that attrs makes (14 until `PipedriveOAuth` is there) and
  40 small modules. What can do without httpx does: the errors, a token and the Basic header, which
  is mostly the import of attrs. The address of the consent page is built with httpx.
- **A call.** Asynchronous calls enter and leave a scope of anyio, which ends the reading of an
  answer that is too large; that takes about 3 µs.
- **A refresh.** What `PipedriveOAuth.refresh` adds to the generated call are about a hundred small
  function calls: the checks of the token and of where it may go, the next expiry, and the record of
  the call in the log.
- **An API request.** Without a network, the table of that name shows what is added: a header that
  is set on the request, and not once on the client, a look at the clock and at the address.
- **A storm.** What this package adds to waiting are a thread for the renewal, the lock of the
  account in the store, two reads of it and a save. A thread of its own is what keeps a renewal
  whole when its caller is cancelled. It has to share the interpreter with the tasks that are
  started meanwhile: with hundreds of them, the request waits for them as often as it waits for the
  network.
"""


def write(run: Run, file: Path) -> None:
    """Write the page and its plots.

    Args:
        run: The run.
        file: The page; the plots go into a folder of the same name beside it.
    """
    plots = drawn(run, file.with_suffix(""))
    file.write_text("\n".join(_lines(run, plots, file.stem)), encoding="utf-8")


def _lines(run: Run, plots: Mapping[str, str], folder: str) -> Iterator[str]:
    yield INTRODUCTION
    yield "## Targets\n"
    yield "| Target | |"
    yield "| --- | --- |"
    for target in targets(run):
        yield f"| {target.words} | {'met' if target.is_met else 'missed'} |"
    yield ""
    yield WHERE
    yield "## Do the halves agree?\n"
    apart = disagreements(run.tables)
    yield "Within the stated spread they do" + (", but for:\n" if apart else ".\n")
    yield from (f"- {line}" for line in apart)
    yield "\n## The machine\n" if apart else "## The machine\n"
    yield "| What | Which |"
    yield "| --- | --- |"
    yield from (f"| {name} | {value} |" for name, value in run.machine.items())
    noted: set[str] = set()
    for table in run.tables:
        yield f"\n## {table.title}\n"
        yield from _figures(table)
        if table.note and table.note not in noted:
            noted.add(table.note)
            yield f"\n{table.note}"
        if table.title in plots:
            yield f"\n![{table.title}]({folder}/{plots[table.title]})"
    yield ""


def _figures(table: Table) -> Iterator[str]:
    """Give a table with only the columns that some row fills."""
    has_spread = any(row.low is not None for row in table.rows)
    has_ratio = any(row.ratio is not None for row in table.rows)
    heads = ["What", "Figure", *["Spread"] * has_spread, *["Ratio", "Its spread"] * has_ratio]
    yield f"| {' | '.join(heads)} |"
    # Figures are read from the right.
    yield "| --- |" + " ---: |" * (len(heads) - 1)
    for row in table.rows:
        cells = [row.name, f"{_number(row.value)} {row.unit}".strip()]
        if has_spread:
            cells.append(_spread(row))
        if has_ratio:
            ratio = "" if row.ratio is None else f"{row.ratio:.3f}"
            cells += [ratio, _spread_of_ratio(row)]
        yield f"| {' | '.join(cells)} |"


def _spread(row: Row) -> str:
    if row.low is None or row.high is None:
        return ""
    return f"{_number(row.low)} to {_number(row.high)}"


def _spread_of_ratio(row: Row) -> str:
    if row.ratio_low is None or row.ratio_high is None:
        return ""
    return f"{row.ratio_low:.3f} to {row.ratio_high:.3f}"


def _number(value: float) -> str:
    """Write a figure with as many digits as it is worth."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
