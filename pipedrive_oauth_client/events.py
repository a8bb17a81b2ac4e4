"""What a flow reports to `on_event`: refreshed and failed tokens, ended grants, changed domains.

Each event is a small frozen object that holds no secret. It is reported after the fact, outside
every lock.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal, TypeAlias

from attrs import frozen

from pipedrive_oauth_client.errors import ConfigurationError, PipedriveOAuthError

__all__ = [
    "ApiDomainChanged",
    "Event",
    "GrantEnded",
    "GrantRestored",
    "RefreshFailed",
    "RefreshReason",
    "TokenRefreshed",
    "TokenWithheld",
]

RefreshReason: TypeAlias = Literal["expired", "early", "rejected", "fleet"]
"""Why a token was refreshed.

It had expired, was about to expire, was rejected by the API with status 401, or was due in
`fleet.refresh_due`.
"""


@frozen(kw_only=True)
class TokenRefreshed:
    """A token was refreshed, and the new one is stored.

    Attributes:
        account: The account.
        expires_at: When the new access token expires, as an aware datetime in UTC.
        seconds: How long the refresh took, including the wait for the account's lock and the store.
        reason: `expired`, `early`, `rejected` (by the API, with status 401) or `fleet`.
    """

    account: str
    expires_at: datetime
    seconds: float
    reason: RefreshReason


@frozen(kw_only=True)
class RefreshFailed:
    """A refresh has failed.

    Attributes:
        account: The account.
        error: What happened.
        is_token_valid: Whether the old token is still valid, so that requests continue with it.
        seconds: How long the refresh took, including the wait for the account's lock and the store.
        reason: `expired`, `early`, `rejected` (by the API, with status 401) or `fleet`.
    """

    account: str
    error: PipedriveOAuthError
    is_token_valid: bool
    seconds: float
    reason: RefreshReason


@frozen(kw_only=True)
class GrantEnded:
    """A grant has ended: the user has to authorize the app again.

    Attributes:
        account: The account.
        at: When it was noticed, as an aware datetime in UTC.
        error: The error code of the service, for example `invalid_grant`; `disconnected` where
            this app revoked the grant, and `uninstalled` where an uninstall notice arrived.
    """

    account: str
    at: datetime
    error: str


@frozen(kw_only=True)
class GrantRestored:
    """A grant that had ended works again: the user has authorized the app, or a refresh worked.

    Attributes:
        account: The account.
    """

    account: str


@frozen(kw_only=True)
class ApiDomainChanged:
    """A refresh named another domain for the company's API than before.

    Attributes:
        account: The account.
        former: The former `api_domain`.
        current: The new one.
    """

    account: str
    former: str
    current: str


@frozen(kw_only=True)
class TokenWithheld:
    """A request to an origin was sent without the token, since the token may not go there.

    It is reported once for each origin.

    Attributes:
        account: The account.
        origin: Scheme, host and port, for example `https://files.acme.com`.
    """

    account: str
    origin: str


Event: TypeAlias = (
    TokenRefreshed | RefreshFailed | GrantEnded | GrantRestored | ApiDomainChanged | TokenWithheld
)
"""Any of the events. Ignore those that you don't know: a newer version may have more."""


def checked_function(on_event: Any) -> Callable[[Event], object] | None:
    """Check that the argument `on_event` is None or an ordinary function."""
    from inspect import iscoroutinefunction  # noqa: PLC0415 - only for those who pass one

    if on_event is not None and (not callable(on_event) or iscoroutinefunction(on_event)):
        raise ConfigurationError(
            "on_event must be an ordinary function with one argument, the event. It is called in"
            " the thread that refreshes, so it can't be asynchronous."
        )
    function: Callable[[Event], object] | None = on_event
    return function
