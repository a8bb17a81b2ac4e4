"""What the benchmarks make of figures: how halves are joined and held together, and judged."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.halves import disagreements, joined
from benchmarks.measure import compared_blocks, row, spread
from benchmarks.peers import AGAIN
from benchmarks.results import Row, Run, Table, load, save
from benchmarks.targets import targets

REFRESH = "A refresh on a kept connection"
CALL = "this package, generated call"


def half(ratio: float) -> list[Table]:
    """Give a half in which one way is so much dearer than the first, give or take a tenth."""
    spread = (ratio - 0.1, ratio + 0.1)
    first = Row("httpx", 100.0, "µs", 90.0, 110.0, 1.0, 1.0, 1.0)
    return [Table(REFRESH, (first, Row(CALL, 100.0 * ratio, "µs", 90.0, 150.0, ratio, *spread)))]


def test_ratios_are_taken_round_by_round() -> None:
    """A slow round makes both figures larger, and leaves the ratio alone."""
    found = row("a", [2.0, 20.0, 2.0], [1.0, 10.0, 1.0], "µs")
    assert (found.value, found.ratio, found.ratio_low, found.ratio_high) == (2.0, 2.0, 2.0, 2.0)


def test_the_spread_leaves_out_one_round_of_ten() -> None:
    """The slowest and the quickest of many rounds say nothing of the others."""
    assert spread([1.0, *range(100, 119), 1_000.0]) == (100.0, 118.0)
    assert spread([7.0]) == (7.0, 7.0)


def test_ways_take_turns() -> None:
    """Each round does every way as often as it is told to, and the order alternates."""
    done: list[tuple[str, int]] = []
    ways = [(name, lambda count, name=name: done.append((name, count))) for name in ("a", "b")]
    compared_blocks(ways, rounds=2, repetitions=40)
    assert done[-4:] == [("b", 40), ("a", 40), ("a", 40), ("b", 40)]


def test_halves_are_joined() -> None:
    """A joined figure is the mean of both, and its spread that of both together."""
    (table,) = joined(half(1.0), half(1.2))
    found = table.rows[1]
    assert found.ratio == pytest.approx(1.1)
    assert found.ratio_low == pytest.approx(0.9)
    assert found.ratio_high == pytest.approx(1.3)
    assert [each for each, _low, _high in found.halves] == [1.0, 1.2]


def test_halves_that_disagree_are_named() -> None:
    """Halves whose spreads do not meet are named with both figures; others are not."""
    assert disagreements(joined(half(1.0), half(1.19))) == []
    apart = joined(half(1.0), half(1.25))
    table = Table(
        "Counts", (Row("requests", 55.0, "", halves=((10.0, 9.0, 11.0), (100.0, 90.0, 110.0))),)
    )
    assert [line.rpartition(": ")[2] for line in disagreements([*apart, table])] == [
        "1.000 and 1.250",
        "10.000 and 100.000",
    ]


@pytest.mark.parametrize(
    ("ratio", "is_met", "words"),
    [
        (0.9, True, "0.900"),
        (1.02, True, "within the noise of 0.030"),
        (1.05, False, "missed by 0.050"),
    ],
)
def test_targets_are_judged(ratio: float, is_met: bool, words: str) -> None:
    """A target is met, met within the noise, or missed by so much.

    The noise is what the same thing, measured twice, is apart by in one of the halves.
    """
    table = half(ratio)[0]
    control = Row(AGAIN, 100.0, "µs", ratio=1.0, halves=((0.97, 0.5, 1.5), (1.02, 0.5, 1.5)))
    (target,) = targets(Run({}, (Table(table.title, (*table.rows, control)),)))
    assert target.is_met is is_met
    assert words in target.words


def test_other_targets_know_no_noise() -> None:
    """What may cost five percent more is judged by its figure alone."""
    flow = Row("this package, PipedriveOAuth.refresh", 1.0, "µs", ratio=1.051)
    control = Row(AGAIN, 100.0, "µs", ratio=1.0, halves=((0.9, 0.5, 1.5),))
    (target,) = targets(Run({}, (Table(REFRESH, (flow, control)),)))
    assert not target.is_met
    assert target.words.endswith("missed by 0.001")


def test_a_run_survives_its_file(tmp_path: Path) -> None:
    """What is read is what was written."""
    run = Run({"processor": "some"}, tuple(joined(half(1.0), half(1.1))))
    save(run, tmp_path / "results.json")
    assert load(tmp_path / "results.json") == run
