"""`token`, and what other commands need to know of stored accounts."""

from __future__ import annotations

from itertools import islice

from pipedrive_oauth_client import unsaved
from pipedrive_oauth_client.auth import PipedriveAuth
from pipedrive_oauth_client.cli.exits import CommandError, ExitCode
from pipedrive_oauth_client.cli.saving import seen_through, until_saved
from pipedrive_oauth_client.cli.terminal import say
from pipedrive_oauth_client.errors import TokenNotFoundError
from pipedrive_oauth_client.flow import PipedriveOAuth
from pipedrive_oauth_client.stores.accounts import checked_account
from pipedrive_oauth_client.stores.protocol import TokenStore
from pipedrive_oauth_client.tokens import Token

__all__ = ["chosen_account", "renewed_token", "valid_token"]

_MOST_NAMED = 5


def chosen_account(store: TokenStore, account: str | None, shown: str) -> str:
    """Give the account that a command is for: the one that was named, or the only one there is.

    Args:
        store: The store.
        account: The account's name, or None.
        shown: What can be shown of the store's address.

    Returns:
        The account.

    Raises:
        TokenNotFoundError: The store holds none.
        CommandError: It holds several, and none was named.
    """
    if account is not None:
        return checked_account(account)
    found = sorted(islice(store.accounts(), _MOST_NAMED + 1))
    if not found:
        raise TokenNotFoundError(f"No account is stored in {shown}. Run: pipedrive-oauth login")
    if len(found) > 1:
        more = ", ..." if len(found) > _MOST_NAMED else ""
        names = ", ".join(found[:_MOST_NAMED]) + more
        raise CommandError(f"Which account? Name one of {names}.", ExitCode.USAGE)
    return found[0]


def valid_token(oauth: PipedriveOAuth, store: TokenStore, account: str) -> Token:
    """Give a valid token, renewed and saved if it is time.

    Args:
        oauth: The flow of the app.
        store: The store.
        account: The account.

    Returns:
        The token.

    Raises:
        PipedriveOAuthError: The service or the store failed.
    """
    auth = PipedriveAuth(oauth, store, account)
    with seen_through(say):
        return until_saved(auth.token, lambda: unsaved.is_kept(store, account), say)


def renewed_token(oauth: PipedriveOAuth, store: TokenStore, account: str) -> Token:
    """Renew a token, however long it is still valid.

    Of several that do so at once, on any machine, one renews.

    Args:
        oauth: The flow of the app.
        store: The store.
        account: The account.

    Returns:
        The new token.

    Raises:
        PipedriveOAuthError: The service or the store failed.
    """
    auth = PipedriveAuth(oauth, store, account)
    before = store.load(account)
    with seen_through(say):
        return until_saved(
            lambda: auth.token(rejected=before), lambda: unsaved.is_kept(store, account), say
        )
