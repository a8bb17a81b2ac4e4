"""What an error means for the person in front of the browser, and for HTTP."""

from __future__ import annotations

from typing import Final

from attrs import frozen

from pipedrive_oauth_client.errors import (
    AuthorizationDeniedError,
    CallbackError,
    InvalidGrantError,
    InvalidResponseError,
    PipedriveOAuthError,
    RateLimitedError,
    ServerError,
    StateMismatchError,
    StoreError,
    TokenRequestError,
    TransportError,
)

__all__ = ["Explanation", "ReplayedCallbackError", "explain"]

_AGAIN: Final = "Nothing was saved. Please start again."
_LATER: Final = "Nothing was saved. Please start again in a few minutes."


class ReplayedCallbackError(CallbackError):
    """The callback was used before: a reload, a double click, or somebody who repeats it.

    Nothing is exchanged for it. A service that is careful would end the grant that it gave.

    Source:
        RFC 9700, section 4.7; RFC 6749, section 4.1.2.
    """


@frozen
class Explanation:
    """An error, explained.

    Attributes:
        status: The HTTP status.
        title: What happened.
        text: What it means, and what to do.
    """

    status: int
    title: str
    text: str


# The first that fits counts.
_EXPLANATIONS: Final[tuple[tuple[type[PipedriveOAuthError], Explanation], ...]] = (
    (
        AuthorizationDeniedError,
        Explanation(
            403,
            "Not connected",
            "Pipedrive was not connected, as you or Pipedrive said no. If that was a mistake, start"
            " again.",
        ),
    ),
    (
        StateMismatchError,
        Explanation(
            400,
            "This did not begin here",
            "This browser has not begun to connect, or too long ago, or it blocks cookies. Nothing"
            " was saved. Please start again from here.",
        ),
    ),
    (
        ReplayedCallbackError,
        Explanation(
            400,
            "This was used already",
            "If you have just connected and reloaded the page, go on: it may have worked."
            " Otherwise, start again.",
        ),
    ),
    (CallbackError, Explanation(400, "Pipedrive's answer can't be read", _AGAIN)),
    (InvalidGrantError, Explanation(400, "That took too long, or was used already", _AGAIN)),
    (RateLimitedError, Explanation(503, "Pipedrive is busy", _LATER)),
    (ServerError, Explanation(503, "Pipedrive is out of order", _LATER)),
    (TransportError, Explanation(502, "Pipedrive does not answer", _LATER)),
    (InvalidResponseError, Explanation(502, "Pipedrive's answer can't be read", _LATER)),
    (StoreError, Explanation(503, "The connection could not be saved", _LATER)),
    (
        TokenRequestError,
        Explanation(
            500, "Pipedrive refuses this app", "Nothing was saved. Please tell the app's makers."
        ),
    ),
    (
        PipedriveOAuthError,
        Explanation(
            500,
            "This app is not set up correctly",
            "Nothing was saved. Please tell the app's makers.",
        ),
    ),
)


def explain(error: PipedriveOAuthError) -> Explanation:
    """Explain an error to a person.

    Args:
        error: The error. Its own text is for developers, and for the log.

    Returns:
        The explanation; nothing in it comes from outside.
    """
    return next(each for kind, each in _EXPLANATIONS if isinstance(error, kind))
