"""How a callback reaches the command: the browser comes back, or the person pastes the address."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

from attrs import frozen

from pipedrive_oauth_client.authorization import AuthorizationRequest
from pipedrive_oauth_client.cli.callback_page import Page
from pipedrive_oauth_client.cli.callback_server import CallbackServer
from pipedrive_oauth_client.cli.exits import CommandError, ExitCode
from pipedrive_oauth_client.cli.loopback import loopback_of
from pipedrive_oauth_client.cli.opening import open_browser
from pipedrive_oauth_client.cli.terminal import ask_hidden, can_ask, say
from pipedrive_oauth_client.flow import PipedriveOAuth

__all__ = ["Arrival", "arrival"]

_PROMPT = "The address that the browser shows afterwards (it is not shown here):"


class Arrival(Protocol):
    """How the person gets to the consent page, and their answer to the command."""

    def code(self) -> str:
        """Send the person to the page, and give the code that comes back."""
        ...

    def finish(self, page: Page) -> None:
        """Show the person in the browser how it went, where that can be done."""
        ...


@contextmanager
def arrival(
    oauth: PipedriveOAuth, *, timeout: float, opens: bool, paste: bool
) -> Generator[Arrival]:
    """Prepare for a callback, which for a redirect URI of this machine means: listen.

    Args:
        oauth: The flow of the app.
        timeout: How long to wait, in seconds.
        opens: Whether to open the browser, or leave that to the person.
        paste: Whether to ask for the address in any case.

    Yields:
        The way on which it comes.

    Raises:
        CommandError: The port can't be listened on.
    """
    request = oauth.authorization_url()
    redirect_uri = oauth.credentials.redirect_uri

    def read(callback: str) -> str:
        return oauth.read_callback(callback, request.state)

    loopback = None if paste else loopback_of(redirect_uri)
    if loopback is None:
        yield _Pasted(request, redirect_uri, timeout, read)
        return
    with CallbackServer(loopback, read) as server:
        yield _CameBack(request, server, timeout, opens)


@frozen
class _CameBack:
    request: AuthorizationRequest
    server: CallbackServer
    timeout: float
    opens: bool

    def code(self) -> str:
        if self.opens and open_browser(self.request.url):
            say("Waiting for your answer in the browser. If it shows no page, open:")
        else:
            say("Open this address in a browser on this machine:")
        say(f"\n  {self.request.url}\n")
        return self.server.code(self.timeout)

    def finish(self, page: Page) -> None:
        self.server.finish(page)


@frozen
class _Pasted:
    request: AuthorizationRequest
    redirect_uri: str
    timeout: float
    read: Callable[[str], str]

    def code(self) -> str:
        say(f"Open this address in any browser:\n\n  {self.request.url}\n")
        say(
            f"After your answer it goes to {self.redirect_uri}?..., which may show an error: copy"
            " the whole address from there."
        )
        with _at_most(self.timeout):
            pasted = ask_hidden(_PROMPT) if can_ask() else _line()
        if not pasted:
            raise CommandError(
                "No address was pasted; nothing was changed. Run the command again.", ExitCode.USAGE
            )
        return self.read(pasted)

    def finish(self, page: Page) -> None:
        del page  # the browser is elsewhere


def _line() -> str:
    return sys.stdin.readline().strip() if sys.stdin is not None else ""


@contextmanager
def _at_most(seconds: float) -> Generator[None]:
    # Windows has no such signal, and waits for as long as the person does.
    if not hasattr(signal, "setitimer"):
        yield
        return

    def too_late(_signal: int, _frame: FrameType | None) -> None:
        raise CommandError(
            f"No address was pasted within {seconds:g} seconds; nothing was changed. Run the"
            " command again, with a longer --timeout if need be.",
            ExitCode.TIMED_OUT,
        )

    before = signal.signal(signal.SIGALRM, too_late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
