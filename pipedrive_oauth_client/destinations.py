"""Where secrets may go: to the service and Pipedrive's API, over TLS or within this machine."""

from __future__ import annotations

import ipaddress
import re

import httpx

from pipedrive_oauth_client.errors import ConfigurationError, InvalidResponseError
from pipedrive_oauth_client.generated.models import GetTokensResponse
from pipedrive_oauth_client.generated.types import Unset

__all__ = [
    "is_this_machine",
    "refuse_other_base_url",
    "refuse_plain_http",
    "refuse_strange_api_domain",
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
