"""A valid token of one account for anything that sends requests: `TokenSource`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from pipedrive_oauth_client._checks import read_clock
from pipedrive_oauth_client._origins import Origin, URLParts, api_origin, origin_of, parse_hosts
from pipedrive_oauth_client._renewal import Requirement, renew, result_of, start_or_join
from pipedrive_oauth_client.errors import ConfigurationError, CorruptTokenError, StoreError
from pipedrive_oauth_client.generated.encode import argument
from pipedrive_oauth_client.oauth import AsyncPipedriveOAuth, PipedriveOAuth
from pipedrive_oauth_client.stores.protocol import TokenStore, checked_account, checked_store
from pipedrive_oauth_client.tokens import Token

__all__ = ["Bearer", "TokenSource", "wait_until_done"]

_NO_TIME: Final = timedelta(0)
_COOLDOWN: Final = timedelta(seconds=60)
# A caller whose token was rejected may join renewals that only load that token again.
_MOST_RENEWALS: Final = 100


class Bearer:
    """A token with what each request needs of it, computed once.

    Attributes:
        token: The token.
        header: The value of the `Authorization` header.
        stale_at: When it is to be refreshed before it is sent again.
        origins: Where it may be sent.

    Source:
        RFC 6750, section 2.1.
    """

    __slots__ = ("header", "origins", "stale_at", "token")

    def __init__(
        self, token: Token, *, leeway: timedelta, now: datetime, hosts: frozenset[Origin]
    ) -> None:
        self.token = token
        self.header = f"Bearer {token.access_token}"
        self.stale_at = token.expires_at
        if token.refresh_token is not None and token.grant_end is None:
            left = token.expires_at - now
            # A token that lives for less than the leeway would be refreshed for every request.
            self.stale_at -= leeway if left > leeway else max(left / 2, _NO_TIME)
        self.origins = hosts
        if token.api_domain is not None:
            own = api_origin(token.api_domain)
            if own is None:
                raise CorruptTokenError(
                    "The api_domain of the stored token is not an https address, so the token is"
                    " sent nowhere. Have the person authorize the app again."
                )
            self.origins = hosts | {own}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.token!r}, stale_at={self.stale_at!r})"

    def may_go_to(self, url: URLParts) -> bool:
        """Tell whether a request to a URL may carry the token.

        Args:
            url: The URL.

        Returns:
            Whether its origin is the API's, or one that the user has named.

        Raises:
            ConfigurationError: There is no such origin at all.
        """
        if not self.origins:
            raise ConfigurationError(
                "The token does not say where its API is (it has no api_domain), so it is sent"
                " nowhere. Name the host: PipedriveAuth(..., hosts=['acme.pipedrive.com'])."
            )
        return origin_of(url) in self.origins


class _RefreshCooldown:
    """Remembers for a minute that the API rejected even a token that had just been refreshed.

    The token is then not what the API objects to, and each further 401 would cost a refresh.
    """

    __slots__ = ("_since",)

    def __init__(self) -> None:
        self._since: datetime | None = None

    def start(self, now: datetime) -> None:
        self._since = now

    def active(self, now: datetime) -> bool:
        # A clock that was put back does not prolong it.
        return self._since is not None and _NO_TIME <= now - self._since < _COOLDOWN


class TokenSource:
    """Gives the cached token for as long as it is valid, and refreshes it when it is not.

    Args:
        oauth: Refreshes tokens.
        store: Holds the account's token.
        account: The account.
        leeway: How long before its expiry a token is refreshed.
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
        if argument("leeway", leeway, timedelta) < _NO_TIME:
            raise ConfigurationError("leeway must not be negative.")
        self._leeway = leeway
        self._hosts = parse_hosts(hosts)
        self.clock: Final = oauth.clock
        self.cooldown: Final = _RefreshCooldown()
        self._cache: Bearer | None = None

    def cached(self, rejected: Token | None = None) -> Bearer | None:
        """Give the cached token if it is valid and not `rejected`. This does no I/O."""
        if rejected is not None:
            argument("rejected", rejected, Token)
        bearer = self._cache
        if bearer is None or self.clock() >= bearer.stale_at:
            return None
        if rejected is not None and bearer.token.access_token == rejected.access_token:
            return None
        return bearer

    def get(self, rejected: Token | None = None) -> Bearer:
        """Give a token that is stored and valid, refreshed if need be."""
        search = _Search(rejected)
        while True:
            future = start_or_join(self._store, self.account, partial(self._renew, search))
            bearer = self._bearer_from(future, search)
            if bearer is not None:
                return bearer

    async def aget(self, rejected: Token | None = None) -> Bearer:
        """Do the same as `get` without blocking the event loop."""
        search = _Search(rejected)
        while True:
            future = start_or_join(self._store, self.account, partial(self._renew, search))
            await wait_until_done(future)
            bearer = self._bearer_from(future, search)
            if bearer is not None:
                return bearer

    def is_elsewhere(self, url: URLParts) -> bool:
        """Tell whether the latest token is known not to go to a URL, so that none is needed."""
        return self._cache is not None and not self._cache.may_go_to(url)

    def should_refresh(self, bearer: Bearer, sent_header: object) -> bool:
        """Tell whether a response with status 401 calls for another token.

        It does not where the request did not carry this one: a redirect may have removed it.
        """
        return sent_header == bearer.header and not self.cooldown.active(read_clock(self.clock))

    def note_second_rejection(self, bearer: Bearer, sent_header: object) -> None:
        """Start the cooldown if the API has rejected a token that was just refreshed."""
        if sent_header == bearer.header:
            self.cooldown.start(read_clock(self.clock))

    def _renew(self, search: _Search) -> Token:
        requirement = Requirement(self.clock, self._leeway, search.rejected)
        try:
            token, _ = renew(self._oauth, self._store, self.account, requirement)
        finally:
            if self._owns_oauth:
                self._oauth.close()  # else its connection stays open for an hour, and unused
        search.has_renewed = True
        # At once, and not when the first waiting caller wakes: a caller that came in between would
        # start another renewal to find what this one has stored.
        self._remember(token)
        return token

    def _bearer_from(self, future: Future[Token], search: _Search) -> Bearer | None:
        """Give the result of a renewal; None where another's has brought the rejected token."""
        try:
            token = result_of(future)
        except StoreError:
            if search.rejected is not None:
                self._cache = None  # so that the next caller loads, and flushes the pending save
            raise
        search.renewals += 1
        is_over = search.has_renewed or search.renewals == _MOST_RENEWALS
        if token.access_token == search.rejected and not is_over:
            return None
        return self._remember(token)

    def _remember(self, token: Token) -> Bearer:
        bearer = self._cache
        if bearer is None or bearer.token is not token:  # all who waited for it come by here
            bearer = self._cache = Bearer(
                token, leeway=self._leeway, now=read_clock(self.clock), hosts=self._hosts
            )
        return bearer


class _Search:
    """One caller's search for a token that the API has not rejected."""

    __slots__ = ("has_renewed", "rejected", "renewals")

    def __init__(self, rejected: Token | None) -> None:
        self.rejected = None if rejected is None else rejected.access_token
        self.has_renewed = False  # it may join renewals of other callers, which accept that token
        self.renewals = 0


async def wait_until_done(future: Future[Any]) -> None:
    """Wait for a thread's future, in asyncio or trio. Canceling the wait leaves it alone."""
    from anyio import Event  # noqa: PLC0415 - httpx, too, imports it as late as this

    schedule = _scheduler()
    done = Event()

    def wake(_future: Future[Any]) -> None:
        with suppress(RuntimeError):  # the loop has ended meanwhile, and with it the wait
            schedule(done.set)

    future.add_done_callback(wake)
    await done.wait()


def _scheduler() -> Callable[[Callable[[], object]], object]:
    """Give what schedules a call in the running event loop from another thread."""
    schedule: Callable[[Callable[[], object]], object]
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None:
        with suppress(RuntimeError):
            schedule = asyncio.get_running_loop().call_soon_threadsafe
            return schedule
    from anyio.lowlevel import current_token  # noqa: PLC0415 - only trio gets here

    token: Any = current_token()
    schedule = getattr(token, "native_token", token).run_sync_soon
    return schedule
