"""Is this fit to be released? `python -m tools.release`, or `make verify PART=release`.

Builds both archives, looks at them from outside and inside, installs them on every supported
Python, and writes dist/: the archives, what an installation brings along (CycloneDX), its licenses,
and the checksums. Nothing is published.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from tools.bootstrap import project_version
from tools.environments import (
    ROOT,
    SETUP_LOCK,
    exit_code,
    find_pythons,
    held,
    interpreter,
    supported_versions,
    tool_python,
)
from tools.release.archives import build_twice, check_archives, check_sdist_alone
from tools.release.installers import (
    EnvironmentFactory,
    extra_faults,
    extras_of,
    try_extras,
    try_python,
)
from tools.release.metadata import write_metadata
from tools.release.source import ReleaseError, look, refuse, version_faults

DIST = ROOT / "dist"


def main() -> None:
    """Check everything; say how each step went, and exit with 1 where it may not be released."""
    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="release-", ignore_cleanup_errors=True) as name:
            # uv writes shebang lines, which have no room for a long path.
            check(Path(name).resolve())
    except ReleaseError as error:
        for line in str(error).splitlines():
            print(f"release: {line}", file=sys.stderr, flush=True)
        sys.exit(1)
    print(f"fit to be released, after {time.monotonic() - began:.0f} s; see {DIST.name}/")


def check(scratch: Path) -> None:
    """Check everything, with a folder for what is made on the way."""
    tool = tool_python(ROOT / ".venv-release", ROOT / "tools" / "release" / "requirements.lock")
    tree = look(ROOT)
    version = project_version(ROOT)
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    refuse(tree.faults())
    for line in tree.changes:
        warn(f"not as in the commit: {line}")
    refuse(version_faults(version, changelog, tree.tags, today=datetime.now(UTC).date()))
    refuse(extra_faults(extras_of(pyproject)))
    versions = supported_versions(pyproject)
    pythons = find_pythons(versions)
    missing = [f"Python {each} is missing" for each in versions if each not in pythons]
    if os.environ.get("CI") == "true":
        refuse(missing)
    for line in missing:
        warn(line)
    if not pythons:
        refuse(["no supported Python is on this machine"])
    say(f"version {version}" + (f", tagged {tree.tags[0]}" if tree.tags else ", not tagged"))

    built = build_twice(tree, scratch)
    say(f"{built.wheel.name} and {built.sdist.name} build twice to the same bytes")
    check_archives(tool, built, tree, scratch / "first", version)
    say("metadata and contents are as they should be")

    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    factory = EnvironmentFactory.create(tool.with_name("uv"), lock, scratch)
    alone = scratch / "from the source"
    alone.mkdir()
    oldest = next(iter(pythons))
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 2) as workers:
        source_alone = workers.submit(check_sdist_alone, built, tree, alone)
        each_extra = workers.submit(try_extras, factory, pythons[oldest], built.wheel)
        steps = [
            workers.submit(try_python, factory, name, python, built, version)
            for name, python in pythons.items()
        ]
        for step in (source_alone, *steps):
            say(step.result())
        brought = each_extra.result()
    say(f"{len(brought) - 1} extras, each of them alone")
    everything = interpreter(scratch / f"{oldest}-all")
    files = write_metadata(tool, everything, built, tree, brought)
    print((built.wheel.parent / "licenses.md").read_text(encoding="utf-8"))
    deliver([built.wheel, built.sdist, *files])


def deliver(files: list[Path]) -> None:
    """Put the files into dist/, in place of what was there."""
    with held(SETUP_LOCK):
        if DIST.exists():
            shutil.rmtree(DIST)
        DIST.mkdir()
        for file in files:
            shutil.copy2(file, DIST)


def say(line: str) -> None:
    """Print a step that passed."""
    print(f"ok  {line}", flush=True)


def warn(line: str) -> None:
    """Print what would stop a release elsewhere."""
    print(f"release: warning: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(exit_code(main))
