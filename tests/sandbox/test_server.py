from __future__ import annotations

import contextlib
import gc
import logging
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs
import httpx
import pytest

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.sandbox import (
    DEFAULT_APP,
    DEFAULT_USER,
    OTHER_USER,
    App,
    Fault,
    SandboxServer,
    create_app,
    run,
)
from tests.sandbox.support import OTHER_APP, Clock, Net, Wire, authorization_query, query_of

# One client for all tests, as creating one loads all certificate authorities.
HTTP = httpx.Client(limits=httpx.Limits(max_keepalive_connections=0), trust_env=False)


def authorization_url(
    server: SandboxServer, app: App = DEFAULT_APP, state: str | None = None
) -> str:
    """Return the URL that the app sends a browser to."""
    return f"{server.base_url}/oauth/authorize?{authorization_query(app, state)}"


def credentials(app: App = DEFAULT_APP) -> httpx.BasicAuth:
    """Return the credentials of an app in the form that httpx takes."""
    return httpx.BasicAuth(app.client_id, app.client_secret)


def exchange(server: SandboxServer, code: str) -> httpx.Response:
    """Exchange a code over TCP."""
    return HTTP.post(
        f"{server.base_url}/oauth/token",
        data={
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": DEFAULT_APP.redirect_uri,
        },
        auth=credentials(),
    )


def refresh(server: SandboxServer, token: str) -> httpx.Response:
    """Refresh over TCP."""
    return HTTP.post(
        f"{server.base_url}/oauth/token/",
        data={"grant_type": "refresh_token", "refresh_token": token},
        auth=credentials(),
    )


def login(server: SandboxServer) -> dict[str, str]:
    """Do a whole login and return the tokens."""
    callback_url = server.visit(authorization_url(server))
    tokens: dict[str, str] = exchange(server, query_of(callback_url)["code"]).json()
    return tokens


def address_of(server: SandboxServer) -> tuple[str, int]:
    """Return host and port of a server."""
    url = httpx.URL(server.base_url)
    assert url.port is not None
    return url.host, url.port


OTHERS: set[threading.Thread] = set()


@pytest.fixture(autouse=True)
def others() -> None:
    """Note the threads of before: other test modules may still serve a sandbox in this process."""
    OTHERS.clear()
    OTHERS.update(threading.enumerate())


def sandbox_threads() -> list[threading.Thread]:
    """Return the threads that serve a sandbox of this test now."""
    return [each for each in threading.enumerate() if "sandbox" in each.name and each not in OTHERS]


def assert_gone(server: SandboxServer) -> None:
    """Check that a server has left no thread and no listening socket."""
    assert sandbox_threads() == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address_of(server))


def test_whole_login_over_tcp() -> None:
    """Consent, exchange, an API call at `api_domain` and a refresh work over a real port."""
    with run() as server:
        callback_url = server.visit(authorization_url(server, state="a b&c"))
        assert callback_url.startswith(server.app.redirect_uri + "?code=")
        parameters = query_of(callback_url)
        assert parameters["state"] == "a b&c"
        tokens = exchange(server, parameters["code"]).json()
        assert tokens["api_domain"] == server.base_url
        me = HTTP.get(
            f"{tokens['api_domain']}/api/v1/users/me",
            headers={"Authorization": f"Bearer {tokens['access_token']}"},
        )
        assert me.json()["data"]["email"] == DEFAULT_USER.email
        assert refresh(server, tokens["refresh_token"]).status_code == 200
    assert_gone(server)


def test_visit_can_decline_and_choose() -> None:
    """A visit can press Cancel, and can be another user's."""
    with run() as server:
        declined = server.visit(authorization_url(server, state="s"), approve=False)
        assert query_of(declined) == {"error": "user_denied", "state": "s"}
        callback_url = server.visit(authorization_url(server), user=OTHER_USER)
        tokens = exchange(server, query_of(callback_url)["code"]).json()
        assert tokens["refresh_token"].startswith("2:22:")


def test_visit_of_a_page_without_choice() -> None:
    """A visit works where there is a single account, named or not."""
    with run(create_app(users=[OTHER_USER])) as server:
        for user in (None, OTHER_USER):
            assert "code" in query_of(server.visit(authorization_url(server), user=user))


def test_visit_tells_why_it_was_rejected() -> None:
    """A visit that the sandbox rejects repeats the sandbox's message."""
    with run() as server:
        wrong = f"{server.base_url}/oauth/authorize?{authorization_query(OTHER_APP)}"
        with pytest.raises(ConfigurationError, match="Invalid client: client is invalid"):
            server.visit(wrong)
        stranger = attrs.evolve(DEFAULT_USER, id=99)
        with pytest.raises(ConfigurationError, match="not one of the sandbox's"):
            server.visit(authorization_url(server), user=stranger)


def test_visit_stays_at_the_sandbox() -> None:
    """A visit goes to no other server, and repeats no URL that it rejects."""
    with run() as server:
        for url in (
            "https://oauth.pipedrive.com/oauth/authorize?state=planted",
            f"{server.base_url}0/oauth/authorize?state=planted",
            f"{server.base_url}@evil.example/?state=planted",
            f"{server.base_url}/oauth/authorize?state=planted text",
            f"{server.base_url}/oauth/authorize?state=planted\r\nX: y",
        ):
            with pytest.raises(ConfigurationError, match="does not lead to this sandbox") as caught:
                server.visit(url)
            assert "planted" not in str(caught.value)


def test_visit_after_the_end() -> None:
    """A visit to a server that has stopped says so and keeps the cause."""
    with run() as server:
        url = authorization_url(server)
    with pytest.raises(ConfigurationError, match="Cannot connect to the sandbox") as caught:
        server.visit(url)
    assert isinstance(caught.value.__cause__, OSError)


def test_one_of_twenty_refreshes_succeeds() -> None:
    """Of twenty refreshes with one token over as many connections, one succeeds."""
    with run() as server, ThreadPoolExecutor(20) as pool:
        token = login(server)["refresh_token"]
        responses = list(pool.map(lambda _: refresh(server, token), range(20)))
        winners = [response for response in responses if response.status_code == 200]
        assert len(winners) == 1
        assert {response.json()["error"] for response in responses if response not in winners} == {
            "invalid_grant"
        }
        assert refresh(server, winners[0].json()["refresh_token"]).status_code == 200


def test_one_of_twenty_exchanges_succeeds() -> None:
    """Of twenty exchanges of one code one succeeds, and the others end its tokens."""
    with run() as server, ThreadPoolExecutor(20) as pool:
        code = query_of(server.visit(authorization_url(server)))["code"]
        responses = list(pool.map(lambda _: exchange(server, code), range(20)))
        winners = [response for response in responses if response.status_code == 200]
        assert len(winners) == 1
        assert refresh(server, winners[0].json()["refresh_token"]).status_code == 400


def test_several_at_once_and_again() -> None:
    """Servers run side by side and one after the other, each with its own port and memory."""
    with run() as first, run() as second:
        assert first.base_url != second.base_url
        code = query_of(first.visit(authorization_url(first)))["code"]
        assert exchange(second, code).status_code == 400
        assert exchange(first, code).status_code == 200
    assert_gone(first)
    assert_gone(second)


def test_one_sandbox_can_be_served_twice() -> None:
    """A sandbox keeps its memory when it is served again, and on two ports at once."""
    sandbox = create_app()
    with run(sandbox) as first:
        token = login(first)["refresh_token"]
    with run(sandbox) as second, run(sandbox) as third:
        token = refresh(second, token).json()["refresh_token"]
        assert refresh(third, token).status_code == 200


def test_port_is_free_again_at_once() -> None:
    """The port of a stopped server can be taken again right away."""
    with run() as server:
        login(server)
    _, port = address_of(server)
    with run(port=port) as again:
        assert again.base_url == server.base_url
        assert "access_token" in login(again)


def test_taken_port_is_rejected() -> None:
    """A port in use is rejected with the cause."""
    with run() as server:
        _, port = address_of(server)
        with (
            pytest.raises(ConfigurationError, match=f"^Cannot listen on port {port} of ") as caught,
            run(port=port),
        ):
            pytest.fail("two servers on one port")
        assert isinstance(caught.value.__cause__, OSError)
        assert len(sandbox_threads()) == 1


@pytest.mark.parametrize("port", [-1, 65536])
def test_impossible_port_is_rejected(port: int) -> None:
    """A number that is no port is rejected."""
    with pytest.raises(ConfigurationError, match=r"^port must be"), run(port=port):
        pytest.fail("served on no port")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com", "", "127.1"])  # noqa: S104
def test_other_hosts_are_rejected(host: str) -> None:
    """Only this machine's loopback is served."""
    with pytest.raises(ConfigurationError, match=r"^host must be a loopback"), run(host=host):
        pytest.fail("served to others")


def machine_has(host: str) -> bool:
    """Tell whether a socket can be bound to this address here."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost", "::1"])
def test_loopback_hosts_are_served(host: str) -> None:
    """Every loopback address works, for a visit too, or is rejected where the machine lacks it."""
    if machine_has(host):
        with run(host=host) as server:
            assert host in server.base_url
            assert "access_token" in login(server)
    else:
        with (
            pytest.raises(ConfigurationError, match=f"^Cannot listen on port 0 of {host}"),
            run(host=host),
        ):
            pytest.fail("served at an address that isn't there")


def test_body_that_raises_stops_the_server() -> None:
    """An error in the block ends the server and is raised as it is."""
    with pytest.raises(KeyError, match="mine"), run() as server:
        raise KeyError("mine")
    assert_gone(server)


@pytest.fixture
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers that wait less than the usual second for requests in progress."""
    monkeypatch.setattr("pipedrive_oauth_client.sandbox.server._GRACE_SECONDS", 0.1)


def send_nothing(_: socket.socket) -> None:
    """Open a connection and say nothing."""


def send_half_a_head(connection: socket.socket) -> None:
    """Stop before the headers end."""
    connection.sendall(b"POST /oauth/token HTTP/1.1\r\nHost: localhost\r\n")


def send_half_a_form(connection: socket.socket) -> None:
    """Stop in the middle of the form."""
    connection.sendall(
        b"POST /oauth/token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\n\r\ngrant_type="
    )


@pytest.mark.usefixtures("short_grace")
@pytest.mark.parametrize("send", [send_nothing, send_half_a_head, send_half_a_form])
def test_unfinished_requests_do_not_hold_the_server(
    send: Callable[[socket.socket], None], caplog: pytest.LogCaptureFixture
) -> None:
    """A connection whose request never ends is closed when the server stops, without a warning."""
    with contextlib.ExitStack() as stack:
        with run() as server:
            connection = stack.enter_context(socket.create_connection(address_of(server)))
            connection.settimeout(30)
            send(connection)
            # Answered after the first connection was taken in, so that one is known by now.
            assert HTTP.get(server.base_url).status_code == 200
        assert_gone(server)
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b""
    assert [each for each in caplog.records if each.levelname not in ("DEBUG", "INFO")] == []


@pytest.mark.usefixtures("short_grace")
def test_late_response_does_not_hold_the_server(caplog: pytest.LogCaptureFixture) -> None:
    """A response that is still to come when the server stops is given up, without a warning."""
    with contextlib.ExitStack() as stack:
        with run() as server:
            server.faults.add("/api/v1/users/me", Fault.latency(3600))
            connection = stack.enter_context(socket.create_connection(address_of(server)))
            connection.settimeout(30)
            connection.sendall(b"GET /api/v1/users/me HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            while not server.requests.count(path="/api/v1/users/me", fault="latency"):
                assert HTTP.get(server.base_url).status_code == 200
        assert_gone(server)
    assert [each for each in caplog.records if each.levelname not in ("DEBUG", "INFO")] == []


def test_idle_client_does_not_hold_the_server() -> None:
    """A client that keeps its connection open does not keep the server."""
    with httpx.Client() as client:
        with run() as server:
            assert client.get(server.base_url).status_code == 200
        assert_gone(server)
        with pytest.raises(httpx.TransportError):
            client.get(server.base_url)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts open files through /proc")
def test_no_socket_is_left() -> None:
    """After five more servers the process has as many open files as before."""

    def count_open_files() -> int:
        gc.collect()
        return len(list(Path("/proc/self/fd").iterdir()))

    with run() as server:
        login(server)
    before = count_open_files()
    for _ in range(5):
        with run() as server:
            login(server)
    assert count_open_files() == before


def test_nothing_secret_is_logged(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """At the lowest log level, with uvicorn's access log wanted, no code, token or secret shows."""
    caplog.set_level(1)
    for name in ("uvicorn", "uvicorn.access", "uvicorn.error", "uvicorn.asgi", "asyncio"):
        caplog.set_level(1, logger=name)
    with run() as server:
        url = authorization_url(server, state="planted-state")
        code = query_of(server.visit(url))["code"]
        tokens = exchange(server, code).json()
        HTTP.get(
            f"{server.base_url}/api/v1/users/me",
            headers={"Authorization": f"Bearer {tokens['access_token']}"},
        )
        shown = repr(server)
    # httpx is this test's own client, and what it logs is not the sandbox's doing.
    records = [record for record in caplog.records if not record.name.startswith("http")]
    output = capfd.readouterr()
    shown += "".join(map(logging.Formatter().format, records)) + output.out + output.err
    assert "uvicorn.error" in {record.name for record in records}
    for secret in (
        "planted-state",
        code,
        tokens["access_token"],
        tokens["refresh_token"],
        DEFAULT_APP.client_secret,
        credentials()._auth_header.removeprefix("Basic "),
    ):
        assert secret not in shown


def test_loggers_are_left_alone() -> None:
    """Serving a sandbox changes no logger that other servers in the process use."""

    def settings() -> list[tuple[int, bool, list[logging.Handler]]]:
        names = ("uvicorn", "uvicorn.access", "uvicorn.error", "uvicorn.asgi")
        loggers = map(logging.getLogger, names)
        return [(logger.level, logger.propagate, list(logger.handlers)) for logger in loggers]

    before = settings()
    with run() as server:
        HTTP.get(server.base_url)
        assert settings() == before
    assert settings() == before


def test_forwarded_headers_are_not_believed() -> None:
    """A proxy's headers change nothing: `api_domain` is where the request came to."""
    with run() as server:
        code = query_of(server.visit(authorization_url(server)))["code"]
        response = HTTP.post(
            f"{server.base_url}/oauth/token",
            data={
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": DEFAULT_APP.redirect_uri,
            },
            auth=credentials(),
            headers={"X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example"},
        )
        assert response.json()["api_domain"] == server.base_url


def get(server: SandboxServer, *hosts: str, version: str = "1.1") -> int:
    """Ask for the home page with these Host headers, and return the status of the response."""
    lines = [f"GET / HTTP/{version}", *(f"Host: {host}" for host in hosts), "Connection: close"]
    with socket.create_connection(address_of(server)) as connection:
        connection.settimeout(30)
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        return int(connection.makefile("rb").readline().split()[1])


LOOPBACK_HOSTS = [
    "localhost",
    "LocalHost:8900",
    "localhost.",
    "localhost.:1",
    "sandbox.localhost",
    "127.0.0.1",
    "127.0.0.1:65535",
    "127.8.9.1:1",
    "127.0.0.1.",
    "[::1]",
    "[::1]:8900",
    "[0:0:0:0:0:0:0:1]",
]
FOREIGN_HOSTS = [
    "evil.example",
    "evil.example:8900",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "evillocalhost",
    "192.0.2.1",
    "0.0.0.0",  # noqa: S104
    "[::]",
    "[2001:db8::1]:80",
    "127.0.0.1@evil.example",
    "evil.example, localhost",
    "localhost evil.example",
    "localhost:80:80",
    "localhost:port",
    ".localhost",
    "localhost..",
    "[::1",
    "::1",
    "[localhost]",
    "*",
    "\xe9.example",
    "",
]


@pytest.mark.parametrize("host", LOOPBACK_HOSTS)
def test_loopback_names_are_served(served: Net, host: str) -> None:
    """Any spelling of this machine's own name is answered, whatever its port."""
    assert get(served.server, host) == 200


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_other_hosts_are_misdirected(served: Net, host: str) -> None:
    """A request that names another host, or none clearly, is answered by 421."""
    assert get(served.server, host) in {421, 400}  # h11 rejects some by itself
    assert get(served.server, "evil.example") == 421


def test_a_missing_host_is_misdirected(served: Net) -> None:
    """Neither no Host header nor two of them name a host of the sandbox's."""
    assert get(served.server, version="1.0") == 421
    assert get(served.server, "localhost", "evil.example") == 400


def test_a_rebound_name_presses_no_button() -> None:
    """A page whose name resolves to this machine gets neither the consent page nor a token."""
    with run() as server:
        host = f"evil.example:{httpx.URL(server.base_url).port}"
        rebound = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
        page = HTTP.get(authorization_url(server), headers=rebound)
        form = {"ticket": "any", "account": "1:11", "decision": "allow"}
        allowed = HTTP.post(f"{server.base_url}/sandbox/consent", data=form, headers=rebound)
        for response in (page, allowed):
            assert response.status_code == 421
            assert response.json()["error"] == "misdirected_request"
            assert "--allowed-host" in response.json()["message"]
            assert "evil" not in response.text
            assert response.headers["cache-control"] == "no-store"
        assert list(server.requests) == []
        assert not server.sandbox.is_installed(DEFAULT_USER)


def test_given_hosts_are_served() -> None:
    """Hosts that the server or the sandbox was given are answered, besides loopback names."""
    sandbox = create_app(allowed_hosts=["box.test", "2001:db8::1"])
    with run(sandbox, allowed_hosts=["Pipedrive.Test."]) as server:
        for host in ("box.test", "[2001:DB8:0::1]:80", "pipedrive.test", "PIPEDRIVE.test:1"):
            assert get(server, host) == 200
        assert get(server, "localhost") == 200
        assert get(server, "other.test") == 421
        # A loopback address stays the address, as other names may not resolve here.
        assert server.base_url.startswith("http://127.0.0.1:")


def test_a_container_is_reached_by_its_name() -> None:
    """With allowed hosts any address of this machine will do, and the first one is announced."""
    hosts = ["sandbox.localhost", "other.test"]
    with run(host="0.0.0.0", allowed_hosts=hosts) as server:  # noqa: S104
        port = httpx.URL(server.base_url).port
        assert server.base_url == f"http://sandbox.localhost:{port}"
        address = ("127.0.0.1", port)
        with socket.create_connection(address) as connection:
            connection.settimeout(30)
            connection.sendall(b"GET / HTTP/1.1\r\nHost: other.test\r\nConnection: close\r\n\r\n")
            assert connection.recv(12) == b"HTTP/1.1 200"


@pytest.mark.parametrize(
    "hosts",
    [
        ["*"],
        ["*.example"],
        ["http://a.example"],
        ["a.example:80"],
        ["[::1]:80"],
        [""],
        ["a b"],
        [1],
    ],
)
def test_an_allowed_host_is_one_host(hosts: list[str]) -> None:
    """A wildcard, a URL, a port or nothing is no host; the error says what is."""
    with pytest.raises(ConfigurationError, match="allowed_hosts must be"):
        create_app(allowed_hosts=hosts)
    with (
        pytest.raises(ConfigurationError, match="allowed_hosts must be"),
        run(allowed_hosts=hosts),
    ):
        pass
    with pytest.raises(ConfigurationError, match="a list"):
        create_app(allowed_hosts="a.example")


def test_an_application_answers_for_the_hosts_it_is_given(clock: Clock) -> None:
    """Without a server a sandbox answers for any host, unless it is given a list."""
    assert Wire(create_app(clock=clock)).request("GET", "/").status_code == 200
    limited = Wire(create_app(clock=clock, allowed_hosts=[]))
    assert limited.request("GET", "/").status_code == 421
    assert limited.request("GET", "/", headers=[("Host", "localhost")]).status_code == 200
