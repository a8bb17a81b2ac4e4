"""From the answer of a token operation to a token, or to the error that says what to do."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime
from typing import Final
from urllib.parse import quote_plus

from pipedrive_oauth_client.errors import (
    InvalidClientError,
    InvalidGrantError,
    InvalidResponseError,
    RateLimitedError,
    ServerError,
    TokenRequestError,
)
from pipedrive_oauth_client.generated.models import OAuthErrorResponse
from pipedrive_oauth_client.generated.response import Response
from pipedrive_oauth_client.generated.types import Unset
from pipedrive_oauth_client.retry_after import read_retry_after

__all__ = ["refusal"]

_LONGEST_DESCRIPTION: Final = 300

_BY_CODE: Final[dict[str, type[TokenRequestError]]] = {
    "invalid_grant": InvalidGrantError,
    "invalid_client": InvalidClientError,
}
_BY_MESSAGE: Final[dict[str, type[TokenRequestError]]] = {
    "invalid grant": InvalidGrantError,
    "invalid client": InvalidClientError,
}
_ADVICE: Final[dict[type[TokenRequestError], str]] = {
    InvalidGrantError: "The person has to authorize the app again.",
    InvalidClientError: "Check the client ID and the client secret in Pipedrive's Developer Hub.",
    RateLimitedError: "Wait before the next request.",
    ServerError: "Try again later.",
    TokenRequestError: "Check the request against Pipedrive's documentation.",
}


def refusal(
    operation: str, response: Response[object], *, now: datetime, secrets: Collection[str]
) -> TokenRequestError | InvalidResponseError:
    """Make the error of an answer that is not the one that was asked for.

    The error code of the body decides, then the message, then the status: Pipedrive documents a
    wrong client under status 400.

    Args:
        operation: The name of the operation, for the message.
        response: The answer.
        now: When the answer arrived, aware; a date in `Retry-After` is counted from it.
        secrets: What was sent and must not come back in the message, neither as it is nor as a form
            spells it.

    Returns:
        The error, not raised yet.

    Source:
        RFC 6749, section 5.2; Pipedrive's page of OAuth status codes.
    """
    status = response.status_code
    if status < 400:
        problem = "it redirects to another place, and credentials are not sent there"
        if status < 300:
            problem = f"{operation} is answered with another status than 200"
        return InvalidResponseError(problem, status_code=status, headers=response.headers)
    body = (
        response.parsed if isinstance(response.parsed, OAuthErrorResponse) else OAuthErrorResponse()
    )
    code = _shown(body.error, secrets)
    description = _shown(body.error_description, secrets) or _shown(body.message, secrets)
    kind = _kind(status, body)
    words = f" {description.rstrip('.')}." if description else ""
    return kind(
        f"{operation} was refused with status {status}{f' ({code})' if code else ''}.{words}"
        f" {_ADVICE[kind]}",
        status_code=status,
        error=code,
        description=description,
        retry_after=read_retry_after(response.headers.get("Retry-After"), now),
    )


def _kind(status: int, body: OAuthErrorResponse) -> type[TokenRequestError]:
    # With nothing hidden: a code or a token may be short enough to stand in the middle of a word.
    code = _shown(body.error, ())
    description = _shown(body.error_description, ()) or _shown(body.message, ())
    if code in _BY_CODE:
        return _BY_CODE[code]
    for beginning, kind in _BY_MESSAGE.items():
        if code is None and description and description.lower().startswith(beginning):
            return kind
    if status == 401:
        return InvalidClientError
    if status == 429:
        return RateLimitedError
    return ServerError if status >= 500 else TokenRequestError


def _shown(text: str | Unset | None, secrets: Collection[str]) -> str | None:
    """Make what a server wrote fit to be shown: no secret, no control character, not too long."""
    if text is None or isinstance(text, Unset):
        return None
    for secret in sorted({*secrets, *map(quote_plus, secrets)}, key=len, reverse=True):
        # Percent-encoding may be in lower case.
        text = re.sub(re.escape(secret), "<hidden>", text, flags=re.IGNORECASE)
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:_LONGEST_DESCRIPTION] or None
