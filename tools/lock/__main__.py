"""Write requirements.lock from pyproject.toml: `python -m tools.lock [more arguments for uv]`.

One file for every platform and every supported Python: run-time requirements, all extras and the
development group, exact versions with hashes. uv works them out, in an environment of its own, so
that the lock can be made where there is none yet or where the one that is there does not install.
Standard library only, for the same reason.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from pathlib import Path

from tools.bootstrap import base_python
from tools.once import SetupError, exit_code, held, run_logged, say
from tools.uv import UV, clean_environment, ready_uv

ROOT = Path(__file__).resolve().parent.parent.parent
HEADER = f"""\
# The exact versions that this project is developed, checked and run with: run-time requirements,
# all extras and the development group, for every platform and every Python from 3.11 on.
# Made from pyproject.toml by `make lock` with {UV}; don't edit it by hand.
# Newer versions: `make lock ARGS=--upgrade`, or of one: `make lock ARGS="--upgrade-package httpx"`.
# Installing it elsewhere: `pip install --require-hashes -r requirements.lock`.

"""


def main() -> None:
    """Make the lock, keeping the versions it names already wherever they still fit."""
    uv = ready_uv()
    target = ROOT / "requirements.lock"
    with tempfile.TemporaryDirectory() as folder, held(ROOT / ".setup.lock") as lock:
        draft = Path(folder) / "requirements.lock"
        if target.exists():
            shutil.copyfile(target, draft)
        run_logged(
            [
                str(uv),
                *("pip", "compile", "pyproject.toml", "--all-extras", "--group=dev"),
                *("--universal", "--python-version=3.11", "--python", base_python()),
                *("--generate-hashes", "--only-binary=:all:"),
                *("--no-config", "--no-python-downloads", "--no-header", "--quiet"),
                *("--output-file", str(draft)),
                *sys.argv[1:],
            ],
            log=uv.parent.parent / "lock.log",
            lock=lock,
            trouble={},
            environment=clean_environment(),
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
