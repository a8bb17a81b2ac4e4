"""Installs what was built, in environments that hold nothing else, and tries it there."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

from tools.interop.subprocesses import environment, run
from tools.lock.check import HASH, entries
from tools.release import extras
from tools.release.refused import refuse

INSTALL_SECONDS = 300.0
RUN_SECONDS = 120.0
SMOKE = Path(__file__).with_name("smoke.py")


@frozen
class Workshop:
    """Makes environments with uv, from the versions that the project's lock names.

    Attributes:
        uv: The program.
        constraints: A file with the versions.
        scratch: A folder for the environments.
    """

    uv: Path
    constraints: Path
    scratch: Path

    @classmethod
    def open(cls, uv: Path, lock: str, scratch: Path) -> Workshop:
        """Make one.

        Args:
            uv: The program.
            lock: The content of requirements.lock.
            scratch: An empty folder.
        """
        constraints = scratch / "constraints.txt"
        # Without hashes: with them, uv would want one for the package itself as well.
        lines = (HASH.sub("", line).strip() for line in entries(lock))
        constraints.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return cls(uv, constraints, scratch)

    def install(self, name: str, python: Path, archive: Path, chosen: Sequence[str] = ()) -> Path:
        """Install an archive and extras of it, and return the environment's Python.

        Args:
            name: What to call the environment.
            python: The Python to make it from.
            archive: The wheel or source distribution.
            chosen: The extras.
        """
        place = self.scratch / name
        own = place / "bin" / "python"
        with_extras = f"[{','.join(chosen)}]" if chosen else ""
        wanted = f"pipedrive-oauth-client{with_extras} @ {archive.resolve().as_uri()}"
        quiet = ("--no-config", "--quiet", "--no-progress")
        versions = ("--constraint", self.constraints, "--build-constraint", self.constraints)
        for command in (
            ["venv", *quiet, "--no-python-downloads", "--python", python, place],
            ["pip", "install", *quiet, "--python", own, *versions, wanted],
        ):
            run(
                [str(self.uv), *map(str, command)],
                what=f"installing {archive.name}{with_extras} with {python}",
                seconds=INSTALL_SECONDS,
                folder=self.scratch,
                variables=environment(network=True),
            )
        return own


def try_python(
    shop: Workshop, version: str, python: Path, archives: Sequence[Path], released: str
) -> str:
    """Try everything on one Python.

    Args:
        shop: Makes the environments.
        version: The Python's version.
        python: The Python.
        archives: The wheel and the source distribution.
        released: The version that is to be released.

    Returns:
        What was tried.

    Raises:
        RefusedError: Something does not work.
    """
    folder = shop.scratch / f"work {version}"
    folder.mkdir()
    smoke = Path(shutil.copy(SMOKE, folder))
    for archive in archives:
        kind = "wheel" if archive.suffix == ".whl" else "sdist"
        own = shop.install(f"{version}-{kind}", python, archive, ["sandbox"])
        isolated(own, [str(smoke), released], folder, f"the walk with the {kind} on {version}")
    wheel = archives[0]
    for extra, program in extras.PROGRAMS.items():
        own = shop.install(f"{version}-{extra}", python, wheel, [extra])
        isolated(own, ["-c", program], folder, f"the extra {extra} alone on {version}")
    core = shop.install(f"{version}-core", python, wheel)
    alone = isolated(core, ["-c", extras.CORE], folder, f"the core alone on {version}")
    # Only where an extra is installed can the core be seen not to load it.
    everything = shop.install(f"{version}-all", python, wheel, ["all"])
    among_all = isolated(everything, ["-c", extras.CORE], folder, f"all extras on {version}")
    refuse(extras.core_faults(alone, among_all))
    return f"Python {version}: both archives, the core and {len(extras.PROGRAMS)} extras alone"


def isolated(python: Path, arguments: Sequence[str], folder: Path, what: str) -> str:
    """Run a Python that sees nothing but its environment."""
    command = [str(python), "-I", "-W", "error", *arguments]
    return run(command, what=what, seconds=RUN_SECONDS, folder=folder, variables=environment())
