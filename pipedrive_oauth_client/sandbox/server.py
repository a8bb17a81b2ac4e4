"""Serves a sandbox over TCP on this machine: in a background thread, or in the foreground.

The listening socket exists before the server starts, so a client may connect as soon as there is
an address; nothing waits by polling. The server writes no access log and no trace of requests, as
both would contain codes and tokens.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import socket
import threading
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from typing import Any

import attrs
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from pipedrive_oauth_client.errors import ConfigurationError, ProcessBound
from pipedrive_oauth_client.sandbox import browser, notices
from pipedrive_oauth_client.sandbox.app import Sandbox, create_app
from pipedrive_oauth_client.sandbox.faults import Faults
from pipedrive_oauth_client.sandbox.middleware import Connection
from pipedrive_oauth_client.sandbox.models import App, User
from pipedrive_oauth_client.sandbox.request_log import RequestLog
from pipedrive_oauth_client.sandbox.settings import to_host_names
from pipedrive_oauth_client.sandbox.urls import is_loopback_name

# How long a background server may take to start, and to stop.
_TIMEOUT_SECONDS = 10
_GRACE_SECONDS = 1
# As in uvicorn, which counts ten ticks to a second and starts again after a day.
_TICK_SECONDS = 0.1
_TICKS_PER_DAY = 864_000


@attrs.frozen
class SandboxServer(ProcessBound):
    """A sandbox that is being served.

    Attributes:
        base_url: Its address, such as `http://127.0.0.1:54321`, without a slash at the end.
        sandbox: The sandbox itself.
    """

    _instead = "Pass its `base_url`."

    base_url: str
    sandbox: Sandbox

    @property
    def app(self) -> App:
        """The app that was registered first."""
        return self.sandbox.apps[0]

    @property
    def faults(self) -> Faults:
        """The faults still to come."""
        return self.sandbox.faults

    @property
    def requests(self) -> RequestLog:
        """The last requests, to look at and to count."""
        return self.sandbox.requests

    def visit(
        self, authorization_url: str, *, approve: bool = True, user: User | None = None
    ) -> str:
        """Do what a user's browser would do: open the page, submit it, and stop at the callback.

        Args:
            authorization_url: A URL of this sandbox's authorization endpoint.
            approve: Whether to press "Allow and install" or "Cancel".
            user: The user who decides; the page's first choice by default.

        Returns:
            The callback URL that the browser would open next, with `code` or `error` in it.

        Raises:
            ConfigurationError: The URL is not this sandbox's, the sandbox rejected it, or the user
                is not one of the sandbox's.
        """
        known = None if user is None else self.sandbox.known_user(user)
        return browser.visit(
            self.base_url,
            authorization_url,
            decision="allow" if approve else "cancel",
            account=None if known is None else known.account,
        )

    def install(self, *, user: User | None = None, app: App | None = None) -> str:
        """Install an app from the Marketplace; return what opens next: see `Sandbox.install`.

        Args:
            user: The user who installs it; the first one by default.
            app: The app; the first one by default.
        """
        return self.sandbox.install(user=user, app=app)

    def uninstall(self, user: User, *, app: App | None = None) -> bool:
        """Revoke all that a user gave an app, and send the app the notice of it.

        The notice is a DELETE to the app's redirect URI, with the app's credentials as Basic value
        and a JSON body of `client_id`, `company_id`, `user_id` and `timestamp`. The app's response
        makes no difference; the sandbox waits for it at most five seconds.

        Args:
            user: The user who uninstalls it.
            app: The app; the first one by default.

        Returns:
            False if the app could not be reached; it is uninstalled nevertheless.

        Raises:
            ConfigurationError: The user or the app is not one of the sandbox's, or the app's
                redirect URI is not an http URL of this machine's loopback; nothing was done.
        """
        notices.check_address((self.app if app is None else app).redirect_uri)
        return notices.send(self.sandbox.uninstall(user, app=app))

    def share(self, user: User, *, app: App | None = None, is_shared: bool = True) -> bool:
        """Send the app the POST that says whether a user shares it: see `Sandbox.share`.

        Args:
            user: The user.
            app: The app; the first one by default.
            is_shared: Whether the user shares the app with the company.

        Returns:
            False if the app could not be reached.

        Raises:
            ConfigurationError: The user or the app is not one of the sandbox's, or the app's
                redirect URI is not an http URL of this machine's loopback.
        """
        return notices.send(self.sandbox.share(user, app=app, is_shared=is_shared))


@contextlib.contextmanager
def run(
    app: Sandbox | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    allowed_hosts: Iterable[str] = (),
) -> Generator[SandboxServer, None, None]:
    """Serve a sandbox in a background thread for as long as the `with` block lasts.

    It answers requests for loopback names only, so that no web page can use it by DNS rebinding.

    Args:
        app: The sandbox; a new one with all defaults if left out.
        host: A loopback address, or `localhost`. With `allowed_hosts` any address of this machine,
            such as `0.0.0.0` in a container: then others in the network can reach the sandbox.
        port: A TCP port; 0 chooses a free one.
        allowed_hosts: The hosts, without port, that it answers for besides loopback names and the
            hosts of the sandbox itself. The first one is in `base_url` where `host` is no loopback
            address.

    Yields:
        The server, with its `base_url`, its `app` and `visit`.

    Raises:
        ConfigurationError: The host is not this machine's loopback and no allowed host is given,
            an allowed host is none, the port is taken or is no port, or the server could not start
            or stop.
    """
    sandbox = app if app is not None else create_app()
    names = _allowed_names(sandbox, allowed_hosts)
    server = _Server(sandbox, names)
    with contextlib.closing(_listen(host, port, names)) as listener:
        thread = threading.Thread(
            target=server.serve_until_stopped, args=(listener,), name="pipedrive-sandbox"
        )
        # If the block never ends, the interpreter can still exit.
        thread.daemon = True
        thread.start()
        try:
            server.settled.wait(_TIMEOUT_SECONDS)
            if not server.started:
                raise ConfigurationError(
                    "The sandbox's server did not start; see the cause."
                ) from server.failure
            yield SandboxServer(_base_url(host, listener, names), server.sandbox)
        finally:
            server.stop()
            thread.join(_TIMEOUT_SECONDS)
    if thread.is_alive() or server.failure is not None:
        raise ConfigurationError(
            "The sandbox's server did not stop properly; see the cause, if there is one."
        ) from server.failure


def serve(
    app: Sandbox,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    allowed_hosts: Iterable[str] = (),
    announce: Callable[[SandboxServer], None],
) -> None:
    """Serve a sandbox in the foreground until Ctrl-C, which ends it with a KeyboardInterrupt.

    Args:
        app: The sandbox.
        host: As for `run`.
        port: A TCP port; 0 chooses a free one.
        allowed_hosts: As for `run`.
        announce: Called once with the server's address, when clients can already connect.

    Raises:
        ConfigurationError: The host is not this machine's loopback and no allowed host is given,
            an allowed host is none, or the port is taken or is no port.
    """
    names = _allowed_names(app, allowed_hosts)
    with contextlib.closing(_listen(host, port, names)) as listener:
        announce(SandboxServer(_base_url(host, listener, names), app))
        _Server(app, names).run(sockets=[listener])


def _allowed_names(sandbox: Sandbox, allowed_hosts: Iterable[str]) -> tuple[str, ...]:
    return (*to_host_names(allowed_hosts), *(sandbox.allowed_hosts or ()))


def _listen(host: str, port: int, names: Collection[str]) -> socket.socket:
    """Return a listening socket, on a loopback address unless there are names; 0: a free port."""
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        address = None
    if address is None or not (address.is_loopback or names):
        raise ConfigurationError(
            "host must be a loopback address such as 127.0.0.1: the sandbox issues tokens without "
            "any login, so it serves this machine alone. For a container in a network of its own, "
            "name the hosts that others reach it by (allowed_hosts, --allowed-host); then any IP "
            "address of this machine will do."
        )
    if not 0 <= port <= 65535:
        raise ConfigurationError("port must be from 0 to 65535; 0 chooses a free one.")
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    # With the protocol named, asyncio turns off Nagle's delay, which would make the body of each
    # response wait some 40 ms behind its headers.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            # So that the port of a stopped server is free again at once.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((str(address), port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"Cannot listen on port {port} of {host}, most likely because another program uses it; "
            "leave port out to get a free one."
        ) from error
    return listener


def _base_url(host: str, listener: socket.socket, names: Sequence[str]) -> str:
    """Return the address that clients use for a listening socket."""
    port: int = listener.getsockname()[1]
    if names and not is_loopback_name(host):
        host = names[0]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _QuietProtocol(H11Protocol):
    """HTTP without an access log: its lines would contain the codes and states of URLs.

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
        """Attach the connection to its requests, for faults that break it."""
        super().connection_made(transport)
        app, connection = self.app, Connection(transport)

        async def with_connection(scope: Scope, receive: Receive, send: Send) -> None:
            await app(connection.attached_to(scope), receive, send)

        self.app = with_connection


class _Server(uvicorn.Server):
    """A uvicorn server of one sandbox that a thread can run and another one can stop.

    `settled` is set once the server has started or has failed to, as `failure` then says.
    """

    def __init__(self, sandbox: Sandbox, names: Collection[str]) -> None:
        app = sandbox.answering_for(names)
        config = uvicorn.Config(
            app,
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
        # Without what uvicorn wraps around it: one part trusts the headers of proxies, another
        # one logs whole requests at a low log level.
        config.loaded_app = app
        super().__init__(config)
        self.sandbox = sandbox
        self.settled = threading.Event()
        self._woken = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.failure: BaseException | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and notify the waiting thread."""
        await super().startup(sockets=sockets)
        self.settled.set()

    async def main_loop(self) -> None:
        """Tick as uvicorn does, but stop when `stop` is called, not at the next tick."""
        self._loop = asyncio.get_running_loop()
        counter = 0
        while not await self.on_tick(counter):
            counter = (counter + 1) % _TICKS_PER_DAY
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), _TICK_SECONDS)

    def stop(self) -> None:
        """Make the server stop; any thread may call this, at any time."""
        self.should_exit = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the server has stopped
                self._loop.call_soon_threadsafe(self._woken.set)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop, and abort the connections of requests that never end."""
        # Requests in progress get their time here; uvicorn would cancel them with a traceback.
        if self.server_state.tasks:
            await asyncio.wait(list(self.server_state.tasks), timeout=_GRACE_SECONDS)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await super().shutdown(sockets=sockets)
        for connection in list(self.server_state.connections):
            connection.transport.abort()

    def serve_until_stopped(self, listener: socket.socket) -> None:
        """Run as the background thread, and notify the waiting one of the start or its failure."""
        try:
            self.run(sockets=[listener])
        except BaseException as error:  # noqa: BLE001  # raised in the thread that waits
            self.failure = error
        finally:
            self.settled.set()
