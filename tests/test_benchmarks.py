"""What the benchmarks make of figures: how ratios are taken, targets judged, and runs shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.__main__ import PAGE, PARTS, RESULTS
from benchmarks.import_cost import WITH_ATTRS
from benchmarks.measure import (
    AGAIN,
    Figure,
    Run,
    Table,
    compared,
    figures,
    load,
    rounds_within,
    save,
    spread,
)
from benchmarks.page import lines, targets
from benchmarks.peers import CALL, REFRESH
from benchmarks.storm import BY_HAND, OURS, SHARE


def run_of(*cells: Figure, part: str = "call") -> Run:
    """Return a run with one table."""
    return Run({"processor": "some"}, (Table(part, "A question", cells, "A note.", "2026-11-25"),))


def test_ratios_are_taken_round_by_round() -> None:
    """A slow round makes both figures larger, and leaves the ratio alone."""
    _first, found = figures("sync", {"first": [1.0, 10.0, 1.0], "a": [2.0, 20.0, 2.0]})
    assert (found.value, found.ratio, found.ratio_low, found.ratio_high) == (2.0, 2.0, 2.0, 2.0)


def test_the_spread_leaves_out_one_round_of_ten() -> None:
    """The slowest and the quickest of many rounds say nothing of the others."""
    assert spread([1.0, *range(100, 119), 1_000.0]) == (100.0, 118.0)
    assert spread([7.0]) == (7.0, 7.0)


def test_ways_take_turns() -> None:
    """Each round does every way as often as it is told to, and the order alternates."""
    done: list[tuple[str, int]] = []
    ways = [(name, lambda count, name=name: done.append((name, count))) for name in ("a", "b")]
    compared(ways, rounds=2, repetitions=40)
    assert done[-4:] == [("b", 40), ("a", 40), ("a", 40), ("b", 40)]


@pytest.mark.parametrize(
    ("ratio", "is_met", "words"),
    [
        (0.9, True, "0.900"),
        (1.02, True, "within the noise of 0.030"),
        (1.05, False, "missed by 0.050"),
    ],
)
def test_targets_are_judged(ratio: float, is_met: bool, words: str) -> None:
    """A target is met, met within the noise of httpx measured twice, or missed by so much."""
    control = Figure(AGAIN, "sync", 100.0, "µs", ratio=0.97)
    (target,) = targets(run_of(control, Figure(CALL, "sync", 100.0, "µs", ratio=ratio)))
    assert target.is_met is is_met
    assert words in target.words


def test_other_targets_know_no_noise() -> None:
    """What may cost four percent more is judged by its figure alone."""
    control = Figure(AGAIN, "sync", 100.0, "µs", ratio=0.9)
    refresh = Figure(REFRESH, "sync", 1.0, "µs", ratio=1.041)
    (target,) = targets(run_of(control, refresh, part="refresh"))
    assert not target.is_met
    assert target.words.endswith("missed by 0.001")


def test_an_import_is_shown_beside_what_it_can_t_do_without() -> None:
    """What httpx and attrs cost alone is the reason of most that an import misses."""
    floor = Figure(WITH_ATTRS, "processor time", 80.0, "ms", ratio=1.15)
    ours = Figure(CALL, "processor time", 90.0, "ms", ratio=1.23)
    (target,) = targets(run_of(floor, ours, part="import"))
    assert target.is_met
    assert "1.230 (target 1.24; httpx and attrs alone: 1.150)" in target.words


def test_a_storm_is_shown_beside_a_lock_by_hand() -> None:
    """What a lock by hand takes of the same time is the reason of what a storm misses."""
    cells = [
        Figure("10 tasks", OURS, 3.0, "ms", requests=1, most_requests=1),
        Figure("10 tasks", BY_HAND, 2.0, "ms", requests=1, most_requests=1),
        Figure("10 tasks", SHARE, 1.2, ""),
    ]
    share, _requests = targets(run_of(*cells, part="storm"))
    assert not share.is_met
    assert share.words.endswith(
        "(target 1.00; httpx and a lock by hand alone: 0.800), missed by 0.200"
    )


def test_no_round_begins_when_the_time_is_over() -> None:
    """Two rounds are always made, and more only within the time."""
    assert list(rounds_within(9, seconds=-1)) == [0, 1]
    assert list(rounds_within(9, seconds=60)) == list(range(9))
    assert list(rounds_within(1, seconds=-1)) == [0]


@pytest.mark.parametrize(("most", "is_met"), [(1, True), (2, False)])
def test_a_storm_sends_one_request_in_every_round(most: int, is_met: bool) -> None:
    """A second request in a single round misses the target."""
    cell = Figure("10 tasks", OURS, 1.0, "ms", requests=1, most_requests=most)
    (target,) = targets(run_of(cell, part="storm"))
    assert target.is_met is is_met


def test_a_run_survives_its_file(tmp_path: Path) -> None:
    """What is read is what was written."""
    run = run_of(Figure("httpx", "sync", 1.0, "µs", 0.9, 1.1), Figure("a", "sync", 2.0, "µs"))
    save(run, tmp_path / "results.json")
    assert load(tmp_path / "results.json") == run


def test_kept_figures_are_of_every_part() -> None:
    """The committed figures name their machine and cover what the package is measured on."""
    run = load(RESULTS)
    assert {"date", "processor", "memory", "Python", "httpx"} <= run.machine.keys()
    assert [table.name for table in run.tables] == list(PARTS)
    assert all(cell.value >= 0 for table in run.tables for cell in table.figures)
    assert all(table.measured for table in run.tables)


def test_the_page_shows_the_kept_figures() -> None:
    """The committed page is the one of the committed figures."""
    plots = {name: f"benchmarks/{name}.svg" for name in ("refresh", "storm")}
    assert "\n".join(lines(load(RESULTS), plots)) == PAGE.read_text(encoding="utf-8")
