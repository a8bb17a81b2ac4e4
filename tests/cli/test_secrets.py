"""Planted secrets are in no output but that of `token` and `header`."""

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
from tests.cli.conftest import SECRET, Person, Ran
from tests.support.sweep import found

Run = Callable[..., Ran]
pytestmark = pytest.mark.usefixtures("impatient")

TALKS = [("--debug", "--json"), ()]


@pytest.fixture
def secrets(store: FileTokenStore, granted: Callable[[], Token]) -> list[str]:
    """Store a token that has had its time, and give what must not be shown."""
    token = granted()
    store.save("acme", evolve(token, expires_at=datetime.now(UTC) - timedelta(days=40)))
    assert token.refresh_token is not None
    return [SECRET, token.access_token, token.refresh_token]


def all_secrets(secrets: list[str], store: FileTokenStore) -> list[str]:
    """Add the tokens that are stored by now."""
    tokens = [token for name in store.accounts() if (token := store.load(name)) is not None]
    values = [each for token in tokens for each in (token.access_token, token.refresh_token)]
    return [*secrets, *(each for each in values if each)]


def codes(person: Person) -> list[str]:
    """Give the codes that were on their way."""
    return [parse_qs(urlsplit(each).query)["code"][0] for each in person.callbacks]


@pytest.mark.parametrize("talk", TALKS, ids="".join)
def test_what_works(
    run: Run, person: Person, store: FileTokenStore, secrets: list[str], talk: tuple[str, ...]
) -> None:
    """Commands that work show no secret, in any way of talking; nor does the browser's page."""
    shown = ""
    for arguments in (
        ("login",),
        ("login", "--account", "globex"),
        ("status",),
        ("refresh", "acme"),
        ("refresh", "--all"),
        ("--help",),
    ):
        ran = run(*arguments, *(talk if arguments[0] != "--help" else ()))
        assert ran.code == 0, ran.err
        shown += ran.out + ran.err
        hidden = all_secrets(secrets, store)
        secrets = hidden
    secrets += codes(person)
    pages = "".join(page.text + str(page.headers) for page in person.pages)
    shown += run("revoke", "acme", "--yes", *talk).out
    assert found(shown + pages, secrets) == []
    assert len(shown) > 500


def test_token_and_header_show_it(run: Run, store: FileTokenStore, secrets: list[str]) -> None:
    """The hunt would find what these two commands print."""
    ran = run("token")
    assert found(ran.out, all_secrets(secrets, store)) != []
    assert ran.err == ""
    assert run("header").err == ""


FAULTS = {
    "refused": Fault.refusal("refresh_token_invalid"),
    "status": Fault.status(500),
    "page": Fault.page(520),
    "garbage": Fault.garbage(),
    "truncated": Fault.truncated(),
    "closed": Fault.closed(),
    "redirect": Fault.redirect("https://elsewhere.example/"),
    "override": Fault.override({"token_type": "mac"}),
}


@pytest.mark.parametrize("talk", TALKS, ids="".join)
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_what_fails_at_the_service(
    run: Run, box: SandboxServer, secrets: list[str],
    person: Person, talk: tuple[str, ...], fault: Fault,
) -> None:  # fmt: skip
    """Commands that fail at the service show no secret either, with a traceback as well."""
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
        ran = run(*arguments, *talk)
        # Of a revocation, the status of the answer is all that is read.
        reads_body = arguments[0] != "revoke"
        assert ran.code in ((3, 8, 9, 11) if reads_body else (0, 3, 8, 9)), ran
        assert ran.out == "" or arguments[:2] == ("refresh", "--all") or ran.code == 0
        shown += ran.out + ran.err
        box.faults.clear()
    secrets += codes(person)
    assert found(shown + "".join(page.text for page in person.pages), secrets) == []
    assert ("Traceback" in shown) == ("--debug" in talk)


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


@pytest.mark.parametrize("talk", TALKS, ids="".join)
@pytest.mark.parametrize("url", STORES)
def test_password_of_a_store(run: Run, url: str, talk: tuple[str, ...]) -> None:
    """The password in a store's address is shown by no command, however it fails."""
    address = url.format("planted/pass-word")
    if "@127.0.0.1" in url and "/pass" in address:
        address = url.format("planted-pass-word")
    for command in ("status", "token"):
        ran = run(command, *talk, PIPEDRIVE_OAUTH_STORE=address)
        assert ran.code in (2, 10), ran
        assert found(ran.out + ran.err, ["planted", "pass-word"]) == []


def test_damaged_files(run: Run, store: FileTokenStore, secrets: list[str], folder: Path) -> None:
    """What is stored and can't be read is not shown."""
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
