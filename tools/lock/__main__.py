"""Write requirements.lock from pyproject.toml: `python -m tools.lock [more arguments for uv]`.

One file for every platform and every supported Python: run-time requirements, all extras and the
development group, exact versions with hashes. uv works them out, in an environment of its own, so
that the lock can be made where there is none yet or where the one that is there does not install.
Standard library only, for the same reason.
"""

from __future__ import annotations

import re
import sys

from tools.lock.uv import ROOT, UV, write_lock
from tools.once import exit_code, say

HEADER = f"""\
# The exact versions that this project is developed, checked and run with: run-time requirements,
# all extras and the development group, for every platform and every Python from 3.11 on.
# Made from pyproject.toml by `make lock` with {UV}; don't edit it by hand.
# Newer versions: `make lock ARGS=--upgrade`, or of one: `make lock ARGS="--upgrade-package httpx"`.
# Installing it elsewhere: `pip install --require-hashes -r requirements.lock`.

"""


def main() -> None:
    """Make the lock, keeping the versions it names already wherever they still fit."""
    target = ROOT / "requirements.lock"
    write_lock(target, HEADER, ["pyproject.toml", "--all-extras", "--group=dev", *sys.argv[1:]])
    text = target.read_text(encoding="utf-8")
    say(f"requirements.lock names {len(re.findall('^[^#]+==', text, re.MULTILINE))} packages")


if __name__ == "__main__":
    sys.exit(exit_code(main))
