"""uv, which resolves locks and fills environments, in an environment of its own: .venv-lock.

Standard library only: a lock can be made where none is installed.
"""

from __future__ import annotations

import os
from pathlib import Path

from tools.bootstrap import MISLEADING_VARIABLES, PIP_TROUBLE, base_python, interpreter, remove
from tools.once import ensure, run_logged

ROOT = Path(__file__).resolve().parent.parent
UV = "uv==0.13.9"


def ready_uv() -> Path:
    """Install uv unless it is there, and return its program.

    Raises:
        SetupError: It could not be installed.
    """
    environment = ROOT / ".venv-lock"

    def install(_reasons: list[str], lock: int) -> None:
        remove(environment)
        environment.mkdir()
        python = str(interpreter(environment))
        for command in (
            [base_python(), "-I", "-m", "venv", str(environment)],
            [python, "-I", "-m", "pip", "install", "--only-binary=:all:", "--no-deps", UV],
        ):
            run_logged(
                command,
                log=environment / "lock.log",
                lock=lock,
                trouble=PIP_TROUBLE,
                environment=clean_environment(),
            )

    program = environment / "bin" / "uv"
    ensure(
        environment / "made-from.txt",
        lambda: {"Python": base_python(), "its place": str(environment), "uv": UV},
        install,
        lock_file=ROOT / ".setup.lock",
        usable=program.exists,
    )
    return program


def clean_environment() -> dict[str, str]:
    """Return this process's environment without what sends packages or imports elsewhere."""
    return {k: v for k, v in os.environ.items() if k not in MISLEADING_VARIABLES}
