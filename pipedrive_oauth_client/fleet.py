"""All accounts of a store: `refresh_due` keeps unused grants alive, `health` says how they are.

A refresh token that is not used for 60 days expires. An app with many accounts therefore refreshes,
from time to time, those that have not been used.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from attrs import frozen

from pipedrive_oauth_client._checks import read_clock, utc_now
from pipedrive_oauth_client._renewal import (
    Requirement,
    is_known_to_have_ended,
    pending_saves,
    renew_and_report,
    result_of,
    start_or_join,
)
from pipedrive_oauth_client.errors import (
    ConfigurationError,
    CorruptTokenError,
    GrantEndedError,
    InvalidClientError,
    InvalidResponseError,
    PipedriveOAuthError,
    RateLimitedError,
    TokenNotFoundError,
    TransportError,
    UnusableAccessTokenError,
)
from pipedrive_oauth_client.generated.encode import argument
from pipedrive_oauth_client.oauth import AsyncPipedriveOAuth, PipedriveOAuth
from pipedrive_oauth_client.stores.leased import aware
from pipedrive_oauth_client.stores.protocol import AccountOverview, TokenStore, checked_store
from pipedrive_oauth_client.tokens import (
    ACCESS_LIFETIME,
    ENDING_SOON,
    REFRESH_LIFETIME,
    GrantEnd,
    Token,
)

if TYPE_CHECKING:
    from pipedrive_oauth_client.events import Event

__all__ = [
    "AccountHealth",
    "AccountState",
    "FleetProgress",
    "FleetReport",
    "due",
    "ended",
    "health",
    "refresh_due",
]

_MOST_WORKERS: Final = 64
_MOST_LOST_IN_A_ROW: Final = 5
_LONGEST_SLEEP_SECONDS: Final = 1.0
_A_SECOND: Final = timedelta(seconds=1)
_NO_TIME: Final = timedelta(0)

_FROM_EXPIRY_TO_LAPSE: Final = REFRESH_LIFETIME - ACCESS_LIFETIME


def due(store: TokenStore, before: datetime) -> Iterator[str]:
    """Return the accounts whose access token expires before a time.

    An access token is valid for an hour, so its expiry is an hour after the account's last refresh.
    The store's own method `due` is called if it has one; otherwise every token is loaded. A stored
    token that can't be read is due as well, so that its error is reported.

    Args:
        store: The store.
        before: The time, aware.

    Returns:
        The accounts, one by one.

    Raises:
        ConfigurationError: `before` has no time zone, or `store` is not a token store.
        StoreError: The store does not work.
    """
    aware("before", before)
    checked_store("store", store)
    own: Callable[[datetime], Iterable[str]] | None = getattr(store, "due", None)
    return iter(own(before)) if own is not None else _scanned(store, before)


def _scanned(store: TokenStore, before: datetime) -> Iterator[str]:
    for account in store.accounts():
        try:
            token = store.load(account)
        except CorruptTokenError:
            yield account
        else:
            if token is not None and token.expires_at < before:
                yield account


@frozen
class FleetProgress:
    """How far a run has come, after each account.

    Attributes:
        account: The account that is done.
        error: Why it was not refreshed, or None.
        renewed: How many were refreshed so far.
        already_done: How many another process had refreshed, or deleted, meanwhile.
        failed: How many could not be refreshed.
        ended: How many were skipped, since their grant was known to have ended.
    """

    account: str
    error: PipedriveOAuthError | None
    renewed: int
    already_done: int
    failed: int
    ended: int = 0


@frozen
class FleetReport:
    """What a run has done.

    Attributes:
        renewed: How many accounts were refreshed.
        already_done: How many another process had refreshed, or deleted, meanwhile.
        errors: Why each of the others was not, by account.
        ended: How many were skipped, since their grant was known to have ended. One that turns out
            to have ended in this run is among the errors.
    """

    renewed: int
    already_done: int
    errors: dict[str, PipedriveOAuthError]
    ended: int = 0


AccountState: TypeAlias = Literal["valid", "stale", "ending", "ended", "unreadable"]
"""How an account is; see `AccountHealth`."""


@frozen
class AccountHealth:
    """The state of an account.

    Attributes:
        account: The account.
        state: `valid`: the access token has not expired. `stale`: it has, and the next use
            refreshes it. `ending`: the refresh token lapses within seven days. `ended`: the service
            has rejected the refresh token, or it has lapsed: the user has to authorize the app
            again. `unreadable`: what is stored is damaged, or encrypted with another key.
        since: Since when, aware: for `valid` the last refresh, for `ended` the first rejection.
            None for `unreadable`.
        lapses_at: When the refresh token lapses if it is not used, aware: 60 days after the last
            refresh, which was an hour before the access token expires. None for `unreadable`.
    """

    account: str
    state: AccountState
    since: datetime | None
    lapses_at: datetime | None


def health(
    store: TokenStore, *, clock: Callable[[], datetime] = utc_now
) -> Iterator[AccountHealth]:
    """Return the state of each account of a store.

    With the SQL and Redis stores of this package, only tokens that seem damaged, or whose grant
    seems to have ended, are loaded. With your own store, every token is loaded.

    Args:
        store: The store.
        clock: Gives the current time as an aware datetime.

    Returns:
        The accounts, one by one.

    Raises:
        ConfigurationError: `store` is not a token store, or `clock` is wrong.
        StoreError: The store does not work.

    Source:
        Pipedrive's guide to its OAuth, on the 60 days of a refresh token.
    """
    checked_store("store", store)
    now = read_clock(clock)
    overview: Callable[[], Iterable[AccountOverview]] | None = getattr(store, "overview", None)
    if overview is None:
        return _without_none(_loaded_health(store, account, now) for account in store.accounts())
    return _without_none(_health_of(store, each, now) for each in overview())


def ended(store: TokenStore, *, clock: Callable[[], datetime] = utc_now) -> Iterator[AccountHealth]:
    """Return the accounts whose grant has ended, so that their users have to authorize again.

    The SQL and Redis stores of this package read only these accounts.

    Args:
        store: The store.
        clock: Gives the current time as an aware datetime.

    Returns:
        The accounts in the state `ended`, one by one, as `health` describes them.

    Raises:
        ConfigurationError: `store` is not a token store, or `clock` is wrong.
        StoreError: The store does not work.
    """
    checked_store("store", store)
    now = read_clock(clock)
    marked: Callable[[], Iterable[str]] | None = getattr(store, "ended", None)
    if marked is None:
        return (each for each in health(store, clock=lambda: now) if each.state == "ended")
    return _ended(store, marked, now)


def _ended(
    store: TokenStore, marked: Callable[[], Iterable[str]], now: datetime
) -> Iterator[AccountHealth]:
    seen = set[str]()
    lapsed_before = now - _FROM_EXPIRY_TO_LAPSE + timedelta.resolution
    for accounts in (marked(), due(store, lapsed_before)):
        for account in accounts:
            if account not in seen:
                seen.add(account)
                found = _loaded_health(store, account, now)
                if found is not None and found.state == "ended":
                    yield found


def _without_none(found: Iterable[AccountHealth | None]) -> Iterator[AccountHealth]:
    return (each for each in found if each is not None)  # else it was deleted meanwhile


def _health_of(store: TokenStore, each: AccountOverview, now: datetime) -> AccountHealth | None:
    if each.may_have_ended or each.may_be_damaged or each.expires_at is None:
        return _loaded_health(store, each.account, now)
    return _health(each.account, each.expires_at, None, now)


def _loaded_health(store: TokenStore, account: str, now: datetime) -> AccountHealth | None:
    try:
        token = store.load(account)
    except CorruptTokenError:
        return AccountHealth(account, "unreadable", None, None)
    if token is None:
        return None
    if token.token_type.lower() != "bearer":  # it is encrypted, and the key is not here
        return AccountHealth(account, "unreadable", None, None)
    return _health(account, token.expires_at, token.grant_end, now)


def _health(
    account: str, expires_at: datetime, end: GrantEnd | None, now: datetime
) -> AccountHealth:
    latest = datetime.max.replace(tzinfo=UTC) - _FROM_EXPIRY_TO_LAPSE
    earliest = datetime.min.replace(tzinfo=UTC) + ACCESS_LIFETIME
    expiry = max(min(expires_at, latest), earliest)
    lapses_at = expiry + _FROM_EXPIRY_TO_LAPSE
    state: AccountState = "valid"
    since = expiry - ACCESS_LIFETIME
    if end is not None:
        state, since = "ended", end.at
    elif lapses_at <= now:
        state, since = "ended", lapses_at
    elif lapses_at - ENDING_SOON <= now:
        state, since = "ending", lapses_at - ENDING_SOON
    elif expiry <= now:
        state, since = "stale", expiry
    return AccountHealth(account, state, since, lapses_at)


def refresh_due(
    oauth: PipedriveOAuth | AsyncPipedriveOAuth,
    store: TokenStore,
    before: datetime,
    *,
    concurrency: int = 8,
    per_second: float | None = 10.0,
    progress: Callable[[FleetProgress], object] | None = None,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> FleetReport:
    """Refresh the tokens of all accounts whose access token expires before a time.

    Several machines may do it at once: each account is refreshed by one of them. Accounts whose
    grant is known to have ended are skipped; once a day their refresh is tried again, in case the
    service was mistaken. A failure of one
    account does not stop the others; only wrong credentials do, and a store that does not work.
    Ctrl-C stops it when the refreshes in progress are finished and saved. In an event loop call it
    in a thread: `await anyio.to_thread.run_sync(...)`.

    Args:
        oauth: Refreshes the tokens.
        store: Holds the tokens.
        before: The time, aware and not in the future. With the time of 45 days ago, accounts are
            refreshed whose last refresh is longer ago than that.
        concurrency: How many accounts are refreshed at the same time, 1 to 64.
        per_second: How many refreshes are started in a second at most; None for no limit. When the
            service responds with status 429, all wait for as long as it says.
        progress: Called after each account, never twice at the same time.
        sleep: Waits for a number of seconds.
        monotonic: A clock in seconds that never goes back.

    Returns:
        What was done, with the error of each account that could not be refreshed.

    Raises:
        InvalidClientError: The client ID or the client secret is wrong; the other accounts were
            not tried.
        InvalidResponseError: A response can't be used, and its refresh token may be lost; the other
            accounts were not tried, so that they don't lose theirs. (With an
            `UnusableAccessTokenError` nothing is lost, and the run goes on.)
        TransportError: Five requests in a row were sent and got no response; likewise.
        StoreError: The store did not accept a token, or could not list the accounts; the other
            accounts were not tried. A token that it did not accept is kept by this process: run it
            again there as soon as the store works.
        ConfigurationError: An argument is not valid.

    Source:
        Pipedrive's guide to its OAuth, on the 60 days of a refresh token.
    """
    argument("oauth", oauth, PipedriveOAuth | AsyncPipedriveOAuth)
    functions = (tuple if progress is None else progress, sleep, monotonic)
    if not all(callable(each) for each in functions):
        raise ConfigurationError("progress, sleep and monotonic must be functions.")
    if type(concurrency) is not int or not 1 <= concurrency <= _MOST_WORKERS:
        raise ConfigurationError(f"concurrency must be a whole number from 1 to {_MOST_WORKERS}.")
    if per_second is not None and not argument("per_second", per_second, int | float) > 0:
        raise ConfigurationError("per_second must be above zero, or None for no limit.")
    accounts = due(store, before)
    if before > read_clock(oauth.clock):
        raise ConfigurationError("before must not be in the future: fresh tokens would be due too.")
    limiter = RateLimiter(0.0 if per_second is None else 1 / per_second, monotonic, sleep)
    with ExitStack() as at_the_end:
        # What it reads from would stay open for as long as a traceback.
        at_the_end.callback(getattr(accounts, "close", tuple))
        blocking = oauth
        if isinstance(blocking, AsyncPipedriveOAuth):
            blocking = at_the_end.enter_context(blocking.blocking())
        run = _Run(blocking, store, before, accounts, limiter, progress)
        _run_in_threads(run, concurrency)
    if run.failure is not None:
        raise run.failure
    return FleetReport(run.renewed, run.already_done, run.errors, run.ended)


def _run_in_threads(run: _Run, concurrency: int) -> None:
    ends = [threading.Event() for _ in range(concurrency)]
    threads = [
        threading.Thread(target=run.work, args=(end,), name=f"pipedrive-oauth-fleet-{number}")
        for number, end in enumerate(ends)
    ]
    try:
        for thread in threads:
            thread.start()
        for end in ends:
            end.wait()
    finally:
        run.stop()
        # Not by `join`: in Python 3.11, a thread whose `join` Ctrl-C has interrupted counts as
        # ended, and the interpreter does not wait for it any more.
        for thread, end in zip(threads, ends, strict=True):
            if thread.ident is not None:
                end.wait()


class _Run:
    """One call of `refresh_due`, as its threads share it."""

    def __init__(  # noqa: PLR0917 - one caller, which has them all
        self,
        oauth: PipedriveOAuth,
        store: TokenStore,
        before: datetime,
        accounts: Iterator[str],
        limiter: RateLimiter,
        progress: Callable[[FleetProgress], object] | None,
    ) -> None:
        self.renewed = 0
        self.already_done = 0
        self.ended = 0
        self.errors: dict[str, PipedriveOAuthError] = {}
        self.failure: BaseException | None = None
        self._oauth = oauth
        self._store = store
        self._accounts = accounts
        marked: Callable[[], Iterable[str]] | None = getattr(store, "ended", None)
        self._marked = frozenset[str]() if marked is None else frozenset(marked())
        self._limiter = limiter
        self._progress = progress
        # It accepts what expires after its clock's time; `before` itself is not due.
        self._latest_due = before - timedelta.resolution
        self._is_stopped = False
        self._lost_in_a_row = 0
        self._guard = threading.Lock()

    def stop(self) -> None:
        """Start no further account."""
        self._is_stopped = True
        self._limiter.stop()

    def work(self, end: threading.Event) -> None:
        """Take one account after the other until there is none left."""
        try:
            while (account := self._next()) is not None:
                if account in self._marked and self._is_known_to_have_ended(account):
                    self._count(account, None, has_ended=True)
                    continue
                self._limiter.wait()
                if self._is_stopped:
                    return
                self._refresh(account)
        except BaseException as error:  # noqa: BLE001 - `refresh_due` raises it
            with self._guard:
                self.failure = self.failure or error
            self.stop()
        finally:
            end.set()

    def _next(self) -> str | None:
        with self._guard:
            return None if self._is_stopped else next(self._accounts, None)

    def _is_known_to_have_ended(self, account: str) -> bool:
        # Else each of them would take its turn of the limiter, and nothing is sent for it.
        try:
            token = self._store.load(account)
        except CorruptTokenError:
            return False
        now = read_clock(self._oauth.clock)
        return token is not None and is_known_to_have_ended(token, now)

    def _refresh(self, account: str) -> None:
        was_refreshed = has_ended = False
        started_at = read_clock(self._oauth.clock)
        requirement = Requirement(lambda: self._latest_due, _NO_TIME)
        events: list[Event] = []

        def work() -> Token:
            nonlocal was_refreshed
            token, was_refreshed = renew_and_report(
                self._oauth, self._store, account, requirement, events=events, is_fleet=True
            )
            return token

        def report() -> None:
            for event in events:
                self._oauth.emit(event)

        error: PipedriveOAuthError | None = None
        try:
            result_of(start_or_join(self._store, account, work, run_here=True, report=report))
        except TokenNotFoundError as failure:
            if self._store.load(account) is not None:
                error = failure
            # else it was deleted meanwhile
        except GrantEndedError as failure:
            # What ends in this run is news, and so an error.
            has_ended = failure.__cause__ is None or failure.since < started_at
            error = None if has_ended else failure
        except PipedriveOAuthError as failure:
            error = failure
        self._raise_if_it_concerns_all(account, error)
        if isinstance(error, RateLimitedError):
            self._limiter.pause((error.retry_after or _A_SECOND).total_seconds())
        self._count(account, error, was_refreshed=was_refreshed, has_ended=has_ended)

    def _raise_if_it_concerns_all(self, account: str, error: PipedriveOAuthError | None) -> None:
        # A failure after the request was sent may have cost the refresh token, and would cost the
        # next account's as well: a response that can't be read, or a token that can't be saved.
        is_lost = isinstance(error, TransportError) and error.maybe_sent
        is_unreadable = isinstance(error, InvalidResponseError) and not isinstance(
            error, UnusableAccessTokenError
        )
        with self._guard:
            self._lost_in_a_row = self._lost_in_a_row + 1 if is_lost else 0
            is_too_much = self._lost_in_a_row >= _MOST_LOST_IN_A_ROW
        if error is not None and (
            isinstance(error, InvalidClientError)
            or is_unreadable
            or is_too_much
            or pending_saves.has(self._store, account)
        ):
            raise error

    def _count(
        self,
        account: str,
        error: PipedriveOAuthError | None,
        *,
        was_refreshed: bool = False,
        has_ended: bool = False,
    ) -> None:
        with self._guard:
            if error is not None:
                self.errors[account] = _without_frames(error)
            elif has_ended:
                self.ended += 1
            elif was_refreshed:
                self.renewed += 1
            else:
                self.already_done += 1
            if self._progress is not None:
                failed = len(self.errors)
                self._progress(
                    FleetProgress(
                        account, error, self.renewed, self.already_done, failed, self.ended
                    )
                )


def _without_frames(error: PipedriveOAuthError) -> PipedriveOAuthError:
    # A traceback references all variables of its frames: of thousands, gigabytes.
    each: BaseException | None = error
    while each is not None:
        each.__traceback__ = None
        each = each.__cause__ or each.__context__
    return error


class RateLimiter:
    """Lets so many callers through in a second, one after the other.

    `seconds_between` is the time from one to the next, zero for no limit; `monotonic` a clock in
    seconds that never goes back; `sleep` waits for a number of seconds.
    """

    def __init__(
        self,
        seconds_between: float,
        monotonic: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._seconds_between = seconds_between
        self._monotonic = monotonic
        self._sleep = sleep
        self._next_at = float("-inf")
        self._paused_until = float("-inf")
        self._is_stopped = False
        self._guard = threading.Lock()

    def wait(self) -> None:
        """Wait for this caller's turn, or until the limiter is stopped."""
        while not self._is_stopped:
            with self._guard:
                now = self._monotonic()
                turn = max(now, self._next_at, self._paused_until)
                self._next_at = turn + self._seconds_between
            self._sleep_for(turn - now)
            with self._guard:
                # A caller whose turn was fixed before the pause began waits with the others.
                if turn >= self._paused_until:
                    return

    def pause(self, seconds: float) -> None:
        """Let no caller through for a time."""
        with self._guard:
            self._paused_until = max(self._paused_until, self._monotonic() + seconds)

    def stop(self) -> None:
        """End all waits, within a second."""
        self._is_stopped = True

    def _sleep_for(self, seconds: float) -> None:
        # In pieces: a pause of an hour must not keep Ctrl-C waiting for an hour.
        while seconds > 0 and not self._is_stopped:
            piece = min(seconds, _LONGEST_SLEEP_SECONDS)
            self._sleep(piece)
            seconds -= piece
