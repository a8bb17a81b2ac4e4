"""The Pythons that the package says it supports, as they are found on this machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path


def supported(pyproject: str) -> list[str]:
    """Return the versions that pyproject.toml's classifiers name, such as `3.11`, oldest first.

    Args:
        pyproject: The content of the file.
    """
    classifiers = tomllib.loads(pyproject)["project"]["classifiers"]
    found = [re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", c) for c in classifiers]
    return sorted((each[1] for each in found if each), key=lambda v: int(v.partition(".")[2]))


def newer(versions: list[str]) -> list[str]:
    """Return the versions that come after those, as far as anybody will install them.

    Args:
        versions: Versions such as `3.11`, oldest first.
    """
    last = int(versions[-1].partition(".")[2])
    return [f"3.{minor}" for minor in range(last + 1, last + 4)]


def found_pythons(versions: list[str]) -> Mapping[str, Path]:
    """Return an interpreter for each version that this machine has one of.

    Args:
        versions: Versions such as `3.11`.
    """
    pythons: dict[str, Path] = {}
    for version in versions:
        for candidate in candidates(version):
            if runs(candidate, version):
                pythons[version] = candidate
                break
    return pythons


def missing_faults(versions: list[str], pythons: Mapping[str, Path]) -> Iterator[str]:
    """Yield a line for each version without an interpreter."""
    for version in versions:
        if version not in pythons:
            yield f"Python {version} is supported and not on this machine"


def candidates(version: str) -> Iterator[Path]:
    """Give the interpreters that may be of a version: of the PATH first, then of pyenv."""
    on_path = shutil.which(f"python{version}")
    if on_path:
        yield Path(on_path)
    roots = [os.environ.get("PYENV_ROOT"), str(Path.home() / ".pyenv")]
    for root in filter(None, roots):
        places = Path(root, "versions").glob(f"{version}.*/bin/python")
        # The newest first: 3.11.10 comes after 3.11.9, not before it.
        yield from sorted(places, key=lambda p: _numbers(p.parents[1].name), reverse=True)


def runs(python: Path, version: str) -> bool:
    """Tell whether a program is a Python of a version; pyenv has stand-ins that only look so."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run(
            [str(python), "-I", "-c", code],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and done.stdout.strip() == version


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]
