"""A run is two halves that know nothing of each other; here they are joined and held together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import mean

from benchmarks.results import Row, Table

__all__ = ["disagreements", "joined"]

# Where figures are taken once in each half, or come out alike to the digit, there is no spread.
TOLERANCE = 0.03


def joined(first: Sequence[Table], second: Sequence[Table]) -> list[Table]:
    """Give the tables of both halves: the mean of both figures, the spread of both together.

    Args:
        first: The tables of one half.
        second: The same of the other.
    """
    return [
        Table(
            one.title,
            tuple(_row(mine, yours) for mine, yours in zip(one.rows, other.rows, strict=True)),
            one.note,
        )
        for one, other in zip(first, second, strict=True)
    ]


def disagreements(tables: Sequence[Table]) -> list[str]:
    """Name the figures of which the halves' spreads do not meet.

    Args:
        tables: Joined tables.

    Returns:
        A line for each. Ratios are compared where there are any: they are what carries over.
    """
    return [
        f"{table.title}: {row.name}: {row.halves[0][0]:.3f} and {row.halves[1][0]:.3f}"
        for table in tables
        for row in table.rows
        if row.halves and not _agree(*row.halves)
    ]


def _agree(mine: tuple[float, float, float], yours: tuple[float, float, float]) -> bool:
    one, low, high = mine
    other, other_low, other_high = yours
    within = TOLERANCE * max(abs(one), abs(other))
    return abs(one - other) <= within or (low <= other_high and other_low <= high)


def _half(row: Row) -> tuple[float, float, float]:
    if row.ratio is None:
        return row.value, _or(row.low, row.value), _or(row.high, row.value)
    return row.ratio, _or(row.ratio_low, row.ratio), _or(row.ratio_high, row.ratio)


def _or(figure: float | None, otherwise: float) -> float:
    return otherwise if figure is None else figure


def _row(mine: Row, yours: Row) -> Row:
    assert mine.name == yours.name
    ratios = [each.ratio for each in (mine, yours) if each.ratio is not None]
    return Row(
        mine.name,
        mean([mine.value, yours.value]),
        mine.unit,
        _both(min, mine.low, yours.low),
        _both(max, mine.high, yours.high),
        mean(ratios) if ratios else None,
        _both(min, mine.ratio_low, yours.ratio_low),
        _both(max, mine.ratio_high, yours.ratio_high),
        (_half(mine), _half(yours)),
    )


def _both(
    choose: Callable[[float, float], float], mine: float | None, yours: float | None
) -> float | None:
    return None if mine is None or yours is None else choose(mine, yours)
