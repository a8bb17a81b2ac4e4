"""The README says what is true: its code runs, its table is the spec's, its commands exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import pipedrive_oauth_client
from pipedrive_oauth_client import (
    AppCredentials,
    Client,
    PipedriveOAuth,
    PipedriveOAuthError,
    Token,
    sandbox,
)

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def _run(block: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(block, "README.md", "exec"), names)  # noqa: S102 - the README's own code
    return names


def test_there_are_as_many_examples_as_are_tested() -> None:
    """An example that is added to the README needs a test."""
    assert len(BLOCKS) == 4


@pytest.mark.parametrize("block", BLOCKS[:2], ids=["sync", "async"])
def test_the_quick_start_runs_as_it_stands(block: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each quick start gets a token, uses it, refreshes it, and shows none; it is short as well."""
    token = _run(block)["token"]
    printed = capsys.readouterr().out
    assert isinstance(token, Token)
    assert sandbox.DEFAULT_USER.name in printed
    assert token.access_token not in printed
    code = [line for line in block.splitlines() if line.strip() and "import" not in line]
    assert len(code) < 24


def test_the_generated_functions_are_used_as_shown() -> None:
    """The last example refreshes tokens, and raises when the service rejects that."""
    refresh = _run(BLOCKS[3])["refresh"]
    with sandbox.run() as server:
        app = server.app
        credentials = AppCredentials(app.client_id, app.client_secret, app.redirect_uri)
        with PipedriveOAuth(credentials, base_url=server.base_url) as oauth:
            request = oauth.authorization_url()
            callback = server.visit(request.url)
            token = oauth.exchange(oauth.read_callback(callback, request.state))
        with Client(base_url=server.base_url) as client:
            arguments = (client, app.client_id, app.client_secret, token.refresh_token)
            assert refresh(*arguments) != token.access_token
            with pytest.raises(RuntimeError, match=r"status 400: .*invalid_grant"):
                refresh(*arguments)


def test_the_table_of_errors_names_errors() -> None:
    """Every name in the table of errors is one of the package's."""
    table = README[README.index("## When it goes wrong") : README.index("## The endpoints")]
    names = re.findall(r"`(\w+Error)`", table)
    assert len(names) > 10
    for name in names:
        assert issubclass(getattr(pipedrive_oauth_client, name), PipedriveOAuthError)


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
