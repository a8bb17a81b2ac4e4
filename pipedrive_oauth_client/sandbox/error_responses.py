"""The sandbox's error responses, as data, and the exception that ends a request with one.

The messages are those of Pipedrive's page of OAuth status codes; the codes are those of RFC 6749
section 5.2 and, for API calls, RFC 6750 section 3.1. Where the page has no message for a mistake,
the message here follows its style.

Source:
    https://pipedrive.readme.io/docs/marketplace-oauth-and-api-proxy-status-codes
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import attrs

from pipedrive_oauth_client.errors import PipedriveOAuthError

_REALM = 'Bearer realm="pipedrive-sandbox"'
# Without a token there is no error to name (RFC 6750 section 3.1).
_TOKEN_ERRORS = ("invalid_token", "insufficient_scope")


@attrs.frozen
class Refusal:
    """One error response of the service.

    Attributes:
        error: The error code of RFC 6749 or RFC 6750.
        message: What is wrong, for people.
        status: The HTTP status.
    """

    error: str
    message: str
    status: int = 400

    def body(self) -> dict[str, object]:
        """Return the JSON body of the response."""
        return {"success": False, "message": self.message, "error": self.error}


class RequestRejectedError(PipedriveOAuthError):
    """Ends a request with an error response; never leaves the sandbox's own code."""

    def __init__(self, refusal: Refusal, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal
        self.headers = dict(headers or {})


def challenge_headers(refusal: Refusal, *, scope: str = "") -> dict[str, str]:
    """Return the `WWW-Authenticate` header of an error response about a token, else none.

    The scope is the one that would be enough, where one is missing.
    """
    if refusal.status != 401 and refusal.error not in _TOKEN_ERRORS:
        return {}
    value = _REALM
    if refusal.error in _TOKEN_ERRORS:
        value += f', error="{refusal.error}", error_description="{refusal.message}"'
    if scope:
        value += f', scope="{scope}"'
    return {"WWW-Authenticate": value}


def missing_parameter(name: str) -> Refusal:
    """Return the error response to a request that lacks a parameter, or has it without a value."""
    return Refusal("invalid_request", f"Missing parameter: {name}")


NOT_A_FORM = Refusal(
    "invalid_request", "Invalid request: content must be application/x-www-form-urlencoded"
)
MALFORMED = Refusal("invalid_request", "Invalid request: parameters are not correctly encoded")
REPEATED_PARAMETER = Refusal("invalid_request", "Invalid request: a parameter is repeated")
TOO_LARGE = Refusal("invalid_request", "Invalid request: content is too large", status=413)
TWO_AUTHENTICATIONS = Refusal(
    "invalid_request", "Invalid request: client credentials belong in the Authorization header only"
)
REDIRECT_URI_MALFORMED = Refusal(
    "invalid_request", "Invalid request: redirect_uri is not a valid URI"
)
REDIRECT_URI_MISMATCH = Refusal("invalid_request", "Invalid request: redirect_uri is invalid")
UNSUPPORTED_GRANT_TYPE = Refusal("unsupported_grant_type", "Unsupported grant type")
NO_CREDENTIALS = Refusal("invalid_client", "Invalid client: cannot retrieve client credentials")
WRONG_CLIENT = Refusal("invalid_client", "Invalid client: client is invalid")
CODE_INVALID = Refusal("invalid_grant", "Invalid grant: authorization_code is invalid")
CODE_EXPIRED = Refusal("invalid_grant", "Invalid grant: authorization_code has expired")
REFRESH_TOKEN_INVALID = Refusal("invalid_grant", "Invalid grant: refresh_token is invalid")
FOREIGN_TOKEN = Refusal("invalid_grant", "Invalid grant: token was issued to another client")
APP_NOT_INSTALLABLE = Refusal("invalid_request", "App cannot be installed for requested company")
SERVER_ERROR = Refusal("server_error", "Internal Server Error", status=500)
TOO_MANY_REQUESTS = Refusal("too_many_requests", "Too many requests", status=429)

TICKET_INVALID = Refusal(
    "invalid_request",
    "This page was submitted before or has expired. Open the authorization URL again.",
)
DECISION_MISSING = Refusal(
    "invalid_request", "Choose to allow or to cancel with the buttons of the page."
)
ACCOUNT_UNKNOWN = Refusal("invalid_request", "Choose one of the accounts shown on the page.")
FOREIGN_PAGE = Refusal(
    "access_denied", "The decision must come from the sandbox's own page.", status=403
)

WRONG_HOST = Refusal(
    "misdirected_request",
    "This sandbox does not answer for the host of the request (the Host header). It answers for"
    " localhost, for loopback addresses, and for the hosts of allowed_hosts (--allowed-host).",
    status=421,
)

NO_ACCESS_TOKEN = Refusal("unauthorized", "An access token is required.", status=401)
ACCESS_TOKEN_INVALID = Refusal(
    "invalid_token", "The access token is unknown, expired or revoked.", status=401
)
LIMIT_INVALID = Refusal("invalid_request", "Invalid request: limit must be from 1 to 500")
CURSOR_INVALID = Refusal("invalid_request", "Invalid request: cursor is invalid")
SCOPE_MISSING = Refusal("insufficient_scope", "Scope and URL mismatch", status=403)

# What Pipedrive's pages document, with a name for each row; `Fault.refusal` sends any of them.
REFUSALS: Mapping[str, Refusal] = MappingProxyType(
    {
        "missing_grant_type": missing_parameter("grant_type"),
        "unsupported_grant_type": UNSUPPORTED_GRANT_TYPE,
        "authorization_code_invalid": CODE_INVALID,
        "authorization_code_expired": CODE_EXPIRED,
        "refresh_token_invalid": REFRESH_TOKEN_INVALID,
        "client_credentials_missing": NO_CREDENTIALS,
        "client_invalid": WRONG_CLIENT,
        "redirect_uri_malformed": REDIRECT_URI_MALFORMED,
        "redirect_uri_invalid": REDIRECT_URI_MISMATCH,
        "content_not_a_form": NOT_A_FORM,
        "app_not_installable": APP_NOT_INSTALLABLE,
        "internal_server_error": SERVER_ERROR,
        "too_many_requests": TOO_MANY_REQUESTS,
        "access_token_invalid": ACCESS_TOKEN_INVALID,
        "scope_missing": SCOPE_MISSING,
    }
)
