"""The connection under a request, where the server lends it out: to be reset, or just closed.

ASGI has no message for breaking a connection, so the sandbox's own server puts one of these into
the `extensions` of the scope, which is where ASGI has servers offer what is beyond it.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct

from starlette.types import Scope

from pipedrive_oauth_client.errors import ConfigurationError

_EXTENSION = "pipedrive_oauth_client.sandbox.connection"
# With no time to linger, closing a socket resets its connection. Windows has shorter numbers there.
_NO_LINGER = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)


class Connection:
    """A TCP connection that can be broken off.

    Args:
        transport: The event loop's side of it.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def close(self) -> None:
        """Send what was written, then end the connection as if all were well (TCP FIN)."""
        self._transport.close()

    def reset(self) -> None:
        """Break the connection off at once (TCP RST)."""
        tcp_socket: socket.socket = self._transport.get_extra_info("socket")
        tcp_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self._transport.abort()


def lend(connection: Connection, scope: Scope) -> Scope:
    """Return the scope of a request with its connection in it."""
    return {**scope, "extensions": {**scope.get("extensions", {}), _EXTENSION: connection}}


def connection_of(scope: Scope) -> Connection:
    """Return the connection of a request.

    Raises:
        ConfigurationError: The server lends none, or there is no server.
    """
    connection = scope.get("extensions", {}).get(_EXTENSION)
    if not isinstance(connection, Connection):
        raise ConfigurationError(
            "This fault breaks the connection, and here is none to break: serve the sandbox with "
            "sandbox.run, not through an ASGI transport or another server."
        )
    return connection
