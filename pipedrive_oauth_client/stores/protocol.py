"""What a token store has to do: `TokenStore`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol, runtime_checkable

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.generated.encode import argument
from pipedrive_oauth_client.tokens import Token

__all__ = ["MAX_ACCOUNT_LENGTH", "TokenStore", "checked_account", "checked_store"]

# Every database can index a name of this length.
MAX_ACCOUNT_LENGTH: Final = 200


@runtime_checkable
class TokenStore(Protocol):
    """A store for tokens, one token for each account.

    An account is a name that the app chooses for one grant, for example company and user. A store
    is synchronous: it is called when a token is refreshed, not for each request. Exceptions other
    than `StoreError` reach the caller unchanged.

    A renewal takes the account's lock, loads the token, refreshes it and saves the new one, all in
    one thread. Where a lock can be lost because its holder was stopped for too long, `save` must
    raise `StoreLockTimeoutError` if another caller has saved or deleted the account's token since.
    `stores.conformance` has the tests that a store of your own should pass.
    """

    def load(self, account: str) -> Token | None:
        """Return the token of an account.

        Args:
            account: The account.

        Returns:
            The token, or None if there is none.

        Raises:
            CorruptTokenError: The stored content is not a token; it is left unchanged.
            StoreError: The store is unavailable or failed.
        """
        ...

    def save(self, account: str, token: Token) -> None:
        """Store a token in place of the previous one.

        Args:
            account: The account.
            token: The token.

        Raises:
            StoreLockTimeoutError: This thread has lost the account's lock, and another caller has
                saved or deleted the token since; nothing was written.
            StoreError: The store is unavailable or failed; the previous token is still there.
        """
        ...

    def delete(self, account: str) -> None:
        """Delete the token of an account, if there is one.

        Args:
            account: The account.

        Raises:
            StoreError: The store is unavailable or failed.
        """
        ...

    def lock(self, account: str) -> AbstractContextManager[object]:
        """Let one caller at a time refresh the token of an account.

        Args:
            account: The account.

        Returns:
            A context manager. Entering it waits for a bounded time.

        Raises:
            StoreLockTimeoutError: The current holder did not release the lock in time.
            StoreError: The store is unavailable or failed.
        """
        ...

    def accounts(self) -> Iterator[str]:
        """Return all accounts that have a token, in no particular order.

        Returns:
            The accounts, one by one; where possible they are not all held in memory.

        Raises:
            StoreError: The store is unavailable or failed.
        """
        ...


def checked_account(account: str) -> str:
    """Check the name of an account.

    Databases strip blanks, file names can't hold a line break, and C libraries stop at a NUL: a
    name that one of them changes would share its token with another account.

    Args:
        account: The name.

    Returns:
        The same name.

    Raises:
        ConfigurationError: It is not a string of 1 to 200 printable characters, or it begins or
            ends with a blank.
    """
    given: object = account
    if (
        isinstance(given, str)
        and 0 < len(given) <= MAX_ACCOUNT_LENGTH
        and given.isprintable()
        and given == given.strip()
    ):
        return given
    argument("account", account, str)
    raise ConfigurationError(
        f"account must be 1 to {MAX_ACCOUNT_LENGTH} printable characters without a blank at either"
        " end, for example '123456:789' for a company and a user."
    )


def checked_store(name: str, store: Any) -> TokenStore:
    """Check that the argument called `name` has the methods of a token store."""
    # Not isinstance: since Python 3.12 it rejects objects that delegate with __getattr__.
    methods = ("load", "save", "delete", "lock", "accounts")
    if isinstance(store, type) or not all(callable(getattr(store, each, None)) for each in methods):
        raise ConfigurationError(
            f"{name} must be a token store with the methods of stores.TokenStore (load, save,"
            f" delete, lock and accounts), not {type(store).__name__}."
        )
    found: TokenStore = store
    return found
