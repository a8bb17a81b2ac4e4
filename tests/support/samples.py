"""What goes out and what comes back in the tests, with a planted secret at every place for one."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Final, NamedTuple

from pipedrive_oauth_client import (
    GetTokensRequest,
    RefreshTokensRequest,
    authorize,
    get_tokens,
    refresh_tokens,
)

# The header of RFC 7617, section 2, for the user "Aladdin" and the password "open sesame".
AUTHORIZATION: Final = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="

CODE: Final = "code-8d7e51fc20b94a36"
SENT_REFRESH_TOKEN: Final = "sent-refresh-7412903"
ACCESS_TOKEN: Final = "access-v1u-AQIBAHj"
REFRESH_TOKEN: Final = "refresh-5be07c43d1f2a896"
UNKNOWN_VALUE: Final = "unknown-field-2a54c1"
REDIRECT_URI: Final = "https://app.example.com/callback"

SECRETS: Final = (
    AUTHORIZATION.removeprefix("Basic "),
    CODE,
    SENT_REFRESH_TOKEN,
    ACCESS_TOKEN,
    REFRESH_TOKEN,
    UNKNOWN_VALUE,
)

TOKENS: Final[dict[str, object]] = {
    "access_token": ACCESS_TOKEN,
    "token_type": "Bearer",
    "refresh_token": REFRESH_TOKEN,
    "scope": "deals:full,users:read,base",
    "expires_in": 3599,
    "api_domain": "https://acme.pipedrive.com",
}


def token_body(**changes: object) -> bytes:
    """Write a good answer's body, with some fields changed or added."""
    return json.dumps({**TOKENS, **changes}).encode()


class Operation(NamedTuple):
    """An endpoint with arguments that are good for it."""

    module: ModuleType
    method_and_path: str
    arguments: dict[str, object]


GET_TOKENS: Final = Operation(
    get_tokens,
    "POST /oauth/token",
    {
        "authorization": AUTHORIZATION,
        "body": GetTokensRequest(code=CODE, redirect_uri=REDIRECT_URI),
    },
)
REFRESH_TOKENS: Final = Operation(
    refresh_tokens,
    "POST /oauth/token/",
    {
        "authorization": AUTHORIZATION,
        "body": RefreshTokensRequest(refresh_token=SENT_REFRESH_TOKEN),
    },
)
AUTHORIZE: Final = Operation(
    authorize,
    "GET /oauth/authorize",
    {"client_id": "3f9a1c07d2b84e65", "redirect_uri": REDIRECT_URI},
)
