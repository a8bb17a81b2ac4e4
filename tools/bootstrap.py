"""Make .venv ready: the locked packages, and this project on top of them.

Run by the newcomer's own Python before every other command (`python3 -m tools.bootstrap`), so it
needs nothing but the standard library, and where nothing is to do it says nothing.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tools.once import SetupError, ensure, exit_code, fingerprint, run_logged, say

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    # Runs one command, given the descriptor of the lock to hand on to it.
    Runner = Callable[[Sequence[str], int], None]

ROOT = Path(__file__).resolve().parent.parent
OLDEST_PYTHON = (3, 11)

# What to do, by what pip prints.
PIP_TROUBLE = {
    "DO NOT MATCH THE HASHES": (
        "a package is not the one that requirements.lock names; clear pip's cache (pip cache"
        " purge) and run it again. If that does not help, the index serves something else"
    ),
    "after connection broken by|[Cc]onnection (failed|error|timed out)": (
        "the package index can't be reached; check the network and pip's settings (pip config"
        " list), then run it again"
    ),
    "No matching distribution found": (
        "the package index has no wheel of a locked package for this Python and machine; try"
        " another Python (make setup PYTHON=python3.12) or another index (pip config list)"
    ),
}

# Settings of the caller's shell that would send packages or imports somewhere else.
MISLEADING_VARIABLES = (
    "PIP_PREFIX",
    "PIP_ROOT",
    "PIP_TARGET",
    "PIP_USER",
    "PYTHONHOME",
    "PYTHONPATH",
    "__PYVENV_LAUNCHER__",
)


def set_up(root: Path, run: Runner) -> None:
    """Bring `root`/.venv to what requirements.lock and pyproject.toml ask for.

    Args:
        root: The project's folder.
        run: Runs the commands.

    Raises:
        SetupError: A step failed, or another set-up was not finished in time.
    """
    environment = root / ".venv"

    def work(reasons: list[str], lock: int) -> None:
        if reasons != ["the project changed"]:
            version = ".".join(map(str, sys.version_info[:3]))
            say(f"making .venv with Python {version} ({', '.join(reasons)})")
            make_environment(environment, base_python(), root / "requirements.lock", lock, run)
        run(install_project(environment, root), lock)
        say(".venv is ready")

    ensure(
        environment / "made-from.txt",
        lambda: wanted(root),
        work,
        lock_file=root / ".setup.lock",
        usable=lambda: os.access(interpreter(environment), os.X_OK),
    )


def refuse_unfit_python(
    version: tuple[int, ...], find_module: Callable[[str], object | None]
) -> None:
    """Raise `SetupError` if the running Python can't make the environment."""
    running = ".".join(map(str, version))
    if version < OLDEST_PYTHON:
        raise SetupError(
            f"this is Python {running}, and 3.11 or newer is needed; install one, or name it:"
            " make setup PYTHON=/path/to/python3.11"
        )
    missing = [name for name in ("venv", "ensurepip") if find_module(name) is None]
    if missing:
        raise SetupError(
            f"this Python {running} comes without {' and '.join(missing)}; add it (Debian and"
            f" Ubuntu: apt install python{running}-venv), or name another Python:"
            " make setup PYTHON=/path/to/python3.11"
        )


def wanted(root: Path) -> dict[str, str]:
    """Return what the environment has to be made from, each part under its name."""
    return {
        "Python": f"{sys.implementation.cache_tag} {base_python()}",
        # An environment holds absolute paths: a copied or moved one is no good.
        "its place": str((root / ".venv").absolute()),
        "requirements.lock": fingerprint(root / "requirements.lock"),
        "the project": f"{fingerprint(root / 'pyproject.toml')} {project_version(root)}",
    }


def make_environment(place: Path, python: str, locked: Path, lock: int, run: Runner) -> None:
    """Make an environment anew, with exactly what a lock file names.

    Args:
        place: The environment's folder.
        python: The Python that it is made from.
        locked: The lock file.
        lock: Descriptor of the held lock.
        run: Runs the commands.
    """
    remove(place)
    place.mkdir(parents=True)
    run([python, "-I", "-m", "venv", str(place)], lock)
    # Nothing is compiled here, and no package's build script runs.
    exact = ["--require-hashes", "--only-binary=:all:", "--requirement", str(locked)]
    run([*pip_install(place), *exact], lock)


def install_project(place: Path, root: Path) -> list[str]:
    """Return the command that installs the project editable; what it needs is there already."""
    return [
        *pip_install(place),
        "--no-index",
        "--no-deps",
        "--no-build-isolation",
        "--editable",
        str(root),
    ]


def pip_install(environment: Path) -> list[str]:
    """Return what pip's commands begin with."""
    quiet = ["--disable-pip-version-check", "--no-input", "--progress-bar=off"]
    # Bytecode is written when a module is first imported: most of it never is.
    return [str(interpreter(environment)), "-I", "-m", "pip", "install", "--no-compile", *quiet]


def run_in(place: Path, command: Sequence[str], lock: int) -> None:
    """Run a command on an environment, with its output in a file there."""
    run_logged(
        command,
        log=place / "setup.log",
        lock=lock,
        trouble=PIP_TROUBLE,
        environment=straight_variables(),
        folder=ROOT,
    )


def straight_variables() -> dict[str, str]:
    """Return the variables of this process that do not send packages somewhere else."""
    return {k: v for k, v in os.environ.items() if k not in MISLEADING_VARIABLES}


def base_python() -> str:
    """Return the Python that environments are made from, also when called from inside one."""
    # `sys.executable` would be that environment's own, which is about to be removed.
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


def interpreter(environment: Path) -> Path:
    """Return the path of an environment's own Python."""
    return environment / "bin" / "python"


def project_version(root: Path) -> str:
    """Return the version in the package's source; the installed metadata repeats it."""
    source = root / "pipedrive_oauth_client" / "__init__.py"
    if not source.is_file():
        raise SetupError(f"{source} is missing; restore it from git")
    found = re.search(r'^__version__ = "(.+)"$', source.read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else "unknown"


def remove(path: Path) -> None:
    """Remove whatever is at `path`; of a symbolic link only the link."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


def main() -> None:
    """Set up the folder that this file is in."""
    refuse_unfit_python(sys.version_info[:2], importlib.util.find_spec)
    set_up(ROOT, partial(run_in, ROOT / ".venv"))


if __name__ == "__main__":
    sys.exit(exit_code(main))
