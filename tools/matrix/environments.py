"""Environments for the tests: a Python, and one choice of the allowed packages."""

from __future__ import annotations

import os
import shutil
from enum import Enum
from typing import TYPE_CHECKING

from attrs import frozen

from tools.bootstrap import MISLEADING_VARIABLES, PIP_TROUBLE, interpreter, remove
from tools.lock import uv
from tools.lock.uv import ROOT, SETUP_LOCK
from tools.matrix.requirements import lowest, runtime
from tools.once import held, run_logged

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PLACE = ROOT / ".venv-matrix"


class Packages(Enum):
    """Which of the allowed packages; those for development are always the locked ones."""

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
    """Make the environment of a combination anew.

    Args:
        combination: What goes into it.
        python: The interpreter that it is made from.

    Returns:
        The environment's own interpreter.

    Raises:
        SetupError: uv could not make it; its last lines were printed.
    """
    variables = {k: v for k, v in os.environ.items() if k not in MISLEADING_VARIABLES}
    uv.install(variables)
    program = str(uv.PLACE / "bin" / "uv")
    place = PLACE / str(combination)
    remove(place)
    place.mkdir(parents=True)
    own = interpreter(place)
    chosen = place / "requirements.txt"
    shutil.copyfile(ROOT / "requirements.lock", chosen)
    steps: list[list[str]] = [["venv", "--allow-existing", "--python", str(python), str(place)]]
    if combination.packages is not Packages.LOCKED:
        steps.append(_resolving(combination, chosen, own))
    steps += [
        ["pip", "install", "--python", str(own), "--require-hashes", "-r", str(chosen)],
        [
            *("pip", "install", "--python", str(own)),
            *("--no-deps", "--no-index", "--no-build-isolation", "--editable", str(ROOT)),
        ],
    ]
    with held(SETUP_LOCK) as lock:
        for step in steps:
            run_logged(
                [program, *step, "--no-config", "--no-python-downloads", "--quiet"],
                log=place / "setup.log",
                lock=lock,
                trouble=PIP_TROUBLE,
                environment=variables,
                folder=ROOT,
            )
    return own


def _resolving(combination: Combination, chosen: Path, own: Path) -> list[str]:
    """Return the command that changes run-time packages; others keep their locked versions."""
    needed = runtime((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    command = ["pip", "compile", "pyproject.toml", "--all-extras", "--group=dev"]
    command += ["--python", str(own), "--generate-hashes", "--only-binary=:all:", "--no-header"]
    command += ["--output-file", str(chosen)]
    if combination.packages is Packages.NEWEST:
        return command + [f"--upgrade-package={each.name}" for each in needed]
    constraints = chosen.with_name("constraints.txt")
    constraints.write_text("".join(f"{lowest(each)}\n" for each in needed), encoding="utf-8")
    return [*command, "--constraint", str(constraints)]
