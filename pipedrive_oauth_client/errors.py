"""Every error that this package raises on purpose.

    PipedriveOAuthError
    ├── ConfigurationError            a setting or an argument can't be right; nothing was sent
    │   └── MissingExtraError             a package of an extra is not installed
    ├── CallbackError                 the browser came back with a callback that can't be used
    │   ├── AuthorizationDeniedError      the user, or Pipedrive, declined access
    │   └── StateMismatchError            the callback does not belong to this session
    ├── TokenRequestError             the service rejected a request for tokens
    │   ├── InvalidGrantError             the code or the refresh token is no longer valid
    │   │   └── GrantEndedError               known from an earlier refresh; nothing was sent
    │   ├── InvalidClientError            the client ID or the client secret is wrong
    │   ├── RateLimitedError              too many requests
    │   └── ServerError                   the service is unavailable
    ├── TransportError                no complete response arrived
    ├── InvalidResponseError          a response arrived, but not one that can be used
    │   └── UnusableAccessTokenError      its refresh token can be used, its access token can't
    ├── MissingScopesError            the user has not granted a scope that the program requires
    ├── UnexpectedStatus              a status that the spec does not describe, where asked to raise
    ├── SignedTokenError              the signed token of an app extension is forged or expired
    └── StoreError                    the token store does not work
        ├── TokenNotFoundError            no token is stored for the account
        ├── StoreLockTimeoutError         another process holds the account's lock for too long
        └── CorruptTokenError             what is stored can't be read as a token

Each says what happened and what to do next, keeps its cause, and carries no secret. Those that the
generated functions raise are generated with them, since generated code knows nothing of the rest of
the package.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from pipedrive_oauth_client.generated.errors import (
    ConfigurationError,
    InvalidResponseError,
    PipedriveOAuthError,
    TransportError,
    UnexpectedStatus,
)
from pipedrive_oauth_client.generated.errors import ProcessBound as ProcessBound  # noqa: PLC0414 - for the sandbox

if TYPE_CHECKING:
    import httpx

__all__ = [
    "AuthorizationDeniedError",
    "CallbackError",
    "ConfigurationError",
    "CorruptTokenError",
    "GrantEndedError",
    "InvalidClientError",
    "InvalidGrantError",
    "InvalidResponseError",
    "MissingExtraError",
    "MissingScopesError",
    "PipedriveOAuthError",
    "RateLimitedError",
    "ServerError",
    "SignedTokenError",
    "StateMismatchError",
    "StoreError",
    "StoreLockTimeoutError",
    "TokenNotFoundError",
    "TokenRequestError",
    "TransportError",
    "UnexpectedStatus",
    "UnusableAccessTokenError",
]


class MissingExtraError(ConfigurationError, ImportError):
    """A package that comes with an extra is not installed; the message names the extra.

    Attributes:
        name: The package that is missing.
    """

    def __init__(self, message: str, *, name: str | None = None) -> None:
        super().__init__(message)
        self.name = name


class CallbackError(PipedriveOAuthError):
    """The redirect that ended an authorization can't be used.

    Never send a request because of such a callback.

    Source:
        RFC 6749, sections 4.1.2 and 4.1.2.1.
    """


class AuthorizationDeniedError(CallbackError):
    """The callback carries an error instead of a code: the user, or Pipedrive, declined access.

    Attributes:
        error: The error code of the callback, for example `user_denied` or `access_denied`.
        description: The callback's `error_description`, or None. Both are as they came, and an
            attacker can write a callback: escape them where you show them.

    Source:
        RFC 6749, section 4.1.2.1.
    """

    def __init__(self, message: str, *, error: str, description: str | None = None) -> None:
        self.error = error
        self.description = description
        super().__init__(message)


class StateMismatchError(CallbackError):
    """The state of the callback is missing, repeated, or not the one that was sent.

    Source:
        RFC 6749, section 10.12.
    """


class TokenRequestError(PipedriveOAuthError):
    """The service rejected a request for tokens.

    Attributes:
        status_code: The HTTP status of the response.
        error: The error code of the response's body, for example `invalid_request`, or None.
        description: What the response's body says about it, or None.
        retry_after: How long the service asked to wait, or None.

    Source:
        RFC 6749, section 5.2, and Pipedrive's page of OAuth status codes.
    """

    def __init__(
        self,
        message: str,
        *,
        status_code: int,
        error: str | None = None,
        description: str | None = None,
        retry_after: timedelta | None = None,
    ) -> None:
        self.status_code = status_code
        self.error = error
        self.description = description
        self.retry_after = retry_after
        super().__init__(message)


class InvalidGrantError(TokenRequestError):
    """The code or the refresh token is wrong, expired, revoked or used up.

    The user has to authorize the app again.
    """


class GrantEndedError(InvalidGrantError):
    """The service has rejected the account's refresh token before, so nothing was sent.

    The user has to authorize the app again.

    Attributes:
        account: The account.
        since: When the service rejected the refresh token for the first time, aware, in UTC.
        status_code: The HTTP status of that response.
        error: The error code of that response.
        description: What that response said about it, or None.
        retry_after: None.
    """

    def __init__(
        self,
        message: str,
        *,
        account: str,
        since: datetime,
        status_code: int = 400,
        error: str | None = "invalid_grant",
        description: str | None = None,
        retry_after: timedelta | None = None,
    ) -> None:
        self.account = account
        self.since = since
        super().__init__(
            message,
            status_code=status_code,
            error=error,
            description=description,
            retry_after=retry_after,
        )


class InvalidClientError(TokenRequestError):
    """The client ID or the client secret is wrong."""


class RateLimitedError(TokenRequestError):
    """Too many requests in a short time; `retry_after` says how long to wait, if it is known."""


class ServerError(TokenRequestError):
    """The service, or the network in front of it, has failed; try again later."""


class MissingScopesError(PipedriveOAuthError):
    """The token lacks scopes that the program requires, or that the API required.

    A refresh adds no scopes: the user has to authorize the app again.

    Attributes:
        missing: The scopes that the token lacks, for example `deals:full`.

    Source:
        RFC 6749, section 6.
    """

    def __init__(self, message: str, *, missing: Iterable[str]) -> None:
        self.missing = frozenset(missing)
        super().__init__(message)


class _HiddenText(str):
    """A secret that a list of an error's attributes does not show."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<hidden>"


class UnusableAccessTokenError(InvalidResponseError):
    """A response with status 200 has a new refresh token, but no access token that can be used.

    The old refresh token may no longer be valid. `PipedriveAuth` and `refresh_due` have saved the
    new one when they raise this, and the next call refreshes with it. After a call of
    `PipedriveOAuth.refresh` or `exchange`, the caller has to keep it.

    Attributes:
        problem: What is wrong with the access token, without its content.
        field: The invalid field, `access_token` or `token_type`.
        status_code: The HTTP status of the response, 200.
        headers: The headers of the response, looked up without regard to case.
        response: None.
        token: The `Token` that was to be refreshed, with the new refresh token and marked as
            expired: save it in the place of the old one. None after an exchange, and where only a
            refresh token was given.
        refresh_token: The new refresh token; hidden in `repr`. It and `token` are None where it is
            saved already, and in a copy or a pickle of this error.
        is_saved: Whether it is saved already.

    Source:
        RFC 6749, sections 5.1 and 7.1.
    """

    def __init__(
        self,
        problem: str,
        *,
        field: str | None = None,
        status_code: int | None = 200,
        headers: httpx.Headers | None = None,
        token: Any = None,
        refresh_token: str | None = None,
        is_saved: bool = False,
    ) -> None:
        super().__init__(problem, field=field, status_code=status_code, headers=headers)
        self.token = token
        self.refresh_token = None if refresh_token is None else _HiddenText(refresh_token)
        self.is_saved = is_saved
        what_next = "Keep the new refresh token, which is in this error, and refresh with it later."
        if is_saved:
            what_next = "Its refresh token was saved, and the next call refreshes with it."
        source = f"the access token of the response with status {status_code}"
        self.args = (f"Cannot use {source}: {problem}. {what_next}",)

    def __reduce__(self) -> tuple[Callable[..., BaseException], tuple[Any, ...]]:
        restore, (kind, args, state) = super().__reduce__()
        return restore, (kind, args, {**state, "token": None, "refresh_token": None})


class SignedTokenError(PipedriveOAuthError):
    """The signed token of an app extension is missing, forged or expired.

    The request that carries it did not come from Pipedrive, or is too old.

    Source:
        https://pipedrive.readme.io/docs/custom-ui-extensions; RFC 7519, section 7.2.
    """


class StoreError(PipedriveOAuthError):
    """The token store does not work; the cause says why."""


class TokenNotFoundError(StoreError):
    """No token is stored for the account: the user has to authorize the app first."""


class StoreLockTimeoutError(StoreError):
    """Another caller holds the account's lock for longer than this one may wait."""


class CorruptTokenError(StoreError):
    """The stored content of the account can't be read as a token; it is left unchanged."""
