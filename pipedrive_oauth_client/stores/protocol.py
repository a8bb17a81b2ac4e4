"""What a place for tokens has to do: `TokenStore`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol, runtime_checkable

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.generated.encode import argument
from pipedrive_oauth_client.tokens import Token

__all__ = ["MOST_CHARACTERS", "TokenStore", "checked_account", "checked_store"]

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


@runtime_checkable
class TokenStore(Protocol):
    """A place where tokens are kept, one for each account.

    An account is a name of the app's own choice for one grant, for example company and user. A
    store is synchronous: it is asked when a token is renewed, and not for each request. What it
    raises that is no `StoreError` comes to the caller as it is.

    Whoever renews a token holds the account's lock, loads, renews, and saves; all of that happens
    in one thread. Where the lock of a store can be lost, because its holder was stopped for too
    long, `save` must refuse with `StoreLockTimeoutError` what a late holder brings after somebody
    else has saved. `stores.conformance` has the tests that a store of your own should pass.
    """

    def load(self, account: str) -> Token | None:
        """Give the token of an account.

        Args:
            account: The account.

        Returns:
            The token, or None where there is none.

        Raises:
            CorruptTokenError: What is stored is no token; it is left as it is.
            StoreError: The store does not work.
        """
        ...

    def save(self, account: str, token: Token) -> None:
        """Keep a token in place of the one before.

        Args:
            account: The account.
            token: The token.

        Raises:
            StoreLockTimeoutError: This thread has lost the account's lock, and somebody else has
                saved or deleted since; nothing was written.
            StoreError: The store does not work; the token before is still there.
        """
        ...

    def delete(self, account: str) -> None:
        """Forget the token of an account, if there is one.

        Args:
            account: The account.

        Raises:
            StoreError: The store does not work.
        """
        ...

    def lock(self, account: str) -> AbstractContextManager[object]:
        """Let one caller at a time renew the token of an account.

        Args:
            account: The account.

        Returns:
            A context manager. Entering it waits for a bounded time.

        Raises:
            StoreLockTimeoutError: Somebody else did not let go of it in time.
            StoreError: The store does not work.
        """
        ...

    def accounts(self) -> Iterator[str]:
        """Give all accounts that have a token, in no particular order.

        Returns:
            The accounts, one by one, without holding them all in memory where that can be helped.

        Raises:
            StoreError: The store does not work.
        """
        ...


def checked_store(name: str, store: Any) -> TokenStore:
    """Check that an object can be used as a store.

    Not by `isinstance`: from Python 3.12 on, that refuses objects that hand on to another one.

    Args:
        name: The argument's name, for the error.
        store: What was passed.

    Returns:
        The store.

    Raises:
        ConfigurationError: It lacks one of the methods, or is a class.
    """
    methods = ("load", "save", "delete", "lock", "accounts")
    if isinstance(store, type) or not all(callable(getattr(store, each, None)) for each in methods):
        raise ConfigurationError(
            f"{name} must be a token store, with the methods of stores.TokenStore: load, save,"
            f" delete, lock and accounts. This is {type(store).__name__}."
        )
    found: TokenStore = store
    return found
