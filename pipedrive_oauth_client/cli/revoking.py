"""`revoke`: the end of a grant, at Pipedrive and in the store."""

from __future__ import annotations

from pipedrive_oauth_client.cli.exits import CommandError, ExitCode
from pipedrive_oauth_client.errors import CorruptTokenError, StoreError, TokenNotFoundError
from pipedrive_oauth_client.flow import PipedriveOAuth
from pipedrive_oauth_client.stores.protocol import TokenStore

__all__ = ["end_grant"]


def end_grant(oauth: PipedriveOAuth, store: TokenStore, account: str) -> None:
    """Revoke an account's grant, and forget its token.

    The token is forgotten only when Pipedrive has revoked it. The account's lock is held, so that
    nobody renews it meanwhile.

    Args:
        oauth: The flow of the app.
        store: The store.
        account: The account.

    Raises:
        TokenNotFoundError: No token is stored for it.
        CorruptTokenError: What is stored is damaged or encrypted; nothing was sent.
        CommandError: It was revoked, and could not be deleted.
        PipedriveOAuthError: It was not revoked; the token is still stored.
    """
    with store.lock(account):
        token = store.load(account)
        if token is None:
            raise TokenNotFoundError(f"No token is stored for the account {account}.")
        if token.token_type.lower() != "bearer":
            # Pipedrive says yes to a token that it does not know, and the real one would be lost.
            raise CorruptTokenError(
                f"The token of {account} is not one that can be revoked. If it is encrypted, give"
                " the key: --store-keys-file."
            )
        oauth.revoke(token, "access_token" if token.refresh_token is None else "refresh_token")
        try:
            store.delete(account)
        except StoreError as error:
            raise CommandError(
                f"The grant of {account} is revoked, but its token, which is worth nothing now,"
                f" could not be deleted: {error} Then run the command again.",
                ExitCode.STORE,
            ) from error
