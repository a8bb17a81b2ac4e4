"""Disconnecting an account: by the service's uninstall notice, or by the user.

A notice is accepted whatever its timestamp: a token does not say when it was granted, so there is
nothing to compare the timestamp with. Only the service can send a notice, and it sends each one
once. An app that knows better passes an `account_of` that returns None.
"""

from __future__ import annotations

from contextlib import suppress
from logging import getLogger
from typing import Final

from pipedrive_oauth_client._checks import read_clock
from pipedrive_oauth_client._renewal import disconnect
from pipedrive_oauth_client.errors import CorruptTokenError, StoreError
from pipedrive_oauth_client.events import GrantEnded
from pipedrive_oauth_client.web.messages import PRIVATE, WebRequest, WebResponse
from pipedrive_oauth_client.web.notices import (
    MOST_BYTES,
    NoticeError,
    read_notice,
    what_is_missing,
)
from pipedrive_oauth_client.web.runner import Plan, Step
from pipedrive_oauth_client.web.settings import WebCore

__all__ = ["disconnect", "uninstall"]

_LOGGER: Final = getLogger("pipedrive_oauth_client")


def uninstall(core: WebCore, request: WebRequest) -> Plan:
    """Handle an uninstall notice: authenticate it, delete the token, call the app."""
    settings = core.settings
    authorization = request.header("Authorization")
    if not core.is_from_service(authorization):
        reason = what_is_missing(authorization)
        _LOGGER.warning("A request that claims to be an uninstall notice %s.", reason)
        return _answer(401, **{"WWW-Authenticate": 'Basic realm="uninstall", charset="UTF-8"'})
    body = yield Step("body", (request.read_body, MOST_BYTES))
    if body is None:
        return _answer(413)
    try:
        notice = read_notice(body, core.oauth.credentials.client_id)
    except NoticeError as error:
        _LOGGER.warning("An uninstall notice was rejected: %s", error)
        return _answer(400)
    account = yield Step("call", (settings.account_of, notice))
    if account is not None:
        was_stored = True
        try:
            if core.oauth.has_on_event:
                with suppress(CorruptTokenError):
                    was_stored = (yield Step("load", (account,))) is not None
            yield Step("delete", (account,))
        except StoreError as error:
            _LOGGER.error("The token of %s was not deleted: %s", notice.account, error)
            return _answer(503)
        if was_stored and core.oauth.has_on_event:
            now = read_clock(core.oauth.clock)
            core.oauth.emit(GrantEnded(account=account, at=now, error="uninstalled"))
    if settings.uninstalled is not None:
        yield Step("call", (settings.uninstalled, notice, account))
    return _answer(200)


def _answer(status: int, **headers: str) -> WebResponse:
    return WebResponse(
        status=status,
        headers={**PRIVATE, "Content-Type": "text/plain; charset=utf-8", **headers},
    )
