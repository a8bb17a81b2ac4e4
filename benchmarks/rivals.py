"""Clients that others generate from the same openapi.yaml, made anew when the benchmarks run."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path
from tempfile import TemporaryDirectory

__all__ = ["OPENAPI_GENERATOR", "STOCK", "generate_ours", "generated", "made_by", "stock"]

ROOT = Path(__file__).resolve().parent.parent
SPEC = ROOT / "openapi.yaml"
PROGRAMS = Path(sys.executable).parent
STOCK = "stock_client"
OPENAPI_GENERATOR = "openapi_generator_client"


@contextlib.contextmanager
def generated() -> Generator[None]:
    """Generate both clients and let them be imported under the names `STOCK` and so on."""
    with TemporaryDirectory() as folder:
        stock(Path(folder))
        made_by(Path(folder))
        sys.path.insert(0, folder)
        try:
            yield
        finally:
            sys.path.remove(folder)
            for name in [each for each in sys.modules if each.split(".")[0] in _NAMES]:
                del sys.modules[name]


def stock(folder: Path) -> float:
    """Generate with openapi-python-client's own templates; returns the seconds it took."""
    command = ["openapi-python-client", "generate", "--path", str(SPEC), "--meta=none"]
    return _timed(PROGRAMS, [*command, "--output-path", str(folder / STOCK), "--overwrite"])


def made_by(folder: Path) -> float:
    """Generate with openapi-generator's generator for Python; returns the seconds it took."""
    options = f"library=httpx,packageName={OPENAPI_GENERATOR}"
    command = ["openapi-generator-cli", "generate", "-i", str(SPEC), "-g", "python"]
    command += ["-o", str(folder), f"--additional-properties={options}"]
    return _timed(PROGRAMS, command)


def generate_ours(_folder: Path) -> float:
    """Generate this project's client and compare it with what is there; returns the seconds."""
    return _timed(ROOT / ".venv" / "bin", ["python", "-m", "tools.generate", "--check"])


def _timed(place: Path, command: list[str]) -> float:
    # The generators format what they write with the ruff beside them.
    path = f"{place}{os.pathsep}{os.environ.get('PATH', '')}"
    started = time.perf_counter()
    subprocess.run(  # noqa: S603 - the generators, as they are locked
        [str(place / command[0]), *command[1:]],
        env={**os.environ, "PATH": path},
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    return time.perf_counter() - started


_NAMES = (STOCK, OPENAPI_GENERATOR)
