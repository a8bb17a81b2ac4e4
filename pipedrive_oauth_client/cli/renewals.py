"""`refresh --all`: the accounts that nobody has used for a while."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from pipedrive_oauth_client import unsaved
from pipedrive_oauth_client.cli.saving import until_saved
from pipedrive_oauth_client.cli.terminal import console, say
from pipedrive_oauth_client.fleet import FleetProgress, FleetReport, due, refresh_due
from pipedrive_oauth_client.flow import PipedriveOAuth
from pipedrive_oauth_client.stores.protocol import TokenStore

__all__ = ["refresh_all"]


def refresh_all(
    oauth: PipedriveOAuth,
    store: TokenStore,
    older_than: timedelta,
    *,
    concurrency: int,
    per_second: float,
) -> FleetReport:
    """Renew all accounts that were last renewed longer ago, with a progress bar in a terminal.

    Args:
        oauth: The flow of the app.
        store: The store.
        older_than: How long ago.
        concurrency: How many are renewed at the same time.
        per_second: How many renewals are begun in a second at most.

    Returns:
        What was done, with the error of each account that was not renewed.

    Raises:
        PipedriveOAuthError: Something is wrong that all accounts would meet.
    """
    before = datetime.now(UTC) - older_than
    with _bar(store, before) as progress:
        return until_saved(
            lambda: refresh_due(
                oauth,
                store,
                before,
                concurrency=concurrency,
                per_second=per_second,
                progress=progress,
            ),
            lambda: unsaved.is_any_kept(store),
            say,
        )


@contextmanager
def _bar(
    store: TokenStore, before: datetime
) -> Generator[Callable[[FleetProgress], object] | None]:
    if sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    from rich.progress import (  # noqa: PLC0415 - only for somebody who watches
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
    )

    total = sum(1 for _ in due(store, before))
    with Progress(
        TextColumn("Renewing"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failed]}"),
        console=console(sys.stderr),
        transient=True,
    ) as bar:
        task = bar.add_task("", total=total, failed="")

        def told(each: FleetProgress) -> None:
            done = each.renewed + each.already_done + each.failed
            failed = f"{each.failed} failed" if each.failed else ""
            bar.update(task, completed=done, failed=failed)

        yield told
