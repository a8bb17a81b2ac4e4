"""A token that is always valid, for whoever sends the requests: `TokenSupply`."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from attrs import define, field, frozen

from pipedrive_oauth_client._checks import read_clock
from pipedrive_oauth_client._origins import Origin, URLParts, api_origin, origin, user_origins
from pipedrive_oauth_client._renewal import join, landed, renew
from pipedrive_oauth_client.errors import ConfigurationError, StoreError
from pipedrive_oauth_client.generated.encode import argument
from pipedrive_oauth_client.oauth import AsyncPipedriveOAuth, PipedriveOAuth
from pipedrive_oauth_client.stores.protocol import TokenStore, checked_account, checked_store
from pipedrive_oauth_client.tokens import Token

if TYPE_CHECKING:
    from anyio import Event

__all__ = ["Bearer", "TokenSupply", "until_done"]


@define(eq=False)
class _Waits:
    """One event for all who wait in the same loop.

    The thread then wakes each loop once, however many tasks of it are waiting.
    """

    guard: threading.Lock = field(factory=threading.Lock)
    events: WeakKeyDictionary[Future[Any], dict[object, Event]] = field(
        factory=WeakKeyDictionary[Future[Any], "dict[object, Event]"]
    )

    def forget(self) -> None:
        # After a fork: whoever held the guard has stayed in the parent.
        self.guard, self.events = threading.Lock(), WeakKeyDictionary()


_waits: Final = _Waits()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_waits.forget)


async def until_done(future: Future[Any]) -> None:
    """Wait until a future is done, in asyncio or trio.

    Cancelling the wait leaves the future alone.

    Args:
        future: What to wait for.
    """
    from anyio import Event  # noqa: PLC0415 - httpx, too, loads it as late as this

    loop, soon = _running_loop()
    with _waits.guard:
        events = _waits.events.setdefault(future, {})
        done = events.get(loop)
        is_first = done is None
        if done is None:
            done = events[loop] = Event()
    if is_first:
        happened = done.set

        def wake(_future: Future[Any]) -> None:
            # The loop may have ended while the thread was at work; then nobody waits any more.
            with suppress(RuntimeError):
                soon(happened)

        future.add_done_callback(wake)
    await done.wait()


def _running_loop() -> tuple[object, Callable[[Callable[[], object]], object]]:
    """Give the running event loop, and what a thread calls to have it do something."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None:
        with suppress(RuntimeError):
            loop: Any = asyncio.get_running_loop()
            return loop, loop.call_soon_threadsafe
    from anyio.lowlevel import current_token  # noqa: PLC0415 - only trio gets here

    token: Any = current_token()
    native: Any = getattr(token, "native_token", token)
    return native, native.run_sync_soon


@frozen
class Bearer:
    """A token with what each request needs of it, worked out once.

    Attributes:
        token: The token.
        header: The value of the `Authorization` header; hidden in `repr`.
        stale_at: From when on it is renewed first.
        origins: Where it may go.

    Source:
        RFC 6750, section 2.1.
    """

    token: Token
    header: str = field(repr=False)
    stale_at: datetime
    origins: frozenset[Origin]

    @classmethod
    def of(
        cls, token: Token, *, leeway: timedelta, now: datetime, more: frozenset[Origin]
    ) -> Bearer:
        """Make a token ready.

        Args:
            token: The token.
            leeway: How long before its expiry it is stale.
            now: The present, aware.
            more: Where it may go besides its own API domain.

        Returns:
            The bearer.

        Raises:
            CorruptTokenError: The token is for no address that it may be sent to.
        """
        origins = more
        if token.api_domain is not None:
            origins |= {api_origin(token.api_domain)}
        return cls(token, f"Bearer {token.access_token}", _stale_at(token, leeway, now), origins)

    def may_go_to(self, url: URLParts) -> bool:
        """Tell whether a request to a URL may carry the token.

        Args:
            url: The URL.

        Returns:
            Whether it is of the API's origin, or of one that the user has named.

        Raises:
            ConfigurationError: There is no such origin at all.
        """
        if not self.origins:
            raise ConfigurationError(
                "The token does not say where its API lives (it has no api_domain), so that it is"
                " sent nowhere. Name the host: PipedriveAuth(..., hosts=['acme.pipedrive.com'])."
            )
        return origin(url) in self.origins


def _stale_at(token: Token, leeway: timedelta, now: datetime) -> datetime:
    if token.refresh_token is None:
        return token.expires_at
    left = token.expires_at - now
    # A new token that lives for less than the leeway would be renewed for every single request.
    return token.expires_at - (leeway if left > leeway else max(left / 2, timedelta(0)))


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
            return not is_rejected and not token.is_stale(timedelta(0), read_clock(self.clock))

        def is_good(token: Token) -> bool:
            # What can't be renewed is used to its end.
            leeway = self._leeway if token.refresh_token is not None else timedelta(0)
            return is_usable(token) and not token.is_stale(leeway, read_clock(self.clock))

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
        bearer = Bearer.of(token, leeway=self._leeway, now=read_clock(self.clock), more=self._hosts)
        self.last = bearer
        return bearer
