"""Environments of their own for tools whose packages `.venv` does not have.

Their packages are in a lock beside the tool, and installed when the tool is first run: a newcomer
who only tests does not wait for them, and they can't pull at the versions that the project uses.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from tools.bootstrap import (
    MISLEADING_VARIABLES,
    PIP_TROUBLE,
    ROOT,
    base_python,
    interpreter,
    pip_install,
    remove,
)
from tools.once import ensure, fingerprint, run_logged, say

if TYPE_CHECKING:
    from pathlib import Path


def python_of(place: Path, requirements: Path) -> Path:
    """Return the Python of an environment, after its packages were installed.

    Args:
        place: The environment's folder, in the project's.
        requirements: The lock that says what it holds.

    Raises:
        SetupError: The packages could not be installed.
    """

    def work(reasons: list[str], lock: int) -> None:
        say(f"making {place.name} ({', '.join(reasons)})")
        remove(place)
        place.mkdir()
        locked = ["--require-hashes", "--only-binary=:all:", "--requirement", str(requirements)]
        for command in (
            [base_python(), "-I", "-m", "venv", str(place)],
            [*pip_install(place), *locked],
        ):
            run_logged(
                command,
                log=place / "setup.log",
                lock=lock,
                trouble=PIP_TROUBLE,
                environment={k: v for k, v in os.environ.items() if k not in MISLEADING_VARIABLES},
            )

    ensure(
        place / "made-from.txt",
        lambda: {
            "Python": f"{sys.implementation.cache_tag} {base_python()}",
            "its place": str(place),
            "requirements.lock": fingerprint(requirements),
        },
        work,
        lock_file=ROOT / ".setup.lock",
        usable=lambda: os.access(interpreter(place), os.X_OK),
    )
    return interpreter(place)
