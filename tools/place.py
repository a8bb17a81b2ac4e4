"""Environments of their own for tools whose packages `.venv` does not have.

Their packages are in a lock beside the tool, and installed when the tool is first run: a newcomer
who only tests does not wait for them, and they can't pull at the versions that the project uses.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from tools.bootstrap import ROOT, base_python, interpreter, make_environment, run_in
from tools.once import ensure, fingerprint, say

if TYPE_CHECKING:
    from pathlib import Path


def python_of(place: Path, requirements: Path, python: Path | None = None) -> Path:
    """Return the Python of an environment, after its packages were installed.

    Args:
        place: The environment's folder, in the project's.
        requirements: The lock that says what it holds.
        python: What it is made from; the Python of `.venv` unless given.

    Raises:
        SetupError: The packages could not be installed.
    """
    base = base_python() if python is None else str(python)

    def work(reasons: list[str], lock: int) -> None:
        say(f"making {place.relative_to(ROOT)} ({', '.join(reasons)})")
        make_environment(place, base, requirements, lock, partial(run_in, place))

    ensure(
        place / "made-from.txt",
        lambda: {
            "Python": base,
            "its place": str(place),
            requirements.name: fingerprint(requirements),
        },
        work,
        lock_file=ROOT / ".setup.lock",
        usable=lambda: os.access(interpreter(place), os.X_OK),
    )
    return interpreter(place)
