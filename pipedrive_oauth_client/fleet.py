"""Keeping grants alive that nobody uses: `due` and `refresh_due`.

A refresh token that is not used for 60 days is dead. An app with many accounts therefore renews,
from time to time, those that nobody has asked for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import Final

from attrs import define, field, frozen

from pipedrive_oauth_client import _renewal as unsaved
from pipedrive_oauth_client._checks import read_clock
from pipedrive_oauth_client._renewal import join, landed, renew
from pipedrive_oauth_client.errors import (
    ConfigurationError,
    CorruptTokenError,
    InvalidClientError,
    InvalidResponseError,
    PipedriveOAuthError,
    RateLimitedError,
    TokenNotFoundError,
    TransportError,
)
from pipedrive_oauth_client.generated.encode import argument
from pipedrive_oauth_client.oauth import AsyncPipedriveOAuth, PipedriveOAuth
from pipedrive_oauth_client.stores.leased import aware
from pipedrive_oauth_client.stores.protocol import TokenStore, checked_store
from pipedrive_oauth_client.tokens import Token

__all__ = ["FleetProgress", "FleetReport", "FleetRun", "Pace", "due", "refresh_due"]

_LONGEST_SLEEP_SECONDS: Final = 1.0


@define(eq=False)
class Pace:
    """Lets so many through in a second, one after the other.

    Attributes:
        seconds_between: The time from one to the next; zero for no limit.
        monotonic: A clock in seconds that never goes back.
        sleep: Waits for a number of seconds.
    """

    seconds_between: float
    monotonic: Callable[[], float]
    sleep: Callable[[float], None]
    _next_at: float = field(default=float("-inf"), init=False)
    _paused_until: float = field(default=float("-inf"), init=False)
    _is_stopped: bool = field(default=False, init=False)
    _guard: threading.Lock = field(factory=threading.Lock, init=False, repr=False)

    def wait(self) -> None:
        """Wait for this caller's turn, or until the pace is stopped."""
        while not self._is_stopped:
            with self._guard:
                now = self.monotonic()
                turn = max(now, self._next_at, self._paused_until)
                self._next_at = turn + self.seconds_between
            self._sleep(turn - now)
            with self._guard:
                # Whoever had a turn when the pause began waits with the others.
                if turn >= self._paused_until:
                    return

    def pause(self, seconds: float) -> None:
        """Let nobody through for a time.

        Args:
            seconds: How long.
        """
        with self._guard:
            self._paused_until = max(self._paused_until, self.monotonic() + seconds)

    def stop(self) -> None:
        """End all waits, within a second."""
        self._is_stopped = True

    def _sleep(self, seconds: float) -> None:
        # In pieces: a pause of an hour must not keep Ctrl-C waiting for an hour.
        while seconds > 0 and not self._is_stopped:
            piece = min(seconds, _LONGEST_SLEEP_SECONDS)
            self.sleep(piece)
            seconds -= piece


def due(store: TokenStore, before: datetime) -> Iterator[str]:
    """Give the accounts whose access token expires before a time.

    An access token lives for an hour, so that this is when the account was last renewed, with an
    hour added. Stores that have a method `due` are asked; of others every token is loaded. What is
    stored and can't be read is due as well, so that somebody looks at it.

    Args:
        store: The store.
        before: The time, aware.

    Returns:
        The accounts, one by one.

    Raises:
        ConfigurationError: `before` has no time zone, or `store` is none.
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


_A_SECOND: Final = timedelta(seconds=1)
_MOST_LOST_IN_A_ROW: Final = 5


@frozen
class FleetProgress:
    """How far a run has come, after each account.

    Attributes:
        account: The account that is done.
        error: Why it was not renewed, or None.
        renewed: How many were renewed so far.
        already_done: How many somebody else had renewed, or deleted, meanwhile.
        failed: How many could not be renewed.
    """

    account: str
    error: PipedriveOAuthError | None
    renewed: int
    already_done: int
    failed: int


@define(eq=False)
class FleetRun:
    """One run, as its threads share it."""

    flow: PipedriveOAuth
    store: TokenStore
    before: datetime
    accounts: Iterator[str]
    pace: Pace
    progress: Callable[[FleetProgress], object] | None
    renewed: int = 0
    already_done: int = 0
    errors: dict[str, PipedriveOAuthError] = field(factory=dict[str, PipedriveOAuthError])
    failure: BaseException | None = None
    is_stopped: bool = False
    _lost_in_a_row: int = 0
    _guard: threading.Lock = field(factory=threading.Lock)

    def stop(self) -> None:
        """Begin with no further account."""
        self.is_stopped = True
        self.pace.stop()

    def work(self, end: threading.Event) -> None:
        """Take one account after the other until there is none left."""
        try:
            while (account := self._next()) is not None:
                self.pace.wait()
                if self.is_stopped:
                    return
                self._renew(account)
        except BaseException as error:  # noqa: BLE001 - it is raised where the run was begun
            with self._guard:
                self.failure = self.failure or error
            self.stop()
        finally:
            end.set()

    def _next(self) -> str | None:
        with self._guard:
            return None if self.is_stopped else next(self.accounts, None)

    def _renew(self, account: str) -> None:
        found: list[Token] = []
        mine: list[Token] = []

        def is_good(token: Token) -> bool:
            found.append(token)
            return token.expires_at >= self.before

        def work() -> Token:
            token = renew(self.flow, self.store, account, is_good=is_good, is_usable=is_good)
            if token not in found:
                mine.append(token)
            return token

        error: PipedriveOAuthError | None = None
        try:
            landed(join(self.store, account, work, here=True))
        except TokenNotFoundError as failure:
            if self.store.load(account) is not None:
                error = failure
            # else it was deleted meanwhile
        except PipedriveOAuthError as failure:
            error = failure
        self._end_if_it_is_for_all(account, error)
        if isinstance(error, RateLimitedError):
            self.pace.pause((error.retry_after or _A_SECOND).total_seconds())
        self._count(account, error, is_mine=bool(mine))

    def _end_if_it_is_for_all(self, account: str, error: PipedriveOAuthError | None) -> None:
        # What goes wrong after the service has been asked may have cost the refresh token, and
        # would cost the next account's as well: an answer that can't be read, or can't be saved.
        is_lost = isinstance(error, TransportError) and error.maybe_sent
        with self._guard:
            self._lost_in_a_row = self._lost_in_a_row + 1 if is_lost else 0
            is_too_much = self._lost_in_a_row >= _MOST_LOST_IN_A_ROW
        if error is not None and (
            isinstance(error, InvalidClientError | InvalidResponseError)
            or is_too_much
            or unsaved.is_kept(self.store, account)
        ):
            raise error

    def _count(self, account: str, error: PipedriveOAuthError | None, *, is_mine: bool) -> None:
        with self._guard:
            if error is not None:
                self.errors[account] = _without_frames(error)
            elif is_mine:
                self.renewed += 1
            else:
                self.already_done += 1
            if self.progress is not None:
                failed = len(self.errors)
                told = FleetProgress(account, error, self.renewed, self.already_done, failed)
                self.progress(told)


def _without_frames(error: PipedriveOAuthError) -> PipedriveOAuthError:
    # A traceback keeps all that its frames have in their variables: of thousands, gigabytes.
    each: BaseException | None = error
    while each is not None:
        each.__traceback__ = None
        each = each.__cause__ or each.__context__
    return error


_MOST_WORKERS: Final = 64


@frozen
class FleetReport:
    """What a run has done.

    Attributes:
        renewed: How many accounts were renewed.
        already_done: How many somebody else had renewed, or deleted, meanwhile.
        errors: Why each of the others was not, by account.
    """

    renewed: int
    already_done: int
    errors: dict[str, PipedriveOAuthError]


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
    """Renew the tokens of all accounts whose access token expires before a time.

    Several machines may do it at once: each account is renewed by one of them. A failure of one
    account does not stop the others; only wrong credentials do, and a store that does not work.
    Ctrl-C stops it when the renewals under way are finished and saved. In an event loop call it in
    a thread: `await anyio.to_thread.run_sync(...)`.

    Args:
        oauth: The flow that renews.
        store: Where the tokens are kept.
        before: The time, aware and not in the future. With the present of 45 days ago, accounts
            are renewed that were last renewed longer ago than that.
        concurrency: How many accounts are renewed at the same time, 1 to 64.
        per_second: How many renewals are begun in a second at most; None for no limit. When the
            service answers with status 429, all wait for as long as it says.
        progress: Called after each account, never twice at the same time.
        sleep: Waits for a number of seconds.
        monotonic: A clock in seconds that never goes back.

    Returns:
        What was done, with the error of each account that could not be renewed.

    Raises:
        InvalidClientError: The client ID or the client secret is wrong; the rest was not tried.
        InvalidResponseError: An answer can't be used, and the refresh token for it may be lost; the
            rest was not tried, so that it does not lose theirs.
        TransportError: Five requests in a row were sent and got no answer; likewise.
        StoreError: The store did not take a token, or could not list the accounts; the rest was
            not tried. A token that it did not take is kept by this process: run it again there as
            soon as the store works.
        ConfigurationError: An argument can't be right.

    Source:
        Pipedrive's guide to its OAuth, on the 60 days of a refresh token.
    """
    argument("oauth", oauth, PipedriveOAuth | AsyncPipedriveOAuth)
    told = tuple if progress is None else progress
    if not all(callable(each) for each in (told, sleep, monotonic)):
        raise ConfigurationError("progress, sleep and monotonic must be functions.")
    if type(concurrency) is not int or not 1 <= concurrency <= _MOST_WORKERS:
        raise ConfigurationError(f"concurrency must be a whole number from 1 to {_MOST_WORKERS}.")
    if per_second is not None and not argument("per_second", per_second, int | float) > 0:
        raise ConfigurationError("per_second must be above zero, or None for no limit.")
    accounts = due(store, before)
    if before > read_clock(oauth.clock):
        raise ConfigurationError("before must not be in the future: fresh tokens would be due too.")
    pace = Pace(0.0 if per_second is None else 1 / per_second, monotonic, sleep)
    with ExitStack() as at_the_end:
        # What it reads from would stay open for as long as a traceback.
        at_the_end.callback(getattr(accounts, "close", tuple))
        flow = oauth
        if isinstance(flow, AsyncPipedriveOAuth):
            flow = at_the_end.enter_context(flow.blocking())
        run = FleetRun(flow, store, before, accounts, pace, progress)
        _carry_out(run, concurrency)
    if run.failure is not None:
        raise run.failure
    return FleetReport(run.renewed, run.already_done, run.errors)


def _carry_out(run: FleetRun, concurrency: int) -> None:
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
