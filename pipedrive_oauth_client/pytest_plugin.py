"""The fixture `pipedrive_sandbox`, which every project gets with the extra `sandbox`.

pytest loads this module wherever the package is installed, so nothing of the extra is imported
before a test uses the fixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from attrs import evolve, frozen

if TYPE_CHECKING:
    from pipedrive_oauth_client.credentials import AppCredentials
    from pipedrive_oauth_client.sandbox import Clock, Faults, RequestLog, SandboxServer, User

__all__ = ["PipedriveSandbox", "pipedrive_redirect_uri", "pipedrive_sandbox"]

_MAX_API_CALLS = 100_000

# So that a failed assertion there shows the values that it compared.
pytest.register_assert_rewrite("pipedrive_oauth_client.stores.conformance")


@frozen
class PipedriveSandbox:
    """A served sandbox to test an app against.

    Attributes:
        server: The server: its faults, its request log, `visit`, `install` and `uninstall`.
        clock: The sandbox's clock; `clock.advance(...)` moves it forward.
    """

    server: SandboxServer
    clock: Clock

    @property
    def credentials(self) -> AppCredentials:
        """The credentials of the app that the sandbox knows, with its current secret."""
        from pipedrive_oauth_client.credentials import AppCredentials  # noqa: PLC0415 - as below

        app = self.server.app
        return AppCredentials(app.client_id, app.client_secret, app.redirect_uri)

    @property
    def base_url(self) -> str:
        """Root of the sandbox: the `base_url` of a flow, and where its API is."""
        return self.server.base_url

    @property
    def faults(self) -> Faults:
        """The faults to inject, and how often; see `sandbox.Fault`."""
        return self.server.faults

    @property
    def requests(self) -> RequestLog:
        """The requests that the sandbox has received, to assert on."""
        return self.server.requests

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables of an app, or of the command, that uses the sandbox."""
        return {
            "PIPEDRIVE_CLIENT_ID": self.credentials.client_id,
            "PIPEDRIVE_CLIENT_SECRET": self.credentials.client_secret,
            "PIPEDRIVE_REDIRECT_URI": self.credentials.redirect_uri,
            "PIPEDRIVE_BASE_URL": self.base_url,
        }

    def authorize(
        self, *, user: User | None = None, approve: bool = True, state: str | None = None
    ) -> str:
        """Act as the user on the consent page, and their browser.

        Args:
            user: The user who decides; the sandbox's first one by default.
            approve: Whether the user approves.
            state: The state that the app has sent; a random one by default.

        Returns:
            The callback URL that the browser would open, with `code` or `error`, and the state.
        """
        from pipedrive_oauth_client.oauth import PipedriveOAuth  # noqa: PLC0415 - as below

        with PipedriveOAuth(self.credentials, base_url=self.base_url, retry=None) as oauth:
            return self.server.visit(oauth.authorization_url(state).url, approve=approve, user=user)


@pytest.fixture
def pipedrive_redirect_uri() -> str | None:
    """The redirect URI of the app that `pipedrive_sandbox` knows; None for the sandbox's own.

    Define a fixture of this name in your tests, which returns where your app's callback is.
    """
    return None


@pytest.fixture
def pipedrive_sandbox(pipedrive_redirect_uri: str | None) -> Iterator[PipedriveSandbox]:
    """Serve a sandbox of Pipedrive's OAuth service on a free port of this machine.

    Each test has its own sandbox, with a clock that moves only when the test advances it.
    """
    from pipedrive_oauth_client import sandbox  # noqa: PLC0415 - an extra

    app = sandbox.DEFAULT_APP
    if pipedrive_redirect_uri is not None:
        app = evolve(app, redirect_uri=pipedrive_redirect_uri)
    clock = sandbox.Clock()
    # The clock stands still, and with it the window in which the sandbox counts API calls.
    created = sandbox.create_app(apps=[app], clock=clock, api_calls_per_two_seconds=_MAX_API_CALLS)
    with sandbox.run(created) as server:
        yield PipedriveSandbox(server, clock)
