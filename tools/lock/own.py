"""Write the lock of a tool that has an environment of its own: `python -m tools.lock.own FOLDER`.

It resolves FOLDER/requirements.in into FOLDER/requirements.lock. Versions that the lock names
already are kept wherever they still fit; `--upgrade` after the folder asks for newer ones.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tools.lock.uv import UV, write_lock
from tools.once import exit_code, say

HEADER = f"""\
# The exact versions of the packages that this tool runs with, in an environment of its own.
# Made from requirements.in by `python -m tools.lock.own` with {UV}; don't edit it by hand.

"""


def main() -> None:
    """Write the lock in the folder that the command line names."""
    folder = Path(sys.argv[1])
    target = folder.resolve() / "requirements.lock"
    write_lock(target, HEADER, ["requirements.in", *sys.argv[2:]])
    text = target.read_text(encoding="utf-8")
    named = len(re.findall("^[^#]+==", text, re.MULTILINE))
    say(f"{folder / target.name} names {named} packages")


if __name__ == "__main__":
    sys.exit(exit_code(main))
