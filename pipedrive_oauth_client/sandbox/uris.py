"""Redirect URIs: what counts as one, how a callback is added to it, how a page may name it.

Source:
    RFC 3986 (syntax); RFC 6749 section 3.1.2 (redirection endpoint).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import SplitResult, quote, urlsplit

_CHARACTERS = re.compile(r"(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:.+")
_HOST = re.compile(r"[A-Za-z0-9.\-]+|[0-9A-Fa-f:.]+")


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


def with_query(uri: str, parameters: Iterable[tuple[str, str]]) -> str:
    """Return the URI with the parameters added to the query that it may have already.

    Args:
        uri: A redirect URI; its own query is kept as it is (RFC 6749 section 3.1.2).
        parameters: Names and values. A value read with `parse_query` is written back to the same
            bytes, whatever they are.
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


def _split(text: str) -> SplitResult | None:
    """Return the URI's parts, or None when it has characters or a port that no URI has."""
    if _CHARACTERS.fullmatch(text) is None:
        return None
    try:
        parts = urlsplit(text)
        _ = parts.port  # reading it is what checks it
    except ValueError:
        return None
    return parts
