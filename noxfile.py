"""The tests of the package on every supported Python: `make verify PART=matrix`.

A session is a Python with packages, for example 3.12-locked: `lowest` is the oldest version of
everything that the package needs or works with, `newest` what the index has today, `locked` what
requirements.lock names. A supported Python that is not on this machine is a failure, unless
ARGS=--no-error-on-missing-interpreters; ARGS="--session 3.13-newest" runs one session. A newer
Python that is on this machine has a session, too.

A new supported Python is its classifier in pyproject.toml, and its version in ci.yml.
"""

from __future__ import annotations

import os
import re
import shutil
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import nox
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.environments import ROOT, find_pythons, newer_versions, supported_versions
from tools.lock import install_uv, resolve

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

nox.options.envdir = ".venv-matrix"
nox.options.reuse_venv = "yes"
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = True

PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
# `make test` has these, once: tests of the tools that this repository is worked on with, some of
# which do not take the newest packages yet, and some that prove the same with other packages.
IMPORTS_TOOLS = re.compile(
    r"^(from|import) (tools|benchmarks|noxfile|tests\.specs|openapi_spec_validator)\b", re.MULTILINE
)
ONCE = ("tests/browser", "tests/faults", "tests/test_costs.py", "tests/test_time_limits.py")
# A single test that needs a tool: the type checker.
NEEDS_A_TOOL = "tests/web/test_guides.py::test_types_of_the_guides"


def packages_for(versions: Sequence[str]) -> dict[str, str]:
    """Pair each Python, oldest first, with packages, so that both ends are tried once.

    The oldest packages are for the oldest Python and the newest for the newest, since newer
    Pythons have no wheels of old packages.
    """
    ends = {versions[-1]: "newest", versions[0]: "lowest"}
    return {version: ends.get(version, "locked") for version in versions}


def left_out(root: Path) -> Iterator[str]:
    """Yield the files and folders of tests that `make test` runs once, for all sessions."""
    yield from ONCE
    for module in sorted(root.glob("tests/**/*.py")):
        name = module.name
        if name != "conftest.py" and not name.startswith("test_"):
            continue
        if IMPORTS_TOOLS.search(module.read_text(encoding="utf-8")):
            # What a conftest.py imports, every test of its folder needs.
            yield str((module.parent if name == "conftest.py" else module).relative_to(root))


def runtime_requirements(pyproject: str) -> list[Requirement]:
    """Return the dependencies, what each extra needs, and what apps bring themselves."""
    content = tomllib.loads(pyproject)
    project = content["project"]
    lists: list[list[str]] = [project["dependencies"], *project["optional-dependencies"].values()]
    lists.append(content["dependency-groups"]["apps"])
    own = canonicalize_name(project["name"])
    asked = [Requirement(line) for lines in lists for line in lines]
    return [each for each in asked if canonicalize_name(each.name) != own]


def lowest(requirement: Requirement) -> str:
    """Return a requirement of the oldest version that another one allows."""
    bounds = [each.version for each in requirement.specifier if each.operator in (">=", "==", "~=")]
    if len(bounds) != 1:
        raise ValueError(f"{requirement.name} has no lower bound in pyproject.toml; give it one")
    return f"{requirement.name}=={bounds[0]}"


def choose(packages: str, chosen: Path, python: str) -> None:
    """Write the exact versions of what the package and its tests need, without the tools.

    The tools would hold packages back: some of them do not take the newest ones yet.
    """
    shutil.copyfile(ROOT / "requirements.lock", chosen)
    source = ["pyproject.toml", "--all-extras", "--group=test"]
    if packages == "newest":
        source.append("--upgrade")
    if packages == "lowest":
        constraints = chosen.with_suffix(".constraints")
        lines = [f"{lowest(each)}\n" for each in runtime_requirements(PYPROJECT)]
        constraints.write_text("".join(lines), encoding="utf-8")
        source += ["--constraint", str(constraints)]
    resolve(chosen, ROOT, python, source)


def add_session(version: str, packages: str, python_path: str) -> None:
    """Register the tests on one Python with one choice of packages."""

    def run_tests(session: nox.Session) -> None:
        env_dir = Path(session.virtualenv.location)
        python = str(env_dir / "bin" / "python")
        chosen = env_dir / "chosen.txt"
        choose(packages, chosen, python)
        uv = [str(install_uv()), "--no-config", "--quiet", "pip"]
        exact = ["--require-hashes", "--only-binary=:all:", "--python", python]
        session.run(*uv, "sync", *exact, str(chosen), external=True)
        own = ["--offline", "--no-deps", "--no-build-isolation", "--python", python]
        session.run(*uv, "install", *own, "--editable", str(ROOT), external=True)
        session.run(
            *("python", "-m", "pytest", "-n", "auto", "--dist", "worksteal", "-q"),
            *("-p", "no:cacheprovider"),
            # Where a server is missing, tests skip with a reason; in CI nothing is missing.
            *(["--no-skips"] if os.environ.get("CI") else []),
            *(f"--ignore={path}" for path in left_out(ROOT)),
            f"--deselect={NEEDS_A_TOOL}",
            *session.posargs,
        )

    run_tests.__doc__ = f"The tests on Python {version} with the {packages} packages."
    tags = [f"python{version.replace('.', '_')}", packages]
    nox.session(python=python_path, name=f"{version}-{packages}", tags=tags)(run_tests)


SUPPORTED = supported_versions(PYPROJECT)
FOUND = find_pythons([*SUPPORTED, *newer_versions(SUPPORTED)])
VERSIONS = [*SUPPORTED, *(version for version in FOUND if version not in SUPPORTED)]
for each_version, each_choice in packages_for(VERSIONS).items():
    # By its path, where there is one: a pyenv shim of the right name may not run this version.
    add_session(each_version, each_choice, str(FOUND.get(each_version, each_version)))
