"""The server that receives the callback from the browser: `CallbackServer`.

Any program on this machine, and any page in the user's browser, can send requests to it. So a
request that cannot be read, or has a wrong state, gets a page and changes nothing; silent
connections are closed, the oldest first where there are many; and only the request with the right
state ends the wait. That one gets its page when the login has ended, so that the page can show the
outcome.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import queue
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from socketserver import TCPServer
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

from attrs import frozen

from pipedrive_oauth_client._origins import is_loopback
from pipedrive_oauth_client.cli.exit_codes import CommandError, ExitCode
from pipedrive_oauth_client.errors import PipedriveOAuthError

__all__ = ["CallbackServer", "Loopback", "Page", "loopback_of"]

_CONNECTION_SECONDS: Final = 5
_MAX_CONNECTIONS: Final = 64
_OUTCOME_SECONDS: Final = 120
_POLL_SECONDS: Final = 0.1

_STYLE: Final = """\
:root { color-scheme: light dark; font: 1.125rem/1.5 system-ui, sans-serif; }
body { max-width: 34rem; margin: 15vh auto; padding: 0 1.25rem; }
h1 { font-size: 1.5rem; line-height: 1.25; }"""
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()


@frozen
class Page:
    """A page for the browser, with the status that it is sent with."""

    status: int
    title: str
    text: str

    def body(self) -> bytes:
        """Return the page as HTML, which loads nothing, runs nothing and links to nothing."""
        return f"""\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{escape(self.title)}</title>
<style>{_STYLE}</style>
<main>
<h1>{escape(self.title)}</h1>
<p>{escape(self.text)}</p>
</main>
</html>
""".encode()

    @staticmethod
    def headers() -> dict[str, str]:
        """Return headers that keep the URL, with its code and state, in this browser tab."""
        return {
            "Content-Type": "text/html; charset=utf-8",
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": (
                f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none';"
                " form-action 'none'; frame-ancestors 'none'"
            ),
        }


@frozen
class Loopback:
    """A redirect URI of this machine. Its path begins with a slash."""

    host: str
    port: int
    path: str

    @property
    def addresses(self) -> list[str]:
        """The addresses to listen on. A browser may use either of them for `localhost`."""
        return ["127.0.0.1", "::1"] if self.host == "localhost" else [self.host]


def loopback_of(redirect_uri: str) -> Loopback | None:
    """Return where to listen for a redirect URI, or None where that is not possible.

    Source:
        RFC 8252, section 7.3.
    """
    parts = urlsplit(redirect_uri)
    host = (parts.hostname or "").lower()
    # For https there is no certificate here.
    if parts.scheme.lower() != "http" or not is_loopback(host):
        return None
    return Loopback(host, parts.port or 80, parts.path or "/")


_WRONG_STATE: Final = Page(
    400,
    "This is not the expected callback",
    "Its state is missing, or differs from the one that was sent. The login in the terminal is"
    " still waiting. If you have just approved the app, start the login again.",
)
_ALREADY_RECEIVED: Final = Page(409, "The login is over", "See the terminal for the result.")
_NOT_FOUND: Final = Page(404, "Page not found", "The login is waiting at another address.")
_METHOD_NOT_ALLOWED: Final = Page(
    405, "Method not allowed", "Only GET is supported. The login is still waiting."
)
_BAD_REQUEST: Final = Page(
    400, "Bad request", "The request is not valid. The login is still waiting."
)
_NO_OUTCOME: Final = Page(200, "Pipedrive has responded", "See the terminal for the result.")


class CallbackServer:
    """Listens on the loopback interface until the callback arrives. Use it with `with`.

    `is_expected` tells from the path and query of a request whether it carries the state of this
    login. `read` then returns its code; an error that it raises ends the login.
    """

    def __init__(
        self, address: Loopback, is_expected: Callable[[str], bool], read: Callable[[str], str]
    ) -> None:
        self._path = address.path
        self._is_expected = is_expected
        self._read = read
        self._received: queue.SimpleQueue[str | PipedriveOAuthError] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._has_received = False
        self._outcome: Page = _NO_OUTCOME
        self._has_outcome = threading.Event()
        self._outcome_sent = threading.Event()
        # In the order of their arrival; whether the request of each has arrived in full.
        self._connections: dict[socket.socket, bool] = {}
        self.listeners = self._listen(address)

    def __enter__(self) -> Self:
        for each in self.listeners:
            threading.Thread(
                target=each.serve_forever,
                args=(_POLL_SECONDS,),
                name="pipedrive-callback",
                daemon=True,
            ).start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._has_outcome.set()
        if self._has_received:
            self._outcome_sent.wait(_CONNECTION_SECONDS)
        for each in self.listeners:
            each.shutdown()
            each.server_close()

    def _listen(self, address: Loopback) -> list[_Listener]:
        listeners: list[_Listener] = []
        for each in address.addresses:
            try:
                listeners.append(_Listener(each, address.port, self))
            except OSError as error:
                # A machine without IPv6 reports that with one of several errors, but never with
                # those of a port that is taken.
                if listeners and ip_address(each).version == 6 and not _is_taken(error):
                    continue
                for opened in listeners:
                    opened.server_close()
                raise _listen_error(address, error) from error
        return listeners

    def code(self, timeout: float) -> str:
        """Wait for the callback, and return its authorization code."""
        end = time.monotonic() + timeout
        while (left := end - time.monotonic()) > 0:
            try:
                # In short steps: on Windows, Ctrl-C does not interrupt a wait.
                received = self._received.get(timeout=min(left, _POLL_SECONDS))
            except queue.Empty:
                continue
            if isinstance(received, PipedriveOAuthError):
                raise received
            return received
        raise CommandError(
            f"The browser did not return within {timeout:g} seconds; nothing was changed."
            " Run the command again: with --paste if the browser is on another machine, or with a"
            " longer --timeout.",
            ExitCode.TIMED_OUT,
        )

    def finish(self, page: Page) -> None:
        """Show the outcome of the login in the browser."""
        self._outcome = page
        self._has_outcome.set()

    def page_for(self, method: str, target: str) -> Page:
        """Return the page for a request; for the callback, wait until the login has ended."""
        # A target may be a whole URL, with the same meaning (RFC 9112, section 3.2.2).
        if urlsplit(target).path != self._path:
            return _NOT_FOUND
        if method != "GET":
            return _METHOD_NOT_ALLOWED
        if not self._is_expected(target):
            return _WRONG_STATE
        received: str | PipedriveOAuthError
        try:
            received = self._read(target)
        except PipedriveOAuthError as error:
            received = error
        with self._lock:
            if self._has_received:
                return _ALREADY_RECEIVED
            self._has_received = True
        self._received.put(received)
        self._has_outcome.wait(_OUTCOME_SECONDS)
        return self._outcome

    def admit(self, connection: socket.socket) -> bool:
        """Return whether a new connection is served; the oldest silent one may have to end."""
        with self._lock:
            if len(self._connections) >= _MAX_CONNECTIONS:
                silent = (each for each, is_heard in self._connections.items() if not is_heard)
                oldest = next(silent, None)
                if oldest is None:
                    return False
                del self._connections[oldest]
                # Its thread, which is reading from it, closes it.
                with suppress(OSError):
                    oldest.shutdown(socket.SHUT_RDWR)
            self._connections[connection] = False
        return True

    def mark_heard(self, connection: socket.socket) -> None:
        """Note that the request of a connection has arrived."""
        with self._lock:
            if connection in self._connections:
                self._connections[connection] = True

    def forget(self, connection: socket.socket) -> None:
        """Note that a connection has ended."""
        with self._lock:
            self._connections.pop(connection, None)

    def mark_sent(self, page: Page) -> None:
        """Note that a page was sent: the server may close after the outcome."""
        if page is self._outcome:
            self._outcome_sent.set()


class _Listener(ThreadingHTTPServer):
    """Serves one address of a `CallbackServer`."""

    allow_reuse_address = os.name == "posix"  # elsewhere it would share the port
    allow_reuse_port = False
    request_queue_size = _MAX_CONNECTIONS

    def __init__(self, host: str, port: int, owner: CallbackServer) -> None:
        self.owner = owner
        is_v6 = ip_address(host).version == 6
        self.address_family = socket.AF_INET6 if is_v6 else socket.AF_INET
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        if os.name != "posix" and hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        TCPServer.server_bind(self)  # HTTPServer would look up the name of the host
        # A connection may be gone before it is accepted; `accept` must not wait for another one.
        self.socket.setblocking(False)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        del client_address
        return self.owner.admit(request)

    def shutdown_request(self, request: Any) -> None:
        self.owner.forget(request)
        super().shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        # For the whole request: the timeout of a socket starts anew with every byte.
        deadline = threading.Timer(_CONNECTION_SECONDS, _stop_reading, [request])
        deadline.daemon = True
        try:
            deadline.start()
            super().process_request_thread(request, client_address)
        finally:
            deadline.cancel()

    def handle_error(self, request: Any, client_address: Any) -> None:
        del request, client_address
        # A lost connection is not worth a line in the terminal.
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, (OSError, ValueError)):
            raise error


def _stop_reading(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RD)


def _is_taken(error: OSError) -> bool:
    return error.errno in (errno.EADDRINUSE, errno.EACCES, errno.EPERM)


def _listen_error(address: Loopback, error: OSError) -> CommandError:
    if isinstance(error, PermissionError):
        reason = "permission denied. Ports below 1024 often need more rights"
    elif _is_taken(error):
        reason = "another program uses it, perhaps another login. Stop it, or wait for its end"
    else:
        reason = error.strerror or type(error).__name__
    return CommandError(
        f"Cannot listen on port {address.port} of the redirect URI: {reason}. Or use --paste.",
        ExitCode.PORT_IN_USE,
    )


class _Handler(BaseHTTPRequestHandler):
    server: Any
    timeout = _CONNECTION_SECONDS
    default_request_version = "HTTP/1.0"  # a request that cannot be parsed gets headers, too

    def __getattr__(self, name: str) -> Any:
        # The base class looks for a method `do_` with the method of the request.
        if name.startswith("do_"):
            return self._respond
        raise AttributeError(name)

    def _respond(self) -> None:
        self.server.owner.mark_heard(self.connection)
        page = _BAD_REQUEST
        with suppress(ValueError):  # the target is not a URL
            page = self.server.owner.page_for(self.command, self.path)
        self._send(page)

    def _send(self, page: Page) -> None:
        body = page.body()
        self.send_response_only(page.status)
        for name, value in page.headers().items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            if self.command != "HEAD":
                self.wfile.write(body)
        finally:
            self.server.owner.mark_sent(page)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Send a page that does not repeat the request, as the base class would."""
        del code, message, explain
        self.command = self.command or "GET"
        self._send(_BAD_REQUEST)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Log nothing: the line would hold the code and the state."""
