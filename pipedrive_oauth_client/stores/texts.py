"""A token as the text that stores keep."""

from __future__ import annotations

import json

from pipedrive_oauth_client.errors import CorruptTokenError
from pipedrive_oauth_client.tokens import Token

__all__ = ["from_text", "to_text"]


def to_text(token: Token) -> str:
    """Write a token as JSON, in ASCII.

    Args:
        token: The token.

    Returns:
        One line, with both tokens in the clear.
    """
    return json.dumps(token.to_dict())


def from_text(text: str | bytes) -> Token:
    """Read what `to_text` wrote.

    Args:
        text: The stored text.

    Returns:
        The token.

    Raises:
        CorruptTokenError: It is no token; the message repeats nothing of it.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        problem = type(error).__name__  # its text repeats what is stored
    else:
        return Token.from_dict(data)
    raise CorruptTokenError(
        f"A stored token is no JSON ({problem}). Restore it from a backup, or have the person"
        " authorize the app again."
    )
