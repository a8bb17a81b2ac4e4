"""`refresh`: what is said of renewals."""

from __future__ import annotations

from datetime import timedelta

from pipedrive_oauth_client.cli.exits import CommandError, ExitCode
from pipedrive_oauth_client.cli.renewals import refresh_all
from pipedrive_oauth_client.cli.reports import one_line
from pipedrive_oauth_client.cli.standing import standing_of
from pipedrive_oauth_client.cli.terminal import say, write, write_json
from pipedrive_oauth_client.cli.tokens import renewed_token
from pipedrive_oauth_client.clock import utc_now
from pipedrive_oauth_client.flow import PipedriveOAuth
from pipedrive_oauth_client.stores.protocol import TokenStore

__all__ = ["refresh_many", "refresh_one"]


def refresh_one(oauth: PipedriveOAuth, store: TokenStore, account: str, *, in_json: bool) -> None:
    """Renew one account, and say until when it is good.

    Args:
        oauth: The flow of the app.
        store: The store.
        account: The account.
        in_json: Whether to say it in JSON.

    Raises:
        PipedriveOAuthError: It was not renewed.
    """
    renewed_token(oauth, store, account)
    standing = standing_of(store, account, utc_now())
    if in_json:
        write_json({} if standing is None else standing.to_dict())
    else:
        expiry = "" if standing is None else f"; the access token {standing.expiry}"
        write(f"Renewed {account}{expiry}.\n")


def refresh_many(
    oauth: PipedriveOAuth,
    store: TokenStore,
    older_than: timedelta,
    *,
    concurrency: int,
    per_second: float,
    in_json: bool,
) -> None:
    """Renew what is due, and say what was done and what failed.

    Args:
        oauth: The flow of the app.
        store: The store.
        older_than: How long ago an account was last renewed to be due.
        concurrency: How many are renewed at the same time.
        per_second: How many renewals are begun in a second at most.
        in_json: Whether to say it in JSON.

    Raises:
        CommandError: Some accounts were not renewed; they are named.
        PipedriveOAuthError: Something is wrong that all accounts would meet.
    """
    report = refresh_all(oauth, store, older_than, concurrency=concurrency, per_second=per_second)
    failed = {account: one_line(str(error)) for account, error in sorted(report.errors.items())}
    if in_json:
        done = {"renewed": report.renewed, "already_done": report.already_done, "failed": failed}
        write_json(done)
    else:
        for account, why in failed.items():
            say(one_line(f"{account}: {why}"))
        others = f", {report.already_done} by somebody else" if report.already_done else ""
        write(f"{report.renewed} renewed{others}, {len(failed)} failed.\n")
    if failed:
        names = ", ".join(list(failed)[:5]) + (", ..." if len(failed) > 5 else "")
        raise CommandError(
            f"{len(failed)} of the accounts that are due were not renewed: {names}.",
            ExitCode.SOME_FAILED,
        )
