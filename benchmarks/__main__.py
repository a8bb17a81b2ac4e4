"""Run all benchmarks and keep what they find: `python -m benchmarks [FILE]`.

The file is benchmarks/results.json unless another is named. `make docs` makes a page of it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks import auth_cost, fleet_rate, renewal_cost, sandbox_load
from benchmarks.machine import described
from benchmarks.results import Run, Table, save, show

RESULTS = Path(__file__).parent / "results.json"


def main() -> None:
    """Measure, print, and write the file."""
    file = Path(sys.argv[1]) if sys.argv[1:] else RESULTS
    tables: list[Table] = []
    for part in (auth_cost, renewal_cost, fleet_rate, sandbox_load):
        found = part.measured()
        show(found)
        tables += found
    save(Run(described(), tuple(tables)), file)
    print(f"\nWritten to {file}; `make docs` makes a page of benchmarks/results.json.")


if __name__ == "__main__":
    main()
