"""What this package is held to, and whether a run has met it."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from benchmarks.peers import AGAIN
from benchmarks.results import Row, Run

__all__ = ["Target", "targets"]

REFRESH, ASYNC = "A refresh on a kept connection", "The same, async, on a kept connection"
REQUEST = "An API request with a valid token"
CALL, OURS = "this package, generated call", "this package, PipedriveAuth"
TIME, MEMORY = "Importing: processor time", "Importing: memory of the process at its most"
FLOW = "this package, PipedriveOAuth"
EACH = "Time of `refresh_due` for each account"
# What is compared, the table and its row, the most that the ratio may be.
RATIOS = (
    ("a generated call, against httpx", REFRESH, CALL, 1.0),
    ("a generated call, async", ASYNC, CALL, 1.0),
    ("PipedriveOAuth.refresh", REFRESH, f"{FLOW}.refresh", 1.05),
    ("AsyncPipedriveOAuth.refresh", ASYNC, "this package, AsyncPipedriveOAuth.refresh", 1.05),
    ("an API request with PipedriveAuth", REQUEST, OURS, 1.01),
    ("an API request with PipedriveAuth, async", f"{REQUEST}, async", OURS, 1.01),
    ("importing PipedriveOAuth, time", TIME, FLOW, 1.05),
    ("importing PipedriveOAuth, memory", MEMORY, FLOW, 1.05),
    (
        "refresh_due, an account of 100,000 against one of 1,000",
        EACH,
        "100,000 accounts due",
        1.1,
    ),
)


@frozen
class Target:
    """A target, with what came of it.

    Attributes:
        words: What was to be reached, and what was.
        is_met: Whether it was reached.
    """

    words: str
    is_met: bool


def targets(run: Run) -> list[Target]:
    """Judge a run by all targets whose figures it has.

    Args:
        run: The run.
    """
    return list(_judged(run))


def _judged(run: Run) -> Iterator[Target]:
    rows = {(table.title, row.name): row for table in run.tables for row in table.rows}
    for what, title, name, most in RATIOS:
        if (title, name) in rows:
            # A target of 1 is httpx itself, which measured twice does not give 1 either.
            control = rows.get((title, AGAIN)) if most == 1.0 else None
            yield _ratio(what, rows[title, name], most, control)
    for (title, name), row in rows.items():
        if name.startswith("share of the limit"):
            callers = title.partition(" want")[0]
            yield _ratio(f"a storm of {callers}, share of the time that it may take", row, 1.0)
        if title.startswith("Requests that") and name.endswith(OURS):
            callers = name.partition(":")[0]
            words = f"a storm of {callers}: {row.value:g} requests (target 1)"
            yield Target(words, row.value == row.high == 1)


def _ratio(what: str, row: Row, most: float, control: Row | None = None) -> Target:
    assert row.ratio is not None
    words = f"{what}: {row.ratio:.3f} (target {most:.2f})"
    if row.ratio <= most:
        return Target(words, is_met=True)
    noise = 0.0 if control is None else _noise(control)
    if row.ratio <= most + noise:
        return Target(f"{words}, within the noise of {noise:.3f}", is_met=True)
    return Target(f"{words}, missed by {row.ratio - most:.3f}", is_met=False)


def _noise(control: Row) -> float:
    """Give by how much the same thing, measured twice, was apart in one of the halves."""
    return max(abs(each - 1.0) for each, _low, _high in control.halves)
