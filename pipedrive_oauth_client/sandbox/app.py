"""The sandbox as an ASGI application: `create_app` makes one of its parts and settings."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from datetime import timedelta

import anyio
import attrs
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from pipedrive_oauth_client.errors import ConfigurationError, ProcessBound
from pipedrive_oauth_client.sandbox.api_endpoint import ApiEndpoint, RateLimit
from pipedrive_oauth_client.sandbox.authorize_endpoint import AuthorizeEndpoint
from pipedrive_oauth_client.sandbox.clock import Now, utc_now
from pipedrive_oauth_client.sandbox.error_responses import (
    APP_NOT_INSTALLABLE,
    RequestRejectedError,
)
from pipedrive_oauth_client.sandbox.faults import Faults
from pipedrive_oauth_client.sandbox.middleware import (
    HostCheck,
    Middleware,
    RequestRedactor,
    Sleep,
)
from pipedrive_oauth_client.sandbox.models import (
    DEFAULT_APP,
    DEFAULT_USER,
    OTHER_USER,
    App,
    AppRegistry,
    User,
)
from pipedrive_oauth_client.sandbox.notices import (
    ServiceRequest,
    SigningAlgorithm,
    UninstallNotice,
    sign,
)
from pipedrive_oauth_client.sandbox.pages import HomePage, show_icon
from pipedrive_oauth_client.sandbox.request_log import RequestLog
from pipedrive_oauth_client.sandbox.requests import ClientAuthenticator
from pipedrive_oauth_client.sandbox.responses import on_crash, on_http_error, on_rejected
from pipedrive_oauth_client.sandbox.settings import (
    Lifetimes,
    SlashedTokenLocation,
    SlashedTokenPath,
    require_count,
    require_distinct,
    require_error_code,
    require_slashed_token_settings,
    to_host_names,
    to_lifetime,
)
from pipedrive_oauth_client.sandbox.state import State
from pipedrive_oauth_client.sandbox.token_endpoint import (
    RevocationEndpoint,
    SlashedPathRedirect,
    TokenEndpoint,
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


class Sandbox(ProcessBound):
    """A local stand-in for oauth.pipedrive.com; an ASGI application. `create_app` makes one.

    Attributes:
        users: The users who can install an app.
        allowed_hosts: The hosts that it answers for besides loopback names; None for any host.
    """

    _instead = "Serve it in one process, and pass the address: `sandbox.run(app)`, `base_url`."

    def __init__(
        self,
        middleware: Middleware,
        *,
        state: State,
        apps: AppRegistry,
        users: tuple[User, ...],
        allowed_hosts: tuple[str, ...] | None = None,
    ) -> None:
        self._middleware = middleware
        self._entry: ASGIApp = middleware
        if allowed_hosts is not None:
            self._entry = self.answering_for(allowed_hosts)
        self.allowed_hosts = allowed_hosts
        self._state = state
        self._apps = apps
        self.users = users
        self._users_by_account = {user.account: user for user in users}

    @property
    def apps(self) -> tuple[App, ...]:
        """The registered apps as they are now."""
        return tuple(self._apps)

    @property
    def faults(self) -> Faults:
        """The faults still to come."""
        return self._middleware.faults

    @property
    def requests(self) -> RequestLog:
        """The last requests, to look at and to count."""
        return self._middleware.requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Process one request of an ASGI server."""
        await self._entry(scope, receive, send)

    def answering_for(self, names: Collection[str]) -> ASGIApp:
        """Return this application for loopback names and the given ones alone.

        Args:
            names: Hosts without port, in lower case.
        """
        return HostCheck(self._middleware, names)

    def __repr__(self) -> str:
        return f"<Sandbox of {len(self.apps)} apps and {len(self.users)} users>"

    def install(self, *, user: User | None = None, app: App | None = None) -> str:
        """Install an app from the Marketplace.

        The Marketplace sends the user to the app's `installation_url`, where it has one, so that
        the app can send them on to the consent page with a state. Else it is installed at once:
        without a consent page here, and without a state.

        Args:
            user: The user who installs it; the first one by default.
            app: The app; the first one by default.

        Returns:
            The address that the browser would open next: the Installation URL, or the callback
            URL with a `code` alone.

        Raises:
            ConfigurationError: The user or the app is not one of the sandbox's, or the user's
                company can't install the app.
        """
        installer, installed = self._user(user), self._app(app)
        if installer.company_id in installed.blocked_company_ids:
            raise ConfigurationError(f"{APP_NOT_INSTALLABLE.message}; see blocked_company_ids.")
        if installed.installation_url is not None:
            return installed.installation_url
        code = self._state.issue_code(installed, installer)
        return with_query(installed.redirect_uri, [("code", code)])

    def share(
        self, user: User, *, app: App | None = None, is_shared: bool = True
    ) -> ServiceRequest:
        """Return the POST that Pipedrive sends to the callback URL when sharing changes.

        It shows no credentials, as none are documented. It is not sent here: pass it to the test
        client of your app, or use `SandboxServer.share`.

        Args:
            user: The user.
            app: The app; the first one by default.
            is_shared: Whether the user shares the app with the company.

        Raises:
            ConfigurationError: The user or the app is not one of the sandbox's.
        """
        return ServiceRequest.sharing(self._app(app), self.known_user(user), is_shared=is_shared)

    def endpoint_call(
        self, url: str, *, method: str = "POST", content: bytes = b"{}", app: App | None = None
    ) -> ServiceRequest:
        """Return a call to an app's endpoint for messaging or video calls.

        Args:
            url: The endpoint.
            method: The method.
            content: The JSON body.
            app: The app, whose credentials the call shows; the first one by default.

        Returns:
            The request, to pass to the test client of your app.

        Raises:
            ConfigurationError: The app is not one of the sandbox's.
        """
        return ServiceRequest.endpoint_call(self._app(app), method, url, content)

    def signed_token(
        self,
        user: User | None = None,
        *,
        app: App | None = None,
        secret: str | None = None,
        lifetime_seconds: int = 300,
        algorithm: SigningAlgorithm = "HS256",
        claims: Mapping[str, object] | None = None,
    ) -> str:
        """Return the signed token that Pipedrive adds to the address of an app extension.

        With another secret it is a forged one, and with a negative lifetime an expired one.

        Args:
            user: The user who looks at the extension; the first one by default.
            app: The app; the first one by default.
            secret: The extension's own JWT secret; the app's client secret by default.
            lifetime_seconds: How long it is valid.
            algorithm: What it is signed with; Pipedrive uses HS256.
            claims: Claims to add or replace; None as a value leaves one out.

        Raises:
            ConfigurationError: The user or the app is not one of the sandbox's, or there is no such
                algorithm.
        """
        viewer, now = self._user(user), int(self._middleware.clock().timestamp())
        content: dict[str, object] = {
            "companyId": viewer.company_id,
            "userId": viewer.id,
            "iat": now,
            "exp": now + lifetime_seconds,
            **(claims or {}),
        }
        present = {name: value for name, value in content.items() if value is not None}
        return sign(present, secret or self._app(app).client_secret, algorithm)

    def uninstall(self, user: User, *, app: App | None = None) -> UninstallNotice:
        """Revoke all that a user gave an app, as when they uninstall it in Pipedrive.

        Args:
            user: The user who uninstalls it.
            app: The app; the first one by default.

        Returns:
            The notice that Pipedrive would send to the app's callback URL. It is not sent here:
            pass it to the test client of your app, or use `SandboxServer.uninstall`.

        Raises:
            ConfigurationError: The user or the app is not one of the sandbox's.
        """
        uninstaller, uninstalled = self._user(user), self._app(app)
        self._state.uninstall(uninstalled, uninstaller)
        return UninstallNotice.of(uninstalled, uninstaller, now=self._middleware.clock())

    def change_scopes(self, scopes: Iterable[str], *, app: App | None = None) -> App:
        """Give an app other scopes, as its developer does in the Developer Hub.

        Added scopes invalidate the access tokens of all users: a refresh works, with the scopes of
        before, until the user authorizes the app again. Scopes that were removed are missing from
        the next refresh on.

        Args:
            scopes: All scopes that the app has from now on.
            app: The app; the first one by default.

        Returns:
            The app as it is now.

        Raises:
            ConfigurationError: The app is not one of the sandbox's, or a scope is not valid.

        Source:
            https://pipedrive.readme.io/docs/marketplace-updating-the-existing-app
        """
        before = self._app(app)
        changed = attrs.evolve(before, scopes=scopes)
        self._apps.replace(changed)
        self._state.change_scopes(before, changed.scopes)
        return changed

    def reset_client_secret(self, *, app: App | None = None, secret: str | None = None) -> App:
        """Give an app a new client secret. The old one stops at once; tokens stay valid.

        Args:
            app: The app; the first one by default.
            secret: The new secret; a random one by default.

        Returns:
            The app as it is now.

        Raises:
            ConfigurationError: The app is not one of the sandbox's, or the secret is not valid.

        Source:
            https://pipedrive.readme.io/docs/client-id-and-client-secret
        """
        changed = attrs.evolve(self._app(app), client_secret=secret or secrets.token_hex(20))
        self._apps.replace(changed)
        return changed

    def is_installed(self, user: User, *, app: App | None = None) -> bool:
        """Tell whether an app received tokens for a user and has not been uninstalled since.

        Revoking a refresh token uninstalls the app too.

        Args:
            user: The user.
            app: The app; the first one by default.

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
                "This user is not one of the sandbox's; pass it to create_app."
            )
        return user

    def _user(self, user: User | None) -> User:
        return self.users[0] if user is None else self.known_user(user)

    def _app(self, app: App | None) -> App:
        current = self._apps[0] if app is None else self._apps.current(app)
        if current is None:
            raise ConfigurationError("This app is not one of the sandbox's; pass it to create_app.")
        return current


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
    allowed_hosts: Iterable[str] | None = None,
) -> Sandbox:
    """Return a sandbox: an ASGI application for any server, or for `run`.

    Args:
        apps: The registered apps, at least one.
        users: The users who can install an app, at least one.
        clock: Returns the time as an aware UTC datetime; the sandbox has no other clock.
        sleep: Waits for a number of seconds when a fault delays a response; an async function.
        code_lifetime_minutes: How long an authorization code can be exchanged.
        access_token_lifetime_seconds: How long an access token is valid, in whole seconds; this
            is the `expires_in` of the responses.
        refresh_token_unused_lifetime_days: How long an unused refresh token is valid.
        rotate_refresh_tokens: True: a refresh returns a new refresh token, and the old one is
            invalid from then on. False: it returns the same one, and its lifetime starts again.
            Pipedrive's own pages say both.
        decline_error: The `error` of the redirect after the user declines. Pipedrive's guide says
            `user_denied`, the READMEs of its clients say `access_denied`.
        slashed_token_path: What a POST to `/oauth/token/` gets: `"serve"`, the same as at
            `/oauth/token`; or a redirect there of this status: 301, 302, 303, 307 or 308.
        slashed_token_location: Whether that redirect's Location is an `"absolute"` URL or a
            `"relative"` one, a path.
        api_calls_per_two_seconds: How many API calls an access token may make in each window of
            two seconds by the sandbox's clock; the response to the next one is 429. 480 is
            Pipedrive's number for its largest plan, 80 the one for its smallest.
        allowed_hosts: The hosts, without port, that it answers for besides `localhost`, the names
            below it, and loopback addresses; requests for other hosts get status 421. None is for
            any host, as test clients make one up. `run` and `serve` never answer for any host.

    Raises:
        ConfigurationError: An argument is not of the form described above, or two apps share a
            client_id, or two users share company and id.
    """
    all_apps, all_users = tuple(apps), tuple(users)
    require_distinct("apps", [app.client_id for app in all_apps])
    require_distinct("users", [user.account for user in all_users])
    if clock().utcoffset() != timedelta(0):
        raise ConfigurationError("clock must return aware UTC datetimes; use datetime.now(UTC).")
    require_error_code("decline_error", decline_error)
    require_count("api_calls_per_two_seconds", api_calls_per_two_seconds)
    require_slashed_token_settings(slashed_token_path, slashed_token_location)
    hosts = None if allowed_hosts is None else to_host_names(allowed_hosts)
    lifetimes = Lifetimes(
        code=to_lifetime("code_lifetime_minutes", code_lifetime_minutes, timedelta(minutes=1)),
        access_token=to_lifetime(
            "access_token_lifetime_seconds", access_token_lifetime_seconds, timedelta(seconds=1)
        ),
        refresh_token=to_lifetime(
            "refresh_token_unused_lifetime_days",
            refresh_token_unused_lifetime_days,
            timedelta(days=1),
        ),
    )
    state = State(clock=clock, lifetimes=lifetimes, rotate_refresh_tokens=rotate_refresh_tokens)
    requests = RequestLog()
    registry = AppRegistry(all_apps)
    clients = ClientAuthenticator(registry)
    tokens = TokenEndpoint(state=state, clients=clients)
    if slashed_token_path == "serve":
        slashed = tokens.issue
    else:
        slashed = SlashedPathRedirect(slashed_token_path, slashed_token_location).respond
    endpoints = _route(
        tokens=tokens,
        slashed=slashed,
        authorize=AuthorizeEndpoint(
            state=state, apps=registry, users=all_users, decline_error=decline_error
        ),
        revocation=RevocationEndpoint(state=state, clients=clients),
        api=ApiEndpoint(
            state=state, rate_limit=RateLimit(calls=api_calls_per_two_seconds, clock=clock)
        ),
        home=HomePage(state=state, apps=registry, users=all_users, requests=requests, clock=clock),
    )
    middleware = Middleware(
        app=endpoints,
        faults=Faults(
            PATHS, {SLASHED_ISSUE_PATH: ISSUE_PATH} if slashed_token_path == "serve" else None
        ),
        requests=requests,
        redactor=RequestRedactor(PATHS, registry),
        clock=clock,
        sleep=sleep,
    )
    return Sandbox(middleware, state=state, apps=registry, users=all_users, allowed_hosts=hosts)


def _route(
    *,
    tokens: TokenEndpoint,
    slashed: Callable[[Request], Awaitable[Response]],
    authorize: AuthorizeEndpoint,
    revocation: RevocationEndpoint,
    api: ApiEndpoint,
    home: HomePage,
) -> Starlette:
    """Return the ASGI application of all endpoints."""
    endpoints = Starlette(
        routes=[
            # The most frequent first, as the routes are tried in this order.
            Route(ISSUE_PATH, tokens.issue, methods=["POST"]),
            Route(SLASHED_ISSUE_PATH, slashed, methods=["POST"]),
            Route(AUTHORIZE_PATH, authorize.show, methods=["GET"]),
            Route(DECIDE_PATH, authorize.decide, methods=["POST"]),
            Route(REVOKE_PATH, revocation.revoke, methods=["POST"]),
            Route(CURRENT_USER_PATH, api.current_user, methods=["GET"]),
            Route(DEALS_PATH, api.deals, methods=["GET"]),
            Route(HOME_PATH, home.show, methods=["GET"]),
            Route(ICON_PATH, show_icon, methods=["GET"]),
        ],
        exception_handlers={
            RequestRejectedError: on_rejected,
            HTTPException: on_http_error,
            Exception: on_crash,
        },
    )
    # A path that is nearly right is a mistake that the client must see, not be redirected from.
    endpoints.router.redirect_slashes = False
    return endpoints
