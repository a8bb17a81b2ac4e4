from __future__ import annotations

import socket
import threading
from datetime import UTC, datetime, timedelta

import attrs
import httpx
import pytest

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.sandbox import DEFAULT_APP, Clock, RequestRecord, create_app
from pipedrive_oauth_client.sandbox.request_log import RequestLog
from tests.sandbox.support import (
    FORM,
    OTHER_APP,
    Net,
    Wire,
    authorization_query,
    basic,
    bearer,
    wait_for,
)

TIME = datetime(2026, 2, 3, tzinfo=UTC)


def record(**changes: object) -> RequestRecord:
    """Return a record."""
    fields: dict[str, object] = {"time": TIME, "method": "GET", "path": "/", **changes}
    return RequestRecord(**fields)  # type: ignore[arg-type]  # changes are of the right types


def test_whole_login_is_logged() -> None:
    """Each request of a login is logged with its time, path, grant, app, status and outcome."""
    clock = Clock(TIME)
    sandbox = create_app(clock=clock)
    wire = Wire(sandbox)
    code = wire.code()
    clock.advance(timedelta(minutes=1))
    token = wire.exchange(code).json()["refresh_token"]
    wire.refresh(token)
    wire.refresh(token)
    wire.revoke("x")
    app, later = DEFAULT_APP.client_id, TIME + timedelta(minutes=1)
    assert list(sandbox.requests) == [
        record(path="/oauth/authorize", status=200, client_id=app, outcome="ok"),
        record(method="POST", path="/sandbox/consent", status=303, outcome="ok"),
        RequestRecord(
            time=later,
            method="POST",
            path="/oauth/token",
            status=200,
            grant_type="authorization_code",
            client_id=app,
            outcome="ok",
        ),
        RequestRecord(
            time=later,
            method="POST",
            path="/oauth/token/",
            status=200,
            grant_type="refresh_token",
            client_id=app,
            outcome="ok",
        ),
        RequestRecord(
            time=later,
            method="POST",
            path="/oauth/token/",
            status=400,
            grant_type="refresh_token",
            client_id=app,
            outcome="invalid_grant",
        ),
        RequestRecord(
            time=later, method="POST", path="/oauth/revoke", status=200, client_id=app, outcome="ok"
        ),
    ]


@pytest.mark.parametrize(
    ("method", "path", "status", "outcome"),
    [
        ("GET", "/oauth/authorize", 400, "invalid_request"),
        ("GET", "/oauth/authorize?client_id=x&redirect_uri=y", 400, "invalid_client"),
        ("GET", "/api/v1/users/me", 401, "unauthorized"),
        ("GET", "/oauth/tokens", 404, "not_found"),
        ("DELETE", "/oauth/token", 405, "method_not_allowed"),
        ("POST", "/oauth/token", 400, "invalid_request"),
    ],
)
def test_error_responses_are_logged(method: str, path: str, status: int, outcome: str) -> None:
    """A rejected request is logged with the error code of its response."""
    sandbox = create_app()
    assert Wire(sandbox).request(method, path).status_code == status
    assert (sandbox.requests[-1].status, sandbox.requests[-1].outcome) == (status, outcome)
    assert sandbox.requests[-1].path == path.partition("?")[0]


def test_crash_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure of the sandbox itself is logged as one."""
    sandbox = create_app()

    def crash(*_: object, **__: object) -> None:
        raise RuntimeError("planted detail")

    monkeypatch.setattr("pipedrive_oauth_client.sandbox.state.State.refresh", crash)
    Wire(sandbox).refresh("x")
    assert (sandbox.requests[-1].status, sandbox.requests[-1].outcome) == (500, "server_error")


def test_requests_are_counted_by_what_they_are() -> None:
    """Conditions narrow the count; None is a value, and what isn't named may be anything."""
    log = RequestLog()
    for each in (
        record(path="/a", status=200, outcome="ok"),
        record(path="/a", status=None, fault="reset"),
        record(path="/b", method="POST", grant_type="refresh_token", client_id="x"),
    ):
        log.begin(each)
    assert log.count() == len(log) == 3
    assert log.count(path="/a") == 2
    assert log.count(path="/a", status=None) == 1
    assert log.count(status=None) == 2
    assert log.count(fault=None) == 2
    assert log.count(method="POST", grant_type="refresh_token", client_id="x", outcome=None) == 1
    assert log.count(path="/c") == 0
    assert [each.path for each in log.select(method="GET")] == ["/a", "/a"]


def test_unknown_condition_is_rejected() -> None:
    """A misspelled condition is rejected, even by an empty log."""
    with pytest.raises(ConfigurationError, match="A record has no pth, time to select by"):
        RequestLog().count(pth="/a", time=TIME)  # type: ignore[call-arg]  # what is rejected


def test_log_is_bounded_and_can_be_cleared() -> None:
    """The log keeps the last 10,000 requests, and none after it was cleared."""
    log = RequestLog()
    entries = [log.begin(record(path=f"/{number}")) for number in range(10_002)]
    assert (len(log), log[0].path, log[-1].path) == (10_000, "/2", "/10001")
    entries[0].update(status=200)
    assert log.count(status=200) == 0
    log.clear()
    entries[-1].update(status=200)
    assert list(log) == []
    assert repr(log) == "<RequestLog of 0 requests>"


def test_threads_lose_no_record() -> None:
    """Records that many threads add and complete at once are all there, all complete."""
    log = RequestLog()

    def work() -> None:
        for _ in range(200):
            log.begin(record()).update(status=200, outcome="ok")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert log.count(status=200) <= 1600
    assert log.count(status=200, outcome="ok") == 1600


def test_no_secret_is_kept() -> None:
    """No secret of a request is in the log, wherever it was put."""
    sandbox = create_app(apps=[DEFAULT_APP, OTHER_APP])
    wire = Wire(sandbox)
    code = wire.code()
    tokens = wire.exchange(code).json()
    secrets = [code, tokens["access_token"], tokens["refresh_token"], DEFAULT_APP.client_secret]
    wire.me(tokens["access_token"])
    wire.refresh(tokens["refresh_token"])
    wire.revoke(tokens["access_token"])
    wire.open_page(authorization_query(state="planted-state"))
    for secret in secrets:
        wire.request("GET", f"/oauth/token/{secret}?code={secret}", headers=[bearer(secret)])
        wire.request("GET", f"/oauth/authorize?client_id={secret}&redirect_uri={secret}")
        wire.post_form("/oauth/token", {"grant_type": secret, "client_id": secret})
        wire.post_form("/oauth/revoke", {"token": "x"}, headers=[basic(secret=secret)])
        mixed_up = ("Authorization", basic_of(secret, "x"))
        wire.post_form("/oauth/token", {"grant_type": "refresh_token"}, headers=[mixed_up])
    kept = repr([attrs.asdict(each) for each in sandbox.requests]) + repr(sandbox.requests)
    for secret in (*secrets, "planted-state", basic()[1]):
        assert secret not in kept
    assert sandbox.requests.count(grant_type="unknown") == len(secrets)
    assert sandbox.requests.count(client_id="unknown") == 2 * len(secrets)


def test_unknown_paths_are_shown_without_their_secrets() -> None:
    """A mistyped path is shown as it is; its long parts, and client secrets, are not."""
    app = attrs.evolve(DEFAULT_APP, client_secret="short")
    sandbox = create_app(apps=[app])
    wire = Wire(sandbox)
    shown = {
        "/oauth/tokens/": "/oauth/tokens/",
        "/oauth/x-short": "/oauth/(hidden)",
        "/" + "a" * 25 + "/b": "/(hidden)/b",
        "/a" * 300: "/a" * 100,
    }
    for path in shown:
        wire.request("GET", path)
    assert [each.path for each in sandbox.requests] == list(shown.values())
    wire.request("PLANTED", "/oauth/token")
    assert sandbox.requests[-1].method == "unknown"


def basic_of(client_id: str, secret: str) -> str:
    """Return the credentials header of any pair."""
    name, value = httpx.BasicAuth(client_id, secret)._auth_header.split(" ")
    return f"{name} {value}"


@pytest.mark.parametrize(
    ("content_type", "content", "expected"),
    [
        (FORM, b"grant_type=refresh_token", "refresh_token"),
        (FORM, b"grant_type=authorization_code&x=1", "authorization_code"),
        (FORM, b"grant_type=password", "unknown"),
        (FORM, b"grant_type=", None),
        (FORM, b"%", None),
        (FORM, b"grant_type=refresh_token&grant_type=refresh_token", None),
        (FORM, b"grant_type=refresh_token&x=" + b"x" * 70_000, None),
        ("application/json", b"grant_type=refresh_token", None),
    ],
)
def test_grant_type_is_that_of_a_right_form(
    content_type: str, content: bytes, expected: str | None
) -> None:
    """The logged grant type is the one that the endpoint would read."""
    sandbox = create_app()
    headers = [("Content-Type", content_type)]
    Wire(sandbox).request("POST", "/oauth/token", content=content, headers=headers)
    assert sandbox.requests[-1].grant_type == expected


def test_record_is_complete_when_the_response_is_there(net: Net) -> None:
    """A client that has its response finds it logged, every time."""
    for number in range(1, 51):
        assert net.refresh("x").status_code == 400
        assert net.server.requests.count(status=400, outcome="invalid_grant") == number


def test_request_without_an_end_is_logged(net: Net) -> None:
    """A client that leaves in the middle of its form is logged, without status and outcome."""
    url = httpx.URL(net.server.base_url)
    assert url.port is not None
    with socket.create_connection((url.host, url.port)) as connection:
        head = f"POST /oauth/token HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\n"
        connection.sendall(head.encode() + b"Content-Length: 99\r\n\r\ngrant_type=")
    wait_for(net, lambda: net.server.requests.count(path="/oauth/token") == 1)
    (logged,) = net.server.requests.select(path="/oauth/token")
    assert (logged.status, logged.outcome, logged.grant_type) == (None, None, None)


def test_secret_at_the_end_of_a_long_path_is_hidden() -> None:
    """A secret that the end of the record would cut in two is hidden before that."""
    secret = DEFAULT_APP.client_secret
    sandbox = create_app()
    Wire(sandbox).request("GET", "/" + "a/" * 95 + secret)
    (record,) = sandbox.requests
    assert secret[:4] not in record.path
    assert len(record.path) <= 200
