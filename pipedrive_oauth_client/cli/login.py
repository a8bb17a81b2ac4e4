"""`login`: consent in the browser, a token, and the store."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Final, Protocol

from attrs import frozen

from pipedrive_oauth_client.authorization import AuthorizationRequest
from pipedrive_oauth_client.cli.accounts import retry_save
from pipedrive_oauth_client.cli.callback_server import CallbackServer, Page, loopback_of
from pipedrive_oauth_client.cli.exit_codes import CommandError, ExitCode, exit_code_of
from pipedrive_oauth_client.cli.output import ask_hidden, can_ask, one_line, say
from pipedrive_oauth_client.errors import (
    AuthorizationDeniedError,
    CallbackError,
    CorruptTokenError,
    PipedriveOAuthError,
    StoreError,
)
from pipedrive_oauth_client.oauth import PipedriveOAuth
from pipedrive_oauth_client.stores.protocol import TokenStore, checked_account
from pipedrive_oauth_client.tokens import Token
from pipedrive_oauth_client.users import PipedriveUser, fetch_current_user

__all__ = [
    "CallbackSource",
    "Connected",
    "Login",
    "check_store",
    "open_browser",
    "open_callback_source",
]

_PROGRAM: Final = "import sys, webbrowser; sys.exit(not webbrowser.open(sys.stdin.read()))"
_PATIENCE_SECONDS: Final = 1
# Some stay as long as the browser does, and nobody waits for them.
_openers: Final[list[subprocess.Popen[str]]] = []


def open_browser(url: str) -> bool:
    """Open an address in the person's browser.

    Args:
        url: The address.

    Returns:
        False where there is no browser with a window of its own. One that draws in the terminal
        would take it over.
    """
    if not _has_windows():
        return False
    # In a process of its own: browsers write to the terminal, and Ctrl-C in it would end them.
    try:
        opener = subprocess.Popen(
            [sys.executable, "-I", "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            # A browser, and what it starts, has no use for the app's secret.
            env={name: value for name, value in os.environ.items() if "PIPEDRIVE" not in name},
            text=True,
        )
    except OSError:
        return False
    _openers.append(opener)
    try:
        opener.communicate(url, timeout=_PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        return True
    except OSError:
        return False
    return opener.returncode == 0


def _has_windows() -> bool:
    if sys.platform in ("win32", "darwin") or os.environ.get("BROWSER"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


_PROMPT = "The address that the browser shows afterwards (it is not shown here):"


class CallbackSource(Protocol):
    """How the person gets to the consent page, and their answer to the command."""

    def code(self) -> str:
        """Send the person to the page, and give the code that comes back."""
        ...

    def finish(self, page: Page) -> None:
        """Show the person in the browser how it went, where that can be done."""
        ...


@contextmanager
def open_callback_source(
    oauth: PipedriveOAuth, *, timeout: float, opens: bool, paste: bool
) -> Generator[CallbackSource]:
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


_PROBE = "pipedrive-oauth login"
_LOST = (
    "Pipedrive has granted access, but the token was not saved; what was stored before is still"
    " there."
)


@frozen
class Connected:
    """What a login has led to.

    Attributes:
        account: The name that the token is stored under.
        token: The token.
        owner: Whose it is, where Pipedrive has said so.
    """

    account: str
    token: Token
    owner: PipedriveUser | None


@frozen
class Login:
    """One login.

    Attributes:
        oauth: The flow of the app.
        store: Where the token is to be kept.
        callback_source: How the callback reaches the command.
        account: The name to store it under; company and user by default.
        replace: Whether it may take the place of another company's token.
        ask: Asks the person for a line; None where nobody can be asked.
        tell: Tells the person something.
    """

    oauth: PipedriveOAuth
    store: TokenStore
    callback_source: CallbackSource
    account: str | None
    replace: bool
    ask: Callable[[str], str] | None
    tell: Callable[[str], object]

    def run(self) -> Connected:
        """Carry it out.

        Returns:
            What it has led to; the token is stored.

        Raises:
            PipedriveOAuthError: It went wrong; what was stored before is still there.
        """
        try:
            connected = self._take(self._code())
        except BaseException as error:
            self.callback_source.finish(_page_of(error))
            raise
        self.callback_source.finish(
            Page(
                200,
                "You are logged in",
                f"The token of {connected.account} is saved. You can close this page and go back"
                " to the terminal.",
            )
        )
        return connected

    def _code(self) -> str:
        # The library's words are for whoever writes an app; here it is the person who reads them.
        try:
            return self.callback_source.code()
        except AuthorizationDeniedError as error:
            raise CommandError(
                f"{str(error).partition('. ')[0]}. Nothing was changed; run the login again if that"
                " was a mistake.",
                ExitCode.DECLINED,
            ) from error
        except CallbackError as error:
            raise CommandError(
                f"{str(error).partition('. ')[0].rstrip('.')}. Nothing was changed; run the login"
                " again.",
                ExitCode.WRONG_CALLBACK,
            ) from error

    def _take(self, code: str) -> Connected:
        token = self.oauth.exchange(code)
        try:
            owner = self._owner(token)
            account = self.account or (owner.account if owner else self._named_by_hand())
            self._refuse_another_company(account, token)
            retry_save(lambda: self.store.save(account, token), lambda: True, self.tell)
        except CommandError as error:
            raise CommandError(f"{_LOST} {error}", error.code) from error
        except StoreError as error:
            raise CommandError(
                f"{_LOST} {error} Then run the login again: its token takes the place of this one.",
                ExitCode.STORE,
            ) from error
        except BaseException:  # Ctrl-C, say
            self.tell(f"{_LOST} Run the login again.")
            raise
        return Connected(account, token, owner)

    def _owner(self, token: Token) -> PipedriveUser | None:
        try:
            return fetch_current_user(token, None, self.oauth.clock)
        except PipedriveOAuthError as error:
            # With a name at hand, or somebody to give one, it is not needed.
            if self.account is None and self.ask is None:
                raise CommandError(
                    f"{error} Run the login again and choose a name: --account NAME.",
                    ExitCode.NO_ANSWER,
                ) from error
            self.tell(str(error))
            return None

    def _named_by_hand(self) -> str:
        while True:
            assert self.ask is not None  # noqa: S101 - else `_owner` has raised
            try:
                return checked_account(self.ask("A name to store the token under:"))
            except PipedriveOAuthError as error:
                if isinstance(error, CommandError):
                    raise
                self.tell(str(error))

    def _refuse_another_company(self, account: str, token: Token) -> None:
        # Company and user are the same where the name was made of them.
        if self.replace or self.account is None:
            return
        try:
            stored = self.store.load(account)
        except CorruptTokenError:
            return  # it is worth nothing, and logging in again is what helps
        if stored is not None and (stored.api_domain or "") != (token.api_domain or ""):
            raise CommandError(
                f"The account {account} holds a token of {one_line(str(stored.api_domain))}, and"
                f" this one is of {one_line(str(token.api_domain))}. Run the login again with"
                " another --account, or with --replace.",
                ExitCode.USAGE,
            )


def check_store(store: TokenStore, account: str | None) -> None:
    """Make sure that a store works, before anybody is asked for anything.

    Args:
        store: The store.
        account: The name that a token will be stored under, or None where that is not known yet.

    Raises:
        ConfigurationError: There can be no account of this name.
        StoreError: The store does not work.
    """
    if account is not None:
        checked_account(account)
    next(iter(store.accounts()), None)
    # A lock shows that the store can be written to, and leaves nothing behind.
    with store.lock(account or _PROBE):
        pass


def _page_of(error: BaseException) -> Page:
    if isinstance(error, PipedriveOAuthError) and exit_code_of(error) is ExitCode.DECLINED:
        return Page(
            200,
            "The app was not let in",
            "Nothing was changed. You can close this page; the terminal says how to start again.",
        )
    why = "It was stopped in the terminal."
    if isinstance(error, PipedriveOAuthError):
        why = exit_code_of(error).meaning
    return Page(200, "The login did not work", f"{why} The terminal says what to do.")
