"""Is this what we would give to others? `python -m tools.release`, or `make release-check`.

Builds both archives, looks at them from outside and inside, installs them on every supported
Python, and writes dist/: the archives, what an installation brings along (CycloneDX), its licences,
and the checksums. Nothing is published.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from tools.bootstrap import ROOT, project_version
from tools.interop.subprocesses import DifferenceError, environment, run
from tools.once import exit_code, held
from tools.place import python_of
from tools.pythons import found_pythons, missing_faults, supported
from tools.release import extras, from_sdist, papers
from tools.release.building import Built, build_twice
from tools.release.contents import PACKAGE, sdist_faults, wheel_faults
from tools.release.refused import RefusedError, refuse
from tools.release.tree import Tree, look
from tools.release.trying import Workshop, try_python
from tools.release.version import version_faults

DIST = ROOT / "dist"
TWINE_SECONDS = 60.0


def main() -> int:
    """Check, say how each step went, and return the exit code."""
    passed: list[bool] = []
    return exit_code(lambda: passed.append(checked())) or int(not all(passed))


def checked() -> bool:
    """Check everything, and return whether it may be released."""
    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="release-") as name:
            # uv writes shebang lines, which have no room for a long path.
            check(Path(name).resolve())
    except (RefusedError, DifferenceError) as error:
        if isinstance(error, DifferenceError) and error.output:
            print(error.output, file=sys.stderr)
        for line in str(error).splitlines():
            print(f"release-check: {line}", file=sys.stderr, flush=True)
        return False
    print(f"all is well, after {time.monotonic() - began:.0f} s; see {DIST.name}/")
    return True


def check(scratch: Path) -> None:
    """Check everything, with a folder for what is made on the way."""
    tool = python_of(ROOT / ".venv-release", ROOT / "tools" / "release" / "requirements.lock")
    tree = look(ROOT)
    version = project_version(ROOT)
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    refuse(tree.faults())
    for line in tree.changes:
        warn(f"not as in the commit: {line}")
    refuse(version_faults(version, changelog, tree.tags, today=datetime.now(UTC).date()))
    refuse(extras.extra_faults(extras.extras_of(pyproject)))
    versions = supported(pyproject)
    pythons = found_pythons(versions)
    missing = list(missing_faults(versions, pythons))
    if os.environ.get("CI") == "true":
        refuse(missing)
    for line in missing:
        warn(line)
    if not pythons:
        refuse(["no supported Python is on this machine"])
    say(f"version {version}" + (f", tagged {tree.tags[0]}" if tree.tags else ", not tagged"))

    built = build_twice(tree, scratch)
    say(f"{built.wheel.name} and {built.sdist.name} build twice to the same bytes")
    look_inside(built, tree, version)
    ask_twine(tool, built)
    say("metadata and contents are as they should be")

    shop = Workshop.open(tool.with_name("uv"), (ROOT / "requirements.lock").read_text(), scratch)
    try_everywhere(shop, pythons, built, version, tree)
    lowest = pythons[next(iter(pythons))]
    clerk = papers.Clerk(shop, tool, lowest, tree)
    files = clerk.write(built, extras.extras_of(pyproject))
    print((built.wheel.parent / "licences.md").read_text(encoding="utf-8"))
    deliver([built.wheel, built.sdist, *files])


def look_inside(built: Built, tree: Tree, version: str) -> None:
    """Refuse archives with too much or too little in them."""
    package = [name for name in tree.files if name.startswith(f"{PACKAGE}/")]
    refuse(
        [
            *wheel_faults(built.wheel, package, version),
            *sdist_faults(built.sdist, tree.files, version),
        ]
    )


def ask_twine(tool: Path, built: Built) -> None:
    """Let twine look at the metadata, as the package index will."""
    run(
        [str(tool), "-m", "twine", "check", "--strict", str(built.wheel), str(built.sdist)],
        what="twine check",
        seconds=TWINE_SECONDS,
        folder=built.wheel.parent,
        variables=environment(),
    )


def try_everywhere(
    shop: Workshop, pythons: Mapping[str, Path], built: Built, version: str, tree: Tree
) -> None:
    """Try the archives on each Python, and what can be done with the source alone, side by side."""
    archives = [built.wheel, built.sdist]
    alone = shop.scratch / "from the source"
    alone.mkdir()
    steps: list[Callable[[], str]] = [partial(from_sdist.check, built, tree, alone)]
    for name, python in pythons.items():
        steps.append(partial(try_python, shop, name, python, archives, version))
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 2) as workers:
        done = [workers.submit(step) for step in steps]
        for each in done:
            say(each.result())


def deliver(files: list[Path]) -> None:
    """Put the files into dist/, in place of what was there."""
    with held(ROOT / ".setup.lock"):
        if DIST.exists():
            shutil.rmtree(DIST)
        DIST.mkdir()
        for file in files:
            shutil.copy2(file, DIST)


def say(line: str) -> None:
    """Tell what is done."""
    print(f"ok  {line}", flush=True)


def warn(line: str) -> None:
    """Tell what a release could not have."""
    print(f"release-check: warning: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
