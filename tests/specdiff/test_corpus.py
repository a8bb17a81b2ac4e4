"""Every change of the corpus is judged as expected, and two programs agree.

One program is typed, and mypy checks it against the new package; the other runs with the new
package against a service that is simulated from the new spec. Both were written for the old spec,
and neither uses the tool.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path, PurePosixPath

import pytest
import yaml

from tests.specdiff.cases import Change, base, changes, judged, report_of
from tests.specdiff.running_program import Document, Program, Service
from tests.specdiff.typed_program import Writer, stubs
from tests.specs.project import Package
from tools.specdiff import python_package
from tools.specdiff.findings import Level, rules

# One run of mypy and one of all programs serve the tests of this file.
pytestmark = pytest.mark.timeout(300)

RUNNABLE = [change for change in changes() if change.runnable and not change.rejected]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a directory for packages."""
    return tmp_path_factory.mktemp("sides")


@cache
def document(text: str) -> Document:
    """Read a spec, with statuses as text."""
    content = yaml.load(text.removeprefix("\ufeff"), Loader=yaml.CSafeLoader)
    for item in content["paths"].values():
        for operation in item.values():
            if isinstance(operation, dict):
                operation["responses"] = {str(k): v for k, v in operation["responses"].items()}
    return Document(content)


def files(text: str) -> dict[PurePosixPath, bytes]:
    """Generate the package of a spec, once in each session."""
    return python_package.generate_package(
        json.dumps(document(text).content, ensure_ascii=False), "spec"
    )


def outcome(directory: Path, old: str, new: str) -> str:
    """Run the program of the old spec with the new package; give what went wrong, or nothing."""
    packages: list[Package] = []
    for text in (old, new):
        target = directory / f"specdiff_side_{abs(hash(text))}"
        packages.append(Package(files(text), target) if not target.exists() else Package.at(target))
    program = Program(packages[0], document(old), packages[1], Service(document(new)))
    try:
        program.run()
    except Exception as error:  # noqa: BLE001 - whatever it is, the program broke
        return f"{type(error).__name__}: {error}"
    return ""


@pytest.mark.parametrize("change", changes(), ids=lambda change: change.name)
def test_change_is_judged(directory: Path, monkeypatch: pytest.MonkeyPatch, change: Change) -> None:
    """A change is found both ways by its rules, once each, and harmless ones break no program."""
    monkeypatch.syspath_prepend(directory)
    for way in change.ways:
        report = report_of(way.old, way.new)
        assert dict(judged(report)) == dict.fromkeys(way.expected, 1), way.name
        assert (report.python == "refused") == change.rejected
        if change in RUNNABLE and not way.breaks_importers:
            assert outcome(directory, way.old, way.new) == "", way.name


def test_programs_agree(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is called breaking fails at the type check or when it runs; other changes don't."""
    monkeypatch.syspath_prepend(directory)
    ways = [way for change in RUNNABLE for way in change.ways]
    complaints = checked(directory / "typed", [(way.old, way.new) for way in ways])
    wrong = {
        way.name: found
        for way, found in zip(ways, complaints, strict=True)
        # What mypy lets through has to fail when it runs.
        if bool(found or (way.breaks_importers and outcome(directory, way.old, way.new)))
        != way.breaks_importers
    }
    assert wrong == {}


def test_programs_are_right_for_their_own_spec(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both programs of the base spec work with the package and the service of the base spec."""
    monkeypatch.syspath_prepend(directory)
    assert outcome(directory, base(), base()) == ""
    assert checked(directory / "own", [(base(), base())]) == [[]]


def checked(directory: Path, pairs: list[tuple[str, str]]) -> list[list[str]]:
    """Let mypy check the typed program of each old spec against the new package, in one run."""
    directory.mkdir()
    numbers: dict[str, int] = {}
    for text in dict.fromkeys(text for pair in pairs for text in pair):
        numbers[text] = len(numbers)
        for name, content in stubs(files(text)).items():
            target = directory / f"side_{numbers[text]}" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    for index, (old, new) in enumerate(pairs):
        source = Writer(files(old), f"side_{numbers[new]}").program()
        (directory / f"caller_{index}.py").write_text(source, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-error-summary"]
    done = subprocess.run(
        [
            *command,
            f"--cache-dir={os.devnull}",
            *(f"caller_{index}.py" for index in range(len(pairs))),
        ],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found: list[list[str]] = [[] for _ in pairs]
    for line in done.stdout.splitlines():
        caller = line.partition(".py:")[0]
        if caller.startswith("caller_") and ": error:" in line:
            found[int(caller.removeprefix("caller_"))].append(line)
    return found


def test_corpus_is_large_and_has_both_kinds() -> None:
    """There are at least forty changes, and breaking and compatible ones for either reader."""
    assert len(changes()) >= 40
    expected = {each for change in changes() for way in change.ways for each in way.expected}
    for level in (Level.BREAKING, Level.COMPATIBLE):
        assert sum(http == level for _, http, _ in expected) > 15
        assert sum(importer == level for _, _, importer in expected) > 15


# Rules that the generated code of the corpus can't show, and where they are tested.
ELSEWHERE = {"python-surface"}


def test_every_rule_has_a_case() -> None:
    """Every rule judges at least one change of the corpus."""
    seen = {rule for change in changes() for way in change.ways for rule, _, _ in way.expected}
    assert rules().keys() - seen == ELSEWHERE
