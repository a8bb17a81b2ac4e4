"""Saving what Pipedrive has given, even where the store fails for a while.

A token that was given and not saved is lost when the command ends, and with it, where refresh
tokens rotate, the account's grant. So the command stays for a while and tries again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from concurrent.futures import wait
from contextlib import contextmanager
from datetime import timedelta
from typing import Final, TypeVar

from pipedrive_oauth_client.cli.reports import one_line
from pipedrive_oauth_client.cli.words import span_in_words
from pipedrive_oauth_client.errors import StoreError
from pipedrive_oauth_client.flights import under_way

__all__ = ["seen_through", "until_saved"]

_WAITS_SECONDS: Final = (1, 2, 4, 8, 15)
# As long as a request can take.
_PATIENCE_SECONDS: Final = 60

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


@contextmanager
def seen_through(tell: Callable[[str], object]) -> Generator[None]:
    """Let Ctrl-C and SIGTERM break off no renewal whose request may be on its way.

    It goes on in a thread of its own, but not after its flow is closed.

    Args:
        tell: Tells the person.
    """
    try:
        yield
    except Exception:
        raise
    except BaseException:
        pending = under_way()
        if pending:
            tell("A renewal is under way, and is seen through first. Ctrl-C again gives up.")
            wait(pending, _PATIENCE_SECONDS)
        raise
