"""What a token store has to do, `TokenStore`, and what it may do besides to list its accounts."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol, runtime_checkable

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.generated.encode import argument
from pipedrive_oauth_client.tokens import Token

__all__ = [
    "MAX_ACCOUNT_LENGTH",
    "AccountOverview",
    "TokenStore",
    "accounts_with_prefix",
    "checked_account",
    "checked_prefix",
    "checked_store",
]

# Every database can index a name of this length.
MAX_ACCOUNT_LENGTH: Final = 200


class AccountOverview(NamedTuple):
    """What a store knows of an account without loading its token.

    Attributes:
        account: The account.
        expires_at: When the access token expires, aware; None if the store does not know it.
        may_have_ended: Whether the token seems to have a `grant_end`. Load it to make sure.
        may_be_damaged: Whether the token seems unreadable. Load it to make sure.
    """

    account: str
    expires_at: datetime | None
    may_have_ended: bool
    may_be_damaged: bool


@runtime_checkable
class TokenStore(Protocol):
    """A store for tokens, one token for each account.

    An account is a name that the app chooses for one grant, for example company and user. A store
    is synchronous: it is called when a token is refreshed, not for each request. Exceptions other
    than `StoreError` reach the caller unchanged.

    A renewal takes the account's lock, loads the token, refreshes it and saves the new one, all in
    one thread. If a lock can be lost because its holder was stopped for too long, `save` must raise
    `StoreLockTimeoutError` if another caller has saved or deleted the account's token since.
    `stores.conformance` has the tests that a store of your own should pass.

    The stores of this package have more, which no store needs to have, since callers do without:
    `accounts` takes a prefix, `due` finds what expires before a time, `ended` the grants that have
    ended, and `overview` returns an `AccountOverview` of each account.
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


def checked_prefix(prefix: str) -> str:
    """Check what the name of an account may begin with; see `checked_account`."""
    if argument("prefix", prefix, str) and (
        len(prefix) > MAX_ACCOUNT_LENGTH or not prefix.isprintable() or prefix[0] == " "
    ):
        raise ConfigurationError(
            f"prefix must be the beginning of an account's name: at most {MAX_ACCOUNT_LENGTH}"
            " printable characters, the first of which is not a blank, for example '123456:'."
        )
    return prefix


def accounts_with_prefix(store: TokenStore, prefix: str) -> Iterator[str]:
    """Return the accounts of a store whose names begin with a prefix.

    The stores of this package look only at those accounts; another one's are all listed and
    compared.

    Args:
        store: The store.
        prefix: The beginning of the names, for example `123456:` for a company.

    Returns:
        The accounts, one by one.

    Raises:
        ConfigurationError: No name of an account can begin with `prefix`.
        StoreError: The store is unavailable or failed.
    """
    checked_prefix(prefix)
    listing: Callable[..., Iterator[str]] = store.accounts
    if prefix and _takes_prefix(listing):
        return listing(prefix=prefix)
    return (account for account in listing() if account.startswith(prefix))


def _takes_prefix(method: Callable[..., object]) -> bool:
    try:
        return "prefix" in inspect.signature(method).parameters
    except (TypeError, ValueError):
        return False  # of a class that Python can't look into


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
