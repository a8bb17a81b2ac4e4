"""What `token`, `refresh` and `revoke` do with stored accounts."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import wait
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final, TypeVar

from attrs import evolve

from pipedrive_oauth_client._checks import utc_now
from pipedrive_oauth_client._renewal import disconnect, in_progress, pending_saves
from pipedrive_oauth_client.auth import PipedriveAuth
from pipedrive_oauth_client.cli.exit_codes import CommandError, ExitCode
from pipedrive_oauth_client.cli.output import console, one_line, say, write, write_json
from pipedrive_oauth_client.cli.status import format_duration, status_of
from pipedrive_oauth_client.errors import CorruptTokenError, StoreError, TokenNotFoundError
from pipedrive_oauth_client.fleet import FleetProgress, FleetReport, due, refresh_due
from pipedrive_oauth_client.oauth import PipedriveOAuth
from pipedrive_oauth_client.stores.protocol import TokenStore, checked_account
from pipedrive_oauth_client.tokens import Token

__all__ = [
    "chosen_account",
    "end_grant",
    "refresh_many",
    "refresh_one",
    "refreshed_token",
    "retry_save",
    "valid_token",
]

_RETRY_SECONDS: Final = (1, 2, 4, 8, 15)
# As long as a request can take.
_FINISH_SECONDS: Final = 60
_MAX_LISTED: Final = 5

T = TypeVar("T")


def retry_save(
    save: Callable[[], T],
    has_only_copy: Callable[[], bool],
    notify: Callable[[str], object],
    sleep: Callable[[float], object] = time.sleep,
) -> T:
    """Run `save` again if the store fails while this process has the only copy of a token."""
    for seconds in _RETRY_SECONDS:
        try:
            return save()
        except StoreError as error:
            if not has_only_copy():
                raise
            delay = format_duration(timedelta(seconds=seconds))
            notify(
                f"Cannot save the new token yet: {one_line(str(error))} Trying again in {delay}."
                " Press Ctrl-C to abort."
            )
            sleep(seconds)
    return save()


@contextmanager
def _finishing_refresh() -> Generator[None]:
    """On Ctrl-C and SIGTERM, wait for a refresh whose request may have been sent."""
    # It runs in a thread of its own, but needs the connections that the command would close.
    try:
        yield
    except Exception:
        raise
    except BaseException:
        pending = in_progress()
        if pending:
            say("Finishing the token refresh. Press Ctrl-C again to abort.")
            wait(pending, _FINISH_SECONDS)
        raise


def _refresh_due(
    oauth: PipedriveOAuth,
    store: TokenStore,
    older_than: timedelta,
    *,
    concurrency: int,
    per_second: float,
) -> FleetReport:
    """Refresh the accounts that are due, with a progress bar if standard error is a terminal."""
    before = datetime.now(UTC) - older_than
    with _progress_bar(store, before) as show:
        total = _FleetTotal(show)

        def run() -> FleetReport:
            return total.add(
                refresh_due(
                    oauth,
                    store,
                    before,
                    concurrency=concurrency,
                    per_second=per_second,
                    progress=total.begin_run(),
                )
            )

        return retry_save(run, lambda: pending_saves.has_any(store), say)


class _FleetTotal:
    """Adds up the runs of one command: after a failed save, another run does the rest."""

    def __init__(self, show: Callable[[FleetProgress], object] | None) -> None:
        self._show = show
        self._renewed = self._already_done = 0  # by the runs before this one
        self._latest = FleetProgress("", None, 0, 0, 0)

    def begin_run(self) -> Callable[[FleetProgress], object]:
        self._renewed += self._latest.renewed
        self._already_done += self._latest.already_done
        self._latest = FleetProgress("", None, 0, 0, 0)
        return self._note

    def _note(self, progress: FleetProgress) -> None:
        self._latest = progress
        if self._show is not None:
            self._show(
                evolve(
                    progress,
                    renewed=self._renewed + progress.renewed,
                    already_done=self._already_done + progress.already_done,
                )
            )

    def add(self, report: FleetReport) -> FleetReport:
        """Give the report of all runs. The last one has tried again what failed before."""
        return evolve(
            report,
            renewed=self._renewed + report.renewed,
            already_done=self._already_done + report.already_done,
        )


@contextmanager
def _progress_bar(
    store: TokenStore, before: datetime
) -> Generator[Callable[[FleetProgress], object] | None]:
    if sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    from rich.progress import (  # noqa: PLC0415 - only for a terminal
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
    )

    total = sum(1 for _ in due(store, before))
    with Progress(
        TextColumn("Refreshing"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failed]}"),
        console=console(sys.stderr),
        transient=True,
    ) as bar:
        task = bar.add_task("", total=total, failed="")

        def update(progress: FleetProgress) -> None:
            done = progress.renewed + progress.already_done + progress.failed
            failed = f"{progress.failed} failed" if progress.failed else ""
            bar.update(task, completed=done, failed=failed)

        yield update


def chosen_account(store: TokenStore, account: str | None, location: str) -> str:
    """Return the account that a command is for: the named one, or the only one in the store."""
    if account is not None:
        return checked_account(account)
    found = sorted(islice(store.accounts(), _MAX_LISTED + 1))
    if not found:
        raise TokenNotFoundError(f"No account is stored in {location}. Run: pipedrive-oauth login")
    if len(found) > 1:
        raise CommandError(
            f"Several accounts are stored in {location}. Name one of {_listed(found)}.",
            ExitCode.USAGE,
        )
    return found[0]


def _listed(accounts: Sequence[str]) -> str:
    more = ", ..." if len(accounts) > _MAX_LISTED else ""
    return ", ".join(accounts[:_MAX_LISTED]) + more


def valid_token(oauth: PipedriveOAuth, store: TokenStore, account: str) -> Token:
    """Return a valid token, refreshed and saved first if it is stale."""
    auth = PipedriveAuth(oauth, store, account)
    with _finishing_refresh():
        return retry_save(auth.token, lambda: pending_saves.has(store, account), say)


def refreshed_token(oauth: PipedriveOAuth, store: TokenStore, account: str) -> Token:
    """Refresh a token, even if it is still valid; of several processes at once, one does."""
    auth = PipedriveAuth(oauth, store, account)
    before = store.load(account)
    with _finishing_refresh():
        return retry_save(
            lambda: auth.token(rejected=before), lambda: pending_saves.has(store, account), say
        )


def end_grant(oauth: PipedriveOAuth, store: TokenStore, account: str) -> None:
    """Revoke an account's grant, and then delete its token."""
    try:
        was_stored = disconnect(oauth, store, account)
    except CorruptTokenError as error:
        advice = " If it is encrypted, pass the key: --store-keys-file."
        raise CorruptTokenError(f"The grant was not revoked. {error}{advice}") from error
    if not was_stored:
        raise TokenNotFoundError(f"No token is stored for '{account}'.")


def refresh_one(oauth: PipedriveOAuth, store: TokenStore, account: str, *, in_json: bool) -> None:
    """Refresh one account, and report when its access token expires."""
    refreshed_token(oauth, store, account)
    status = status_of(store, account, utc_now())
    if in_json:
        write_json({} if status is None else status.to_dict())
    else:
        expiry = "" if status is None else f"; the access token {status.expiry}"
        write(f"Refreshed {account}{expiry}.\n")


def refresh_many(
    oauth: PipedriveOAuth,
    store: TokenStore,
    older_than: timedelta,
    *,
    concurrency: int,
    per_second: float,
    in_json: bool,
) -> None:
    """Refresh the accounts that are due, and report what was done and what failed."""
    report = _refresh_due(oauth, store, older_than, concurrency=concurrency, per_second=per_second)
    failed = {account: one_line(str(error)) for account, error in sorted(report.errors.items())}
    if in_json:
        counts = {"renewed": report.renewed, "already_done": report.already_done}
        write_json({**counts, "failed": failed})
    else:
        for account, reason in failed.items():
            say(one_line(f"{account}: {reason}"))
        others = f", {report.already_done} by other processes" if report.already_done else ""
        write(f"{report.renewed} refreshed{others}, {len(failed)} failed.\n")
    if failed:
        raise CommandError(
            f"{len(failed)} of the due accounts were not refreshed: {_listed(list(failed))}.",
            ExitCode.SOME_FAILED,
        )
