"""All benchmarks, twice, and what they have found: started by `python -m benchmarks`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks import (
    auth_cost,
    decode_cost,
    fleet_rate,
    generation_time,
    import_cost,
    many_accounts,
    page,
    refresh_cost,
    renewal_cost,
    sandbox_load,
    storm,
)
from benchmarks.halves import disagreements, joined
from benchmarks.machine import described
from benchmarks.results import Run, Table, load, save, show
from benchmarks.targets import targets

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results.json"
PAGE = ROOT / "docs" / "benchmarks.md"
PARTS: Mapping[str, Callable[[], list[Table]]] = {
    "import": import_cost.measured,
    "refresh": refresh_cost.measured,
    "auth": auth_cost.measured,
    "storm": storm.measured,
    "accounts": many_accounts.measured,
    "decode": decode_cost.measured,
    "generation": generation_time.measured,
    "fleet": fleet_rate.measured,
    "renewal": renewal_cost.measured,
    "sandbox": sandbox_load.measured,
}


def main(chosen: Sequence[str]) -> int:
    """Measure, print, and write the file and the page.

    Args:
        chosen: The parts; none for all. What other parts have found before stays as it is.

    Returns:
        The exit code: 2 where a part is not known.
    """
    unknown = [name for name in chosen if name not in PARTS]
    if unknown:
        print(f"There is no part {unknown[0]!r}; there are {', '.join(PARTS)}.", file=sys.stderr)
        return 2
    wanted = [name for name in PARTS if name in chosen or not chosen]
    machine = described()
    halves: list[dict[str, list[Table]]] = []
    for number in (1, 2):
        found: dict[str, list[Table]] = {}
        for name in wanted:
            print(f"half {number}: {name}", end="", file=sys.stderr, flush=True)
            started = time.monotonic()
            found[name] = PARTS[name]()
            print(f", {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
        halves.append(found)
    parts = {name: joined(*(half[name] for half in halves)) for name in wanted}
    for name in wanted:
        show(parts[name])
    before = load(RESULTS).tables if chosen and RESULTS.exists() else ()
    run = Run(machine, _merged(before, [each for name in wanted for each in parts[name]]))
    save(run, RESULTS)
    page.write(run, PAGE)
    _report(run)
    return 0


def _merged(before: Sequence[Table], found: Sequence[Table]) -> tuple[Table, ...]:
    """Put new tables in the place of those of the same title."""
    new = {table.title: table for table in found}
    kept = [new.pop(table.title, table) for table in before]
    return (*kept, *new.values())


def _report(run: Run) -> None:
    print("\nTargets")
    for each in targets(run):
        print(f"  {'met   ' if each.is_met else 'MISSED'}  {each.words}")
    apart = disagreements(run.tables)
    but = f", but for {len(apart)} figures" if apart else ""
    print(f"\nThe halves of the run agree within the stated spread{but}.")
    for line in apart:
        print(f"  {line}")
    print(f"\nWritten to {RESULTS} and {PAGE}.")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
