"""What an app decides about connecting: `WebSettings`, the same for all frameworks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Generic, TypeAlias, TypeVar

from attrs import define, field, frozen

from pipedrive_oauth_client.errors import ConfigurationError, PipedriveOAuthError
from pipedrive_oauth_client.generated.encode import argument
from pipedrive_oauth_client.tokens import Token
from pipedrive_oauth_client.users import PipedriveUser
from pipedrive_oauth_client.web.notices import UninstallNotice

__all__ = ["HOOKS", "Connection", "WebSettings"]

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")
_T = TypeVar("_T")
_Soon: TypeAlias = _T | Awaitable[_T]

_LONGEST = timedelta(hours=1)
_SHORTEST = timedelta(seconds=10)


@frozen(kw_only=True)
class Connection:
    """An account that was just connected; its token is saved.

    Attributes:
        account: The name that the token is kept under.
        user: The person who let the app in.
        token: The token.
        from_marketplace: Whether it began in the Marketplace, without a state: then anybody may
            have made this browser come here. Take it as an install, never as a log-in.
        return_to: Where the browser goes next.
        at: When it was connected, as an aware datetime.
    """

    account: str
    user: PipedriveUser
    token: Token
    from_marketplace: bool
    return_to: str
    at: datetime


def _usual_account(_request: Any, _token: Token, user: PipedriveUser) -> str:
    return user.account


def _usual_account_of(notice: UninstallNotice) -> str | None:
    return notice.account


@define(kw_only=True, eq=False)
class WebSettings(Generic[RequestT, ResponseT]):
    """What an app decides about connecting.

    Functions of the app may be asynchronous where the framework is. What they raise is theirs: it
    goes to the framework.

    Attributes:
        secret_keys: What the cookies of attempts are signed with, newest first: the first one
            signs, all of them are believed. At least 16 characters each; hidden in `repr`.
        after_connect: Where the browser goes after connecting, where the start named no other
            place: a path inside of the app, or an address of `return_origins`.
        return_origins: Where else than into this site the browser may be sent back to, for example
            `https://app.example.com`.
        connected: Called with the request and the `Connection` when the token is saved. What it
            returns, if it is not None, is the answer.
        failed: Called with the request and the error when connecting did not go through, an
            `AuthorizationDeniedError` where somebody said no. What it returns, if it is not None,
            is the answer in place of the usual page.
        uninstalled: Called with the notice and the account, or None, when the token is deleted.
            A notice may come more than once.
        account_for: Called with the request, the token and the person; gives the name to keep the
            token under. By default `company:user`.
        account_of: Called with a notice; gives the account whose token to delete, or None to keep
            it. By default `company:user`. Give one if you give `account_for`.
        session_of: Called with the request; gives what names the session of the app, for example
            the number of the user who is logged in. An attempt has to end in the session that it
            was begun in.
        first_use: Called with a key and how long to remember it; tells whether this is the first
            time. By default each process remembers for itself; with several workers, ask what they
            share: `redis.set(key, 1, nx=True, ex=lifetime)`.
        allow_marketplace_installs: Whether a callback without a state is accepted.
        lifetime: How long a person may take at the service, ten seconds to an hour.

    Raises:
        ConfigurationError: A setting can't be right.
    """

    secret_keys: Sequence[str] = field(default=(), repr=lambda _: "<hidden>")
    after_connect: str = "/"
    return_origins: Sequence[str] = ()
    connected: Callable[[RequestT, Connection], _Soon[ResponseT | None]] | None = None
    failed: Callable[[RequestT, PipedriveOAuthError], _Soon[ResponseT | None]] | None = None
    uninstalled: Callable[[UninstallNotice, str | None], object] | None = None
    account_for: Callable[[RequestT, Token, PipedriveUser], _Soon[str]] = _usual_account
    account_of: Callable[[UninstallNotice], _Soon[str | None]] = _usual_account_of
    session_of: Callable[[RequestT], _Soon[str | None]] | None = None
    first_use: Callable[[str, timedelta], _Soon[bool]] | None = None
    allow_marketplace_installs: bool = False
    lifetime: timedelta = timedelta(minutes=10)

    def __attrs_post_init__(self) -> None:
        for name in HOOKS:
            given = getattr(self, name)
            if given is not None and not callable(given):
                raise ConfigurationError(f"{name} must be a function.")
        argument("allow_marketplace_installs", self.allow_marketplace_installs, bool)
        argument("after_connect", self.after_connect, str)
        if not _SHORTEST <= argument("lifetime", self.lifetime, timedelta) <= _LONGEST:
            raise ConfigurationError("lifetime must be from ten seconds to an hour.")
        if (self.account_for is _usual_account) != (self.account_of is _usual_account_of):
            raise ConfigurationError(
                "account_for and account_of belong together: else an uninstall notice does not find"
                " the account that its token is kept under."
            )


HOOKS = (
    "connected",
    "failed",
    "uninstalled",
    "account_for",
    "account_of",
    "session_of",
    "first_use",
)
"""The functions of the app."""
