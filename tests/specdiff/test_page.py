"""The pages about changes of the spec show what `make diff` prints, and what the rules say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.specdiff.test_review import Project
from tools.specdiff.findings import rules

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
LINE = re.compile(r"(?<=openapi\.yaml:)\d+")


def page(name: str) -> str:
    """Read a page."""
    return (DOCS / name).read_text(encoding="utf-8")


def sample(name: str) -> str:
    """Give the report of a page, without line numbers, which each edit of the spec moves."""
    found = re.search(r"^```text\n\$ make diff\n(.*?)^```$", page(name), re.DOTALL | re.MULTILINE)
    assert found is not None
    return LINE.sub("N", found[1])


def edits(name: str) -> list[tuple[str, str]]:
    """Give what each part of a page's first diff removes, and what it puts in its place."""
    found = re.search(r"^```diff\n(.*?)^```$", page(name), re.DOTALL | re.MULTILINE)
    assert found is not None
    return [(lines_of(part, " -"), lines_of(part, " +")) for part in found[1].split("@@\n")]


def lines_of(part: str, marks: str) -> str:
    """Give the lines of a diff that begin with one of the marks, without it."""
    lines = part.splitlines(keepends=True)
    return "".join(line[1:] for line in lines if line[0] in marks)


REQUIRED = "required: [access_token, token_type, expires_in]"
SAMPLES = {
    "spec-diff.md": edits("spec-diff.md"),
    "changing-the-api.md": [(REQUIRED, "required: [access_token, expires_in]")],
}


@pytest.mark.parametrize("name", SAMPLES)
def test_sample_report_is_what_the_command_prints(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The report on a page is the one of the edit that the page shows or describes."""
    project = Project(tmp_path)
    project.write("openapi.yaml", (ROOT / "openapi.yaml").read_text(encoding="utf-8"))
    project.commit()
    for old, new in SAMPLES[name]:
        project.edit("openapi.yaml", old, new)
    assert project.diff() == 1
    assert LINE.sub("N", capsys.readouterr().out) == sample(name)


COMMON_CHANGES = {
    "optional field added": ("request-field-added", "response-field-added"),
    "field removed": ("request-field-removed", "response-field-removed"),
    "optional field is now required": (
        "request-field-became-required", "response-field-became-required",
    ),
    "required field is now optional": (
        "request-field-became-optional", "response-field-became-optional",
    ),
    "`null` is now allowed": ("request-null-allowed", "response-null-allowed"),
    "type changed": ("request-type-changed", "response-type-changed"),
    "new enum value": ("request-enum-value-added", "response-enum-value-added"),
    "enum value removed": ("request-enum-value-removed", "response-enum-value-removed"),
}  # fmt: skip


def test_common_changes_have_the_verdicts_of_the_rules() -> None:
    """The table at the top of the page says of each change what its rules say."""
    table = re.search(
        r"^\| change of a field .*?\n\n", page("spec-diff.md"), re.DOTALL | re.MULTILINE
    )
    assert table is not None
    rows = [[cell.strip() for cell in row.split("|")[1:4]] for row in table[0].splitlines()[2:-1]]
    assert {change: (request, response) for change, request, response in rows} == {
        change: (verdict(request), verdict(response))
        for change, (request, response) in COMMON_CHANGES.items()
    }


def verdict(rule_id: str) -> str:
    """Write the verdicts of a rule as the table does: once where both agree."""
    rule = rules()[rule_id]
    if rule.http == rule.importer:
        return rule.http
    assert (rule.http, rule.importer) == ("compatible", "breaking")
    return "breaking in Python only"
