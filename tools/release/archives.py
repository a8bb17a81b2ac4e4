"""Builds the wheel and the source distribution, and looks at what came out."""

from __future__ import annotations

import os
import sys
import tarfile
import zipfile
from collections.abc import Collection, Iterator, Mapping
from email.parser import HeaderParser
from pathlib import Path, PurePosixPath

from attrs import frozen

from tools.environments import clean_environ, run_captured
from tools.release.source import Tree, refuse

PACKAGE = "pipedrive_oauth_client"
BUILD_SECONDS = 120
CHECK_SECONDS = 60
GENERATE_SECONDS = 600
# What regenerating, checking, testing and documenting starts from.
NEEDED_IN_SDIST = (
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "PKG-INFO",
    "README.md",
    "SECURITY.md",
    "generator-config.yml",
    "generator-templates/model.py.jinja",
    "mkdocs.yml",
    "noxfile.py",
    "openapi.yaml",
    "pyproject.toml",
    "requirements.lock",
    "tests/conftest.py",
    "tools/bootstrap.py",
)


@frozen
class Built:
    """What was built; both files are in one folder."""

    wheel: Path
    sdist: Path


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment variables of a program that is started here."""
    return {**clean_environ(), "PYTHONUTF8": "1", "NO_COLOR": "1", **(extra or {})}


def build_twice(tree: Tree, scratch: Path) -> Built:
    """Build both kinds twice, in different places and circumstances, and compare the bytes."""
    first = build(tree.copy(scratch / "first"), scratch / "built", tree)
    # Before 3.13 Python does not start in an ASCII locale where its packages are below a path with
    # other letters.
    locale = "C" if sys.executable.isascii() else "C.UTF-8"
    other = {"TZ": "Asia/Kolkata", "LC_ALL": locale, "PYTHONHASHSEED": "1"}
    old_mask = os.umask(0o077)
    try:
        again = build(tree.copy(scratch / "second, elsewhere"), scratch / "again", tree, other)
    finally:
        os.umask(old_mask)
    pairs = ((first.wheel, again.wheel), (first.sdist, again.sdist))
    refuse(
        f"{one.name} is not the same when it is built a second time"
        for one, two in pairs
        if one.read_bytes() != two.read_bytes()
    )
    return first


def build(source: Path, target: Path, tree: Tree, extra: Mapping[str, str] | None = None) -> Built:
    """Build both kinds from a folder."""
    run_captured(
        [sys.executable, "-m", "hatchling", "build", "-d", str(target)],
        what="building",
        seconds=BUILD_SECONDS,
        folder=source,
        variables=environment({"SOURCE_DATE_EPOCH": str(tree.commit_time), **(extra or {})}),
    )
    wheels, sdists = list(target.glob("*.whl")), list(target.glob("*.tar.gz"))
    if (len(wheels), len(sdists)) != (1, 1):
        refuse([f"{len(wheels)} wheels and {len(sdists)} source distributions were built"])
    return Built(wheels[0], sdists[0])


def check_archives(tool: Path, built: Built, tree: Tree, source: Path, version: str) -> None:
    """Refuse archives with too much or too little in them, or with wrong metadata.

    `source` is a folder with the files that git knows: what the wheel is compared with.
    """
    for command in (
        ["twine", "check", "--strict", str(built.wheel), str(built.sdist)],
        [
            # W004 rejects the numbers of Django's migrations; `wheel_faults` knows them.
            *("check_wheel_contents", "--no-config", "--ignore", "W004", "--toplevel", PACKAGE),
            *("--package", str(source / PACKAGE), str(built.wheel)),
        ],
    ):
        run_captured(
            [str(tool), "-m", *command],
            what=command[0],
            seconds=CHECK_SECONDS,
            folder=built.wheel.parent,
            variables=environment(),
        )
    faults = [*wheel_faults(built.wheel, version), *sdist_faults(built.sdist, tree.files, version)]
    refuse(faults)


def wheel_faults(wheel: Path, version: str) -> Iterator[str]:
    """Yield what is wrong with the metadata of a wheel."""
    info = f"{PACKAGE}-{version}.dist-info"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        missing = [n for n in (f"{info}/licenses/LICENSE", f"{info}/METADATA") if n not in names]
        yield from (f"the wheel lacks {name}" for name in missing)
        for name in names:
            parts = PurePosixPath(name).with_suffix("").parts
            is_migration = parts[-2:-1] == ("migrations",)
            own = parts[:-1] if is_migration else parts
            if name.endswith(".py") and not all(each.isidentifier() for each in own):
                yield f"the wheel has {name}, which can't be imported"
        if f"{info}/METADATA" in names:
            metadata = HeaderParser().parsestr(archive.read(f"{info}/METADATA").decode())
            wanted = {"Version": version, "License-Expression": "MIT", "Requires-Python": ">=3.11"}
            for name, value in wanted.items():
                if metadata[name] != value:
                    yield f"the wheel says {name}: {metadata[name]}, not {value}"


def sdist_faults(sdist: Path, known: Collection[str], version: str) -> Iterator[str]:
    """Yield what is wrong with a source distribution; `known` are the files that git knows."""
    top = f"{PACKAGE}-{version}/"
    with tarfile.open(sdist) as archive:
        names = {member.name for member in archive.getmembers() if member.isfile()}
    allowed = {f"{top}{name}" for name in known} | {f"{top}PKG-INFO"}
    for name in sorted(names - allowed):
        yield f"the source distribution has {name}, which git does not know"
    package = [name for name in known if name.startswith(f"{PACKAGE}/")]
    for name in (*sorted(package), *NEEDED_IN_SDIST):
        if f"{top}{name}" not in names:
            yield f"the source distribution lacks {name}"


def check_sdist_alone(built: Built, tree: Tree, scratch: Path) -> str:
    """Build the wheel from the source distribution, and generate the code with its own Makefile."""
    with tarfile.open(built.sdist) as archive:
        archive.extractall(scratch, filter="data")
    (source,) = scratch.iterdir()
    again = build(source, scratch / "built", tree)
    if again.wheel.read_bytes() != built.wheel.read_bytes():
        refuse(["the source distribution builds another wheel than the project does"])
    printed = run_captured(
        ["make", "generate"],
        what="make generate in the source distribution",
        seconds=GENERATE_SECONDS,
        folder=source,
        variables=environment({"MAKEFLAGS": "", "VIRTUAL_ENV": "", "SETUP_PYTHON": ""}),
    )
    if ", none changed." not in printed:
        refuse(["make generate changes what is in the source distribution:", printed])
    return "the source distribution builds the same wheel, and generates the same code"
