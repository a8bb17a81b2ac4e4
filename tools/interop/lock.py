"""Renew what `make interop` installs: `python -m tools.interop.lock [more arguments for uv]`.

It writes requirements.lock from requirements.in with the uv of `make lock`, and package-lock.json
from package.json with npm. Versions that a lock names already are kept wherever they still fit;
`--upgrade` asks for newer ones.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from pathlib import Path

from tools.bootstrap import base_python, interpreter
from tools.interop.children import environment, run
from tools.interop.difference import DifferenceError
from tools.interop.outsiders import HERE, NODE, NPM
from tools.once import SetupError, exit_code, say
from tools.uv import UV

HEADER = f"""\
# The exact versions of the Python packages that `make interop` runs against this project.
# Made from requirements.in by `python -m tools.interop.lock` with {UV}; don't edit it by hand.

"""


def main() -> None:
    """Write both locks."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            write("requirements.lock", HEADER + python_lock(Path(folder)), address="://")
        with tempfile.TemporaryDirectory() as folder:
            write("package-lock.json", node_lock(Path(folder)), address='"resolved"')
    except DifferenceError as error:
        print(error.output, file=sys.stderr)
        raise SetupError(str(error)) from error


def python_lock(folder: Path) -> str:
    """Let uv resolve requirements.in and return what it wrote."""
    draft = folder / "requirements.lock"
    if (HERE / draft.name).exists():
        shutil.copyfile(HERE / draft.name, draft)
    place = folder / "venv"
    python = str(interpreter(place))
    for command in (
        [base_python(), "-I", "-m", "venv", str(place)],
        [python, "-I", "-m", "pip", "install", "--only-binary=:all:", "--no-deps", UV],
        [
            str(place / "bin" / "uv"),
            *("pip", "compile", "requirements.in"),
            *("--universal", "--python-version=3.11", "--python", base_python()),
            *("--generate-hashes", "--only-binary=:all:"),
            *("--no-config", "--no-python-downloads", "--no-header", "--quiet"),
            *("--output-file", str(draft)),
            *sys.argv[1:],
        ],
    ):
        step(command, HERE)
    return draft.read_text(encoding="utf-8")


def node_lock(folder: Path) -> str:
    """Let npm resolve package.json and return what it wrote."""
    for name in (".npmrc", "package.json", "package-lock.json"):
        if (HERE / name).exists():
            shutil.copyfile(HERE / name, folder / name)
    command = "update" if "--upgrade" in sys.argv else "install"
    step([str(NODE), str(NPM), command, "--package-lock-only"], folder)
    return (folder / "package-lock.json").read_text(encoding="utf-8")


def step(command: list[str], folder: Path) -> None:
    """Run one command."""
    variables = environment(network=True)
    run(command, what=Path(command[0]).name, seconds=600, folder=folder, variables=variables)


def write(name: str, text: str, *, address: str) -> None:
    """Put a lock in its place, unless it says where its packages are to come from."""
    if address in text:
        raise SetupError(f"there is an address in the new {name}; the old one stays as it was")
    target = HERE / name
    unfinished = target.with_name(f"{name}.new")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(target)
    say(f"{name} is up to date, with {len(re.findall('sha(?:256|512)', text))} hashes")


if __name__ == "__main__":
    sys.exit(exit_code(main))
