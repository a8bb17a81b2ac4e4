"""The sandbox as a whole: its settings, its paths and the ASGI application over them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.sandbox.addresses import (
    AUTHORIZE_PATH,
    CURRENT_USER_PATH,
    DECIDE_PATH,
    ISSUE_PATH,
)
from pipedrive_oauth_client.sandbox.answers import on_crash, on_http_error, on_refused
from pipedrive_oauth_client.sandbox.api import Api
from pipedrive_oauth_client.sandbox.consent import Consent
from pipedrive_oauth_client.sandbox.records import (
    DEFAULT_APP,
    DEFAULT_USER,
    OTHER_USER,
    App,
    User,
)
from pipedrive_oauth_client.sandbox.refusals import RefusedError
from pipedrive_oauth_client.sandbox.state import Clock, Lifetimes, State
from pipedrive_oauth_client.sandbox.token_endpoint import TokenEndpoint

_ERROR_CODE = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749 section 4.1.2.1
_LONGEST = timedelta(days=3650)


class Sandbox:
    """A local stand-in for oauth.pipedrive.com; an ASGI application. `create_app` makes one.

    Attributes:
        apps: The registered apps.
        users: The people who can let an app in.
    """

    def __init__(self, asgi: ASGIApp, *, apps: tuple[App, ...], users: tuple[User, ...]) -> None:
        self._asgi = asgi
        self.apps = apps
        self.users = users

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection of an ASGI server."""
        await self._asgi(scope, receive, send)

    def __repr__(self) -> str:
        return f"<Sandbox of {len(self.apps)} apps and {len(self.users)} users>"


def utc_now() -> datetime:
    """Return the time now: the clock that a sandbox has unless it is given another one."""
    return datetime.now(UTC)


def create_app(
    *,
    apps: Iterable[App] = (DEFAULT_APP,),
    users: Iterable[User] = (DEFAULT_USER, OTHER_USER),
    clock: Clock = utc_now,
    code_lifetime_minutes: float = 5,
    access_token_lifetime_seconds: int = 3600,
    refresh_token_unused_lifetime_days: float = 60,
    rotate_refresh_tokens: bool = True,
    decline_error: str = "user_denied",
) -> Sandbox:
    """Return a sandbox: an ASGI application for any server, or for `run`.

    Args:
        apps: The registered apps, at least one.
        users: The people who can let an app in, at least one.
        clock: Returns the time as an aware UTC datetime; nothing else tells the sandbox the time.
        code_lifetime_minutes: How long an authorization code can be exchanged.
        access_token_lifetime_seconds: How long an access token is valid, in whole seconds; this
            is the `expires_in` of the answers.
        refresh_token_unused_lifetime_days: How long a refresh token lives without being used.
        rotate_refresh_tokens: True: a refresh answers with a new refresh token and refuses the
            old one from then on. False: it answers with the same one, its time begun anew.
            Pipedrive's own pages say both.
        decline_error: The `error` of the redirect after a no. Pipedrive's guide says
            `user_denied`, the READMEs of its clients say `access_denied`.

    Raises:
        ConfigurationError: An argument is not of the form described above, or two apps share a
            client_id, or two users share company and id.
    """
    registered, people = tuple(apps), tuple(users)
    _need_distinct("apps", [app.client_id for app in registered])
    _need_distinct("users", [user.account for user in people])
    if clock().utcoffset() != timedelta(0):
        raise ConfigurationError("clock must return aware UTC datetimes; use datetime.now(UTC).")
    if not _ERROR_CODE.fullmatch(decline_error):
        raise ConfigurationError('decline_error must be a code such as "user_denied".')
    lifetimes = Lifetimes(
        code=_lifetime("code_lifetime_minutes", code_lifetime_minutes, timedelta(minutes=1)),
        access_token=_lifetime(
            "access_token_lifetime_seconds", access_token_lifetime_seconds, timedelta(seconds=1)
        ),
        refresh_token=_lifetime(
            "refresh_token_unused_lifetime_days",
            refresh_token_unused_lifetime_days,
            timedelta(days=1),
        ),
    )
    state = State(clock=clock, lifetimes=lifetimes, rotate_refresh_tokens=rotate_refresh_tokens)
    asgi = Starlette(
        routes=_routes(state, registered, people, decline_error),
        exception_handlers={
            RefusedError: on_refused,
            HTTPException: on_http_error,
            Exception: on_crash,
        },
    )
    # A path that is nearly right is a mistake to be seen, not one to be redirected away.
    asgi.router.redirect_slashes = False
    return Sandbox(asgi, apps=registered, users=people)


def _routes(
    state: State, apps: Sequence[App], users: Sequence[User], decline_error: str
) -> list[Route]:
    consent = Consent(state=state, apps=apps, users=users, decline_error=decline_error)
    tokens = TokenEndpoint(state=state, apps=apps)
    return [
        Route(AUTHORIZE_PATH, consent.show, methods=["GET"]),
        Route(DECIDE_PATH, consent.decide, methods=["POST"]),
        Route(ISSUE_PATH, tokens.issue, methods=["POST"]),
        Route(ISSUE_PATH + "/", tokens.issue, methods=["POST"]),
        Route(CURRENT_USER_PATH, Api(state=state).current_user, methods=["GET"]),
    ]


def _need_distinct(name: str, keys: Sequence[str]) -> None:
    if not keys:
        raise ConfigurationError(f"{name} is empty; give at least one, or leave it out.")
    if len(set(keys)) != len(keys):
        raise ConfigurationError(f"{name} has the same one twice; give each one once.")


def _lifetime(name: str, number: float, unit: timedelta) -> timedelta:
    try:
        lifetime = number * unit
    except (OverflowError, ValueError) as error:
        raise ConfigurationError(f"{name} is not a number of days, minutes or seconds.") from error
    if not timedelta(0) < lifetime <= _LONGEST:
        raise ConfigurationError(f"{name} must be more than 0 and at most ten years.")
    return lifetime
