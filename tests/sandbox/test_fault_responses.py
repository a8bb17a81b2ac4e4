"""Each kind of fault, as a client on the other side of a TCP connection meets it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import threading
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import anyio
import httpx
import pytest

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.sandbox import REFUSALS, Clock, Fault, create_app, run
from pipedrive_oauth_client.sandbox.fault_responses import format_retry_after
from tests.sandbox.support import BASE_URL, FORM, Net, Wire, basic, error_of, success, wait_for

TOKEN = "/oauth/token"
RESET = [Fault.reset(), Fault.reset().after_work()]
CLOSED = [Fault.closed(), Fault.closed().after_work()]


def raw_refresh(net: Net, refresh_token: str) -> socket.socket:
    """Send a refresh over a connection of its own, and return the connection."""
    url = httpx.URL(net.server.base_url)
    assert url.port is not None
    form = f"grant_type=refresh_token&refresh_token={refresh_token}".encode()
    name, value = basic()
    head = (
        f"POST {TOKEN} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\n{name}: {value}\r\n"
        f"Content-Length: {len(form)}\r\n\r\n"
    )
    connection = socket.create_connection((url.host, url.port), timeout=30)
    connection.sendall(head.encode() + form)
    return connection


def meet(net: Net, fault: Fault) -> httpx.Response:
    """Refresh with an active token and meet a fault."""
    token = net.tokens()["refresh_token"]
    net.server.faults.add(TOKEN, fault)
    return net.refresh(token, path=TOKEN)


@pytest.mark.parametrize("fault", RESET)
def test_reset_is_a_tcp_reset(net: Net, fault: Fault) -> None:
    """The connection is reset: reading from it fails, without a byte before."""
    net.server.faults.add(TOKEN, fault)
    with raw_refresh(net, "x") as connection, pytest.raises(ConnectionResetError):
        connection.recv(1)


@pytest.mark.parametrize("fault", CLOSED)
def test_closed_is_an_ordinary_end(net: Net, fault: Fault) -> None:
    """The connection ends normally, without a byte."""
    net.server.faults.add(TOKEN, fault)
    with raw_refresh(net, "x") as connection:
        assert connection.recv(1) == b""


@pytest.mark.parametrize("fault", [RESET[0], CLOSED[0]])
def test_broken_before_the_work(net: Net, fault: Fault) -> None:
    """A connection broken before anything was done leaves the refresh token as it is."""
    token = net.tokens()["refresh_token"]
    net.server.faults.add(TOKEN, fault)
    with pytest.raises(httpx.TransportError):
        net.refresh(token, path=TOKEN)
    assert net.server.requests[-1].outcome is None
    success(net.refresh(token))


@pytest.mark.parametrize("fault", [RESET[1], CLOSED[1]])
def test_broken_after_the_work(net: Net, fault: Fault) -> None:
    """A connection broken after the work has cost the refresh token, and the response is lost."""
    token = net.tokens()["refresh_token"]
    net.server.faults.add(TOKEN, fault)
    with pytest.raises(httpx.TransportError):
        net.refresh(token, path=TOKEN)
    assert (net.server.requests[-1].status, net.server.requests[-1].outcome) == (None, "ok")
    assert error_of(net.refresh(token))[0] == "invalid_grant"


def test_reset_on_a_connection_in_use(net: Net) -> None:
    """A connection that has served requests before is broken like a fresh one, and others live."""
    for _ in range(3):
        assert net.request("GET", "/oauth/token").status_code == 405
        net.server.faults.add(TOKEN, Fault.reset())
        with pytest.raises(httpx.ReadError):
            net.request("GET", "/oauth/token")


@pytest.mark.parametrize("sent_bytes", [None, 0, 1, 100, 10_000])
def test_truncated_body(net: Net, sent_bytes: int | None) -> None:
    """The body ends before its Content-Length says, and the token is spent."""
    token = net.tokens()["refresh_token"]
    net.server.faults.add(TOKEN, Fault.truncated(sent_bytes))
    with raw_refresh(net, token) as connection:
        response = b"".join(iter(lambda: connection.recv(65_536), b""))
    head, _, body = response.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    (length,) = [
        int(line.partition(b":")[2])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    ]
    assert len(body) < length
    assert body.startswith(b'{"access_token"'[: len(body)])
    assert sent_bytes is None or len(body) == min(sent_bytes, length - 1)
    assert error_of(net.refresh(token))[0] == "invalid_grant"


def test_truncated_body_is_seen_by_a_client(net: Net) -> None:
    """A client that reads the whole body finds it incomplete."""
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete"):
        meet(net, Fault.truncated())


@pytest.mark.parametrize("fault", [*RESET, *CLOSED, Fault.truncated()])
def test_without_a_connection_there_is_none_to_break(fault: Fault) -> None:
    """Through a plain ASGI transport such a fault is an error that says so, and nothing is done."""
    sandbox = create_app()
    wire = Wire(sandbox)
    token = wire.tokens()["refresh_token"]
    sandbox.faults.add(TOKEN, fault)

    async def refresh() -> None:
        transport = httpx.ASGITransport(app=sandbox)
        form = {"grant_type": "refresh_token", "refresh_token": token}
        async with httpx.AsyncClient(transport=transport, base_url=BASE_URL) as client:
            await client.post(TOKEN, data=form, headers=[basic()])

    with pytest.raises(ConfigurationError, match=r"serve the sandbox with sandbox\.run"):
        asyncio.run(refresh())
    success(wire.refresh(token))


@pytest.mark.parametrize("fault", [*RESET, *CLOSED, Fault.truncated(), Fault.oversized(100)])
def test_broken_connections_are_no_news_to_the_server(
    net: Net, fault: Fault, caplog: pytest.LogCaptureFixture
) -> None:
    """The server logs no error about what was broken on purpose."""
    caplog.set_level(logging.WARNING)
    net.server.faults.add(TOKEN, fault)
    with raw_refresh(net, "x") as connection, contextlib.suppress(ConnectionResetError):
        connection.recv(65_536)
    assert net.request("GET", "/").status_code == 200
    assert caplog.records == []


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("seconds", "120"),
        ("imf-fixdate", "Thu, 01 Jan 2026 12:02:00 GMT"),
        ("rfc850", "Thursday, 01-Jan-26 12:02:00 GMT"),
        ("asctime", "Thu Jan  1 12:02:00 2026"),
    ],
)
def test_rate_limit_with_each_form(net: Net, form: str, expected: str) -> None:
    """A 429 tells how long to wait in any of the forms, counted from the sandbox's clock."""
    fault = Fault.status(429, retry_after=120, retry_after_form=form)  # type: ignore[arg-type]  # from a table
    response = meet(net, fault)
    assert response.headers["retry-after"] == expected
    assert error_of(response, 429) == ("too_many_requests", "Too many requests")


def test_retry_after_counts_from_when_it_is_met() -> None:
    """A date is that of the moment when the fault is met, not when it was added."""
    clock = Clock(datetime(2026, 6, 1, tzinfo=UTC))
    sandbox = create_app(clock=clock)
    fault = Fault.status(503, retry_after=5, retry_after_form="imf-fixdate")
    sandbox.faults.add(TOKEN, fault)
    clock.advance(timedelta(hours=1))
    response = Wire(sandbox).request("POST", TOKEN)
    assert response.headers["retry-after"] == "Mon, 01 Jun 2026 01:00:05 GMT"


@pytest.mark.parametrize("value", ["-5", "soon", "1.5", ""])
def test_retry_after_can_be_anything(net: Net, value: str) -> None:
    """Text is sent as it is, right or wrong."""
    assert meet(net, Fault.status(429, retry_after=value)).headers["retry-after"] == value


def test_internal_server_error(net: Net) -> None:
    """A 500 has the documented body."""
    assert error_of(meet(net, Fault.status(500)), 500) == ("server_error", "Internal Server Error")


@pytest.mark.parametrize("status", [503, 520, 521, 522, 523, 524, 525, 526])
def test_outage_is_a_web_page(net: Net, status: int) -> None:
    """Maintenance and the failures of a content delivery network are pages for people."""
    response = meet(net, Fault.status(status))
    assert response.status_code == status
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.text.startswith("<!doctype html>")


@pytest.mark.parametrize(("status", "word"), [(418, "Teapot"), (599, "Status 599"), (202, "Acce")])
def test_any_other_status_is_json(net: Net, status: int, word: str) -> None:
    """Any other status comes with a JSON body that names it."""
    response = meet(net, Fault.status(status))
    assert response.status_code == status
    assert word in response.json()["message"]


def test_status_without_a_body(net: Net) -> None:
    """A 204 has no body, and its connection goes on."""
    response = meet(net, Fault.status(204))
    assert (response.status_code, response.content) == (204, b"")


@pytest.mark.parametrize("name", REFUSALS)
def test_each_documented_refusal(net: Net, name: str) -> None:
    """Every documented error response can be sent, with its status, code and message."""
    expected = REFUSALS[name]
    response = meet(net, Fault.refusal(name))
    assert error_of(response, expected.status) == (expected.error, expected.message)


def test_documented_refusals_are_the_table() -> None:
    """The names cover each row of Pipedrive's table of OAuth errors, with its code."""
    assert {(each.status, each.error, each.message) for each in REFUSALS.values()} == {
        (400, "invalid_request", "Missing parameter: grant_type"),
        (400, "unsupported_grant_type", "Unsupported grant type"),
        (400, "invalid_grant", "Invalid grant: authorization_code is invalid"),
        (400, "invalid_grant", "Invalid grant: authorization_code has expired"),
        (400, "invalid_grant", "Invalid grant: refresh_token is invalid"),
        (400, "invalid_client", "Invalid client: cannot retrieve client credentials"),
        (400, "invalid_client", "Invalid client: client is invalid"),
        (400, "invalid_request", "Invalid request: redirect_uri is not a valid URI"),
        (400, "invalid_request", "Invalid request: redirect_uri is invalid"),
        (
            400,
            "invalid_request",
            "Invalid request: content must be application/x-www-form-urlencoded",
        ),
        (400, "invalid_request", "App cannot be installed for requested company"),
        (500, "server_error", "Internal Server Error"),
        (429, "too_many_requests", "Too many requests"),
        (401, "invalid_token", "The access token is unknown, expired or revoked."),
        (403, "insufficient_scope", "Scope and URL mismatch"),
    }


def test_refusal_with_the_fields_of_the_rfc(net: Net) -> None:
    """An error response can have another status and the fields of RFC 6749."""
    response = meet(net, Fault.refusal("client_invalid", status=401, rfc_fields=True))
    assert response.status_code == 401
    assert response.json() == {
        "error": "invalid_client",
        "error_description": "Invalid client: client is invalid",
    }


def test_refusal_of_a_token_has_its_header(net: Net) -> None:
    """A planned error response about an access token has the header of a real one."""
    tokens = net.tokens()
    net.server.faults.add("/api/v1/users/me", Fault.refusal("access_token_invalid"))
    made_up, real = net.me(tokens["access_token"]), net.me("v1u:guess")
    assert made_up.headers["www-authenticate"] == real.headers["www-authenticate"]
    assert made_up.json() == real.json()


def test_page_in_place_of_json(net: Net) -> None:
    """A success can be a web page."""
    response = meet(net, Fault.page())
    assert (response.status_code, response.headers["content-type"]) == (
        200,
        "text/html; charset=utf-8",
    )


def test_right_response_under_a_wrong_type(net: Net) -> None:
    """The right tokens can come under another content type."""
    response = meet(net, Fault.content_type("text/html"))
    assert response.headers["content-type"] == "text/html"
    assert response.headers.get_list("content-type") == ["text/html"]
    assert net.me(json.loads(response.text)["access_token"]).status_code == 200


def test_garbage_is_no_json(net: Net) -> None:
    """A body can say that it is JSON and be none."""
    response = meet(net, Fault.garbage())
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    with pytest.raises(ValueError):  # noqa: PT011  # of either kind, bytes or JSON
        json.loads(response.content)


def test_any_response(net: Net) -> None:
    """Any status, body, type and header can be sent."""
    fault = Fault.answer(200, "[]", content_type="application/json; x=1", headers={"Age": "9"})
    response = meet(net, fault)
    assert (response.text, response.headers["age"]) == ("[]", "9")
    assert response.headers["content-type"] == "application/json; x=1"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_anywhere(net: Net, status: int) -> None:
    """A redirect can lead to any address."""
    response = meet(net, Fault.redirect("https://evil.example/x?y", status=status))
    assert (response.status_code, response.headers["location"]) == (
        status,
        "https://evil.example/x?y",
    )


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("size_bytes", [15, 1000, 65_551, 3_000_000])
def test_oversized_body(net: Net, size_bytes: int, announced: bool) -> None:
    """A body has exactly the size asked for, is JSON, and says its size if it is to."""
    response = meet(net, Fault.oversized(size_bytes, announced=announced))
    assert len(response.content) == size_bytes
    assert set(response.json()) == {"padding"}
    assert response.headers.get("content-length") == (str(size_bytes) if announced else None)


def test_client_that_leaves_an_oversized_body(net: Net) -> None:
    """A client that stops reading ends the stream, and the server goes on."""
    net.server.faults.add(TOKEN, Fault.oversized(64 * 1024**2))
    with net.client.stream("POST", net.server.base_url + TOKEN) as response:
        assert len(next(response.iter_bytes(1024))) == 1024
    assert net.request("GET", "/").status_code == 200


@pytest.mark.parametrize(
    ("fields", "without"),
    [
        ({"expires_in": "3600"}, []),
        ({}, ["api_domain"]),
        ({}, ["refresh_token"]),
        ({"api_domain": "https://evil.example"}, []),
        ({"token_type": "mac"}, []),
        ({"expires_in": None, "more": [1]}, ["scope"]),
    ],
)
def test_fields_of_a_success(net: Net, fields: dict[str, object], without: list[str]) -> None:
    """Fields of a success can be replaced, added and left out; the others are right."""
    body = meet(net, Fault.override(fields, without=without)).json()
    assert {name: body[name] for name in fields} == fields
    assert not set(without) & set(body)
    assert net.me(body["access_token"]).status_code == 200


def test_fields_of_a_refusal_stay(net: Net) -> None:
    """An error response is not overridden."""
    net.server.faults.add(TOKEN, Fault.override({"error": "planted"}))
    assert error_of(net.refresh("x", path=TOKEN))[0] == "invalid_grant"


@pytest.mark.parametrize("fault", [Fault.latency(7), Fault.status(503).delayed(7)])
def test_latency_waits_as_told(fault: Fault) -> None:
    """A delayed response waits with the sandbox's own sleep."""
    waited = list[float]()

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    sandbox = create_app(sleep=sleep)
    sandbox.faults.add(TOKEN, fault)
    status = Wire(sandbox).post_form(TOKEN, {}).status_code
    assert (status, waited) == ((400 if fault.works_first else 503), [7])


def test_client_that_does_not_wait() -> None:
    """An impatient client's refresh is done: its token is spent, and no response is logged."""
    asleep, left = threading.Event(), threading.Event()

    async def sleep(_seconds: float) -> None:
        asleep.set()
        try:
            await anyio.sleep_forever()
        finally:
            left.set()

    with run(create_app(sleep=sleep)) as server, httpx.Client(trust_env=False) as client:
        net = Net(server, client)
        token = net.tokens()["refresh_token"]
        server.faults.add(TOKEN, Fault.latency(3600))
        with raw_refresh(net, token):
            assert asleep.wait(30)
            record = server.requests[-1]
            assert (record.status, record.outcome, record.fault) == (None, "ok", "latency")
        assert left.wait(30)
        assert error_of(net.refresh(token))[0] == "invalid_grant"
        assert server.requests[-2].status is None


def test_latency_does_not_hold_the_others(net: Net) -> None:
    """While one response is delayed, other requests get theirs."""
    net.server.faults.add(TOKEN, Fault.latency(3600))
    with raw_refresh(net, "x"):
        wait_for(net, lambda: net.server.requests.count(fault="latency") == 1)
        assert net.request("GET", "/").status_code == 200
        assert net.server.requests.count(fault="latency", status=None) == 1


def test_threads_share_faults_fairly(net: Net) -> None:
    """Of twenty requests at once, exactly as many meet the fault as it has times."""
    net.server.faults.add(TOKEN, Fault.status(503), times=7)
    statuses = list[int]()
    barrier = threading.Barrier(20, timeout=30)

    def ask() -> None:
        barrier.wait()
        statuses.append(net.request("POST", TOKEN).status_code)

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(statuses) == [400] * 13 + [503] * 7


@pytest.mark.parametrize("name", ["Retry After", "a:b", "", "\u00e4", "a\n"])
def test_header_that_can_not_be_sent_is_rejected(name: str) -> None:
    """Such a name would end the connection, and look like another fault."""
    with pytest.raises(ConfigurationError, match="name of a header"):
        Fault.answer(200, "{}", headers={name: "x"})


@pytest.mark.parametrize("value", [" x", "x ", "a\tb", "\u00e4"])
def test_header_value_that_can_not_be_sent_is_rejected(value: str) -> None:
    """So would such a value."""
    with pytest.raises(ConfigurationError, match="header"):
        Fault.answer(200, "{}", headers={"X-Test": value})


@pytest.mark.parametrize("status", [200.5, True, "200", 199, 600])
def test_status_that_is_none_is_rejected(status: Any) -> None:
    """A status is a whole number that HTTP has."""
    with pytest.raises(ConfigurationError, match="status"):
        Fault.answer(status, "{}")


# The moment that RFC 9110 section 5.6.7 writes in its three forms.
THEN = datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)
FORMS = {
    "seconds": "90",
    "imf-fixdate": "Sun, 06 Nov 1994 08:49:37 GMT",
    "rfc850": "Sunday, 06-Nov-94 08:49:37 GMT",
    "asctime": "Sun Nov  6 08:49:37 1994",
}


@pytest.mark.parametrize(("form", "expected"), FORMS.items())
def test_each_form_is_the_rfcs(form: Any, expected: str) -> None:
    """Each form is written as in the example of the RFC."""
    now = THEN - timedelta(seconds=90)
    assert format_retry_after(90, form=form, now=now) == expected


@pytest.mark.parametrize("form", ["imf-fixdate", "rfc850", "asctime"])
def test_every_day_and_month_is_right(form: Any) -> None:
    """The standard library reads every day of a leap year back as the day that was written."""
    for day in range(366):
        now = datetime(2028, 1, 1, 23, 59, 59, tzinfo=UTC) + timedelta(days=day)
        read = parsedate_to_datetime(format_retry_after(1, form=form, now=now))
        assert read.replace(tzinfo=UTC) == now + timedelta(seconds=1)
