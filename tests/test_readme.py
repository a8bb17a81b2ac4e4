"""The README says what is true: its code runs, its table is the spec's, its commands exist."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import yaml

from pipedrive_oauth_client import (
    Client,
    GetTokensRequest,
    GetTokensResponse,
    Unset,
    basic_auth_header,
    get_tokens,
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
    assert len(BLOCKS) == 2


def test_the_synchronous_example_gets_tokens(capsys: pytest.CaptureFixture[str]) -> None:
    """The first example runs as it stands and shows no token."""
    tokens = _run(BLOCKS[0])["tokens"]
    printed = capsys.readouterr().out
    assert isinstance(tokens, GetTokensResponse)
    assert "<hidden>" in printed
    assert tokens.access_token not in printed
    assert str(tokens.refresh_token) not in printed


def test_the_asynchronous_example_refreshes_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second example exchanges a refresh token, and raises when that is refused."""
    renew = _run(BLOCKS[1])["renew"]
    with sandbox.run() as server, Client(base_url=server.base_url) as client:
        app = server.app
        monkeypatch.setenv("PIPEDRIVE_CLIENT_ID", app.client_id)
        monkeypatch.setenv("PIPEDRIVE_CLIENT_SECRET", app.client_secret)
        monkeypatch.setenv("PIPEDRIVE_REDIRECT_URI", app.redirect_uri)
        question = urlencode({"client_id": app.client_id, "redirect_uri": app.redirect_uri})
        callback = server.visit(f"{server.base_url}/oauth/authorize?{question}")
        first = get_tokens.sync(
            client=client,
            authorization=basic_auth_header(app.client_id, app.client_secret),
            body=GetTokensRequest(
                code=parse_qs(urlsplit(callback).query)["code"][0], redirect_uri=app.redirect_uri
            ),
        )
        assert isinstance(first, GetTokensResponse)
        assert not isinstance(first.refresh_token, Unset)

        async def twice(refresh_token: str) -> GetTokensResponse:
            async with client:
                second: GetTokensResponse = await renew(client, refresh_token)
                with pytest.raises(RuntimeError, match=r"status 400: .*invalid_grant"):
                    await renew(client, refresh_token)
                return second

        second = asyncio.run(twice(first.refresh_token))
    assert second.access_token != first.access_token


def test_the_table_of_endpoints_is_the_specs() -> None:
    """Every operation of the spec is in the table, with request, arguments and answer."""
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
            for parameter in operation["parameters"]
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


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_the_links_lead_somewhere(document: str) -> None:
    """Every relative link of the documents is a file of the project."""
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / document).read_text("utf-8"))
    assert all((ROOT / link).exists() for link in links)
