"""`login`: consent in the browser, a token, and the store."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from pipedrive_oauth_client.asking import ask
from pipedrive_oauth_client.cli.arrivals import Arrival
from pipedrive_oauth_client.cli.callback_page import Page
from pipedrive_oauth_client.cli.exits import CommandError, ExitCode, exit_code_of
from pipedrive_oauth_client.cli.reports import one_line
from pipedrive_oauth_client.cli.saving import until_saved
from pipedrive_oauth_client.errors import (
    AuthorizationDeniedError,
    CallbackError,
    CorruptTokenError,
    PipedriveOAuthError,
    StoreError,
)
from pipedrive_oauth_client.flow import PipedriveOAuth
from pipedrive_oauth_client.people import PipedriveUser
from pipedrive_oauth_client.stores.accounts import checked_account
from pipedrive_oauth_client.stores.protocol import TokenStore
from pipedrive_oauth_client.tokens import Token

__all__ = ["Connected", "Login", "check_store"]

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
        arrival: How the callback reaches the command.
        account: The name to store it under; company and user by default.
        replace: Whether it may take the place of another company's token.
        ask: Asks the person for a line; None where nobody can be asked.
        tell: Tells the person something.
    """

    oauth: PipedriveOAuth
    store: TokenStore
    arrival: Arrival
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
            self.arrival.finish(_page_of(error))
            raise
        self.arrival.finish(
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
            return self.arrival.code()
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
            until_saved(lambda: self.store.save(account, token), lambda: True, self.tell)
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
            return ask(token, None, self.oauth.clock)
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
