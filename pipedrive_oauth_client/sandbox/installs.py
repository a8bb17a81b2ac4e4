"""Which app is installed in whose account: a record of each that its grants point to."""

from __future__ import annotations

from pipedrive_oauth_client.sandbox.grants import Installation
from pipedrive_oauth_client.sandbox.records import App, User


class Installations:
    """The installations that have not ended; at most one of an app for a user.

    It is not safe for threads: `State` looks after that.
    """

    def __init__(self) -> None:
        self._current: dict[tuple[str, str], Installation] = {}

    def begun(self, app: App, user: User) -> Installation:
        """Return the installation of an app for a user, a new one if there is none."""
        return self._current.setdefault(_key(app, user), Installation())

    def is_complete(self, app: App, user: User) -> bool:
        """Tell whether there is an installation whose app has taken its tokens."""
        installation = self._current.get(_key(app, user))
        return installation is not None and installation.is_complete

    def end(self, app: App, user: User) -> None:
        """End the installation, if there is one, and with it all that came of it."""
        installation = self._current.pop(_key(app, user), None)
        if installation is not None:
            installation.has_ended = True


def _key(app: App, user: User) -> tuple[str, str]:
    return app.client_id, user.account
