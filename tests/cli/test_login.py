from __future__ import annotations

import io
import json
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from attrs import evolve

from pipedrive_oauth_client import PipedriveOAuth, StoreError, Token
from pipedrive_oauth_client.cli import login
from pipedrive_oauth_client.cli import login as arrivals
from pipedrive_oauth_client.cli.callback_server import Page, listen, loopback_of
from pipedrive_oauth_client.sandbox import Fault, SandboxServer
from pipedrive_oauth_client.stores import FileTokenStore, MemoryTokenStore
from tests.cli.conftest import Person, Ran, free_port
from tests.support.tls import UNTRUSTING

Run = Callable[..., Ran]
pytestmark = pytest.mark.usefixtures("impatient")
EXCHANGE = "/oauth/token"
ME = "/api/v1/users/me"


@pytest.fixture
def kept(store: FileTokenStore, granted: Callable[[], Token]) -> Token:
    """A token that is stored already, under the name that a login would choose."""
    token = granted()
    store.save("1:11", token)
    return token


def test_login_saves_under_company_and_user(
    run: Run, person: Person, store: FileTokenStore, box: SandboxServer
) -> None:
    """A login exchanges the code, names the account as Pipedrive does, saves, and says so."""
    ran = run("login")
    assert ran.code == 0, ran.err
    assert ran.out.startswith("Logged in: Alex Moreno of Acme. Saved as 1:11 in file ")
    token = store.load("1:11")
    assert token is not None
    assert token.api_domain == box.base_url
    assert person.page().status_code == 200
    assert "You are logged in" in person.page().text


@pytest.mark.usefixtures("person")
def test_login_past_a_proxy(run: Run, store: FileTokenStore) -> None:
    """What stays on this machine does not go by the proxy that the environment names."""
    proxy = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY"), "http://127.0.0.1:1")
    ran = run("login", **proxy)
    assert ran.code == 0, ran.err
    assert list(store.accounts()) == ["1:11"]


@pytest.mark.usefixtures("person")
def test_login_under_a_name(run: Run, store: FileTokenStore) -> None:
    """With a name of one's own the token is stored under it, in JSON told without secrets."""
    ran = run("login", "--account", "acme", "--json")
    assert ran.code == 0, ran.err
    told = json.loads(ran.out)
    assert (told["account"], told["state"]) == ("acme", "valid")
    assert list(store.accounts()) == ["acme"]


@pytest.mark.usefixtures("person")
def test_login_again_takes_the_place(run: Run, store: FileTokenStore, kept: Token) -> None:
    """A person who logs in again gets a new token in place of the old one."""
    assert run("login").code == 0
    assert store.load("1:11") not in (None, kept)


def test_page_keeps_its_address_to_itself(run: Run, person: Person) -> None:
    """The page holds neither code nor state, loads nothing, and is kept by nobody."""
    run("login")
    page = person.page()
    query = parse_qs(urlsplit(person.callbacks[0]).query)
    assert query["code"][0] not in page.text + str(page.headers)
    assert query["state"][0] not in page.text + str(page.headers)
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "frame-ancestors 'none'" in policy
    assert "src=" not in page.text
    assert "href=" not in page.text


def test_declined(run: Run, person: Person, store: FileTokenStore, kept: Token) -> None:
    """A person who says no ends it with one line and code 4; page and store say so, too."""
    person.approve = False
    ran = run("login")
    assert ran.code == 4
    assert ran.err.splitlines()[-1] == (
        "Error: The authorization was not granted (user_denied). Nothing was changed; run the login"
        " again if that was a mistake."
    )
    assert "The app was not let in" in person.page().text
    assert store.load("1:11") == kept


@pytest.mark.usefixtures("box")
def test_stray_requests_end_nothing(run: Run, person: Person, store: FileTokenStore) -> None:
    """Other states, other paths and other methods get a page each, and the login goes on."""
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

    person.before = stray
    ran = run("login")
    assert ran.code == 0, ran.err
    assert statuses == [400, 400, 400, 404, 404, 405, 405, 405]
    assert person.page().status_code == 200
    assert store.load("1:11") is not None


@pytest.mark.usefixtures("store")
def test_connections_that_say_nothing_are_no_hindrance(run: Run, person: Person) -> None:
    """Open, half-closed and reset connections, and garbage, do not keep the browser waiting."""
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

    person.before = stray
    ran = run("login")
    for each in opened:
        each.close()
    assert ran.code == 0, ran.err
    assert person.page().status_code == 200


def test_second_callback_changes_nothing(run: Run, person: Person, box: SandboxServer) -> None:
    """A callback that comes twice is exchanged once."""
    exchanges = box.requests.count(grant_type="authorization_code")
    person.before = lambda callback: person.threads.append(_visit_later(callback))
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


def test_nobody_comes_back(
    run: Run, monkeypatch: pytest.MonkeyPatch, store: FileTokenStore, kept: Token
) -> None:
    """After the time-out there is one line, code 5, and the store as it was."""
    monkeypatch.setattr(arrivals, "open_browser", lambda _url: True)
    ran = run("login", "--timeout", "1")
    assert ran.code == 5
    assert ran.err.splitlines()[-1].startswith("Error: Nobody came back from the browser within 1")
    assert store.load("1:11") == kept


@pytest.mark.usefixtures("store")
def test_port_is_taken(run: Run, person: Person, box: SandboxServer) -> None:
    """Where another program has the port there is one line, code 6, and no page is opened."""
    port = urlsplit(box.app.redirect_uri).port or 0
    with socket.create_server(("127.0.0.1", port)):
        ran = run("login")
    assert ran.code == 6
    assert ran.err.count("\n") == 1
    assert f"Port {port} of the redirect URI can't be used: another program" in ran.err
    assert person.threads == []


def test_listens_on_loopback_alone(run: Run, person: Person) -> None:
    """While it waits, the port is open on the loopback interface and on no other."""
    refused: list[bool] = []

    def look(callback: str) -> None:
        port = urlsplit(callback).port or 0
        own = "127.0.0.1"  # the only one where there is no network
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, suppress(OSError):
            probe.connect(("192.0.2.1", 9))  # nothing is sent
            own = probe.getsockname()[0]
        with socket.socket() as other:
            refused.append(own.startswith("127.") or other.connect_ex((own, port)) != 0)

    person.before = look
    assert run("login").code == 0
    assert refused == [True]


@pytest.mark.usefixtures("box")
def test_wrong_secret(run: Run, person: Person, store: FileTokenStore, kept: Token) -> None:
    """A wrong client secret is named as such with code 9, and never shown."""
    ran = run("login", PIPEDRIVE_CLIENT_SECRET="another-secret-0123456789")
    assert ran.code == 9
    assert "Check the client ID and the client secret" in ran.err.splitlines()[-1]
    assert "another-secret" not in ran.out + ran.err + person.page().text
    assert "The login did not work" in person.page().text
    assert store.load("1:11") == kept


@pytest.mark.parametrize(
    ("fault", "code"),
    [(Fault.status(500), 8), (Fault.status(429, retry_after=600), 8), (Fault.garbage(), 8)],
    ids=["out of order", "too many", "nonsense"],
)
@pytest.mark.usefixtures("person")
def test_service_fails(
    run: Run, box: SandboxServer, store: FileTokenStore, kept: Token,
    fault: Fault, code: int,
) -> None:  # fmt: skip
    """Where the exchange fails there is one line, its code, and the store as it was."""
    box.faults.add(EXCHANGE, fault, times=20)
    ran = run("login")
    assert ran.code == code
    assert ran.err.splitlines()[-1].startswith("Error: ")
    assert store.load("1:11") == kept


@pytest.mark.usefixtures("person")
def test_unknown_owner_without_a_name(
    run: Run, box: SandboxServer, store: FileTokenStore, kept: Token
) -> None:
    """Where Pipedrive does not say whose token it is, the person is told to choose a name."""
    box.faults.add(ME, Fault.status(500), times=5)
    ran = run("login")
    assert ran.code == 8
    last = ran.err.splitlines()[-1]
    assert last.startswith("Error: Pipedrive has granted access, but the token was not saved;")
    assert "status 500" in last
    assert "--account NAME" in last
    assert store.load("1:11") == kept
    assert list(store.accounts()) == ["1:11"]


@pytest.mark.usefixtures("person")
def test_owner_that_is_too_long(run: Run, box: SandboxServer) -> None:
    """An endless answer about the owner is not read to its end."""
    box.faults.add(ME, Fault.oversized(2 * 1024 * 1024))
    ran = run("login")
    assert ran.code == 8
    assert "the body is larger than max_response_bytes" in ran.err


@pytest.mark.usefixtures("person")
def test_owner_that_steers_a_terminal(run: Run, box: SandboxServer) -> None:
    """Names of people and companies come without control characters."""
    data = {"id": 7, "company_id": 8, "name": "A\x1b[31m", "company_name": "B\x07\u202eC\n"}
    box.faults.add(ME, Fault.override({"data": data}))
    ran = run("login")
    assert ran.out.startswith("Logged in: A [31m of B C. Saved as 8:7 in ")


@pytest.mark.usefixtures("person")
def test_unknown_owner_with_a_name(run: Run, box: SandboxServer, store: FileTokenStore) -> None:
    """With a name at hand, it makes no difference whether Pipedrive says whose token it is."""
    box.faults.add(ME, Fault.status(500), times=5)
    ran = run("login", "--account", "acme")
    assert ran.code == 0, ran.err
    assert store.load("acme") is not None


@pytest.mark.usefixtures("person")
def test_another_companys_token_stays(run: Run, store: FileTokenStore, kept: Token) -> None:
    """A name that holds another company's token is taken only with --replace."""
    other = evolve(kept, api_domain="https://globex.pipedrive.com")
    store.save("acme", other)
    ran = run("login", "--account", "acme")
    assert ran.code == 2
    assert "holds a token of https://globex.pipedrive.com" in ran.err
    assert store.load("acme") == other
    assert run("login", "--account", "acme", "--replace").code == 0
    assert store.load("acme") != other


@pytest.mark.usefixtures("person", "kept")
def test_damaged_token_is_replaced(run: Run, folder: Path) -> None:
    """Where what is stored can't be read, logging in again is what mends it."""
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
def test_store_is_tried_before_anybody_is_asked(run: Run, person: Person, url: str) -> None:
    """A store that does not work ends it with code 10 before a page is opened."""
    ran = run("login", PIPEDRIVE_OAUTH_STORE=url)
    assert ran.code == 10
    assert ran.err.count("\n") == 1
    assert "hunter2" not in ran.out + ran.err
    assert person.threads == []


class ReadOnlyStore(MemoryTokenStore):
    """A store that can be read."""

    def lock(self, account: str) -> NoReturn:
        """Fail: a lock has to be written."""
        raise StoreError(f"{account} can't be written.")


@pytest.mark.parametrize("account", [None, "acme"])
def test_store_that_can_not_be_written_is_noticed(account: str | None) -> None:
    """Whether a token could be saved is found out before anybody is asked for anything."""
    login.check_store(MemoryTokenStore(), account)
    with pytest.raises(StoreError, match="can't be written"):
        login.check_store(ReadOnlyStore(), account)


class FailingStore(MemoryTokenStore):
    """A store that takes no token for a while."""

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


@pytest.mark.usefixtures("person")
def test_ctrl_c_at_the_save(
    run: Run, store: FileTokenStore, kept: Token, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who stops a login after Pipedrive has granted access hears that the token is not saved."""

    def interrupted(_store: FileTokenStore, _account: str, _token: Token) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(FileTokenStore, "save", interrupted)
        ran = run("login")
    assert (ran.code, ran.out) == (130, "")
    assert "Pipedrive has granted access, but the token was not saved" in ran.err
    assert store.load("1:11") == kept


@pytest.mark.parametrize(("failures", "is_saved"), [(2, True), (3, False)])
@pytest.mark.usefixtures("kept")
def test_store_that_fails_at_the_save(
    oauth: PipedriveOAuth, box: SandboxServer, failures: int, *, is_saved: bool
) -> None:
    """A save is tried several times; if it never works, the person hears what to do."""
    store = FailingStore(failures)
    told: list[str] = []

    class Visits:
        def code(self) -> str:
            request = oauth.authorization_url()
            return oauth.read_callback(box.visit(request.url), request.state)

        def finish(self, page: Page) -> None:
            told.append(page.title)

    job = login.Login(oauth, store, Visits(), "acme", False, None, told.append)
    if is_saved:
        job.run()
        assert store.load("acme") is not None
        assert told[-1] == "You are logged in"
    else:
        with pytest.raises(Exception, match=r"has granted access, but .* Then run the login again"):
            job.run()
        assert store.load("acme") is None
        assert told[-1] == "The login did not work"
    assert store.saves == 3
    assert "The disk is full" in told[0]


def test_paste(run: Run, box: SandboxServer, monkeypatch: pytest.MonkeyPatch, store: Any) -> None:
    """With --paste the address can be handed over, and no port is listened on."""
    pasted = io.StringIO()

    def say(text: str) -> None:
        for word in text.split():
            if word.startswith("http") and "/oauth/authorize?" in word:
                pasted.write(f" {box.visit(word)} \n")
                pasted.seek(0)

    monkeypatch.setattr(arrivals, "say", say)
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
        ("", 2, "No address was pasted"),
    ],
)
def test_wrong_paste(
    run: Run, monkeypatch: pytest.MonkeyPatch, store: FileTokenStore, kept: Token,
    line: str, code: int, words: str,
) -> None:  # fmt: skip
    """What is pasted with a wrong state, or not at all, ends it and is not repeated."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{line}\n" if line else ""))
    ran = run("login", "--paste")
    assert ran.code == code
    assert words in ran.err.splitlines()[-1]
    assert "planted-code" not in ran.err
    assert store.load("1:11") == kept


@pytest.mark.parametrize(
    "uri", ["https://127.0.0.1:8123/callback", "https://app.example.com/cb", "http://10.0.0.1/cb"]
)
def test_other_redirect_uris_are_pasted(
    run: Run, monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    """Where the browser does not come back to this machine, the address is asked for."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    ran = run("login", PIPEDRIVE_REDIRECT_URI=uri)
    assert ran.code == 2
    assert f"it goes to {uri}?" in ran.err


@pytest.mark.parametrize("arguments", [(), ("--no-browser",)])
def test_nothing_to_open(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    """Without a browser, or with --no-browser, the address is printed and nothing is opened."""
    opened: list[str] = []
    monkeypatch.setattr(arrivals, "open_browser", opened.append)
    ran = run("login", "--timeout", "1", *arguments)
    assert ran.code == 5
    assert "Open this address in a browser on this machine:" in ran.err
    assert "/oauth/authorize?client_id=" in ran.err
    assert len(opened) == (0 if arguments else 1)


@pytest.mark.usefixtures("person")
def test_memory_store_says_what_it_is(run: Run) -> None:
    """A login into memory works, and says that nothing is left of it."""
    ran = run("login", "--store", "memory:")
    assert ran.code == 0, ran.err
    assert "the token is gone now" in ran.err


@pytest.mark.usefixtures("box", "monkeypatch")
def test_localhost_listens_on_both_addresses() -> None:
    """For `localhost` the browser may take IPv4 or IPv6."""
    address = loopback_of(f"http://localhost:{free_port()}")
    assert address is not None
    assert address.path == "/"
    assert address.addresses == ["127.0.0.1", "::1"]  # of those, what this machine has
    sockets = listen(address)
    try:
        hosts = {each.getsockname()[0] for each in sockets}
    finally:
        for each in sockets:
            each.close()
    assert hosts >= {"127.0.0.1"}
    assert hosts <= {"127.0.0.1", "::1"}
