"""The two ways on which a callback reaches the command: `CameBack` and `Pasted`."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Protocol

from attrs import define, field, frozen

from pipedrive_oauth_client.authorization import AuthorizationRequest
from pipedrive_oauth_client.cli.callback_page import Page
from pipedrive_oauth_client.cli.callback_server import CallbackServer
from pipedrive_oauth_client.cli.exits import CommandError, ExitCode
from pipedrive_oauth_client.cli.loopback import Loopback
from pipedrive_oauth_client.cli.opening import open_browser
from pipedrive_oauth_client.cli.terminal import ask_hidden, can_ask, say

__all__ = ["Arrival", "CameBack", "Pasted"]

_PROMPT = "The address that the browser shows afterwards (it is not shown here):"


class Arrival(Protocol):
    """How the person gets to the consent page, and their answer to the command."""

    def prepare(self, at_the_end: ExitStack, read: Callable[[str], str]) -> None:
        """Do what can fail before the person is asked for anything."""
        ...

    def code(self, request: AuthorizationRequest) -> str:
        """Send the person to the page, and give the code that comes back."""
        ...

    def finish(self, page: Page) -> None:
        """Show the person in the browser how it went, where that can be done."""
        ...


@define
class CameBack:
    """The browser is on this machine, and comes back to a port of it.

    Attributes:
        address: Where it comes back to.
        timeout: How long to wait, in seconds.
        opens: Whether to open the browser, or leave that to the person.
    """

    address: Loopback
    timeout: float
    opens: bool
    _server: CallbackServer | None = field(default=None, init=False)

    def prepare(self, at_the_end: ExitStack, read: Callable[[str], str]) -> None:
        """Listen."""
        self._server = at_the_end.enter_context(CallbackServer(self.address, read))

    def code(self, request: AuthorizationRequest) -> str:
        """Open the page, and wait for the browser."""
        assert self._server is not None  # noqa: S101 - prepared before
        if self.opens and open_browser(request.url):
            say("Waiting for your answer in the browser. If it shows no page, open:")
        else:
            say("Open this address in a browser on this machine:")
        say(f"\n  {request.url}\n")
        return self._server.code(self.timeout)

    def finish(self, page: Page) -> None:
        """Send the page that the browser is waiting for."""
        assert self._server is not None  # noqa: S101 - prepared before
        self._server.finish(page)


@frozen
class Pasted:
    """The browser is elsewhere, and the person copies the address that it ends up at.

    Attributes:
        timeout: How long to wait, in seconds.
        redirect_uri: Where the browser ends up, for the person.
    """

    timeout: float
    redirect_uri: str
    _read: list[Callable[[str], str]] = field(factory=list[Callable[[str], str]], init=False)

    def prepare(self, at_the_end: ExitStack, read: Callable[[str], str]) -> None:
        """There is nothing that could fail."""
        del at_the_end
        self._read.append(read)

    def code(self, request: AuthorizationRequest) -> str:
        """Ask for the address."""
        say(f"Open this address in any browser:\n\n  {request.url}\n")
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
        return self._read[0](pasted)

    def finish(self, page: Page) -> None:
        """Do nothing: the browser is elsewhere."""


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
