"""Builds the wheel and the source distribution, and makes sure that they come out the same."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from attrs import frozen

from tools.interop.subprocesses import environment, run
from tools.release.refused import refuse
from tools.release.tree import Tree

SECONDS = 120.0


@frozen
class Built:
    """What was built; both files are in one folder."""

    wheel: Path
    sdist: Path


def build_twice(tree: Tree, scratch: Path) -> Built:
    """Build both kinds twice, in different places and circumstances, and compare the bytes.

    Args:
        tree: What to build.
        scratch: A folder for it.

    Raises:
        RefusedError: They differ.
    """
    first = build(tree.copy(scratch / "first"), scratch / "built", tree)
    # Before 3.13 Python does not start in an ASCII locale where its packages are below a path with
    # other letters.
    locale = "C" if sys.executable.isascii() else "C.UTF-8"
    other = {"TZ": "Asia/Kolkata", "LC_ALL": locale, "PYTHONHASHSEED": "1"}
    old_mask = os.umask(0o077)
    try:
        again = build(tree.copy(scratch / "second, elsewhere"), scratch / "again", tree, other)
    finally:
        os.umask(old_mask)
    pairs = ((first.wheel, again.wheel), (first.sdist, again.sdist))
    refuse(
        f"{one.name} is not the same when it is built a second time"
        for one, two in pairs
        if one.read_bytes() != two.read_bytes()
    )
    return first


def build(source: Path, target: Path, tree: Tree, more: dict[str, str] | None = None) -> Built:
    """Build both kinds from a folder."""
    variables = {"SOURCE_DATE_EPOCH": str(tree.commit_time), **(more or {})}
    run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(target)],
        what="building",
        seconds=SECONDS,
        folder=source,
        variables=environment(variables),
    )
    wheels, sdists = list(target.glob("*.whl")), list(target.glob("*.tar.gz"))
    if (len(wheels), len(sdists)) != (1, 1):
        refuse([f"{len(wheels)} wheels and {len(sdists)} source distributions were built"])
    return Built(wheels[0], sdists[0])
