from __future__ import annotations

import http.server
import json
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import attrs
import jwt
import pytest

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.sandbox import (
    DEFAULT_APP,
    DEFAULT_USER,
    OTHER_USER,
    App,
    Clock,
    SandboxServer,
    create_app,
    run,
)
from tests.sandbox.support import (
    OTHER_APP,
    Wire,
    account_of,
    authorization_query,
    basic,
    error_of,
    query_of,
    success,
)
from tests.support.untyped import untyped
from tests.support.wire import free_port

NOT_INSTALLABLE = ("invalid_request", "App cannot be installed for requested company")
STRANGER = attrs.evolve(DEFAULT_USER, id=99)


class Callback(http.server.BaseHTTPRequestHandler):
    """An app's callback URL, which records the notices that it gets."""

    def do_DELETE(self) -> None:  # the library names it so
        """Record the notice, then send a response that must not matter."""
        content = self.rfile.read(int(self.headers["Content-Length"]))
        assert isinstance(self.server, CallbackServer)
        self.server.notices.append((self.path, dict(self.headers), content))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        """Record what claims to be the service's."""
        self.do_DELETE()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name there
        """Log nothing."""


class CallbackServer(http.server.HTTPServer):
    """The server of a callback URL."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Callback)
        self.notices: list[tuple[str, dict[str, str], bytes]] = []
        self.status = 200

    @property
    def app(self) -> App:
        """An app whose callback URL this is."""
        port: int = self.server_address[1]
        return attrs.evolve(DEFAULT_APP, redirect_uri=f"http://127.0.0.1:{port}/callback?a=1")


@pytest.fixture
def callback() -> Iterator[CallbackServer]:
    """A callback URL that is served."""
    with CallbackServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join(30)


def test_marketplace_install_has_no_state() -> None:
    """An install from the Marketplace leads to the callback with a code that works, alone."""
    sandbox = create_app(apps=[DEFAULT_APP, OTHER_APP])
    wire = Wire(sandbox)
    url = sandbox.install(user=OTHER_USER, app=OTHER_APP)
    assert url.startswith(OTHER_APP.redirect_uri + "&code=")
    assert query_of(url).keys() == {"from", "code"}
    tokens = success(wire.exchange(query_of(url)["code"], app=OTHER_APP))
    assert wire.me(tokens["access_token"]).json()["data"]["id"] == OTHER_USER.id
    assert len(sandbox.requests) == 2


def test_install_takes_the_first_of_all() -> None:
    """By default, the first user installs the first app."""
    sandbox = create_app()
    code = query_of(sandbox.install())["code"]
    tokens = success(Wire(sandbox).exchange(code))
    assert tokens["refresh_token"].startswith("1:11:")


def test_strangers_are_rejected() -> None:
    """Only the sandbox's own users and apps take part."""
    sandbox = create_app()
    for step in (
        lambda: sandbox.install(user=STRANGER),
        lambda: sandbox.uninstall(STRANGER),
        lambda: sandbox.is_installed(STRANGER),
    ):
        with pytest.raises(ConfigurationError, match="user is not one of the sandbox's"):
            step()
    with pytest.raises(ConfigurationError, match="app is not one of the sandbox's"):
        sandbox.install(app=OTHER_APP)


def test_install_through_the_app() -> None:
    """An app with an Installation URL gets the user there first, and no code is made."""
    app = attrs.evolve(DEFAULT_APP, installation_url="https://app.example/pipedrive/install")
    assert create_app(apps=[app]).install() == app.installation_url
    with pytest.raises(ConfigurationError, match="installation_url"):
        attrs.evolve(DEFAULT_APP, installation_url="/install")


def test_sharing_is_sent_without_credentials(callback: CallbackServer) -> None:
    """The app gets the POST of sharing at its callback URL, without anything to trust it by."""
    server = SandboxServer("http://127.0.0.1:1", create_app(apps=[callback.app]))
    assert server.share(OTHER_USER, is_shared=False) is True
    ((path, headers, content),) = callback.notices
    assert path == "/callback?a=1"
    assert "Authorization" not in headers
    assert json.loads(content) == {"company_id": 2, "user_id": 22, "isShared": False}


def test_call_of_an_endpoint() -> None:
    """A call to an endpoint for messages or video shows the credentials of the app."""
    call = create_app().endpoint_call("https://app.example/messages", content=b'{"a": 1}')
    assert (call.method, call.url) == ("POST", "https://app.example/messages")
    assert call.headers == {"Authorization": basic()[1], "Content-Type": "application/json"}
    assert call.content == b'{"a": 1}'
    assert basic()[1] not in repr(call)


def test_signed_token() -> None:
    """A token names user and company for five minutes; other secrets and claims are for tests."""
    clock = Clock(datetime(2026, 4, 5, tzinfo=UTC))
    sandbox = create_app(clock=clock)
    token = sandbox.signed_token(OTHER_USER)
    now = int(clock().timestamp())
    key = DEFAULT_APP.client_secret
    options: Any = {"verify_exp": False, "verify_iat": False}
    assert jwt.decode(token, key, ["HS256"], options) == {
        "companyId": 2,
        "userId": 22,
        "iat": now,
        "exp": now + 300,
    }
    own = sandbox.signed_token(secret="x" * 64, algorithm="HS512", claims={"iat": None, "a": 1})
    assert jwt.decode(own, "x" * 64, ["HS512"], options)["a"] == 1
    assert "iat" not in jwt.decode(own, "x" * 64, ["HS512"], options)
    assert sandbox.signed_token(algorithm="none").endswith(".")
    with pytest.raises(ConfigurationError, match="algorithm"):
        untyped(sandbox.signed_token)(algorithm="RS256")


def test_blocked_company_can_not_install() -> None:
    """A user of a blocked company gets the documented error response, others do not."""
    app = attrs.evolve(DEFAULT_APP, blocked_company_ids=[OTHER_USER.company_id])
    sandbox = create_app(apps=[app])
    wire = Wire(sandbox)
    response = wire.decide(wire.ticket(app), account=account_of(OTHER_USER))
    assert error_of(response) == NOT_INSTALLABLE
    success(wire.exchange(wire.code(app), app=app))
    with pytest.raises(ConfigurationError, match="App cannot be installed for requested company"):
        sandbox.install(user=OTHER_USER)
    assert sandbox.install(user=DEFAULT_USER)


def test_page_is_rejected_where_no_company_can_install() -> None:
    """Without any company that can install the app, the consent page itself is rejected."""
    app = attrs.evolve(DEFAULT_APP, blocked_company_ids=[1, 2])
    sandbox = create_app(apps=[app])
    assert error_of(Wire(sandbox).open_page(authorization_query(app))) == NOT_INSTALLABLE
    assert sandbox.requests[-1].outcome == "invalid_request"


def test_visit_tells_of_a_blocked_company() -> None:
    """A visit of a user whose company is blocked repeats the documented message."""
    app = attrs.evolve(DEFAULT_APP, blocked_company_ids=[OTHER_USER.company_id])
    with run(create_app(apps=[app])) as server:
        url = f"{server.base_url}/oauth/authorize?{authorization_query(app)}"
        with pytest.raises(ConfigurationError, match="cannot be installed for requested company"):
            server.visit(url, user=OTHER_USER)
        assert "code" in query_of(server.visit(url, user=DEFAULT_USER))


def test_app_knows_when_it_is_installed() -> None:
    """An app is installed from the exchange of its code until it is revoked or uninstalled."""
    sandbox = create_app(apps=[DEFAULT_APP, OTHER_APP])
    wire = Wire(sandbox)
    code = wire.code()
    assert not sandbox.is_installed(DEFAULT_USER)
    token = success(wire.exchange(code))["refresh_token"]
    assert sandbox.is_installed(DEFAULT_USER)
    assert not sandbox.is_installed(OTHER_USER)
    assert not sandbox.is_installed(DEFAULT_USER, app=OTHER_APP)
    wire.revoke(token, "refresh_token")
    assert not sandbox.is_installed(DEFAULT_USER)
    tokens = wire.tokens()
    wire.revoke(tokens["access_token"], "access_token")
    assert sandbox.is_installed(DEFAULT_USER)
    sandbox.uninstall(DEFAULT_USER)
    assert not sandbox.is_installed(DEFAULT_USER)


def test_uninstall_ends_what_the_user_gave() -> None:
    """Uninstalling ends the user's tokens and codes for the app, and no others."""
    sandbox = create_app(apps=[DEFAULT_APP, OTHER_APP])
    wire = Wire(sandbox)
    mine, code, others = wire.tokens(), wire.code(), wire.tokens(user=OTHER_USER)
    other_app = wire.tokens(OTHER_APP)
    sandbox.uninstall(DEFAULT_USER)
    assert wire.me(mine["access_token"]).status_code == 401
    assert error_of(wire.refresh(mine["refresh_token"]))[0] == "invalid_grant"
    assert error_of(wire.exchange(code))[0] == "invalid_grant"
    assert wire.me(others["access_token"]).status_code == 200
    assert wire.me(other_app["access_token"]).status_code == 200
    assert wire.me(wire.tokens()["access_token"]).status_code == 200


def test_notice_is_as_documented() -> None:
    """The notice is a DELETE with the app's Basic value and the four documented fields."""
    sandbox = create_app(clock=Clock(datetime(2026, 4, 5, 6, 7, 8, 90_000, tzinfo=UTC)))
    notice = sandbox.uninstall(OTHER_USER)
    assert (notice.method, notice.url) == ("DELETE", DEFAULT_APP.redirect_uri)
    assert notice.headers == {
        "Authorization": basic()[1],
        "Content-Type": "application/json",
    }
    assert json.loads(notice.content) == {
        "client_id": DEFAULT_APP.client_id,
        "company_id": OTHER_USER.company_id,
        "user_id": OTHER_USER.id,
        "timestamp": "2026-04-05T06:07:08.090Z",
    }
    assert basic()[1] not in repr(notice)


@pytest.mark.parametrize("status", [200, 404, 500])
def test_uninstall_sends_the_notice(callback: CallbackServer, status: int) -> None:
    """The app gets the notice at its callback URL, and its response makes no difference."""
    callback.status = status
    sandbox = create_app(apps=[callback.app])
    with run(sandbox) as server:
        tokens = Wire(sandbox).tokens(callback.app)
        assert server.uninstall(DEFAULT_USER) is True
        ((path, headers, content),) = callback.notices
        assert path == "/callback?a=1"
        assert headers["Authorization"] == basic(callback.app)[1]
        assert headers["Content-Type"] == "application/json"
        assert json.loads(content)["user_id"] == DEFAULT_USER.id
        assert Wire(sandbox).me(tokens["access_token"]).status_code == 401


def test_app_that_is_not_there_is_uninstalled_all_the_same() -> None:
    """Where no server listens at the callback URL, the app is uninstalled; the result says so."""
    app = attrs.evolve(DEFAULT_APP, redirect_uri=f"http://127.0.0.1:{free_port()}")
    sandbox = create_app(apps=[app])
    tokens = Wire(sandbox).tokens(app)
    assert SandboxServer("http://127.0.0.1:1", sandbox).uninstall(DEFAULT_USER) is False
    assert Wire(sandbox).me(tokens["access_token"]).status_code == 401


def test_app_that_hangs_up_has_got_its_notice() -> None:
    """An app that reads the notice and closes the connection without a response is no failure."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        port: int = listener.getsockname()[1]
        app = attrs.evolve(DEFAULT_APP, redirect_uri=f"http://127.0.0.1:{port}/")
        got = list[bytes]()

        def hang_up() -> None:
            connection, _ = listener.accept()
            connection.settimeout(30)
            with connection, connection.makefile("rb") as stream:
                while (line := stream.readline()) not in {b"\r\n", b""}:
                    got.append(line)
                got.append(stream.read(1))

        thread = threading.Thread(target=hang_up)
        thread.start()
        server = SandboxServer("http://127.0.0.1:1", create_app(apps=[app]))
        assert server.uninstall(DEFAULT_USER) is True
        thread.join(30)
    assert got[0] == b"DELETE / HTTP/1.1\r\n"
    assert got[-1] == b"{"


@pytest.mark.parametrize(
    "redirect_uri",
    [
        "https://127.0.0.1:8123/callback",
        "http://app.example/callback",
        "http://192.0.2.1/callback",
        "https://app.example/callback",
        "http://localhost.example/",
    ],
)
def test_notice_stays_on_this_machine(redirect_uri: str) -> None:
    """For a callback URL elsewhere nothing is sent and nothing is uninstalled."""
    app = attrs.evolve(DEFAULT_APP, redirect_uri=redirect_uri)
    sandbox = create_app(apps=[app])
    tokens = Wire(sandbox).tokens(app)
    server = SandboxServer("http://127.0.0.1:1", sandbox)
    with pytest.raises(ConfigurationError, match="not an http URL of this machine"):
        server.uninstall(DEFAULT_USER)
    assert Wire(sandbox).me(tokens["access_token"]).status_code == 200


def test_server_passes_installs_on() -> None:
    """A served sandbox installs like the sandbox itself."""
    sandbox = create_app()
    url = SandboxServer("http://127.0.0.1:1", sandbox).install(user=OTHER_USER)
    tokens = success(Wire(sandbox).exchange(query_of(url)["code"]))
    assert tokens["refresh_token"].startswith("2:22:")


@pytest.mark.parametrize("value", ["12", 1])
def test_blocked_companies_are_a_list(value: Any) -> None:
    """What is no list of numbers is rejected by its name."""
    with pytest.raises(ConfigurationError, match=r"^blocked_company_ids must be"):
        attrs.evolve(DEFAULT_APP, blocked_company_ids=value)
