"""CI knows when the faults have to run in full; what it runs and publishes is what was reviewed."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
HOUR = 3600
NOW = 1_790_000_000
FILES = {
    "docs/a page.md": "",
    "pipedrive_oauth_client/stores/sql.py": "",
    "pipedrive_oauth_client/sandbox/app.py": "",
    "requirements.lock": "httpx==0.28 \\\n    --hash=x\npytest==9.0 \\\n    --hash=y\n",
    "tests/faults/test_kills.py": "",
}


def git(folder: Path, *arguments: str, time: int = NOW) -> str:
    """Run git with a name, an address and a time."""
    settings = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "tag.gpgSign=false")
    return subprocess.run(
        ["git", "-C", str(folder), *settings, *arguments],
        env={**os.environ, "GIT_COMMITTER_DATE": f"{time} +0000"},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Make a repository whose one commit is ten hours old."""
    folder = tmp_path / "with a blank"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    (folder / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/faults-needed", folder / ".ci")
    git(folder, "init", "-q", "-b", "main")
    commit(folder, hours_ago=10)
    return folder


def commit(folder: Path, *, hours_ago: int) -> str:
    """Commit everything, and return the commit."""
    git(folder, "add", ".")
    git(folder, "commit", "-q", "--allow-empty", "-m", "x", time=NOW - hours_ago * HOUR)
    return git(folder, "rev-parse", "HEAD")


def decided(folder: Path, *arguments: str) -> tuple[bool, str]:
    """Return whether the faults have to run in full, and the reason."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith("GITHUB_")}
    done = subprocess.run(
        [str(folder / ".ci/faults-needed"), *arguments],
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in {0, 1}, done.stderr
    return done.returncode == 0, done.stdout


def change(folder: Path, name: str, old: str = "", new: str = "changed") -> None:
    """Change a file."""
    text = (folder / name).read_text(encoding="utf-8")
    (folder / name).write_text(text.replace(old, new) if old else new, encoding="utf-8")


CHANGES = {
    "a store": ("pipedrive_oauth_client/stores/sql.py", "", "#", "stores/sql.py"),
    "a fault": ("tests/faults/test_kills.py", "", "#", "test_kills.py"),
    "a package of a refresh": ("requirements.lock", "httpx==0.28", "httpx==0.29", "httpx==0.2"),
    "a page": ("docs/a page.md", "", "#", ""),
    "the sandbox": ("pipedrive_oauth_client/sandbox/app.py", "", "#", ""),
    "a package of the tests": ("requirements.lock", "pytest==9.0", "pytest==9.1", ""),
}


@pytest.mark.parametrize(("name", "old", "new", "reason"), CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize("named", [True, False], ids=["a base", "no base"])
def test_faults_run_in_full_where_a_refresh_changed(
    repository: Path, name: str, old: str, new: str, reason: str, named: bool
) -> None:
    """What a refresh runs through counts, since the base or since the last landing on main."""
    base = commit(repository, hours_ago=9)
    change(repository, name, old, new)
    commit(repository, hours_ago=1)
    commit(repository, hours_ago=0)
    full, told = decided(repository, *([base] if named else []))
    assert full is bool(reason)
    assert reason in told
    assert base[:10] in told


def test_what_landed_before_is_not_looked_at_again(repository: Path) -> None:
    """A change that main had eight hours ago has had its run."""
    change(repository, "pipedrive_oauth_client/stores/sql.py")
    commit(repository, hours_ago=9)
    commit(repository, hours_ago=0)
    assert not decided(repository)[0]


def test_a_branch_counts_from_its_merge(repository: Path) -> None:
    """An old branch that is merged now is new on main."""
    git(repository, "switch", "-q", "-c", "branch")
    change(repository, "pipedrive_oauth_client/stores/sql.py")
    commit(repository, hours_ago=9)
    git(repository, "switch", "-q", "main")
    git(repository, "merge", "-q", "--no-ff", "-m", "x", "branch")
    full, told = decided(repository)
    assert full
    assert "stores/sql.py" in told


def test_branch_is_compared_with_where_it_left_main(repository: Path) -> None:
    """Where the clone has a main that differs, the branch alone counts."""
    change(repository, "pipedrive_oauth_client/stores/sql.py")
    left = commit(repository, hours_ago=1)
    git(repository, "update-ref", "refs/remotes/origin/main", left)
    commit(repository, hours_ago=0)
    assert not decided(repository)[0]


@pytest.mark.parametrize("base", [[], ["0" * 40], ["no-such-name"]])
def test_without_anything_to_compare_with_they_run_in_full(
    repository: Path, base: list[str]
) -> None:
    """A first commit, and a base that is not there, leave no doubt in favor of the short form."""
    full, told = decided(repository, *base)
    assert full
    assert "no commit to compare with" in told


def test_at_a_tag_they_run_in_full(repository: Path) -> None:
    """A release has had all of its faults."""
    base = commit(repository, hours_ago=0)
    git(repository, "tag", "v1.0.0")
    full, told = decided(repository, base)
    assert full
    assert "v1.0.0" in told


WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")


def test_actions_are_pinned_by_commit() -> None:
    """A tag can be moved to other code: each action is named by its commit, with its version."""
    used = [
        line.partition("uses:")[2].strip()
        for file in WORKFLOWS
        for line in file.read_text(encoding="utf-8").splitlines()
        if line.strip().removeprefix("- ").startswith("uses:")
    ]
    others = [each for each in used if not each.startswith("./")]
    assert len(others) > 10
    assert [each for each in others if PINNED.fullmatch(each) is None] == []
    commits = {each.partition(" ")[0]: each for each in others}
    assert len(commits) == len(set(others)) == len({each.partition("@")[0] for each in others})


def job_of(file: str, job: str) -> dict[str, Any]:
    """Return a job of a workflow."""
    text = (ROOT / ".github/workflows" / file).read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(text)["jobs"][job]
    return found


def run_step(script: str, folder: Path, **variables: str) -> int:
    """Run the script of a step as a runner does."""
    return subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "RUNNER_TEMP": str(folder), **variables},
        check=False,
        capture_output=True,
        timeout=60,
    ).returncode


def test_only_the_archives_that_were_checked_are_published(tmp_path: Path) -> None:
    """Checksums go from the job that checked the archives to the one that publishes them."""
    dist, output = tmp_path / "dist", tmp_path / "output"
    dist.mkdir()
    files = {"a.whl": b"wheel", "a.tar.gz": b"source", "sbom.cdx.json": b"{}"}
    for name, content in files.items():
        (dist / name).write_bytes(content)
    sums = "".join(f"{hashlib.sha256(each).hexdigest()}  {name}\n" for name, each in files.items())
    (dist / "SHA256SUMS").write_text(sums, encoding="utf-8")
    release = job_of("ci.yml", "release")
    (told,) = (each for each in release["steps"] if each.get("id") == "archives")
    assert release["outputs"] == {"checksums": "${{ steps.archives.outputs.checksums }}"}
    assert run_step(told["run"], tmp_path, GITHUB_OUTPUT=str(output)) == 0
    first, *checksums, last = output.read_text(encoding="utf-8").splitlines()
    assert (first, last) == ("checksums<<END", "END")
    assert checksums == sums.splitlines()[:2]

    publish = job_of("release.yml", "publish")
    names = [each.get("uses", "").partition("@")[0] or "run" for each in publish["steps"]]
    assert names == ["actions/download-artifact", "run", "pypa/gh-action-pypi-publish"]
    script = publish["steps"][1]["run"]
    for name in ("sbom.cdx.json", "SHA256SUMS"):
        (dist / name).unlink()
    given = {"CHECKSUMS": "\n".join(checksums)}
    assert run_step(script, tmp_path, **given) == 0
    assert run_step(script, tmp_path, CHECKSUMS="") != 0
    (dist / "b.whl").write_bytes(b"another")
    assert run_step(script, tmp_path, **given) != 0
    (dist / "b.whl").unlink()
    (dist / "a.whl").write_bytes(b"Wheel")
    assert run_step(script, tmp_path, **given) != 0
    (dist / "a.whl").unlink()
    assert run_step(script, tmp_path, **given) != 0
