"""Serving a sandbox over TCP on this machine: in a background thread, or in the foreground.

The listening socket is there before the server starts, so a client may connect as soon as there is
an address; nothing waits by polling. The server writes no access log and no trace of requests, as
both would hold codes and tokens.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import socket
import threading
from collections.abc import Callable, Generator
from typing import Any

import attrs
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.sandbox import browser, notices
from pipedrive_oauth_client.sandbox.app import Sandbox, create_app
from pipedrive_oauth_client.sandbox.faults import Faults
from pipedrive_oauth_client.sandbox.models import App, User
from pipedrive_oauth_client.sandbox.request_log import RequestLog
from pipedrive_oauth_client.sandbox.requests import Connection, lend


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket on a loopback address.

    Args:
        host: A loopback address, or `localhost`.
        port: A TCP port; 0 takes a free one.

    Raises:
        ConfigurationError: The host is not this machine's loopback, or the port is taken or is no
            port.
    """
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
    # With the protocol named, asyncio turns off Nagle's delay, which would make the body of each
    # answer wait some 40 ms behind its headers.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
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


def address_of(host: str, listener: socket.socket) -> str:
    """Return the address that clients use for a listening socket."""
    port: int = listener.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


_GRACE_SECONDS = 1
# As in uvicorn, which counts ten ticks to a second and begins again after a day.
_TICK_SECONDS = 0.1
_LAST_TICK = 864_000


class _QuietProtocol(H11Protocol):
    """HTTP without an access log: the lines would hold the codes and states in URLs.

    Uvicorn's own switch for this changes a logger that all servers in the process share, and
    another server's settings would turn it on again.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        **options: Any,
    ) -> None:
        super().__init__(config, server_state, app_state, **options)
        self.access_log = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Let the requests of this connection have it, for faults that break it."""
        super().connection_made(transport)
        app, connection = self.app, Connection(transport)

        async def with_connection(scope: Scope, receive: Receive, send: Send) -> None:
            await app(lend(connection, scope), receive, send)

        self.app = with_connection


class BackgroundServer(uvicorn.Server):
    """A uvicorn server of one sandbox that a thread can run and another one can stop.

    Attributes:
        sandbox: What it serves.
        settled: Set once the server has started or has failed to.
        failure: Why the thread ended, unless it ended as it should.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        config = uvicorn.Config(
            sandbox,
            http=_QuietProtocol,
            ws="none",
            loop="asyncio",
            lifespan="off",
            workers=1,
            interface="asgi3",
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        config.load()
        # Without what uvicorn wraps around it: one part believes the headers of proxies, another
        # one logs whole requests when a low log level asks for it.
        config.loaded_app = sandbox
        super().__init__(config)
        self.sandbox = sandbox
        self.settled = threading.Event()
        self._woken = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.failure: BaseException | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and let the waiting thread know."""
        await super().startup(sockets=sockets)
        self.settled.set()

    async def main_loop(self) -> None:
        """Tick as uvicorn does, but stop when `stop` is called, not at the next tick."""
        self._loop = asyncio.get_running_loop()
        counter = 0
        while not await self.on_tick(counter):
            counter = (counter + 1) % _LAST_TICK
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), _TICK_SECONDS)

    def stop(self) -> None:
        """Let the server end; any thread may call this, at any time."""
        self.should_exit = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: it has ended already
                self._loop.call_soon_threadsafe(self._woken.set)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop, and close what is left: a request that never ends would keep its connection."""
        # Requests under way get their time here; uvicorn would cancel them with a traceback.
        if self.server_state.tasks:
            await asyncio.wait(list(self.server_state.tasks), timeout=_GRACE_SECONDS)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await super().shutdown(sockets=sockets)
        for connection in list(self.server_state.connections):
            connection.transport.abort()

    def serve_until_stopped(self, listener: socket.socket) -> None:
        """Be the background thread, and tell the waiting one how the start went."""
        try:
            self.run(sockets=[listener])
        except BaseException as error:  # noqa: BLE001  # handed to the thread that waits
            self.failure = error
        finally:
            self.settled.set()


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

    @property
    def faults(self) -> Faults:
        """What is to go wrong, and how often."""
        return self.sandbox.faults

    @property
    def requests(self) -> RequestLog:
        """The last requests, to look at and to count."""
        return self.sandbox.requests

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
        person = None if user is None else self.sandbox.known_user(user)
        return browser.visit(
            self.base_url,
            authorization_url,
            decision="allow" if approve else "cancel",
            account=None if person is None else person.account,
        )

    def install(self, *, user: User | None = None, app: App | None = None) -> str:
        """Let an app in from the Marketplace and return the callback URL: see `Sandbox.install`."""
        return self.sandbox.install(user=user, app=app)

    def uninstall(self, user: User, *, app: App | None = None) -> bool:
        """End all that a user gave an app, and send the app the notice of it.

        The notice is a DELETE to the app's redirect URI, with the app's credentials as Basic value
        and a JSON body of `client_id`, `company_id`, `user_id` and `timestamp`. What the app
        answers makes no difference; it is waited for, at most five seconds.

        Args:
            user: Who uninstalls it.
            app: The app; the first one unless given.

        Returns:
            False if the app could not be reached; it is uninstalled all the same.

        Raises:
            ConfigurationError: The user or the app is not one of the sandbox's, or the app's
                redirect URI is not an http URL of this machine's loopback; nothing was done.
        """
        notices.check_address((self.app if app is None else app).redirect_uri)
        return notices.send(self.sandbox.uninstall(user, app=app))


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
    with contextlib.closing(listen(host, port)) as listener:
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
            yield SandboxServer(address_of(host, listener), server.sandbox)
        finally:
            server.stop()
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
    with contextlib.closing(listen(host, port)) as listener:
        announce(SandboxServer(address_of(host, listener), app))
        BackgroundServer(app).run(sockets=[listener])
