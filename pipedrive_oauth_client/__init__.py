"""Python client for Pipedrive's OAuth service.

The generated part: `authorize`, `get_tokens` and `refresh_tokens` are modules, one per operation of
`openapi.yaml`. Each has `sync`, `sync_detailed`, `asyncio` and `asyncio_detailed`, which take a
`Client` and keyword arguments. On it stands the part written by hand: `AppCredentials`,
`basic_auth_header`, and the errors.
"""

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
from pipedrive_oauth_client.generated.api.oauth import authorize, get_tokens, refresh_tokens
from pipedrive_oauth_client.generated.client import AuthenticatedClient, Client
from pipedrive_oauth_client.generated.models import (
    GetTokensRequest,
    GetTokensResponse,
    OAuthErrorResponse,
    RefreshTokensRequest,
)
from pipedrive_oauth_client.generated.types import UNSET, Response, Unset

__version__ = "0.1.0"

__all__ = [
    "UNSET",
    "AppCredentials",
    "AuthenticatedClient",
    "AuthorizationDeniedError",
    "CallbackError",
    "Client",
    "ConfigurationError",
    "CorruptTokenError",
    "GetTokensRequest",
    "GetTokensResponse",
    "InvalidClientError",
    "InvalidGrantError",
    "InvalidResponseError",
    "OAuthErrorResponse",
    "PipedriveOAuthError",
    "RateLimitedError",
    "RefreshTokensRequest",
    "Response",
    "ServerError",
    "StateMismatchError",
    "StoreError",
    "StoreLockTimeoutError",
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
]
