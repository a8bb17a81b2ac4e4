"""Which names an account can have, so that every store tells any two of them apart."""

from __future__ import annotations

from typing import Final

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.generated.encode import argument

__all__ = ["MOST_CHARACTERS", "checked_account"]

MOST_CHARACTERS: Final = 200
"""The longest name, which every database has an index for."""


def checked_account(account: str) -> str:
    """Check the name of an account.

    Databases cut blanks off, files can't hold a line break in their name, and C libraries stop at a
    NUL: a name that one of them changes would share its token with another.

    Args:
        account: The name.

    Returns:
        The same name.

    Raises:
        ConfigurationError: It is no string of 1 to 200 printable characters without blanks at its
            ends.
    """
    argument("account", account, str)
    if (
        not account
        or len(account) > MOST_CHARACTERS
        or not account.isprintable()
        or account != account.strip()
    ):
        raise ConfigurationError(
            f"account must be 1 to {MOST_CHARACTERS} printable characters with no blank at an end,"
            " for example '123456:789' for a company and a user."
        )
    return account
