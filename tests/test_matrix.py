from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tools.matrix import __main__ as matrix
from tools.matrix.environments import Combination, Packages, combinations
from tools.matrix.requirements import lowest, runtime

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_every_python_and_both_ends_have_a_turn() -> None:
    """The oldest Python gets the oldest packages, the newest the newest, others the locked ones."""
    names = [str(each) for each in combinations(["3.11", "3.12", "3.13", "3.14"])]
    assert names == ["3.11-lowest", "3.12-locked", "3.13-locked", "3.14-newest"]


def test_every_runtime_dependency_has_a_lower_bound() -> None:
    """Each package that is needed at run time or that apps bring is tried in its oldest version."""
    needed = runtime(PYPROJECT)
    names = {each.name for each in needed}
    assert {"httpx", "attrs", "python-dateutil", "tenacity", "redis", "sqlalchemy"} <= names
    assert {"django", "fastapi", "flask", "psycopg", "pymysql", "trio"} <= names
    assert not {"pipedrive-oauth-client", "ruff", "pytest"} & names
    assert all(Requirement(lowest(each)).specifier for each in needed)


@pytest.mark.parametrize("path", matrix.LEFT_OUT)
def test_only_tests_of_tools_are_left_out(path: str) -> None:
    """What does not run there is a test of a tool or of the spec, none of the package alone."""
    modules = sorted(ROOT.glob(path) if path.endswith(".py") else ROOT.glob(f"{path}/test_*.py"))
    assert modules
    for module in modules:
        text = module.read_text(encoding="utf-8")
        assert re.search(
            r"^from (tools|benchmarks|tests\.specs|openapi_spec_validator)[. ]", text, re.MULTILINE
        )


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
    assert lowest(Requirement(asked)) == oldest


@pytest.mark.parametrize("asked", ["httpx", "httpx<1", "httpx>0.27"])
def test_bound_that_is_missing_is_named(asked: str) -> None:
    """A requirement that nobody can try the oldest version of is refused."""
    with pytest.raises(ValueError, match="httpx has no lower bound"):
        lowest(Requirement(asked))


def test_name_of_a_combination() -> None:
    """A combination is asked for by the name that is printed."""
    combination = Combination("3.12", Packages.LOCKED)
    assert matrix.parsed(str(combination)) == combination


@pytest.mark.parametrize("name", ["3.12", "3-locked", "3.12-oldest", "", "3.12-locked-"])
def test_other_names_are_refused(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A name that is none ends with the usage, before anything is made."""
    with pytest.raises(SystemExit) as ended:
        matrix.main([name])
    assert ended.value.code == 2
    assert "is no combination" in capsys.readouterr().err


def test_missing_python_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A supported Python that is not there fails the run, and the others have their turn."""
    turns: list[str] = []

    def passing(combination: Combination, python: Path | None) -> bool:
        turns.append(str(combination))
        return python is not None

    monkeypatch.setattr(matrix, "found_pythons", lambda _versions: {"3.12": Path("python3.12")})
    monkeypatch.setattr(matrix, "passes", passing)
    assert matrix.main([]) == 1
    assert turns == ["3.11-lowest", "3.12-locked", "3.13-newest"]
    assert "1 of 3 passed; not 3.11-lowest, 3.13-newest" in capsys.readouterr().out


def test_newer_python_has_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python that is newer than those that are supported is tried where there is one."""
    turns: list[str] = []

    def passing(combination: Combination, _python: Path | None) -> bool:
        turns.append(str(combination))
        return True

    there = {each: Path(each) for each in ("3.11", "3.12", "3.13", "3.14")}
    monkeypatch.setattr(
        matrix, "found_pythons", lambda versions: {v: there[v] for v in versions if v in there}
    )
    monkeypatch.setattr(matrix, "passes", passing)
    assert matrix.main([]) == 0
    assert turns == ["3.11-lowest", "3.12-locked", "3.13-locked", "3.14-newest"]


def test_present_pythons_can_be_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """With --present, only those that are there have a turn."""
    turns: list[str] = []

    def passing(combination: Combination, _python: Path | None) -> bool:
        turns.append(str(combination))
        return True

    there = {"3.12": Path("python3.12"), "3.13": Path("python3.13")}
    monkeypatch.setattr(matrix, "found_pythons", lambda _versions: there)
    monkeypatch.setattr(matrix, "passes", passing)
    assert matrix.main(["--present"]) == 0
    assert turns == ["3.12-lowest", "3.13-newest"]


def test_missing_python_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """The line about a Python that is missing says what to do."""
    assert not matrix.passes(Combination("3.12", Packages.LOCKED), None)
    assert "3.12-locked: this Python is not on this machine" in capsys.readouterr().out
