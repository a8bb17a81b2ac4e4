"""The server that the browser comes back to: `CallbackServer`.

Anybody on this machine, and any page in the person's browser, can send requests to it. So a request
with a wrong state gets a page and changes nothing, connections that say nothing are dropped, and
only the one with the right state ends the wait. That one waits for its page until the login is
over, so that the page can say how it went.
"""

from __future__ import annotations

import queue
import selectors
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

from pipedrive_oauth_client.cli.callback_page import Page
from pipedrive_oauth_client.cli.exits import CommandError, ExitCode
from pipedrive_oauth_client.cli.loopback import Loopback, listen
from pipedrive_oauth_client.errors import PipedriveOAuthError, StateMismatchError

__all__ = ["CallbackServer"]

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
