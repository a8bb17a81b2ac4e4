"""Make .venv ready: the locked packages, and this project on top of them.

Run by the newcomer's own Python before every other command (`python3 -m tools.bootstrap`), so it
needs nothing but the standard library, and where nothing is to do it says nothing.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tools.environments import (
    ROOT,
    SetupError,
    base_python,
    ensure,
    exit_code,
    fingerprint,
    interpreter,
    make_environment,
    pip_install,
    run_in,
    say,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tools.environments import Runner

OLDEST_PYTHON = (3, 11)


def set_up(root: Path, run: Runner) -> None:
    """Bring `root`/.venv to what requirements.lock and pyproject.toml ask for."""
    env_dir = root / ".venv"

    def work(reasons: list[str], lock: int) -> None:
        if reasons != ["the project changed"]:
            version = ".".join(map(str, sys.version_info[:3]))
            say(f"making .venv with Python {version} ({', '.join(reasons)})")
            make_environment(env_dir, base_python(), root / "requirements.lock", lock, run)
        # What the project needs is there already.
        offline = ["--no-index", "--no-deps", "--no-build-isolation"]
        run([*pip_install(env_dir), *offline, "--editable", str(root)], lock)
        say(".venv is ready")

    ensure(
        env_dir / "made-from.txt",
        lambda: wanted(root),
        work,
        lock_file=root / ".setup.lock",
        usable=lambda: os.access(interpreter(env_dir), os.X_OK),
    )


def wanted(root: Path) -> dict[str, str]:
    """Return what the environment has to be made from, each part under its name."""
    return {
        "Python": f"{sys.implementation.cache_tag} {base_python()}",
        # An environment holds absolute paths: a copied or moved one does not work.
        "its place": str((root / ".venv").absolute()),
        "requirements.lock": fingerprint(root / "requirements.lock"),
        "the project": f"{fingerprint(root / 'pyproject.toml')} {project_version(root)}",
    }


def project_version(root: Path) -> str:
    """Return the version in the package's source; the installed metadata repeats it."""
    source = root / "pipedrive_oauth_client" / "__init__.py"
    if not source.is_file():
        raise SetupError(f"{source} is missing; restore it from git")
    found = re.search(r'^__version__ = "(.+)"$', source.read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else "unknown"


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


def main() -> None:
    """Set up the folder that this file is in."""
    refuse_unfit_python(sys.version_info[:2], importlib.util.find_spec)
    set_up(ROOT, partial(run_in, ROOT / ".venv"))


if __name__ == "__main__":
    sys.exit(exit_code(main))
