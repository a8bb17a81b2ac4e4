"""What is called breaking for importers breaks a program, and what is called compatible does not.

Two programs judge: a typed one, which mypy checks against the new package, and one that runs with
the new package against a service played from the new spec. Neither knows the tool.
"""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path, PurePosixPath

import pytest
import yaml

from tests.specdiff.caller import Writer, stubs
from tests.specdiff.cases import Change, Way, base, changes
from tests.specdiff.play import Program
from tests.specdiff.samples import Document
from tests.specdiff.service import Service
from tests.specs.project import Package, render_spec

PLAYED = [change for change in changes() if change.playable and not change.refused]


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Give the place where packages are made, each once."""
    return Workshop(tmp_path_factory.mktemp("sides"))


class Workshop:
    """Makes packages of specs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._names: dict[str, str] = {}
        self._made: dict[str, Package] = {}

    @cache  # noqa: B019 - lives as long as the module's tests
    def files(self, text: str) -> dict[PurePosixPath, bytes]:
        """Give the files of the package that is generated from a spec."""
        spec = self.folder / "openapi.yaml"
        spec.write_bytes(text.encode())
        return dict(render_spec(spec))

    def package(self, text: str) -> Package:
        """Give the package, importable."""
        if text not in self._made:
            name = f"specdiff_side_{len(self._made)}"
            self._made[text] = Package(self.files(text), self.folder / name)
        return self._made[text]


@pytest.fixture(autouse=True)
def _importable(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(workshop.folder)


def document(text: str) -> Document:
    """Read a spec with the keys as text."""
    content = yaml.safe_load(text.removeprefix("\ufeff"))
    for item in content["paths"].values():
        for operation in item.values():
            if isinstance(operation, dict):
                operation["responses"] = {str(k): v for k, v in operation["responses"].items()}
    return Document(content)


def outcome(workshop: Workshop, way: Way) -> str:
    """Run the program of the old spec in the new world; give what went wrong, or nothing."""
    old, new = workshop.package(way.old), workshop.package(way.new)
    program = Program(old, document(way.old), new, Service(document(way.new)))
    try:
        program.run()
    except Exception as error:  # noqa: BLE001 - whatever it is, the program broke
        return f"{type(error).__name__}: {error}"
    return ""


@pytest.fixture(scope="module")
def complaints(workshop: Workshop) -> dict[str, list[str]]:
    """Let mypy check the typed program of every old spec against every new package, in one run."""
    folder = workshop.folder / "typed"
    folder.mkdir()
    numbers: dict[str, int] = {}
    ways = [way for change in PLAYED for way in change.ways]
    for text in dict.fromkeys(text for way in ways for text in (way.old, way.new)):
        numbers[text] = len(numbers)
        for name, content in stubs(workshop.files(text)).items():
            target = folder / f"side_{numbers[text]}" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    for index, way in enumerate(ways):
        source = Writer(workshop.files(way.old), f"side_{numbers[way.new]}").program()
        (folder / f"caller_{index}.py").write_text(source, encoding="utf-8")
    own = Writer(workshop.files(base()), f"side_{numbers[base()]}").program()
    (folder / "caller_own.py").write_text(own, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-error-summary",
         f"--cache-dir={workshop.folder / 'cache'}", *sorted(map(str, folder.glob("caller_*.py")))],
        cwd=folder, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found: dict[str, list[str]] = {"own": [], **{way.name: [] for way in ways}}
    for line in done.stdout.splitlines():
        caller = line.partition(".py:")[0]
        if caller.startswith("caller_") and ": error:" in line:
            number = caller.removeprefix("caller_")
            found["own" if number == "own" else ways[int(number)].name].append(line)
    return found


def test_programs_are_right_for_their_own_spec(
    workshop: Workshop, complaints: dict[str, list[str]]
) -> None:
    """Both programs of the base spec work with the package and the service of the base spec."""
    assert outcome(workshop, Way("own", base(), base(), frozenset())) == ""
    assert complaints["own"] == []


@pytest.mark.parametrize("change", PLAYED, ids=lambda change: change.name)
def test_programs_agree(
    workshop: Workshop, complaints: dict[str, list[str]], change: Change
) -> None:
    """A program breaks, at the type check or when it runs, exactly where the corpus says so."""
    for way in change.ways:
        trouble = [*complaints[way.name], *filter(None, [outcome(workshop, way)])]
        assert bool(trouble) == way.breaks_importers, (way.name, trouble)
