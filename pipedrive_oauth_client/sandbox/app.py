"""Making a sandbox: its settings, and the parts that they lead to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.sandbox.api_endpoint import Api, RateLimit
from pipedrive_oauth_client.sandbox.authorize_endpoint import Consent
from pipedrive_oauth_client.sandbox.clock import Now, utc_now
from pipedrive_oauth_client.sandbox.error_responses import APP_NOT_INSTALLABLE, RefusedError
from pipedrive_oauth_client.sandbox.faults import Faults
from pipedrive_oauth_client.sandbox.middleware import Front, Sight, Sleep
from pipedrive_oauth_client.sandbox.models import (
    DEFAULT_APP,
    DEFAULT_USER,
    OTHER_USER,
    App,
    Lifetimes,
    User,
)
from pipedrive_oauth_client.sandbox.notices import UninstallNotice
from pipedrive_oauth_client.sandbox.pages import Home, show_icon
from pipedrive_oauth_client.sandbox.request_log import RequestLog
from pipedrive_oauth_client.sandbox.requests import Clients
from pipedrive_oauth_client.sandbox.responses import on_crash, on_http_error, on_refused
from pipedrive_oauth_client.sandbox.settings import (
    lifetime,
    need_count,
    need_distinct,
    need_error_code,
)
from pipedrive_oauth_client.sandbox.state import State
from pipedrive_oauth_client.sandbox.token_endpoint import (
    Redirect,
    RevocationEndpoint,
    SlashedTokenLocation,
    SlashedTokenPath,
    TokenEndpoint,
    check_settings,
)
from pipedrive_oauth_client.sandbox.urls import (
    AUTHORIZE_PATH,
    CURRENT_USER_PATH,
    DEALS_PATH,
    DECIDE_PATH,
    HOME_PATH,
    ICON_PATH,
    ISSUE_PATH,
    PATHS,
    REVOKE_PATH,
    SLASHED_ISSUE_PATH,
    with_query,
)


def endpoints(
    *,
    state: State,
    apps: Sequence[App],
    users: Sequence[User],
    decline_error: str,
    slashed_token_path: SlashedTokenPath,
    slashed_token_location: SlashedTokenLocation,
    rate_limit: RateLimit,
    home: Home,
) -> Starlette:
    """Return the ASGI application of all endpoints, made of the parts that `create_app` made."""
    clients = Clients(apps)
    consent = Consent(state=state, apps=apps, users=users, decline_error=decline_error)
    tokens = TokenEndpoint(state=state, clients=clients)
    revocation = RevocationEndpoint(state=state, clients=clients)
    api = Api(state=state, rate_limit=rate_limit)
    if slashed_token_path == "serve":
        slashed = tokens.issue
    else:
        slashed = Redirect(slashed_token_path, slashed_token_location).answer
    app = Starlette(
        routes=[
            # In the order of how much is asked of them: the first that fits answers.
            Route(ISSUE_PATH, tokens.issue, methods=["POST"]),
            Route(SLASHED_ISSUE_PATH, slashed, methods=["POST"]),
            Route(AUTHORIZE_PATH, consent.show, methods=["GET"]),
            Route(DECIDE_PATH, consent.decide, methods=["POST"]),
            Route(REVOKE_PATH, revocation.revoke, methods=["POST"]),
            Route(CURRENT_USER_PATH, api.current_user, methods=["GET"]),
            Route(DEALS_PATH, api.deals, methods=["GET"]),
            Route(HOME_PATH, home.show, methods=["GET"]),
            Route(ICON_PATH, show_icon, methods=["GET"]),
        ],
        exception_handlers={
            RefusedError: on_refused,
            HTTPException: on_http_error,
            Exception: on_crash,
        },
    )
    # A path that is nearly right is a mistake to be seen, not one to be redirected away.
    app.router.redirect_slashes = False
    return app


class Sandbox:
    """A local stand-in for oauth.pipedrive.com; an ASGI application. `create_app` makes one.

    Attributes:
        apps: The registered apps.
        users: The people who can let an app in.
    """

    def __init__(
        self, front: Front, *, state: State, apps: tuple[App, ...], users: tuple[User, ...]
    ) -> None:
        self._front = front
        self._state = state
        self.apps = apps
        self.users = users
        self._users_by_account = {user.account: user for user in users}

    @property
    def faults(self) -> Faults:
        """What is to go wrong, and how often."""
        return self._front.faults

    @property
    def requests(self) -> RequestLog:
        """The last requests, to look at and to count."""
        return self._front.requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection of an ASGI server."""
        await self._front(scope, receive, send)

    def __repr__(self) -> str:
        return f"<Sandbox of {len(self.apps)} apps and {len(self.users)} users>"

    def install(self, *, user: User | None = None, app: App | None = None) -> str:
        """Let an app in from the Marketplace: without an authorization page, and without a state.

        Args:
            user: Who installs it; the first user unless given.
            app: The app; the first one unless given.

        Returns:
            The callback URL that the browser would go to next, with a `code` alone.

        Raises:
            ConfigurationError: The user or the app is not one of the sandbox's, or the user's
                company can't install the app.
        """
        person, installed = self._user(user), self._app(app)
        if person.company_id in installed.blocked_company_ids:
            raise ConfigurationError(f"{APP_NOT_INSTALLABLE.message}; see blocked_company_ids.")
        code = self._state.issue_code(installed, person)
        return with_query(installed.redirect_uri, [("code", code)])

    def uninstall(self, user: User, *, app: App | None = None) -> UninstallNotice:
        """End all that a user gave an app, as when they uninstall it in Pipedrive.

        Args:
            user: Who uninstalls it.
            app: The app; the first one unless given.

        Returns:
            The notice that Pipedrive would send to the app's callback URL. It is not sent here:
            give it to the test client of your app, or use `SandboxServer.uninstall`.

        Raises:
            ConfigurationError: The user or the app is not one of the sandbox's.
        """
        person, uninstalled = self._user(user), self._app(app)
        self._state.uninstall(uninstalled, person)
        return UninstallNotice.of(uninstalled, person, now=self._front.clock())

    def is_installed(self, user: User, *, app: App | None = None) -> bool:
        """Tell whether an app took its tokens for a user and nobody has uninstalled it since.

        Revoking a refresh token uninstalls the app, too.

        Args:
            user: The user.
            app: The app; the first one unless given.

        Raises:
            ConfigurationError: The user or the app is not one of the sandbox's.
        """
        return self._state.is_installed(self._app(app), self._user(user))

    def known_user(self, user: User) -> User:
        """Return a user who is one of the sandbox's.

        Args:
            user: The user.

        Raises:
            ConfigurationError: The user is not.
        """
        if self._users_by_account.get(user.account) != user:
            raise ConfigurationError(
                "This user is not one of the sandbox's; give it to create_app."
            )
        return user

    def _user(self, user: User | None) -> User:
        return self.users[0] if user is None else self.known_user(user)

    def _app(self, app: App | None) -> App:
        if app is None:
            return self.apps[0]
        if app not in self.apps:
            raise ConfigurationError("This app is not one of the sandbox's; give it to create_app.")
        return app


def create_app(
    *,
    apps: Iterable[App] = (DEFAULT_APP,),
    users: Iterable[User] = (DEFAULT_USER, OTHER_USER),
    clock: Now = utc_now,
    sleep: Sleep = anyio.sleep,
    code_lifetime_minutes: float = 5,
    access_token_lifetime_seconds: int = 3600,
    refresh_token_unused_lifetime_days: float = 60,
    rotate_refresh_tokens: bool = True,
    decline_error: str = "user_denied",
    slashed_token_path: SlashedTokenPath = "serve",
    slashed_token_location: SlashedTokenLocation = "absolute",
    api_calls_per_two_seconds: int = 480,
) -> Sandbox:
    """Return a sandbox: an ASGI application for any server, or for `run`.

    Args:
        apps: The registered apps, at least one.
        users: The people who can let an app in, at least one.
        clock: Returns the time as an aware UTC datetime; nothing else tells the sandbox the time.
        sleep: Waits for a number of seconds when a fault makes an answer late; an async function.
        code_lifetime_minutes: How long an authorization code can be exchanged.
        access_token_lifetime_seconds: How long an access token is valid, in whole seconds; this
            is the `expires_in` of the answers.
        refresh_token_unused_lifetime_days: How long a refresh token lives without being used.
        rotate_refresh_tokens: True: a refresh answers with a new refresh token and refuses the
            old one from then on. False: it answers with the same one, its time begun anew.
            Pipedrive's own pages say both.
        decline_error: The `error` of the redirect after a no. Pipedrive's guide says
            `user_denied`, the READMEs of its clients say `access_denied`.
        slashed_token_path: What a POST to `/oauth/token/` gets: `"serve"`, the same as at
            `/oauth/token`; or a redirect there of this status: 301, 302, 303, 307 or 308.
        slashed_token_location: Whether that redirect's Location is an `"absolute"` URL or a
            `"relative"` one, a path.
        api_calls_per_two_seconds: How many API calls an access token has in each window of two
            seconds by the sandbox's clock; the next one is answered with 429. 480 is Pipedrive's
            number for its largest plan, 80 the one for its smallest.

    Raises:
        ConfigurationError: An argument is not of the form described above, or two apps share a
            client_id, or two users share company and id.
    """
    registered, people = tuple(apps), tuple(users)
    need_distinct("apps", [app.client_id for app in registered])
    need_distinct("users", [user.account for user in people])
    if clock().utcoffset() != timedelta(0):
        raise ConfigurationError("clock must return aware UTC datetimes; use datetime.now(UTC).")
    need_error_code("decline_error", decline_error)
    need_count("api_calls_per_two_seconds", api_calls_per_two_seconds)
    check_settings(slashed_token_path, slashed_token_location)
    lifetimes = Lifetimes(
        code=lifetime("code_lifetime_minutes", code_lifetime_minutes, timedelta(minutes=1)),
        access_token=lifetime(
            "access_token_lifetime_seconds", access_token_lifetime_seconds, timedelta(seconds=1)
        ),
        refresh_token=lifetime(
            "refresh_token_unused_lifetime_days",
            refresh_token_unused_lifetime_days,
            timedelta(days=1),
        ),
    )
    state = State(clock=clock, lifetimes=lifetimes, rotate_refresh_tokens=rotate_refresh_tokens)
    requests = RequestLog()
    front = Front(
        app=endpoints(
            state=state,
            apps=registered,
            users=people,
            decline_error=decline_error,
            slashed_token_path=slashed_token_path,
            slashed_token_location=slashed_token_location,
            rate_limit=RateLimit(calls=api_calls_per_two_seconds, clock=clock),
            home=Home(state=state, apps=registered, users=people, requests=requests, clock=clock),
        ),
        faults=Faults(PATHS),
        requests=requests,
        sight=Sight(PATHS, registered),
        clock=clock,
        sleep=sleep,
    )
    return Sandbox(front, state=state, apps=registered, users=people)
