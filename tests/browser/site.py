"""Web sites on this machine for a browser to visit: an app's, and an attacker's."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Generator

import attrs
import uvicorn
from starlette.types import Receive, Scope, Send

_TIMEOUT_SECONDS = 10


@attrs.frozen
class Visit:
    """A request that a site received."""

    path: str
    query: str
    headers: dict[str, str]


@attrs.define(eq=False)
class Site:
    """A site that shows whatever a test puts on it.

    Attributes:
        port: Its port at 127.0.0.1.
        pages: The HTML of each path; any other path gets a default page.
        redirects: Paths that redirect, and their targets.
        visits: The requests, except for icons.
    """

    port: int
    pages: dict[str, str] = attrs.field(factory=dict[str, str])
    redirects: dict[str, str] = attrs.field(factory=dict[str, str])
    visits: list[Visit] = attrs.field(factory=list[Visit])

    def url(self, path: str = "/", *, host: str = "127.0.0.1") -> str:
        """Return the address of a path."""
        return f"http://{host}:{self.port}{path}"

    def clear(self) -> None:
        """Forget all pages and visits."""
        self.pages.clear()
        self.redirects.clear()
        self.visits.clear()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to one request, whatever its method."""
        path: str = scope["path"]
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        if path != "/favicon.ico":
            self.visits.append(Visit(path, scope["query_string"].decode(), headers))
        while (await receive()).get("more_body"):
            pass
        page = self.pages.get(path, "<!doctype html><title>A page</title><h1>A page</h1>")
        response = [(b"content-type", b"text/html; charset=utf-8")]
        target = self.redirects.get(path)
        if target is not None:
            response.append((b"location", target.encode()))
        status = 200 if target is None else 302
        await send({"type": "http.response.start", "status": status, "headers": response})
        await send({"type": "http.response.body", "body": page.encode()})


@contextlib.contextmanager
def serve_site() -> Generator[Site, None, None]:
    """Serve an empty site on a free port of 127.0.0.1."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        site = Site(listener.getsockname()[1])
        config = uvicorn.Config(
            site, http="h11", ws="none", loop="asyncio", lifespan="off", log_config=None
        )
        config.access_log = False
        config.timeout_graceful_shutdown = 1
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield site
        finally:
            server.should_exit = True
            thread.join(_TIMEOUT_SECONDS)
    assert not thread.is_alive()
