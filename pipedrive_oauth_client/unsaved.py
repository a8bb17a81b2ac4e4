"""Tokens that the service has given and the store has not taken.

When a store fails after a renewal, the stored refresh token may be worth nothing already, and the
only copy of the next one is in this process. It is kept here, and saved before anything else is
tried with the account.
"""

from __future__ import annotations

from typing import Final

from attrs import field, frozen

from pipedrive_oauth_client.stores.protocol import TokenStore
from pipedrive_oauth_client.tokens import Token

__all__ = ["drop", "is_any_kept", "is_kept", "keep", "resolve"]


@frozen(eq=False)
class _Unsaved:
    # Holding the store keeps its id from being given to another.
    store: TokenStore = field(repr=False)
    previous: Token
    token: Token


_unsaved: Final[dict[tuple[int, str], _Unsaved]] = {}


def keep(store: TokenStore, account: str, *, previous: Token, token: Token) -> None:
    """Keep a token until it can be saved.

    Args:
        store: The store that did not take it.
        account: The account.
        previous: The token that it was obtained with.
        token: The token.
    """
    _unsaved[id(store), account] = _Unsaved(store, previous, token)


def resolve(store: TokenStore, account: str, stored: Token | None) -> Token | None:
    """Save what is kept for an account, unless somebody has put something else there meanwhile.

    The caller holds the account's lock.

    Args:
        store: The store.
        account: The account.
        stored: What it holds for the account.

    Returns:
        What it holds now.

    Raises:
        StoreError: It still does not work; the token is kept.
    """
    key = id(store), account
    kept = _unsaved.get(key)
    if kept is None:
        return stored
    if stored == kept.previous:
        store.save(account, kept.token)
        stored = kept.token
    _unsaved.pop(key, None)
    return stored


def is_kept(store: TokenStore, account: str) -> bool:
    """Tell whether a token of an account waits to be saved.

    Args:
        store: The store.
        account: The account.

    Returns:
        Whether the only copy of it is in this process.
    """
    return (id(store), account) in _unsaved


def drop(store: TokenStore, account: str) -> None:
    """Forget what is kept for an account that was deleted.

    Args:
        store: The store.
        account: The account.
    """
    _unsaved.pop((id(store), account), None)


def is_any_kept(store: TokenStore) -> bool:
    """Tell whether a token of any account waits to be saved.

    Args:
        store: The store.

    Returns:
        Whether the only copy of one is in this process.
    """
    return any(key[0] == id(store) for key in list(_unsaved))
