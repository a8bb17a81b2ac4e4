"""`diagnostics`: each check, each of its failures, and that nothing is changed."""

from __future__ import annotations

import json
import os
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import httpx
import pytest
from attrs import evolve
from attrs.exceptions import FrozenInstanceError
from cryptography.fernet import Fernet

from pipedrive_oauth_client import (
    AppCredentials,
    ConfigurationError,
    PipedriveOAuth,
    StoreError,
    Token,
)
from pipedrive_oauth_client.diagnostics import (
    CheckStatus,
    SetupReport,
    check_service,
    check_setup,
    check_store,
)
from pipedrive_oauth_client.pytest_plugin import PipedriveSandbox
from pipedrive_oauth_client.sandbox import Fault
from pipedrive_oauth_client.stores import (
    EncryptedTokenStore,
    FileTokenStore,
    MemoryTokenStore,
    SQLTokenStore,
)
from tests.support.tls import self_signed, tls_server
from tests.support.untyped import untyped
from tests.support.wire import refusing

SERVICE = ["credentials", "service", "clock", "client", "redirect_uri"]
STORE = ["store", "store_lock", "store_write", "store_rights", "tokens"]
AUTHORIZE, REFRESH = "/oauth/authorize", "/oauth/token/"


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the machine decides about certificates, proxies and credentials."""
    for name in ("NO_PROXY", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name in ("ID", "SECRET"):
        monkeypatch.delenv(f"PIPEDRIVE_CLIENT_{name}", raising=False)
    monkeypatch.delenv("PIPEDRIVE_REDIRECT_URI", raising=False)


@pytest.fixture
def box(pipedrive_sandbox: PipedriveSandbox) -> PipedriveSandbox:
    """The sandbox, whose time is the machine's."""
    return pipedrive_sandbox


@pytest.fixture
def store(tmp_path: Path) -> FileTokenStore:
    """A file store."""
    return FileTokenStore(tmp_path / "tokens")


def statuses(report: SetupReport) -> dict[str, str]:
    """Return the status of each check."""
    return {each.name: each.status.value for each in report.results}


def message(report: SetupReport, name: str, status: CheckStatus = CheckStatus.FAILED) -> str:
    """Return the message of the one check that ended with a status."""
    found = [each for each in report.results if each.status is status]
    assert [each.name for each in found] == [name], report
    return found[0].message


def granted(box: PipedriveSandbox) -> Token:
    """Return a token of the sandbox."""
    with PipedriveOAuth(box.credentials, base_url=box.base_url, retry=None) as oauth:
        return oauth.exchange(oauth.read_callback(box.authorize(state="s"), "s"))


def test_everything_is_right(box: PipedriveSandbox, store: FileTokenStore) -> None:
    """All checks pass, in their order, with a report that can be sent as JSON."""
    store.save("acme", granted(box))
    report = check_setup(box.credentials, store, base_url=box.base_url)
    assert statuses(report) == dict.fromkeys([*SERVICE, *STORE], "ok")
    assert report.ok
    assert report.failed == ()
    sent = json.loads(json.dumps(report.to_dict()))
    assert sent["ok"] is True
    assert sent["checks"][1] == {
        "check": "service", "status": "ok", "message": f"{box.base_url} responds.",
    }  # fmt: skip
    frozen: Any = report
    with pytest.raises(FrozenInstanceError):
        frozen.results[0].status = CheckStatus.FAILED
    with pytest.raises(FrozenInstanceError):
        frozen.results = ()


def test_nothing_is_changed(box: PipedriveSandbox, store: FileTokenStore, tmp_path: Path) -> None:
    """Neither the grant nor the store is another one afterwards."""
    token = granted(box)
    store.save("acme", token)
    before = {path: path.read_bytes() for path in (tmp_path / "tokens").glob("*.json")}
    assert check_setup(box.credentials, store, base_url=box.base_url).ok
    after = {path: path.read_bytes() for path in (tmp_path / "tokens").glob("*.json")}
    assert after == before
    assert list(store.accounts()) == ["acme"]
    with PipedriveOAuth(box.credentials, base_url=box.base_url, retry=None) as oauth:
        assert oauth.refresh(token).access_token != token.access_token


def test_credentials_of_the_environment(
    box: PipedriveSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without credentials they come from the environment; a missing one is a failed check."""
    report = check_setup(base_url=box.base_url)
    assert statuses(report) == {"credentials": "failed", "service": "ok", "clock": "ok"}
    assert "PIPEDRIVE_CLIENT_ID" in message(report, "credentials")
    for name in ("client_id", "client_secret", "redirect_uri"):
        monkeypatch.setenv(f"PIPEDRIVE_{name.upper()}", getattr(box.credentials, name))
    assert check_setup(base_url=box.base_url).ok


def test_quotation_marks(box: PipedriveSandbox) -> None:
    """A secret that still has the quotation marks of its file is named, and not shown."""
    quoted = evolve(box.credentials, client_secret=f'"{box.credentials.client_secret}"')
    report = check_service(quoted, base_url=box.base_url)
    assert [each.name for each in report.failed] == ["credentials", "client"]
    assert "client_secret has a quotation mark" in report.failed[0].message
    assert box.credentials.client_secret not in str(report) + str(report.to_dict())


def test_wrong_secret(box: PipedriveSandbox) -> None:
    """A wrong secret fails the check of the client alone, and is not shown."""
    wrong = evolve(box.credentials, client_secret="planted-secret")
    report = check_service(wrong, base_url=box.base_url)
    assert message(report, "client").startswith("Pipedrive rejected the client credentials")
    assert "planted" not in str(report)


def test_wrong_client_id(box: PipedriveSandbox) -> None:
    """With a wrong client ID the page can't tell about the redirect URI."""
    report = check_service(evolve(box.credentials, client_id="wrong"), base_url=box.base_url)
    assert "client ID" in message(report, "client")
    assert statuses(report)["redirect_uri"] == "unknown"


def test_unknown_redirect_uri(box: PipedriveSandbox) -> None:
    """A redirect URI that is not registered is named."""
    wrong = evolve(box.credentials, redirect_uri="https://app.example.com/other")
    text = message(check_service(wrong, base_url=box.base_url), "redirect_uri")
    assert text.startswith("The service does not know https://app.example.com/other.")


def test_page_that_does_not_tell(box: PipedriveSandbox) -> None:
    """Where the page is the same for a wrong redirect URI, the result is unknown."""
    box.faults.add(AUTHORIZE, Fault.page(200), times=2)
    report = check_service(box.credentials, base_url=box.base_url)
    assert report.ok
    text = message(report, "redirect_uri", CheckStatus.UNKNOWN)
    assert text.startswith("The consent page does not show it")


def test_page_that_redirects(box: PipedriveSandbox) -> None:
    """A page that leads to a login for any redirect URI does not tell either; no one follows."""
    box.faults.add(AUTHORIZE, Fault.redirect("https://app.example.com/login"), times=2)
    report = check_service(box.credentials, base_url=box.base_url)
    assert statuses(report)["service"] == "ok"
    assert statuses(report)["redirect_uri"] == "unknown"


def test_page_that_tells_by_a_redirect(box: PipedriveSandbox) -> None:
    """A page that leads to a login, and rejects a wrong redirect URI, knows the right one."""
    box.faults.add(AUTHORIZE, Fault.redirect("https://app.example.com/login"))
    assert statuses(check_service(box.credentials, base_url=box.base_url))["redirect_uri"] == "ok"


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (503, "is not available now (status 503)"),
        (521, "is not available now (status 521)"),
        (429, "is not available now (status 429)"),
        (404, "with status 404: it is another service"),
        (403, "with status 403: it is another service, or a proxy or firewall"),
    ],
)
def test_service_that_is_not_well(box: PipedriveSandbox, status: int, text: str) -> None:
    """A status that no consent page has fails the service, and skips what needs it."""
    box.faults.add(AUTHORIZE, Fault.status(status))
    report = check_service(box.credentials, base_url=box.base_url)
    assert text in message(report, "service")
    assert statuses(report)["client"] == statuses(report)["redirect_uri"] == "skipped"


def test_another_service(box: PipedriveSandbox) -> None:
    """A service that refreshes a made-up token is not Pipedrive's."""
    body = {"access_token": "a", "token_type": "Bearer", "refresh_token": "b", "expires_in": 3599}
    box.faults.add(REFRESH, Fault.answer(200, json.dumps(body)))
    report = check_service(box.credentials, base_url=box.base_url)
    assert "accepted a made-up refresh token" in message(report, "client")


def test_page_in_place_of_a_response(box: PipedriveSandbox) -> None:
    """A web page in place of JSON fails the check of the client."""
    box.faults.add(REFRESH, Fault.page(200))
    assert "Cannot use the response" in message(
        check_service(box.credentials, base_url=box.base_url), "client"
    )


@pytest.mark.parametrize("fault", [Fault.status(500), Fault.status(429), Fault.reset()], ids=str)
def test_refresh_that_fails(box: PipedriveSandbox, fault: Fault) -> None:
    """A refresh without an answer about the client leaves it unknown."""
    box.faults.add(REFRESH, fault)
    report = check_service(box.credentials, base_url=box.base_url)
    assert report.ok
    assert message(report, "client", CheckStatus.UNKNOWN)


# --- The way to the service ---


def unreachable(credentials: AppCredentials, base_url: str) -> str:
    """Return why the service can't be reached; all else is skipped."""
    report = check_service(credentials, base_url=base_url)
    assert statuses(report) == {
        "credentials": "ok",
        "service": "failed",
        "clock": "skipped",
        "client": "skipped",
        "redirect_uri": "skipped",
    }
    return message(report, "service")


CREDENTIALS = AppCredentials("the-id", "the-secret", "https://app.example.com/callback")


def test_refused() -> None:
    """A refused connection is named."""
    with refusing() as authority:
        text = unreachable(CREDENTIALS, f"https://{authority}")
    assert text.startswith(f"Cannot connect to https://{authority}: connection refused.")


def test_unknown_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that no name server knows is named."""

    def fail(*_: object, **__: object) -> NoReturn:
        raise socket.gaierror(socket.EAI_NONAME, "as the system words it")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert ": host not found." in unreachable(CREDENTIALS, "https://oauth.example")


@pytest.mark.usefixtures("no_proxy")
def test_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that does not work is named with its variable."""
    with refusing() as authority:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:planted@{authority}")
        text = unreachable(CREDENTIALS, "https://oauth.example")
    assert f"through the proxy http://{authority} (HTTPS_PROXY): connection refused." in text
    assert "planted" not in text


def test_certificate(tmp_path: Path) -> None:
    """A certificate that is not trusted is named."""
    with tls_server(self_signed(tmp_path, "127.0.0.1")) as url:
        assert ": certificate not trusted (" in unreachable(CREDENTIALS, url)


def test_missing_certificate_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An SSL_CERT_FILE that is missing is named."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    text = unreachable(CREDENTIALS, "https://oauth.example")
    assert text.startswith(f"Cannot read the certificates to trust from {tmp_path / 'none.pem'}")


@pytest.mark.parametrize("base_url", ["http://oauth.example", "nonsense", ""])
def test_invalid_base_url(base_url: str) -> None:
    """A base URL that can't be right is a failed check, too."""
    assert "base_url" in unreachable(CREDENTIALS, base_url)


def test_own_client() -> None:
    """The checks go through the httpx client that is given, which stays open."""
    sent: list[str] = []

    def respond(request: httpx.Request) -> httpx.Response:
        sent.append(f"{request.method} {request.url.host}{request.url.path}")
        return httpx.Response(200, text="<html>")

    with httpx.Client(transport=httpx.MockTransport(respond)) as own:
        report = check_service(CREDENTIALS, client=own)
        assert not own.is_closed
    assert sent[:2] == [
        "GET oauth.pipedrive.com/oauth/authorize",
        "POST oauth.pipedrive.com/oauth/token/",
    ]
    assert statuses(report)["clock"] == "unknown"


@pytest.mark.parametrize(
    ("offset", "status", "text"),
    [
        (0, "ok", "agrees"),
        (-20, "ok", "differs from the service's by "),
        (300, "failed", "seconds ahead of the service's. Synchronize it"),
        (-300, "failed", "seconds behind the service's. Synchronize it"),
    ],
)
def test_clock(box: PipedriveSandbox, offset: int, status: str, text: str) -> None:
    """A clock that differs from the service's by more than half a minute fails."""
    report = check_service(
        box.credentials,
        base_url=box.base_url,
        clock=lambda: datetime.now(UTC) + timedelta(seconds=offset),
    )
    result = next(each for each in report.results if each.name == "clock")
    assert result.status == status
    assert text in result.message


@pytest.mark.parametrize("date", ["", "yesterday", "Mon, 99 Foo 2026 00:00:00 GMT"])
def test_unreadable_time_of_the_service(date: str) -> None:
    """A service without a readable Date leaves the clock unknown."""

    def respond(_: httpx.Request) -> httpx.Response:
        return httpx.Response(400, headers={"Date": date} if date else {})

    with httpx.Client(transport=httpx.MockTransport(respond)) as own:
        assert statuses(check_service(CREDENTIALS, client=own))["clock"] == "unknown"


# --- The store ---


def a_token(**changes: Any) -> Token:
    """Return a token."""
    token = Token(access_token="planted-access", refresh_token="planted-refresh",
                  expires_at=datetime(2030, 1, 1, tzinfo=UTC))  # fmt: skip
    return evolve(token, **changes)


def test_each_kind_of_store(tmp_path: Path) -> None:
    """Memory, files, SQLite and encrypted stores pass."""
    key = Fernet.generate_key()
    with SQLTokenStore(f"sqlite:///{tmp_path / 'tokens.db'}") as database:
        for store, rights in (
            (MemoryTokenStore(), "skipped"),
            (EncryptedTokenStore(MemoryTokenStore(), key), "skipped"),
            (FileTokenStore(tmp_path / "files"), "ok"),
            (EncryptedTokenStore(FileTokenStore(tmp_path / "sealed"), key), "ok"),
            (database, "ok"),
        ):
            store.save("acme", a_token())
            report = check_store(store)
            assert report.ok, report
            assert statuses(report)["store_rights"] == (rights if os.name == "posix" else "skipped")
            assert list(store.accounts()) == ["acme"]
            assert store.load("acme") == a_token()


@pytest.mark.skipif(os.name != "posix", reason="Windows has other rights")
def test_rights(tmp_path: Path) -> None:
    """Rights of other users are named, with the command that removes them."""
    folder = tmp_path / "tokens"
    store = FileTokenStore(folder)
    folder.chmod(0o777)
    report = check_store(store)
    assert report.failed
    assert "chmod" in " ".join(each.message for each in report.failed)
    path = tmp_path / "tokens.db"
    with SQLTokenStore(f"sqlite:///{path}") as database:
        database.save("acme", a_token())
        path.chmod(0o644)
        assert "chmod" in " ".join(each.message for each in check_store(database).failed)


class Failing(MemoryTokenStore):
    """A store of which one method fails."""

    def __init__(self, method: str, error: Exception) -> None:
        super().__init__()
        super().save("acme", a_token())

        def fail(*_: object) -> NoReturn:
            raise error

        self.fail = fail
        setattr(self, method, fail)


@pytest.mark.parametrize(
    ("method", "failing"),
    [
        ("accounts", ["store"]),
        ("lock", ["store_lock"]),
        ("save", ["store_write"]),
        ("delete", ["store_write"]),
        ("load", ["store_write", "tokens"]),
    ],
)
@pytest.mark.parametrize("error", [StoreError("The disk is full."), RuntimeError("planted")])
def test_store_that_fails(method: str, failing: list[str], error: Exception) -> None:
    """Whatever a method of a store raises is a failed check, without foreign texts."""
    report = check_store(Failing(method, error))
    assert [each.name for each in report.failed] == failing
    text = report.failed[0].message
    assert text == ("The disk is full." if isinstance(error, StoreError) else "RuntimeError")
    assert report.failed[0].error is error
    assert "planted" not in str(report) + str(report.to_dict())
    assert list(statuses(report)) == STORE


def test_store_that_forgets() -> None:
    """A store that does not keep what was saved, or keeps what was deleted, fails."""

    class Forgetting(MemoryTokenStore):
        def save(self, account: str, token: Token) -> None:
            del account, token

    class Keeping(MemoryTokenStore):
        def delete(self, account: str) -> None:
            del account

    assert "was not loaded" in message(check_store(Forgetting()), "store_write")
    assert "is still there" in message(check_store(Keeping()), "store_write")


def test_keys_that_do_not_open(store: FileTokenStore) -> None:
    """Tokens under another key, without a key, in the clear or damaged are named."""
    sealed = EncryptedTokenStore(store, Fernet.generate_key())
    sealed.save("acme", a_token())
    sealed.save("globex", a_token())
    text = message(check_store(EncryptedTokenStore(store, Fernet.generate_key())), "tokens")
    assert text.startswith("2 of 2 stored tokens can't be read: 'acme', 'globex'. The first one: ")
    assert "opened without keys" in message(check_store(store), "tokens")
    store.save("clear", a_token())
    text = message(check_store(sealed), "tokens")
    assert text.startswith("1 of 3 stored tokens can't be read: 'clear'.")
    assert "planted" not in text


def test_damaged_token(store: FileTokenStore, tmp_path: Path) -> None:
    """A damaged token is named, and left as it is."""
    store.save("acme", a_token())
    path = tmp_path / "tokens" / "token-acme.json"
    path.write_bytes(b"{garbage")
    assert "'acme'" in message(check_store(store), "tokens")
    assert path.read_bytes() == b"{garbage"


def test_probe_of_another_check(store: FileTokenStore) -> None:
    """The probe of a check that was killed is no account of the app."""
    store.save("pipedrive-oauth check 0123abcd", a_token(token_type="encrypted"))
    assert check_store(store).ok


def test_no_store() -> None:
    """What is no store, and what is no clock, is refused."""
    with pytest.raises(ConfigurationError, match="store must be a token store"):
        untyped(check_store)({})
    with pytest.raises(ConfigurationError, match="clock"):
        untyped(check_service)(CREDENTIALS, clock=datetime.now)
