"""Ways of doing a thing, measured side by side in one run, and the figures that come of it."""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Any, TypeAlias

from attrs import asdict, frozen

# A row that measures its table's first row a second time: what its ratio differs from 1 by is
# the noise of the measurement.
AGAIN = "httpx, once more"
SLOW_SECONDS = 0.01
# How many rounds show that a part works.
QUICK_ROUNDS = 2
# For one comparison, so that all parts take less than five minutes.
MOST_SECONDS = 15.0

# Called with how often to do something.
Block: TypeAlias = Callable[[int], object]


@frozen
class Figure:
    """One cell of a table: what was measured, and in which form."""

    row: str
    column: str
    # The median of the rounds; nine rounds of ten lie between `low` and `high`.
    value: float
    unit: str
    low: float | None = None
    high: float | None = None
    # The median of the rounds' ratios to the first row of the column, with its spread.
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    # How many token requests the server got in a storm, and in the round with the most of them.
    requests: float | None = None
    most_requests: float | None = None


@frozen
class Table:
    """The figures of one part of the benchmarks, which answer one question."""

    name: str
    title: str
    figures: tuple[Figure, ...]
    note: str = ""
    measured: str = ""

    def get(self, row: str, column: str) -> Figure | None:
        """Return a cell, if it is there."""
        cells = (each for each in self.figures if (each.row, each.column) == (row, column))
        return next(cells, None)


@frozen
class Run:
    """All tables, and what the newest of them were measured on."""

    machine: Mapping[str, str]
    tables: tuple[Table, ...]


def rounds_within(rounds: int, seconds: float = MOST_SECONDS) -> Iterator[int]:
    """Yield the numbers of rounds, but begin none, after the first two, when the time is over."""
    began = time.monotonic()
    for number in range(rounds):
        if number >= QUICK_ROUNDS and time.monotonic() - began > seconds:
            return
        yield number


def compared(
    ways: Sequence[tuple[str, Block]], *, rounds: int, repetitions: int
) -> dict[str, list[float]]:
    """Measure ways in turns, so that a slow moment of the machine hits all.

    A way that takes more than ten milliseconds is repeated less often, except for the first.

    Returns:
        The microseconds that each way took, by its name: one figure for each round.
    """
    taken: dict[str, list[float]] = {name: [] for name, _do in ways}
    counts: list[int] = []
    few = max(repetitions // 20, 1)
    for _name, do in ways:
        do(few)  # connections are made
        started = time.perf_counter()
        do(few)
        is_slow = (time.perf_counter() - started) / few > SLOW_SECONDS
        counts.append(few if is_slow and counts else repetitions)
    for number in rounds_within(rounds):
        # The order alternates, so that none profits from being second.
        turns = list(zip(ways, counts, strict=True))
        for (name, do), count in turns if number % 2 else reversed(turns):
            gc.collect()
            started = time.perf_counter()
            do(count)
            taken[name].append((time.perf_counter() - started) / count * 1e6)
    return taken


def repeated(do: Callable[[], object]) -> Block:
    """Make a block of a call."""

    def repeat(count: int) -> None:
        for _ in range(count):
            do()

    return repeat


def repeated_async(runner: asyncio.Runner, do: Callable[[], Awaitable[object]]) -> Block:
    """Make a block of an asynchronous call; the runner keeps the event loop between blocks."""

    async def repeat(count: int) -> None:
        for _ in range(count):
            await do()

    return lambda count: runner.run(repeat(count))


def chained(do: Callable[[str], str], first: str) -> Block:
    """Make a block of a call that takes what the call before returned."""
    held = [first]

    def once() -> None:
        held[0] = do(held[0])

    return repeated(once)


def chained_async(runner: asyncio.Runner, do: Callable[[str], Awaitable[str]], first: str) -> Block:
    """Do as `chained` with an asynchronous call."""
    held = [first]

    async def once() -> None:
        held[0] = await do(held[0])

    return repeated_async(runner, once)


def spread(figures: Sequence[float]) -> tuple[float, float]:
    """Return what nine figures of ten lie within."""
    if len(figures) < 2:
        return figures[0], figures[0]
    cuts = quantiles(figures, n=20, method="inclusive")
    return cuts[0], cuts[-1]


def figures(column: str, taken: Mapping[str, Sequence[float]], unit: str = "µs") -> list[Figure]:
    """Return a column of cells, with ratios to its first row that are taken round by round."""
    found: list[Figure] = []
    first = next(iter(taken.values()))
    for row, values in taken.items():
        ratios = [mine / other for mine, other in zip(values, first, strict=True)]
        (low, high), (ratio_low, ratio_high) = spread(values), spread(ratios)
        ratio = median(ratios)
        cell = (median(values), unit, low, high, ratio, ratio_low, ratio_high)
        found.append(Figure(row, column, *cell))
    return found


def show(table: Table) -> None:
    """Print a table for a person at a terminal."""
    print(f"\n{table.title}")
    for each in table.figures:
        line = f"  {each.row + ', ' + each.column:<60}{each.value:>12,.2f} {each.unit:<5}"
        line += "" if each.ratio is None else f" x{each.ratio:.3f}"
        line += "" if each.requests is None else f" {each.requests:g} requests"
        print(line.rstrip())


def save(run: Run, file: Path) -> None:
    """Write a run as JSON, without the fields that a figure does not have."""
    content = asdict(run)
    for table in content["tables"]:
        table["figures"] = [
            {name: value for name, value in figure.items() if value is not None}
            for figure in table["figures"]
        ]
    text = json.dumps(content, indent=1, ensure_ascii=False)
    file.write_text(text + "\n", encoding="utf-8")


def load(file: Path) -> Run:
    """Read what `save` wrote."""
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    tables: list[dict[str, Any]] = content["tables"]
    for table in tables:
        table["figures"] = tuple(Figure(**figure) for figure in table["figures"])
    return Run(content["machine"], tuple(Table(**table) for table in tables))
