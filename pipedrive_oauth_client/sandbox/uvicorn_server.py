"""Uvicorn, made to fit into somebody else's process: quiet, thread by thread, gone at its end."""

from __future__ import annotations

import socket
import threading
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from pipedrive_oauth_client.sandbox.application import Sandbox

_GRACE_SECONDS = 1


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
        self.failure: BaseException | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and let the waiting thread know."""
        await super().startup(sockets=sockets)
        self.settled.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop, and close what is left: a request that never ends would keep its connection."""
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
