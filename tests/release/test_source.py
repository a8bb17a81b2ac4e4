"""A release has one version, and tag, changelog and folder agree with it."""

from __future__ import annotations

import subprocess
from datetime import date
from pathlib import Path

import pytest

import pipedrive_oauth_client
from tools.bootstrap import project_version
from tools.environments import ROOT
from tools.release.source import ReleaseError, look, refuse, version_faults

TODAY = date(2026, 11, 25)
LOG = (
    "# Changelog\n\n## [Unreleased]\n\n## [1.1.0] - 2026-11-20\n\n- x\n\n## [1.0.0] - 2026-01-31\n"
)
OPEN = LOG.replace("[Unreleased]\n", "[Unreleased]\n\n### Added\n\n- A thing.\n")


@pytest.mark.parametrize(
    ("version", "changelog", "tags"),
    [
        ("1.1.0", LOG, ["v1.1.0"]),
        ("1.1.0", OPEN, []),
        ("1.2.0", OPEN, []),
        ("1.2.0.dev1", OPEN, []),
        ("0.1.0", "## [Unreleased]\n", []),
    ],
)
def test_versions_that_agree(version: str, changelog: str, tags: list[str]) -> None:
    """A tagged release with its dated section passes, and so does work on the next version."""
    assert list(version_faults(version, changelog, tags, today=TODAY)) == []


FAULTS = {
    "no version": ("one", LOG, [], "which is no version"),
    "not normal": ("1.01.0", "## [Unreleased]\n", [], "its normal form is '1.1.0'"),
    "no section for what is to come": ("1.1.0", LOG.replace("Unreleased", "1.2.0"), [], "begin"),
    "another tag": ("1.1.0", LOG, ["v1.0.0"], "is tagged v1.0.0, and __version__ is 1.1.0"),
    "two tags": ("1.1.0", LOG, ["v1.1.0", "v1.2.0"], "is tagged v1.1.0, v1.2.0"),
    "no dated section": ("1.2.0", LOG, ["v1.2.0"], "has no section [1.2.0]"),
    "lines left over": ("1.1.0", OPEN, ["v1.1.0"], "still has lines under [Unreleased]"),
    "a development version": (
        "1.2.0.dev1",
        LOG.replace("1.1.0", "1.2.0.dev1"),
        ["v1.2.0.dev1"],
        "not a version to publish",
    ),
    "no date": ("1.1.0", LOG.replace(" - 2026-11-20", ""), [], "gives 1.1.0 no date"),
    "no such date": ("1.1.0", LOG.replace("11-20", "13-20"), [], "gives 1.1.0 no date"),
    "the future": ("1.1.0", LOG.replace("11-20", "12-20"), [], "dates 1.1.0 in the future"),
    "the wrong order": ("1.1.0", LOG.replace("1.0.0", "1.1.1"), [], "has 1.1.1 below 1.1.0"),
    "an odd name": ("1.1.0", LOG.replace("[1.0.0]", "[next]"), [], "[next], which is no version"),
    "version left behind": ("1.0.0", LOG, [], "has 1.1.0, and __version__ is still 1.0.0"),
}


@pytest.mark.parametrize(
    ("version", "changelog", "tags", "fault"), FAULTS.values(), ids=FAULTS.keys()
)
def test_versions_that_disagree(version: str, changelog: str, tags: list[str], fault: str) -> None:
    """Each way in which version, tag and changelog can disagree is told."""
    assert fault in "\n".join(version_faults(version, changelog, tags, today=TODAY))


def test_the_projects_own_agree() -> None:
    """The version stands in one place, and this project's changelog fits it."""
    version = project_version(ROOT)
    assert version == pipedrive_oauth_client.__version__
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert list(version_faults(version, changelog, [], today=date.max)) == []


def git(folder: Path, *arguments: str) -> None:
    """Run git with a name and an address."""
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "tag.gpgSign=false")
    command = ["git", "-C", str(folder), *who, *arguments]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one commit of one file."""
    monkeypatch.delenv("GITHUB_REF_TYPE", raising=False)
    folder = tmp_path / "with blanks"
    folder.mkdir()
    (folder / "a b.py").write_text("", encoding="utf-8")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "x")
    return folder


def test_clean_tag_is_a_release(repository: Path, tmp_path: Path) -> None:
    """A tagged commit without changes passes, and its files are what is built."""
    git(repository, "tag", "v1.0.0")
    git(repository, "tag", "other")
    tree = look(repository)
    assert (tree.files, tree.tags, tree.changes) == (("a b.py",), ("v1.0.0",), ())
    assert tree.commit_time > 0
    assert list(tree.faults()) == []
    assert [file.name for file in tree.copy(tmp_path / "copy").iterdir()] == ["a b.py"]


def test_tag_that_ci_runs_for_counts_without_git(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkout that leaves tags out lets no tag go by without a look at the version."""
    monkeypatch.setenv("GITHUB_REF_NAME", "v1.0.0")
    monkeypatch.setenv("GITHUB_REF_TYPE", "branch")
    assert look(repository).tags == ()
    monkeypatch.setenv("GITHUB_REF_TYPE", "tag")
    assert look(repository).tags == ("v1.0.0",)
    git(repository, "tag", "v1.0.0")
    assert look(repository).tags == ("v1.0.0",)


@pytest.mark.parametrize("name", ["a b.py", "new.py"])
def test_changes_are_no_release(repository: Path, tmp_path: Path, name: str) -> None:
    """What differs from the commit is refused at a tag, and is only told elsewhere."""
    (repository / name).write_text("changed", encoding="utf-8")
    tree = look(repository)
    assert len(tree.changes) == 1
    assert list(tree.faults()) == []
    git(repository, "tag", "v1.0.0")
    told = list(look(repository).faults())
    assert name in told[1]
    # What git does not know is never built.
    assert [file.name for file in tree.copy(tmp_path / "copy").iterdir()] == ["a b.py"]


def test_folder_without_git_is_refused(tmp_path: Path) -> None:
    """Without a repository there is nothing to release, in one line."""
    with pytest.raises(ReleaseError, match="git ls-files failed"):
        look(tmp_path)


def test_no_fault_is_no_refusal() -> None:
    """Nothing is raised for nothing, and every fault is told otherwise."""
    refuse([])
    with pytest.raises(ReleaseError, match="a\nb"):
        refuse(["a", "b"])
