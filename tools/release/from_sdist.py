"""What somebody can do who has nothing but the source distribution."""

from __future__ import annotations

import tarfile
from pathlib import Path

from tools.interop.subprocesses import environment, run
from tools.release.building import Built, build
from tools.release.refused import refuse
from tools.release.tree import Tree

SECONDS = 300.0


def check(built: Built, tree: Tree, scratch: Path) -> str:
    """Build the wheel from it, and generate the code with its own `make generate`.

    Args:
        built: What was built from the project.
        tree: The project.
        scratch: A folder for it.

    Raises:
        RefusedError: The wheel is another one, or the code changes.
    """
    with tarfile.open(built.sdist) as archive:
        archive.extractall(scratch, filter="data")
    (source,) = scratch.iterdir()
    again = build(source, scratch / "built", tree)
    if again.wheel.read_bytes() != built.wheel.read_bytes():
        refuse(["the source distribution builds another wheel than the project does"])
    printed = run(
        ["make", "generate"],
        what="make generate in the source distribution",
        seconds=SECONDS,
        folder=source,
        variables=environment({"MAKEFLAGS": "", "VIRTUAL_ENV": ""}, network=True),
    )
    if ", none changed." not in printed:
        refuse(["make generate changes what is in the source distribution:", printed])
    return "the source distribution builds the same wheel, and generates the same code"
