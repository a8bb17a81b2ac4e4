"""The facts of Pipedrive's published reference of its OAuth API, row by row, without its words."""

from __future__ import annotations

from typing import NamedTuple

FORM = "application/x-www-form-urlencoded"


class PublishedRow(NamedTuple):
    """A row of a table of parameters.

    Attributes:
        name: The parameter.
        required: Whether it has to be given.
        default: What it is without being given, or None.
    """

    name: str
    required: bool
    default: str | None = None


class PublishedOperation(NamedTuple):
    """An operation, in the order of its page.

    Attributes:
        name: What it is called.
        request: Method and path.
        title: Its line in the overview.
        rows: Its table; every type there is a string.
        result: The model that is returned, or None.
        scheme: The authorization, or None.
        content_type: What is sent, or None.
        accept: What is asked for.
    """

    name: str
    request: str
    title: str
    rows: tuple[PublishedRow, ...]
    result: str | None
    scheme: str | None
    content_type: str | None
    accept: str


PUBLISHED = (
    PublishedOperation(
        "authorize",
        "GET /oauth/authorize",
        "Requesting authorization",
        (
            PublishedRow("client_id", required=True),
            PublishedRow("redirect_uri", required=True),
            PublishedRow("state", required=False),
        ),
        None,
        None,
        None,
        "text/html",
    ),
    PublishedOperation(
        "get_tokens",
        "POST /oauth/token",
        "Getting the tokens",
        (
            PublishedRow("authorization", required=True),
            PublishedRow("grant_type", required=False, default="authorization_code"),
            PublishedRow("code", required=False),
            PublishedRow("redirect_uri", required=False),
        ),
        "GetTokensResponse",
        "basic_authentication",
        FORM,
        "application/json",
    ),
    PublishedOperation(
        "refresh_tokens",
        "POST /oauth/token/",
        "Refreshing the tokens",
        (
            PublishedRow("authorization", required=True),
            PublishedRow("grant_type", required=False, default="refresh_token"),
            PublishedRow("refresh_token", required=False),
        ),
        "GetTokensResponse",
        "basic_authentication",
        FORM,
        "application/json",
    ),
)
