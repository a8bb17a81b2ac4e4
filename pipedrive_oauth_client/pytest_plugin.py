"""The fixture `pipedrive_sandbox`, which every project gets with the extra `sandbox`.

pytest loads this module wherever the package is installed, so nothing of the extra is imported
before a test uses the fixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from attrs import field, frozen

if TYPE_CHECKING:
    from pipedrive_oauth_client.credentials import AppCredentials
    from pipedrive_oauth_client.sandbox import Clock, Faults, RequestLog, SandboxServer, User

__all__ = ["PipedriveSandbox", "pipedrive_sandbox"]

_MANY_CALLS = 100_000

# So that their assertions say what was compared.
pytest.register_assert_rewrite("pipedrive_oauth_client.stores.conformance")


@frozen
class PipedriveSandbox:
    """A sandbox that is being served, ready for an app to be tested against it.

    Attributes:
        server: The server: its faults, its request log, `visit`, `install` and `uninstall`.
        clock: The time as the sandbox has it; `clock.advance(...)` moves it on.
        credentials: The credentials of the app that the sandbox knows.
    """

    server: SandboxServer
    clock: Clock
    credentials: AppCredentials = field(init=False)

    def __attrs_post_init__(self) -> None:
        from pipedrive_oauth_client.credentials import AppCredentials  # noqa: PLC0415 - as below

        app = self.server.app
        credentials = AppCredentials(app.client_id, app.client_secret, app.redirect_uri)
        object.__setattr__(self, "credentials", credentials)

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

    def authorize(
        self, *, user: User | None = None, approve: bool = True, state: str | None = None
    ) -> str:
        """Act as the person on the consent page, and their browser.

        Args:
            user: Who decides; the sandbox's first user unless given.
            approve: Whether they approve.
            state: The state that the app has sent; a random one unless given.

        Returns:
            The callback URL that the browser would go to, with `code` or `error`, and the state.
        """
        from pipedrive_oauth_client.oauth import PipedriveOAuth  # noqa: PLC0415 - as below

        with PipedriveOAuth(self.credentials, base_url=self.base_url, retry=None) as oauth:
            return self.server.visit(oauth.authorization_url(state).url, approve=approve, user=user)


@pytest.fixture
def pipedrive_sandbox() -> Iterator[PipedriveSandbox]:
    """Serve a sandbox of Pipedrive's OAuth service on a free port of this machine.

    Each test has one of its own, with a clock that stands still until the test moves it.
    """
    from pipedrive_oauth_client import sandbox  # noqa: PLC0415 - an extra

    clock = sandbox.Clock()
    # The clock stands still, and with it the window in which API calls are counted.
    created = sandbox.create_app(clock=clock, api_calls_per_two_seconds=_MANY_CALLS)
    with sandbox.run(created) as server:
        yield PipedriveSandbox(server, clock)
