"""Where secrets may go: to an origin, which is a scheme, a host and a port (RFC 6454)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Final, Protocol, TypeAlias

import httpx

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.generated.encode import argument

__all__ = [
    "Origin",
    "URLParts",
    "api_origin",
    "is_api_domain",
    "is_loopback",
    "may_be_api",
    "origin_of",
    "origin_text",
    "parse_hosts",
    "require_https",
    "require_same_base_url",
]

Origin: TypeAlias = tuple[str, bytes, int | None]

# ASCII: else `i` stands for a dotless one as well, and that makes the name of another host.
_LETTERS: Final = re.IGNORECASE | re.ASCII
_PIPEDRIVE_API: Final = r"https://((?:[a-z0-9-]+\.)+pipedrive\.com)(?::443)?/?"
# Before a URL parser sees a text: it makes something of almost any, of a blank `%20`, for example.
_SHAPE: Final = r"https?://(?:[^\s:/?#@\\%\[\]]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?/?"
_HOST: Final = rb"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?|[0-9a-f:.]*:[0-9a-f:.]*"
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class URLParts(Protocol):
    """The parts of a URL that make its origin; the URLs of httpx and of httpx2 have them."""

    @property
    def scheme(self) -> str:
        """`https`, for example."""
        ...

    @property
    def raw_host(self) -> bytes:
        """The host, as it is sent."""
        ...

    @property
    def port(self) -> int | None:
        """The port, or None for the default one of the scheme."""
        ...


def origin_of(url: URLParts) -> Origin:
    """Give the origin of a URL; its port is None where it is the scheme's default."""
    # httpx keeps the default port where the scheme was written in upper case.
    port = url.port
    return url.scheme, url.raw_host, None if port == _DEFAULT_PORTS.get(url.scheme) else port


def origin_text(origin: Origin) -> str:
    """Write an origin as a URL without a path."""
    scheme, raw_host, port = origin
    host = raw_host.decode("ascii", "replace")
    host = f"[{host}]" if ":" in host else host
    return f"{scheme}://{host}" if port is None else f"{scheme}://{host}:{port}"


def is_loopback(host: str) -> bool:
    """Tell whether a host, in lower case, is this machine, so that its traffic stays here."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def parse_hosts(hosts: Iterable[str]) -> frozenset[Origin]:
    """Read the hosts that a user names.

    Each is a host, which stands for https and its default port, or a whole origin:
    `api.example.com`, `https://api.example.com:8443`, `http://127.0.0.1:8000`.
    """
    if isinstance(hosts, str | bytes) or not isinstance(hosts, Iterable):
        raise ConfigurationError("hosts must be a list of strings, for example ['api.acme.com'].")
    return frozenset(_user_origin(argument("hosts", host, str)) for host in hosts)


def _user_origin(host: str) -> Origin:
    found = _parse(host if "://" in host else f"https://{host}")
    if found is None:
        raise ConfigurationError(
            "hosts must name hosts, 'api.acme.com', or origins, 'https://api.acme.com:8443',"
            " without a path. Plain http:// is accepted for this machine only."
        )
    return found


def api_origin(api_domain: str, *, any_host: bool = True) -> Origin | None:
    """Give the origin of an `api_domain`; None where no token may be sent there.

    The one rule for what a response names, what is stored, and what a token is sent to. With
    `any_host`, for another service than Pipedrive's, any encrypted or local origin will do. A
    service names plain ASCII hosts: another spelling, or the bare IPv6 address of another machine,
    is not trusted with a token.
    """
    own = re.fullmatch(_PIPEDRIVE_API, api_domain, _LETTERS)
    if own is not None:
        return "https", own[1].lower().encode(), None
    if not any_host:
        return None
    found = _parse(api_domain) if api_domain.isascii() and "_" not in api_domain else None
    if found is not None and b":" in found[1] and not is_loopback(found[1].decode()):
        return None
    return found


def may_be_api(origin: Origin) -> bool:
    """Tell whether Pipedrive can name an origin as the `api_domain` of a company."""
    return re.fullmatch(_PIPEDRIVE_API, origin_text(origin), _LETTERS) is not None


def is_api_domain(domain: str, *, any_host: bool) -> bool:
    """Tell whether a response may name this `api_domain`; see `api_origin`."""
    return api_origin(domain, any_host=any_host) is not None


def require_https(base_url: str) -> None:
    """Reject a service that secrets would reach unencrypted, unless it is on this machine."""
    url = httpx.URL(base_url)
    if url.scheme != "https" and not is_loopback(url.host):
        raise ConfigurationError(
            "base_url must begin with https://, since secrets go there. Plain http:// is accepted"
            " for this machine only (localhost, 127.0.0.1, [::1])."
        )


def require_same_base_url(client: httpx.Client | httpx.AsyncClient, base_url: str) -> None:
    """Reject an httpx client whose own base_url would send secrets to another service."""
    own = str(client.base_url).rstrip("/")
    if own and own != str(httpx.URL(base_url)).rstrip("/"):
        raise ConfigurationError(
            "client has a base_url of its own, and secrets would go there. Pass an httpx client"
            " without one."
        )


def _parse(text: str) -> Origin | None:
    """Give the origin that a text names; None where it is unclear, has a path, or is not safe."""
    if re.fullmatch(_SHAPE, text, _LETTERS) is None:
        return None
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, UnicodeError):
        return None
    is_port = url.port is None or 0 < url.port < 65536
    if re.fullmatch(_HOST, url.raw_host) is None or not is_port:
        return None
    if url.scheme != "https" and not (url.scheme == "http" and is_loopback(url.host)):
        return None
    return origin_of(url)
