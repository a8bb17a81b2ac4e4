"""Run the benchmarks: `python -m benchmarks [PART ...]`, where no part stands for all.

They run in an environment of their own, .venv-bench, with this package and its peers on the same
interpreter and the same httpx. What they find goes to benchmarks/results.json and
docs/benchmarks.md.
"""

from __future__ import annotations

import subprocess
import sys

from tools.environments import ROOT, clean_environ, exit_code, tool_python

RUN = ["-W", "ignore::DeprecationWarning", "-m", "benchmarks.run"]


def main() -> None:
    """Make the environment, and start the run in it."""
    python = tool_python(ROOT / ".venv-bench", ROOT / "benchmarks" / "requirements.lock")
    done = subprocess.run(  # noqa: S603 - this very Python
        [str(python), *RUN, *sys.argv[1:]], cwd=ROOT, env=clean_environ(), check=False
    )
    raise SystemExit(done.returncode)


if __name__ == "__main__":
    sys.exit(exit_code(main))
