"""The sandbox's paths and addresses, and the syntax of redirect URIs.

Source:
    RFC 3986 (syntax); RFC 6749 section 3.1.2 (redirection endpoint).
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import SplitResult, quote, urlsplit

from starlette.datastructures import URL
from starlette.requests import Request

HOME_PATH = "/"
ICON_PATH = "/favicon.ico"
AUTHORIZE_PATH = "/oauth/authorize"
ISSUE_PATH = "/oauth/token"
SLASHED_ISSUE_PATH = "/oauth/token/"
REVOKE_PATH = "/oauth/revoke"
DECIDE_PATH = "/sandbox/consent"
CURRENT_USER_PATH = "/api/v1/users/me"
DEALS_PATH = "/api/v2/deals"
PATHS = (
    AUTHORIZE_PATH,
    ISSUE_PATH,
    SLASHED_ISSUE_PATH,
    REVOKE_PATH,
    DECIDE_PATH,
    CURRENT_USER_PATH,
    DEALS_PATH,
)
# A developer opens these while testing: that must not push other requests out of the log, nor
# change what a test counts.
UNLOGGED_PATHS = (HOME_PATH, ICON_PATH)

_URI_CHARACTERS = re.compile(r"(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:.+")
_HOST = re.compile(r"[A-Za-z0-9.\-]+|[0-9A-Fa-f:.]+")
_HOST_HEADER = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._\-]+)(?::[0-9]*)?")


def origin(request: Request) -> str:
    """Return scheme, host and port that the request was sent to."""
    scope = request.scope
    server = scope.get("server")
    return _origin(
        scope.get("scheme", "http"),
        request.headers.get("host"),
        tuple(server) if server is not None else None,
    )


@functools.lru_cache(maxsize=64)
def _origin(scheme: str, host: str | None, server: tuple[str, int | None] | None) -> str:
    """Let the framework parse the Host header; without one, the server's own address counts."""
    headers = [] if host is None else [(b"host", host.encode("latin-1"))]
    url = URL(scope={"scheme": scheme, "path": "/", "headers": headers, "server": server})
    return f"{url.scheme}://{url.netloc}"


def base_path(request: Request) -> str:
    """Return the path at which another application has mounted the sandbox, or nothing."""
    root_path: str = request.scope.get("root_path", "")
    return root_path.rstrip("/")


def base_url(request: Request) -> str:
    """Return the address that all of the sandbox's paths continue, without a slash at its end."""
    return origin(request) + base_path(request)


def host_name(host: str) -> str | None:
    """Return the host of a Host header in one spelling, without its port; None if it is malformed.

    Letters are lower case, a dot at the end is left out, and IP addresses are in their short form,
    IPv6 ones without brackets.
    """
    match = _HOST_HEADER.fullmatch(host)
    if match is None:
        return None
    name = match[1].lower().removesuffix(".").strip("[]")
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        is_name = not match[1].startswith("[") and all(name.split("."))
        return name if is_name else None


def is_loopback_name(name: str) -> bool:
    """Tell whether a host, spelled as `host_name` does, is this machine wherever it is looked up.

    Source:
        RFC 6761 section 6.3 (localhost and the names below it).
    """
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def is_absolute_uri(text: str) -> bool:
    """Tell whether the text is a URI with a scheme, written in the characters of RFC 3986."""
    return _SCHEME.fullmatch(text) is not None and _split(text) is not None


def is_redirect_uri(text: str) -> bool:
    """Tell whether an app may be registered with this redirect URI.

    It must be an absolute http or https URI with a host, without user information and without a
    fragment (RFC 6749 section 3.1.2).
    """
    parts = _split(text) if is_absolute_uri(text) else None
    return (
        parts is not None
        and parts.scheme in {"http", "https"}
        and "#" not in text
        and "@" not in parts.netloc
        and _HOST.fullmatch(parts.hostname or "") is not None
    )


def _split(text: str) -> SplitResult | None:
    """Return the URI's parts, or None when it has characters or a port that no URI has."""
    if _URI_CHARACTERS.fullmatch(text) is None:
        return None
    try:
        parts = urlsplit(text)
        _ = parts.port  # reading it is what checks it
    except ValueError:
        return None
    return parts


def with_query(uri: str, parameters: Iterable[tuple[str, str]]) -> str:
    """Return the redirect URI with parameters added to its own query (RFC 6749 section 3.1.2).

    A value read with `parse_query` is written back to the same bytes, whatever they are.
    """
    added = "&".join(
        f"{quote(name, safe='')}={quote(value, safe='', errors='surrogateescape')}"
        for name, value in parameters
    )
    if "?" not in uri:
        return f"{uri}?{added}"
    return f"{uri}{added}" if uri.endswith(("?", "&")) else f"{uri}&{added}"


def content_security_source(uri: str) -> str:
    """Return the origin of a redirect URI the way a Content-Security-Policy names it.

    The policy's grammar has no IPv6 addresses, so for such a host only the scheme can be named.
    """
    parts = urlsplit(uri)
    if ":" in (parts.hostname or ""):
        return f"{parts.scheme}:"
    return f"{parts.scheme}://{parts.netloc}"
