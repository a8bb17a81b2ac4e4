"""The resolver behind every lock of Python packages, in an environment of its own.

Standard library only: a lock can be made where there is no `.venv` yet.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tools.bootstrap import MISLEADING_VARIABLES, PIP_TROUBLE, base_python, interpreter, remove
from tools.once import SetupError, ensure, held, run_logged

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parent.parent.parent
UV = "uv==0.13.9"
PLACE = ROOT / ".venv-lock"
LOG = PLACE / "lock.log"
SETUP_LOCK = ROOT / ".setup.lock"


def write_lock(target: Path, header: str, source: Sequence[str]) -> None:
    """Write a lock: exact versions with hashes, for every platform and every supported Python.

    Args:
        target: The lock. Versions that it names already are kept wherever they still fit.
        header: What its first lines say.
        source: What to resolve, as arguments of `uv pip compile` in the lock's folder.

    Raises:
        SetupError: It can't be resolved, or the lock would say where packages come from.
    """
    variables = {k: v for k, v in os.environ.items() if k not in MISLEADING_VARIABLES}
    install(variables)
    with tempfile.TemporaryDirectory() as folder, held(SETUP_LOCK) as lock:
        draft = Path(folder) / "requirements.lock"
        if target.exists():
            shutil.copyfile(target, draft)
        run_logged(
            [
                str(PLACE / "bin" / "uv"),
                *("pip", "compile", *source),
                *("--universal", "--python-version=3.11", "--python", base_python()),
                *("--generate-hashes", "--only-binary=:all:"),
                *("--no-config", "--no-python-downloads", "--no-header", "--quiet"),
                *("--output-file", str(draft)),
            ],
            log=LOG,
            lock=lock,
            trouble={},
            environment=variables,
            folder=target.parent,
        )
        text = header + draft.read_text(encoding="utf-8")
    if "://" in text:
        raise SetupError(f"uv wrote an address into the lock; {target.name} stays as it was")
    unfinished = target.with_name(f"{target.name}.new")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(target)


def install(variables: dict[str, str]) -> None:
    """Install uv, unless it is there."""

    def work(_reasons: list[str], lock: int) -> None:
        remove(PLACE)
        PLACE.mkdir()
        python = str(interpreter(PLACE))
        for command in (
            [base_python(), "-I", "-m", "venv", str(PLACE)],
            [python, "-I", "-m", "pip", "install", "--only-binary=:all:", "--no-deps", UV],
        ):
            run_logged(command, log=LOG, lock=lock, trouble=PIP_TROUBLE, environment=variables)

    ensure(
        PLACE / "made-from.txt",
        lambda: {"Python": base_python(), "its place": str(PLACE), "uv": UV},
        work,
        lock_file=SETUP_LOCK,
        usable=(PLACE / "bin" / "uv").exists,
    )
