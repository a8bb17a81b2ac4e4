"""`make diff`: a change of openapi.yaml may break callers only if it is declared.

Breaking changes pass if CHANGELOG.md declares each of them and the version increases as Semantic
Versioning requires: a major step, or a minor one while the version is 0.y.
"""

from __future__ import annotations

import re
from pathlib import Path

from attrs import frozen
from packaging.version import VERSION_PATTERN, InvalidVersion, Version

from tools.safe_output import printable, without_commands
from tools.specdiff.__main__ import Parser, exit_status, run_as_program, write
from tools.specdiff.diff import Report, diff
from tools.specdiff.findings import Finding, Level
from tools.specdiff.spec_files import ROOT, SPEC, CannotCompareError, Source, git, read_source

CHANGELOG = "CHANGELOG.md"
VERSION_FILE = "pipedrive_oauth_client/__init__.py"
_HINT = "name one: make diff BASE=…"
_VERSION = re.compile(r'^__version__ = "([^"]+)"', re.MULTILINE)
_NUMBER = re.compile(VERSION_PATTERN, re.VERBOSE | re.IGNORECASE)
_SECTION = re.compile(r"^## \[([^\]]+)\].*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_ENTRY = re.compile(r"^- \*\*Breaking:\*\*.*?(?=^\S|^\s*$|\Z)", re.MULTILINE | re.DOTALL)


@frozen
class Review:
    """What a change of the spec lacks."""

    undeclared: tuple[Finding, ...]  # the breaking ones that CHANGELOG.md does not declare
    version: Version
    before: Version
    increased: bool  # whether the version increased as a breaking change requires


def default_base(root: Path) -> str:
    """Choose where the branch left main; on main, HEAD if openapi.yaml differs, else HEAD~1."""
    head = _resolve(root, "HEAD")
    for main_name in ("main", "origin/main"):
        tip = _resolve(root, main_name)
        if tip is not None and head is not None and tip != head:
            fork = git(root, "merge-base", tip, head)
            if fork is not None and fork.decode().strip() != head:
                return fork.decode().strip()[:12]
        if tip is not None and tip == head:
            break
    if head is None or git(root, "rev-parse", "--verify", "--quiet", f"HEAD:{SPEC}") is None:
        raise CannotCompareError(f"there is no commit to compare with; {_HINT}")
    if (root / SPEC).read_bytes() != git(root, "cat-file", "blob", f"HEAD:{SPEC}"):
        return "HEAD"
    if _resolve(root, "HEAD~1") is None:
        raise CannotCompareError(f"there is no commit before this one (a shallow clone?); {_HINT}")
    return "HEAD~1"


def _resolve(root: Path, revision: str) -> str | None:
    wanted = f"{revision}^{{commit}}"
    found = git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", wanted)
    return None if found is None else found.decode().strip()


def review(report: Report, base: str, root: Path) -> Review:
    """Compare the breaking changes of a report with CHANGELOG.md and the version."""
    changelog = _read_text(root / CHANGELOG)
    version = _version(_read_text(root / VERSION_FILE), "this tree")
    commit = _resolve(root, base) or base
    old_version = git(root, "cat-file", "blob", f"{commit}:{VERSION_FILE}")
    if old_version is None:
        raise CannotCompareError(f"{base} has no {VERSION_FILE}, so no version to compare with")
    old_changelog = git(root, "cat-file", "blob", f"{commit}:{CHANGELOG}")
    # The last release, since this may not be the first breaking change after it.
    released = _released((old_changelog or b"").decode("utf-8", "replace"))
    before = released or _version(old_version.decode("utf-8", "replace"), base)
    declared = [set(re.findall(r"`([^`\n]+)`", entry)) for entry in _entries(changelog, version)]
    breaking = [(each, {each.rule.id, _name(each)}) for each in report.of_level(Level.BREAKING)]
    undeclared = tuple(
        each for each, names in breaking if not any(names <= entry for entry in declared)
    )
    minor_step = version.major == before.major == 0 and version.minor > before.minor
    return Review(undeclared, version, before, version.major > before.major or minor_step)


def _read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CannotCompareError(f"{file.name} can't be read: {error}") from error


def _version(text: str, where: str) -> Version:
    found = _VERSION.search(text)
    try:
        return Version(found[1] if found else "")
    except InvalidVersion as error:
        message = f'{VERSION_FILE} of {where} has no line like __version__ = "0.1.0"'
        raise CannotCompareError(message) from error


def _released(changelog: str) -> Version | None:
    """Give the latest version that has a section of its own."""
    titles = [section[1] for section in _SECTION.finditer(changelog)]
    return max((Version(each) for each in titles if _NUMBER.fullmatch(each)), default=None)


def _entries(changelog: str, version: Version) -> list[str]:
    """Give the declarations of what is unreleased, or of this very version."""
    wanted = {"unreleased", str(version)}
    return [
        entry[0]
        for section in _SECTION.finditer(_COMMENT.sub("", changelog))
        if section[1].lower() in wanted
        for entry in _ENTRY.finditer(section[0])
        # Pasted, but not completed.
        if "…" not in entry[0]
    ]


def _name(each: Finding) -> str:
    """Give the subject as CHANGELOG.md writes it, and as it can be printed."""
    text = printable(each.subject).replace("`", "'")
    return without_commands(" ".join(text.split()))


def advice(found: Review, report: Report) -> list[str]:
    """Say what is missing, with lines to paste."""
    if not report.breaks():
        if not report.of_level(Level.COMPATIBLE):
            return [f"Nothing breaks: {CHANGELOG} and the version may stay as they are."]
        line = f"Under [Unreleased] in {CHANGELOG}, say what users can do now."
        return ["Nothing breaks, so the version may stay as it is.", line]
    lines: list[str] = []
    if found.undeclared:
        lines.append(f"Not declared in {CHANGELOG}: {len(found.undeclared)} of these changes.")
        lines.append("Under [Unreleased], say what callers have to do:")

        names = dict.fromkeys(f"`{each.rule.id}` `{_name(each)}`" for each in found.undeclared)
        lines += [f"- **Breaking:** {each}: …" for each in names]
    if not found.increased:
        now = f"The version in {VERSION_FILE} is {found.version}"
        step = "minor" if found.before.major == 0 else "major"
        lines.append(f"{now}; after {found.before}, a breaking change needs a {step} step.")
    done = f"Every breaking change is declared, and the version is above {found.before}."
    return lines or [done]


def main(argv: list[str] | None = None, *, root: Path = ROOT) -> int:
    """Compare openapi.yaml with an older one; the exit status is 0 if nothing undeclared breaks."""
    return exit_status("diff", lambda: _run(argv, root))


def _run(argv: list[str] | None, root: Path) -> int:
    parser = Parser(prog="python -m tools.specdiff.review", description=__doc__)
    parser.add_argument("base", nargs="?", default="", metavar="BASE", help="a git revision")
    parser.add_argument("--format", choices=["text", "markdown"], default="text")
    arguments = parser.parse_args(argv)
    if not (root / SPEC).is_file():
        raise CannotCompareError(f"there is no {SPEC}")
    base = arguments.base.strip() or default_base(root)
    if _resolve(root, base) is None:
        raise CannotCompareError(f"{base} is not a git revision here (a shallow clone?); {_HINT}")
    old = read_source(f"{base}:{SPEC}", root=root)
    new = Source(SPEC, read_source(str(root / SPEC)).text)
    report = diff(old, new)
    found = review(report, base, root)
    write(report, arguments.format)
    lines = advice(found, report)
    print("\n" + ("\n\n" if arguments.format == "markdown" else "\n").join(lines))
    return 1 if report.breaks() and (found.undeclared or not found.increased) else 0


if __name__ == "__main__":
    run_as_program(main)
