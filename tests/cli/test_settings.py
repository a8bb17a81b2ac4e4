"""The app's credentials: environment, files and .env files."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pipedrive_oauth_client import Token, basic_auth_header
from pipedrive_oauth_client.stores import FileTokenStore
from tests.cli.conftest import SECRET, Ran

Run = Callable[..., Ran]
Grant = Callable[[], Token]


def test_header(run: Run) -> None:
    """The header is that of RFC 7617, and needs neither redirect URI nor store."""
    ran = run("header", PIPEDRIVE_REDIRECT_URI="", PIPEDRIVE_OAUTH_STORE="nonsense:")
    assert ran.code == 0
    assert ran.out == basic_auth_header("sandbox-client-id", SECRET) + "\n"
    assert json.loads(run("header", "--json").out) == {"authorization": ran.out.strip()}


def test_base_url(run: Run, store: FileTokenStore, granted: Grant, environ: dict[str, str]) -> None:
    """The base URL has the variable of the web frameworks; the name of before still counts."""
    store.save("acme", granted())
    sandbox, nowhere = environ["PIPEDRIVE_BASE_URL"], "http://127.0.0.1:1"
    for name, old, code in (("", sandbox, 0), (sandbox, nowhere, 0), (nowhere, sandbox, 8)):
        ran = run("refresh", PIPEDRIVE_BASE_URL=name, PIPEDRIVE_OAUTH_BASE_URL=old)
        assert ran.code == code, ran.err


def test_secret_from_a_file(run: Run, tmp_path: Path) -> None:
    """The client secret can come from a file, which takes precedence over the environment."""
    file = tmp_path / "secret"
    file.write_text("from-a-file\n", encoding="utf-8")
    ran = run("header", "--client-secret-file", str(file))
    assert ran.out == basic_auth_header("sandbox-client-id", "from-a-file") + "\n"
    for content in (b"", b"\xff\xfe", b" \n"):
        file.write_bytes(content)
        ran = run("header", "--client-secret-file", str(file))
        assert (ran.code, ran.out) == (2, "")
    assert run("header", "--client-secret-file", str(tmp_path / "none")).code == 2


def test_help_says_what_is_read_of_an_env_file(run: Run) -> None:
    """The help of --env-file names the variables that are used of the file."""
    shown = " ".join(run("token", "--help").out.replace("│", " ").split())
    assert "those that begin with PIPEDRIVE_ and are not set yet are used" in shown


def test_env_file(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A .env file is read only with --env-file, for PIPEDRIVE_ variables that are not set."""
    (tmp_path / ".env").write_text(
        'PIPEDRIVE_CLIENT_SECRET="from-${HOME}"\nPIPEDRIVE_CLIENT_ID=ignored\nOTHER_NAME=1\n',
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    assert run("header", PIPEDRIVE_CLIENT_SECRET="").code == 2
    ran = run("header", "--env-file", ".env", PIPEDRIVE_CLIENT_SECRET="")
    assert ran.out == basic_auth_header("sandbox-client-id", "from-${HOME}") + "\n"
    assert "OTHER_NAME" not in os.environ
    (tmp_path / ".env").write_bytes(b"PIPEDRIVE_CLIENT_SECRET=plan\0ted\n")
    ran = run("header", "--env-file", ".env", PIPEDRIVE_CLIENT_SECRET="")
    assert (ran.code, ran.out) == (2, "")
    assert "NUL" in ran.err
    assert "plan" not in ran.err


@pytest.mark.parametrize("command", ["login", "token", "header", "refresh", "revoke"])
def test_missing_credentials_are_named(run: Run, command: str, store: FileTokenStore,
    granted: Grant) -> None:  # fmt: skip
    """All missing credentials are named at once, with code 2."""
    store.save("acme", granted())
    missing = dict.fromkeys(
        ("PIPEDRIVE_CLIENT_ID", "PIPEDRIVE_CLIENT_SECRET", "PIPEDRIVE_REDIRECT_URI"), ""
    )
    ran = run(command, *(["--yes"] if command == "revoke" else []), **missing)
    assert (ran.code, ran.out) == (2, "")
    assert "PIPEDRIVE_CLIENT_ID, PIPEDRIVE_CLIENT_SECRET" in ran.err
    assert ("PIPEDRIVE_REDIRECT_URI" in ran.err) == (command == "login")
