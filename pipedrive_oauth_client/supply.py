"""A token that is always valid, for whoever sends the requests: `TokenSupply`."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from concurrent.futures import Future
from datetime import timedelta
from typing import Final

from pipedrive_oauth_client.async_flow import AsyncPipedriveOAuth
from pipedrive_oauth_client.bearer import Bearer
from pipedrive_oauth_client.clock import read
from pipedrive_oauth_client.errors import ConfigurationError, StoreError
from pipedrive_oauth_client.flights import join, landed
from pipedrive_oauth_client.flow import PipedriveOAuth
from pipedrive_oauth_client.generated.encode import argument
from pipedrive_oauth_client.origins import user_origins
from pipedrive_oauth_client.renewal import renew
from pipedrive_oauth_client.stores.accounts import checked_account
from pipedrive_oauth_client.stores.protocol import TokenStore, checked_store
from pipedrive_oauth_client.tokens import Token
from pipedrive_oauth_client.waiting import until_done

__all__ = ["TokenSupply"]

_MOST_FLIGHTS: Final = 100


class TokenSupply:
    """Gives the token at hand for as long as it is valid, and renews it when it is not.

    Args:
        oauth: The flow that renews.
        store: Where the account's token is kept.
        account: The account.
        leeway: How long before its expiry a token is renewed.
        hosts: Where the token may go besides its `api_domain`.

    Raises:
        ConfigurationError: An argument can't be right.
    """

    def __init__(
        self,
        oauth: PipedriveOAuth | AsyncPipedriveOAuth,
        store: TokenStore,
        account: str,
        *,
        leeway: timedelta,
        hosts: Iterable[str],
    ) -> None:
        argument("oauth", oauth, PipedriveOAuth | AsyncPipedriveOAuth)
        self._oauth = oauth.blocking() if isinstance(oauth, AsyncPipedriveOAuth) else oauth
        self._owns_oauth = self._oauth is not oauth
        self._store = checked_store("store", store)
        self.account: Final = checked_account(account)
        if argument("leeway", leeway, timedelta) < timedelta(0):
            raise ConfigurationError("leeway must not be below zero.")
        self._leeway = leeway
        self._hosts = user_origins(hosts)
        self.clock: Final = oauth.clock
        self.last: Bearer | None = None

    def ready(self, rejected: Token | None = None) -> Bearer | None:
        """Give the token at hand, if it will do. This asks nobody and locks nothing.

        Args:
            rejected: A token that will not do.

        Returns:
            The token, ready to be sent, or None.
        """
        if rejected is not None:
            argument("rejected", rejected, Token)
        bearer = self.last
        if bearer is None or self.clock() >= bearer.stale_at:
            return None
        if rejected is not None and bearer.token.access_token == rejected.access_token:
            return None
        return bearer

    def get(self, rejected: Token | None = None) -> Bearer:
        """Give a token that is stored and valid, renewed if need be.

        Args:
            rejected: A token that will not do.

        Returns:
            The token, ready to be sent.

        Raises:
            PipedriveOAuthError: The service or the store failed.
        """
        flights = self._flights(rejected)
        flight = next(flights)
        while True:
            token = self._landed(flight, rejected)
            try:
                flight = flights.send(token)
            except StopIteration:
                return self._remembered(token)

    async def aget(self, rejected: Token | None = None) -> Bearer:
        """Do the same as `get` without blocking the event loop.

        Args:
            rejected: A token that will not do.

        Returns:
            The token, ready to be sent.

        Raises:
            PipedriveOAuthError: The service or the store failed.
        """
        flights = self._flights(rejected)
        flight = next(flights)
        while True:
            await until_done(flight)
            token = self._landed(flight, rejected)
            try:
                flight = flights.send(token)
            except StopIteration:
                return self._remembered(token)

    def _flights(self, rejected: Token | None) -> Generator[Future[Token], Token]:
        # A flight that somebody else began may bring the very token that was rejected.
        own: list[Token] = []

        def work() -> Token:
            token = self._renew(rejected)
            own.append(token)
            # At once, and not when the first of those who wait is woken: whoever comes in between
            # would begin another flight, with a thread, to find what this one has stored.
            self._remembered(token)
            return token

        for _ in range(_MOST_FLIGHTS):
            token = yield join(self._store, self.account, work)
            if rejected is None or own or token.access_token != rejected.access_token:
                return

    def _renew(self, rejected: Token | None) -> Token:
        def is_usable(token: Token) -> bool:
            is_rejected = rejected is not None and token.access_token == rejected.access_token
            return not is_rejected and not token.is_stale(timedelta(0), read(self.clock))

        def is_good(token: Token) -> bool:
            # What can't be renewed is used to its end.
            leeway = self._leeway if token.refresh_token is not None else timedelta(0)
            return is_usable(token) and not token.is_stale(leeway, read(self.clock))

        try:
            return renew(
                self._oauth, self._store, self.account, is_good=is_good, is_usable=is_usable
            )
        finally:
            if self._owns_oauth:
                self._oauth.close()  # else its connection stays open for an hour, and unused

    def _landed(self, flight: Future[Token], rejected: Token | None) -> Token:
        try:
            return landed(flight)
        except StoreError:
            if rejected is not None:
                self.last = None  # so that the next caller asks the store, and saves what is kept
            raise

    def _remembered(self, token: Token) -> Bearer:
        last = self.last
        if last is not None and last.token is token:
            return last  # all who waited for it come by here
        bearer = Bearer.of(token, leeway=self._leeway, now=read(self.clock), more=self._hosts)
        self.last = bearer
        return bearer
