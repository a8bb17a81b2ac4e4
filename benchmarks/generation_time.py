"""How long it takes to generate a client from openapi.yaml: `python -m benchmarks generation`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measure import row
from benchmarks.results import Table
from benchmarks.rivals import generate_ours, made_by, stock

ROUNDS = 3
NOTE = (
    "Whole programs. `make generate` checks the spec on the way, formats, and compares with what is"
    " there."
)


def measured() -> list[Table]:
    """Measure the three generators in turn."""
    ways: list[tuple[str, Callable[[Path], float]]] = [
        ("openapi-python-client, stock templates", stock),
        ("this project, make generate", generate_ours),
        ("openapi-generator", made_by),
    ]
    taken: dict[str, list[float]] = {name: [] for name, _do in ways}
    for _ in range(ROUNDS):
        for name, do in ways:
            with TemporaryDirectory() as folder:
                taken[name].append(do(Path(folder)))
    first = taken[ways[0][0]]
    rows = (row(name, seconds, first, "s") for name, seconds in taken.items())
    return [Table("Generating the client", tuple(rows), NOTE)]
