"""`make diff`: what a breaking change needs before it passes, and what is compared with what."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.specdiff.cases import base
from tools.specdiff.review import main

BREAK = ("name: q, in: query,", "name: q, in: query, required: true,")
DECLARED = "- **Breaking:** `parameter-became-required` `q`: always say what to look for.\n"
HARMLESS = ("summary: Logging in", "summary: Signing in")


class Project:
    """A small project with a history.

    Attributes:
        root: Its folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "pipedrive_oauth_client").mkdir()
        self.write("openapi.yaml", base())
        self.write("CHANGELOG.md", "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- Something.\n")
        self.version("0.1.0")
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit()

    def git(self, *arguments: str) -> None:
        """Run git."""
        who = ["-c", "user.name=T", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
        subprocess.run(
            ["git", *who, "-C", str(self.root), *arguments],
            check=True,
            capture_output=True,
            timeout=60,
        )

    def commit(self) -> None:
        """Commit everything."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "x")

    def write(self, name: str, text: str) -> None:
        """Write a file."""
        (self.root / name).write_text(text, encoding="utf-8")

    def edit(self, name: str, old: str, new: str) -> None:
        """Change a file."""
        text = (self.root / name).read_text(encoding="utf-8")
        assert old in text
        self.write(name, text.replace(old, new))

    def version(self, number: str) -> None:
        """Set the version."""
        self.write("pipedrive_oauth_client/__init__.py", f'__version__ = "{number}"\n')

    def diff(self, *arguments: str) -> int:
        """Run the review."""
        return main(list(arguments), root=self.root)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Give a project on a branch, with main behind it."""
    made = Project(tmp_path)
    made.git("switch", "--quiet", "--create", "topic")
    return made


def test_harmless_change_passes(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """A change of wording needs no line in the changelog and no step of the version."""
    project.edit("openapi.yaml", *HARMLESS)
    assert project.diff("main") == 0
    expected = "Nothing breaks: CHANGELOG.md and the version may stay as they are."
    assert expected in capsys.readouterr().out


def test_new_possibility_is_a_line_of_the_changelog(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    """A compatible change passes, and the report asks for a line that tells users of it."""
    added = "name: sort, in: query, description: The order., schema: {type: string}}"
    project.edit("openapi.yaml", BREAK[0], f"{added}\n        - {{{BREAK[0]}")
    assert project.diff("main") == 0
    assert "Under [Unreleased] in CHANGELOG.md, say what users can do" in capsys.readouterr().out


def test_breaking_change_needs_a_declaration_and_a_step(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    """A breaking change needs both its declaration and a minor step."""
    project.edit("openapi.yaml", *BREAK)
    assert project.diff("main") == 1
    printed = capsys.readouterr().out
    assert "- **Breaking:** `parameter-became-required` `q`: …" in printed
    assert "a breaking change needs a minor step" in printed
    project.version("0.2.0")
    assert project.diff("main") == 1
    project.edit("CHANGELOG.md", "- Something.\n", f"- Something.\n{DECLARED}")
    assert project.diff("main") == 0
    assert "Every breaking change is declared" in capsys.readouterr().out
    project.version("0.1.1")
    assert project.diff("main") == 1


WRONG_DECLARATIONS = {
    "another rule": DECLARED.replace("became-required", "removed"),
    "another subject": DECLARED.replace("`q`", "`limit`"),
    "pasted and left": DECLARED.replace("always", "…"),
    "no mark": DECLARED.replace("**Breaking:** ", ""),
    "in a comment": f"<!--\n{DECLARED}\n-->\n",
    "no code": DECLARED.replace("`", ""),
}


@pytest.mark.parametrize("words", WRONG_DECLARATIONS.values(), ids=WRONG_DECLARATIONS.keys())
def test_declaration_names_rule_and_subject(project: Project, words: str) -> None:
    """A declaration counts if it names rule and subject as code and says something."""
    project.edit("openapi.yaml", *BREAK)
    project.version("0.2.0")
    project.edit("CHANGELOG.md", "- Something.\n", words)
    assert project.diff("main") == 1


def test_declaration_of_an_old_version_does_not_count(project: Project) -> None:
    """A declaration under an earlier version is one of an earlier break."""
    project.edit("openapi.yaml", *BREAK)
    project.version("0.3.0")
    project.edit(
        "CHANGELOG.md", "- Something.\n", f"- Something.\n\n## [0.2.0] - 2026-01-01\n\n{DECLARED}"
    )
    assert project.diff("main") == 1
    project.edit("CHANGELOG.md", "## [0.2.0]", "## [0.3.0]")
    assert project.diff("main") == 0


STEPS = [
    ("0.1.0", "0.1.1", 1), ("0.1.0", "0.2.0", 0), ("0.1.0", "1.0.0", 0), ("1.2.0", "1.3.0", 1),
    ("1.2.0", "2.0.0", 0), ("1.2.0", "0.9.0", 1),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "status"), STEPS)
def test_step_is_of_semantic_versioning(
    project: Project, before: str, after: str, status: int
) -> None:
    """A breaking change takes a major step, or a minor one while the version is 0.y."""
    project.version(before)
    project.commit()
    project.edit("openapi.yaml", *BREAK)
    project.edit("CHANGELOG.md", "- Something.\n", DECLARED)
    project.version(after)
    assert project.diff("HEAD") == status


def test_second_break_needs_no_second_step(project: Project) -> None:
    """Once the version moved from the last release, further breaks only have to be declared."""
    project.version("0.2.0")
    text = f"# Changelog\n\n## [Unreleased]\n\n{DECLARED}\n## [0.1.0] - 2026-01-01\n"
    project.write("CHANGELOG.md", text)
    project.commit()
    project.edit("openapi.yaml", *BREAK)
    assert project.diff("HEAD") == 0


def test_default_is_where_the_branch_left_main(project: Project) -> None:
    """What main got since does not count as a change of the branch."""
    project.edit("openapi.yaml", *HARMLESS)
    project.commit()
    project.git("switch", "--quiet", "main")
    project.edit("openapi.yaml", *BREAK)
    project.commit()
    project.git("switch", "--quiet", "topic")
    assert project.diff() == 0
    assert project.diff("main") == 0  # Back to optional, from there: still no break.


def test_default_on_main_is_the_last_commit(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    """On main, what is not committed is compared with HEAD; else HEAD with what was before."""
    project.git("switch", "--quiet", "main")
    project.edit("openapi.yaml", *BREAK)
    assert project.diff() == 1
    assert "HEAD:openapi.yaml" in capsys.readouterr().out
    project.commit()
    assert project.diff() == 1
    assert "HEAD~1:openapi.yaml" in capsys.readouterr().out


def test_nothing_to_compare_with(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """A first commit, or an unknown revision, is reported in one line."""
    project.git("switch", "--quiet", "main")
    assert project.diff() == 2
    assert project.diff("no-such") == 2
    assert project.diff("--", "--all") == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert "no commit before this one" in lines[0]
    assert all("make diff BASE=" in line for line in lines)


def test_broken_spec_is_reported(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """A spec that can't be read is reported in one line that names the file."""
    project.write("openapi.yaml", "a: [")
    assert project.diff("main") == 2
    assert capsys.readouterr().err.startswith("diff: openapi.yaml:")


def test_markdown_has_the_lines_to_paste(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    """The comment on a pull request says what is missing."""
    project.edit("openapi.yaml", *BREAK)
    assert project.diff("main", "--format", "markdown") == 1
    printed = capsys.readouterr().out
    assert printed.startswith("## What this change")
    assert "- **Breaking:** `parameter-became-required`" in printed


def test_missing_spec_is_reported(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing spec is reported, with a base and without one."""
    (project.root / "openapi.yaml").unlink()
    for revision in ("main", ""):
        assert project.diff(revision) == 2
        assert capsys.readouterr().err == "diff: there is no openapi.yaml\n"
