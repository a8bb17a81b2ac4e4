"""The command: what it prints, in which form, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest
from jsonschema import Draft202012Validator
from rich.console import Console

from tests.specdiff.cases import base, report_of
from tools.specdiff import python_package
from tools.specdiff.__main__ import main
from tools.specdiff.diff import diff
from tools.specdiff.findings import rules, rules_table
from tools.specdiff.python_package import PackageChanges, assign_signatures
from tools.specdiff.render import json_report, markdown, print_report
from tools.specdiff.spec import OperationIndex, Spec
from tools.specdiff.spec_files import ROOT, Source

BREAKS = base().replace("required: [id, title, state]", "required: [id, state]")
RENAMES = base().replace("operationId: log_in", "operationId: sign_in")
ADDS = base().replace("required: [name]\n", "required: [name, part_of]\n")


@pytest.fixture
def specs(tmp_path: Path) -> dict[str, str]:
    """Give files: the base spec, one that breaks, one that renames, one that breaks nothing."""
    texts = {"old": base(), "new": BREAKS, "renames": RENAMES, "adds": ADDS}
    for name, text in texts.items():
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    return {name: str(tmp_path / f"{name}.yaml") for name in texts}


def test_exit_status_says_whether_something_breaks(specs: dict[str, str]) -> None:
    """The status is 1 if a program breaks, and 0 if none does."""
    assert main([specs["old"], specs["new"], "--no-python"]) == 1
    assert main([specs["old"], specs["adds"], "--no-python"]) == 0
    assert main([specs["old"], specs["old"]]) == 0


def test_view_chooses_whose_breaks_count(specs: dict[str, str]) -> None:
    """A renamed operation breaks importers and no program that speaks HTTP."""
    arguments = [specs["old"], specs["renames"], "--no-python", "--view"]
    assert [main([*arguments, view]) for view in ("both", "importer", "http")] == [1, 1, 0]


def test_text_names_everything(specs: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """A finding shows the change, its effect, levels, rule, places and signatures."""
    main([specs["old"], specs["new"]])
    printed = capsys.readouterr().out
    line = (
        base().splitlines().index("        title: {type: string, description: What it is called.}")
        + 1
    )
    for piece in (
        "The field `Book.title` is now optional in a response.",
        rules()["response-field-became-optional"].effect,
        "over HTTP: breaking   importers: breaking   rule: response-field-became-optional",
        "/components/schemas/Book/properties/title",
        f"old.yaml:{line}",
        f"new.yaml:{line}",
        "GET /books, POST /books, GET /books/{book_id}",
        "- title: str\n",
        "+ title: str | Unset = UNSET\n",
    ):
        assert piece in printed
    assert "\x1b" not in printed


@pytest.mark.parametrize("width", [30, 80])
def test_text_fits_a_narrow_terminal(width: int) -> None:
    """No line is longer than the terminal is wide, and no word is lost."""
    console = Console(width=width, record=True, file=open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
    print_report(report_of(base(), BREAKS), console)
    text = console.export_text()
    console.file.close()
    assert max(map(len, text.splitlines())) <= width
    assert "response-field-became-optional" in text.replace("\n", "").replace(" ", "")


def test_json_is_as_its_schema_says(
    specs: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The JSON report fits report.schema.json, which allows nothing else."""
    schema = json.loads((ROOT / "tools/specdiff/report.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    main([specs["old"], specs["new"], "--format", "json"])
    printed = json.loads(capsys.readouterr().out)
    Draft202012Validator(schema).validate(printed)
    assert printed["breaks"] is True
    assert printed["summary"]["http"]["breaking"] == 1
    assert printed["python"]["status"] == "compared"
    (finding,) = printed["findings"]
    assert finding["signatures"] == [
        {"name": "models.Book.title", "old": "title: str", "new": "title: str | Unset = UNSET"}
    ]


def test_markdown_escapes_the_text_of_the_spec() -> None:
    """Names with bars, backticks, brackets and tags stay text in the cell that they are in."""
    wild = "a|b`c*_[x](http://e)<img src=x>@all #1"
    new = base().replace("name: q, in: query", f"name: '{wild}', in: query")
    text = markdown(report_of(base(), new, python=False))
    rows = [line for line in text.splitlines() if line.startswith("| The")]
    assert len(rows) == 2
    for row in rows:
        assert len(row.replace("\\|", "").split("|")) == 6
    outside = "".join(part for row in rows for part in row.replace("\\|", "").split("`")[::2])
    assert "img" not in outside
    assert "@all" not in outside


def test_text_escapes_control_characters(
    specs: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Control characters in names, values and paths never reach the terminal."""
    wild = base().replace("/login:", '"/login\\e[31m\\a":').replace("name: q,", 'name: "q\\e[2J",')
    Path(specs["new"]).write_text(wild, encoding="utf-8")
    assert main([specs["old"], specs["new"]]) == 1
    Path(specs["new"]).write_text(
        wild.replace("operationId: log_in", '"\\e[31m": x'), encoding="utf-8"
    )
    assert main([specs["old"], specs["new"]]) == 2
    out, err = capsys.readouterr()
    assert "[2J" in out
    assert "[31m" in err
    assert not {"\x1b", "\x07"} & set(out + err)


def test_rules_are_those_of_the_page() -> None:
    """The page of the diff lists every rule with its levels, as the code has them."""
    page = (ROOT / "docs" / "spec-diff.md").read_text(encoding="utf-8")
    assert rules_table() in page


def test_json_says_when_there_is_no_python() -> None:
    """A spec that the generator rejects is judged over HTTP, and the report says why no more."""
    new = base().replace("name: {type: string, description: The name.}",
                         "name: {type: string, maxLength: 9, description: The name.}")  # fmt: skip
    report = json_report(report_of(base(), new))
    assert report["python"]["status"] == "refused"
    assert "maxLength" in str(report["python"]["note"])
    assert [each["http"] for each in report["findings"]] == ["breaking"]


def test_runs_from_another_folder(specs: dict[str, str], tmp_path: Path) -> None:
    """Files are those of the folder that it is run in; the generator's are found all the same."""
    command = [sys.executable, "-m", "tools.specdiff", "old.yaml", Path(specs["new"]).name]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=80,
    )
    assert done.returncode == 1, done.stderr
    assert "+ title: str | Unset = UNSET" in done.stdout


def test_change_that_only_the_code_shows_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The packages are compared whenever the specs differ, also where no rule has seen a break."""
    generate = python_package.generate_package

    def renaming(text: str, label: str) -> dict[PurePosixPath, bytes]:
        files = generate(text, label)
        if label == "without State":
            return {name: file.replace(b"State", b"Standing") for name, file in files.items()}
        return files

    monkeypatch.setattr(python_package, "generate_package", renaming)
    new = base().replace("summary: Logging in", "summary: Signing in")
    report = diff(Source("old", base().encode()), Source("without State", new.encode()))
    found = {(each.rule.id, each.subject) for each in report.findings}
    assert found == {("wording-changed", "log_in"), ("python-surface", "State")}


def test_output_that_can_not_be_written_is_an_error(specs: dict[str, str]) -> None:
    """A full disk ends with status 2 and one line."""
    command = [sys.executable, "-m", "tools.specdiff", specs["old"], specs["new"], "--no-python"]
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            command,
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=80,
        )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("specdiff: ")
    assert "No space left" in done.stderr


STOPPED = """
import os, signal, sys, tempfile
from tools.specdiff.__main__ import run_as_program

# Ignored where the tests run in the background of a shell.
signal.signal(signal.SIGINT, signal.default_int_handler)

def main():
    with tempfile.TemporaryDirectory(dir=sys.argv[1]):
        os.kill(os.getpid(), int(sys.argv[2]))
        signal.pause()

run_as_program(main)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_nothing_is_left_when_it_is_stopped(tmp_path: Path, number: signal.Signals) -> None:
    """A signal ends the command in a way that cleans up."""
    command = [sys.executable, "-c", STOPPED, str(tmp_path), str(int(number))]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (128 + number, "")
    assert list(tmp_path.iterdir()) == []


def test_long_spec_is_generated_where_it_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above a number of operations, only those that a change concerns are generated."""
    texts: list[str] = []

    generate = python_package.generate_package

    def recording(text: str, label: str) -> dict[PurePosixPath, bytes]:
        texts.append(text)
        return generate(text, label)

    monkeypatch.setattr(python_package, "MAX_WHOLE", 3)
    monkeypatch.setattr(python_package, "generate_package", recording)
    sources = [Source("long", text.encode()) for text in (base(), RENAMES)]
    report = diff(*sources)
    assert report.python == "partly"
    assert [list(json.loads(text)["paths"]) for text in texts] == [["/login"], ["/login"]]
    (finding,) = report.findings
    assert {each.name for each in finding.signatures} == {"api.shop.log_in", "api.shop.sign_in"}


def test_break_in_python_that_nothing_explains_is_a_finding() -> None:
    """What griffe finds gone, and no finding about the spec explains, is reported as such."""
    old, new = (OperationIndex(Spec.load(Source("spec", base().encode()))) for _ in range(2))
    changes = PackageChanges((), ("models.Book", "models.book"), partial=False)
    found, left = assign_signatures([], changes, old, new)
    assert [(each.rule.id, each.subject, each.importer) for each in found] == [
        ("python-surface", "Book", "breaking")
    ]
    assert left == []
