"""The redirect URI as an address of this machine that can be listened on."""

from __future__ import annotations

import errno
import os
import socket
from ipaddress import ip_address
from urllib.parse import urlsplit

from attrs import frozen

from pipedrive_oauth_client.cli.exits import CommandError, ExitCode
from pipedrive_oauth_client.destinations import is_this_machine

__all__ = ["Loopback", "listen", "loopback_of"]


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
    if parts.scheme.lower() != "http" or not is_this_machine(host):
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
