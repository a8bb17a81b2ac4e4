"""A server of canned responses, in a process of its own: `python -m benchmarks.token_server`.

It does as little as a token endpoint can, so that the clients are what is measured: a POST gets a
token and the next refresh token, a GET a small JSON object, and the path `/count` the number of
POSTs since its last call. It prints its port, and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Generator
from http.client import HTTPConnection
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# As long as Pipedrive's: room for 768 characters is what its documentation asks for.
TOKENS = {
    "access_token": "v1u:" + "AQIBAHj-LdTNK2yuuuaLqKqbhuuVTQ" * 14,
    "token_type": "Bearer",
    "scope": "deals:full,users:read,base",
    "expires_in": 3599,
    "api_domain": "https://acme.pipedrive.com",
}
_USER = json.dumps({"success": True, "data": {"id": 1, "name": "Ada"}}).encode()


class _Connection(asyncio.Protocol):
    posts = 0
    issued = 0

    def __init__(self) -> None:
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while True:
            head, found, rest = self._received.partition(b"\r\n\r\n")
            if not found:
                return
            length = 0
            for line in head.split(b"\r\n")[1:]:
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            if len(rest) < length:
                return
            self._received = rest[length:]
            body = _body(head)
            self._transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
            )


def _body(head: bytes) -> bytes:
    if head.startswith(b"POST "):
        _Connection.posts += 1
        _Connection.issued += 1
        refresh_token = f"1:1:{_Connection.issued:060d}"
        return json.dumps({**TOKENS, "refresh_token": refresh_token}).encode()
    if head.startswith(b"GET /count "):
        counted, _Connection.posts = _Connection.posts, 0
        return str(counted).encode()
    return _USER


class Server:
    """A running server on a port of this machine."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._connection = HTTPConnection("127.0.0.1", port, timeout=60)

    def posts(self) -> int:
        """Return how many token requests came since the last call."""
        self._connection.request("GET", "/count")
        return int(self._connection.getresponse().read())

    def close(self) -> None:
        """Close this process's connection to it."""
        self._connection.close()


@contextlib.contextmanager
def served() -> Generator[Server]:
    """Start the server; it has ended when the `with` block has."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.token_server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        server = Server(int(process.stdout.readline()))
        with contextlib.closing(server):
            yield server
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, "127.0.0.1", 0, backlog=8192)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(_serve())
