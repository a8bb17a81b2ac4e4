"""What this package is held to, and whether a run has met it."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from benchmarks.results import Row, Run

__all__ = ["Target", "targets"]

REFRESH, ASYNC = "A refresh on a kept connection", "The same, async, on a kept connection"
REQUEST = "An API request with a valid token"
OURS = "this package, PipedriveAuth"


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
    ratios = (
        ("a generated call, against httpx", REFRESH, "this package, generated call", 1.0),
        ("a generated call, async", ASYNC, "this package, generated call", 1.0),
        ("PipedriveOAuth.refresh", REFRESH, "this package, PipedriveOAuth.refresh", 1.05),
        ("AsyncPipedriveOAuth.refresh", ASYNC, "this package, AsyncPipedriveOAuth.refresh", 1.05),
        ("an API request with PipedriveAuth", REQUEST, OURS, 1.01),
        (
            "importing PipedriveOAuth, time",
            "Importing: processor time",
            "this package, PipedriveOAuth",
            1.05,
        ),
        (
            "importing PipedriveOAuth, memory",
            "Importing: memory of the process at its most",
            "this package, PipedriveOAuth",
            1.05,
        ),
        (
            "refresh_due, an account of 100,000 against one of 1,000",
            "Time of `refresh_due` for each account",
            "100,000 accounts due",
            1.1,
        ),
    )
    for what, title, name, most in ratios:
        if (title, name) in rows:
            yield _ratio(what, rows[title, name], most)
    for (title, name), row in rows.items():
        if name.startswith("share of the limit"):
            callers = title.partition(" want")[0]
            yield _ratio(f"a storm of {callers}, share of the time that it may take", row, 1.0)
        if title.startswith("Requests that") and name.endswith(OURS):
            callers = name.partition(":")[0]
            words = f"a storm of {callers}: {row.value:g} requests (target 1)"
            yield Target(words, row.value == 1)


def _ratio(what: str, row: Row, most: float) -> Target:
    assert row.ratio is not None
    low = row.ratio if row.ratio_low is None else row.ratio_low
    high = row.ratio if row.ratio_high is None else row.ratio_high
    words = f"{what}: {row.ratio:.3f} (target {most:.2f}; quartiles {low:.3f} to {high:.3f})"
    if row.ratio <= most:
        return Target(words, is_met=True)
    if low <= most:
        return Target(f"{words}, within noise", is_met=True)
    return Target(f"{words}, missed by {row.ratio - most:.3f}", is_met=False)
