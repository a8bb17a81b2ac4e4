"""Times as the whole numbers that databases sort by."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.generated.encode import argument

__all__ = ["aware", "microseconds", "microseconds_of"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ONE: Final = timedelta(microseconds=1)


def aware(name: str, when: datetime) -> datetime:
    """Check that a time can be compared with those that are stored.

    Args:
        name: What the time is called, for the error.
        when: The time.

    Returns:
        The same time.

    Raises:
        ConfigurationError: It is no datetime, or has no time zone.
    """
    if argument(name, when, datetime).utcoffset() is None:
        raise ConfigurationError(f"{name} must be a datetime with a time zone, for example in UTC.")
    return when


def microseconds(name: str, when: datetime) -> int:
    """Give a time as a number.

    Args:
        name: What the time is called, for the error.
        when: The time, aware.

    Returns:
        Microseconds since 1970-01-01 00:00 UTC; negative before.

    Raises:
        ConfigurationError: It is no datetime, or has no time zone.
    """
    return (aware(name, when) - _EPOCH) // _ONE


def microseconds_of(length: timedelta) -> int:
    """Give a length of time as a number.

    Args:
        length: The length of time.

    Returns:
        Microseconds.
    """
    return length // _ONE
