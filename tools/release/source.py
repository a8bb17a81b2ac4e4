"""What is to be released: the files that git knows, and a version that tag and changelog share."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from pathlib import Path

from attrs import frozen
from packaging.version import InvalidVersion, Version

# A section of the changelog: `## [1.2.3] - 2026-01-31`, or `## [Unreleased]`.
SECTION = re.compile(r"^## \[([^\]]+)\](?: - (\S+))?$", re.MULTILINE)


class ReleaseError(Exception):
    """Says what is wrong, a line for each fault."""


def refuse(faults: Iterable[str]) -> None:
    """Raise `ReleaseError` if there is any fault."""
    found = list(faults)
    if found:
        raise ReleaseError("\n".join(found))


@frozen
class Tree:
    """The state of the project's folder."""

    root: Path
    # What git knows and is there, relative to the folder.
    files: tuple[str, ...]
    # Lines of `git status`: what differs from the commit, and what git does not know.
    changes: tuple[str, ...]
    # Tags of the commit that begin with `v`, and the one that CI runs for.
    tags: tuple[str, ...]
    # When the commit was made, in seconds since 1970.
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
    """Look at the project's folder, which has to be a git repository with a commit."""
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
    """Run git, and return what it prints."""
    command: Sequence[str] = ["git", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    except FileNotFoundError as error:
        raise ReleaseError("git is missing; it says what belongs to a release") from error
    if done.returncode != 0:
        why = done.stderr.strip().splitlines()
        raise ReleaseError(f"git {arguments[0]} failed: {why[-1] if why else done.returncode}")
    return done.stdout


def version_faults(
    version: str, changelog: str, tags: Sequence[str], *, today: date
) -> Iterator[str]:
    """Yield where version, changelog and tags disagree; with a tag, the commit is a release."""
    try:
        own = Version(version)
    except InvalidVersion:
        yield f"__version__ is {version!r}, which is no version (PEP 440)"
        return
    if str(own) != version:
        yield f"__version__ is {version!r}; its normal form is {str(own)!r}"
    sections = SECTION.findall(changelog)
    if not sections or sections[0][0] != "Unreleased":
        yield "CHANGELOG.md does not begin with a section [Unreleased]"
    released = [(name, day) for name, day in sections if name != "Unreleased"]
    yield from _section_faults(released, own, today)
    if tags:
        yield from _release_faults(own, changelog, dict(released), tags)


def _section_faults(
    released: Sequence[tuple[str, str]], own: Version, today: date
) -> Iterator[str]:
    newer: Version | None = None
    for name, day in released:
        try:
            each = Version(name)
        except InvalidVersion:
            yield f"CHANGELOG.md has a section [{name}], which is no version"
            continue
        try:
            if date.fromisoformat(day) > today:
                yield f"CHANGELOG.md dates {name} in the future, {day}"
        except ValueError:
            yield f"CHANGELOG.md gives {name} no date like 2026-01-31"
        if newer is not None and each >= newer:
            yield f"CHANGELOG.md has {name} below {newer}; the newest comes first"
        newer = each
        if each > own:
            yield f"CHANGELOG.md has {name}, and __version__ is still {own}"


def _release_faults(
    own: Version, changelog: str, released: dict[str, str], tags: Sequence[str]
) -> Iterator[str]:
    if list(tags) != [f"v{own}"]:
        yield f"the commit is tagged {', '.join(tags)}, and __version__ is {own}"
    if str(own) not in released:
        yield f"CHANGELOG.md has no section [{own}] with the date of the release"
    unreleased = changelog.partition("## [Unreleased]")[2].partition("\n## ")[0]
    if re.search(r"^\s*[-*] ", unreleased, re.MULTILINE):
        yield f"CHANGELOG.md still has lines under [Unreleased]; they belong to {own}"
    if own.is_devrelease or own.local:
        yield f"{own} is not a version to publish"
