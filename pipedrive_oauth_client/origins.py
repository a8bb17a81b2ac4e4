"""Where a bearer token may go: to an origin, which is a scheme, a host and a port (RFC 6454)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeAlias

import httpx

from pipedrive_oauth_client.destinations import is_this_machine
from pipedrive_oauth_client.errors import ConfigurationError, CorruptTokenError
from pipedrive_oauth_client.generated.encode import argument

__all__ = ["Origin", "URLParts", "api_origin", "origin", "user_origins"]

Origin: TypeAlias = tuple[str, bytes, int | None]


class URLParts(Protocol):
    """What of a URL makes its origin; the URLs of httpx and of httpx2 have it."""

    @property
    def scheme(self) -> str:
        """`https`, for example."""
        ...

    @property
    def raw_host(self) -> bytes:
        """The host, as it stands on the wire."""
        ...

    @property
    def port(self) -> int | None:
        """The port, or None for the usual one of the scheme."""
        ...


def origin(url: URLParts) -> Origin:
    """Give the origin of a URL.

    Args:
        url: The URL. Its host is in lower case, and its port None where it is the scheme's own.

    Returns:
        Scheme, host and port.
    """
    return url.scheme, url.raw_host, url.port


def api_origin(api_domain: str) -> Origin:
    """Give the origin that a stored token is for.

    Args:
        api_domain: The token's `api_domain`.

    Returns:
        The origin.

    Raises:
        CorruptTokenError: It is no address that a token may be sent to.
    """
    found = _safe_origin(api_domain)
    if found is None:
        raise CorruptTokenError(
            "The api_domain of a stored token is no https address, so that the token is sent"
            " nowhere. Have the person authorize the app again."
        )
    return found


def user_origins(hosts: Iterable[str]) -> frozenset[Origin]:
    """Read the hosts that a user names.

    Args:
        hosts: Each a host, which stands for https and its usual port, or a whole origin:
            `api.example.com`, `https://api.example.com:8443`, `http://127.0.0.1:8000`.

    Returns:
        Their origins.

    Raises:
        ConfigurationError: One of them is something else, or `http://` and not on this machine.
    """
    if isinstance(hosts, str | bytes) or not isinstance(hosts, Iterable):
        raise ConfigurationError("hosts must be a list of strings, for example ['api.acme.com'].")
    return frozenset(_user_origin(argument("hosts", host, str)) for host in hosts)


def _user_origin(host: str) -> Origin:
    found = _safe_origin(host if "://" in host else f"https://{host}")
    if found is None:
        raise ConfigurationError(
            "hosts must name hosts, 'api.acme.com', or origins, 'https://api.acme.com:8443',"
            " without a path. Plain http:// is accepted for this machine only."
        )
    return found


def _safe_origin(text: str) -> Origin | None:
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, UnicodeError):
        return None
    bare = url.path in ("", "/") and not url.query and not url.fragment and not url.userinfo
    if not bare or not url.host or "*" in url.host or any(mark in text for mark in "?#@"):
        return None
    if url.scheme != "https" and not (url.scheme == "http" and is_this_machine(url.host)):
        return None
    return origin(url)
