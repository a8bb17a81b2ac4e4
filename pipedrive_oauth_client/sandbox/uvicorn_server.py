"""Uvicorn, made to fit into somebody else's process: quiet, thread by thread, gone at its end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from typing import Any

import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from pipedrive_oauth_client.sandbox.connection import Connection, lend
from pipedrive_oauth_client.sandbox.sandbox import Sandbox

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
