"""Python client for Pipedrive's OAuth service.

Most programs need `PipedriveOAuth` or `AsyncPipedriveOAuth`: the flow from the consent page to a
`Token`, its refreshes, and its revocation. Below it are the generated modules `authorize`,
`get_tokens`, `refresh_tokens` and `revoke_tokens`, one per operation of `openapi.yaml`. Each has
`sync`, `sync_detailed`, `asyncio` and `asyncio_detailed`, which take a `Client` and keyword
arguments, and `url`. Every error is a `PipedriveOAuthError`.

Importing this package imports almost nothing: each name is imported when it is first used, so that
a program that needs only the errors or a Basic header does not wait for httpx.
"""

from typing import TYPE_CHECKING

from pipedrive_oauth_client._lazy import lazy_attributes as _lazy_attributes

if TYPE_CHECKING:
    from pipedrive_oauth_client._renewal import disconnect
    from pipedrive_oauth_client.auth import PipedriveAuth, raise_for_scope
    from pipedrive_oauth_client.authorization import NO_STATE, AuthorizationRequest, NoState
    from pipedrive_oauth_client.credentials import AppCredentials, basic_auth_header
    from pipedrive_oauth_client.errors import (
        AuthorizationDeniedError,
        CallbackError,
        ConfigurationError,
        CorruptTokenError,
        GrantEndedError,
        InvalidClientError,
        InvalidGrantError,
        InvalidResponseError,
        MissingScopesError,
        PipedriveOAuthError,
        RateLimitedError,
        ServerError,
        StateMismatchError,
        StoreError,
        StoreLockTimeoutError,
        TokenNotFoundError,
        TokenRequestError,
        TransportError,
        UnexpectedStatus,
        UnusableAccessTokenError,
    )
    from pipedrive_oauth_client.generated.api.oauth import (
        authorize,
        get_tokens,
        refresh_tokens,
        revoke_tokens,
    )
    from pipedrive_oauth_client.generated.client import AuthenticatedClient, Client
    from pipedrive_oauth_client.generated.models import (
        GetTokensRequest,
        GetTokensResponse,
        OAuthErrorResponse,
        RefreshTokensRequest,
        RevokeTokensRequest,
    )
    from pipedrive_oauth_client.generated.response import Response
    from pipedrive_oauth_client.generated.types import UNSET, Unset
    from pipedrive_oauth_client.oauth import AsyncPipedriveOAuth, PipedriveOAuth
    from pipedrive_oauth_client.retry import RetryPolicy
    from pipedrive_oauth_client.tokens import GrantEnd, Token
    from pipedrive_oauth_client.users import (
        PipedriveUser,
        fetch_current_user,
        fetch_current_user_async,
    )

__version__ = "0.1.0"

__all__ = [
    "NO_STATE",
    "UNSET",
    "AppCredentials",
    "AsyncPipedriveOAuth",
    "AuthenticatedClient",
    "AuthorizationDeniedError",
    "AuthorizationRequest",
    "CallbackError",
    "Client",
    "ConfigurationError",
    "CorruptTokenError",
    "GetTokensRequest",
    "GetTokensResponse",
    "GrantEnd",
    "GrantEndedError",
    "InvalidClientError",
    "InvalidGrantError",
    "InvalidResponseError",
    "MissingScopesError",
    "NoState",
    "OAuthErrorResponse",
    "PipedriveAuth",
    "PipedriveOAuth",
    "PipedriveOAuthError",
    "PipedriveUser",
    "RateLimitedError",
    "RefreshTokensRequest",
    "Response",
    "RetryPolicy",
    "RevokeTokensRequest",
    "ServerError",
    "StateMismatchError",
    "StoreError",
    "StoreLockTimeoutError",
    "Token",
    "TokenNotFoundError",
    "TokenRequestError",
    "TransportError",
    "UnexpectedStatus",
    "Unset",
    "UnusableAccessTokenError",
    "__version__",
    "authorize",
    "basic_auth_header",
    "disconnect",
    "fetch_current_user",
    "fetch_current_user_async",
    "get_tokens",
    "raise_for_scope",
    "refresh_tokens",
    "revoke_tokens",
]

# The same as the imports above.
_NAMES = {
    "_renewal": ("disconnect",),
    "auth": ("PipedriveAuth", "raise_for_scope"),
    "authorization": ("NO_STATE", "AuthorizationRequest", "NoState"),
    "credentials": ("AppCredentials", "basic_auth_header"),
    "errors": (*(name for name in __all__ if name.endswith("Error")), "UnexpectedStatus"),
    "generated.client": ("AuthenticatedClient", "Client"),
    "generated.models": (
        "GetTokensRequest",
        "GetTokensResponse",
        "OAuthErrorResponse",
        "RefreshTokensRequest",
        "RevokeTokensRequest",
    ),
    "generated.response": ("Response",),
    "generated.types": ("UNSET", "Unset"),
    "oauth": ("AsyncPipedriveOAuth", "PipedriveOAuth"),
    "retry": ("RetryPolicy",),
    "tokens": ("GrantEnd", "Token"),
    "users": ("PipedriveUser", "fetch_current_user", "fetch_current_user_async"),
}
_ENDPOINTS = ("authorize", "get_tokens", "refresh_tokens", "revoke_tokens")

if not TYPE_CHECKING:
    __getattr__ = _lazy_attributes(
        __name__, _NAMES, {name: f"generated.api.oauth.{name}" for name in _ENDPOINTS}
    )


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
