"""The matrix has a session for every Python, leaves out what runs once, and names its packages."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import noxfile
from tools.environments import ROOT, supported_versions

PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_every_python_and_both_ends_have_a_turn() -> None:
    """The oldest Python gets the oldest packages, the newest the newest, others the locked ones."""
    assert noxfile.packages_for(["3.11", "3.12", "3.13", "3.14", "3.15"]) == {
        "3.11": "lowest",
        "3.12": "locked",
        "3.13": "locked",
        "3.14": "locked",
        "3.15": "newest",
    }
    assert supported_versions(PYPROJECT) == ["3.11", "3.12", "3.13", "3.14", "3.15"]
    assert set(supported_versions(PYPROJECT)) <= set(noxfile.VERSIONS)


def test_every_runtime_dependency_has_a_lower_bound() -> None:
    """Each package that is needed at run time or that apps bring is tried in its oldest version."""
    needed = noxfile.runtime_requirements(PYPROJECT)
    names = {each.name for each in needed}
    assert {"httpx", "attrs", "python-dateutil", "tenacity", "redis", "sqlalchemy"} <= names
    assert {"django", "fastapi", "flask", "psycopg", "pymysql", "trio"} <= names
    assert not {"pipedrive-oauth-client", "ruff", "pytest"} & names
    assert all(Requirement(noxfile.lowest(each)).specifier for each in needed)


def test_only_tests_that_run_once_are_left_out(tmp_path: Path) -> None:
    """A session leaves out what runs once, and each test that imports the tools."""
    for name, text in {
        "tests/test_a.py": "from tools.lock import UV\n",
        "tests/x/test_b.py": "import noxfile\n",
        "tests/x/test_c.py": "from pipedrive_oauth_client import Token\n",
        "tests/test_d.py": "# from tools import lock\nfrom tests.support import tls\n",
        "tests/y/conftest.py": "from tools import lock\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    left_out = list(noxfile.left_out(tmp_path))
    assert left_out == [*noxfile.ONCE, "tests/test_a.py", "tests/x/test_b.py", "tests/y"]
    assert all((ROOT / name).exists() for name in noxfile.ONCE)
    module, _colons, test = noxfile.NEEDS_A_TOOL.partition("::")
    assert f"def {test}(" in (ROOT / module).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("asked", "oldest"),
    [
        ("httpx>=0.28,<1", "httpx==0.28"),
        ("attrs>=23.2", "attrs==23.2"),
        ("typer~=0.15", "typer==0.15"),
        ("redis[hiredis]>=5.0", "redis==5.0"),
    ],
)
def test_oldest_version(asked: str, oldest: str) -> None:
    """The lower bound is the version to try."""
    assert noxfile.lowest(Requirement(asked)) == oldest


@pytest.mark.parametrize("asked", ["httpx", "httpx<1", "httpx>0.27"])
def test_bound_that_is_missing_is_named(asked: str) -> None:
    """A requirement without an oldest version to try is refused."""
    with pytest.raises(ValueError, match="httpx has no lower bound"):
        noxfile.lowest(Requirement(asked))


def run_nox(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run nox where no supported Python is found, with its environments elsewhere."""
    nowhere = {"PATH": str(tmp_path), "PYENV_ROOT": str(tmp_path), "HOME": str(tmp_path)}
    return subprocess.run(
        [sys.executable, "-m", "nox", "--envdir", str(tmp_path / "env"), *arguments],
        cwd=ROOT,
        env={**os.environ, **nowhere},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def missing_sessions() -> list[str]:
    """Return the sessions of the Pythons that `run_nox` does not find: all but the running one."""
    sessions = noxfile.packages_for(supported_versions(PYPROJECT))
    running = f"{sys.version_info[0]}.{sys.version_info[1]}"
    return [f"{each}-{packages}" for each, packages in sessions.items() if each != running]


def test_missing_python_fails_and_is_named(tmp_path: Path) -> None:
    """A supported Python that is not there fails the run, and each one is named."""
    missing = missing_sessions()
    done = run_nox(tmp_path, "--session", *missing)
    assert done.returncode != 0
    for session in missing:
        version, _dash, _packages = session.partition("-")
        assert f"Python interpreter {version} not found" in done.stderr


def test_present_pythons_can_be_enough(tmp_path: Path) -> None:
    """Where it is asked for, a Python that is missing is passed over, and named all the same."""
    missing = missing_sessions()
    done = run_nox(tmp_path, "--no-error-on-missing-interpreters", "--session", *missing)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("not found") >= len(missing)


def test_sessions_are_known_by_their_names(tmp_path: Path) -> None:
    """A session is asked for by the name that is printed; another name is refused."""
    listed = run_nox(tmp_path, "--list").stdout
    assert "* 3.11-lowest" in listed
    assert "* 3.12-locked" in listed
    assert run_nox(tmp_path, "--session", "3.12-oldest").returncode != 0
    # What CI runs: all but the one whose packages and Python are those of `make test`.
    rest = run_nox(tmp_path, "--list", "-k", "not python3_12").stdout
    assert "* 3.11-lowest" in rest
    assert "- 3.12-locked" in rest
