"""One renewal, from the lock to the save, as one synchronous piece of work.

Everything happens in one thread and under the account's lock, so that asynchronous callers, who run
it in a thread, can be cancelled without stopping it between the answer and the save.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pipedrive_oauth_client import unsaved
from pipedrive_oauth_client.errors import (
    CorruptTokenError,
    InvalidGrantError,
    StoreError,
    StoreLockTimeoutError,
    TokenNotFoundError,
)
from pipedrive_oauth_client.flow import PipedriveOAuth
from pipedrive_oauth_client.stores.leases import Lease
from pipedrive_oauth_client.stores.protocol import TokenStore
from pipedrive_oauth_client.tokens import Token

__all__ = ["renew"]

_MOST_ROUNDS: Final = 5


def renew(
    oauth: PipedriveOAuth,
    store: TokenStore,
    account: str,
    *,
    is_good: Callable[[Token], bool],
    is_usable: Callable[[Token], bool],
) -> Token:
    """Give a good token of an account: the stored one, or else the next one.

    Args:
        oauth: Obtains the next one.
        store: Where the account's token is kept.
        account: The account.
        is_good: Tells whether a stored token will do.
        is_usable: Tells whether one will do that somebody has saved since this was called. Where
            tokens live for less than the leeway, even the newest is not good.

    Returns:
        The token, which is stored.

    Raises:
        TokenNotFoundError: No token is stored for the account.
        InvalidGrantError: The stored refresh token is worth nothing, and nobody has saved another.
        PipedriveOAuthError: The service or the store failed.
    """
    # Often another process has renewed it already, which takes no lock to find out.
    before = store.load(account)
    if before is None:
        unsaved.drop(store, account)
    if is_good(_presentable(before)) and not unsaved.is_kept(store, account):
        return _presentable(before)

    def will_do(token: Token) -> bool:
        return is_good(token) or (token != before and is_usable(token))

    for _ in range(_MOST_ROUNDS):
        with store.lock(account) as lease:
            found = _under_lock(oauth, store, account, lease, will_do)
            if found is not None:
                return found
    raise StoreLockTimeoutError(
        "The account's token is being changed by others, faster than it can be renewed. Try again;"
        " if it lasts, look for programs that save tokens without the account's lock."
    )


def _under_lock(
    oauth: PipedriveOAuth,
    store: TokenStore,
    account: str,
    lease: object,
    will_do: Callable[[Token], bool],
) -> Token | None:
    """Give a token that will do, or None where it takes another round."""
    try:
        stored = unsaved.resolve(store, account, store.load(account))
    except StoreLockTimeoutError:
        return None
    token = _presentable(stored)
    if will_do(token):
        return token
    if token.refresh_token is None:
        raise TokenNotFoundError(
            "The stored token has had its time, and it has no refresh token to obtain another with."
            " The person has to authorize the app again."
        )
    if isinstance(lease, Lease) and lease.is_over():
        # This process was stopped since it took the lock. Somebody else may be renewing.
        return None
    try:
        following = oauth.refresh(token)
    except InvalidGrantError:
        # Somebody who had lost the lock may have been faster.
        latest = store.load(account)
        if latest is None or latest == token:
            raise
        return latest if will_do(_presentable(latest)) else None
    try:
        store.save(account, following)
    except BaseException as error:
        unsaved.keep(store, account, previous=token, token=following)
        if not isinstance(error, StoreLockTimeoutError):
            raise
        # Either somebody else's token is there, which then counts, or this one is saved next time.
        return None
    return following


def _presentable(token: Token | None) -> Token:
    if not isinstance(token, Token | None):
        raise StoreError(
            f"The store's load gave {type(token).__name__} where a Token or None was expected."
            " A store is synchronous, and gives what was saved."
        )
    if token is None:
        raise TokenNotFoundError(
            "No token is stored for this account. The person has to authorize the app first."
        )
    if token.token_type.lower() != "bearer":
        raise CorruptTokenError(
            "The stored token is not one that can be sent. If it was encrypted, put the same"
            " EncryptedTokenStore around the store."
        )
    return token
