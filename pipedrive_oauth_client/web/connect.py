"""Connecting an account: the plans of the start, the install and the callback route."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Generator
from contextlib import suppress
from logging import ERROR, WARNING, getLogger
from typing import Any, Final
from urllib.parse import quote, urlsplit

from pipedrive_oauth_client._checks import read_clock
from pipedrive_oauth_client.authorization import NO_STATE, callback_fields
from pipedrive_oauth_client.errors import (
    CallbackError,
    ConfigurationError,
    InvalidClientError,
    PipedriveOAuthError,
    StateMismatchError,
    StoreError,
    TokenRequestError,
)
from pipedrive_oauth_client.events import GrantRestored
from pipedrive_oauth_client.generated.encode import argument
from pipedrive_oauth_client.stores.protocol import checked_account
from pipedrive_oauth_client.tokens import Token
from pipedrive_oauth_client.users import PipedriveUser
from pipedrive_oauth_client.web import error_pages
from pipedrive_oauth_client.web.disconnecting import uninstall
from pipedrive_oauth_client.web.error_pages import ReplayedCallbackError, explain
from pipedrive_oauth_client.web.login_state import LoginAttempt
from pipedrive_oauth_client.web.messages import PRIVATE, CookieChange, WebRequest, WebResponse
from pipedrive_oauth_client.web.notices import MOST_BYTES, read_sharing
from pipedrive_oauth_client.web.runner import Plan, Step
from pipedrive_oauth_client.web.settings import Connection, WebCore

__all__ = [
    "METHODS",
    "callback",
    "checked_name",
    "checked_paths",
    "is_name",
    "plan_callback",
    "plan_install",
    "plan_start",
    "start",
]

_LOGGER: Final = getLogger("pipedrive_oauth_client")
_NAME: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


def start(core: WebCore, request: WebRequest) -> Plan:
    """Send a browser to the consent page.

    This changes nothing but the browser's own cookies, so that a GET forged by an attacker does no
    harm: only the same browser can complete the login.
    """
    if request.is_prefetch:
        return _reject_prefetch()
    return (yield from _begin(core, request, _requested_return(request)))


def install(core: WebCore, request: WebRequest) -> Plan:
    """Send a browser that the Marketplace has sent here to the consent page, with a state.

    Source:
        https://pipedrive.readme.io/docs/marketplace-registering-the-app (Installation URL).
    """
    if request.is_prefetch:
        return _reject_prefetch()
    return (yield from _begin(core, request, None))


def _begin(
    core: WebCore, request: WebRequest, requested_return: str | None
) -> Generator[Step, Any, WebResponse]:
    session = yield from _session(core, request)
    attempt, cookies = core.attempts.begin(
        core.return_to(requested_return, request.root), session, request.cookies
    )
    url = core.oauth.authorization_url(attempt.state).url
    return _redirect(url, cookies)


def sharing(core: WebCore, request: WebRequest) -> Plan:
    """Take up the POST of an installation or of sharing, which anyone can send."""
    hook = core.settings.sharing_changed
    if hook is not None:
        body = yield Step("body", (request.read_body, MOST_BYTES))
        if body is None:
            return WebResponse(status=413, headers=PRIVATE)
        known = core.is_from_service(request.header("Authorization"))
        notice = read_sharing(body, is_authenticated=known)
        if notice is None:
            _LOGGER.info("A POST to the callback URL can't be read, and was ignored.")
        else:
            yield Step("call", (hook, notice))
    return WebResponse(status=200, headers=PRIVATE)


def callback(core: WebCore, request: WebRequest) -> Plan:
    """Handle the service's redirect: check the state, exchange the code, save the token."""
    if request.is_prefetch:
        return _reject_prefetch()
    attempt: LoginAttempt | None = None
    cookies: tuple[CookieChange, ...] = ()
    try:
        attempt = _attempt(core, request)
        if attempt is not None:
            cookies = core.attempts.end(attempt)
            attempt.check_session((yield from _session(core, request)))
        code = core.oauth.read_callback(request.query, attempt.state if attempt else NO_STATE)
        yield from _use_once(core, attempt.state if attempt else code)
        connection = yield from _connect(core, request, code, attempt)
    except PipedriveOAuthError as error:
        _LOGGER.log(_level_of(error), "Connecting an account has failed: %s", error)
        return (yield from _failure(core, request, error, attempt, cookies))
    native = None
    if core.settings.connected is not None:
        native = yield Step("call", (core.settings.connected, request.native, connection))
    if native is not None:
        return WebResponse(status=200, headers=PRIVATE, cookies=cookies, native=native)
    return _redirect(connection.return_to, cookies)


def _attempt(core: WebCore, request: WebRequest) -> LoginAttempt | None:
    states = [value for name, value in callback_fields(request.query) if name == "state"]
    if not states:
        if core.settings.allow_marketplace_installs:
            return None
        raise StateMismatchError(
            "The callback carries no state. Start in the app; for installs that begin in the"
            " Marketplace, set allow_marketplace_installs."
        )
    attempt = core.attempts.find(states[0], request.cookies)
    if attempt is None:
        raise StateMismatchError(
            "The browser sent no cookie for the state of the callback: the login began in"
            " another browser, too long ago or on another host than the redirect_uri's, or the"
            " browser blocks cookies."
        )
    return attempt


def _use_once(core: WebCore, secret: str) -> Generator[Step, Any, None]:
    key = hashlib.sha256(f"{core.oauth.credentials.client_id}:{secret}".encode()).hexdigest()
    lifetime = core.settings.lifetime
    if not (yield Step("call", (core.first_use, f"pipedrive-callback:{key}", lifetime))):
        raise ReplayedCallbackError(
            "The callback was already used: the page was reloaded, or the request was replayed."
            " The code was not exchanged again."
        )


def _connect(
    core: WebCore, request: WebRequest, code: str, attempt: LoginAttempt | None
) -> Generator[Step, Any, Connection]:
    settings = core.settings
    token: Token = yield Step("exchange", (code,))
    user: PipedriveUser = yield Step("identify", (token,))
    name = yield Step("call", (settings.account_for, request.native, token, user))
    account = checked_account(name)
    had_ended = False
    if core.oauth.has_on_event:
        with suppress(StoreError):  # what can't be read is replaced
            before: Token | None = yield Step("load", (account,))
            had_ended = before is not None and before.grant_end is not None
    yield Step("save", (account, token))
    if had_ended:
        core.oauth.emit(GrantRestored(account=account))
    return Connection(
        account=account,
        user=user,
        token=token,
        from_marketplace=attempt is None,
        return_to=attempt.return_to if attempt else core.return_to(None, request.root),
        at=read_clock(core.oauth.clock),
    )


def _failure(
    core: WebCore,
    request: WebRequest,
    error: PipedriveOAuthError,
    attempt: LoginAttempt | None,
    cookies: tuple[CookieChange, ...],
) -> Generator[Step, Any, WebResponse]:
    wait = error.retry_after if isinstance(error, TokenRequestError) else None
    headers = dict(PRIVATE)
    if wait is not None:
        headers["Retry-After"] = str(int(wait.total_seconds()))
    if core.settings.failed is not None:
        native = yield Step("call", (core.settings.failed, request.native, error))
        if native is not None:
            return WebResponse(status=200, headers=headers, cookies=cookies, native=native)
    said = explain(error)
    links = [("Start again", request.start)]
    if attempt is not None:
        back = attempt.return_to
        links = [("Start again", f"{request.start}?next={quote(back, safe='/')}")]
        if isinstance(error, ReplayedCallbackError):
            links.insert(0, ("Go on", back))
    headers.update(error_pages.HEADERS)
    body = error_pages.render_page(said.title, said.text, links)
    return WebResponse(status=said.status, headers=headers, body=body, cookies=cookies)


def _level_of(error: PipedriveOAuthError) -> int:
    # What the user can't fix, and trying again later does not either. The plain TokenRequestError
    # is one of a redirect URI or a scope that the app does not have.
    needs_operator = isinstance(error, ConfigurationError | StoreError | InvalidClientError)
    return ERROR if needs_operator or type(error) is TokenRequestError else WARNING


def _session(core: WebCore, request: WebRequest) -> Generator[Step, Any, str | None]:
    if core.settings.session_of is None:
        return None
    found = yield Step("call", (core.settings.session_of, request.native))
    return None if found is None else str(found)


def _requested_return(request: WebRequest) -> str | None:
    try:
        return dict(callback_fields(request.query)).get("next")
    except CallbackError:
        return None  # an unreadable query names no address to return to


def _redirect(address: str, cookies: tuple[CookieChange, ...]) -> WebResponse:
    return WebResponse(status=303, headers={**PRIVATE, "Location": address}, cookies=cookies)


def _reject_prefetch() -> WebResponse:
    # A browser drops a failed prefetch, and sends the request again on a real visit.
    return WebResponse(status=503, headers=PRIVATE)


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""The methods that frameworks pass on, so that all reject the same methods in the same way."""


def plan_start(core: WebCore, request: WebRequest) -> Plan:
    """Plan the response of the route that starts connecting."""
    if request.method == "GET":
        return start(core, request)
    return _not_allowed("GET")


def plan_install(core: WebCore, request: WebRequest) -> Plan:
    """Plan the response of the Installation URL."""
    if request.method == "GET":
        return install(core, request)
    return _not_allowed("GET")


def plan_callback(core: WebCore, request: WebRequest) -> Plan:
    """Plan the response of the callback URL, which also receives the service's notices.

    HEAD is rejected: it would use up the code for a client that only inspects the URL.
    """
    if request.method == "GET":
        return callback(core, request)
    if request.method == "DELETE":
        return uninstall(core, request)
    if request.method == "POST":
        return sharing(core, request)
    return _not_allowed("GET", "DELETE", "POST")


def is_name(name: object) -> bool:
    """Tell whether routes can be registered under a name."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def checked_name(name: str) -> str:
    """Check the name that the routes of one `PipedriveWeb` are registered under."""
    if not is_name(argument("name", name, str)):
        raise ConfigurationError(
            "name must be letters, digits, _ or -, for example 'pipedrive_eu': the routes are"
            " registered under it."
        )
    return name


def checked_paths(
    redirect_uri: str, start_path: str, callback_path: str, install_path: str
) -> None:
    """Check the paths of the three routes."""
    paths = {
        "start_path": start_path,
        "callback_path": callback_path,
        "install_path": install_path,
    }
    for name, path in paths.items():
        if not argument(name, path, str).startswith("/"):
            raise ConfigurationError(f"{name} must begin with a slash.")
    if len(set(paths.values())) < len(paths):
        raise ConfigurationError(f"{', '.join(paths)} must be three different paths.")
    if not (urlsplit(redirect_uri).path or "/").endswith(callback_path):
        raise ConfigurationError(
            f"The redirect_uri does not end in {callback_path}, so the callback route would never"
            " receive the browser. Set callback_path to the end of the redirect_uri."
        )


def _not_allowed(*methods: str) -> Plan:
    yield from ()  # a plan without a step
    return WebResponse(status=405, headers={**PRIVATE, "Allow": ", ".join(methods)})
