"""Serving a sandbox over TCP on this machine: in a background thread, or in the foreground.

The listening socket is there before the server starts, so a client may connect as soon as there is
an address; nothing waits by polling. The server writes no access log and no trace of requests, as
both would hold codes and tokens.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import threading
from collections.abc import Callable, Generator

import attrs

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.sandbox import browser
from pipedrive_oauth_client.sandbox.application import Sandbox, create_app
from pipedrive_oauth_client.sandbox.records import App, User
from pipedrive_oauth_client.sandbox.uvicorn_server import BackgroundServer

_PATIENCE_SECONDS = 10


@attrs.frozen
class SandboxServer:
    """A sandbox that is being served.

    Attributes:
        base_url: Its address, such as `http://127.0.0.1:54321`, without a slash at the end.
        sandbox: The sandbox itself.
    """

    base_url: str
    sandbox: Sandbox

    @property
    def app(self) -> App:
        """The app that was registered first."""
        return self.sandbox.apps[0]

    def visit(
        self, authorization_url: str, *, approve: bool = True, user: User | None = None
    ) -> str:
        """Do what a person's browser would do: open the page, answer it, and stop at the callback.

        Args:
            authorization_url: A URL of this sandbox's authorization endpoint.
            approve: Whether to press "Allow and install" or "Cancel".
            user: Who decides; the page's first choice unless given.

        Returns:
            The callback URL that the browser would go to next, with `code` or `error` in it.

        Raises:
            ConfigurationError: The URL is not this sandbox's, the sandbox refused it, or the user
                is not one of the sandbox's.
        """
        return browser.visit(
            self.base_url,
            authorization_url,
            decision="allow" if approve else "cancel",
            account=user.account if user is not None else None,
        )


@contextlib.contextmanager
def run(
    app: Sandbox | None = None, *, host: str = "127.0.0.1", port: int = 0
) -> Generator[SandboxServer, None, None]:
    """Serve a sandbox in a background thread for as long as the `with` block lasts.

    Args:
        app: The sandbox; a new one with all defaults unless given.
        host: A loopback address, or `localhost`.
        port: A TCP port; 0 takes a free one.

    Yields:
        The server, with its `base_url`, its `app` and `visit`.

    Raises:
        ConfigurationError: The host is not this machine's loopback, the port is taken or is no
            port, or the server could not start or stop.
    """
    server = BackgroundServer(app if app is not None else create_app())
    with contextlib.closing(_listen(host, port)) as listener:
        thread = threading.Thread(
            target=server.serve_until_stopped, args=(listener,), name="pipedrive-sandbox"
        )
        # Should the block never be left, the interpreter can still end.
        thread.daemon = True
        thread.start()
        try:
            server.settled.wait(_PATIENCE_SECONDS)
            if not server.started:
                raise ConfigurationError(
                    "The sandbox's server did not start; the cause says why."
                ) from server.failure
            yield SandboxServer(_address(host, listener), server.sandbox)
        finally:
            server.should_exit = True
            thread.join(_PATIENCE_SECONDS)
    if thread.is_alive() or server.failure is not None:
        raise ConfigurationError(
            "The sandbox's server did not end well; the cause, if there is one, says why."
        ) from server.failure


def serve(
    app: Sandbox,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    announce: Callable[[SandboxServer], None],
) -> None:
    """Serve a sandbox in the foreground until Ctrl-C, which ends it with a KeyboardInterrupt.

    Args:
        app: The sandbox.
        host: A loopback address, or `localhost`.
        port: A TCP port; 0 takes a free one.
        announce: Called once with the server's address, when clients can already connect.

    Raises:
        ConfigurationError: The host is not this machine's loopback, or the port is taken or is no
            port.
    """
    with contextlib.closing(_listen(host, port)) as listener:
        announce(SandboxServer(_address(host, listener), app))
        BackgroundServer(app).run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    """Return a listening socket on a loopback address."""
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        address = None
    if address is None or not address.is_loopback:
        raise ConfigurationError(
            "host must be a loopback address such as 127.0.0.1: the sandbox gives tokens to "
            "anybody who asks, so it serves this machine alone."
        )
    if not 0 <= port <= 65535:
        raise ConfigurationError("port must be from 0 to 65535; 0 takes a free one.")
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    listener = socket.socket(family)
    try:
        if os.name == "posix":
            # So that a port is free again at once after the last server there.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((str(address), port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"Port {port} on {host} can't be used, most likely because another program has it; "
            "leave port out to get a free one."
        ) from error
    return listener


def _address(host: str, listener: socket.socket) -> str:
    port: int = listener.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
