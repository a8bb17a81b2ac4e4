"""The archives hold what they should: each thing too much or too little is told."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from tools.release.archives import NEEDED_IN_SDIST, sdist_faults, wheel_faults

METADATA = "Metadata-Version: 2.4\nVersion: 1.0\nLicense-Expression: MIT\nRequires-Python: >=3.11\n"
PACKAGE = ["pipedrive_oauth_client/__init__.py", "pipedrive_oauth_client/py.typed"]
INFO = "pipedrive_oauth_client-1.0.dist-info"
WHEEL = {**dict.fromkeys(PACKAGE, ""), f"{INFO}/licenses/LICENSE": "", f"{INFO}/METADATA": METADATA}
KNOWN = [*PACKAGE, *(name for name in NEEDED_IN_SDIST if name != "PKG-INFO")]


def wheel(folder: Path, files: dict[str, str]) -> Path:
    """Write a wheel."""
    target = folder / "x.whl"
    with zipfile.ZipFile(target, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return target


def sdist(folder: Path, names: list[str]) -> Path:
    """Write a source distribution."""
    target = folder / "x.tar.gz"
    with tarfile.open(target, "w:gz") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    return target


def test_good_wheel_passes(tmp_path: Path) -> None:
    """A wheel of the package and its metadata has no fault."""
    assert list(wheel_faults(wheel(tmp_path, WHEEL), "1.0")) == []


@pytest.mark.parametrize("name", [name for name in WHEEL if name.startswith(INFO)])
def test_wheel_that_lacks_something(tmp_path: Path, name: str) -> None:
    """A file that is missing from the wheel is named."""
    files = {each: text for each, text in WHEEL.items() if each != name}
    found = list(wheel_faults(wheel(tmp_path, files), "1.0"))
    assert found
    assert set(found) == {f"the wheel lacks {name}"}


def test_module_that_cannot_be_imported(tmp_path: Path) -> None:
    """A module needs a name of Python, but a migration of Django's begins with its number."""
    folder = "pipedrive_oauth_client/web"
    for name, count in {
        "migrations/0001_a.py": 0,
        "0001_a.py": 1,
        "a-b/migrations/x.py": 1,
    }.items():
        files = {**WHEEL, f"{folder}/{name}": ""}
        assert len(list(wheel_faults(wheel(tmp_path, files), "1.0"))) == count


@pytest.mark.parametrize(
    ("old", "new"),
    [("\nVersion: 1.0", "\nVersion: 1.1"), ("MIT", "GPL-3.0-only"), (">=3.11", ">=3.9")],
)
def test_wheel_that_says_something_else(tmp_path: Path, old: str, new: str) -> None:
    """Metadata that are not the project's are told."""
    text = METADATA.replace(old, new)
    files = {**WHEEL, f"{INFO}/METADATA": text}
    (found,) = wheel_faults(wheel(tmp_path, files), "1.0")
    assert found.startswith("the wheel says ")


def test_good_sdist_passes(tmp_path: Path) -> None:
    """A source distribution of what git knows has no fault."""
    names = [f"pipedrive_oauth_client-1.0/{name}" for name in [*KNOWN, "PKG-INFO"]]
    assert list(sdist_faults(sdist(tmp_path, names), KNOWN, "1.0")) == []


@pytest.mark.parametrize("name", [*PACKAGE, *NEEDED_IN_SDIST])
def test_sdist_that_lacks_something(tmp_path: Path, name: str) -> None:
    """A file without which others can't go on is named."""
    names = [f"pipedrive_oauth_client-1.0/{each}" for each in [*KNOWN, "PKG-INFO"] if each != name]
    (found,) = sdist_faults(sdist(tmp_path, names), KNOWN, "1.0")
    assert found == f"the source distribution lacks {name}"


@pytest.mark.parametrize("name", ["pipedrive_oauth_client-1.0/.env", "other/x", "../x"])
def test_sdist_with_too_much(tmp_path: Path, name: str) -> None:
    """A file that git does not know, or of another place, is named."""
    names = [f"pipedrive_oauth_client-1.0/{each}" for each in [*KNOWN, "PKG-INFO"]]
    (found,) = sdist_faults(sdist(tmp_path, [*names, name]), KNOWN, "1.0")
    assert found == f"the source distribution has {name}, which git does not know"
