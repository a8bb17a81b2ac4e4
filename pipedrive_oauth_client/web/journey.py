"""From the start to the callback: what is answered, and what is done before.

The token is saved before the app hears of it. A grant whose token can't be saved, or whose owner
can't be found out, is let go and not revoked: revoking a refresh token uninstalls the app for that
person, and with it a connection that may be in use. Nobody has the token then; the access token
ends within the hour, the refresh token after 60 days.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from logging import getLogger
from typing import Any, Final
from urllib.parse import quote

from pipedrive_oauth_client.authorization import NO_STATE
from pipedrive_oauth_client.callback_fields import callback_fields
from pipedrive_oauth_client.clock import read
from pipedrive_oauth_client.errors import (
    CallbackError,
    PipedriveOAuthError,
    StateMismatchError,
    TokenRequestError,
)
from pipedrive_oauth_client.people import PipedriveUser
from pipedrive_oauth_client.stores.accounts import checked_account
from pipedrive_oauth_client.tokens import Token
from pipedrive_oauth_client.web import pages
from pipedrive_oauth_client.web.attempts import Attempt
from pipedrive_oauth_client.web.core import WebCore
from pipedrive_oauth_client.web.explanations import ReplayedCallbackError, explain
from pipedrive_oauth_client.web.messages import PRIVATE, Answer, CookieChange, Incoming
from pipedrive_oauth_client.web.settings import Connection
from pipedrive_oauth_client.web.steps import Plan, Step

__all__ = ["callback", "start"]

_LOGGER: Final = getLogger("pipedrive_oauth_client")


def start(core: WebCore, incoming: Incoming) -> Plan:
    """Send a browser to the consent page.

    This changes nothing but the browser's own cookies, so that a GET by which a stranger begins it
    does no harm: what ends it has to be of the same browser.

    Args:
        core: What the app has decided.
        incoming: The request; `next` in its query says where to go afterwards.

    Returns:
        The plan.
    """
    if incoming.is_prefetch:
        return _unasked()
    session = yield from _session(core, incoming)
    attempt, cookies = core.attempts.begin(
        core.return_to(_wanted(incoming), incoming.root), session, incoming.cookies
    )
    url = core.oauth.authorization_url(attempt.state).url
    return _redirect(url, cookies)


def callback(core: WebCore, incoming: Incoming) -> Plan:
    """Take up what the service's redirect has brought.

    Args:
        core: What the app has decided.
        incoming: The request.

    Returns:
        The plan.
    """
    if incoming.is_prefetch:
        return _unasked()
    attempt: Attempt | None = None
    cookies: tuple[CookieChange, ...] = ()
    try:
        attempt = _attempt(core, incoming)
        if attempt is not None:
            cookies = core.attempts.end(attempt)
            attempt.check_session((yield from _session(core, incoming)))
        code = core.oauth.read_callback(incoming.query, attempt.state if attempt else NO_STATE)
        yield from _use_once(core, attempt.state if attempt else code)
        connection = yield from _connect(core, incoming, code, attempt)
    except PipedriveOAuthError as error:
        _LOGGER.warning("Connecting an account has failed: %s", error)
        return (yield from _failure(core, incoming, error, attempt, cookies))
    native = None
    if core.settings.connected is not None:
        native = yield Step("call", (core.settings.connected, incoming.native, connection))
    if native is not None:
        return Answer(status=200, headers=PRIVATE, cookies=cookies, native=native)
    return _redirect(connection.return_to, cookies)


def _attempt(core: WebCore, incoming: Incoming) -> Attempt | None:
    states = [value for name, value in callback_fields(incoming.query) if name == "state"]
    if not states:
        if core.settings.allow_marketplace_installs:
            return None
        raise StateMismatchError(
            "The callback carries no state. Begin at the app; for installs that begin in the"
            " Marketplace, set allow_marketplace_installs."
        )
    attempt = core.attempts.find(states[0], incoming.cookies)
    if attempt is None:
        raise StateMismatchError(
            "The browser brings no cookie for the state of the callback: it began elsewhere, too"
            " long ago, on another host than that of the redirect_uri, or it blocks cookies."
        )
    return attempt


def _use_once(core: WebCore, secret: str) -> Generator[Step, Any, None]:
    key = hashlib.sha256(f"{core.oauth.credentials.client_id}:{secret}".encode()).hexdigest()
    lifetime = core.settings.lifetime
    if not (yield Step("call", (core.first_use, f"pipedrive-callback:{key}", lifetime))):
        raise ReplayedCallbackError(
            "The callback was used before: the page was reloaded, or somebody repeats it. Nothing"
            " was exchanged for it."
        )


def _connect(
    core: WebCore, incoming: Incoming, code: str, attempt: Attempt | None
) -> Generator[Step, Any, Connection]:
    settings = core.settings
    token: Token = yield Step("exchange", (code,))
    user: PipedriveUser = yield Step("identify", (token,))
    name = yield Step("call", (settings.account_for, incoming.native, token, user))
    account = checked_account(name)
    yield Step("save", (account, token))
    return Connection(
        account=account,
        user=user,
        token=token,
        from_marketplace=attempt is None,
        return_to=attempt.return_to if attempt else core.return_to(None, incoming.root),
        at=read(core.oauth.clock),
    )


def _failure(
    core: WebCore,
    incoming: Incoming,
    error: PipedriveOAuthError,
    attempt: Attempt | None,
    cookies: tuple[CookieChange, ...],
) -> Generator[Step, Any, Answer]:
    wait = error.retry_after if isinstance(error, TokenRequestError) else None
    headers = dict(PRIVATE)
    if wait is not None:
        headers["Retry-After"] = str(int(wait.total_seconds()))
    if core.settings.failed is not None:
        native = yield Step("call", (core.settings.failed, incoming.native, error))
        if native is not None:
            return Answer(status=200, headers=headers, cookies=cookies, native=native)
    said = explain(error)
    links = [("Start again", incoming.start)]
    if attempt is not None:
        back = attempt.return_to
        links = [("Start again", f"{incoming.start}?next={quote(back, safe='/')}")]
        if isinstance(error, ReplayedCallbackError):
            links.insert(0, ("Go on", back))
    headers.update(pages.HEADERS)
    body = pages.html(said.title, said.text, links)
    return Answer(status=said.status, headers=headers, body=body, cookies=cookies)


def _session(core: WebCore, incoming: Incoming) -> Generator[Step, Any, str | None]:
    if core.settings.session_of is None:
        return None
    found = yield Step("call", (core.settings.session_of, incoming.native))
    return None if found is None else str(found)


def _wanted(incoming: Incoming) -> str | None:
    try:
        return dict(callback_fields(incoming.query)).get("next")
    except CallbackError:
        return None  # what can't be read names no place to go back to


def _redirect(address: str, cookies: tuple[CookieChange, ...]) -> Answer:
    return Answer(status=303, headers={**PRIVATE, "Location": address}, cookies=cookies)


def _unasked() -> Answer:
    # A browser drops a prefetch that fails, and asks again when the person is really there.
    return Answer(status=503, headers=PRIVATE)
