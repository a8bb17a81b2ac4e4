"""Two ways of doing a thing, measured side by side in one run."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from statistics import median

from attrs import frozen

from benchmarks.results import Row, Table

__all__ = ["Figures", "compared", "table"]


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
    taken: list[list[float]] = [[] for _ in ways]
    for _name, do in ways:
        for _ in range(repetitions):
            do()  # connections are made, code is warm
    for number in range(rounds):
        # In turns, so that none profits from being second.
        order = range(len(ways)) if number % 2 else reversed(range(len(ways)))
        for place in order:
            do = ways[place][1]
            gc.collect()
            started = time.perf_counter()
            for _ in range(repetitions):
                do()
            taken[place].append((time.perf_counter() - started) / repetitions * 1e6)
    return [Figures(ways[place][0], tuple(figures)) for place, figures in enumerate(taken)]


def table(title: str, figures: Sequence[Figures], note: str = "") -> Table:
    """Give figures with their ratio to the first; the ratio is the median of the rounds' ratios.

    Args:
        title: What was measured.
        figures: What `compared` gave.
        note: What a reader has to know of how it was measured.
    """
    first = figures[0]
    rows: list[Row] = []
    for each in figures:
        ratios = [
            mine / other for mine, other in zip(each.microseconds, first.microseconds, strict=True)
        ]
        low, high = min(each.microseconds), max(each.microseconds)
        rows.append(Row(each.name, each.median, "µs", low, high, median(ratios)))
    return Table(title, tuple(rows), note)
