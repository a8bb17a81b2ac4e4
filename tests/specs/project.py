"""A copy of what the generator reads and writes, and packages generated from small specs."""

from __future__ import annotations

import importlib
import re
import shutil
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, TypeAlias

from tools.generate.__main__ import main
from tools.generate.render import Sources, render
from tools.generate.tree import read_tree, rewrite

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import PurePosixPath

    import pytest

ROOT = Path(__file__).resolve().parents[2]
SPECS = Path(__file__).resolve().parent
GENERATED = Path("pipedrive_oauth_client", "generated")

Snapshot: TypeAlias = dict[str, tuple[int, bytes]]


def copy_project(target: Path, *, spec: Path = ROOT / "openapi.yaml") -> Path:
    """Copy what the generator reads and writes.

    Args:
        target: The folder to make.
        spec: The document to put in as `openapi.yaml`. With another than the project's own, the
            generated folder is left out.

    Returns:
        `target`.
    """
    target.mkdir(parents=True)
    shutil.copyfile(spec, target / "openapi.yaml")
    shutil.copyfile(ROOT / "generator-config.yml", target / "generator-config.yml")
    shutil.copytree(ROOT / "generator-templates", target / "generator-templates")
    if spec == ROOT / "openapi.yaml":
        rewrite(target / GENERATED, read_tree(ROOT / GENERATED))
    return target


def generate(root: Path, *arguments: str) -> int:
    """Run the generator on a copy of the project.

    Args:
        root: The copy.
        *arguments: Further arguments of `python -m tools.generate`.

    Returns:
        The exit status.
    """
    return main([*arguments, "--root", str(root)])


def edit(file: Path, old: str, new: str) -> None:
    """Replace the first occurrence of a text, which has to be there.

    Args:
        file: The file to change.
        old: What stands there.
        new: What is to stand there.
    """
    text = file.read_text(encoding="utf-8")
    assert old in text, f"{file.name} holds no {old!r}"
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


def snapshot(folder: Path) -> Snapshot:
    """Note every file and folder below a folder, with content and time of change."""
    return {
        path.relative_to(folder).as_posix(): (
            path.lstat().st_mtime_ns,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in sorted(folder.rglob("*"))
    }


def render_spec(spec: Path) -> Mapping[PurePosixPath, bytes]:
    """Generate from a spec with the project's own settings and templates."""
    return render(Sources(spec, ROOT / "generator-config.yml", ROOT / "generator-templates"))


class Package:
    """A generated package that can be imported.

    Attributes:
        folder: Where its files are.
    """

    def __init__(self, files: Mapping[PurePosixPath, bytes], folder: Path) -> None:
        rewrite(folder, files)
        self.folder = folder

    @classmethod
    def at(cls, folder: Path) -> Package:
        """Give a package that is there already.

        Args:
            folder: Where its files are.
        """
        package = cls.__new__(cls)
        package.folder = folder
        return package

    def module(self, name: str) -> ModuleType:
        """Import one of its modules.

        Args:
            name: The module's name inside the package, for example `models`.
        """
        return importlib.import_module(f"{self.folder.name}.{name}")


def package_of(text: str, folder: Path, patch: pytest.MonkeyPatch) -> Package:
    """Generate a package from a spec's text, and make it importable until the patch is undone.

    Args:
        text: The spec.
        folder: An empty folder; its name has to be one that no other test uses.
        patch: What undoes the change of the import path.
    """
    spec = folder / "openapi.yaml"
    spec.write_text(text, encoding="utf-8")
    name = "generated_" + re.sub(r"\W", "_", folder.name)
    package = Package(render_spec(spec), folder / name)
    patch.syspath_prepend(folder)
    return package
