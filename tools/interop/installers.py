"""Installs the programs of others into environments of their own when they are first needed."""

from __future__ import annotations

from pathlib import Path

from tools.environments import ROOT, tool_python
from tools.interop.subprocesses import environment
from tools.npm import install

HERE = Path(__file__).resolve().parent
SCRIPTS = HERE / "scripts"
PYTHON_ENV = ROOT / ".venv-interop"


def python() -> Path:
    """Return the Python that has the packages of tools/interop/requirements.lock."""
    return tool_python(PYTHON_ENV, HERE / "requirements.lock")


def node() -> Path:
    """Return a Node.js, after the packages of tools/interop/package-lock.json were installed."""
    installed, _modules = install(
        HERE, usable="pipedrive/package.json", environment=environment(network=True)
    )
    return installed
