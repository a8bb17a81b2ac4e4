"""Checks that several modules share, and the clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.generated.encode import argument

# pytest shows the arguments of the last frame of an error, and here they are secrets.
__tracebackhide__ = True

__all__ = ["is_vschar", "read_clock", "require_vschar", "utc_now"]


def is_vschar(value: object) -> bool:
    """Tell whether a value is a string of printable ASCII, as codes and tokens are (RFC 6749)."""
    return isinstance(value, str) and value != "" and value.isascii() and value.isprintable()


def require_vschar(name: str, value: str) -> None:
    """Reject a code or token that can't be sent, or that a stored `Token` could not hold."""
    # Else a response that keeps the refresh token would end in an error, and its tokens be lost.
    if not is_vschar(value):
        argument(name, value, str)
        raise ConfigurationError(
            f"{name} must be printable ASCII characters. Was it read with a trailing line break?"
        )


def utc_now() -> datetime:
    """Give the current time as an aware datetime."""
    return datetime.now(UTC)


def read_clock(clock: Callable[[], datetime]) -> datetime:
    """Call a clock, and check that it returns an aware datetime."""
    if not callable(clock):
        raise ConfigurationError("clock must be callable and return aware datetimes.")
    now: object = clock()
    if not isinstance(now, datetime):
        raise ConfigurationError(f"clock must return a datetime, not {type(now).__name__}.")
    if now.utcoffset() is None:
        raise ConfigurationError("clock must return aware datetimes; use datetime.now(UTC).")
    return now
