"""What is built: the files that git knows, as they are, and nothing that lies around."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from attrs import frozen

from tools.release.refused import RefusedError


@frozen
class Tree:
    """The state of the project's folder.

    Attributes:
        root: The folder.
        files: What git knows and is there, relative to it.
        changes: Lines of `git status`: what differs from the commit, and what git does not know.
        tags: Tags of the commit that begin with `v`, and the one that CI runs for.
        commit_time: When the commit was made, in seconds since 1970.
    """

    root: Path
    files: tuple[str, ...]
    changes: tuple[str, ...]
    tags: tuple[str, ...]
    commit_time: int

    def faults(self) -> Iterator[str]:
        """Yield why this state is no release: at a tag, what is built has to be the commit."""
        if self.tags and self.changes:
            yield f"the commit is tagged {self.tags[0]}, and the folder differs from it:"
            yield from self.changes

    def copy(self, target: Path) -> Path:
        """Copy the files to a new folder."""
        for name in self.files:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(self.root / name, target / name, follow_symlinks=False)
        return target


def look(root: Path) -> Tree:
    """Look at the project's folder.

    Raises:
        RefusedError: It is no git repository with a commit.
    """
    known = git(root, "ls-files", "-z").split("\0")
    return Tree(
        root,
        tuple(name for name in known if name and (root / name).is_file()),
        tuple(git(root, "status", "--porcelain").splitlines()),
        tuple(sorted({*git(root, "tag", "--points-at", "HEAD", "v*").split(), *_tag_of_ci()})),
        int(git(root, "log", "-1", "--format=%ct")),
    )


def _tag_of_ci() -> list[str]:
    """Give the tag that CI was started by, which its checkout may not have brought along."""
    if os.environ.get("GITHUB_REF_TYPE") != "tag":
        return []
    return [os.environ["GITHUB_REF_NAME"]]


def git(root: Path, *arguments: str) -> str:
    """Ask git, and return what it prints."""
    command: Sequence[str] = ["git", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    except FileNotFoundError as error:
        raise RefusedError(["git is missing; it says what belongs to a release"]) from error
    if done.returncode != 0:
        why = done.stderr.strip().splitlines()
        raise RefusedError([f"git {arguments[0]} failed: {why[-1] if why else done.returncode}"])
    return done.stdout
