"""The generated folder: comparing it with what it should be, and rewriting it whole."""

from __future__ import annotations

import difflib
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Literal

from attrs import define

Files = Mapping[PurePosixPath, bytes]


@define(frozen=True, order=True)
class Difference:
    """One file that is not what it should be.

    Attributes:
        path: The file inside the generated folder.
        kind: `missing` (should be there), `stray` (should not) or `changed`.
        added: Lines that only the right content has.
        removed: Lines that only the present content has.
        diff: The difference as a unified diff, from the present content to the right one.
    """

    path: PurePosixPath
    kind: Literal["missing", "stray", "changed"]
    added: int
    removed: int
    diff: str


def read_tree(folder: Path) -> dict[PurePosixPath, bytes]:
    """Read every file of the generated folder, except what Python itself leaves there.

    Args:
        folder: The folder; it need not exist.

    Returns:
        The content of each file by its path inside the folder.
    """
    return {
        PurePosixPath(path.relative_to(folder).as_posix()): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def compare(present: Files, wanted: Files) -> list[Difference]:
    """List the files in which two trees differ.

    Args:
        present: The files as they are.
        wanted: The files as they should be.

    Returns:
        One difference per file, sorted by path.
    """
    found: list[Difference] = []
    for path in sorted(present.keys() | wanted.keys()):
        before, after = present.get(path), wanted.get(path)
        if before == after:
            continue
        lines = list(
            difflib.unified_diff(
                _lines(before), _lines(after), f"present/{path}", f"generated/{path}", lineterm=""
            )
        )
        found.append(
            Difference(
                path=path,
                kind="missing" if before is None else "stray" if after is None else "changed",
                added=sum(line.startswith("+") for line in lines[2:]),
                removed=sum(line.startswith("-") for line in lines[2:]),
                diff="\n".join(lines),
            )
        )
    return found


def rewrite(folder: Path, files: Files) -> None:
    """Put a folder with exactly the given files in place of whatever stands there.

    The new folder is complete before the old one goes, so that a run that is interrupted leaves
    one or the other.

    Args:
        folder: The folder to replace.
        files: Its content from now on.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left_over in folder.parent.glob(f".{folder.name}-*"):
        shutil.rmtree(left_over, ignore_errors=True)  # of a run that was killed
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        fresh = work / "new"
        for path, content in files.items():
            target = fresh / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        old = work / "old"
        try:
            if folder.exists():
                folder.replace(old)
            fresh.replace(folder)
        except BaseException:
            if old.exists() and not folder.exists():
                old.replace(folder)
            raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _lines(content: bytes | None) -> list[str]:
    return [] if content is None else content.decode("utf-8", errors="replace").splitlines()
