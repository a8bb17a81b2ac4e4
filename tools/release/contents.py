"""What has to be in the wheel and in the source distribution, and what must not."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Collection, Iterator
from email.parser import HeaderParser
from pathlib import Path

PACKAGE = "pipedrive_oauth_client"
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
    "openapi.yaml",
    "pyproject.toml",
    "requirements.lock",
    "tests/conftest.py",
    "tools/bootstrap.py",
)


def wheel_faults(wheel: Path, package_files: Collection[str], version: str) -> Iterator[str]:
    """Yield what is wrong with the content of a wheel.

    Args:
        wheel: The file.
        package_files: The files of the package in the project, relative to it.
        version: The version that it has to be.
    """
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        info = f"{PACKAGE}-{version}.dist-info"
        for name in sorted(names):
            if name.partition("/")[0] not in {PACKAGE, info}:
                yield f"the wheel has {name}, which is not of the package"
        for name in sorted(set(package_files) - names):
            yield f"the wheel lacks {name}"
        for name in sorted(n for n in names - set(package_files) if n.startswith(f"{PACKAGE}/")):
            yield f"the wheel has {name}, which git does not know"
        for name in (f"{PACKAGE}/py.typed", f"{info}/licenses/LICENSE", f"{info}/METADATA"):
            if name not in names:
                yield f"the wheel lacks {name}"
        if f"{info}/METADATA" in names:
            metadata = archive.read(f"{info}/METADATA").decode()
            yield from _metadata_faults(metadata, version)


def sdist_faults(sdist: Path, known: Collection[str], version: str) -> Iterator[str]:
    """Yield what is wrong with the content of a source distribution.

    Args:
        sdist: The file.
        known: All files that git knows.
        version: The version that it has to be.
    """
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


def _metadata_faults(text: str, version: str) -> Iterator[str]:
    metadata = HeaderParser().parsestr(text)
    wanted = {"Version": version, "License-Expression": "MIT", "Requires-Python": ">=3.11"}
    for name, value in wanted.items():
        if metadata[name] != value:
            yield f"the wheel says {name}: {metadata[name]}, not {value}"
