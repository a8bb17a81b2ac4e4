"""The sandbox as one object: an ASGI application, and what a test can do besides sending requests.

Source:
    https://pipedrive.readme.io/docs/marketplace-oauth-authorization (installs without a state);
    https://pipedrive.readme.io/docs/app-uninstallation
"""

from __future__ import annotations

from starlette.types import Receive, Scope, Send

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.sandbox.faults import Faults
from pipedrive_oauth_client.sandbox.front import Front
from pipedrive_oauth_client.sandbox.notices import UninstallNotice
from pipedrive_oauth_client.sandbox.records import App, User
from pipedrive_oauth_client.sandbox.refusals import APP_NOT_INSTALLABLE
from pipedrive_oauth_client.sandbox.request_log import RequestLog
from pipedrive_oauth_client.sandbox.state import State
from pipedrive_oauth_client.sandbox.uris import with_query


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
