from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pytest

from tests.specs.project import GENERATED, copy_project, edit, generate, snapshot
from tools.generate.tree import read_tree, rewrite

if TYPE_CHECKING:
    from collections.abc import Callable

LINE_OF_A_FILE = re.compile(r"^  (missing|stray|changed) +(\S+)$", re.MULTILINE)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Give a copy of the project whose generated files are up to date."""
    return copy_project(tmp_path / "project")


def append(file: Path, content: bytes) -> None:
    """Write to the end of a file."""
    file.write_bytes(file.read_bytes() + content)


def in_spec(old: str, new: str) -> Callable[[Path], None]:
    """Return a change of the spec."""
    return lambda root: edit(root / "openapi.yaml", old, new)


def in_generated(name: str, content: str) -> Callable[[Path], None]:
    """Return a change that writes a file into the generated folder."""

    def change(root: Path) -> None:
        file = root / GENERATED / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(content, encoding="utf-8")

    return change


# What is changed, and the files that have to be named for it.
def replace_by_link(root: Path) -> None:
    """Put a link in place of a generated file, to a copy of it."""
    file = root / GENERATED / "types.py"
    file.symlink_to(file.rename(root / "types.py"))


DRIFT: dict[str, tuple[Callable[[Path], object], set[tuple[str, str]]]] = {
    "description in the spec": (
        in_spec("The kind of grant; leave it at `refresh_token`.", "The kind."),
        {("changed", "models/refresh_tokens_request.py"), ("changed", "__init__.py")},
    ),
    "example in the spec": (
        in_spec("expires_in: 3599", "expires_in: 3598"),
        {("changed", "__init__.py")},
    ),
    "comment in the spec": (
        lambda root: append(root / "openapi.yaml", b"# more\n"),
        {("changed", "__init__.py")},
    ),
    "blank in the spec": (
        in_spec("openapi: 3.0.3", "openapi:  3.0.3"),
        {("changed", "__init__.py")},
    ),
    "template": (
        lambda root: edit(
            root / "generator-templates/api_init.py.jinja", '"""Endpoint', '"""The endpoint'
        ),
        {("changed", "api/__init__.py")},
    ),
    "runtime module": (
        lambda root: edit(
            root / "generator-templates/runtime/types.py", "class Unset:", "# more\nclass Unset:"
        ),
        {("changed", "types.py")},
    ),
    "settings": (
        lambda root: edit(
            root / "generator-config.yml",
            "module_name: oauth_error_response",
            "module_name: refusal",
        ),
        {
            ("missing", "models/refusal.py"),
            ("stray", "models/oauth_error_response.py"),
            ("changed", "models/__init__.py"),
            ("changed", "api/oauth/authorize.py"),
            ("changed", "api/oauth/get_tokens.py"),
            ("changed", "api/oauth/refresh_tokens.py"),
            ("changed", "api/oauth/revoke_tokens.py"),
        },
    ),
    "edit by hand": (
        lambda root: edit(root / GENERATED / "client.py", "import ssl", "import ssl  # mine"),
        {("changed", "client.py")},
    ),
    "blank line by hand": (
        lambda root: append(root / GENERATED / "errors.py", b"\n"),
        {("changed", "errors.py")},
    ),
    "line ends": (
        lambda root: (root / GENERATED / "types.py").write_bytes(
            (root / GENERATED / "types.py").read_bytes().replace(b"\n", b"\r\n")
        ),
        {("changed", "types.py")},
    ),
    "stray file": (in_generated("extra.py", "x = 1\n"), {("stray", "extra.py")}),
    "stray file that is empty": (in_generated("extra.py", ""), {("stray", "extra.py")}),
    "stray file that is no module": (in_generated("notes", "x"), {("stray", "notes")}),
    "stray link to nowhere": (
        lambda root: (root / GENERATED / "extra.py").symlink_to("/nowhere"),
        {("stray", "extra.py")},
    ),
    "stray link to a package": (
        lambda root: (root / GENERATED / "more").symlink_to(root / GENERATED / "models"),
        {("stray", "more")},
    ),
    "link to the right content": (
        replace_by_link,
        {("changed", "types.py")},
    ),
    "stray folder": (in_generated("more/extra.py", "x = 1\n"), {("stray", "more/extra.py")}),
    "missing file": (
        lambda root: (root / GENERATED / "models/get_tokens_request.py").unlink(),
        {("missing", "models/get_tokens_request.py")},
    ),
    "emptied file": (in_generated("decode.py", ""), {("changed", "decode.py")}),
    "file that is no text": (
        lambda root: (root / GENERATED / "encode.py").write_bytes(b"\xff\x00\xfe"),
        {("changed", "encode.py")},
    ),
}


def test_clean_tree_has_no_drift(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The committed files are what the spec, the settings and the templates give."""
    before = snapshot(project)
    assert generate(project, "--check") == 0
    assert capsys.readouterr().err == ""
    assert snapshot(project) == before


@pytest.mark.parametrize(("change", "files"), DRIFT.values(), ids=DRIFT.keys())
def test_drift_fails_and_names_the_files(
    project: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[Path], object],
    files: set[tuple[str, str]],
) -> None:
    """Whatever differs is reported with exit status 1 and by file, and nothing is changed."""
    change(project)
    before = snapshot(project)
    assert generate(project, "--check") == 1
    report = capsys.readouterr()
    assert set(LINE_OF_A_FILE.findall(report.err)) == files
    assert all(name in report.out for _kind, name in files)
    assert snapshot(project) == before


def test_what_python_leaves_is_no_drift(project: Path) -> None:
    """Compiled modules beside the generated ones do not count."""
    cache = project / GENERATED / "models" / "__pycache__"
    cache.mkdir()
    (cache / "x.cpython-311.pyc").write_bytes(b"\x00")
    assert generate(project, "--check") == 0


def test_missing_folder_is_drift_in_every_file(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the generated folder every file is missing, and generating brings it back."""
    wanted = read_tree(project / GENERATED)
    shutil.rmtree(project / GENERATED)
    assert generate(project, "--check") == 1
    named = LINE_OF_A_FILE.findall(capsys.readouterr().err)
    assert sorted(named) == sorted(("missing", str(path)) for path in wanted)
    assert generate(project) == 0
    assert read_tree(project / GENERATED) == wanted


def test_generating_an_unchanged_project_says_that_nothing_changed(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where everything is up to date, no file is listed and all bytes stay."""
    before = read_tree(project / GENERATED)
    assert generate(project) == 0
    out = capsys.readouterr().out
    assert "none changed" in out
    assert ".py" not in out
    assert read_tree(project / GENERATED) == before


def test_generating_lists_what_it_changes(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Added, changed and removed files are listed; after that there is no drift."""
    neighbour = project / GENERATED.parent / "errors.py"
    neighbour.write_text("x  =  1\n", encoding="utf-8")
    for name in ("settings", "stray folder", "edit by hand"):
        DRIFT[name][0](project)
    assert generate(project) == 0
    out = capsys.readouterr().out
    assert set(re.findall(r"^  (added|changed|removed) +(\S+) ", out, re.MULTILINE)) == {
        ("added", "models/refusal.py"),
        ("removed", "models/oauth_error_response.py"),
        ("removed", "more/extra.py"),
        ("changed", "client.py"),
        ("changed", "models/__init__.py"),
        ("changed", "api/oauth/authorize.py"),
        ("changed", "api/oauth/get_tokens.py"),
        ("changed", "api/oauth/refresh_tokens.py"),
        ("changed", "api/oauth/revoke_tokens.py"),
    }
    assert "9 changed" in out
    assert not (project / GENERATED / "more").exists()
    assert neighbour.read_text(encoding="utf-8") == "x  =  1\n"
    assert sorted(path.name for path in (project / GENERATED).parent.iterdir()) == [
        "errors.py",
        "generated",
    ]
    assert generate(project, "--check") == 0


class Interruption:
    """Lets one step of a rewrite fail: the making or the moving of a file or a folder."""

    def __init__(self, patch: pytest.MonkeyPatch, at_step: int, error: type[BaseException]) -> None:
        self.steps = 0
        self.name = ""
        self.at_step = at_step
        self.error = error
        for owner, name in (
            (tempfile, "mkdtemp"),
            (Path, "mkdir"),
            (Path, "write_bytes"),
            (Path, "replace"),
            (Path, "rename"),
            (os, "replace"),
            (os, "rename"),
            (shutil, "move"),
        ):
            patch.setattr(owner, name, self.wrapped(getattr(owner, name), name))

    def wrapped(self, function: Callable[..., object], name: str) -> Callable[..., object]:
        """Count the calls of a function, and raise in place of one of them."""

        def step(*args: object, **kwargs: object) -> object:
            self.steps += 1
            if self.steps == self.at_step:
                self.name = name
                raise self.error
            return function(*args, **kwargs)

        return step


def rewrite_until(folder: Path, step: int, error: type[BaseException]) -> str:
    """Rewrite a folder, and break off at one step.

    Returns:
        What that step was; nothing if the rewrite was over before it.
    """
    with pytest.MonkeyPatch.context() as patch:
        interruption = Interruption(patch, step, error)
        with contextlib.suppress(error):
            rewrite(folder, NEW)
    return interruption.name


OLD = {PurePosixPath("a.py"): b"old"}
NEW = {PurePosixPath(name): b"new" for name in ("a.py", "b/c.py", "d.py")}


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_interrupted_rewrite_leaves_one_whole_tree(
    tmp_path: Path, error: type[BaseException]
) -> None:
    """Wherever a rewrite breaks off, it leaves all old files or all new ones, and no others."""
    whole = [{"generated" / path: tree[path] for path in tree} for tree in (OLD, NEW)]
    torn: list[str] = []
    steps: list[str] = []
    left = whole[0]
    while not steps or (steps[-1] and len(steps) < 40):
        folder = tmp_path / str(len(steps)) / "generated"
        rewrite(folder, OLD)
        steps.append(rewrite_until(folder, len(steps) + 1, error))
        left = read_tree(folder.parent)
        if left not in whole:
            torn.append(f"{steps} leaves {sorted(map(str, left))}")
    assert torn == []
    assert "mkdtemp" in steps
    assert steps.count("write_bytes") == len(NEW)
    assert steps.count("replace") >= 2
    assert steps[-1] == ""
    assert left == whole[1]


def test_runs_at_the_same_time_wait_for_each_other(project: Path) -> None:
    """Many at once leave one whole tree, and none of them fails."""
    wanted = read_tree(project / GENERATED)
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(rewrite, project / GENERATED, wanted) for _ in range(64)]:
            done.result()
    assert read_tree(project / GENERATED) == wanted
    assert [path.name for path in (project / GENERATED).parent.glob(".*")] == []


def test_what_a_killed_run_left_is_cleared_away(project: Path) -> None:
    """A run that was killed between the two renames leaves work for the next one, and no more."""
    folder = project / GENERATED
    wanted = read_tree(folder)
    left = folder.parent / ".generated-abc"
    left.mkdir()
    folder.rename(left / "old")
    assert generate(project) == 0
    assert read_tree(folder) == wanted
    assert not left.exists()
