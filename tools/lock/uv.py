"""The resolver behind every lock of Python packages, in an environment of its own.

Standard library only: a lock can be made where there is no `.venv` yet.
"""

from __future__ import annotations

import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tools.bootstrap import base_python, pip_install, remove, run_in, straight_variables
from tools.once import SetupError, ensure, held, run_logged

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parent.parent.parent
UV = "uv==0.13.9"
PLACE = ROOT / ".venv-lock"
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
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / "requirements.lock"
        if target.exists():
            shutil.copyfile(target, draft)
        everywhere = ["--universal", "--python-version=3.11"]
        resolve(draft, target.parent, base_python(), [*source, *everywhere])
        text = header + draft.read_text(encoding="utf-8")
    if "://" in text:
        raise SetupError(f"uv wrote an address into the lock; {target.name} stays as it was")
    unfinished = target.with_name(f"{target.name}.new")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(target)


def resolve(target: Path, folder: Path, python: str, source: Sequence[str]) -> None:
    """Write exact versions with hashes.

    Args:
        target: The file. Versions that it names already are kept wherever they still fit.
        folder: Where to run.
        python: The interpreter that they are for.
        source: What to resolve, and how, as arguments of `uv pip compile`.

    Raises:
        SetupError: It can't be resolved.
    """
    install()
    with held(SETUP_LOCK) as lock:
        run_logged(
            [
                str(PLACE / "bin" / "uv"),
                *("pip", "compile", *source, "--python", python),
                *("--generate-hashes", "--only-binary=:all:"),
                *("--no-config", "--no-python-downloads", "--no-header", "--quiet"),
                *("--output-file", str(target)),
            ],
            log=PLACE / "setup.log",
            lock=lock,
            trouble={},
            environment=straight_variables(),
            folder=folder,
        )


def install() -> None:
    """Install uv, unless it is there."""

    def work(_reasons: list[str], lock: int) -> None:
        remove(PLACE)
        PLACE.mkdir()
        run = partial(run_in, PLACE)
        run([base_python(), "-I", "-m", "venv", str(PLACE)], lock)
        run([*pip_install(PLACE), "--only-binary=:all:", "--no-deps", UV], lock)

    ensure(
        PLACE / "made-from.txt",
        lambda: {"Python": base_python(), "its place": str(PLACE), "uv": UV},
        work,
        lock_file=SETUP_LOCK,
        usable=(PLACE / "bin" / "uv").exists,
    )
