"""Where a bearer token may go: to an origin, which is a scheme, a host and a port (RFC 6454)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Final, Protocol, TypeAlias

import httpx

from pipedrive_oauth_client.errors import (
    ConfigurationError,
    CorruptTokenError,
    InvalidResponseError,
)
from pipedrive_oauth_client.generated.encode import argument
from pipedrive_oauth_client.generated.models import GetTokensResponse
from pipedrive_oauth_client.generated.types import Unset

__all__ = [
    "Origin",
    "URLParts",
    "api_origin",
    "is_this_machine",
    "origin",
    "refuse_other_base_url",
    "refuse_plain_http",
    "refuse_strange_api_domain",
    "user_origins",
]

# ASCII: else `i` stands for a dotless one as well, and that makes the name of another host.
_LETTERS = re.IGNORECASE | re.ASCII
_PIPEDRIVE_API = re.compile(r"https://(?:[a-z0-9-]+\.)+pipedrive\.com(?::443)?/?", _LETTERS)
_NAME = r"[a-z0-9-]+(?:\.[a-z0-9-]+)*\.?"
_ANY_API = re.compile(rf"(https?)://(?:({_NAME})|\[([0-9a-f:.]+)\])(?::\d{{1,5}})?/?", _LETTERS)


def refuse_strange_api_domain(response: GetTokensResponse, *, any_host: bool) -> None:
    """Refuse an answer that would send the token to a host that is not Pipedrive's.

    Args:
        response: The answer.
        any_host: Whether any host will do, since the flow talks to another service than
            Pipedrive's. The connection still has to be encrypted, except on this machine.

    Raises:
        InvalidResponseError: `api_domain` is there and not `https://`, a host under
            `pipedrive.com`, and nothing more.
    """
    domain = response.api_domain
    if isinstance(domain, Unset):
        return
    if not (_is_encrypted_or_local(domain) if any_host else _PIPEDRIVE_API.fullmatch(domain)):
        wanted = "an https address" if any_host else "an https address under pipedrive.com"
        raise InvalidResponseError(
            f"field 'api_domain' is not {wanted}, so no token is sent there", field="api_domain"
        )


def refuse_plain_http(base_url: str) -> None:
    """Refuse a service that secrets would travel to in the clear.

    Args:
        base_url: Root of the service.

    Raises:
        ConfigurationError: It is `http://` and not on this machine.
    """
    url = httpx.URL(base_url)
    if url.scheme != "https" and not is_this_machine(url.host):
        raise ConfigurationError(
            "base_url must begin with https://, since secrets go there. Plain http:// is accepted"
            " for this machine only (localhost, 127.0.0.1, [::1])."
        )


def refuse_other_base_url(client: httpx.Client | httpx.AsyncClient, base_url: str) -> None:
    """Refuse an httpx client that would send secrets to another service.

    Args:
        client: The httpx client.
        base_url: Root of the service.

    Raises:
        ConfigurationError: The client has a `base_url`, and it is another one.
    """
    own = str(client.base_url).rstrip("/")
    if own and own != str(httpx.URL(base_url)).rstrip("/"):
        raise ConfigurationError(
            "client has a base_url of its own, and secrets would go there. Give an httpx client"
            " without one."
        )


def is_this_machine(host: str) -> bool:
    """Tell whether a host is this machine, so that nobody reads on the way.

    Args:
        host: The host of a URL, in lower case.

    Returns:
        Whether it is `localhost` or a loopback address.
    """
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_encrypted_or_local(address: str) -> bool:
    found = _ANY_API.fullmatch(address)
    if found is None:
        return False
    scheme, name, ipv6 = found.groups()
    return (scheme.lower() == "https" and name is not None) or is_this_machine(
        (name or ipv6).lower()
    )


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
