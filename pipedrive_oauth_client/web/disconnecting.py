"""The end of a connection: a notice from the service, or a wish of the person.

A notice is taken as it comes, however old it says it is: a token does not say when it was granted,
so that there is nothing to compare its time with. Only the service can send one, and it repeats
none. An app that knows better gives an `account_of` that returns None.
"""

from __future__ import annotations

from logging import getLogger
from typing import Final

from pipedrive_oauth_client.errors import StoreError
from pipedrive_oauth_client.oauth import PipedriveOAuth
from pipedrive_oauth_client.stores.protocol import TokenStore
from pipedrive_oauth_client.web.core import WebCore
from pipedrive_oauth_client.web.messages import PRIVATE, Answer, Incoming
from pipedrive_oauth_client.web.notices import (
    MOST_BYTES,
    NoticeError,
    is_from_service,
    read_notice,
)
from pipedrive_oauth_client.web.runner import Plan, Step

__all__ = ["disconnect", "uninstall"]

_LOGGER: Final = getLogger("pipedrive_oauth_client")


def uninstall(core: WebCore, incoming: Incoming) -> Plan:
    """Take a notice in: check who sends it, delete the token, tell the app.

    Args:
        core: What the app has decided.
        incoming: The request. Nothing of its body is read before its sender is known.

    Returns:
        The plan.
    """
    settings, credentials = core.settings, core.oauth.credentials
    if not is_from_service(incoming.header("Authorization"), credentials):
        _LOGGER.warning("A request that claims to be an uninstall notice has wrong credentials.")
        return _answer(401, **{"WWW-Authenticate": 'Basic realm="uninstall", charset="UTF-8"'})
    body = yield Step("body", (incoming.read_body, MOST_BYTES))
    if body is None:
        return _answer(413)
    try:
        notice = read_notice(body, credentials.client_id)
    except NoticeError as error:
        _LOGGER.warning("An uninstall notice was refused: %s", error)
        return _answer(400)
    account = yield Step("call", (settings.account_of, notice))
    if account is not None:
        try:
            yield Step("delete", (account,))
        except StoreError as error:
            _LOGGER.error("The token of %s was not deleted: %s", notice.account, error)
            return _answer(503)
    if settings.uninstalled is not None:
        yield Step("call", (settings.uninstalled, notice, account))
    return _answer(200)


def disconnect(oauth: PipedriveOAuth, store: TokenStore, account: str) -> None:
    """End a connection by the wish of the person: revoke the grant, then forget its token.

    Args:
        oauth: The flow that revokes.
        store: Where the token is kept.
        account: The account. If it has no token, nothing is done.

    Raises:
        PipedriveOAuthError: The grant was not revoked, and the token is still there; try again. Or
            the store failed.

    Source:
        RFC 7009, section 2; https://pipedrive.readme.io/docs/app-uninstallation.
    """
    with store.lock(account):  # a renewal in between would leave a refresh token that lives
        token = store.load(account)
        if token is None:
            return
        oauth.revoke(token, "access_token" if token.refresh_token is None else "refresh_token")
        store.delete(account)


def _answer(status: int, **headers: str) -> Answer:
    return Answer(
        status=status,
        headers={**PRIVATE, "Content-Type": "text/plain; charset=utf-8", **headers},
    )
