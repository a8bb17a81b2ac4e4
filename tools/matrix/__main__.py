"""Run the tests on every supported Python: `python -m tools.matrix [--present] [COMBINATION ...]`.

A combination is a Python with packages, for example 3.12-locked: `lowest` is the oldest version of
everything that the package needs or works with, `newest` what the index has today, `locked` what
requirements.lock names. Without names, each supported Python has its turn; one that is not on this
machine is a failure, unless `--present` asks only for those that are.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tools import noskips
from tools.lock.uv import ROOT
from tools.matrix.environments import PLACE, Combination, Packages, combinations, make
from tools.once import SetupError, exit_code
from tools.pythons import found_pythons, newer, supported

if TYPE_CHECKING:
    from collections.abc import Sequence

# A run takes about four minutes on two processors; one that hangs is named and not waited for, and
# its log has where each test stood that took long.
SECONDS = 1200
LONG_SECONDS = 300
# Tests of the tools that this repository is worked on with, which nobody installs. Some of them do
# not take the newest packages yet, so none is in these environments. `make test` has them all.
LEFT_OUT = (
    "tests/release",
    "tests/site",
    "tests/specdiff",
    "tests/test_apidocs.py",
    "tests/test_benchmarks.py",
    "tests/test_drift.py",
    "tests/test_generate.py",
    "tests/test_generate_kitchen_sink.py",
    "tests/test_generate_names.py",
    "tests/test_generate_rejections.py",
    "tests/test_generate_repeatable.py",
    "tests/test_generate_requests.py",
    "tests/test_lint.py",
    "tests/test_matrix.py",
    "tests/test_setup.py",
    "tests/test_spec.py",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.matrix")
    parser.add_argument("names", nargs="*", metavar="COMBINATION")
    parser.add_argument("--present", action="store_true", help="leave out Pythons that are missing")
    options = parser.parse_args(arguments)
    wanted = supported((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    known = [*wanted, *newer(wanted)]
    found = found_pythons(known)
    if options.names:
        try:
            chosen = [parsed(name) for name in options.names]
        except ValueError as error:
            parser.error(str(error))
    else:
        must = [] if options.present else wanted
        chosen = combinations([each for each in known if each in found or each in must])
    failed = [each for each in chosen if not passes(each, found.get(each.version))]
    say(f"{len(chosen) - len(failed)} of {len(chosen)} passed" + named(failed))
    return 1 if failed else 0


def parsed(name: str) -> Combination:
    """Read the name of a combination.

    Raises:
        ValueError: It is none.
    """
    found = re.fullmatch(r"(3\.\d+)-(\w+)", name)
    kinds = [kind.value for kind in Packages]
    if not found or found[2] not in kinds:
        raise ValueError(f"{name} is no combination; one is 3.12-locked, with {', '.join(kinds)}")
    return Combination(found[1], Packages(found[2]))


def passes(combination: Combination, python: Path | None) -> bool:
    """Run the tests on one combination, tell how it went, and return whether all passed."""
    if python is None:
        say(f"{combination}: this Python is not on this machine; install it, or see --present")
        return False
    began = time.monotonic()
    own: list[Path] = []
    if exit_code(lambda: own.append(make(combination, python))):
        say(f"{combination}: the environment could not be made")
        return False
    report, log = PLACE / f"{combination}.xml", PLACE / f"{combination}.log"
    report.unlink(missing_ok=True)
    command = [str(own[0]), "-m", "pytest", "-n", "auto", "-q", f"--junitxml={report}"]
    command += ["-p", "no:cacheprovider", "-o", f"faulthandler_timeout={LONG_SECONDS}"]
    command += [*(f"--ignore={each}" for each in LEFT_OUT)]
    with log.open("w", encoding="utf-8") as output:
        try:
            code = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                timeout=SECONDS,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            say(f"{combination}: no end after {SECONDS} s; see {log}")
            return False
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() or [""]
    faults = noskips.faults(report) if report.exists() else ["there is no report"]
    # Where a server or a browser is missing, tests skip with a reason; in CI nothing is missing.
    skipped = bool(faults) and bool(os.environ.get("CI"))
    if code or skipped:
        shown = [line for line in lines if line.startswith(("FAILED", "ERROR"))] or lines[-20:]
        print(*shown, *(faults if skipped else []), sep="\n", file=sys.stderr)
        say(f"{combination}: {lines[-1]}; all that was printed is in {log}")
        return False
    say(f"{combination} ({time.monotonic() - began:.0f} s): {lines[-1].strip('= ')}")
    return True


def named(failed: Sequence[Combination]) -> str:
    """Return the end of the last line: what failed."""
    return f"; not {', '.join(map(str, failed))}" if failed else ""


def say(line: str) -> None:
    """Print a line at once."""
    print(f"matrix: {line}", flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SetupError as error:
        say(str(error))
        sys.exit(1)
