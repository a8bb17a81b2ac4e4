"""Installs what was built, in environments that hold nothing else, and tries it there."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

from attrs import frozen

from tools.environments import interpreter, run_captured
from tools.lock_check import HASH, entries
from tools.release.archives import Built, environment
from tools.release.source import refuse

INSTALL_SECONDS = 300
RUN_SECONDS = 120
SMOKE = Path(__file__).with_name("smoke.py")

# What each extra is for, as a program that has to work with this extra alone. A new extra needs a
# line here: the check refuses one that it can't try.
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
LIST = """
from importlib.metadata import distributions
print(*sorted({f"{each.name} {each.version}" for each in distributions()}), sep="\\n")
"""


@frozen
class EnvironmentFactory:
    """Makes environments with uv, from the versions that the project's lock names."""

    uv: Path
    # A file with the versions.
    constraints: Path
    scratch: Path

    @classmethod
    def create(cls, uv: Path, lock: str, scratch: Path) -> EnvironmentFactory:
        """Make one for the content of requirements.lock, with an empty folder to work in."""
        constraints = scratch / "constraints.txt"
        # Without hashes: with them, uv would want one for the package itself as well.
        lines = (HASH.sub("", line).strip() for line in entries(lock))
        constraints.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return cls(uv, constraints, scratch)

    def install(self, name: str, python: Path, archive: Path, extras: Sequence[str] = ()) -> Path:
        """Install an archive and extras of it into a new environment, and return its Python."""
        env_dir = self.scratch / name
        own = interpreter(env_dir)
        with_extras = f"[{','.join(extras)}]" if extras else ""
        wanted = f"pipedrive-oauth-client{with_extras} @ {archive.resolve().as_uri()}"
        quiet = ("--no-config", "--quiet", "--no-progress")
        versions = ("--constraint", self.constraints, "--build-constraint", self.constraints)
        for command in (
            ["venv", *quiet, "--no-python-downloads", "--python", python, env_dir],
            ["pip", "install", *quiet, "--python", own, *versions, wanted],
        ):
            run_captured(
                [str(self.uv), *map(str, command)],
                what=f"installing {archive.name}{with_extras} with {python}",
                seconds=INSTALL_SECONDS,
                folder=self.scratch,
                variables=environment(),
            )
        return own


def try_python(
    factory: EnvironmentFactory, version: str, python: Path, built: Built, released: str
) -> str:
    """Install both archives on one Python, walk through the flow, and look at the core's imports.

    The wheel comes with all extras: only where an extra is installed can the core be seen not to
    load it.
    """
    folder = factory.scratch / f"work {version}"
    folder.mkdir()
    smoke = Path(shutil.copy(SMOKE, folder))
    everything = factory.install(f"{version}-all", python, built.wheel, ["all"])
    sdist = factory.install(f"{version}-sdist", python, built.sdist, ["sandbox"])
    for own, kind in ((everything, "wheel"), (sdist, "source distribution")):
        isolated(own, [str(smoke), released], folder, f"the walk with the {kind} on {version}")
    core = factory.install(f"{version}-core", python, built.wheel)
    alone = isolated(core, ["-c", CORE], folder, f"the core alone on {version}")
    among_all = isolated(everything, ["-c", CORE], folder, f"all extras on {version}")
    refuse(core_faults(alone, among_all))
    return f"Python {version}: both archives, the core alone, and the core among all extras"


def try_extras(factory: EnvironmentFactory, python: Path, wheel: Path) -> dict[str, set[str]]:
    """Run each extra's program with this extra alone.

    Returns:
        The packages that the core (`core`) and each extra bring, with their versions.
    """
    folder = factory.scratch / "work with extras"
    folder.mkdir()
    installed: dict[str, set[str]] = {}
    for name, program in {"core": "import pipedrive_oauth_client", **PROGRAMS}.items():
        own = factory.install(f"alone-{name}", python, wheel, [] if name == "core" else [name])
        isolated(own, ["-c", program], folder, f"the extra {name} alone")
        listed = isolated(own, ["-c", LIST], folder, f"listing what {name} brings")
        installed[name] = set(listed.splitlines())
    return installed


def isolated(python: Path, arguments: Sequence[str], folder: Path, what: str) -> str:
    """Run a Python that sees nothing but its environment."""
    return run_captured(
        [str(python), "-I", "-W", "error", *arguments],
        what=what,
        seconds=RUN_SECONDS,
        folder=folder,
        variables={**environment(), "NO_PROXY": "*", "no_proxy": "*"},
    )


def extras_of(pyproject: str) -> list[str]:
    """Return the extras that pyproject.toml has, without `all`, which bundles the others."""
    found = tomllib.loads(pyproject)["project"]["optional-dependencies"]
    return sorted(set(found) - {"all"})


def extra_faults(extras: Sequence[str]) -> Iterator[str]:
    """Yield where the extras and the programs above differ."""
    for name in sorted(set(extras) ^ PROGRAMS.keys()):
        where = "tools/release/installers.py" if name in extras else "pyproject.toml"
        yield f"the extra {name} is not in {where}"


def core_faults(core: str, everything: str) -> Iterator[str]:
    """Yield each package that the core loads and only an extra brings.

    Args:
        core: What `CORE` has printed where no extra is installed.
        everything: What it has printed where all are.
    """
    brought = _printed(everything, "THERE") - _printed(core, "THERE")
    loaded = _printed(everything, "LOADED")
    if not brought or "pipedrive_oauth_client" not in loaded:
        yield "what the extras bring, or what the core loads, was not printed"
    for name in sorted(brought & loaded):
        yield f"the core loads {name}, which only an extra brings"


def _printed(output: str, word: str) -> set[str]:
    lines = (line.split() for line in output.splitlines())
    return {name for line in lines if line[:1] == [word] for name in line[1:]}
