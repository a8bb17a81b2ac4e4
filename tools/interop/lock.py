"""Renew what `make interop` installs: `python -m tools.interop.lock [more arguments for uv]`.

It writes requirements.lock from requirements.in with the uv of `make lock`, and package-lock.json
from package.json with npm. Versions that a lock names already are kept wherever they still fit;
`--upgrade` asks for newer ones.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from tools.interop.installers import HERE, NODE, NPM
from tools.interop.subprocesses import DifferenceError, environment, run
from tools.lock.uv import UV, write_lock
from tools.once import SetupError, exit_code, say

HEADER = f"""\
# The exact versions of the Python packages that `make interop` runs against this project.
# Made from requirements.in by `python -m tools.interop.lock` with {UV}; don't edit it by hand.

"""


def main() -> None:
    """Write both locks."""
    try:
        write_lock(HERE / "requirements.lock", HEADER, ["requirements.in", *sys.argv[1:]])
        with tempfile.TemporaryDirectory() as folder:
            text = node_lock(Path(folder))
    except DifferenceError as error:
        print(error.output, file=sys.stderr)
        raise SetupError(str(error)) from error
    if '"resolved"' in text:
        raise SetupError("npm wrote an address into package-lock.json; it stays as it was")
    (HERE / "package-lock.json").write_text(text, encoding="utf-8")
    say(f"package-lock.json is up to date, with {text.count('sha512')} hashes")


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


if __name__ == "__main__":
    sys.exit(exit_code(main))
