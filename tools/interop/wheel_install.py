"""Another project installs the wheel into an environment of its own and tests its app with it."""

from __future__ import annotations

import ast
import json
import shutil
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

from tools.environments import ROOT, base_python, interpreter, pip_install
from tools.interop.installers import HERE
from tools.interop.subprocesses import environment, expect, expect_equal, run
from tools.lock_check import HASH, entries

SUITE = HERE / "wheel_suite"
BUILD_SECONDS = 120
INSTALL_SECONDS = 300
TEST_SECONDS = 120

# Run by the other project's Python: what it has, and where from.
DESCRIBE_INSTALL = """
import importlib.metadata, json, pipedrive_oauth_client
installed = importlib.metadata.distribution("pipedrive-oauth-client")
print("DONE", json.dumps({
    "file": pipedrive_oauth_client.__file__,
    "origin": json.loads(installed.read_text("direct_url.json")),
    "files": sorted({file.parts[0] for file in installed.files if file.parts[0] != ".."}),
}))
"""


def check(scratch: Path) -> str:
    """Build, install and test, and return the counts."""
    wheel = build(scratch / "dist")
    venv = scratch / "venv"
    install(wheel, venv)

    project = scratch / "project"
    shutil.copytree(SUITE, project, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    python = str(interpreter(venv))
    printed = run(
        [python, "-I", "-c", DESCRIBE_INSTALL],
        what="importing the package",
        seconds=TEST_SECONDS,
        folder=project,
        variables=environment(),
    )
    found = json.loads(printed.partition("DONE ")[2])
    inside = Path(found["file"]).resolve().is_relative_to(venv.resolve())
    expect(inside, f"the package is not the installed one but {found['file']}")
    origin = found["origin"]
    expect_equal(origin["url"], wheel.as_uri(), "where the installed package is from")
    expect("archive_info" in origin, "the package was not installed from an archive")
    # Nothing else of the tree is installed.
    metadata = "-".join(wheel.name.split("-")[:2]) + ".dist-info"
    installed = ["pipedrive_oauth_client", metadata]
    expect_equal(found["files"], installed, "folders and files that the wheel installed")

    report = project / "report.xml"
    printed = run(
        [python, "-m", "pytest", "-p", "no:cacheprovider", f"--junitxml={report}"],
        what="the other project's tests",
        seconds=TEST_SECONDS,
        folder=project,
        # These two of the caller's shell would change what runs.
        variables=environment({"PYTEST_ADDOPTS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": ""}),
        reasons=r"^(?:ERROR|FAILED) \S.+$",
    )
    passed = sum(not list(case) for case in cases(report))
    wanted = sum(tests_in(file) for file in SUITE.rglob("test_*.py"))
    expect(wanted > 0, "the other project has no tests")
    expect_equal((len(cases(report)), passed), (wanted, wanted), "tests run and passed", printed)
    return f"{passed} tests of another project passed with {wheel.name}"


def build(folder: Path) -> Path:
    """Build the wheel from the tree and return where it is."""
    printed = run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        what="building the wheel",
        seconds=BUILD_SECONDS,
        folder=ROOT,
        variables=environment(),
    )
    wheels = list(folder.glob("*.whl"))
    expect_equal(len(wheels), 1, "wheels built", printed)
    return wheels[0]


def install(wheel: Path, venv: Path) -> None:
    """Install the wheel with the sandbox, and pytest, into a new environment.

    The versions are the locked ones, without their hashes: with hashes pip would want one for the
    wheel as well.
    """
    constraints = wheel.with_name("constraints.txt")
    lock = (ROOT / "requirements.lock").read_text("utf-8")
    lines = (HASH.sub("", line).strip() for line in entries(lock))
    constraints.write_text("\n".join(lines) + "\n", encoding="utf-8")
    packages = [f"pipedrive-oauth-client[sandbox] @ {wheel.as_uri()}", "pytest"]
    for command in (
        [base_python(), "-I", "-m", "venv", str(venv)],
        [
            *pip_install(venv),
            *("--only-binary=:all:", "--constraint", str(constraints)),
            *packages,
        ],
    ):
        run(
            command,
            what="installing the wheel",
            seconds=INSTALL_SECONDS,
            folder=wheel.parent,
            variables=environment(network=True),
        )


def tests_in(file: Path) -> int:
    """Return how many test functions a file has."""
    nodes = ast.parse(file.read_text("utf-8")).body
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return sum(isinstance(node, functions) and node.name[:5] == "test_" for node in nodes)


def cases(report: Path) -> list[ET.Element]:
    """Return the tests of a JUnit report; one that passed has nothing inside."""
    # Trusted input: the run just before wrote it.
    return list(ET.parse(report).iter("testcase"))  # noqa: S314
