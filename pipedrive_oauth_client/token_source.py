"""A valid token of one account for anything that sends requests: `TokenSource`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from logging import getLogger
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from weakref import WeakKeyDictionary

from pipedrive_oauth_client._checks import read_clock
from pipedrive_oauth_client._origins import (
    Origin,
    URLParts,
    api_origin,
    may_be_api,
    origin_of,
    origin_text,
    parse_hosts,
)
from pipedrive_oauth_client._renewal import (
    Requirement,
    renew_and_report,
    result_of,
    start_or_join,
)
from pipedrive_oauth_client.errors import (
    ConfigurationError,
    CorruptTokenError,
    MissingScopesError,
    PipedriveOAuthError,
    ProcessBound,
    StoreError,
    TokenNotFoundError,
    TokenRequestError,
)
from pipedrive_oauth_client.generated.encode import argument
from pipedrive_oauth_client.oauth import AsyncPipedriveOAuth, PipedriveOAuth
from pipedrive_oauth_client.stores.protocol import TokenStore, checked_account, checked_store
from pipedrive_oauth_client.tokens import Token, checked_scopes

if TYPE_CHECKING:
    import anyio

    from pipedrive_oauth_client.events import Event

__all__ = ["Bearer", "TokenSource", "wait_until_done"]

_NO_TIME: Final = timedelta(0)
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)
_COOLDOWN: Final = timedelta(seconds=60)
# After a failed refresh that was only early. The default leeway has room for several attempts.
_EARLY_COOLDOWN: Final = timedelta(seconds=10)
_MOST_NOTES: Final = 1000
_LOGGER: Final = getLogger("pipedrive_oauth_client")
# A caller whose token was rejected may join renewals that only load that token again.
_MOST_RENEWALS: Final = 100


class Bearer:
    """A token with what each request needs of it, computed once.

    Attributes:
        token: The token.
        header: The value of the `Authorization` header.
        stale_at: When it is to be refreshed before it is sent again.
        origins: Where it may be sent.
        former: The former origins of its API, whose requests go to the current one.
        is_unused: Whether it was just refreshed, and nothing has been sent with it yet.

    Source:
        RFC 6750, section 2.1.
    """

    __slots__ = ("_own", "former", "header", "is_unused", "origins", "stale_at", "token")

    def __init__(
        self,
        token: Token,
        *,
        leeway: timedelta,
        now: datetime,
        hosts: frozenset[Origin],
    ) -> None:
        self.token = token
        self.is_unused = False
        self.header = f"Bearer {token.access_token}"
        self.stale_at = token.expires_at
        if token.refresh_token is not None and token.grant_end is None:
            left = token.expires_at - now
            # A token that lives for less than the leeway would be refreshed for every request.
            self.stale_at -= leeway if left > leeway else max(left / 2, _NO_TIME)
        self.origins = hosts
        self._own: Origin | None = None
        if token.api_domain is not None:
            self._own = own = api_origin(token.api_domain)
            if own is None:
                raise CorruptTokenError(
                    "The api_domain of the stored token is not an https address, so the token is"
                    " sent nowhere. Have the user authorize the app again."
                )
            self.origins = hosts | {own}
        former = map(api_origin, token.former_api_domains)
        self.former = frozenset(each for each in former if each is not None) - self.origins

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

    def current_origin(self, url: URLParts) -> Origin | None:
        """Give the origin that a request goes to in place of a former one of the account's API.

        Args:
            url: The URL of the request.

        Returns:
            The current origin of the API; None where the request is none to a former one.
        """
        return self._own if origin_of(url) in self.former else None


class _Pause(NamedTuple):
    """A time within which something is not tried again."""

    store: TokenStore  # while it is referenced, no other store gets its id
    since: datetime
    until: datetime


# An early refresh that has failed.
_EARLY: Final = "early"
# The API rejected even a token that had just been refreshed. The token is then not what the API
# objects to, and each further 401 would cost a refresh.
_REJECTED: Final = "rejected"


class _FlowNotes:
    """What all token sources of one flow know of its accounts, however short each of them lives.

    An app may have one for each of its requests.
    """

    __slots__ = ("_pauses", "_purged_at", "_told")

    def __init__(self) -> None:
        self._pauses: dict[tuple[str, int, str], _Pause] = {}
        self._purged_at = 64
        self._told: dict[object, object] = {}

    def pause(
        self, why: str, store: TokenStore, account: str, clock: Callable[[], datetime]
    ) -> _Pause | None:
        """Give the account's pause that still counts. A clock that was put back ends it."""
        found = self._pauses.get((why, id(store), account))
        if found is None or not found.since <= read_clock(clock) < found.until:
            return None
        return found

    def begin_pause(
        self, why: str, store: TokenStore, account: str, now: datetime, length: timedelta
    ) -> None:
        known = self._pauses
        if len(known) >= self._purged_at:
            for key, each in list(known.items()):
                if not each.since <= now < each.until:
                    known.pop(key, None)
            self._purged_at = 2 * len(known) + 64
        known[why, id(store), account] = _Pause(store, now, now + length)

    def end_pause(self, why: str, store: TokenStore, account: str) -> None:
        self._pauses.pop((why, id(store), account), None)

    def is_first(self, *what: object) -> bool:
        """Tell whether something has not been logged yet. After 1,000 things, nothing is new."""
        mark = object()
        # One atomic step, so that of many threads one logs it.
        return len(self._told) < _MOST_NOTES and self._told.setdefault(what, mark) is mark


_notes_of_flows: Final[WeakKeyDictionary[PipedriveOAuth | AsyncPipedriveOAuth, _FlowNotes]] = (
    WeakKeyDictionary()
)


class TokenSource(ProcessBound):
    """Gives the cached token for as long as it is valid, and refreshes it when it is not.

    Args:
        oauth: Refreshes tokens.
        store: Holds the account's token.
        account: The account.
        leeway: How long before its expiry a token is refreshed.
        hosts: Where the token may go besides its `api_domain`.
        required_scopes: What the token has to be for.

    Raises:
        ConfigurationError: An argument is not valid.
    """

    def __init__(
        self,
        oauth: PipedriveOAuth | AsyncPipedriveOAuth,
        store: TokenStore,
        account: str,
        *,
        leeway: timedelta,
        hosts: Iterable[str],
        required_scopes: Iterable[str] = (),
    ) -> None:
        argument("oauth", oauth, PipedriveOAuth | AsyncPipedriveOAuth)
        self._oauth = oauth.blocking() if isinstance(oauth, AsyncPipedriveOAuth) else oauth
        self._owns_oauth = self._oauth is not oauth
        self._notes = _notes_of_flows.setdefault(oauth, _FlowNotes())
        self._any_host = oauth.allows_any_api_domain
        self._store = checked_store("store", store)
        self.account: Final = checked_account(account)
        if argument("leeway", leeway, timedelta) < _NO_TIME:
            raise ConfigurationError("leeway must not be negative.")
        self._leeway = leeway
        self._hosts = parse_hosts(hosts)
        self._required_scopes = checked_scopes("required_scopes", required_scopes)
        self._check = self._check_scopes if self._required_scopes else None
        self.clock: Final = oauth.clock
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
        search = _Search(rejected, self._cache)
        while True:
            future = self._start_or_join(search)
            future.exception()  # waits for it
            bearer = self.cached(rejected) or self._bearer_from(future, search)
            if bearer is not None:
                return bearer

    async def aget(self, rejected: Token | None = None) -> Bearer:
        """Do the same as `get` without blocking the event loop."""
        search = _Search(rejected, self._cache)
        while True:
            future = self._start_or_join(search)
            await wait_until_done(future)
            # For most of those who wait, it has cached what they want.
            bearer = self.cached(rejected) or self._bearer_from(future, search)
            if bearer is not None:
                return bearer

    def get_for(self, url: URLParts) -> Bearer | None:
        """Give a token as `get` does; None where none can be had, and the URL gets none anyway."""
        try:
            return self.get()
        except PipedriveOAuthError:
            if not self._gets_none(url):
                raise
        return None

    async def aget_for(self, url: URLParts) -> Bearer | None:
        """Do the same as `get_for` without blocking the event loop."""
        try:
            return await self.aget()
        except PipedriveOAuthError:
            if not self._gets_none(url):
                raise
        return None

    def is_elsewhere(self, url: URLParts) -> bool:
        """Tell whether the latest token is known not to go to a URL, so that none is needed."""
        cached = self._cache
        if cached is None or cached.may_go_to(url) or cached.current_origin(url) is not None:
            return False
        # The next refresh may name another domain of Pipedrive.
        return self._any_host or not may_be_api(origin_of(url))

    def _gets_none(self, url: URLParts) -> bool:
        if self._cache is not None:
            return self.is_elsewhere(url)
        # No token is known at all. It would be for a domain of Pipedrive, or for a named host.
        origin = origin_of(url)
        return not (self._any_host or origin in self._hosts or may_be_api(origin))

    def note_withheld(self, url: URLParts) -> None:
        """Log that a request to a URL carries no token, once for each origin."""
        origin = origin_of(url)
        if self._notes.is_first(self.account, "withheld", origin):
            host = origin_text(origin)
            _LOGGER.warning(
                "A request to %s was sent without the token of %r, which goes to its api_domain"
                " only. If it may go there as well: PipedriveAuth(..., hosts=[%r]).",
                host,
                self.account,
                host,
            )
            if self._oauth.has_on_event:
                from pipedrive_oauth_client.events import TokenWithheld  # noqa: PLC0415 - rare

                self._oauth.emit(TokenWithheld(account=self.account, origin=host))

    def note_moved(self, url: URLParts, current: Origin) -> None:
        """Log that a request to a former api_domain goes to the current one, once for each."""
        origin = origin_of(url)
        if self._notes.is_first(self.account, "moved", origin, current):
            _LOGGER.info(
                "The API of %r has moved: requests to %s go to %s.",
                self.account,
                origin_text(origin),
                origin_text(current),
            )

    def should_refresh(self, bearer: Bearer, sent_header: object) -> bool:
        """Tell whether a response with status 401 calls for another token.

        It does not where the request did not carry this one: a redirect may have removed it. Nor
        does it where this one was just refreshed: the token is not what the API objects to.
        """
        is_unused, bearer.is_unused = bearer.is_unused, False
        if sent_header != bearer.header:
            return False
        if is_unused or self._pause(_unused(bearer.token)) is not None:
            self._begin_cooldown()
        return self._pause(_REJECTED) is None

    def note_second_response(self, bearer: Bearer, sent_header: object, status: int) -> None:
        """Note what has become of a token that replaced a rejected one.

        If the API has rejected it, too, the cooldown begins.
        """
        bearer.is_unused = False
        if status == 401 and sent_header == bearer.header:
            self._begin_cooldown()

    def note_unused(self, bearer: Bearer) -> None:
        """Note that a token replaced a rejected one for a request that can't be sent again.

        The next request may be another object's, which would refresh once more.
        """
        self._begin_cooldown(_unused(bearer.token))

    def _begin_cooldown(self, why: str = _REJECTED) -> None:
        now = read_clock(self.clock)
        self._notes.begin_pause(why, self._store, self.account, now, _COOLDOWN)

    def _pause(self, why: str) -> _Pause | None:
        return self._notes.pause(why, self._store, self.account, self.clock)

    def _start_or_join(self, search: _Search) -> Future[Token]:
        work, report = partial(self._renew, search), partial(self._report, search)
        return start_or_join(self._store, self.account, work, report=report)

    def _report(self, search: _Search) -> None:
        for event in search.events:
            self._oauth.emit(event)

    def _renew(self, search: _Search) -> Token:
        failure = self._notes.pause(_EARLY, self._store, self.account, self.clock)
        leeway = self._leeway if failure is None else _NO_TIME
        requirement = Requirement(self.clock, leeway, search.rejected, self._check)
        was_refreshed = False
        try:
            token, was_refreshed = renew_and_report(
                self._oauth,
                self._store,
                self.account,
                requirement,
                events=search.events,
                cached=None if self._cache is None else self._cache.token,
            )
        except PipedriveOAuthError as error:
            usable = self._usable_after(error, requirement)
            if usable is None:
                self._remember_place(requirement.latest)
                raise
            token = usable
            if failure is None:
                self._note_early_failure(error, token)
        else:
            if was_refreshed:
                self._notes.end_pause(_EARLY, self._store, self.account)
                if self._check is not None:
                    self._check(token)
        finally:
            if self._owns_oauth:
                self._oauth.close()  # else its connection stays open for an hour, and unused
        search.has_renewed = True
        # At once, and not when the first waiting caller wakes: a caller that came in between would
        # start another renewal to find what this one has stored. Renewals of an account follow one
        # another, so that this is its newest token, whatever the cached one says of itself.
        bearer = self._bearer_of(token)
        bearer.is_unused = was_refreshed or search.rejected is not None
        self._cache = bearer
        return token

    def _check_scopes(self, token: Token) -> None:
        missing = token.missing_scopes(self._required_scopes)
        if missing:
            raise MissingScopesError(
                f"The token of {self.account!r} lacks the scopes {', '.join(sorted(missing))}. A"
                " refresh adds no scopes: the user has to authorize the app again. If it"
                " lacks them still, add them to the app in Pipedrive's Developer Hub.",
                missing=missing,
            )

    def _remember_place(self, token: Token | None) -> None:
        # A token that could not be refreshed still says where its API is.
        if self._cache is None and token is not None:
            with suppress(CorruptTokenError):
                bearer = self._bearer_of(token)
                bearer.stale_at = _LONG_AGO
                self._cache = bearer

    def _usable_after(self, error: PipedriveOAuthError, requirement: Requirement) -> Token | None:
        """Give the token that serves although it could not be refreshed; None if none does."""
        if isinstance(error, TokenNotFoundError | MissingScopesError):
            return None  # the account was deleted, perhaps since the user has disconnected it
        now = read_clock(self.clock)
        cached = None if self._cache is None else self._cache.token
        for token in (requirement.latest, cached):
            if (
                token is not None
                and token.access_token != requirement.rejected
                and token.expires_at > now
            ):
                return token
        return None

    def _note_early_failure(self, error: PipedriveOAuthError, token: Token) -> None:
        now = read_clock(self.clock)
        asked = error.retry_after if isinstance(error, TokenRequestError) else None
        pause = max(_EARLY_COOLDOWN, asked or _NO_TIME)
        self._notes.begin_pause(_EARLY, self._store, self.account, now, pause)
        _LOGGER.warning(
            "The token of %r could not be refreshed early. It is used until it expires, in %d"
            " seconds; the next attempt is in %d seconds at the earliest. %s",
            self.account,
            (token.expires_at - now).total_seconds(),
            pause.total_seconds(),
            error,
        )

    def _bearer_from(self, future: Future[Token], search: _Search) -> Bearer | None:
        """Give the result of a renewal; None where another's does not serve this caller."""
        try:
            token = result_of(future)
        except PipedriveOAuthError as error:
            cached = self._cache
            requirement = Requirement(self.clock, _NO_TIME, search.rejected)
            # Another caller's, which may have asked for more. What is cached may serve this one.
            if (
                cached is not None
                and not isinstance(error, TokenNotFoundError | MissingScopesError)
                and requirement.accepts(cached.token)
            ):
                return cached
            if isinstance(error, StoreError) and search.rejected is not None:
                self._cache = None  # so that the next caller loads, and flushes the pending save
            raise
        search.renewals += 1
        is_over = search.has_renewed or search.renewals == _MOST_RENEWALS
        if not is_over:
            # What another caller of the flow, or of the fleet, was content with.
            failure = self._notes.pause(_EARLY, self._store, self.account, self.clock)
            leeway = self._leeway if failure is None else _NO_TIME
            requirement = Requirement(self.clock, leeway, search.rejected, self._check)
            if not requirement.accepts(token, is_new=token.access_token != search.known):
                return None
        return self._newer_of(token, search)

    def _newer_of(self, token: Token, search: _Search) -> Bearer:
        """Give the newer of the cached token and that of a renewal, and cache it."""
        cached = self._cache
        if cached is not None and cached.token is token:  # all who waited for it come by here
            return cached
        if (
            cached is not None
            and cached.token.access_token != search.rejected
            and cached.token.expires_at >= token.expires_at
        ):
            return cached  # this caller was late: a later renewal has brought it
        bearer = self._bearer_of(token)
        bearer.is_unused = search.rejected is not None
        self._cache = bearer
        return bearer

    def _bearer_of(self, token: Token) -> Bearer:
        now = read_clock(self.clock)
        bearer = Bearer(token, leeway=self._leeway, now=now, hosts=self._hosts)
        failure = self._notes.pause(_EARLY, self._store, self.account, self.clock)
        if failure is not None:
            leeway = min(self._leeway, token.expires_at - now)
            bearer.stale_at = min(max(token.expires_at - leeway, failure.until), token.expires_at)
        return bearer


def _unused(token: Token) -> str:
    return f"unused {token.access_token}"


class _Search:
    """One caller's search for a token that the API has not rejected."""

    __slots__ = ("events", "has_renewed", "known", "rejected", "renewals")

    def __init__(self, rejected: Token | None, cached: Bearer | None) -> None:
        self.rejected = None if rejected is None else rejected.access_token
        self.known = None if cached is None else cached.token.access_token
        self.has_renewed = False  # it may join renewals of other callers, which want less
        self.renewals = 0
        self.events: list[Event] = []


# One event for all that wait in a loop, so that it is woken once, and not once for each of them.
_EVENTS: Final[dict[tuple[object, Future[Any]], anyio.Event]] = {}


async def wait_until_done(future: Future[Any]) -> None:
    """Wait for a thread's future, in asyncio or trio. Canceling the wait leaves it alone."""
    schedule = _scheduler()
    key = schedule, future
    done = _EVENTS.get(key)
    if done is None:
        from anyio import Event  # noqa: PLC0415 - httpx, too, imports it as late as this

        done = _EVENTS[key] = Event()

        def wake(_future: Future[Any]) -> None:
            event = _EVENTS.pop(key)  # who comes now, finds the future done
            with suppress(RuntimeError):  # the loop has ended meanwhile, and with it the wait
                schedule(event.set)

        future.add_done_callback(wake)
    await done.wait()


def _scheduler() -> Callable[[Callable[[], object]], object]:
    """Give what schedules a call in the running event loop from another thread."""
    schedule: Callable[[Callable[[], object]], object]
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None:
        try:
            schedule = asyncio.get_running_loop().call_soon_threadsafe
        except RuntimeError:
            pass
        else:
            return schedule
    from anyio.lowlevel import current_token  # noqa: PLC0415 - only trio gets here

    token: Any = current_token()
    schedule = getattr(token, "native_token", token).run_sync_soon
    return schedule
