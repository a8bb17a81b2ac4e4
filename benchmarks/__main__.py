"""Run the benchmarks: `python -m benchmarks [--quick] [PART ...]`, where no part means all.

They run in an environment of their own, .venv-bench, with this package and its peers on the same
interpreter and the same httpx, and write benchmarks/results.json and docs/benchmarks.md. With
`--quick` every part runs in two rounds, and nothing is written.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from attrs import evolve

from benchmarks import call_cost, fleet, import_cost, page, storm
from benchmarks.measure import QUICK_ROUNDS, Run, Table, load, save, show
from pipedrive_oauth_client import __version__
from tools.environments import ROOT, clean_environ, exit_code, tool_python

ENVIRONMENT = ROOT / ".venv-bench"
RESULTS = ROOT / "benchmarks" / "results.json"
PAGE = ROOT / "docs" / "benchmarks.md"
# What measures each part, and in how many rounds.
PARTS: Mapping[str, tuple[Callable[[int], Table], int]] = {
    "import": (import_cost.measured, 30),
    "call": (call_cost.call, 200),
    "refresh": (call_cost.refresh, 200),
    "request": (call_cost.request, 200),
    "storm": (storm.measured, 18),
    "fleet": (fleet.measured, 40),
}
PACKAGES = (
    *("httpx", "httpcore", "h11", "anyio", "attrs", "authlib", "httpx-oauth", "requests-oauthlib"),
    *("openapi-python-client", "openapi-generator-cli", "sqlalchemy"),
)


def main(arguments: Sequence[str]) -> int:
    """Measure, print and write; return the exit code, which is 2 for an unknown part."""
    chosen = [each for each in arguments if each != "--quick"]
    unknown = [name for name in chosen if name not in PARTS]
    if unknown:
        print(f"There is no part {unknown[0]!r}; there are {', '.join(PARTS)}.", file=sys.stderr)
        return 2
    if Path(sys.prefix).resolve() != ENVIRONMENT.resolve():
        return _run_in_environment(arguments)
    is_quick = "--quick" in arguments
    machine = described()
    found: dict[str, Table] = {}
    for name, (measured, rounds) in PARTS.items():
        if name in chosen or not chosen:
            started = time.monotonic()
            found[name] = evolve(
                measured(QUICK_ROUNDS if is_quick else rounds), measured=machine["date"]
            )
            show(found[name])
            print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    if is_quick:
        return 0
    before = load(RESULTS).tables if RESULTS.exists() else ()
    tables = {table.name: table for table in before} | found
    run = Run(machine, tuple(tables[name] for name in PARTS if name in tables))
    save(run, RESULTS)
    page.write(run, PAGE)
    print("\nTargets")
    for each in page.targets(run):
        print(f"  {'met   ' if each.is_met else 'MISSED'}  {each.words}")
    print(f"\nWritten to {RESULTS} and {PAGE}.")
    return 0


def _run_in_environment(arguments: Sequence[str]) -> int:
    """Make the environment, and start this module in it."""
    python = tool_python(ENVIRONMENT, ROOT / "benchmarks" / "requirements.lock")
    command = [str(python), "-W", "ignore::DeprecationWarning", "-m", "benchmarks", *arguments]
    done = subprocess.run(  # noqa: S603 - this very Python
        command, cwd=ROOT, env=clean_environ(), check=False
    )
    return done.returncode


def described() -> Mapping[str, str]:
    """Describe the machine and what runs on it; a figure means nothing without."""
    memory = re.match(r"\d+", _first("/proc/meminfo", "MemTotal"))
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "load at the start": f"{os.getloadavg()[0]:.1f} processes waiting or running",
        "processor": f"{_first('/proc/cpuinfo', 'model name') or platform.machine()}, "
        f"{os.cpu_count()} cores",
        "memory": f"{int(memory[0]) / 2**20:.0f} GiB" if memory else "unknown",
        "system": f"{platform.system()} {platform.release()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "pipedrive-oauth-client": __version__,
        **{name: version(name) for name in PACKAGES},
    }


def _first(file: str, name: str) -> str:
    """Return what the first line of this name says in one of the kernel's files."""
    try:
        text = Path(file).read_text(encoding="utf-8")
    except OSError:
        return ""
    found = re.search(rf"^{name}\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else ""


def run_parts() -> None:
    """Run `main`, and exit with its code."""
    raise SystemExit(main(sys.argv[1:]))


if __name__ == "__main__":
    sys.exit(exit_code(run_parts))
