"""`status`, `token`, `header`, `refresh` and `revoke`."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from attrs import evolve
from cryptography.fernet import Fernet

from pipedrive_oauth_client import StoreError, StoreLockTimeoutError, Token, basic_auth_header
from pipedrive_oauth_client.cli import accounts as renewals
from pipedrive_oauth_client.cli import output as terminal
from pipedrive_oauth_client.fleet import FleetProgress
from pipedrive_oauth_client.sandbox import DEFAULT_USER, Fault, SandboxServer
from pipedrive_oauth_client.stores import EncryptedTokenStore, FileTokenStore
from tests.cli.conftest import SECRET, Ran, spawned
from tests.support.tls import UNTRUSTING

Run = Callable[..., Ran]
pytestmark = pytest.mark.usefixtures("impatient")
Grant = Callable[[], Token]


def ago(token: Token, **span: float) -> Token:
    """Give a token that was renewed some time ago."""
    return evolve(token, expires_at=datetime.now(UTC) + timedelta(hours=1) - timedelta(**span))


STANDINGS = {
    "valid": (0, "valid", "expires in 59 minutes", "59 days left"),
    "stale": (10, "stale", "expired 9 days ago", "49 days left"),
    "ending": (55, "ending", "expired 54 days ago", "4 days left"),
    "lapsed": (61, "lapsed", "expired 60 days ago", "lapsed"),
}


@pytest.fixture
def many(store: FileTokenStore, granted: Grant, folder: Path) -> Token:
    """Accounts in every state."""
    token = granted()
    for name, (days, *_) in STANDINGS.items():
        store.save(name, ago(token, days=days))
    store.save("once", evolve(token, refresh_token=None))
    store.save("broken", token)
    (folder / "token-broken.json").write_bytes(b"{garbage")
    return token


@pytest.mark.usefixtures("many")
def test_status_shows_how_each_account_stands(run: Run, folder: Path) -> None:
    """Each account has a line with its state, company, expiry and lapse in words, and scopes."""
    ran = run("status")
    assert ran.code == 0
    lines = {line.split()[0]: line for line in ran.out.splitlines()}
    for name, (_, state, expiry, lapse) in STANDINGS.items():
        assert re.search(rf"{name} +{state} +127\.0\.0\.1:\d+ +{expiry} +{lapse} +", lines[name])
        assert lines[name].endswith("base contacts:read deals:full users:read")
    assert re.search(r"once +ending .* none ", lines["once"])
    assert re.search(r"broken +unreadable +- +unknown +unknown +-$", lines["broken"])
    assert ran.out.splitlines()[-1] == f"Store: file {folder}"
    assert ran.err.startswith("broken: token-broken.json in ")
    assert "\x1b" not in ran.out


@pytest.mark.usefixtures("many")
def test_status_in_json(run: Run) -> None:
    """JSON has the same, with times for programs."""
    told = json.loads(run("status", "--json").out)
    found = {each["account"]: each for each in told["accounts"]}
    assert {name: each["state"] for name, each in found.items()} == {
        **{name: row[1] for name, row in STANDINGS.items()},
        "once": "ending",
        "broken": "unreadable",
    }
    assert found["stale"]["refresh_token_days_left"] == 49
    assert datetime.fromisoformat(found["valid"]["expires_at"]).utcoffset() == timedelta(0)
    assert found["broken"]["problem"].startswith("token-broken.json in ")
    assert found["once"]["refresh_token_lapses_at"] is None


def test_status_of_one_or_none(run: Run, store: FileTokenStore, granted: Grant) -> None:
    """One account can be asked for; one that is not there ends with code 3."""
    assert run("status").out.startswith("No accounts in file ")
    assert json.loads(run("status", "--json").out)["accounts"] == []
    store.save("acme", granted())
    assert "acme" in run("status", "acme").out
    ran = run("status", "nobody")
    assert (ran.code, ran.out) == (3, "")


def test_status_of_the_first_and_the_last_day(
    run: Run, store: FileTokenStore, granted: Grant
) -> None:
    """A token whose expiry nothing can be added to keeps nobody from seeing the others."""
    token = granted()
    store.save("first", evolve(token, expires_at=datetime(1, 1, 1, tzinfo=UTC)))
    store.save("last", evolve(token, expires_at=datetime(9999, 12, 31, tzinfo=UTC)))
    store.save("usual", token)
    ran = run("status", "--json")
    assert ran.code == 0, ran.err
    states = [each["state"] for each in json.loads(ran.out)["accounts"]]
    assert states == ["lapsed", "valid", "valid"]


def test_status_shows_nothing_that_steers_a_terminal(
    run: Run, store: FileTokenStore, granted: Grant
) -> None:
    """What the service has said of scopes and domain comes without control characters."""
    evil = "\x1b]0;title\x07\x1b[31m"
    store.save("acme", evolve(granted(), scope=f"base,{evil}", api_domain=f"https://a{evil}.b"))
    for arguments in (("status",), ("status", "--json")):
        ran = run(*arguments)
        assert ran.code == 0
        assert not set("\x1b\x07") & set(ran.out)


def test_token_is_the_only_output(
    run: Run, store: FileTokenStore, granted: Grant, box: SandboxServer
) -> None:
    """The token that is printed, and nothing else, is one that the API takes."""
    token = granted()
    store.save("acme", token)
    before = box.requests.count(grant_type="refresh_token")
    ran = run("token")
    assert (ran.code, ran.out, ran.err) == (0, f"{token.access_token}\n", "")
    assert box.requests.count(grant_type="refresh_token") == before


@pytest.mark.parametrize("in_json", [False, True])
def test_stale_token_is_renewed(
    run: Run, store: FileTokenStore, granted: Grant, box: SandboxServer, *, in_json: bool
) -> None:
    """A token that has had its time is renewed, saved and printed."""
    old = ago(granted(), hours=2)
    store.save("acme", old)
    ran = run("token", "acme", *(["--json"] if in_json else []))
    shown = json.loads(ran.out)["access_token"] if in_json else ran.out.strip()
    kept = store.load("acme")
    assert kept is not None
    assert shown == kept.access_token != old.access_token
    with httpx.Client(verify=UNTRUSTING, trust_env=False) as client:
        url, headers = f"{box.base_url}/api/v1/users/me", {"Authorization": f"Bearer {shown}"}
        assert client.get(url, headers=headers).status_code == 200


def test_many_processes_want_a_token_at_once(
    environ: dict[str, str], store: FileTokenStore, granted: Grant, box: SandboxServer
) -> None:
    """Several commands at the same moment cause one refresh, and all print the new token."""
    store.save("acme", ago(granted(), hours=2))
    before = box.requests.count(grant_type="refresh_token")
    with ThreadPoolExecutor(4) as pool:
        outputs = list(pool.map(lambda _: spawned(environ, "token").stdout, range(4)))
    assert len(set(outputs)) == 1
    assert outputs[0].startswith("v1u:")
    assert box.requests.count(grant_type="refresh_token") == before + 1


@pytest.mark.parametrize("command", ["token", "refresh", "revoke"])
def test_which_account(run: Run, store: FileTokenStore, granted: Grant, command: str) -> None:
    """Without a name, no account is code 3, and several are code 2 with their names."""
    yes = ["--yes"] if command == "revoke" else []
    ran = run(command, *yes)
    assert (ran.code, ran.out) == (3, "")
    assert "pipedrive-oauth login" in ran.err
    token = granted()
    for name in ("acme", "globex"):
        store.save(name, token)
    ran = run(command, *yes)
    assert (ran.code, ran.out) == (2, "")
    assert "Name one of acme, globex." in ran.err
    ran = run(command, "nobody", *yes)
    assert (ran.code, ran.out) == (3, "")
    assert store.load("acme") == token


@pytest.mark.parametrize("command", ["token", "refresh"])
def test_grant_is_over(run: Run, store: FileTokenStore, granted: Grant, command: str) -> None:
    """A refresh token that is worth nothing is code 3, and stays where it is."""
    token = evolve(ago(granted(), hours=2), refresh_token="1:11:worth-nothing")
    store.save("acme", token)
    ran = run(command)
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.startswith("Error: Pipedrive rejected the refresh token (status 400")
    assert "worth-nothing" not in ran.err
    assert store.load("acme") == token


@pytest.mark.parametrize("command", ["token", "refresh", "revoke"])
def test_service_is_out_of_order(
    run: Run, store: FileTokenStore, granted: Grant, box: SandboxServer, command: str
) -> None:
    """Where the service fails it is code 8, and the store is as it was."""
    token = ago(granted(), hours=2)
    store.save("acme", token)
    for path in ("/oauth/token/", "/oauth/revoke"):
        box.faults.add(path, Fault.status(500), times=20)
    ran = run(command, *(["--yes"] if command == "revoke" else []))
    assert (ran.code, ran.out) == (8, "")
    assert ran.err.count("\n") == 1
    assert store.load("acme") == token


@pytest.mark.parametrize("command", ["token", "refresh", "revoke"])
def test_unreachable_service(run: Run, store: FileTokenStore, granted: Grant, command: str) -> None:
    """Where nobody answers it is code 8, and the store is as it was."""
    token = ago(granted(), hours=2)
    store.save("acme", token)
    yes = ["--yes"] if command == "revoke" else []
    ran = run(command, *yes, PIPEDRIVE_OAUTH_BASE_URL="http://127.0.0.1:1")
    assert (ran.code, ran.out) == (8, "")
    assert store.load("acme") == token


def test_proxy_of_the_environment_is_not_for_this_machine(
    run: Run, store: FileTokenStore, granted: Grant
) -> None:
    """A sandbox on this machine is reached directly, whatever HTTP_PROXY says."""
    store.save("acme", ago(granted(), hours=2))
    proxy = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY"), "http://127.0.0.1:1")
    assert run("token", **proxy).code == 0


def test_header(run: Run) -> None:
    """The header is that of RFC 7617, and needs neither redirect URI nor store."""
    ran = run("header", PIPEDRIVE_REDIRECT_URI="", PIPEDRIVE_OAUTH_STORE="nonsense:")
    assert ran.code == 0
    assert ran.out == basic_auth_header("sandbox-client-id", SECRET) + "\n"
    assert json.loads(run("header", "--json").out) == {"authorization": ran.out.strip()}


def test_secret_from_a_file(run: Run, tmp_path: Path) -> None:
    """The client secret can come from a file, and the file counts more than the environment."""
    file = tmp_path / "secret"
    file.write_text("from-a-file\n", encoding="utf-8")
    ran = run("header", "--client-secret-file", str(file))
    assert ran.out == basic_auth_header("sandbox-client-id", "from-a-file") + "\n"
    for content in (b"", b"\xff\xfe", b" \n"):
        file.write_bytes(content)
        ran = run("header", "--client-secret-file", str(file))
        assert (ran.code, ran.out) == (2, "")
    assert run("header", "--client-secret-file", str(tmp_path / "none")).code == 2


def test_env_file_is_read_when_asked(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A .env file is read with --env-file only, for PIPEDRIVE_ names that are not set."""
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
    """What is missing is named at once, and is code 2."""
    store.save("acme", granted())
    missing = dict.fromkeys(
        ("PIPEDRIVE_CLIENT_ID", "PIPEDRIVE_CLIENT_SECRET", "PIPEDRIVE_REDIRECT_URI"), ""
    )
    ran = run(command, *(["--yes"] if command == "revoke" else []), **missing)
    assert (ran.code, ran.out) == (2, "")
    assert "PIPEDRIVE_CLIENT_ID, PIPEDRIVE_CLIENT_SECRET" in ran.err
    assert ("PIPEDRIVE_REDIRECT_URI" in ran.err) == (command == "login")


def test_refresh_renews_whatever_the_age(run: Run, store: FileTokenStore, granted: Grant) -> None:
    """A token that is still good is renewed as well when somebody asks for it."""
    token = granted()
    store.save("acme", token)
    ran = run("refresh")
    assert ran.code == 0, ran.err
    assert ran.out.startswith("Renewed acme; the access token expires in 59 minutes.")
    assert store.load("acme") not in (None, token)
    assert json.loads(run("refresh", "acme", "--json").out)["state"] == "valid"


def test_refresh_all_names_what_failed(
    run: Run, store: FileTokenStore, granted: Grant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is due is renewed; what failed is named, with code 11; what is young is left alone."""
    monkeypatch.setenv("PIPEDRIVE_OAUTH_PER_SECOND", "1000")
    young = granted()
    store.save("young", young)
    for name in ("one", "two"):
        store.save(name, ago(granted(), days=31))
    over = evolve(ago(young, days=31), refresh_token="1:11:planted-and-worth-nothing")
    store.save("over", over)
    ran = run("refresh", "--all", PIPEDRIVE_OAUTH_ACCOUNT="young")
    assert ran.code == 11
    assert ran.out == "2 renewed, 1 failed.\n"
    first, last = ran.err.splitlines()
    assert first.startswith("over: Pipedrive rejected the refresh token (status 400")
    assert last == "Error: 1 of the accounts that are due were not renewed: over."
    assert "planted" not in ran.err
    assert store.load("young") == young
    assert store.load("over") == over
    ran = run("refresh", "--all", "--older-than", "1d", "--json")
    assert json.loads(ran.out) == {
        "renewed": 0,
        "already_done": 0,
        "failed": {"over": json.loads(ran.out)["failed"]["over"]},
    }
    assert json.loads(ran.err)["error"]["reason"] == "some_failed"


def test_refresh_all_stops_at_a_wrong_secret(
    run: Run, store: FileTokenStore, granted: Grant
) -> None:
    """Where every account would fail alike, it stops with the code of that."""
    old = ago(granted(), days=40)
    store.save("acme", old)
    ran = run("refresh", "--all", PIPEDRIVE_CLIENT_SECRET="wrong-one")
    assert (ran.code, ran.out) == (9, "")
    assert store.load("acme") == old


def test_refresh_needs_one_or_the_other(run: Run) -> None:
    """An account and --all at once, or a span that is none, is code 2."""
    assert run("refresh", "acme", "--all").code == 2
    for span in ("30", "x", "-1d", "1.5d", "9999999d"):
        assert run("refresh", "--all", "--older-than", span).code == 2


def test_progress_bar_is_for_a_terminal(
    store: FileTokenStore, granted: Grant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a terminal a bar counts up to what is due."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    store.save("acme", ago(granted(), days=40))
    with renewals._bar(store, datetime.now(UTC)) as told:
        assert told is not None
        told(FleetProgress("acme", None, 0, 0, 1))
    assert "0/1" in screen.getvalue() or "1/1" in screen.getvalue()
    assert "1 failed" in screen.getvalue()


@pytest.mark.parametrize("answer", ["", "n", "no", "yess"])
def test_revoke_asks(
    run: Run, store: FileTokenStore, granted: Grant, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    """Anything but a yes changes nothing, with code 4."""
    token = granted()
    store.save("acme", token)
    monkeypatch.setattr(terminal, "can_ask", lambda: True)
    monkeypatch.setattr(terminal, "ask", lambda _question: answer)
    ran = run("revoke")
    assert (ran.code, ran.out) == (4, "")
    assert store.load("acme") == token


def test_revoke_needs_somebody_to_ask(run: Run, store: FileTokenStore, granted: Grant) -> None:
    """Where nobody can be asked, --yes is needed."""
    token = granted()
    store.save("acme", token)
    ran = run("revoke")
    assert (ran.code, ran.out) == (2, "")
    assert "--yes" in ran.err
    assert store.load("acme") == token


@pytest.mark.parametrize("answer", ["y", "YES"])
def test_revoke_ends_the_grant(
    run: Run, store: FileTokenStore, granted: Grant, box: SandboxServer,
    monkeypatch: pytest.MonkeyPatch, answer: str,
) -> None:  # fmt: skip
    """After a yes the app is uninstalled at Pipedrive, and the token is deleted."""
    store.save("acme", granted())
    monkeypatch.setattr(terminal, "can_ask", lambda: True)
    monkeypatch.setattr(terminal, "ask", lambda _question: answer)
    ran = run("revoke")
    assert ran.code == 0, ran.err
    assert ran.out.startswith("Revoked acme; ")
    assert store.load("acme") is None
    assert not box.sandbox.is_installed(DEFAULT_USER)


def test_revoke_holds_the_lock(
    run: Run, store: FileTokenStore, granted: Grant, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    """Nobody can renew the account between the revocation and the end of the token."""
    store.save("acme", granted())
    locked: list[bool] = []

    def deleted(_store: FileTokenStore, account: str) -> None:
        other = FileTokenStore(folder, wait=timedelta(seconds=0.1))
        with pytest.raises(StoreLockTimeoutError), other.lock(account):
            pass
        locked.append(True)

    monkeypatch.setattr(FileTokenStore, "delete", deleted)
    assert run("revoke", "--yes").code == 0
    assert locked == [True]


def test_encrypted_store(run: Run, store: FileTokenStore, granted: Grant, tmp_path: Path) -> None:
    """With a key from the environment or a file, tokens are kept encrypted."""
    key = Fernet.generate_key().decode()
    token = granted()
    EncryptedTokenStore(store, key).save("acme", token)
    assert run("token", PIPEDRIVE_OAUTH_STORE_KEYS=key).out == f"{token.access_token}\n"
    file = tmp_path / "keys"
    file.write_text(f"{Fernet.generate_key().decode()}\n{key}\n", encoding="utf-8")
    assert run("token", "--store-keys-file", str(file)).out == f"{token.access_token}\n"
    assert " unreadable " in run("status").out
    other = Fernet.generate_key().decode()
    ran = run("token", PIPEDRIVE_OAUTH_STORE_KEYS=other)
    assert (ran.code, ran.out) == (10, "")
    assert other not in ran.err
    ran = run("token", PIPEDRIVE_OAUTH_STORE_KEYS="planted-wrong-key", PIPEDRIVE_OAUTH_DEBUG="1")
    assert ran.code == 2
    assert "planted" not in ran.err


@pytest.fixture
def failing_saves(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let the file store fail at its next saves: as many as there are texts in the list."""
    failures: list[str] = []
    real = FileTokenStore.save

    def save(store: FileTokenStore, account: str, token: Token) -> None:
        if failures:
            raise StoreError(failures.pop())
        real(store, account, token)

    monkeypatch.setattr(FileTokenStore, "save", save)
    return failures


@pytest.mark.parametrize("command", [["token"], ["refresh"], ["refresh", "--all"]], ids="-".join)
def test_save_that_fails_for_a_while(
    run: Run, store: FileTokenStore, granted: Grant, box: SandboxServer,
    failing_saves: list[str], command: list[str],
) -> None:  # fmt: skip
    """A token that the store does not take is kept and saved as soon as it does, asked for once."""
    old = ago(granted(), days=40)
    store.save("acme", old)
    failing_saves += ["The disk is full."] * 2
    before = box.requests.count(grant_type="refresh_token")
    ran = run(*command)
    assert ran.code == 0, ran.err
    assert ran.err.count("The new token can't be saved yet: The disk is full.") == 2
    assert box.requests.count(grant_type="refresh_token") == before + 1
    assert store.load("acme") not in (None, old)


@pytest.mark.parametrize("command", [["token"], ["refresh"], ["refresh", "--all"]], ids="-".join)
def test_save_that_never_works(
    run: Run, store: FileTokenStore, granted: Grant, failing_saves: list[str], command: list[str]
) -> None:
    """Where the store never takes the token it is code 10, and what was there stays."""
    old = ago(granted(), days=40)
    store.save("acme", old)
    failing_saves += ["The disk is full."] * 20
    ran = run(*command)
    assert (ran.code, ran.out) == (10, "")
    assert ran.err.splitlines()[-1] == "Error: The disk is full."
    assert store.load("acme") == old


def test_revoked_and_not_deleted(
    run: Run, store: FileTokenStore, granted: Grant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the grant is over and the token can't be deleted, both are said."""
    token = granted()
    store.save("acme", token)

    def fail(_store: FileTokenStore, _account: str) -> None:
        raise StoreError("The disk is broken.")

    with monkeypatch.context() as patch:
        patch.setattr(FileTokenStore, "delete", fail)
        ran = run("revoke", "--yes")
    assert (ran.code, ran.out) == (10, "")
    assert "is revoked, but its token" in ran.err
    assert run("revoke", "--yes").code == 0
    assert store.load("acme") is None


def test_encrypted_token_without_the_key_stays(
    run: Run, store: FileTokenStore, granted: Grant
) -> None:
    """Without the key nothing is revoked, refreshed or deleted."""
    EncryptedTokenStore(store, Fernet.generate_key()).save("acme", ago(granted(), days=40))
    sealed = store.load("acme")
    for command in (["token"], ["refresh"], ["revoke", "--yes"]):
        ran = run(*command)
        assert (ran.code, ran.out) == (10, "")
        assert store.load("acme") == sealed
