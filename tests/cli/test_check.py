"""`check`: lines, JSON and exit codes; what is checked is tested in tests/test_diagnostics.py."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from pipedrive_oauth_client import Token
from pipedrive_oauth_client.sandbox import SandboxServer
from pipedrive_oauth_client.stores import EncryptedTokenStore, FileTokenStore
from tests.cli.conftest import SECRET, Ran

Run = Callable[..., Ran]
Grant = Callable[[], Token]
NAMES = [
    "credentials",
    "service",
    "clock",
    "client",
    "redirect_uri",
    "store",
    "store_lock",
    "store_write",
    "store_rights",
    "tokens",
]


def lines(ran: Ran) -> dict[str, str]:
    """Return the status of each check."""
    return {line.split()[1]: line.split()[0] for line in ran.out.splitlines()}


def test_everything_is_right(run: Run, store: FileTokenStore, granted: Grant) -> None:
    """Each check has a line, and nothing is changed."""
    token = granted()
    store.save("acme", token)
    ran = run("check")
    assert (ran.code, ran.err) == (0, "")
    assert lines(ran) == dict.fromkeys(NAMES, "ok")
    assert ran.out.splitlines()[-1] == "ok       tokens        All 1 stored tokens can be read."
    assert list(store.accounts()) == ["acme"]
    assert store.load("acme") == token


def test_json(run: Run, box: SandboxServer) -> None:
    """With --json the report is one line of JSON, also where a check fails."""
    ran = run("check", "--json")
    assert ran.code == 0
    result = json.loads(ran.out)
    assert result["ok"] is True
    assert [each["check"] for each in result["checks"]] == NAMES
    assert result["checks"][1]["message"] == f"{box.base_url} responds."
    ran = run("check", "--json", PIPEDRIVE_CLIENT_SECRET="planted-secret")
    assert ran.code == 12
    assert json.loads(ran.out)["ok"] is False
    assert json.loads(ran.err)["error"] == {
        "reason": "check_failed",
        "message": "1 of 10 checks failed: client.",
        "exit_code": 12,
    }
    assert "planted" not in ran.out + ran.err


FAILURES = {
    "wrong secret": ({"PIPEDRIVE_CLIENT_SECRET": "planted-secret"}, ["client"]),
    "secret in quotation marks": (
        {"PIPEDRIVE_CLIENT_SECRET": '"planted-secret"'},
        ["credentials", "client"],
    ),
    "wrong client ID": ({"PIPEDRIVE_CLIENT_ID": "nonsense"}, ["client"]),
    "no client ID": ({"PIPEDRIVE_CLIENT_ID": ""}, ["credentials"]),
    "no secret": ({"PIPEDRIVE_CLIENT_SECRET": ""}, ["credentials"]),
    "no file with the secret": (
        {"PIPEDRIVE_CLIENT_SECRET_FILE": "/planted/none"},
        ["credentials"],
    ),
    "no redirect URI": ({"PIPEDRIVE_REDIRECT_URI": ""}, ["credentials"]),
    "a redirect URI that is none": ({"PIPEDRIVE_REDIRECT_URI": "nonsense"}, ["credentials"]),
    "another redirect URI": (
        {"PIPEDRIVE_REDIRECT_URI": "https://app.example.com/cb"},
        ["redirect_uri"],
    ),
    "service is down": ({"PIPEDRIVE_BASE_URL": "http://127.0.0.1:1"}, ["service"]),
    "not a URL": ({"PIPEDRIVE_BASE_URL": "nonsense"}, ["service"]),
    "plain http": ({"PIPEDRIVE_BASE_URL": "http://oauth.example"}, ["service"]),
    "not a store": ({"PIPEDRIVE_OAUTH_STORE": "planted"}, ["store"]),
    "a store that is down": (
        {"PIPEDRIVE_OAUTH_STORE": "redis://:planted@127.0.0.1:1/0"},
        ["store"],
    ),
    "a folder that cannot be": ({"PIPEDRIVE_OAUTH_STORE": "file:///dev/null/tokens"}, ["store"]),
    "no key": ({"PIPEDRIVE_OAUTH_STORE_KEYS": "planted-key"}, ["store"]),
}


@pytest.mark.parametrize("name", FAILURES)
def test_failures(run: Run, name: str) -> None:
    """Each wrong setting fails its own check, with code 12 and without a traceback or a secret."""
    variables, failing = FAILURES[name]
    ran = run("check", **variables)
    assert ran.code == 12, ran
    assert [each for each, status in lines(ran).items() if status == "failed"] == failing
    assert ran.err.endswith(f" checks failed: {', '.join(failing)}.\n")
    assert ran.err.count("\n") == 1
    assert "planted" not in ran.err + ran.out.replace("/planted/none", "")
    assert "Traceback" not in ran.err
    # Where nothing but the redirect URI is missing, the client is checked all the same.
    if "redirect URI" in name:
        assert lines(ran)["client"] == "ok"


def test_keys_that_do_not_open(run: Run, store: FileTokenStore, granted: Grant) -> None:
    """Tokens that the keys do not open, or that need a key, fail the last check."""
    key, other = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    EncryptedTokenStore(store, key).save("acme", granted())
    assert run("check", PIPEDRIVE_OAUTH_STORE_KEYS=key).code == 0
    for keys in (other, ""):
        ran = run("check", PIPEDRIVE_OAUTH_STORE_KEYS=keys)
        assert ran.code == 12
        assert "failed   tokens " in ran.out
        assert key not in ran.out
        assert other not in ran.out


def test_folder_of_others(run: Run, store: FileTokenStore, folder: Path) -> None:
    """A folder that others may write to is named with the command that changes that."""
    del store
    folder.chmod(0o777)
    ran = run("check")
    assert ran.code == 12
    assert re.search(rf"chmod \S+ '{re.escape(str(folder))}'", ran.out)


def test_no_prompts(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in a terminal `check` says what is missing, and asks for nothing."""
    from pipedrive_oauth_client.cli import output, settings  # noqa: PLC0415

    for module in (output, settings):
        monkeypatch.setattr(module, "can_ask", lambda: True)
    ran = run("check", PIPEDRIVE_CLIENT_ID="", PIPEDRIVE_CLIENT_SECRET="")
    assert ran.code == 12
    assert "Set PIPEDRIVE_CLIENT_ID, PIPEDRIVE_CLIENT_SECRET;" in ran.out
    assert SECRET not in ran.out + ran.err
