"""Python client for Pipedrive's OAuth service.

Most programs need `PipedriveOAuth` or `AsyncPipedriveOAuth`: the flow from the consent page to a
`Token`, to the next one, and to its end. Below it are the generated modules `authorize`,
`get_tokens`, `refresh_tokens` and `revoke_tokens`, one per operation of `openapi.yaml`. Each has
`sync`, `sync_detailed`, `asyncio` and `asyncio_detailed`, which take a `Client` and keyword
arguments, and `url`. Every error is a `PipedriveOAuthError`.
"""

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
from pipedrive_oauth_client.generated.types import UNSET, Response, Unset
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
