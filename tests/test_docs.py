"""The pages under docs/ say what is true: their code runs, and their names exist."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from pipedrive_oauth_client import AppCredentials, PipedriveAuth, PipedriveOAuth, sandbox, stores
from pipedrive_oauth_client.pytest_plugin import PipedriveSandbox
from pipedrive_oauth_client.sandbox import DEFAULT_USER, Fault
from pipedrive_oauth_client.stores import MemoryTokenStore

DOCS = Path(__file__).parents[1] / "docs"


def blocks(page: str) -> list[str]:
    """Give the pieces of Python code of a page."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def run(block: str) -> dict[str, Any]:
    """Run a piece of code, and give the names that it leaves."""
    names: dict[str, Any] = {}
    exec(compile(block, "docs", "exec"), names)  # noqa: S102 - the project's own code
    return names


KEEPING = blocks("keeping-tokens.md")


def test_every_piece_of_code_is_tested() -> None:
    """A piece of code that is added to a page needs a test."""
    assert len(KEEPING) == 4
    assert len(blocks("testing-your-app.md")) == 1
    assert {page.name for page in DOCS.glob("*.md")} == {
        "command-line.md",  # shell, which tests/cli/test_manual.py runs
        "keeping-tokens.md",
        "testing-your-app.md",
    }
    assert blocks("command-line.md") == []


def test_keeping_a_token(capsys: pytest.CaptureFixture[str]) -> None:
    """The first example of keeping tokens runs as it stands, and shows no token."""
    names = run(KEEPING[0])
    printed = capsys.readouterr().out
    assert printed.strip() == DEFAULT_USER.name
    assert names["store"].load("acme:ada") == names["token"]


def test_keeping_dormant_accounts_alive(
    pipedrive_sandbox: PipedriveSandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    """The job renews what is due, tells how far it is, and names what could not be renewed."""
    box = pipedrive_sandbox
    keep_alive = run(KEEPING[1])["keep_alive"]
    store = MemoryTokenStore()
    with PipedriveOAuth(box.credentials, base_url=box.base_url) as oauth:
        token = oauth.exchange(oauth.read_callback(box.authorize(state="s"), "s"))
        old = evolve(token, expires_at=datetime.now(UTC) - timedelta(days=40))
        store.save("acme", old)
        store.save("gone", evolve(old, refresh_token="1:1:unknown"))
        store.save("busy", token)
        report = keep_alive(oauth, store)
    assert report.renewed == 1
    assert list(report.errors) == ["gone"]
    assert store.load("busy") == token
    printed = capsys.readouterr().out
    assert "1 renewed, 1 failed" in printed
    assert "gone InvalidGrantError" in printed


def test_other_http_libraries(pipedrive_sandbox: PipedriveSandbox) -> None:
    """The adapters of both libraries are used as shown."""
    box = pipedrive_sandbox
    whoami = run(KEEPING[2])["whoami"]
    store = MemoryTokenStore()
    with PipedriveOAuth(box.credentials, base_url=box.base_url, clock=box.clock) as oauth:
        store.save("acme", oauth.exchange(oauth.read_callback(box.authorize(state="s"), "s")))
        auth = PipedriveAuth(oauth, store, "acme")
        assert whoami(auth) == (DEFAULT_USER.name, DEFAULT_USER.name)


def test_encryption() -> None:
    """The store that the page makes keeps tokens, and nobody reads them underneath."""
    names = run(KEEPING[3])
    inner = MemoryTokenStore()
    store = names["encrypted"](inner)
    with sandbox.run() as server:
        app = server.app
        credentials = AppCredentials(app.client_id, app.client_secret, app.redirect_uri)
        with PipedriveOAuth(credentials, base_url=server.base_url) as oauth:
            request = oauth.authorization_url()
            code = oauth.read_callback(server.visit(request.url), request.state)
            token = oauth.exchange(code)
    store.save("acme", token)
    assert store.load("acme") == token
    assert token.access_token not in str(inner.load("acme").to_dict())  # type: ignore[union-attr]
    assert isinstance(names["store"], stores.EncryptedTokenStore)


def test_somebody_elses_test_passes(tmp_path: Path) -> None:
    """The test of the page passes in another project's folder, and is short."""
    (block,) = blocks("testing-your-app.md")
    body = block[block.index("def test_") :]
    assert len(body.strip().splitlines()) <= 15
    (tmp_path / "test_app.py").write_text(block, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_every_name_of_the_fixture_exists(pipedrive_sandbox: PipedriveSandbox) -> None:
    """The table of the fixture and the list of faults name what there is."""
    text = (DOCS / "testing-your-app.md").read_text(encoding="utf-8")
    names = re.findall(r"^\| `(\w+)", text, re.MULTILINE)
    assert len(names) == 7
    assert all(hasattr(pipedrive_sandbox, name) for name in names)
    faults = re.findall(r"`Fault\.(\w+)", text)
    assert len(faults) > 6
    assert all(hasattr(Fault, name) for name in faults)
