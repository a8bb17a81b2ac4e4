"""Which Pythons the package is for, and where they are on this machine."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Version = tuple[int, int]

_CLASSIFIER = re.compile(r"Programming Language :: Python :: (\d+)\.(\d+)")
_ASK = "import sys; print(*sys.version_info[:2], sys.implementation.name)"


def supported(pyproject: str) -> list[Version]:
    """Return the versions that the classifiers of pyproject.toml name, oldest first."""
    classifiers: list[str] = tomllib.loads(pyproject)["project"]["classifiers"]
    found = [_CLASSIFIER.fullmatch(each) for each in classifiers]
    return sorted((int(each[1]), int(each[2])) for each in found if each)


def present(folders: Iterable[Path], oldest: Version) -> dict[Version, Path]:
    """Look for interpreters.

    Args:
        folders: Where to look, in this order; the first of a version counts.
        oldest: Older ones are left out.

    Returns:
        A working interpreter for each version, oldest first.
    """
    found: dict[Version, Path] = {}
    for folder in folders:
        for program in sorted(folder.glob("python3.*")):
            if not re.fullmatch(r"python3\.\d+", program.name):
                continue
            # What the name says is not believed: a shim answers for a version that is not there.
            version = _version_of(program)
            if version is not None and version >= oldest:
                found.setdefault(version, program)
    return dict(sorted(found.items()))


def usual_folders() -> Iterator[Path]:
    """Yield the folders of PATH, then those of pyenv."""
    yield from map(Path, filter(None, os.environ.get("PATH", "").split(os.pathsep)))
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(root.glob("versions/*/bin"), reverse=True)


def _version_of(program: Path) -> Version | None:
    try:
        done = subprocess.run(
            [program, "-I", "-c", _ASK],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match done.stdout.split():
        case [major, minor, "cpython"] if done.returncode == 0:
            return int(major), int(minor)
    return None
