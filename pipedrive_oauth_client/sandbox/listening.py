"""A listening socket on this machine's loopback, and nowhere else."""

from __future__ import annotations

import ipaddress
import os
import socket

from pipedrive_oauth_client.errors import ConfigurationError


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
