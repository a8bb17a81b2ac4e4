"""The same spec gives the same bytes, in every folder, environment and locale."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.specs.project import GENERATED, ROOT, SPECS, copy_project, render_spec
from tests.support.locales import ASCII_ONLY, needs_ascii_folder
from tools.generate.tree import read_tree

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path, PurePosixPath

KITCHEN_SINK = SPECS / "kitchen_sink.yaml"

UTF_8 = {"LC_ALL": "C.UTF-8", "PYTHONUTF8": "1", "PYTHONHASHSEED": "1", "TZ": "UTC"}
ENVIRONMENTS = (
    pytest.param(
        {**ASCII_ONLY, "PYTHONHASHSEED": "0", "TZ": "Asia/Kathmandu"},
        marks=needs_ascii_folder,
        id="ASCII only",
    ),
    pytest.param(UTF_8, id="UTF-8"),
    pytest.param({"PYTHONHASHSEED": "random", "TZ": "America/St_Johns"}, id="random hashes"),
)


@pytest.fixture(scope="module")
def expected() -> Mapping[PurePosixPath, bytes]:
    """Give what this process generates from the spec with something of everything."""
    return render_spec(KITCHEN_SINK)


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run the generator in a process of its own."""
    return subprocess.run(
        [sys.executable, "-B", "-m", "tools.generate", *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_surroundings_do_not_change_the_bytes(
    tmp_path: Path, expected: Mapping[PurePosixPath, bytes], environment: dict[str, str]
) -> None:
    """Locale, hash seed, time zone and current folder leave no trace in what is generated."""
    root = copy_project(tmp_path / "project", spec=KITCHEN_SINK)
    done = run(tmp_path, "--root", str(root), PYTHONPATH=str(ROOT), **environment)
    assert (done.returncode, done.stderr) == (0, b"")
    assert read_tree(root / GENERATED) == expected


def test_line_ends_of_a_checkout_do_not_change_the_bytes(
    tmp_path: Path, expected: Mapping[PurePosixPath, bytes]
) -> None:
    """What was checked out with CRLF gives the same files, with LF."""
    root = copy_project(tmp_path / "project", spec=KITCHEN_SINK)
    sources = [*root.glob("*.y*ml"), *root.glob("generator-templates/**/*.*")]
    assert root / "generator-templates/runtime/client.py" in sources
    for path in sources:
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert run(ROOT, "--root", str(root)).returncode == 0
    assert read_tree(root / GENERATED) == expected
    assert not any(b"\r" in content for content in expected.values())


def test_project_can_stand_anywhere(tmp_path: Path) -> None:
    """A copy of the project, beside a ruff configuration, generates what is committed here."""
    root = copy_project(tmp_path / "a project (copy)")
    shutil.copytree(ROOT / "tools", root / "tools", ignore=shutil.ignore_patterns("node_modules"))
    shutil.rmtree(root / GENERATED)
    for place in (tmp_path, root):
        (place / "ruff.toml").write_text('line-length = 20\n[format]\nquote-style = "single"\n')
    done = run(root, TMPDIR=str(root))
    assert (done.returncode, done.stderr) == (0, b"")
    assert read_tree(root / GENERATED) == read_tree(ROOT / GENERATED)


@needs_ascii_folder
def test_drift_is_shown_where_the_terminal_knows_no_unicode(tmp_path: Path) -> None:
    """A difference in characters that the terminal lacks is reported like any other."""
    root = copy_project(tmp_path / "project")
    file = root / GENERATED / "types.py"
    file.write_text(file.read_text(encoding="utf-8") + "# Ünïcödé 日本\n", encoding="utf-8")
    done = run(ROOT, "--check", "--root", str(root), **ASCII_ONLY)
    assert b"Traceback" not in done.stderr
    assert b"types.py" in done.stderr
    assert done.returncode == 1
