"""Checks of the arguments of a client. No error here repeats a value."""

import math
import re
from collections.abc import Mapping
from typing import Any

import httpx

from . import DEFAULT_BASE_URL
from .encode import header
from .errors import ConfigurationError

# pytest shows the arguments of the last frame of an error, and here they are secrets.
__tracebackhide__ = True

# RFC 9110, section 5.6.2.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def checked_base_url(value: str) -> str:
    """Return the root of the server, an http(s) URL of a host, without a slash at its end."""
    problem = _problem_of_url(value)
    if problem:
        raise ConfigurationError(
            f"base_url {problem}. Give the server's root, for example {DEFAULT_BASE_URL}."
        )
    return value.rstrip("/")


def _problem_of_url(value: object) -> str | None:
    if not isinstance(value, str):
        return "must be a string"
    if not value.isprintable() or any(each in value for each in " \\?#@"):
        return "must not hold a space, a line break, a backslash, a user, a query or a fragment"
    try:
        url = httpx.URL(value)
        scheme, host, port = url.scheme, url.host, url.port
    except (httpx.InvalidURL, UnicodeError):
        return "is not a URL"
    if scheme not in ("http", "https"):
        return "must begin with https:// (or http:// for a local server)"
    if value.count("[") != value.count("]") or not all(host.removesuffix(".").split(".")):
        return "must name a host"
    return None if port is None or 0 < port < 65536 else "must name a valid port"


def checked_timeout(value: httpx.Timeout | float | None) -> httpx.Timeout | float | None:
    """Return a timeout: seconds above zero, an `httpx.Timeout`, or None for no limit."""
    if value is None or isinstance(value, httpx.Timeout):
        return value
    if type(value) not in (int, float):
        raise ConfigurationError("timeout must be seconds, an httpx.Timeout, or None.")
    if not math.isfinite(value) or value <= 0:
        raise ConfigurationError("timeout must be above zero seconds; None means no limit.")
    return value


def checked_switch(value: bool) -> bool:
    """Return a bool; a word like "no" would count as true."""
    if not isinstance(value, bool):
        raise ConfigurationError("follow_redirects and raise_on_unexpected_status must be a bool.")
    return value


def checked_size(value: int) -> int:
    """Return the largest size of a body in bytes, at least 1."""
    if type(value) is not int or value < 1:
        raise ConfigurationError("max_response_bytes must be a whole number of at least 1.")
    return value


def checked_headers(value: Mapping[str, str]) -> dict[str, str]:
    """Return headers whose names and values HTTP allows."""
    return {_checked_name("header", name): header("a header", text) for name, text in _items(value)}


def checked_cookies(value: Mapping[str, str]) -> dict[str, str]:
    """Return cookies whose names and values HTTP allows."""
    cookies = {
        _checked_name("cookie", name): header("a cookie", text) for name, text in _items(value)
    }
    if any(";" in text for text in cookies.values()):
        raise ConfigurationError("A cookie must not hold a semicolon.")
    return cookies


def checked_header_name(value: str) -> str:
    """Return the name of a header that HTTP allows."""
    return _checked_name("header", value)


def merged(headers: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """Add headers to others; they replace those of the same name in any case."""
    replaced = {name.lower() for name in more}
    kept = {name: text for name, text in headers.items() if name.lower() not in replaced}
    return kept | dict(more)


def _items(value: Any) -> list[tuple[Any, Any]]:
    if not isinstance(value, Mapping):
        raise ConfigurationError("Headers and cookies must be given as a mapping of strings.")
    return list(value.items())


def _checked_name(kind: str, name: object) -> str:
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise ConfigurationError(
            f"The name of a {kind} must be a string of ASCII letters, digits and hyphens."
        )
    return name
