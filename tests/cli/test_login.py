"""`login`: the browser, the callback, and what is stored."""

from __future__ import annotations

import io
import json
import os
import shlex
import shutil
import socket
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from attrs import evolve

from pipedrive_oauth_client import PipedriveOAuth, StoreError, Token
from pipedrive_oauth_client.cli import login
from pipedrive_oauth_client.cli.callback_server import Page
from pipedrive_oauth_client.sandbox import Fault, SandboxServer
from pipedrive_oauth_client.stores import FileTokenStore, MemoryTokenStore
from pipedrive_oauth_client.users import fetch_current_user
from tests.cli.conftest import BrowserUser, Ran
from tests.support.tls import UNTRUSTING

Run = Callable[..., Ran]
pytestmark = pytest.mark.usefixtures("no_waits")
EXCHANGE = "/oauth/token"
ME = "/api/v1/users/me"


@pytest.fixture
def stored(store: FileTokenStore, granted: Callable[[], Token]) -> Token:
    """A stored token, under the name that a login chooses."""
    token = granted()
    store.save("1:11", token)
    return token


def test_login_saves_under_company_and_user(
    run: Run, browser_user: BrowserUser, store: FileTokenStore, box: SandboxServer
) -> None:
    """A login saves the token under the IDs of company and user, and reports that."""
    ran = run("login")
    assert ran.code == 0, ran.err
    assert ran.out.startswith("Logged in: Alex Moreno of Acme. Saved as 1:11 in file ")
    token = store.load("1:11")
    assert token is not None
    assert token.api_domain == box.base_url
    assert browser_user.page().status_code == 200
    assert "You are logged in" in browser_user.page().text


@pytest.mark.usefixtures("browser_user")
def test_login_past_a_proxy(run: Run, store: FileTokenStore) -> None:
    """A service on this machine is reached directly, despite HTTP_PROXY."""
    proxy = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY"), "http://127.0.0.1:1")
    ran = run("login", **proxy)
    assert ran.code == 0, ran.err
    assert list(store.accounts()) == ["1:11"]


@pytest.mark.usefixtures("browser_user")
def test_login_under_a_name(run: Run, store: FileTokenStore) -> None:
    """With --account the token is stored under that name, and JSON names the account."""
    ran = run("login", "--account", "acme", "--json")
    assert ran.code == 0, ran.err
    result = json.loads(ran.out)
    assert (result["account"], result["state"]) == ("acme", "valid")
    assert list(store.accounts()) == ["acme"]


@pytest.mark.usefixtures("browser_user")
def test_login_again_replaces_the_token(run: Run, store: FileTokenStore, stored: Token) -> None:
    """A second login of the same user replaces the token."""
    assert run("login").code == 0
    assert store.load("1:11") not in (None, stored)


def test_page_does_not_leak_its_url(run: Run, browser_user: BrowserUser) -> None:
    """The page contains neither code nor state, loads nothing, and is not cached."""
    run("login")
    page = browser_user.page()
    query = parse_qs(urlsplit(browser_user.callbacks[0]).query)
    assert query["code"][0] not in page.text + str(page.headers)
    assert query["state"][0] not in page.text + str(page.headers)
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "frame-ancestors 'none'" in policy
    assert "src=" not in page.text
    assert "href=" not in page.text


def test_declined(
    run: Run, browser_user: BrowserUser, store: FileTokenStore, stored: Token
) -> None:
    """Declining ends the login with one line and code 4, and the page says so."""
    browser_user.approve = False
    ran = run("login")
    assert ran.code == 4
    assert ran.err.splitlines()[-1] == (
        "Error: The authorization was not granted (user_denied). Nothing was changed; run the login"
        " again if that was a mistake."
    )
    assert "Access was declined" in browser_user.page().text
    assert store.load("1:11") == stored


@pytest.mark.usefixtures("box")
def test_stray_requests_end_nothing(
    run: Run, browser_user: BrowserUser, store: FileTokenStore
) -> None:
    """Requests with another state, path or method get a page each, and the login continues."""
    statuses: list[int] = []

    def stray(callback: str) -> None:
        url = httpx.URL(callback)
        with httpx.Client(verify=UNTRUSTING, trust_env=False) as client:
            for method, target in (
                ("GET", url.copy_with(params={"code": "x", "state": "wrong"})),
                ("GET", url.copy_with(params={"error": "access_denied"})),
                ("GET", url.copy_with(params={})),
                ("GET", url.join("/favicon.ico")),
                ("GET", url.join("/")),
                ("POST", url),
                ("HEAD", url),
                ("DELETE", url),
            ):
                statuses.append(client.request(method, target).status_code)

    browser_user.before = stray
    ran = run("login")
    assert ran.code == 0, ran.err
    assert statuses == [400, 400, 400, 404, 404, 405, 405, 405]
    assert browser_user.page().status_code == 200
    assert store.load("1:11") is not None


UNREADABLE = {
    "not UTF-8": "%FF",
    "a question mark in a name": "?a?b=1",
    "101 fields": "&".join(f"a{number}=1" for number in range(101)),
    "20,000 characters": "a=" + 20_000 * "x",
    "half a character in the state": "state=%ED%A0%80",
    "two states": "state=a&state=b",
    "an error without a state": "error=access_denied",
}


def test_unreadable_callbacks_end_nothing(
    run: Run, browser_user: BrowserUser, store: FileTokenStore
) -> None:
    """Callbacks that cannot be read get the page for strangers, and the login continues."""
    pages: dict[str, tuple[int, bool]] = {}

    def stray(callback: str) -> None:
        address = urlsplit(callback)
        for name, query in UNREADABLE.items():
            with socket.create_connection((address.hostname, address.port), timeout=20) as sent:
                sent.sendall(f"GET {address.path}?{query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                page = sent.makefile("rb").read()
            pages[name] = (int(page.split()[1]), b"The login in the terminal is still" in page)

    browser_user.before = stray
    ran = run("login")
    assert ran.code == 0, ran.err
    assert pages == dict.fromkeys(UNREADABLE, (400, True))
    assert store.load("1:11") is not None


def test_error_with_the_right_state_ends_the_login(run: Run, browser_user: BrowserUser) -> None:
    """A callback with the right state and no usable code ends the login, and the page says so."""

    def spoil(callback: str) -> bool:
        state = parse_qs(urlsplit(callback).query)["state"][0]
        with httpx.Client(verify=UNTRUSTING, trust_env=False, timeout=20) as client:
            url = httpx.URL(callback).copy_with(params={"state": state})
            browser_user.pages.append(client.get(url))
        return False

    browser_user.before = spoil
    ran = run("login")
    assert ran.code == 7
    assert "carries no code" in ran.err
    assert "The login failed" in browser_user.page().text


@pytest.mark.usefixtures("store")
def test_silent_connections_do_not_block_the_browser(run: Run, browser_user: BrowserUser) -> None:
    """Open, half-closed and reset connections, and garbage, do not delay the browser."""
    opened: list[socket.socket] = []

    def stray(callback: str) -> None:
        address = ("127.0.0.1", urlsplit(callback).port or 0)
        for number in range(12):
            each = socket.create_connection(address, timeout=5)
            opened.append(each)
            if number % 4 == 1:
                each.shutdown(socket.SHUT_WR)
            elif number % 4 == 2:
                each.sendall(b"\x16\x03\x01 garbage\r\n\r\n")
            elif number % 4 == 3:
                each.close()

    browser_user.before = stray
    ran = run("login")
    for each in opened:
        each.close()
    assert ran.code == 0, ran.err
    assert browser_user.page().status_code == 200


def test_second_callback_changes_nothing(
    run: Run, browser_user: BrowserUser, box: SandboxServer
) -> None:
    """The code of a callback that arrives twice is exchanged once."""
    exchanges = box.requests.count(grant_type="authorization_code")
    browser_user.before = lambda callback: browser_user.threads.append(_visit_later(callback))
    ran = run("login")
    assert ran.code == 0, ran.err
    assert box.requests.count(grant_type="authorization_code") == exchanges + 1


def _visit_later(callback: str) -> threading.Thread:
    def visit() -> None:
        with httpx.Client(verify=UNTRUSTING, trust_env=False, timeout=20) as client:
            assert client.get(callback).status_code in (200, 409)

    thread = threading.Thread(target=visit)
    thread.start()
    return thread


def test_browser_does_not_return(
    run: Run, monkeypatch: pytest.MonkeyPatch, store: FileTokenStore, stored: Token
) -> None:
    """After the timeout the error is one line with code 5, and the store is unchanged."""
    monkeypatch.setattr(login, "open_browser", lambda _url: True)
    ran = run("login", "--timeout", "1")
    assert ran.code == 5
    assert ran.err.splitlines()[-1].startswith("Error: The browser did not return within 1")
    assert store.load("1:11") == stored


@pytest.mark.usefixtures("store")
def test_port_is_taken(run: Run, browser_user: BrowserUser, box: SandboxServer) -> None:
    """A port in use is code 6 in one line, and no page is opened."""
    port = urlsplit(box.app.redirect_uri).port or 0
    with socket.create_server(("127.0.0.1", port)):
        ran = run("login")
    assert ran.code == 6
    assert ran.err.count("\n") == 1
    assert f"Cannot listen on port {port} of the redirect URI: another program" in ran.err
    assert browser_user.threads == []


def test_listens_on_loopback_alone(run: Run, browser_user: BrowserUser) -> None:
    """During a login the port is open on the loopback interface only."""
    refused: list[bool] = []

    def look(callback: str) -> None:
        port = urlsplit(callback).port or 0
        own = "127.0.0.1"  # the only one where there is no network
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, suppress(OSError):
            probe.connect(("192.0.2.1", 9))  # nothing is sent
            own = probe.getsockname()[0]
        with socket.socket() as other:
            refused.append(own.startswith("127.") or other.connect_ex((own, port)) != 0)

    browser_user.before = look
    assert run("login").code == 0
    assert refused == [True]


@pytest.mark.usefixtures("box")
def test_wrong_secret(
    run: Run, browser_user: BrowserUser, store: FileTokenStore, stored: Token
) -> None:
    """A wrong client secret is code 9 with advice, and is never shown."""
    ran = run("login", PIPEDRIVE_CLIENT_SECRET="another-secret-0123456789")
    assert ran.code == 9
    assert "Check the client ID and the client secret" in ran.err.splitlines()[-1]
    assert "another-secret" not in ran.out + ran.err + browser_user.page().text
    assert "The login failed" in browser_user.page().text
    assert store.load("1:11") == stored


@pytest.mark.parametrize(
    ("fault", "code"),
    [(Fault.status(500), 8), (Fault.status(429, retry_after=600), 8), (Fault.garbage(), 8)],
    ids=["unavailable", "rate limited", "invalid"],
)
@pytest.mark.usefixtures("browser_user")
def test_service_fails(
    run: Run, box: SandboxServer, store: FileTokenStore, stored: Token,
    fault: Fault, code: int,
) -> None:  # fmt: skip
    """If the exchange fails, the error is one line with its code, and the store is unchanged."""
    box.faults.add(EXCHANGE, fault, times=20)
    ran = run("login")
    assert ran.code == code
    assert ran.err.splitlines()[-1].startswith("Error: ")
    assert store.load("1:11") == stored


@pytest.mark.usefixtures("browser_user")
def test_unknown_owner_without_a_name(
    run: Run, box: SandboxServer, store: FileTokenStore, stored: Token
) -> None:
    """If Pipedrive does not name the user, the error asks for --account."""
    box.faults.add(ME, Fault.status(500), times=5)
    ran = run("login")
    assert ran.code == 8
    last = ran.err.splitlines()[-1]
    assert last.startswith("Error: Pipedrive has granted access, but the token was not saved;")
    assert "status 500" in last
    assert "--account NAME" in last
    assert store.load("1:11") == stored
    assert list(store.accounts()) == ["1:11"]


@pytest.mark.usefixtures("browser_user")
def test_owner_that_is_too_long(run: Run, box: SandboxServer) -> None:
    """An endless response about the user is not read to its end."""
    box.faults.add(ME, Fault.oversized(2 * 1024 * 1024))
    ran = run("login")
    assert ran.code == 8
    assert "the body is larger than max_response_bytes" in ran.err


@pytest.mark.usefixtures("browser_user")
def test_owner_that_steers_a_terminal(run: Run, box: SandboxServer) -> None:
    """Names of users and companies are shown without control characters."""
    data = {"id": 7, "company_id": 8, "name": "A\x1b[31m", "company_name": "B\x07\u202eC\n"}
    box.faults.add(ME, Fault.override({"data": data}))
    ran = run("login")
    assert ran.out.startswith("Logged in: A [31m of B C. Saved as 8:7 in ")


@pytest.mark.usefixtures("browser_user")
def test_unknown_owner_with_a_name(run: Run, box: SandboxServer, store: FileTokenStore) -> None:
    """With --account, a login works even if Pipedrive does not name the user."""
    box.faults.add(ME, Fault.status(500), times=5)
    ran = run("login", "--account", "acme")
    assert ran.code == 0, ran.err
    assert store.load("acme") is not None


@pytest.mark.usefixtures("browser_user")
def test_another_companys_token_stays(run: Run, store: FileTokenStore, stored: Token) -> None:
    """Another company's token of the same name is replaced only with --replace."""
    other = evolve(stored, api_domain="https://globex.pipedrive.com")
    store.save("acme", other)
    ran = run("login", "--account", "acme")
    assert ran.code == 2
    assert "holds a token of https://globex.pipedrive.com" in ran.err
    assert store.load("acme") == other
    assert run("login", "--account", "acme", "--replace").code == 0
    assert store.load("acme") != other


@pytest.mark.usefixtures("browser_user", "stored")
def test_damaged_token_is_replaced(run: Run, folder: Path) -> None:
    """A login replaces a stored token that cannot be read."""
    (file,) = folder.glob("token-*.json")
    file.write_bytes(b"\x00garbage")
    ran = run("login")
    assert ran.code == 0, ran.err
    assert FileTokenStore(folder).load("1:11") is not None


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://u:hunter2@127.0.0.1:1/x",
        "redis://:hunter2@127.0.0.1:1/0",
        "sqlite:////proc/nowhere/tokens.db",
        "file:///proc/nowhere/tokens",
    ],
)
def test_store_is_checked_before_the_browser_opens(
    run: Run, browser_user: BrowserUser, url: str
) -> None:
    """A store that does not work is code 10, before a page is opened."""
    ran = run("login", PIPEDRIVE_OAUTH_STORE=url)
    assert ran.code == 10
    assert ran.err.count("\n") == 1
    assert "hunter2" not in ran.out + ran.err
    assert browser_user.threads == []


class ReadOnlyStore(MemoryTokenStore):
    """A store that can be read but not written."""

    def lock(self, account: str) -> NoReturn:
        """Fail: a lock has to be written."""
        raise StoreError(f"{account} can't be written.")


@pytest.mark.parametrize("account", [None, "acme"])
def test_read_only_store_is_detected(account: str | None) -> None:
    """`check_store` fails if the store cannot be written."""
    login.check_store(MemoryTokenStore(), account)
    with pytest.raises(StoreError, match="can't be written"):
        login.check_store(ReadOnlyStore(), account)


class FailingStore(MemoryTokenStore):
    """A store whose first saves fail."""

    def __init__(self, failures: int) -> None:
        super().__init__()
        self.failures = failures
        self.saves = 0

    def save(self, account: str, token: Token) -> None:
        """Fail, or save."""
        self.saves += 1
        if self.saves <= self.failures:
            raise StoreError("The disk is full. Make room.")
        super().save(account, token)


@pytest.mark.usefixtures("browser_user")
def test_ctrl_c_at_the_save(
    run: Run, store: FileTokenStore, stored: Token, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A login that is stopped after Pipedrive has granted access says that no token was saved."""

    def interrupted(_store: FileTokenStore, _account: str, _token: Token) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(FileTokenStore, "save", interrupted)
        ran = run("login")
    assert (ran.code, ran.out) == (130, "")
    assert "Pipedrive has granted access, but the token was not saved" in ran.err
    assert store.load("1:11") == stored


@pytest.mark.parametrize(("failures", "is_saved"), [(2, True), (3, False)])
@pytest.mark.usefixtures("stored")
def test_store_that_fails_at_the_save(
    oauth: PipedriveOAuth, box: SandboxServer, failures: int, *, is_saved: bool
) -> None:
    """A save is tried several times; if all fail, the error says what to do."""
    store = FailingStore(failures)
    messages: list[str] = []

    class Visits:
        def code(self) -> str:
            request = oauth.authorization_url()
            return oauth.read_callback(box.visit(request.url), request.state)

        def finish(self, page: Page) -> None:
            messages.append(page.title)

    job = login.Login(oauth, store, Visits(), "acme", False, None, messages.append)
    if is_saved:
        job.run()
        assert store.load("acme") is not None
        assert messages[-1] == "You are logged in"
    else:
        with pytest.raises(Exception, match=r"has granted access, but .* Then run the login again"):
            job.run()
        assert store.load("acme") is None
        assert messages[-1] == "The login failed"
    assert store.saves == 3
    assert "The disk is full" in messages[0]


def test_paste(run: Run, box: SandboxServer, monkeypatch: pytest.MonkeyPatch, store: Any) -> None:
    """With --paste the URL is read from the input, and no port is opened."""
    pasted = io.StringIO()

    def say(text: str) -> None:
        for word in text.split():
            if word.startswith("http") and "/oauth/authorize?" in word:
                pasted.write(f" {box.visit(word)} \n")
                pasted.seek(0)

    monkeypatch.setattr(login, "say", say)
    monkeypatch.setattr(sys, "stdin", pasted)
    port = urlsplit(box.app.redirect_uri).port or 0
    with socket.create_server(("127.0.0.1", port)):
        ran = run("login", "--paste")
    assert ran.code == 0, ran.err
    assert store.load("1:11") is not None


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("http://127.0.0.1/callback?code=planted-code&state=wrong", 7, "another state"),
        ("http://127.0.0.1/callback?code=planted-code", 7, "no state"),
        ("", 2, "No URL was pasted"),
    ],
)
def test_wrong_paste(
    run: Run, monkeypatch: pytest.MonkeyPatch, store: FileTokenStore, stored: Token,
    line: str, code: int, words: str,
) -> None:  # fmt: skip
    """A pasted URL with a wrong state, or none, is an error that does not repeat it."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{line}\n" if line else ""))
    ran = run("login", "--paste")
    assert ran.code == code
    assert words in ran.err.splitlines()[-1]
    assert "planted-code" not in ran.err
    assert store.load("1:11") == stored


@pytest.mark.parametrize(
    "uri", ["https://127.0.0.1:8123/callback", "https://app.example.com/cb", "http://10.0.0.1/cb"]
)
def test_other_redirect_uris_are_pasted(
    run: Run, monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    """For a redirect URI of another machine the command prompts for the URL."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    ran = run("login", PIPEDRIVE_REDIRECT_URI=uri)
    assert ran.code == 2
    assert f"the browser opens {uri}?" in ran.err


@pytest.mark.parametrize("arguments", [(), ("--no-browser",)])
def test_no_browser(run: Run, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]) -> None:
    """Without a browser, or with --no-browser, the URL is printed and nothing is opened."""
    opened: list[str] = []
    monkeypatch.setattr(login, "open_browser", opened.append)
    ran = run("login", "--timeout", "1", *arguments)
    assert ran.code == 5
    assert "Open this URL in a browser on this machine:" in ran.err
    assert "/oauth/authorize?client_id=" in ran.err
    assert len(opened) == (0 if arguments else 1)


@pytest.mark.usefixtures("browser_user")
def test_memory_store(run: Run) -> None:
    """A login with a memory store works, and warns that the token is gone."""
    ran = run("login", "--store", "memory:")
    assert ran.code == 0, ran.err
    assert "the token is gone now" in ran.err


@pytest.mark.parametrize(
    ("program", "timeout", "opens"),
    [("true", 20, True), ("false", 20, False), ("sleep 2; true", 0.1, True), (None, 20, False)],
    ids=["works", "fails", "stays", "nothing to open with"],
)
def test_opening_a_browser(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str | None, timeout: float,
    *, opens: bool,
) -> None:  # fmt: skip
    """`open_browser` returns whether a browser opened, without waiting for its end."""
    monkeypatch.setattr(login, "_OPENER_SECONDS", timeout)
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    shell = shutil.which("sh")
    script = tmp_path / "browser"
    lines = [
        f"#!{shell}",
        f"PATH={shlex.quote(os.environ['PATH'])}",
        f"cd {shlex.quote(str(tmp_path))}",
        'echo "$1" > url',
        "env > environment",
        f"{shlex.quote(sys.executable)} -c 'import os; print(os.getsid(0))' > session",
        program or "",
    ]
    script.write_text("\n".join(lines) + "\n", encoding="utf-8")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))  # without another browser
    if program is not None:
        monkeypatch.setenv("BROWSER", f"{shlex.quote(str(script))} %s")
    monkeypatch.setenv("PIPEDRIVE_CLIENT_SECRET", "planted")
    assert login.open_browser("http://127.0.0.1/?a=b&c='d'") is opens
    if program in ("true", "false"):
        assert (tmp_path / "url").read_text() == "http://127.0.0.1/?a=b&c='d'\n"
        assert "planted" not in (tmp_path / "environment").read_text()
        # Ctrl-C in the terminal does not reach the browser.
        assert int((tmp_path / "session").read_text()) != os.getsid(0)


# --- The same host and another company ---


def test_company_decides_and_not_the_host(
    run: Run, browser_user: BrowserUser, store: FileTokenStore, granted: Callable[[], Token],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Another company's token is kept where the hosts are equal, and replaced with --replace."""
    del browser_user
    stored = granted()
    store.save("acme", stored)
    real = fetch_current_user

    def fetch(token: Token, *rest: Any) -> Any:
        user = real(token, *rest)
        return evolve(user, company_id=7) if token == stored else user

    monkeypatch.setattr(login, "fetch_current_user", fetch)
    ran = run("login", "--account", "acme")
    assert ran.code == 2
    assert "The account 'acme' holds a token of company 7, and the new token is of company 1." in (
        ran.err
    )
    assert store.load("acme") == stored
    assert run("login", "--account", "acme", "--replace").code == 0
    assert store.load("acme") != stored


def test_company_of_the_name(
    run: Run, browser_user: BrowserUser, store: FileTokenStore, granted: Callable[[], Token]
) -> None:
    """A name made of company and user is that company's, also where its token has expired."""
    del browser_user
    stored = evolve(granted(), expires_at=datetime(2026, 1, 1, tzinfo=UTC))
    store.save("7:11", stored)
    ran = run("login", "--account", "7:11")
    assert ran.code == 2
    assert "holds a token of company 7, and the new token is of company 1." in ran.err
    assert store.load("7:11") == stored


def test_company_whose_domain_has_changed(
    run: Run, browser_user: BrowserUser, store: FileTokenStore, granted: Callable[[], Token],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A company that has another domain now is still the same company."""
    del browser_user
    stored = evolve(granted(), api_domain="https://old.pipedrive.com")
    store.save("acme", stored)
    real = fetch_current_user

    def fetch(token: Token, *rest: Any) -> Any:
        return real(evolve(token, api_domain=real_domain), *rest)

    real_domain = granted().api_domain
    monkeypatch.setattr(login, "fetch_current_user", fetch)
    assert run("login", "--account", "acme").code == 0
    assert store.load("acme") != stored


# --- Another machine, and the prompt ---


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither SSH nor a container, as far as the environment says."""
    for name in ("SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "exists", lambda _path: False)


@pytest.mark.usefixtures("local")
@pytest.mark.parametrize(
    ("variables", "opens", "said"),
    [
        ({}, True, None),
        ({}, False, "If your browser is on another machine, press Ctrl-C and run:"),
        ({"SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22"}, False, "This is an SSH session; if your "),
        ({"SSH_TTY": "/dev/pts/1"}, True, "This is an SSH session; if your browser is on your own"),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, False, "This is a container; if your browser"),
    ],
)
def test_browser_of_another_machine(
    run: Run, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], said: str | None,
    *, opens: bool,
) -> None:  # fmt: skip
    """Over SSH, in a container or without a browser, --paste is named at once, and at the end."""
    monkeypatch.setattr(login, "open_browser", lambda _url: opens)
    ran = run("login", "--timeout", "1", **variables)
    assert ran.code == 5
    assert "Run the command again: with --paste if the browser is on another machine" in ran.err
    before = ran.err.partition("Error: ")[0]
    assert ("pipedrive-oauth login --paste" in before) == (said is not None)
    assert said is None or said in before


def test_container_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container of Docker or Podman is known by its file."""
    for name in ("SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    for file in ("/.dockerenv", "/run/.containerenv"):
        monkeypatch.setattr(Path, "exists", lambda path, file=file: str(path) == file)
        assert (login.remote_reason() or "").startswith("This is a container")
    monkeypatch.setattr(Path, "exists", lambda _path: False)
    assert login.remote_reason() is None


def test_typo_in_the_prompt(
    run: Run, box: SandboxServer, monkeypatch: pytest.MonkeyPatch, store: FileTokenStore
) -> None:
    """In a terminal a wrong URL is asked for again; what was pasted is not repeated."""
    urls: list[str] = []
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        urls.extend(word for word in text.split() if "/oauth/authorize?" in word)

    def ask(_prompt: str) -> str:
        callback = box.visit(urls[0]) if len(said) > 6 else "https://planted/cb?code=planted-code"
        answers = ["", "planted-nonsense", "planted?a?b=%FF", callback.replace("state=", "stat=")]
        return answers[len(said) - 2] if len(said) < 6 else callback

    monkeypatch.setattr(login, "say", say)
    monkeypatch.setattr(login, "say_prose", say)
    monkeypatch.setattr(login, "can_ask", lambda: True)
    monkeypatch.setattr(login, "ask_hidden", ask)
    ran = run("login", "--paste")
    assert ran.code == 0, ran.err
    assert [text.partition(".")[0] for text in said[2:6]] == [
        "Nothing was pasted",
        "The callback carries no state, so it may come from an attacker",
        "The callback is not a URL or query that can be read",
        "The callback carries no state, so it may come from an attacker",
    ]
    assert all("Paste the whole URL again" in text for text in said[2:7])
    assert "planted" not in "".join(said[2:])
    assert store.load("1:11") is not None


# --- Off the main thread ---


def in_a_thread(work: Callable[[], Ran]) -> Ran:
    """Run something in another thread, and return its result."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result(60)


@pytest.mark.usefixtures("browser_user")
def test_login_outside_the_main_thread(run: Run, store: FileTokenStore) -> None:
    """A program can log in from a thread that gets no signals."""
    ran = in_a_thread(lambda: run("login"))
    assert ran.code == 0, ran.err
    assert store.load("1:11") is not None


def test_paste_outside_the_main_thread(
    run: Run, box: SandboxServer, monkeypatch: pytest.MonkeyPatch, store: FileTokenStore
) -> None:
    """There the prompt has no time limit, and says so."""
    pasted = io.StringIO()
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        for word in text.split():
            if "/oauth/authorize?" in word:
                pasted.write(f"{box.visit(word)}\n")
                pasted.seek(0)

    monkeypatch.setattr(login, "say", say)
    monkeypatch.setattr(sys, "stdin", pasted)
    ran = in_a_thread(lambda: run("login", "--paste"))
    assert ran.code == 0, ran.err
    assert said[-1] == "Outside the main thread this prompt has no time limit."
    assert store.load("1:11") is not None
