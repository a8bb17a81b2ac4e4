from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.time_limits import read_fifo
from tools import bootstrap, environments
from tools.environments import candidates, find_pythons, is_python, supported_versions
from tools.lock_check import entries, faults_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT = Path(__file__).resolve().parent.parent
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
ALL_STEPS = ["venv", "lock", "project"]


class FakeInstaller:
    """Stands in for venv and pip: notes which step it was asked for, and can stop at one."""

    def __init__(
        self, root: Path, *, stop_at: str = "", stop_with: type[BaseException] = KeyboardInterrupt
    ) -> None:
        self.environment = root / ".venv"
        self.stop_at = stop_at
        self.stop_with = stop_with
        self.steps: list[str] = []

    def __call__(self, command: Sequence[str], lock: int) -> None:
        """Leave behind what the set-up looks at."""
        os.fstat(lock)  # raises if there is no open lock to hand on
        step = next(s for s, sign in SIGNS.items() if sign in command)
        self.steps.append(step)
        (self.environment / f"{step}-begun").touch()
        if step == self.stop_at:
            raise self.stop_with
        if step == "venv":
            environments.interpreter(self.environment).parent.mkdir()
            environments.interpreter(self.environment).touch(mode=0o755)


SIGNS = {"venv": "venv", "lock": "--require-hashes", "project": "--editable"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Give a project's folder with what the set-up reads, and nothing set up."""
    root = tmp_path / "a project"
    (root / "pipedrive_oauth_client").mkdir(parents=True)
    (root / "pipedrive_oauth_client" / "__init__.py").write_text('__version__ = "0.1.0"\n')
    (root / "pyproject.toml").write_text("[project]\n")
    (root / "requirements.lock").write_text("attrs==26.1.0\n")
    return root


def steps_of_a_set_up(root: Path) -> list[str]:
    """Set up and return the steps that it took."""
    installer = FakeInstaller(root)
    bootstrap.set_up(root, installer)
    return installer.steps


def test_first_set_up_takes_every_step(project: Path) -> None:
    """Without an environment, one is made, filled from the lock, and gets the project."""
    assert steps_of_a_set_up(project) == ALL_STEPS


def test_finished_set_up_is_left_alone(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where nothing is to do, nothing is done and nothing is printed."""
    steps_of_a_set_up(project)
    capsys.readouterr()
    assert steps_of_a_set_up(project) == []
    assert capsys.readouterr() == ("", "")


def append(name: str) -> Callable[[Path], object]:
    """Return a change that makes the file `name` another one."""
    return lambda root: (root / name).write_text((root / name).read_text() + "# changed\n")


def replace_by_file(root: Path) -> None:
    """Put a file where the environment was."""
    environments.remove(root / ".venv")
    (root / ".venv").touch()


CHANGES: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "another lock": (append("requirements.lock"), ALL_STEPS),
    "another pyproject": (append("pyproject.toml"), ["project"]),
    "another version": (
        lambda root: (root / "pipedrive_oauth_client/__init__.py").write_text(
            '__version__ = "0.2.0"\n'
        ),
        ["project"],
    ),
    "only other code": (append("pipedrive_oauth_client/__init__.py"), []),
    "no interpreter": (lambda root: (root / ".venv/bin/python").unlink(), ALL_STEPS),
    "no stamp": (lambda root: (root / ".venv/made-from.txt").unlink(), ALL_STEPS),
    "a torn stamp": (lambda root: os.truncate(root / ".venv/made-from.txt", 60), ALL_STEPS),
    "a stamp of bytes": (
        lambda root: (root / ".venv/made-from.txt").write_bytes(b"\xff\xfe"),
        ALL_STEPS,
    ),
    "no environment": (lambda root: environments.remove(root / ".venv"), ALL_STEPS),
    "a file in its place": (replace_by_file, ALL_STEPS),
}


@pytest.mark.parametrize(("change", "steps"), CHANGES.values(), ids=CHANGES.keys())
def test_set_up_follows_a_change(
    project: Path, change: Callable[[Path], object], steps: list[str]
) -> None:
    """A set-up that no longer fits is redone as far as it has to be, and then fits."""
    steps_of_a_set_up(project)
    change(project)
    assert steps_of_a_set_up(project) == steps
    assert steps_of_a_set_up(project) == []


def test_moved_environment_is_made_anew(project: Path) -> None:
    """An environment that was moved or copied is no good: it holds absolute paths."""
    steps_of_a_set_up(project)
    moved = project.rename(project.with_name("elsewhere"))
    assert steps_of_a_set_up(moved) == ALL_STEPS


def test_other_python_makes_it_anew(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment belongs to the Python that made it."""
    steps_of_a_set_up(project)
    monkeypatch.setattr(bootstrap, "base_python", lambda: "/opt/python3.99/bin/python3.99")
    assert steps_of_a_set_up(project) == ALL_STEPS


def test_link_is_replaced_and_its_target_kept(project: Path, tmp_path: Path) -> None:
    """Of a .venv that is a symbolic link, only the link goes."""
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    (project / ".venv").symlink_to(tmp_path / "precious")
    assert steps_of_a_set_up(project) == ALL_STEPS
    assert (tmp_path / "precious" / "file").exists()


@pytest.mark.parametrize("stop_with", [KeyboardInterrupt, environments.SetupError])
@pytest.mark.parametrize("stop_at", ALL_STEPS)
def test_interrupted_set_up_is_redone(
    project: Path, stop_at: str, stop_with: type[BaseException]
) -> None:
    """Whatever a stopped set-up left behind is gone after the next one."""
    with pytest.raises(stop_with):
        bootstrap.set_up(project, FakeInstaller(project, stop_at=stop_at, stop_with=stop_with))
    (project / ".venv" / "left-over").touch()
    assert steps_of_a_set_up(project) == ALL_STEPS
    assert not (project / ".venv" / "left-over").exists()


def test_interrupted_renewal_is_redone(project: Path) -> None:
    """A finished set-up that is interrupted while it is brought up to date counts as unfinished."""
    steps_of_a_set_up(project)
    append("pyproject.toml")(project)
    with pytest.raises(KeyboardInterrupt):
        bootstrap.set_up(project, FakeInstaller(project, stop_at="project"))
    assert steps_of_a_set_up(project) == ALL_STEPS


def test_change_during_a_set_up_is_seen_by_the_next(project: Path) -> None:
    """The stamp tells what the set-up began with, not what the files say at its end."""
    installer = FakeInstaller(project)

    def install(command: Sequence[str], lock: int) -> None:
        installer(command, lock)
        if installer.steps == ["venv", "lock"]:
            append("requirements.lock")(project)

    bootstrap.set_up(project, install)
    assert steps_of_a_set_up(project) == ALL_STEPS


def test_two_at_once_set_up_once(project: Path) -> None:
    """A second set-up, begun while the first is at work, waits and finds nothing to do."""
    installer = FakeInstaller(project)
    second = threading.Thread(target=bootstrap.set_up, args=(project, installer))

    def install(command: Sequence[str], lock: int) -> None:
        if not installer.steps:
            second.start()
        installer(command, lock)

    bootstrap.set_up(project, install)
    second.join(timeout=60)
    assert not second.is_alive()
    assert installer.steps == ALL_STEPS


def test_waiting_ends(tmp_path: Path) -> None:
    """A lock that is never released ends the waiting, with a line that names it."""
    lock_file = tmp_path / "lock"
    with (
        environments.held(lock_file),
        pytest.raises(environments.SetupError, match=re.escape(str(lock_file))),
        environments.held(lock_file, wait_seconds=0),
    ):
        pass


def test_killed_set_up_leaves_the_lock_to_its_child(tmp_path: Path) -> None:
    """While a pip outlives its killed parent, the lock is held; after it, it is free."""
    pid_pipe = tmp_path / "pid"
    os.mkfifo(pid_pipe)
    child = (
        "import os, pathlib, signal, sys; pathlib.Path(sys.argv[1]).write_text(str(os.getpid()));"
    )
    child += "signal.pause()"
    parent = f"""
import pathlib, sys
from tools.environments import held, run_logged
folder = pathlib.Path(sys.argv[1])
with held(folder / "lock") as lock:
    command = [sys.executable, "-c", {child!r}, str(folder / "pid")]
    run_logged(command, log=folder / "log", lock=lock)
"""
    with subprocess.Popen([sys.executable, "-c", parent, str(tmp_path)], cwd=ROOT) as process:
        child_pid = int(read_fifo(pid_pipe))
        process.kill()
    try:
        with (
            pytest.raises(environments.SetupError),
            environments.held(tmp_path / "lock", wait_seconds=0),
        ):
            pass
    finally:
        os.kill(child_pid, signal.SIGKILL)
    with environments.held(tmp_path / "lock", wait_seconds=60) as lock:
        assert lock > 0


@pytest.mark.parametrize(
    ("printed", "advice"),
    [
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES", "all of its output is in"),
        ("ERROR: Could not install packages: [Errno 28] No space left on device", "disk is full"),
    ],
)
def test_failed_step_says_where_its_output_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], printed: str, advice: str
) -> None:
    """A failing command becomes one line, after the end of what it printed."""
    log = tmp_path / "setup.log"
    command = [sys.executable, "-c", f"import sys; sys.exit({printed!r})"]
    with (
        environments.held(tmp_path / "lock") as lock,
        pytest.raises(environments.SetupError, match=advice) as told,
    ):
        environments.run_logged(command, log=log, lock=lock)
    assert "\n" not in str(told.value)
    assert printed in log.read_text()
    assert printed in capsys.readouterr().err


def test_callers_settings_do_not_lead_pip_astray(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What would install elsewhere is kept from pip; what finds a package index is not."""
    (project / ".venv").mkdir()
    monkeypatch.setattr(environments, "ROOT", project)
    monkeypatch.setenv("PIP_TARGET", "/elsewhere")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", "77")
    command = [sys.executable, "-c", "import os; print(dict(os.environ))"]
    with environments.held(project / "lock") as lock:
        environments.run_in(project / ".venv", command, lock)
    seen = (project / ".venv" / "setup.log").read_text()
    assert "/elsewhere" not in seen
    assert "'PIP_DEFAULT_TIMEOUT': '77'" in seen


@pytest.mark.parametrize("version", [(3, 11), (3, 13), (4, 0)])
def test_python_that_is_new_enough_is_taken(version: tuple[int, int]) -> None:
    """Any Python from 3.11 on makes the environment."""
    bootstrap.refuse_unfit_python(version, lambda _name: object())


@pytest.mark.parametrize(
    ("version", "present", "line"),
    [
        ((3, 9), {"venv", "ensurepip"}, r"this is Python 3\.9, and 3\.11 or newer is needed"),
        ((3, 10), set[str](), r"this is Python 3\.10, and 3\.11"),
        ((3, 12), {"venv"}, r"comes without ensurepip; .*apt install python3\.12-venv"),
        ((3, 12), set[str](), "comes without venv and ensurepip"),
    ],
)
def test_unfit_python_is_refused(version: tuple[int, int], present: set[str], line: str) -> None:
    """A Python that can't make the environment is refused with one line that says what to do."""
    find = dict.fromkeys(present, True).get
    with pytest.raises(environments.SetupError, match=line) as refused:
        bootstrap.refuse_unfit_python(version, find)
    assert "make setup PYTHON=" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (environments.SetupError("do this"), 1, "setup: do this\n"),
        (PermissionError(13, "Permission denied", "x"), 1, "setup: [Errno 13] Permission denied"),
        (KeyboardInterrupt(), 130, "setup: stopped halfway; run it again to finish\n"),
    ],
)
def test_failure_is_one_line_and_an_exit_code(
    capsys: pytest.CaptureFixture[str], error: BaseException, code: int, line: str
) -> None:
    """A failure is told without a traceback, and the exit code says that there was one."""

    def fail() -> None:
        raise error

    assert environments.exit_code(fail) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(line)
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize("name", ["requirements.lock", "pyproject.toml"])
def test_missing_file_is_named(project: Path, name: str) -> None:
    """Where a file that the set-up needs is gone, the line says which."""
    (project / name).unlink()
    with pytest.raises(environments.SetupError, match=f"{re.escape(name)}.*restore it from git"):
        steps_of_a_set_up(project)


THIS = f"{sys.version_info[0]}.{sys.version_info[1]}"


def test_supported_pythons_are_the_classifiers() -> None:
    """The versions of pyproject.toml count, the oldest first and the tenth after the ninth."""
    assert THIS in supported_versions(PYPROJECT)
    named = ["3.13", "3.9", "3.10", "3", "2.7", "3 :: Only"]
    classifiers = [f"Programming Language :: Python :: {each}" for each in named]
    found = supported_versions(f"[project]\nclassifiers = {classifiers}\n")
    assert found == ["3.9", "3.10", "3.13"]


def python_like(file: Path, prints: str, code: int = 0) -> Path:
    """Write a program that pretends to be Python."""
    file.parent.mkdir(parents=True)
    file.write_text(f"#!/bin/sh\necho {prints}\nexit {code}\n", encoding="utf-8")
    file.chmod(0o755)
    return file


def test_python_is_found_on_the_path_and_in_pyenv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shim that does not run is passed over for the newest that pyenv has."""
    shim = python_like(tmp_path / "bin" / "python3.98", "no such command", 127)
    old = python_like(tmp_path / "pyenv/versions/3.98.9/bin/python3.98", "3.98")
    new = python_like(tmp_path / "pyenv/versions/3.98.10/bin/python3.98", "3.98")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    assert list(candidates("3.98")) == [shim, new, old]
    assert find_pythons(["3.98", "3.99"]) == {"3.98": new}


def test_python_of_another_version_is_none(tmp_path: Path) -> None:
    """What says another version than its name, or can't be run, does not count."""
    assert is_python(Path(sys.executable), THIS)
    assert not is_python(Path(sys.executable), "3.98")
    assert not is_python(tmp_path / "gone", THIS)


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make in the project's folder, as from a shell and not from a make that runs the tests."""
    outer = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTHON", "ARGS")
    return subprocess.run(
        ["make", "-C", str(ROOT), "--no-print-directory", *arguments],
        env={k: v for k, v in os.environ.items() if k not in outer},
        capture_output=True,
        text=True,
        check=False,
        timeout=80,
    )


@pytest.mark.parametrize("settings", [["PYTHON=no-such-python"], ["PYTHON=", "PATH=/nowhere"]])
def test_make_without_a_fit_python_says_so(settings: list[str]) -> None:
    """`make` names what is missing when no Python is new enough, and fails."""
    made = make("setup", *settings)
    assert made.returncode == 2
    assert made.stderr.startswith("setup: ")
    assert "older than 3.11" in made.stderr


def test_make_remembers_the_python_of_the_environment() -> None:
    """A Python that was named once, outside of PATH, is used again without being named."""
    stamp = ROOT / ".venv/made-from.txt"
    remembered = stamp.read_text(encoding="utf-8") if stamp.exists() else ""
    pythons = re.findall(r"^Python: \S+ (.+)$", remembered, re.MULTILINE)
    made = make("--eval=tell: ; @echo '$(PYTHON)'", "tell")
    assert made.stdout.split() == pythons


def test_make_help_lists_every_target() -> None:
    """Each target with a `.PHONY` line of its own has a line in what a bare `make` prints."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    made = make()
    assert made.returncode == 0
    listed = re.findall(r"^  make (\S+) +\S", made.stdout, re.MULTILINE)
    assert listed == re.findall(r"^\.PHONY: (\S+)$", makefile, re.MULTILINE)


def test_parts_of_check_and_verify_are_those_that_help_names() -> None:
    """`make check ARGS=` and `make verify PART=` take each part that `make help` tells, alone."""
    told = make().stdout
    for target, variable in (("check", "ARGS"), ("verify", "PART")):
        line = next(line for line in told.splitlines() if line.startswith(f"  make {target} "))
        listed = re.search(r"(?:for a part: |PART=)([\w, ]+?)(?:\)|;)", line)
        assert listed
        parts = re.split(r", | or ", listed[1])
        every = make("-n", target).stdout
        for part in parts:
            alone = make("-n", target, f"{variable}={part}")
            assert alone.returncode == 0
            assert alone.stdout.splitlines()[-1] in every
            assert len(alone.stdout) < len(every)
        assert make("-n", target, f"{variable}=another").returncode == 2


def test_lock_fits() -> None:
    """requirements.lock has what pyproject.toml asks for, exactly, with hashes, and no more."""
    assert list(faults_of(LOCK, PYPROJECT, metadata.requires)) == []


BAD_LOCKS = {
    "too old": (r"^httpx==\S+", "httpx==0.26.0", "httpx 0.26.0 is not what pyproject.toml asks"),
    "missing": (r"^h11==\S+ \\\n(    .*\n)+", "", "h11 is missing; httpcore asks for it"),
    "left over": (
        r"\Z",
        f"left-over==1 --hash=sha256:{'0' * 64}\n",
        "nothing asks for left-over",
    ),
    "a range": (r"^idna==", "idna>=", "idna has no exact version"),
    "a wildcard": (r"^idna==\S+", "idna==3.*", "idna has no exact version"),
    "no hash": (r"^idna==(\S+) \\\n(    --hash.*\n)+", r"idna==\1\n", "idna has no hash"),
    "a short hash": (r"(--hash=sha256:\w{63})\w", r"\1", "not a package with its hashes"),
    "an index": (r"\A", "--index-url https://example.org\n", "it names an address"),
    "an option": (r"\A", "--pre\n", "--pre is not a package"),
}


@pytest.mark.parametrize(("pattern", "bad", "fault"), BAD_LOCKS.values(), ids=BAD_LOCKS.keys())
def test_bad_lock_is_found_out(pattern: str, bad: str, fault: str) -> None:
    """Each way in which the lock may be wrong is reported."""
    lock = re.sub(pattern, bad, LOCK, count=1, flags=re.MULTILINE)
    assert lock != LOCK
    assert fault in "\n".join(faults_of(lock, PYPROJECT, metadata.requires))


def test_tools_whose_output_is_committed_are_pinned() -> None:
    """The generator and the formatter are at one exact version in pyproject.toml as well."""
    locked = {line.split("==")[0]: line.split()[0] for line in entries(LOCK)}
    for name in ("openapi-python-client", "ruff"):
        assert f'"{locked[name]}"' in PYPROJECT


def test_linter_is_locked_without_addresses() -> None:
    """The npm lock has an exact version and a hash for everything, and no address."""
    text = (ROOT / "tools/lint/package-lock.json").read_text(encoding="utf-8")
    packages: dict[str, dict[str, str]] = json.loads(text)["packages"]
    packages.pop("")
    assert packages
    for name, package in packages.items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", package["version"]), name
        assert package["integrity"].startswith("sha512-"), name
    assert "://" not in text


@pytest.mark.parametrize(
    ("body", "arguments", "code"),
    [
        ("pass", ["--no-skips"], 0),
        ("pytest.skip('no server')", [], 0),
        ("pytest.skip('no server')", ["--no-skips"], 1),
        ("pytest.xfail('a known fault')", ["--no-skips"], 1),
        ("pass", ["--no-skips", "-k", "another"], 5),
    ],
)
def test_no_skips_fails_a_run_with_skipped_tests(
    tmp_path: Path, body: str, arguments: list[str], code: int
) -> None:
    """With --no-skips a run passes if every test ran to its end, and if there were any."""
    (tmp_path / "test_it.py").write_text(f"import pytest\n\ndef test_it():\n    {body}\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += ["-p", "tests.conftest", "--rootdir", str(tmp_path), *arguments, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout
