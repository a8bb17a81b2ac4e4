"""An environment with the package from its wheel, and everything else as it is locked."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

__all__ = ["environment_from_wheel"]

_ROOT = Path(__file__).parents[2]


def environment_from_wheel(folder: Path) -> Path:
    """Make an environment in an empty folder; give its Python.

    Its packages are those of the development environment, by a path: an index would have to be
    asked for them. The project itself is there in editable form, which a path does not follow.
    """
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder / "dist"],
        cwd=_ROOT,
        check=True,
        capture_output=True,
        timeout=80,
    )
    (wheel,) = (folder / "dist").iterdir()
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", folder / "env"], check=True, timeout=80
    )
    paths = sysconfig.get_paths(vars={"base": str(folder / "env"), "platbase": str(folder / "env")})
    packages = Path(paths["purelib"])
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    (packages / "locked.pth").write_text(sysconfig.get_paths()["purelib"] + "\n", encoding="utf-8")
    return Path(paths["scripts"]) / ("python.exe" if sys.platform == "win32" else "python")
