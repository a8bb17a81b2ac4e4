"""The generated folder: compared with what it should be, and rewritten whole."""

from __future__ import annotations

import contextlib
import difflib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Generator, Mapping
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
        removed: Lines that only the current content has.
        diff: The difference as a unified diff, from the current content to the right one.
    """

    path: PurePosixPath
    kind: Literal["missing", "stray", "changed"]
    added: int
    removed: int
    diff: str


def read_tree(folder: Path) -> dict[PurePosixPath, bytes]:
    """Read every file of the generated folder, which need not exist, except compiled modules."""
    return {
        PurePosixPath(path.relative_to(folder).as_posix()): _content(path)
        for path in sorted(folder.rglob("*"))
        if (path.is_symlink() or path.is_file()) and "__pycache__" not in path.parts
    }


def _content(path: Path) -> bytes:
    # A link is never what should be there, whatever its target.
    return f"-> {path.readlink()}".encode() if path.is_symlink() else path.read_bytes()


def compare(present: Files, wanted: Files) -> list[Difference]:
    """List the files in which two trees differ, sorted by path."""
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
    """Replace a folder by one with exactly the given files.

    The new folder is complete before the old one is removed, so that a run that fails leaves one or
    the other. A run that is killed between the two leaves neither; the next run writes it again.
    Runs at the same time wait for each other.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.parent):
        for left_over in folder.parent.glob(f".{folder.name}-*"):
            shutil.rmtree(left_over, ignore_errors=True)  # of a killed run
        work = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            _replace(folder, work, files)
        finally:
            shutil.rmtree(work, ignore_errors=True)


@contextlib.contextmanager
def _locked(folder: Path) -> Generator[None, None, None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(folder: Path, work: Path, files: Files) -> None:
    fresh, old = work / "new", work / "old"
    for path, content in files.items():
        target = fresh / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    try:
        if folder.exists():
            folder.replace(old)
        fresh.replace(folder)
    except BaseException:
        if old.exists() and not folder.exists():
            old.replace(folder)
        raise


def _lines(content: bytes | None) -> list[str]:
    return [] if content is None else content.decode("utf-8", errors="replace").splitlines()
