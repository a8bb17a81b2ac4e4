"""The README says what is true: its code runs, its table is the spec's, its commands exist."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from hatch_build import with_index_links
from pipedrive_oauth_client import Token, sandbox

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def _run(block: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(block, "README.md", "exec"), names)  # noqa: S102 - the README's own code
    return names


def test_the_readme_is_short_and_has_one_example() -> None:
    """The README has at most 150 lines, and one example, which a test runs."""
    assert len(README.splitlines()) <= 150
    assert len(BLOCKS) == 1


def test_the_example_runs_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    """The example gets a token, uses it, and shows none; it is short as well."""
    token = _run(BLOCKS[0])["token"]
    printed = capsys.readouterr().out
    assert isinstance(token, Token)
    assert sandbox.DEFAULT_USER.name in printed
    assert token.access_token not in printed
    code = [line for line in BLOCKS[0].splitlines() if line.strip() and "import" not in line]
    assert len(code) < 24


def test_the_extras_are_those_of_the_package() -> None:
    """The README names every extra, and no other."""
    paragraph = README[README.index("Extras add") : README.index("## Use it")]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"][
        "optional-dependencies"
    ]
    assert set(re.findall(r"`(\w+)`", paragraph)) == set(extras)


def test_an_index_page_has_no_broken_link(tmp_path: Path) -> None:
    """The description in the package's metadata has no link to a file that an index lacks."""
    work = "import sys, hatchling.build as b; b.prepare_metadata_for_build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", work, str(tmp_path)], cwd=ROOT, check=True, timeout=60)
    (file,) = tmp_path.glob("*/METADATA")
    core = file.read_text(encoding="utf-8")
    assert "# pipedrive_oauth_client" in core
    links = re.findall(r"\]\(([^)]+)\)", core)
    assert links
    assert all(link.startswith("https://") for link in links)


def test_links_lead_to_the_source_once_it_has_an_address() -> None:
    """With a public address, a relative link becomes one of the project's source."""
    text = "[a](docs/a.md#b) [c](https://example.com/d)"
    linked = with_index_links(text, "https://example.com/project/")
    assert linked == (
        "[a](https://example.com/project/blob/main/docs/a.md#b) [c](https://example.com/d)"
    )
    assert with_index_links(text, None) == "a [c](https://example.com/d)"


def test_the_table_of_endpoints_is_the_specs() -> None:
    """Every operation of the spec is in the table, with request, arguments and result."""
    spec = yaml.safe_load((ROOT / "openapi.yaml").read_text(encoding="utf-8"))
    rows = re.findall(r"^\| `(\w+)` \| `(\w+ \S+)` \| (.*?) \| (.*?) \|$", README, re.MULTILINE)
    table = {module: (request, takes, gives) for module, request, takes, gives in rows}
    operations = {
        operation["operationId"]: (f"{method.upper()} {path}", operation)
        for path, item in spec["paths"].items()
        for method, operation in item.items()
    }
    assert table.keys() == operations.keys()
    for name, (request, operation) in operations.items():
        assert table[name][0] == request
        arguments = [
            parameter.get("name") or parameter["$ref"].rsplit("/", 1)[1].lower()
            for parameter in operation.get("parameters", [])
        ]
        if "requestBody" in operation:
            (media_type,) = operation["requestBody"]["content"].values()
            arguments += ["body", media_type["schema"]["$ref"].rsplit("/", 1)[1]]
            reads = operation["responses"]["200"] == {"$ref": "#/components/responses/Tokens"}
            assert ("`GetTokensResponse`" in table[name][2]) is reads
        assert re.findall(r"`(\w+)`", table[name][1]) == arguments


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_the_commands_exist(document: str) -> None:
    """Every `make` command of the documents is a target of the Makefile."""
    named = re.findall(
        r"(?:`|^    )make ([a-z-]+)", (ROOT / document).read_text("utf-8"), re.MULTILINE
    )
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert named
    assert set(named) <= set(targets)


# Those of the pages under docs/ are looked at where the site is gathered.
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "SECURITY.md"]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_links_lead_somewhere(document: str) -> None:
    """Every relative link of the documents is a file of the project."""
    page = ROOT / document
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8"))
    assert all((page.parent / link).exists() for link in links)
