"""Write requirements.lock from pyproject.toml: `python -m tools.lock [more arguments for uv]`.

One file for every platform and every supported Python: run-time requirements, all extras and the
development group, exact versions with hashes. uv works them out, in an environment of its own, so
that the lock can be made where there is none yet or where the one that is there does not install.
Standard library only, for the same reason.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from tools.bootstrap import MISLEADING_VARIABLES, PIP_TROUBLE, base_python, interpreter, remove
from tools.once import SetupError, ensure, exit_code, held, run_logged, say

ROOT = Path(__file__).resolve().parent.parent.parent
UV = "uv==0.13.9"
HEADER = f"""\
# The exact versions that this project is developed, checked and run with: run-time requirements,
# all extras and the development group, for every platform and every Python from 3.11 on.
# Made from pyproject.toml by `make lock` with {UV}; don't edit it by hand.
# Newer versions: `make lock ARGS=--upgrade`, or of one: `make lock ARGS="--upgrade-package httpx"`.
# Installing it elsewhere: `pip install --require-hashes -r requirements.lock`.

"""


def main() -> None:
    """Make the lock, keeping the versions it names already wherever they still fit."""
    environment = ROOT / ".venv-lock"
    log = environment / "lock.log"
    variables = {k: v for k, v in os.environ.items() if k not in MISLEADING_VARIABLES}

    def install_uv(_reasons: list[str], lock: int) -> None:
        remove(environment)
        environment.mkdir()
        python = str(interpreter(environment))
        for command in (
            [base_python(), "-I", "-m", "venv", str(environment)],
            [python, "-I", "-m", "pip", "install", "--only-binary=:all:", "--no-deps", UV],
        ):
            run_logged(command, log=log, lock=lock, trouble=PIP_TROUBLE, environment=variables)

    ensure(
        environment / "made-from.txt",
        lambda: {"Python": base_python(), "its place": str(environment), "uv": UV},
        install_uv,
        lock_file=ROOT / ".setup.lock",
        usable=(environment / "bin" / "uv").exists,
    )
    target = ROOT / "requirements.lock"
    with tempfile.TemporaryDirectory() as folder, held(ROOT / ".setup.lock") as lock:
        draft = Path(folder) / "requirements.lock"
        if target.exists():
            shutil.copyfile(target, draft)
        run_logged(
            [
                str(environment / "bin" / "uv"),
                *("pip", "compile", "pyproject.toml", "--all-extras", "--group=dev"),
                *("--universal", "--python-version=3.11", "--python", base_python()),
                *("--generate-hashes", "--only-binary=:all:"),
                *("--no-config", "--no-python-downloads", "--no-header", "--quiet"),
                *("--output-file", str(draft)),
                *sys.argv[1:],
            ],
            log=log,
            lock=lock,
            trouble={},
            environment=variables,
            folder=ROOT,
        )
        text = HEADER + draft.read_text(encoding="utf-8")
    if "://" in text:
        raise SetupError("uv wrote an address into the lock; requirements.lock stays as it was")
    unfinished = target.with_name("requirements.lock.new")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(target)
    say(f"requirements.lock names {len(re.findall('^[^#]+==', text, re.MULTILINE))} packages")


if __name__ == "__main__":
    sys.exit(exit_code(main))
