"""Secrets appear in no output except that of `token` and `header`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from attrs import evolve

from pipedrive_oauth_client import Token
from pipedrive_oauth_client.sandbox import Fault, SandboxServer
from pipedrive_oauth_client.stores import FileTokenStore
from tests.cli.conftest import SECRET, BrowserUser, Ran
from tests.support.sweep import found

Run = Callable[..., Ran]
pytestmark = pytest.mark.usefixtures("no_waits")

MODES = [("--debug", "--json"), ()]


@pytest.fixture
def secrets(store: FileTokenStore, granted: Callable[[], Token]) -> list[str]:
    """Store an expired token, and return what must not be shown."""
    token = granted()
    store.save("acme", evolve(token, expires_at=datetime.now(UTC) - timedelta(days=40)))
    assert token.refresh_token is not None
    return [SECRET, token.access_token, token.refresh_token]


def all_secrets(secrets: list[str], store: FileTokenStore) -> list[str]:
    """Add the tokens that are stored now."""
    tokens = [token for name in store.accounts() if (token := store.load(name)) is not None]
    values = [each for token in tokens for each in (token.access_token, token.refresh_token)]
    return [*secrets, *(each for each in values if each)]


def codes(browser_user: BrowserUser) -> list[str]:
    """Return the codes of the callbacks."""
    return [parse_qs(urlsplit(each).query)["code"][0] for each in browser_user.callbacks]


@pytest.mark.parametrize("mode", MODES, ids="".join)
def test_commands_that_succeed(
    run: Run,
    browser_user: BrowserUser,
    store: FileTokenStore,
    secrets: list[str],
    mode: tuple[str, ...],
) -> None:
    """Commands that succeed show no secret, in plain text and in JSON, nor does the page."""
    shown = ""
    for arguments in (
        ("login",),
        ("login", "--account", "globex"),
        ("status",),
        ("refresh", "acme"),
        ("refresh", "--all"),
        ("--help",),
    ):
        ran = run(*arguments, *(mode if arguments[0] != "--help" else ()))
        assert ran.code == 0, ran.err
        shown += ran.out + ran.err
        hidden = all_secrets(secrets, store)
        secrets = hidden
    secrets += codes(browser_user)
    pages = "".join(page.text + str(page.headers) for page in browser_user.pages)
    shown += run("revoke", "acme", "--yes", *mode).out
    assert found(shown + pages, secrets) == []
    assert len(shown) > 500


def test_token_and_header_print_secrets(
    run: Run, store: FileTokenStore, secrets: list[str]
) -> None:
    """The search detects what these two commands print."""
    ran = run("token")
    assert found(ran.out, all_secrets(secrets, store)) != []
    assert ran.err == ""
    assert run("header").err == ""


FAULTS = {
    "rejected": Fault.refusal("refresh_token_invalid"),
    "status": Fault.status(500),
    "page": Fault.page(520),
    "garbage": Fault.garbage(),
    "truncated": Fault.truncated(),
    "closed": Fault.closed(),
    "redirect": Fault.redirect("https://elsewhere.example/"),
    "override": Fault.override({"token_type": "mac"}),
}


@pytest.mark.parametrize("mode", MODES, ids="".join)
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_commands_that_fail_at_the_service(
    run: Run, box: SandboxServer, secrets: list[str],
    browser_user: BrowserUser, mode: tuple[str, ...], fault: Fault,
) -> None:  # fmt: skip
    """Commands that fail at the service show no secret, even with a traceback."""
    shown = ""
    for arguments in (
        ("token",),
        ("refresh", "acme"),
        ("refresh", "--all"),
        ("revoke", "--yes"),
        ("login",),
    ):
        for path in ("/oauth/token", "/oauth/token/", "/oauth/revoke"):
            box.faults.add(path, fault, times=5)
        ran = run(*arguments, *mode)
        # Of the response to a revocation, only the status is read. And a grant that is known to
        # have ended is skipped.
        can_succeed = arguments[0] == "revoke" or "whose grant has ended" in ran.out
        can_succeed = can_succeed or '"ended": 1' in ran.out
        assert ran.code in ((0, 3, 8, 9) if can_succeed else (3, 8, 9, 11)), ran
        assert ran.out == "" or arguments[:2] == ("refresh", "--all") or ran.code == 0
        shown += ran.out + ran.err
        box.faults.clear()
    secrets += codes(browser_user)
    assert found(shown + "".join(page.text for page in browser_user.pages), secrets) == []
    assert ("Traceback" in shown) == ("--debug" in mode)


STORES = (
    "postgresql+psycopg://u:{0}@127.0.0.1:1/x",
    "postgresql+psycopg://u@127.0.0.1:1/x?password={0}",
    "mysql+pymysql://u:{0}@127.0.0.1:1/x",
    "redis://:{0}@127.0.0.1:1/0",
    "redis://127.0.0.1:1/0?password={0}",
    "redis://u:{0}@127.0.0.1:notaport/0",
    "postgres://u:{0}@127.0.0.1/x",
    "postgresql+asyncpg://u:{0}@127.0.0.1/x",
    "nonsense://u:{0}@h/x",
    "{0}",
)


@pytest.mark.parametrize("mode", MODES, ids="".join)
@pytest.mark.parametrize("url", STORES)
def test_password_of_a_store(run: Run, url: str, mode: tuple[str, ...]) -> None:
    """No command shows the password in a store's URL, however it fails."""
    address = url.format("planted/pass-word")
    if "@127.0.0.1" in url and "/pass" in address:
        address = url.format("planted-pass-word")
    for command in ("status", "token"):
        ran = run(command, *mode, PIPEDRIVE_OAUTH_STORE=address)
        assert ran.code in (2, 10), ran
        assert found(ran.out + ran.err, ["planted", "pass-word"]) == []


def test_damaged_files(run: Run, store: FileTokenStore, secrets: list[str], folder: Path) -> None:
    """A damaged file is not shown, and not changed."""
    (file,) = folder.glob("token-*.json")
    text = file.read_text(encoding="utf-8")
    for damaged in (text[:-9], text.replace("Bearer", "mac"), text.replace("expires_at", "x")):
        file.write_text(damaged, encoding="utf-8")
        for command in ("token", "status", "refresh", "revoke"):
            yes = ["--yes"] if command == "revoke" else []
            ran = run(command, "acme", "--debug", *yes)
            assert ran.code == (0 if command == "status" else 10), ran
            assert found(ran.out + ran.err, secrets) == []
        assert file.read_text(encoding="utf-8") == damaged
    assert list(store.accounts()) == ["acme"]
