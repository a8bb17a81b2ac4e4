"""The settings of a sandbox: their types and checks. Each message names the setting."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Literal, TypeAlias, get_args

import attrs

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.sandbox.urls import host_name

SlashedTokenPath: TypeAlias = Literal["serve", 301, 302, 303, 307, 308]
SlashedTokenLocation: TypeAlias = Literal["absolute", "relative"]

_ERROR_CODE = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749 section 4.1.2.1
_LONGEST_LIFETIME = timedelta(days=3650)


@attrs.frozen(kw_only=True)
class Lifetimes:
    """How long tickets, codes and tokens are valid; a refresh token's time restarts with a use."""

    ticket: timedelta = timedelta(minutes=10)
    code: timedelta = timedelta(minutes=5)
    access_token: timedelta = timedelta(seconds=3600)
    refresh_token: timedelta = timedelta(days=60)


def to_lifetime(name: str, number: float, unit: timedelta) -> timedelta:
    """Return a number of units as a span; reject zero, and more than ten years."""
    try:
        span = number * unit
    except (OverflowError, ValueError) as error:
        raise ConfigurationError(f"{name} is not a number of days, minutes or seconds.") from error
    if not timedelta(0) < span <= _LONGEST_LIFETIME:
        raise ConfigurationError(f"{name} must be more than 0 and at most ten years.")
    return span


def require_count(name: str, number: object) -> None:
    """Reject all but a whole number of at least 1."""
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise ConfigurationError(f"{name} must be a whole number of at least 1.")


def require_distinct(name: str, keys: Sequence[str]) -> None:
    """Reject an empty list, and one that names the same item twice."""
    if not keys:
        raise ConfigurationError(f"{name} is empty; pass at least one, or leave it out.")
    if len(set(keys)) != len(keys):
        raise ConfigurationError(f"{name} has the same one twice; pass each one once.")


def require_error_code(name: str, text: str) -> None:
    """Reject a text that no redirect can have as its error code."""
    if not _ERROR_CODE.fullmatch(text):
        raise ConfigurationError(f'{name} must be a code such as "user_denied".')


def to_host_names(hosts: Iterable[str]) -> tuple[str, ...]:
    """Return hosts in the spelling of `host_name`; reject what is not the name of one host."""
    given: list[object] = [] if isinstance(hosts, str | bytes) else list(hosts)
    if isinstance(hosts, str | bytes) or not all(isinstance(host, str) for host in given):
        raise ConfigurationError("allowed_hosts must be a list of strings.")
    names = list[str]()
    for host in map(str, given):
        # An IPv6 address may have its brackets; nothing may follow, as that would be a port.
        address = host.removeprefix("[").removesuffix("]")
        name = host_name(f"[{address}]" if ":" in address else address)
        if name is None:
            raise ConfigurationError(
                "allowed_hosts must be names or IP addresses of single hosts, such as 'sandbox',"
                " without a scheme, a port or a wildcard."
            )
        names.append(name)
    return tuple(names)


def require_slashed_token_settings(path: SlashedTokenPath, location: SlashedTokenLocation) -> None:
    """Reject values that the types do not name, as callers may be unchecked."""
    if path not in get_args(SlashedTokenPath):
        raise ConfigurationError('slashed_token_path must be "serve", 301, 302, 303, 307 or 308.')
    if location not in get_args(SlashedTokenLocation):
        raise ConfigurationError('slashed_token_location must be "absolute" or "relative".')
