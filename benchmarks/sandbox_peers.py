"""What `sandbox_load` measures with: a client, a bare server, and accounts by the thousand."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from base64 import b64encode
from collections.abc import Generator, Sequence
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import attrs
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Message, Scope

from pipedrive_oauth_client.sandbox import DEFAULT_APP, DEFAULT_USER, Sandbox, User

_FORM = "application/x-www-form-urlencoded"
_PAIR = f"{DEFAULT_APP.client_id}:{DEFAULT_APP.client_secret}"
_BASIC = f"Basic {b64encode(_PAIR.encode()).decode()}"
_PATIENCE_SECONDS = 10


class Client:
    """One kept connection to one server.

    Args:
        base_url: The server's address.
    """

    def __init__(self, base_url: str) -> None:
        parts = urlsplit(base_url)
        self._socket = socket.create_connection((parts.hostname, parts.port), _PATIENCE_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def refresh(self, token: str) -> dict[str, object]:
        """Send a refresh and return the body of the answer, which must be a success."""
        form = urlencode({"grant_type": "refresh_token", "refresh_token": token}).encode()
        head = (
            f"POST /oauth/token HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {_BASIC}\r\n"
            f"Content-Type: {_FORM}\r\nContent-Length: {len(form)}\r\n\r\n"
        )
        self._socket.sendall(head.encode() + form)
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._receive()
        raw_head, _, body = received.partition(b"\r\n\r\n")
        status_line, *lines = raw_head.decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        while len(body) < int(headers["content-length"]):
            body += self._receive()
        if " 200 " not in status_line:
            raise RuntimeError(f"Expected a success, got: {status_line}")
        answer: dict[str, object] = json.loads(body)
        return answer

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def _receive(self) -> bytes:
        chunk = self._socket.recv(65536)
        if not chunk:
            raise RuntimeError("The server closed the connection in the middle of an answer.")
        return chunk


@contextlib.contextmanager
def bare_server(answer: dict[str, object]) -> Generator[str, None, None]:
    """Serve a route that reads a form and gives always the same answer; yields its address."""

    async def issue(request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode("ascii")))
        return JSONResponse({**answer, "refresh_token": form["refresh_token"]})

    app = Starlette(routes=[Route("/oauth/token", issue, methods=["POST"])])
    config = uvicorn.Config(
        app, http="h11", ws="none", loop="asyncio", lifespan="off", log_level="critical"
    )
    config.access_log = False
    server = uvicorn.Server(config)
    # With the protocol named, asyncio turns off Nagle's delay, as for the sandbox.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    with contextlib.closing(listener):
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(_PATIENCE_SECONDS)


async def _exchange(sandbox: Sandbox, code: str) -> dict[str, object]:
    """Exchange a code by calling the ASGI application, without a connection."""
    form = urlencode(
        {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": DEFAULT_APP.redirect_uri,
        }
    ).encode()
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/oauth/token",
        "raw_path": b"/oauth/token",
        "root_path": "",
        "query_string": b"",
        "headers": [
            (b"host", b"127.0.0.1"),
            (b"authorization", _BASIC.encode()),
            (b"content-type", _FORM.encode()),
        ],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    sent = list[Message]()

    async def receive() -> Message:
        return {"type": "http.request", "body": form, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await sandbox(scope, receive, send)
    if sent[0]["status"] != 200:
        raise RuntimeError(f"Expected tokens, got status {sent[0]['status']}.")
    tokens: dict[str, object] = json.loads(b"".join(each.get("body", b"") for each in sent[1:]))
    return tokens


async def connect_all(sandbox: Sandbox, users: Sequence[User]) -> str:
    """Let the app in for each user, take the tokens, and return the last refresh token."""
    token = ""
    for user in users:
        (code,) = parse_qs(urlsplit(sandbox.install(user=user)).query)["code"]
        token = str((await _exchange(sandbox, code))["refresh_token"])
    return token


def make_users(count: int) -> list[User]:
    """Make that many people, ten to a company."""
    return [
        attrs.evolve(
            DEFAULT_USER,
            id=number,
            name=f"Person {number}",
            email=f"person{number}@company{number // 10}.example",
            company_id=number // 10 + 1,
            company_name=f"Company {number // 10}",
            company_domain=f"company{number // 10}",
        )
        for number in range(1, count + 1)
    ]
