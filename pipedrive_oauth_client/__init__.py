"""Python client for Pipedrive's OAuth service.

Most programs need `PipedriveOAuth` or `AsyncPipedriveOAuth`: the flow from the consent page to a
`Token`, to the next one, and to its end. Below it are the generated modules `authorize`,
`get_tokens`, `refresh_tokens` and `revoke_tokens`, one per operation of `openapi.yaml`. Each has
`sync`, `sync_detailed`, `asyncio` and `asyncio_detailed`, which take a `Client` and keyword
arguments, and `url`. Every error is a `PipedriveOAuthError`.

Importing this package imports almost nothing: each name is imported when it is first asked for, so
that whoever needs the errors or a Basic header alone does not wait for httpx.
"""

from typing import TYPE_CHECKING

from pipedrive_oauth_client.lazy import lazy_attributes as _lazy_attributes

if TYPE_CHECKING:
    from pipedrive_oauth_client.async_flow import AsyncPipedriveOAuth
    from pipedrive_oauth_client.auth import PipedriveAuth
    from pipedrive_oauth_client.authorization import NO_STATE, AuthorizationRequest, NoState
    from pipedrive_oauth_client.credentials import AppCredentials, basic_auth_header
    from pipedrive_oauth_client.errors import (
        AuthorizationDeniedError,
        CallbackError,
        ConfigurationError,
        CorruptTokenError,
        InvalidClientError,
        InvalidGrantError,
        InvalidResponseError,
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
    )
    from pipedrive_oauth_client.flow import PipedriveOAuth
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
    from pipedrive_oauth_client.retries import RetryPolicy
    from pipedrive_oauth_client.tokens import Token

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
    "InvalidClientError",
    "InvalidGrantError",
    "InvalidResponseError",
    "NoState",
    "OAuthErrorResponse",
    "PipedriveAuth",
    "PipedriveOAuth",
    "PipedriveOAuthError",
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
    "__version__",
    "authorize",
    "basic_auth_header",
    "get_tokens",
    "refresh_tokens",
    "revoke_tokens",
]

# The same as the imports above.
_NAMES = {
    "async_flow": ("AsyncPipedriveOAuth",),
    "auth": ("PipedriveAuth",),
    "authorization": ("NO_STATE", "AuthorizationRequest", "NoState"),
    "credentials": ("AppCredentials", "basic_auth_header"),
    "errors": (*(name for name in __all__ if name.endswith("Error")), "UnexpectedStatus"),
    "flow": ("PipedriveOAuth",),
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
    "retries": ("RetryPolicy",),
    "tokens": ("Token",),
}
_ENDPOINTS = ("authorize", "get_tokens", "refresh_tokens", "revoke_tokens")
# Modules that are attributes without being imported by name, as they were when importing the
# package imported all of them.
_MODULES = (
    *("answers", "async_flow", "auth", "authorization", "bearer", "callback_fields", "calls"),
    *("characters", "clock", "credentials", "destinations", "errors", "extras", "flights", "flow"),
    *("generated", "origins", "plans", "renewal", "replays", "rest", "retries", "retry_after"),
    *("stores", "supply", "tokens", "unsaved", "waiting"),
)

if not TYPE_CHECKING:
    __getattr__ = _lazy_attributes(
        __name__,
        _NAMES,
        {
            **{name: name for name in _MODULES},
            **{name: f"generated.api.oauth.{name}" for name in _ENDPOINTS},
        },
    )


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
