"""What each extra is for, as a program that has to work with this extra alone."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator

# A new extra needs a line here: the check refuses one that it can't try.
PROGRAMS = {
    "cli": (
        "from pipedrive_oauth_client.cli.main import run; import sys;"
        " sys.exit(run(['--help']) or run(['status', '--store', 'file:tokens']))"
    ),
    "encryption": "from pipedrive_oauth_client.stores import EncryptedTokenStore",
    "file": "from pipedrive_oauth_client.stores import FileTokenStore",
    "httpx2": "from pipedrive_oauth_client.adapters.httpx2 import PipedriveHttpx2Auth",
    "redis": "from pipedrive_oauth_client.stores import RedisTokenStore",
    "requests": "from pipedrive_oauth_client.adapters.requests import PipedriveRequestsAuth",
    "retry": "from pipedrive_oauth_client import RetryPolicy; RetryPolicy()",
    "sandbox": "from pipedrive_oauth_client import sandbox; sandbox.create_app()",
    "sql": (
        "from pipedrive_oauth_client.stores import SQLTokenStore; SQLTokenStore('sqlite:///t.db')"
    ),
    "web": "import pipedrive_oauth_client.web, pipedrive_oauth_client.web.login_state",
}

# What can be imported in an environment, and what the core loads there. What httpx loads by itself
# where it is there (click) is not the core's doing.
CORE = """
import sys, attrs, dateutil.parser, httpx
from importlib.metadata import packages_distributions
before = {name.partition(".")[0] for name in sys.modules}
from pipedrive_oauth_client import *  # its names are imported when they are asked for
import pipedrive_oauth_client.fleet, pipedrive_oauth_client.stores.memory
print("LOADED", *sorted({name.partition(".")[0] for name in sys.modules} - before))
print("THERE", *sorted(packages_distributions()))
"""


def extras_of(pyproject: str) -> list[str]:
    """Return the extras that pyproject.toml has, without `all`, which bundles the others."""
    found = tomllib.loads(pyproject)["project"]["optional-dependencies"]
    return sorted(set(found) - {"all"})


def extra_faults(extras: list[str]) -> Iterator[str]:
    """Yield where the extras and the programs above differ."""
    for name in sorted(set(extras) ^ PROGRAMS.keys()):
        where = "tools/release/extras.py" if name in extras else "pyproject.toml"
        yield f"the extra {name} is not in {where}"


def core_faults(core: str, everything: str) -> Iterator[str]:
    """Yield each package that the core loads and only an extra brings.

    Args:
        core: What `CORE` has printed where no extra is installed.
        everything: What it has printed where all are.
    """
    brought = _told(everything, "THERE") - _told(core, "THERE")
    loaded = _told(everything, "LOADED")
    if not brought or "pipedrive_oauth_client" not in loaded:
        yield "what the extras bring, or what the core loads, was not told"
    for name in sorted(brought & loaded):
        yield f"the core loads {name}, which only an extra brings"


def _told(printed: str, word: str) -> set[str]:
    lines = (line.split() for line in printed.splitlines())
    return {name for line in lines if line[:1] == [word] for name in line[1:]}
