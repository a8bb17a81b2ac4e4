"""Which accounts have not been renewed for a long time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from pipedrive_oauth_client.errors import CorruptTokenError
from pipedrive_oauth_client.stores.protocol import TokenStore, checked_store
from pipedrive_oauth_client.stores.times import aware

__all__ = ["due"]


def due(store: TokenStore, before: datetime) -> Iterator[str]:
    """Give the accounts whose access token expires before a time.

    An access token lives for an hour, so that this is when the account was last renewed, with an
    hour added. Stores that have a method `due` are asked; of others every token is loaded. What is
    stored and can't be read is due as well, so that somebody looks at it.

    Args:
        store: The store.
        before: The time, aware.

    Returns:
        The accounts, one by one.

    Raises:
        ConfigurationError: `before` has no time zone, or `store` is none.
        StoreError: The store does not work.
    """
    aware("before", before)
    checked_store("store", store)
    own: Callable[[datetime], Iterable[str]] | None = getattr(store, "due", None)
    return iter(own(before)) if own is not None else _scanned(store, before)


def _scanned(store: TokenStore, before: datetime) -> Iterator[str]:
    for account in store.accounts():
        try:
            token = store.load(account)
        except CorruptTokenError:
            yield account
        else:
            if token is not None and token.expires_at < before:
                yield account
