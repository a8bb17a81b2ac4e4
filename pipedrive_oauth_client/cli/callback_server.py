"""The server that the browser comes back to: `CallbackServer`.

Anybody on this machine, and any page in the person's browser, can send requests to it. So a request
with a wrong state gets a page and changes nothing, connections that say nothing are dropped, and
only the one with the right state ends the wait. That one waits for its page until the login is
over, so that the page can say how it went.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import queue
import selectors
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from html import escape
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

from attrs import frozen

from pipedrive_oauth_client._origins import is_loopback
from pipedrive_oauth_client.cli.exit_codes import CommandError, ExitCode
from pipedrive_oauth_client.errors import PipedriveOAuthError, StateMismatchError

__all__ = ["CallbackServer", "Loopback", "Page", "listen", "loopback_of"]

_STYLE: Final = """\
:root { color-scheme: light dark; font: 1.125rem/1.5 system-ui, sans-serif; }
body { max-width: 34rem; margin: 15vh auto; padding: 0 1.25rem; }
h1 { font-size: 1.5rem; line-height: 1.25; }"""
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()


@frozen
class Page:
    """A page.

    Attributes:
        status: The HTTP status that it is sent with.
        title: What happened, in a few words.
        text: What to do now.
    """

    status: int
    title: str
    text: str

    def body(self) -> bytes:
        """Give the page as HTML. It loads nothing, runs nothing and links to nothing."""
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
        """Give the headers, which keep the address with its code and state from everybody else."""
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
    """Where the browser comes back to.

    Attributes:
        host: `localhost` or a loopback address.
        port: The port.
        path: The path, which begins with a slash.
    """

    host: str
    port: int
    path: str

    @property
    def addresses(self) -> list[str]:
        """The addresses to listen on. A browser takes either of them for `localhost`."""
        return ["127.0.0.1", "::1"] if self.host == "localhost" else [self.host]


def loopback_of(redirect_uri: str) -> Loopback | None:
    """Read a redirect URI.

    Args:
        redirect_uri: The redirect URI.

    Returns:
        The address, or None where the browser does not come back to this machine, or not without
        TLS, for which there is no certificate here.

    Source:
        RFC 8252, section 7.3.
    """
    parts = urlsplit(redirect_uri)
    host = (parts.hostname or "").lower()
    if parts.scheme.lower() != "http" or not is_loopback(host):
        return None
    return Loopback(host, parts.port or 80, parts.path or "/")


def listen(address: Loopback) -> list[socket.socket]:
    """Listen where the browser will come back to, and nowhere else.

    Args:
        address: The address.

    Returns:
        A socket for each of the addresses; of `localhost`, for those that this machine has.

    Raises:
        CommandError: It can't be listened on.
    """
    sockets: list[socket.socket] = []
    for each in address.addresses:
        try:
            sockets.append(_socket(each, address.port))
        except OSError as error:
            # A machine without IPv6 says so in several ways; a port that is taken is another thing.
            if sockets and ip_address(each).version == 6 and not _is_taken(error):
                continue
            for opened in sockets:
                opened.close()
            raise _refused(address, error) from error
    return sockets


def _socket(host: str, port: int) -> socket.socket:
    is_v6 = ip_address(host).version == 6
    listener = socket.socket(socket.AF_INET6 if is_v6 else socket.AF_INET, socket.SOCK_STREAM)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        elif hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        if is_v6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((host, port))
        listener.listen(64)
    except BaseException:
        listener.close()
        raise
    return listener


def _is_taken(error: OSError) -> bool:
    return error.errno in (errno.EADDRINUSE, errno.EACCES, errno.EPERM)


def _refused(address: Loopback, error: OSError) -> CommandError:
    if isinstance(error, PermissionError):
        why = "this user may not listen there. Ports below 1024 often need more rights"
    elif _is_taken(error):
        why = "another program listens there, perhaps another login. Stop it, or wait for its end"
    else:
        why = error.strerror or type(error).__name__
    return CommandError(
        f"Port {address.port} of the redirect URI can't be used: {why}. Or use --paste.",
        ExitCode.PORT_IN_USE,
    )


_CONNECTION_SECONDS: Final = 5
_MOST_CONNECTIONS: Final = 64
_OUTCOME_SECONDS: Final = 120
_PIECE_SECONDS: Final = 0.1

_STRANGER: Final = Page(
    400,
    "This is not the answer that the login waits for",
    "It carries another state than the one that was sent, or none. The login in the terminal goes"
    " on waiting. If you have just approved the app, start the login again.",
)
_AGAIN: Final = Page(409, "The login is over", "Look at the terminal to see how it went.")
_ELSEWHERE: Final = Page(404, "There is nothing here", "The login is waiting at another address.")
_ONLY_GET: Final = Page(405, "Only GET is answered here", "The login goes on waiting.")
_BAD: Final = Page(400, "This request can't be read", "The login goes on waiting.")
_LATE: Final = Page(200, "Pipedrive has answered", "Look at the terminal to see how it went.")


class CallbackServer:
    """Listens until the callback has come. Use it with `with`.

    Args:
        address: Where the browser comes back to.
        read: Reads a callback's path and query. It gives the code, or raises `StateMismatchError`
            for what somebody else has sent, and any other error for what ends the login.
    """

    def __init__(self, address: Loopback, read: Callable[[str], str]) -> None:
        self._path = address.path
        self._read = read
        self._sockets = listen(address)
        self._arrived: queue.SimpleQueue[str | PipedriveOAuthError] = queue.SimpleQueue()
        self._guard = threading.Lock()
        self._has_arrived = False
        self._is_over = threading.Event()
        self._outcome: Page = _LATE
        self._has_outcome = threading.Event()
        self._is_told = threading.Event()
        self._slots = threading.BoundedSemaphore(_MOST_CONNECTIONS)
        self._thread = threading.Thread(target=self._serve, name="pipedrive-callback", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._has_outcome.set()
        if self._has_arrived:
            self._is_told.wait(_CONNECTION_SECONDS)
        self._is_over.set()
        self._thread.join(_CONNECTION_SECONDS)
        for each in self._sockets:
            each.close()

    def code(self, timeout: float) -> str:
        """Wait for the callback.

        Args:
            timeout: How long, in seconds.

        Returns:
            The authorization code.

        Raises:
            CommandError: Nobody came back in time.
            PipedriveOAuthError: The person said no, or the callback can't be used.
        """
        end = time.monotonic() + timeout
        while (left := end - time.monotonic()) > 0:
            try:
                # In pieces: on Windows, Ctrl-C does not end a wait.
                found = self._arrived.get(timeout=min(left, _PIECE_SECONDS))
            except queue.Empty:
                continue
            if isinstance(found, PipedriveOAuthError):
                raise found
            return found
        raise CommandError(
            f"Nobody came back from the browser within {timeout:g} seconds; nothing was changed."
            " Run the command again, with a longer --timeout if need be.",
            ExitCode.TIMED_OUT,
        )

    def finish(self, page: Page) -> None:
        """Show the person how it went.

        Args:
            page: The page that the browser ends on.
        """
        self._outcome = page
        self._has_outcome.set()

    def page_for(self, method: str, target: str) -> Page:
        """Answer a request; for the callback this waits until the login is over.

        Args:
            method: The method of the request.
            target: Its target: a path and a query.

        Returns:
            The page.
        """
        # A target may be a whole URL, with the same meaning (RFC 9112, section 3.2.2).
        if urlsplit(target).path != self._path:
            return _ELSEWHERE
        if method != "GET":
            return _ONLY_GET
        arrived: str | PipedriveOAuthError
        try:
            arrived = self._read(target)
        except StateMismatchError:
            return _STRANGER
        except PipedriveOAuthError as error:
            arrived = error
        with self._guard:
            if self._has_arrived:
                return _AGAIN
            self._has_arrived = True
        self._arrived.put(arrived)
        self._has_outcome.wait(_OUTCOME_SECONDS)
        return self._outcome

    def told(self, page: Page) -> None:
        """Note that a page was sent."""
        if page is self._outcome:
            self._is_told.set()

    def _serve(self) -> None:
        with selectors.DefaultSelector() as selector:
            for each in self._sockets:
                each.setblocking(False)
                selector.register(each, selectors.EVENT_READ)
            while not self._is_over.is_set():
                for key, _ in selector.select(_PIECE_SECONDS):
                    listener: Any = key.fileobj
                    self._accept(listener)

    def _accept(self, listener: socket.socket) -> None:
        try:
            connection, peer = listener.accept()
        except OSError:
            return  # it has gone again
        if not self._slots.acquire(blocking=False):
            connection.close()
            return
        threading.Thread(target=self._talk, args=(connection, peer), daemon=True).start()

    def _talk(self, connection: socket.socket, peer: Any) -> None:
        # The time-out of a socket begins again with every byte.
        patience = threading.Timer(_CONNECTION_SECONDS, _end_reading, [connection])
        patience.daemon = True
        try:
            patience.start()
            connection.settimeout(_CONNECTION_SECONDS)
            with connection:
                this: Any = self  # the base class hands it on, and no more
                _Handler(connection, peer, this)
        except (OSError, ValueError):
            pass  # a browser that has gone away; what it said is nobody's business
        finally:
            patience.cancel()
            self._slots.release()


def _end_reading(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RD)


class _Handler(BaseHTTPRequestHandler):
    server: Any
    timeout = _CONNECTION_SECONDS
    default_request_version = "HTTP/1.0"  # garbage gets headers, too

    def __getattr__(self, name: str) -> Any:
        # The base class looks for a method `do_` with the method of the request.
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    def _answer(self) -> None:
        page = _BAD
        with suppress(ValueError):  # no URL at all
            page = self.server.page_for(self.command, self.path)
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
            self.server.told(page)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what can't be read; the base class would repeat it."""
        del code, message, explain
        self.command = self.command or "GET"
        self._send(_BAD)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Say nothing: the line would hold the code and the state."""
