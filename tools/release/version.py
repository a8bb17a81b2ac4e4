"""The version stands in one place; the tag and the changelog have to agree with it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date

from packaging.version import InvalidVersion, Version

# A section of the changelog: `## [1.2.3] - 2026-01-31`, or `## [Unreleased]`.
SECTION = re.compile(r"^## \[([^\]]+)\](?: - (\S+))?$", re.MULTILINE)


def version_faults(
    version: str, changelog: str, tags: Sequence[str], *, today: date
) -> Iterator[str]:
    """Yield where version, changelog and tags disagree.

    Args:
        version: `__version__` of the package.
        changelog: The content of CHANGELOG.md.
        tags: Tags of the commit that begin with `v`. With one, the commit is a release.
        today: The date; a release is not of the future.
    """
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
