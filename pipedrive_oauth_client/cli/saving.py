"""Saving what Pipedrive has given, even where the store fails for a while.

A token that was given and not saved is lost when the command ends, and with it, where refresh
tokens rotate, the account's grant. So the command stays for a while and tries again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final, TypeVar

from pipedrive_oauth_client.cli.reports import one_line
from pipedrive_oauth_client.cli.words import span_in_words
from pipedrive_oauth_client.errors import StoreError

__all__ = ["until_saved"]

_WAITS_SECONDS: Final = (1, 2, 4, 8, 15)

T = TypeVar("T")


def until_saved(
    work: Callable[[], T],
    is_at_stake: Callable[[], bool],
    tell: Callable[[str], object],
    sleep: Callable[[float], object] = time.sleep,
) -> T:
    """Do something that saves a token, several times if the store fails.

    Args:
        work: What saves it. It may be done again.
        is_at_stake: Tells whether this process has the only copy of a token.
        tell: Tells the person.
        sleep: Waits for a number of seconds.

    Returns:
        What it gave.

    Raises:
        StoreError: The store failed until the end, or no token was at stake.
    """
    for seconds in _WAITS_SECONDS:
        try:
            return work()
        except StoreError as error:
            if not is_at_stake():
                raise
            words = span_in_words(timedelta(seconds=seconds))
            tell(
                f"The new token can't be saved yet: {one_line(str(error))} Trying again in {words};"
                " Ctrl-C gives up."
            )
            sleep(seconds)
    return work()
