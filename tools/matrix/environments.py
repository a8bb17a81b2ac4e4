"""Environments for the tests: a Python, and one choice of the allowed packages."""

from __future__ import annotations

import shutil
from enum import Enum
from typing import TYPE_CHECKING

from attrs import frozen

from tools.bootstrap import install_project, run_in
from tools.lock.uv import ROOT, SETUP_LOCK, resolve
from tools.matrix.requirements import lowest, runtime
from tools.once import held
from tools.place import python_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PLACE = ROOT / ".venv-matrix"


class Packages(Enum):
    """Which of the allowed packages."""

    LOWEST = "lowest"
    LOCKED = "locked"
    NEWEST = "newest"


@frozen
class Combination:
    """A Python with a choice of packages."""

    version: str
    packages: Packages

    def __str__(self) -> str:
        return f"{self.version}-{self.packages.value}"


def combinations(versions: Sequence[str]) -> list[Combination]:
    """Pair each Python with packages, so that every Python and both ends are tried once.

    The oldest packages are for the oldest Python and the newest for the newest, since newer
    Pythons have no wheels of old packages. `make test` itself is for the locked packages.

    Args:
        versions: The Pythons, such as `3.11`, oldest first.
    """
    kinds = {versions[-1]: Packages.NEWEST, versions[0]: Packages.LOWEST}
    return [Combination(each, kinds.get(each, Packages.LOCKED)) for each in versions]


def make(combination: Combination, python: Path) -> Path:
    """Make the environment of a combination, unless it is there.

    Args:
        combination: What goes into it.
        python: The interpreter that it is made from.

    Returns:
        The environment's own interpreter.

    Raises:
        SetupError: It could not be made; its last lines were printed.
    """
    place = PLACE / str(combination)
    chosen = PLACE / f"{combination}.txt"
    choose(combination.packages, chosen, python)
    own = python_of(place, chosen, python)
    with held(SETUP_LOCK) as lock:
        run_in(place, install_project(place, ROOT), lock)
    return own


def choose(packages: Packages, chosen: Path, python: Path) -> None:
    """Write the exact versions of what the package and its tests need, without the tools.

    The tools would hold packages back: some of them do not take the newest ones yet.
    """
    chosen.parent.mkdir(exist_ok=True)
    shutil.copyfile(ROOT / "requirements.lock", chosen)
    source = ["pyproject.toml", "--all-extras", "--group=test"]
    if packages is Packages.NEWEST:
        source.append("--upgrade")
    if packages is Packages.LOWEST:
        needed = runtime((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
        constraints = chosen.with_suffix(".constraints")
        constraints.write_text("".join(f"{lowest(each)}\n" for each in needed), encoding="utf-8")
        source += ["--constraint", str(constraints)]
    resolve(chosen, ROOT, str(python), source)
