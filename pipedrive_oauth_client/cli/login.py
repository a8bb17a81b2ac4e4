"""`login`: consent in the browser, the callback, and the token in the store."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final, Protocol

from attrs import frozen

from pipedrive_oauth_client.authorization import AuthorizationRequest, is_expected_callback
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
    "Login",
    "LoginResult",
    "check_store",
    "open_browser",
    "open_callback_source",
    "remote_reason",
]

_OPENER: Final = "import sys, webbrowser; sys.exit(not webbrowser.open(sys.stdin.read()))"
_OPENER_SECONDS: Final = 1
_PROMPT = "The URL that the browser shows afterwards (input is hidden):"
_PROBE_ACCOUNT = "pipedrive-oauth login"
_NOT_SAVED = "Pipedrive has granted access, but the token was not saved; the store is unchanged."
# Some run as long as the browser does. They are kept so that Python does not warn about them.
_openers: Final[list[subprocess.Popen[str]]] = []


def open_browser(url: str) -> bool:
    """Open a URL in the user's browser; return False where there is none with a window."""
    # A browser that draws in the terminal would take it over.
    if not _has_windows():
        return False
    # In a process of its own: browsers write to the terminal, and Ctrl-C in it would end them.
    try:
        opener = subprocess.Popen(
            [sys.executable, "-I", "-c", _OPENER],
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
        opener.communicate(url, timeout=_OPENER_SECONDS)
    except subprocess.TimeoutExpired:
        return True
    except OSError:
        return False
    return opener.returncode == 0


def _has_windows() -> bool:
    if sys.platform in ("win32", "darwin") or os.environ.get("BROWSER"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def remote_reason() -> str | None:
    """Tell from the environment why the browser may be on another machine, as half a sentence."""
    if any(os.environ.get(name) for name in ("SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY")):
        return "This is an SSH session; if your browser is on your own machine"
    files = (Path("/.dockerenv"), Path("/run/.containerenv"))
    if os.environ.get("KUBERNETES_SERVICE_HOST") or any(each.exists() for each in files):
        return "This is a container; if your browser is outside of it"
    return None


class CallbackSource(Protocol):
    """Sends the user to the consent page, and receives the callback."""

    def code(self) -> str:
        """Send the user to the consent page, and return the code of the callback."""
        ...

    def finish(self, page: Page) -> None:
        """Show the outcome in the browser, where that is possible."""
        ...


@contextmanager
def open_callback_source(
    oauth: PipedriveOAuth, *, timeout: float, opens: bool, paste: bool
) -> Generator[CallbackSource]:
    """Prepare for the callback: listen on a redirect URI of this machine, or else prompt."""
    request = oauth.authorization_url()
    redirect_uri = oauth.credentials.redirect_uri

    def is_expected(callback: str) -> bool:
        return is_expected_callback(callback, request.state)

    def read(callback: str) -> str:
        return oauth.read_callback(callback, request.state)

    loopback = None if paste else loopback_of(redirect_uri)
    if loopback is None:
        yield _PastedCallback(request, redirect_uri, timeout, is_expected, read)
        return
    with CallbackServer(loopback, is_expected, read) as server:
        yield _BrowserCallback(request, server, timeout, opens)


@frozen
class _BrowserCallback:
    request: AuthorizationRequest
    server: CallbackServer
    timeout: float
    opens: bool

    def code(self) -> str:
        remote = remote_reason()
        if self.opens and open_browser(self.request.url):
            say("Waiting for your decision in the browser. If it shows no page, open:")
        else:
            say("Open this URL in a browser on this machine:")
            remote = remote or "If your browser is on another machine"
        say(f"\n  {self.request.url}\n")
        if remote is not None:
            say(f"{remote}, press Ctrl-C and run: pipedrive-oauth login --paste\n")
        return self.server.code(self.timeout)

    def finish(self, page: Page) -> None:
        self.server.finish(page)


@frozen
class _PastedCallback:
    request: AuthorizationRequest
    redirect_uri: str
    timeout: float
    is_expected: Callable[[str], bool]
    read: Callable[[str], str]

    def code(self) -> str:
        say(f"Open this URL in any browser:\n\n  {self.request.url}\n")
        say(
            f"After your decision the browser opens {self.redirect_uri}?..., which may show an"
            " error. Copy the whole URL from its address bar."
        )
        with _time_limit(self.timeout):
            pasted = self._ask() if can_ask() else _read_line()
        if not pasted:
            raise CommandError(
                "No URL was pasted; nothing was changed. Run the command again.", ExitCode.USAGE
            )
        return self.read(pasted)

    def _ask(self) -> str:
        """Prompt until the URL of this login is pasted, whatever it says."""
        while True:
            pasted = ask_hidden(_PROMPT)
            if self.is_expected(pasted):
                return pasted
            reason = "Nothing was pasted"
            if pasted:
                try:
                    self.read(pasted)
                except CallbackError as error:
                    reason = str(error).partition(". ")[0]
            say(f"{reason}. Paste the whole URL again, or press Ctrl-C to stop.")

    def finish(self, page: Page) -> None:
        del page  # the browser is not connected to this command


def _read_line() -> str:
    return sys.stdin.readline().strip() if sys.stdin is not None else ""


@contextmanager
def _time_limit(seconds: float) -> Generator[None]:
    # Windows has no such signal, and Python delivers signals to the main thread alone.
    if not hasattr(signal, "setitimer"):
        yield
        return
    if threading.current_thread() is not threading.main_thread():
        say("Outside the main thread this prompt has no time limit.")
        yield
        return

    def expire(_signal: int, _frame: FrameType | None) -> None:
        raise CommandError(
            f"No URL was pasted within {seconds:g} seconds; nothing was changed. Run the"
            " command again, with a longer --timeout if needed.",
            ExitCode.TIMED_OUT,
        )

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@frozen
class LoginResult:
    """The stored token, and its user where Pipedrive has named them."""

    account: str
    token: Token
    owner: PipedriveUser | None


@frozen
class Login:
    """One login. `ask` is None where the command cannot prompt."""

    oauth: PipedriveOAuth
    store: TokenStore
    callback_source: CallbackSource
    account: str | None
    replace: bool
    ask: Callable[[str], str] | None
    notify: Callable[[str], object]

    def run(self) -> LoginResult:
        """Log in, and store the token."""
        try:
            result = self._store_token(self._code())
        except BaseException as error:
            self.callback_source.finish(_page_of(error))
            raise
        self.callback_source.finish(
            Page(
                200,
                "You are logged in",
                f"The token of {result.account} is saved. You can close this page and go back"
                " to the terminal.",
            )
        )
        return result

    def _code(self) -> str:
        # The rest of the library's message is advice for the developer of an app, not its user.
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

    def _store_token(self, code: str) -> LoginResult:
        token = self.oauth.exchange(code)
        try:
            owner = self._owner(token)
            account = self.account or (owner.account if owner else self._ask_name())
            self._check_company(account, token, owner)
            retry_save(lambda: self.store.save(account, token), lambda: True, self.notify)
        except CommandError as error:
            raise CommandError(f"{_NOT_SAVED} {error}", error.code) from error
        except StoreError as error:
            raise CommandError(
                f"{_NOT_SAVED} {error} Then run the login again: its token replaces this one.",
                ExitCode.STORE,
            ) from error
        except BaseException:  # for example Ctrl-C
            self.notify(f"{_NOT_SAVED} Run the login again.")
            raise
        return LoginResult(account, token, owner)

    def _owner(self, token: Token) -> PipedriveUser | None:
        try:
            return fetch_current_user(token, None, self.oauth.clock)
        except PipedriveOAuthError as error:
            # The owner only gives the account its name.
            if self.account is None and self.ask is None:
                raise CommandError(
                    f"{error} Run the login again with a name: --account NAME.",
                    ExitCode.NO_ANSWER,
                ) from error
            self.notify(str(error))
            return None

    def _ask_name(self) -> str:
        while True:
            assert self.ask is not None  # noqa: S101 - else `_owner` has raised
            try:
                return checked_account(self.ask("Account name to store the token under:"))
            except PipedriveOAuthError as error:
                if isinstance(error, CommandError):
                    raise
                self.notify(str(error))

    def _check_company(self, account: str, token: Token, owner: PipedriveUser | None) -> None:
        # A name made of company and user belongs to the same company.
        if self.replace or self.account is None:
            return
        try:
            stored = self.store.load(account)
        except CorruptTokenError:
            return  # logging in again is what repairs it
        if stored is None:
            return
        ids = self._companies(account, stored, owner)
        # Pipedrive has a domain for each company.
        old, new = (
            (one_line(str(stored.api_domain)), one_line(str(token.api_domain)))
            if ids is None
            else (f"company {ids[0]}", f"company {ids[1]}")
        )
        if old != new:
            raise CommandError(
                f"The account '{account}' holds a token of {old}, and the new token is of"
                f" {new}. Run the login again with another --account, or with --replace.",
                ExitCode.USAGE,
            )

    def _companies(
        self, account: str, stored: Token, owner: PipedriveUser | None
    ) -> tuple[int, int] | None:
        """Return the companies of the stored token and of the new one, if both are known."""
        if owner is None:
            return None
        named = _COMPANY_AND_USER.fullmatch(account)
        if named:
            return int(named[1]), owner.company_id
        if stored.token_type.lower() != "bearer" or stored.is_stale():
            return None
        try:
            return fetch_current_user(stored, None, self.oauth.clock).company_id, owner.company_id
        except PipedriveOAuthError:
            return None


_COMPANY_AND_USER: Final = re.compile(r"([0-9]{1,18}):[0-9]{1,18}", re.ASCII)


def check_store(store: TokenStore, account: str | None) -> None:
    """Make sure that a store works, before the user has to do anything."""
    if account is not None:
        checked_account(account)
    next(iter(store.accounts()), None)
    # Taking a lock proves that the store can be written to, and leaves nothing behind.
    with store.lock(account or _PROBE_ACCOUNT):
        pass


def _page_of(error: BaseException) -> Page:
    if isinstance(error, PipedriveOAuthError) and exit_code_of(error) is ExitCode.DECLINED:
        return Page(
            200,
            "Access was declined",
            "Nothing was changed. You can close this page; the terminal shows how to start again.",
        )
    reason = "It was stopped in the terminal."
    if isinstance(error, PipedriveOAuthError):
        reason = exit_code_of(error).meaning
    return Page(200, "The login failed", f"{reason} See the terminal for what to do next.")
