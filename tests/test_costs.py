"""What operations cost, in counts, against the stored baseline."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from tests.support.costs import BASELINE, measured

# The first of these to run measures all of it, in processes of its own.
pytestmark = pytest.mark.timeout(600)

# Versions of Python and of the libraries differ by a call or two.
TOLERANCE: Final = 0.03
STORED: Final[dict[str, int]] = json.loads(BASELINE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def now() -> dict[str, int]:
    """What they cost now."""
    return measured()


def test_the_baseline_names_what_is_measured(now: dict[str, int]) -> None:
    """Every cost has a stored count, and none is stored that is not measured."""
    assert sorted(now) == sorted(STORED), "renew tests/costs.json: make bench ARGS=baseline"


@pytest.mark.parametrize("cost", STORED)
def test_it_costs_no_more(now: dict[str, int], cost: str) -> None:
    """A change that makes an operation do more has to say so, by a new baseline."""
    problem = difference(cost, now[cost], STORED[cost])
    assert problem is None, problem


@pytest.mark.parametrize(
    ("count", "stored", "words"),
    [
        (100, 100, None),
        (103, 100, None),
        (104, 100, "grew from 100 to 104"),
        (1, 0, "grew from 0 to 1"),
        (84, 100, "fell from 100 to 84"),
        (0, 1, "fell from 1 to 0"),
    ],
)
def test_differences_are_named(count: int, stored: int, words: str | None) -> None:
    """What grew is named with both counts; so is what fell, else the baseline guards nothing."""
    problem: Any = difference("refresh: calls", count, stored)
    assert problem is None if words is None else words in problem


def difference(cost: str, count: int, stored: int) -> str | None:
    """Say in words how a cost differs from the stored one, if it does by more than is allowed."""
    if count > stored * (1 + TOLERANCE):
        verb = "grew"
    elif count < stored * (1 - 5 * TOLERANCE):
        verb = "fell"
    else:
        return None
    return (
        f"{cost} {verb} from {stored} to {count}. If that is meant, renew tests/costs.json with"
        " `make bench ARGS=baseline`, and say in the commit what it buys."
    )
