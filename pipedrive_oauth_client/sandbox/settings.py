"""Checking the settings of a sandbox, each by its name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta

from pipedrive_oauth_client.errors import ConfigurationError

_ERROR_CODE = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749 section 4.1.2.1
_LONGEST = timedelta(days=3650)


def need_distinct(name: str, keys: Sequence[str]) -> None:
    """Refuse a list that is empty or has the same one twice."""
    if not keys:
        raise ConfigurationError(f"{name} is empty; give at least one, or leave it out.")
    if len(set(keys)) != len(keys):
        raise ConfigurationError(f"{name} has the same one twice; give each one once.")


def need_error_code(name: str, text: str) -> None:
    """Refuse what can't be an error code of a redirect."""
    if not _ERROR_CODE.fullmatch(text):
        raise ConfigurationError(f'{name} must be a code such as "user_denied".')


def need_count(name: str, number: object) -> None:
    """Refuse what is no whole number from 1."""
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise ConfigurationError(f"{name} must be a whole number from 1.")


def lifetime(name: str, number: float, unit: timedelta) -> timedelta:
    """Return a number of units as a span; refuse one of nothing, or of more than ten years."""
    try:
        span = number * unit
    except (OverflowError, ValueError) as error:
        raise ConfigurationError(f"{name} is not a number of days, minutes or seconds.") from error
    if not timedelta(0) < span <= _LONGEST:
        raise ConfigurationError(f"{name} must be more than 0 and at most ten years.")
    return span
