"""Keeping grants alive that nobody uses: `due` and `refresh_due`.

A refresh token that is not used for 60 days is dead. An app with many accounts therefore renews,
from time to time, those that nobody has asked for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from typing import Final

from attrs import frozen

from pipedrive_oauth_client.async_flow import AsyncPipedriveOAuth
from pipedrive_oauth_client.clock import read
from pipedrive_oauth_client.due import due
from pipedrive_oauth_client.errors import (
    ConfigurationError,
    PipedriveOAuthError,
)
from pipedrive_oauth_client.fleet_run import FleetProgress, FleetRun
from pipedrive_oauth_client.flow import PipedriveOAuth
from pipedrive_oauth_client.generated.encode import argument
from pipedrive_oauth_client.pace import Pace
from pipedrive_oauth_client.stores.protocol import TokenStore

__all__ = ["FleetProgress", "FleetReport", "due", "refresh_due"]

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
    if before > read(oauth.clock):
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
