"""Serving a sandbox over TCP on this machine: in a background thread, or in the foreground.

The listening socket is there before the server starts, so a client may connect as soon as there is
an address; nothing waits by polling. The server writes no access log and no trace of requests, as
both would hold codes and tokens.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Generator

import attrs

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.sandbox import browser, notices
from pipedrive_oauth_client.sandbox.application import create_app
from pipedrive_oauth_client.sandbox.faults import Faults
from pipedrive_oauth_client.sandbox.listening import address_of, listen
from pipedrive_oauth_client.sandbox.records import App, User
from pipedrive_oauth_client.sandbox.request_log import RequestLog
from pipedrive_oauth_client.sandbox.sandbox import Sandbox
from pipedrive_oauth_client.sandbox.uvicorn_server import BackgroundServer

_PATIENCE_SECONDS = 10


@attrs.frozen
class SandboxServer:
    """A sandbox that is being served.

    Attributes:
        base_url: Its address, such as `http://127.0.0.1:54321`, without a slash at the end.
        sandbox: The sandbox itself.
    """

    base_url: str
    sandbox: Sandbox

    @property
    def app(self) -> App:
        """The app that was registered first."""
        return self.sandbox.apps[0]

    @property
    def faults(self) -> Faults:
        """What is to go wrong, and how often."""
        return self.sandbox.faults

    @property
    def requests(self) -> RequestLog:
        """The last requests, to look at and to count."""
        return self.sandbox.requests

    def visit(
        self, authorization_url: str, *, approve: bool = True, user: User | None = None
    ) -> str:
        """Do what a person's browser would do: open the page, answer it, and stop at the callback.

        Args:
            authorization_url: A URL of this sandbox's authorization endpoint.
            approve: Whether to press "Allow and install" or "Cancel".
            user: Who decides; the page's first choice unless given.

        Returns:
            The callback URL that the browser would go to next, with `code` or `error` in it.

        Raises:
            ConfigurationError: The URL is not this sandbox's, the sandbox refused it, or the user
                is not one of the sandbox's.
        """
        person = None if user is None else self.sandbox.known_user(user)
        return browser.visit(
            self.base_url,
            authorization_url,
            decision="allow" if approve else "cancel",
            account=None if person is None else person.account,
        )

    def install(self, *, user: User | None = None, app: App | None = None) -> str:
        """Let an app in from the Marketplace and return the callback URL: see `Sandbox.install`."""
        return self.sandbox.install(user=user, app=app)

    def uninstall(self, user: User, *, app: App | None = None) -> bool:
        """End all that a user gave an app, and send the app the notice of it.

        The notice is a DELETE to the app's redirect URI, with the app's credentials as Basic value
        and a JSON body of `client_id`, `company_id`, `user_id` and `timestamp`. What the app
        answers makes no difference; it is waited for, at most five seconds.

        Args:
            user: Who uninstalls it.
            app: The app; the first one unless given.

        Returns:
            False if the app could not be reached; it is uninstalled all the same.

        Raises:
            ConfigurationError: The user or the app is not one of the sandbox's, or the app's
                redirect URI is not an http URL of this machine's loopback; nothing was done.
        """
        notices.check_address((self.app if app is None else app).redirect_uri)
        return notices.send(self.sandbox.uninstall(user, app=app))


@contextlib.contextmanager
def run(
    app: Sandbox | None = None, *, host: str = "127.0.0.1", port: int = 0
) -> Generator[SandboxServer, None, None]:
    """Serve a sandbox in a background thread for as long as the `with` block lasts.

    Args:
        app: The sandbox; a new one with all defaults unless given.
        host: A loopback address, or `localhost`.
        port: A TCP port; 0 takes a free one.

    Yields:
        The server, with its `base_url`, its `app` and `visit`.

    Raises:
        ConfigurationError: The host is not this machine's loopback, the port is taken or is no
            port, or the server could not start or stop.
    """
    server = BackgroundServer(app if app is not None else create_app())
    with contextlib.closing(listen(host, port)) as listener:
        thread = threading.Thread(
            target=server.serve_until_stopped, args=(listener,), name="pipedrive-sandbox"
        )
        # Should the block never be left, the interpreter can still end.
        thread.daemon = True
        thread.start()
        try:
            server.settled.wait(_PATIENCE_SECONDS)
            if not server.started:
                raise ConfigurationError(
                    "The sandbox's server did not start; the cause says why."
                ) from server.failure
            yield SandboxServer(address_of(host, listener), server.sandbox)
        finally:
            server.stop()
            thread.join(_PATIENCE_SECONDS)
    if thread.is_alive() or server.failure is not None:
        raise ConfigurationError(
            "The sandbox's server did not end well; the cause, if there is one, says why."
        ) from server.failure


def serve(
    app: Sandbox,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    announce: Callable[[SandboxServer], None],
) -> None:
    """Serve a sandbox in the foreground until Ctrl-C, which ends it with a KeyboardInterrupt.

    Args:
        app: The sandbox.
        host: A loopback address, or `localhost`.
        port: A TCP port; 0 takes a free one.
        announce: Called once with the server's address, when clients can already connect.

    Raises:
        ConfigurationError: The host is not this machine's loopback, or the port is taken or is no
            port.
    """
    with contextlib.closing(listen(host, port)) as listener:
        announce(SandboxServer(address_of(host, listener), app))
        BackgroundServer(app).run(sockets=[listener])
