"""`make diff`: a change of openapi.yaml may break callers only if it says so.

Breaking changes pass where CHANGELOG.md declares each of them and the version moves as Semantic
Versioning asks: a major step, or a minor one while the version is 0.y.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import NoReturn

from attrs import frozen
from packaging.version import InvalidVersion, Version

from tools.specdiff.__main__ import write
from tools.specdiff.findings import Finding
from tools.specdiff.report import Report, diff
from tools.specdiff.rules import Level
from tools.specdiff.sources import ROOT, SPEC, Source, git, read_source
from tools.specdiff.trouble import CannotCompareError, as_program, outcome

CHANGELOG = "CHANGELOG.md"
VERSION_FILE = "pipedrive_oauth_client/__init__.py"
_VERSION = re.compile(r'^__version__ = "([^"]+)"', re.MULTILINE)
_SECTION = re.compile(r"^## \[([^\]]+)\].*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
# What nobody sees declares nothing.
_HIDDEN = re.compile(r"<!--.*?-->", re.DOTALL)
_ENTRY = re.compile(r"^- \*\*Breaking:\*\*.*?(?=^\S|^\s*$|\Z)", re.MULTILINE | re.DOTALL)


@frozen
class Review:
    """What stands between a change of the spec and the main branch.

    Attributes:
        undeclared: The breaking findings that CHANGELOG.md does not declare.
        version: The version now.
        before: The version that it has to move from.
        moved: Whether it moved as far as a break asks.
    """

    undeclared: tuple[Finding, ...]
    version: Version
    before: Version
    moved: bool


def default_base(root: Path) -> str:
    """Choose what to compare with where nobody says.

    Returns:
        On another branch, where it left main. On main itself, the last commit if openapi.yaml has
        changed since, else the one before.

    Raises:
        CannotCompareError: There is no main, or nothing before the only commit.
    """
    head = _resolve(root, "HEAD")
    for main in ("main", "origin/main"):
        tip = _resolve(root, main)
        if tip is not None and head is not None and tip != head:
            fork = git(root, "merge-base", tip, head)
            if fork is not None and fork.decode().strip() != head:
                return fork.decode().strip()[:12]
        if tip is not None and tip == head:
            break
    if head is None or git(root, "rev-parse", "--verify", "--quiet", f"HEAD:{SPEC}") is None:
        raise CannotCompareError("there is no commit to compare with; name one: make diff BASE=…")
    if (root / SPEC).read_bytes() != git(root, "cat-file", "blob", f"HEAD:{SPEC}"):
        return "HEAD"
    if _resolve(root, "HEAD~1") is None:
        raise CannotCompareError(
            "there is no commit before this one (a shallow clone?); name one: make diff BASE=…"
        )
    return "HEAD~1"


def _resolve(root: Path, revision: str) -> str | None:
    wanted = f"{revision}^{{commit}}"
    found = git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", wanted)
    return None if found is None else found.decode().strip()


def review(report: Report, base: str, root: Path) -> Review:
    """Hold the breaks of a report against CHANGELOG.md and the version.

    Args:
        report: What changed.
        base: The revision that the change is compared with.
        root: The project's folder.

    Raises:
        CannotCompareError: The version or CHANGELOG.md can't be read.
    """
    changelog = _text(root / CHANGELOG)
    version = _version(_text(root / VERSION_FILE), "this tree")
    then = git(root, "cat-file", "blob", f"{_resolve(root, base) or base}:{VERSION_FILE}")
    if then is None:
        raise CannotCompareError(f"{base} has no {VERSION_FILE}, so no version to move from")
    old_changelog = git(root, "cat-file", "blob", f"{_resolve(root, base) or base}:{CHANGELOG}")
    # The last release, since a break may follow one that moved the version already.
    released = _released((old_changelog or b"").decode("utf-8", "replace"))
    before = released or _version(then.decode("utf-8", "replace"), base)
    breaking = [each for each in report.findings if each.level is Level.BREAKING]
    entries = _entries(changelog, version)
    undeclared = tuple(each for each in breaking if not _declared(each, entries))
    return Review(undeclared, version, before, _moved(before, version))


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CannotCompareError(f"{file.name} can't be read: {error}") from error


def _version(text: str, where: str) -> Version:
    found = _VERSION.search(text)
    try:
        return Version(found[1] if found else "")
    except InvalidVersion as error:
        raise CannotCompareError(
            f'{VERSION_FILE} of {where} has no line like __version__ = "0.1.0"'
        ) from error


def _released(changelog: str) -> Version | None:
    """Give the latest version that has a section of its own."""
    found = []
    for section in _SECTION.finditer(changelog):
        try:
            found.append(Version(section[1]))
        except InvalidVersion:
            continue
    return max(found, default=None)


def _entries(changelog: str, version: Version) -> list[str]:
    """Give the declared breaks of what is not released yet, or of this very version."""
    wanted = {"unreleased", str(version)}
    return [
        entry[0]
        for section in _SECTION.finditer(_HIDDEN.sub("", changelog))
        if section[1].lower() in wanted
        for entry in _ENTRY.finditer(section[0])
        # Pasted, and nothing said yet.
        if "…" not in entry[0]
    ]


def _declared(each: Finding, entries: list[str]) -> bool:
    return any(
        {each.rule.id, _name(each)} <= set(re.findall(r"`([^`\n]+)`", entry)) for entry in entries
    )


def _name(each: Finding) -> str:
    return each.subject.replace("`", "'")


def _moved(before: Version, now: Version) -> bool:
    if before.major == 0 and now.major == 0:
        return now.minor > before.minor
    return now.major > before.major


def words(found: Review, *, breaks: bool) -> list[str]:
    """Say what is missing, with lines to paste."""
    if not breaks:
        return ["Nothing breaks: no word in CHANGELOG.md and no step of the version is needed."]
    said: list[str] = []
    if found.undeclared:
        said.append(
            f"{CHANGELOG} declares {len(found.undeclared)} of these breaks not yet. Under"
            " [Unreleased], say what callers have to do:"
        )
        said += [
            f"- **Breaking:** `{rule}` `{name}`: …"
            for rule, name in dict.fromkeys(
                (each.rule.id, _name(each)) for each in found.undeclared
            )
        ]
    if not found.moved:
        step = "minor" if found.before.major == 0 else "major"
        said.append(
            f"The version is {found.version}; after {found.before}, a break needs a {step} step."
            f" It stands in {VERSION_FILE}."
        )
    if not said:
        said.append(f"Every break is declared, and the version moved from {found.before}.")
    return said


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise CannotCompareError(message)


def main(argv: list[str] | None = None, *, root: Path = ROOT) -> int:
    """Compare openapi.yaml with an older one, and ask for what a break needs.

    Args:
        argv: Arguments, without the program's name.
        root: The project's folder.

    Returns:
        0 when nothing breaks or all of it is declared, 1 when something is missing, 2 when the
        specs can't be compared.
    """
    return outcome("diff", lambda: _run(argv, root))


def _run(argv: list[str] | None, root: Path) -> int:
    parser = _Parser(prog="python -m tools.specdiff.review", description=__doc__)
    parser.add_argument("base", nargs="?", default="", metavar="BASE", help="a revision of git")
    parser.add_argument("--format", choices=["text", "markdown"], default="text")
    arguments = parser.parse_args(argv)
    if not (root / SPEC).is_file():
        raise CannotCompareError(f"there is no {SPEC}")
    base = arguments.base.strip() or default_base(root)
    if _resolve(root, base) is None:
        raise CannotCompareError(
            f"{base} is no revision of git here (a shallow clone lacks older ones);"
            " name another: make diff BASE=…"
        )
    old = read_source(f"{base}:{SPEC}", root=root)
    new = Source(SPEC, read_source(str(root / SPEC)).text)
    report = diff(old, new)
    found = review(report, base, root)
    write(report, arguments.format)
    said = words(found, breaks=report.breaks())
    print("\n" + ("\n\n" if arguments.format == "markdown" else "\n").join(said))
    return 1 if report.breaks() and (found.undeclared or not found.moved) else 0


if __name__ == "__main__":
    as_program(main)
