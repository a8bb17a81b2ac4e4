"""Ways of doing a thing, measured side by side in one run."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Sequence
from statistics import median, quantiles

from attrs import frozen

from benchmarks.results import Row, Table

__all__ = [
    "Figures",
    "chained",
    "chained_async",
    "compared",
    "compared_blocks",
    "row",
    "spread",
    "table",
]

SLOW_SECONDS = 0.01


@frozen
class Figures:
    """What one way costs.

    Attributes:
        name: What it is called.
        microseconds: One figure for each round: the mean of a round's repetitions.
    """

    name: str
    microseconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The figure in the middle, in microseconds."""
        return median(self.microseconds)


def compared(
    ways: Sequence[tuple[str, Callable[[], object]]], *, rounds: int, repetitions: int
) -> list[Figures]:
    """Measure ways of doing a thing in turn, so that a slow moment of the machine hits all.

    Args:
        ways: Each with its name; the first is what the others are compared with.
        rounds: How many figures to take of each.
        repetitions: How often to do it for one figure.

    Returns:
        The figures, in the order of the ways.
    """
    blocks = [(name, _repeated(do)) for name, do in ways]
    return compared_blocks(blocks, rounds=rounds, repetitions=repetitions)


def compared_blocks(
    ways: Sequence[tuple[str, Callable[[int], object]]], *, rounds: int, repetitions: int
) -> list[Figures]:
    """Measure ways that repeat themselves, as `compared` does.

    Args:
        ways: Each with its name. It is called with how often to do it.
        rounds: How many figures to take of each.
        repetitions: How often to do it for one figure. A way that takes more than ten milliseconds
            is done less often, but the first.

    Returns:
        The figures, in the order of the ways.
    """
    taken: list[list[float]] = [[] for _ in ways]
    counts: list[int] = []
    for _name, do in ways:
        do(repetitions // 20 + 1)  # connections are made
        started = time.perf_counter()
        do(repetitions // 20)
        seconds = (time.perf_counter() - started) / max(repetitions // 20, 1)
        is_slow = seconds > SLOW_SECONDS and counts != []
        counts.append(max(repetitions // 20, 1) if is_slow else repetitions)
    for number in range(rounds):
        # In turns, so that none profits from being second.
        order = range(len(ways)) if number % 2 else reversed(range(len(ways)))
        for place in order:
            do = ways[place][1]
            gc.collect()
            started = time.perf_counter()
            do(counts[place])
            taken[place].append((time.perf_counter() - started) / counts[place] * 1e6)
    return [Figures(ways[place][0], tuple(figures)) for place, figures in enumerate(taken)]


def chained(do: Callable[[str], str], first: str) -> Callable[[int], None]:
    """Make a way that repeats itself, and is given each time what it gave before.

    Args:
        do: Does it once.
        first: What it is given first.
    """
    held = [first]

    def repeat(count: int) -> None:
        for _ in range(count):
            held[0] = do(held[0])

    return repeat


def chained_async(
    runner: asyncio.Runner, do: Callable[[str], Awaitable[str]], first: str
) -> Callable[[int], None]:
    """Do the same with something to await, one after the other in one task.

    Args:
        runner: Keeps the event loop, and with it the connections.
        do: Does it once.
        first: What it is given first.
    """
    held = [first]

    async def repeat(count: int) -> None:
        for _ in range(count):
            held[0] = await do(held[0])

    return lambda count: runner.run(repeat(count))


def spread(figures: Sequence[float]) -> tuple[float, float]:
    """Give what nine figures of ten lie within."""
    if len(figures) < 2:
        return figures[0], figures[0]
    cuts = quantiles(figures, n=20, method="inclusive")
    return cuts[0], cuts[-1]


def row(name: str, figures: Sequence[float], first: Sequence[float], unit: str) -> Row:
    """Give a row of several rounds, with its ratio to the first, which is taken round by round.

    Args:
        name: What was measured.
        figures: A figure for each round.
        first: The same of what it is compared with.
        unit: Their unit.
    """
    ratios = [mine / other for mine, other in zip(figures, first, strict=True)]
    low, high = spread(figures)
    ratio_low, ratio_high = spread(ratios)
    return Row(name, median(figures), unit, low, high, median(ratios), ratio_low, ratio_high)


def table(title: str, figures: Sequence[Figures], note: str = "") -> Table:
    """Give figures with their ratio to the first; the ratio is the median of the rounds' ratios.

    Args:
        title: What was measured.
        figures: What `compared` gave.
        note: What a reader has to know of how it was measured.
    """
    first = figures[0].microseconds
    rows = (row(each.name, each.microseconds, first, "µs") for each in figures)
    return Table(title, tuple(rows), note)


def _repeated(do: Callable[[], object]) -> Callable[[int], object]:
    def repeat(count: int) -> None:
        for _ in range(count):
            do()

    return repeat
