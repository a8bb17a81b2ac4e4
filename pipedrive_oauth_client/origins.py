"""Where a bearer token may go: to an origin, which is a scheme, a host and a port (RFC 6454)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, Protocol, TypeAlias

import httpx

from pipedrive_oauth_client.destinations import is_this_machine
from pipedrive_oauth_client.errors import ConfigurationError, CorruptTokenError
from pipedrive_oauth_client.generated.encode import argument

__all__ = ["Origin", "URLParts", "api_origin", "origin", "user_origins"]

Origin: TypeAlias = tuple[str, bytes, int | None]

# A parser of URLs makes something of almost any text: of a blank `%20`, of a list one long name.
_SHAPE: Final = re.compile(
    r"https?://(?:[^\s:/?#@\\%\[\]]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?/?", re.IGNORECASE | re.ASCII
)
_USUAL_PORTS: Final = {"http": 80, "https": 443}
_HOST: Final = re.compile(rb"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?|[0-9a-f:.]*:[0-9a-f:.]*")


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
        url: The URL. Its host is in lower case.

    Returns:
        Scheme, host and port, which is None where it is the scheme's own.
    """
    # httpx leaves the scheme's own port where the scheme was written in upper case.
    usual = _USUAL_PORTS.get(url.scheme)
    return url.scheme, url.raw_host, None if url.port == usual else url.port


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
    if _SHAPE.fullmatch(text) is None:
        return None
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, UnicodeError):
        return None
    is_port = url.port is None or 0 < url.port < 65536
    if _HOST.fullmatch(url.raw_host) is None or not is_port:
        return None
    if url.scheme != "https" and not (url.scheme == "http" and is_this_machine(url.host)):
        return None
    return origin(url)
