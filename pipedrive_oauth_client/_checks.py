"""The present, as this package takes it from outside."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.generated.encode import argument

__all__ = ["is_vschar", "read_clock", "utc_now"]

_VSCHAR = re.compile(r"[\x20-\x7e]+")


def is_vschar(value: object) -> bool:
    """Tell whether a value is a string that can be a code or a token, and stand in a header.

    Args:
        value: The value.

    Returns:
        Whether it is a string of at least one printable ASCII character, and of nothing else.
    """
    return isinstance(value, str) and _VSCHAR.fullmatch(value) is not None


def utc_now() -> datetime:
    """Give the present as an aware datetime."""
    return datetime.now(UTC)


def read_clock(clock: Callable[[], datetime]) -> datetime:
    """Ask a clock, and make sure that its answer can be reckoned with.

    Args:
        clock: Gives the present.

    Returns:
        The present, aware.

    Raises:
        ConfigurationError: It is no function, or gives something else.
    """
    if not callable(clock):
        raise ConfigurationError("clock must be callable and return aware datetimes.")
    now = argument("What clock returns", clock(), datetime)
    if now.utcoffset() is None:
        raise ConfigurationError("clock must return aware datetimes; use datetime.now(UTC).")
    return now
