"""Keeping grants alive that nobody uses: `due` and `refresh_due`.

A refresh token that is not used for 60 days is dead. An app with many accounts therefore renews,
from time to time, those that nobody has asked for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import Final

from attrs import define, field, frozen

from pipedrive_oauth_client import unsaved
from pipedrive_oauth_client.async_flow import AsyncPipedriveOAuth
from pipedrive_oauth_client.clock import read
from pipedrive_oauth_client.due import due
from pipedrive_oauth_client.errors import (
    ConfigurationError,
    InvalidClientError,
    PipedriveOAuthError,
    RateLimitedError,
    TokenNotFoundError,
)
from pipedrive_oauth_client.flights import join, landed
from pipedrive_oauth_client.flow import PipedriveOAuth
from pipedrive_oauth_client.generated.encode import argument
from pipedrive_oauth_client.pace import Pace
from pipedrive_oauth_client.renewal import renew
from pipedrive_oauth_client.stores.protocol import TokenStore
from pipedrive_oauth_client.tokens import Token

__all__ = ["FleetProgress", "FleetReport", "due", "refresh_due"]

_MOST_WORKERS: Final = 64
_A_SECOND: Final = timedelta(seconds=1)


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
        StoreError: The store did not take a token, or could not list the accounts; the rest was
            not tried. A token that it did not take is kept by this process: run it again there as
            soon as the store works.
        ConfigurationError: An argument can't be right.

    Source:
        Pipedrive's guide to its OAuth, on the 60 days of a refresh token.
    """
    argument("oauth", oauth, PipedriveOAuth | AsyncPipedriveOAuth)
    argument("store", store, TokenStore)
    told = tuple if progress is None else progress
    if not all(callable(each) for each in (told, sleep, monotonic)):
        raise ConfigurationError("progress, sleep and monotonic must be functions.")
    if type(concurrency) is not int or not 1 <= concurrency <= _MOST_WORKERS:
        raise ConfigurationError(f"concurrency must be a whole number from 1 to {_MOST_WORKERS}.")
    if per_second is not None and not argument("per_second", per_second, int | float) > 0:
        raise ConfigurationError("per_second must be above zero, or None for no limit.")
    accounts = due(store, before)
    if before > read(oauth.clock):
        raise ConfigurationError("before must not be in the future: fresh tokens would be due too.")
    pace = Pace(0.0 if per_second is None else 1 / per_second, monotonic, sleep)
    with ExitStack() as at_the_end:
        # What it reads from would stay open for as long as a traceback.
        at_the_end.callback(getattr(accounts, "close", tuple))
        flow = oauth
        if isinstance(flow, AsyncPipedriveOAuth):
            flow = at_the_end.enter_context(flow.blocking())
        run = _Run(flow, store, before, accounts, pace, progress)
        _carry_out(run, concurrency)
    if run.failure is not None:
        raise run.failure
    return FleetReport(run.renewed, run.already_done, run.errors)


def _carry_out(run: _Run, concurrency: int) -> None:
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


@define(eq=False)
class _Run:
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
            token = renew(self.flow, self.store, account, is_good=is_good)
            if token not in found:
                mine.append(token)
            return token

        error: PipedriveOAuthError | None = None
        try:
            landed(join(self.store, account, work, here=True))
        except TokenNotFoundError:
            pass  # it was deleted meanwhile
        except PipedriveOAuthError as failure:
            # Each renewal that can't be saved would cost one more account its refresh token.
            if isinstance(failure, InvalidClientError) or unsaved.is_kept(self.store, account):
                raise
            error = failure
            if isinstance(failure, RateLimitedError):
                self.pace.pause((failure.retry_after or _A_SECOND).total_seconds())
        self._count(account, error, is_mine=bool(mine))

    def _count(self, account: str, error: PipedriveOAuthError | None, *, is_mine: bool) -> None:
        with self._guard:
            if error is not None:
                self.errors[account] = error
            elif is_mine:
                self.renewed += 1
            else:
                self.already_done += 1
            if self.progress is not None:
                failed = len(self.errors)
                told = FleetProgress(account, error, self.renewed, self.already_done, failed)
                self.progress(told)
