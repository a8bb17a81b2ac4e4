"""`token`, `refresh` and `revoke`."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from attrs import evolve
from cryptography.fernet import Fernet

from pipedrive_oauth_client import (
    GrantEnd,
    GrantEndedError,
    StoreError,
    StoreLockTimeoutError,
    Token,
)
from pipedrive_oauth_client.cli import accounts, output
from pipedrive_oauth_client.fleet import FleetProgress
from pipedrive_oauth_client.sandbox import DEFAULT_USER, Fault, SandboxServer
from pipedrive_oauth_client.stores import EncryptedTokenStore, FileTokenStore
from tests.cli.conftest import Ran, ago, spawned
from tests.support.tls import UNTRUSTING

Run = Callable[..., Ran]
pytestmark = pytest.mark.usefixtures("no_waits")
Grant = Callable[[], Token]


def test_token_is_the_only_output(
    run: Run, store: FileTokenStore, granted: Grant, box: SandboxServer
) -> None:
    """`token` prints the stored token and nothing else, without a refresh."""
    token = granted()
    store.save("acme", token)
    before = box.requests.count(grant_type="refresh_token")
    ran = run("token")
    assert (ran.code, ran.out, ran.err) == (0, f"{token.access_token}\n", "")
    assert box.requests.count(grant_type="refresh_token") == before


@pytest.mark.parametrize("in_json", [False, True])
def test_stale_token_is_refreshed(
    run: Run, store: FileTokenStore, granted: Grant, box: SandboxServer, *, in_json: bool
) -> None:
    """An expired token is refreshed, saved and printed, and the API accepts the new one."""
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


def test_several_processes_request_a_token_at_once(
    environ: dict[str, str], store: FileTokenStore, granted: Grant, box: SandboxServer
) -> None:
    """Several commands at the same time cause one refresh, and all print the new token."""
    store.save("acme", ago(granted(), hours=2))
    before = box.requests.count(grant_type="refresh_token")
    with ThreadPoolExecutor(4) as pool:
        outputs = list(pool.map(lambda _: spawned(environ, "token").stdout, range(4)))
    assert len(set(outputs)) == 1
    assert outputs[0].startswith("v1u:")
    assert box.requests.count(grant_type="refresh_token") == before + 1


@pytest.mark.parametrize("command", ["token", "refresh", "revoke", "delete", "whoami"])
def test_which_account(run: Run, store: FileTokenStore, granted: Grant, command: str) -> None:
    """Without a name, no account is code 3, and several are code 2 with their names."""
    yes = ["--yes"] if command in ("revoke", "delete") else []
    ran = run(command, *yes)
    assert (ran.code, ran.out) == (3, "")
    assert "pipedrive-oauth login" in ran.err
    token = granted()
    for name in ("acme", "globex"):
        store.save(name, token)
    ran = run(command, *yes)
    assert (ran.code, ran.out) == (2, "")
    assert "Several accounts are stored in file " in ran.err
    assert ran.err.endswith(" Name one of acme, globex.\n")
    ran = run(command, "unknown", *yes)
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.startswith("Error: No token is stored for 'unknown' in file ")
    assert ran.err.endswith(". Stored accounts: acme, globex.\n")
    assert store.load("acme") == token


@pytest.mark.parametrize("command", ["token", "refresh"])
def test_grant_has_ended(
    run: Run, store: FileTokenStore, granted: Grant, box: SandboxServer, command: str
) -> None:
    """An invalid refresh token is code 3, stays in the store, and is not sent again."""
    token = evolve(ago(granted(), hours=2), refresh_token="1:11:planted-token")
    store.save("acme", token)
    before = box.requests.count(grant_type="refresh_token")
    for beginning in (
        "Error: Pipedrive rejected the refresh token (status 400",
        "Error: The grant of 'acme' has ended: Pipedrive rejected its refresh token at 20",
    ):
        ran = run(command)
        assert (ran.code, ran.out) == (3, "")
        assert ran.err.startswith(beginning)
        assert "planted-token" not in ran.err
    assert box.requests.count(grant_type="refresh_token") == before + 1
    kept = store.load("acme")
    assert kept is not None
    assert evolve(kept, grant_end=None) == token


@pytest.mark.parametrize("command", ["token", "refresh", "revoke"])
def test_service_is_unavailable(
    run: Run, store: FileTokenStore, granted: Grant, box: SandboxServer, command: str
) -> None:
    """A failure of the service is code 8, and the store is unchanged."""
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
    """An unreachable service is code 8, and the store is unchanged."""
    token = ago(granted(), hours=2)
    store.save("acme", token)
    yes = ["--yes"] if command == "revoke" else []
    ran = run(command, *yes, PIPEDRIVE_BASE_URL="http://127.0.0.1:1")
    assert (ran.code, ran.out) == (8, "")
    assert ran.err.startswith(
        "Error: Cannot connect to http://127.0.0.1:1: connection refused. Nothing was sent"
    )
    assert store.load("acme") == token


def test_proxy_is_not_used_for_this_machine(
    run: Run, store: FileTokenStore, granted: Grant
) -> None:
    """A sandbox on this machine is reached directly, despite HTTP_PROXY."""
    store.save("acme", ago(granted(), hours=2))
    proxy = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY"), "http://127.0.0.1:1")
    assert run("token", **proxy).code == 0


def test_refresh_of_a_valid_token(run: Run, store: FileTokenStore, granted: Grant) -> None:
    """`refresh` refreshes a token that is still valid."""
    token = granted()
    store.save("acme", token)
    ran = run("refresh")
    assert ran.code == 0, ran.err
    assert ran.out.startswith("Refreshed acme; the access token expires in 59 minutes.")
    assert store.load("acme") not in (None, token)
    assert json.loads(run("refresh", "acme", "--json").out)["state"] == "valid"


def test_refresh_with_an_odd_response(
    run: Run, store: FileTokenStore, granted: Grant, box: SandboxServer
) -> None:
    """`refresh` keeps what can be used of a response, and says what can't; no grant is lost."""
    token = granted()
    store.save("acme", token)
    box.faults.add("/oauth/token/", Fault.override({"scope": None, "api_domain": ""}))
    assert run("refresh").code == 0
    odd = store.load("acme")
    assert odd is not None
    assert (odd.scope, odd.api_domain) == (token.scope, token.api_domain)
    box.faults.add("/oauth/token/", Fault.override({"access_token": None}))
    ran = run("refresh")
    assert ran.code == 8, ran.err
    assert "field 'access_token' can't be used" in " ".join(ran.err.split())
    last = store.load("acme")
    assert last is not None
    assert str(last.refresh_token) not in ran.out + ran.err
    assert run("token").code == 0
    assert store.load("acme") not in (None, token, odd, last)


def test_refresh_all_names_what_failed(
    run: Run, store: FileTokenStore, granted: Grant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Due accounts are refreshed, failed ones are named with code 11, others are left alone."""
    monkeypatch.setenv("PIPEDRIVE_OAUTH_PER_SECOND", "1000")
    young = granted()
    store.save("young", young)
    for name in ("one", "two"):
        store.save(name, ago(granted(), days=31))
    over = evolve(ago(young, days=31), refresh_token="1:11:planted-and-invalid")
    store.save("over", over)
    ran = run("refresh", "--all", PIPEDRIVE_OAUTH_ACCOUNT="young")
    assert ran.code == 11
    assert ran.out == "2 refreshed, 1 failed.\n"
    first, last = ran.err.splitlines()
    assert first.startswith("over: Pipedrive rejected the refresh token (status 400")
    assert last == "Error: 1 of the due accounts were not refreshed: over."
    assert "planted" not in ran.err
    assert store.load("young") == young
    kept = store.load("over")
    assert kept is not None
    assert kept.grant_end is not None
    assert evolve(kept, grant_end=None) == over
    ran = run("refresh", "--all", "--older-than", "1d", "--json")
    assert json.loads(ran.out) == {"renewed": 0, "already_done": 0, "ended": 1, "failed": {}}
    assert ran.code == 0
    ran = run("refresh", "--all", "--older-than", "1d")
    assert ran.out == "0 refreshed, 0 failed, 1 skipped whose grant has ended.\n"
    store.save("corrupt", evolve(ago(granted(), days=31), refresh_token=None))
    ran = run("refresh", "--all", "--json")
    assert list(json.loads(ran.out)["failed"]) == ["corrupt"]
    assert json.loads(ran.err)["error"]["reason"] == "some_failed"


def test_refresh_all_stops_at_a_wrong_secret(
    run: Run, store: FileTokenStore, granted: Grant
) -> None:
    """An error that every account would meet stops it, with the code of that error."""
    old = ago(granted(), days=40)
    store.save("acme", old)
    ran = run("refresh", "--all", PIPEDRIVE_CLIENT_SECRET="wrong-one")
    assert (ran.code, ran.out) == (9, "")
    assert store.load("acme") == old


def test_refresh_needs_one_or_the_other(run: Run) -> None:
    """An account together with --all, or an invalid duration, is code 2."""
    assert run("refresh", "acme", "--all").code == 2
    for span in ("30", "x", "-1d", "1.5d", "9999999d"):
        assert run("refresh", "--all", "--older-than", span).code == 2


def test_progress_bar_is_for_a_terminal(
    store: FileTokenStore, granted: Grant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a terminal a bar counts the due accounts."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    store.save("acme", ago(granted(), days=40))
    with accounts._progress_bar(store, datetime.now(UTC)) as update:
        assert update is not None
        update(FleetProgress("acme", None, 0, 0, 1))
    assert "0/1" in screen.getvalue() or "1/1" in screen.getvalue()
    assert "1 failed" in screen.getvalue()


@pytest.mark.parametrize("typed", ["", "n", "no", "yess"])
def test_revoke_asks_for_confirmation(
    run: Run, store: FileTokenStore, granted: Grant, monkeypatch: pytest.MonkeyPatch, typed: str
) -> None:
    """Any input but yes changes nothing, with code 4."""
    token = granted()
    store.save("acme", token)
    monkeypatch.setattr(output, "can_ask", lambda: True)
    monkeypatch.setattr(output, "ask", lambda _prompt: typed)
    ran = run("revoke")
    assert (ran.code, ran.out) == (4, "")
    assert store.load("acme") == token


def test_revoke_without_a_terminal(run: Run, store: FileTokenStore, granted: Grant) -> None:
    """Without a terminal, --yes is required."""
    token = granted()
    store.save("acme", token)
    ran = run("revoke")
    assert (ran.code, ran.out) == (2, "")
    assert "--yes" in ran.err
    assert store.load("acme") == token


@pytest.mark.parametrize("typed", ["y", "YES"])
def test_revoke_ends_the_grant(
    run: Run, store: FileTokenStore, granted: Grant, box: SandboxServer,
    monkeypatch: pytest.MonkeyPatch, typed: str,
) -> None:  # fmt: skip
    """After confirmation the app is uninstalled at Pipedrive, and the token is deleted."""
    store.save("acme", granted())
    monkeypatch.setattr(output, "can_ask", lambda: True)
    monkeypatch.setattr(output, "ask", lambda _prompt: typed)
    ran = run("revoke")
    assert ran.code == 0, ran.err
    assert ran.out.startswith("Revoked acme; ")
    assert store.load("acme") is None
    assert not box.sandbox.is_installed(DEFAULT_USER)


def test_revoke_holds_the_lock(
    run: Run, store: FileTokenStore, granted: Grant, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    """No other process can refresh the account between the revocation and the deletion."""
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
    """With a key from the environment or a file, tokens are stored encrypted."""
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
    """Messages with which the next saves of the file store fail."""
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
    """A save that fails is retried with the same token, without another refresh."""
    old = ago(granted(), days=40)
    store.save("acme", old)
    failing_saves += ["The disk is full."] * 2
    before = box.requests.count(grant_type="refresh_token")
    ran = run(*command)
    assert ran.code == 0, ran.err
    assert ran.err.count("Cannot save the new token yet: The disk is full.") == 2
    assert box.requests.count(grant_type="refresh_token") == before + 1
    assert store.load("acme") not in (None, old)


@pytest.mark.parametrize("failures", [1, 2])
def test_report_of_a_run_that_was_restarted(
    run: Run, store: FileTokenStore, granted: Grant, failing_saves: list[str], failures: int
) -> None:
    """After a failed save the rest is done in another run, and the report counts all of it."""
    for number in range(5):
        store.save(f"acme{number}", ago(granted(), days=40))
    store.save("over", evolve(ago(granted(), days=40), refresh_token="1:11:invalid"))
    real = FileTokenStore.save
    saved: list[str] = []

    def third_fails(own: FileTokenStore, account: str, token: Token) -> None:
        saved.append(account)
        if len(saved) == 3:
            failing_saves.extend(["The disk is full."] * failures)
        real(own, account, token)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FileTokenStore, "save", third_fails)
        ran = run("refresh", "--all", "--concurrency", "1", "--per-second", "1000", "--json")
    assert ran.code == 11, ran.err
    report = json.loads(ran.out)
    assert (report["renewed"], report["already_done"], list(report["failed"])) == (5, 0, ["over"])


@pytest.mark.parametrize("command", [["token"], ["refresh"], ["refresh", "--all"]], ids="-".join)
def test_save_that_never_works(
    run: Run, store: FileTokenStore, granted: Grant, failing_saves: list[str], command: list[str]
) -> None:
    """If every save fails it is code 10, and the store is unchanged."""
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
    """If the grant is revoked and the token cannot be deleted, the error says both."""
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


# --- delete, revoke --local, --company ---


@pytest.mark.parametrize("command", [["delete"], ["revoke", "--local"]], ids=" ".join)
@pytest.mark.parametrize("damaged", [False, True])
def test_delete_of_the_local_token(
    run: Run, store: FileTokenStore, granted: Grant, box: SandboxServer, folder: Path,
    command: list[str], *, damaged: bool,
) -> None:  # fmt: skip
    """The stored token is deleted, readable or not, and no request is sent."""
    store.save("acme", granted())
    if damaged:
        (folder / "token-acme.json").write_bytes(b"{garbage")
    before = len(box.requests)
    ran = run(*command, "acme", "--yes")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("Deleted the token of acme from file ")
    assert list(store.accounts()) == []
    assert len(box.requests) == before
    assert box.sandbox.is_installed(DEFAULT_USER)


def test_delete_without_the_key(run: Run, store: FileTokenStore, granted: Grant) -> None:
    """An encrypted token is deleted without its key, and without the app's credentials."""
    EncryptedTokenStore(store, Fernet.generate_key()).save("acme", granted())
    ran = run("delete", "--yes", "--json", PIPEDRIVE_CLIENT_ID="", PIPEDRIVE_CLIENT_SECRET="")
    assert (ran.code, json.loads(ran.out)) == (0, {"account": "acme", "deleted": True})
    assert list(store.accounts()) == []


@pytest.mark.parametrize("command", ["delete", "revoke"])
def test_company(
    run: Run, store: FileTokenStore, granted: Grant, box: SandboxServer, command: str
) -> None:
    """With --company all accounts of that company go, and no others."""
    for account in ("12:1", "12:2", "123:1", "12"):
        store.save(account, granted())
    before = box.requests.count(path="/oauth/revoke")
    ran = run(command, "--company", "12", "--yes", PIPEDRIVE_OAUTH_ACCOUNT="123:1")
    assert ran.code == 0, ran.err
    assert [line.split(";")[0].split(" from")[0].split()[-1] for line in ran.out.splitlines()] == [
        "12:1",
        "12:2",
    ]
    assert sorted(store.accounts()) == ["12", "123:1"]
    assert box.requests.count(path="/oauth/revoke") - before == (2 if command == "revoke" else 0)
    ran = run(command, "--company", "12", "--yes")
    assert (ran.code, ran.out) == (3, "")
    assert "No account of company 12 is stored in file " in ran.err
    assert run(command, "acme", "--company", "12", "--yes").code == 2
    assert run(command, "--company", "0", "--yes").code == 2


def test_company_of_which_one_fails(
    run: Run, store: FileTokenStore, granted: Grant, box: SandboxServer
) -> None:
    """An account that can't be revoked is named with code 11, and the others are done."""
    for account in ("12:1", "12:2", "12:3"):
        store.save(account, granted())
    box.faults.add("/oauth/revoke", Fault.status(500))
    ran = run("revoke", "--company", "12", "--yes", "--json")
    assert ran.code == 11
    result = json.loads(ran.out)
    assert result["revoked"] == ["12:2", "12:3"]
    assert list(result["failed"]) == ["12:1"]
    assert "1 of 3 accounts were not revoked: 12:1." in ran.err
    assert list(store.accounts()) == ["12:1"]


@pytest.mark.parametrize("command", [["delete"], ["revoke", "--local"]], ids=" ".join)
def test_delete_asks(
    run: Run, store: FileTokenStore, granted: Grant, command: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Without --yes a terminal asks, and the question says that the grant stays."""
    for number in range(7):
        store.save(f"12:{number}", granted())
    assert run(*command, "--company", "12").code == 2
    asked: list[str] = []

    def ask(question: str) -> str:
        asked.append(question)
        return "no"

    monkeypatch.setattr(output, "can_ask", lambda: True)
    monkeypatch.setattr(output, "ask", ask)
    assert run(*command, "--company", "12").code == 4
    question = "Delete the stored token of 12:0, 12:1, 12:2, 12:3, 12:4 and 2 more?"
    assert asked == [f"{question} The grant at Pipedrive stays. [y/N]"]
    assert len(list(store.accounts())) == 7


# --- whoami ---


def test_whoami(run: Run, store: FileTokenStore, granted: Grant, box: SandboxServer) -> None:
    """`whoami` shows user, company and scopes, with a token that is refreshed first."""
    store.save("acme", ago(granted(), hours=2))
    ran = run("whoami")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines() == [
        "account:  acme",
        "user:     Alex Moreno (11)",
        "company:  Acme (1)",
        f"API:      {box.base_url}",
        "scopes:   base contacts:read deals:full users:read",
    ]
    result = json.loads(run("whoami", "acme", "--json").out)
    assert (result["account"], result["user_id"], result["company_id"]) == ("acme", 11, 1)
    assert (result["name"], result["company_name"]) == ("Alex Moreno", "Acme")


def test_whoami_of_a_token_that_is_rejected(
    run: Run, store: FileTokenStore, granted: Grant, box: SandboxServer
) -> None:
    """An API that rejects the token, or is not there, is code 9 or 8."""
    store.save("acme", granted())
    box.faults.add("/api/v1/users/me", Fault.status(401))
    ran = run("whoami")
    assert (ran.code, ran.out) == (9, "")
    box.faults.add("/api/v1/users/me", Fault.status(503))
    assert run("whoami").code == 8


# --- Frictions ---


@pytest.mark.parametrize(
    "option", [("--older-than", "12h"), ("--concurrency", "2"), ("--per-second", "5")]
)
def test_options_of_all_need_all(
    run: Run, store: FileTokenStore, granted: Grant, option: tuple[str, str]
) -> None:
    """An option that has no effect without --all is an error; its variable is not."""
    store.save("acme", granted())
    ran = run("refresh", "acme", *option)
    assert (ran.code, ran.out) == (2, "")
    assert f"{option[0]} applies only with --all." in ran.err
    variable = "PIPEDRIVE_OAUTH_" + option[0].strip("-").replace("-", "_").upper()
    assert run("refresh", "acme", **{variable: option[1]}).code == 0


def test_older_than_counts_from_the_last_refresh(
    run: Run, store: FileTokenStore, granted: Grant
) -> None:
    """The age of an account is the time since its refresh, and not since its access token's end."""
    store.save("older", ago(granted(), days=30, minutes=10))
    store.save("younger", ago(granted(), days=29, hours=23, minutes=50))
    ran = run("refresh", "--all", "--older-than", "30d")
    assert (ran.code, ran.out) == (0, "1 refreshed, 0 failed.\n")
    young = store.load("younger")
    assert young is not None
    assert young.is_stale()
    # A token that is still valid is not refreshed, however short the time.
    assert run("refresh", "--all", "--older-than", "0d").out == "1 refreshed, 0 failed.\n"
    assert run("refresh", "--all", "--older-than", "0d").out == "0 refreshed, 0 failed.\n"


@pytest.mark.parametrize("command", ["token", "refresh", "whoami", "revoke"])
def test_encrypted_store_names_the_option(
    run: Run, store: FileTokenStore, granted: Grant, command: str
) -> None:
    """Without a key, or with another one, the error names the option for the keys."""
    key = Fernet.generate_key().decode()
    EncryptedTokenStore(store, key).save("acme", granted())
    yes = ["--yes"] if command == "revoke" else []
    for keys in ("", Fernet.generate_key().decode()):
        ran = run(command, *yes, PIPEDRIVE_OAUTH_STORE_KEYS=keys)
        assert (ran.code, ran.out) == (10, "")
        assert "--store-keys-file" in ran.err
    store.save("clear", granted())
    if command != "revoke":
        ran = run(command, "clear", PIPEDRIVE_OAUTH_STORE_KEYS=key)
        assert ran.code == 10
        assert "pipedrive-oauth rotate --seal-clear" in ran.err


def test_keys_are_separated_as_the_help_says(
    run: Run, store: FileTokenStore, granted: Grant
) -> None:
    """Keys may be separated by commas, spaces or line breaks, and the help says so."""
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    EncryptedTokenStore(store, old).save("acme", granted())
    for separator in (",", " ", "\n", ", "):
        assert run("token", PIPEDRIVE_OAUTH_STORE_KEYS=f"{new}{separator}{old}").code == 0
    shown = " ".join(run("token", "--help").out.split())
    assert "separated by commas, spaces or line breaks" in shown


@pytest.mark.parametrize(
    "command",
    [
        *(["token"], ["header"], ["status"], ["refresh"], ["whoami"], ["check"]),
        *(["revoke", "--yes"], ["delete", "--yes"], ["copy", "--to", "TARGET"]),
        ["rotate", "--seal-clear"],
    ],
    ids=lambda command: command[0],
)
def test_commands_outside_the_main_thread(
    run: Run, store: FileTokenStore, granted: Grant, tmp_path: Path, command: list[str]
) -> None:
    """A program can run the commands from a thread that gets no signals."""
    store.save("acme", granted())
    target = (tmp_path / "other").as_uri()
    given = [target if each == "TARGET" else each for each in command]
    keys = Fernet.generate_key().decode() if command[0] == "rotate" else ""
    with ThreadPoolExecutor(1) as pool:
        ran = pool.submit(lambda: run(*given, PIPEDRIVE_OAUTH_STORE_KEYS=keys)).result(60)
    assert ran.code == 0, ran.err


# --- Ended grants ---


def marked(token: Token) -> Token:
    """Return a token whose grant the service has rejected just now."""
    now = datetime.now(UTC)
    end = GrantEnd(at=now - timedelta(days=3), error="invalid_grant", tried_at=now)
    return evolve(token, grant_end=end)


@pytest.mark.parametrize("arguments", [("acme",), ("--all",)], ids=" ".join)
def test_force_asks_the_service_again(
    run: Run, store: FileTokenStore, granted: Grant, arguments: tuple[str, ...]
) -> None:
    """With --force a grant that is marked as ended is refreshed, and is no longer marked."""
    old = marked(ago(granted(), days=40))
    store.save("acme", old)
    ran = run("refresh", *arguments, "--force")
    assert ran.code == 0, ran.err
    new = store.load("acme")
    assert new is not None
    assert new.grant_end is None
    assert new.access_token != old.access_token


def test_force_keeps_when_a_grant_has_ended(store: FileTokenStore, folder: Path) -> None:
    """Only the time of the last try is set back; damaged and other tokens stay as they are."""
    token = Token(access_token="a", refresh_token="b", expires_at=datetime.now(UTC))
    old = marked(token)
    store.save("acme", old)
    store.save("other", token)
    store.save("broken", token)
    broken = folder / "token-broken.json"
    broken.write_bytes(b"{garbage")
    accounts.retry_ended_grants(store, ["acme", "other", "broken", "none"])
    new = store.load("acme")
    assert new is not None
    assert new.grant_end is not None
    assert old.grant_end is not None
    assert new.grant_end == evolve(old.grant_end, tried_at=new.grant_end.tried_at)
    assert new.grant_end.tried_at < old.grant_end.tried_at - timedelta(days=2)
    assert store.load("other") == token
    assert broken.read_bytes() == b"{garbage"
    assert list(store.accounts()).count("none") == 0


def test_ended_grant_names_what_to_do(
    run: Run, store: FileTokenStore, granted: Grant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refresh of an ended grant is code 3, with the command that reconnects and --force."""
    store.save("o'brien", granted())

    def refuse(*_: object) -> Token:
        raise GrantEndedError("It has ended.", account="o'brien", since=datetime.now(UTC))

    monkeypatch.setattr(accounts, "refreshed_token", refuse)
    ran = run("refresh")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err == (
        """Error: It has ended. Run: pipedrive-oauth login --account 'o'"'"'brien'. To ask"""
        " Pipedrive once more, pass --force.\n"
    )


def test_marked_grant_is_not_asked_for_again(
    run: Run, store: FileTokenStore, granted: Grant, box: SandboxServer
) -> None:
    """Without --force nothing is sent: one account is code 3 with advice, --all skips it."""
    store.save("acme", marked(ago(granted(), days=40)))
    before = len(box.requests)
    ran = run("refresh", "acme")
    assert (ran.code, ran.out) == (3, "")
    assert "Run: pipedrive-oauth login --account acme." in ran.err
    assert run("refresh", "--all").code == 0
    assert len(box.requests) == before
