"""Disconnecting an account: by the service's uninstall notice, or by the user.

A notice is accepted whatever its timestamp: a token does not say when it was granted, so there is
nothing to compare the timestamp with. Only the service can send a notice, and it sends each one
once. An app that knows better passes an `account_of` that returns None.
"""

from __future__ import annotations

from logging import getLogger
from typing import Final

from pipedrive_oauth_client._renewal import disconnect
from pipedrive_oauth_client.errors import StoreError
from pipedrive_oauth_client.web.messages import PRIVATE, WebRequest, WebResponse
from pipedrive_oauth_client.web.notices import (
    MOST_BYTES,
    NoticeError,
    is_from_service,
    read_notice,
)
from pipedrive_oauth_client.web.runner import Plan, Step
from pipedrive_oauth_client.web.settings import WebCore

__all__ = ["disconnect", "uninstall"]

_LOGGER: Final = getLogger("pipedrive_oauth_client")


def uninstall(core: WebCore, request: WebRequest) -> Plan:
    """Handle an uninstall notice: authenticate it, delete the token, call the app."""
    settings, credentials = core.settings, core.oauth.credentials
    if not is_from_service(request.header("Authorization"), credentials):
        _LOGGER.warning("A request that claims to be an uninstall notice has wrong credentials.")
        return _answer(401, **{"WWW-Authenticate": 'Basic realm="uninstall", charset="UTF-8"'})
    body = yield Step("body", (request.read_body, MOST_BYTES))
    if body is None:
        return _answer(413)
    try:
        notice = read_notice(body, credentials.client_id)
    except NoticeError as error:
        _LOGGER.warning("An uninstall notice was rejected: %s", error)
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


def _answer(status: int, **headers: str) -> WebResponse:
    return WebResponse(
        status=status,
        headers={**PRIVATE, "Content-Type": "text/plain; charset=utf-8", **headers},
    )
