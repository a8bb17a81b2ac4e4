"""Which plan a request gets, by its route and its method; each framework mounts these two."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from logging import getLogger
from typing import Any, Final
from urllib.parse import quote, urlsplit

from pipedrive_oauth_client._checks import read_clock
from pipedrive_oauth_client.authorization import NO_STATE, callback_fields
from pipedrive_oauth_client.errors import (
    CallbackError,
    ConfigurationError,
    PipedriveOAuthError,
    StateMismatchError,
    TokenRequestError,
)
from pipedrive_oauth_client.generated.encode import argument
from pipedrive_oauth_client.stores.protocol import checked_account
from pipedrive_oauth_client.tokens import Token
from pipedrive_oauth_client.users import PipedriveUser
from pipedrive_oauth_client.web import error_pages as pages
from pipedrive_oauth_client.web.core import WebCore
from pipedrive_oauth_client.web.disconnecting import uninstall
from pipedrive_oauth_client.web.error_pages import ReplayedCallbackError, explain
from pipedrive_oauth_client.web.login_state import Attempt
from pipedrive_oauth_client.web.messages import PRIVATE, Answer, CookieChange, Incoming
from pipedrive_oauth_client.web.runner import Plan, Step
from pipedrive_oauth_client.web.settings import Connection

__all__ = ["METHODS", "at_callback", "at_start", "callback", "checked_paths", "start"]

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
        at=read_clock(core.oauth.clock),
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


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""The methods that a framework hands on, so that all of them refuse the same ones alike."""


def at_start(core: WebCore, incoming: Incoming) -> Plan:
    """Answer a request to the route that begins to connect.

    Args:
        core: What the app has decided.
        incoming: The request.

    Returns:
        The plan.
    """
    if incoming.method == "GET":
        return start(core, incoming)
    return _not_allowed("GET")


def at_callback(core: WebCore, incoming: Incoming) -> Plan:
    """Answer a request to the callback URL, where the service sends its notices, too.

    HEAD is refused: those who send it only look, and a code would be used up for them.

    Args:
        core: What the app has decided.
        incoming: The request.

    Returns:
        The plan.
    """
    if incoming.method == "GET":
        return callback(core, incoming)
    if incoming.method == "DELETE":
        return uninstall(core, incoming)
    return _not_allowed("GET", "DELETE")


def checked_paths(start_path: str, callback_path: str, redirect_uri: str) -> None:
    """Check the paths of the two routes.

    Args:
        start_path: The path of the one that begins, below the place where they are mounted.
        callback_path: The path of the callback, likewise.
        redirect_uri: What is registered for the app: it has to lead to the callback.

    Raises:
        ConfigurationError: It does not, both are one, or a path does not begin with a slash.
    """
    for name, path in (("start_path", start_path), ("callback_path", callback_path)):
        if not argument(name, path, str).startswith("/"):
            raise ConfigurationError(f"{name} must begin with a slash.")
    if start_path == callback_path:
        raise ConfigurationError("start_path and callback_path must be two different paths.")
    if not (urlsplit(redirect_uri).path or "/").endswith(callback_path):
        raise ConfigurationError(
            f"The redirect_uri does not end in {callback_path}, so that nobody would be there when"
            " the service sends a browser back. Set callback_path to how it does end."
        )


def _not_allowed(*methods: str) -> Plan:
    yield from ()  # a plan without a step
    return Answer(status=405, headers={**PRIVATE, "Allow": ", ".join(methods)})
