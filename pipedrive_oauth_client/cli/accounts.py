"""`refresh`: what is said of renewals."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator
from concurrent.futures import wait
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final, TypeVar

from pipedrive_oauth_client._checks import utc_now
from pipedrive_oauth_client._renewal import in_progress, pending_saves
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
    "finishing_refresh",
    "refresh_all",
    "refresh_many",
    "refresh_one",
    "refreshed_token",
    "retry_save",
    "valid_token",
]

_WAITS_SECONDS: Final = (1, 2, 4, 8, 15)
# As long as a request can take.
_PATIENCE_SECONDS: Final = 60

T = TypeVar("T")


def retry_save(
    work: Callable[[], T],
    is_at_stake: Callable[[], bool],
    tell: Callable[[str], object],
    sleep: Callable[[float], object] = time.sleep,
) -> T:
    """Do something that saves a token, several times if the store fails.

    Args:
        work: What saves it. It may be done again.
        is_at_stake: Tells whether this process has the only copy of a token.
        tell: Tells the person.
        sleep: Waits for a number of seconds.

    Returns:
        What it gave.

    Raises:
        StoreError: The store failed until the end, or no token was at stake.
    """
    for seconds in _WAITS_SECONDS:
        try:
            return work()
        except StoreError as error:
            if not is_at_stake():
                raise
            words = format_duration(timedelta(seconds=seconds))
            tell(
                f"The new token can't be saved yet: {one_line(str(error))} Trying again in {words};"
                " Ctrl-C gives up."
            )
            sleep(seconds)
    return work()


@contextmanager
def finishing_refresh(tell: Callable[[str], object]) -> Generator[None]:
    """Let Ctrl-C and SIGTERM break off no renewal whose request may be on its way.

    It goes on in a thread of its own, but not after its flow is closed.

    Args:
        tell: Tells the person.
    """
    try:
        yield
    except Exception:
        raise
    except BaseException:
        pending = in_progress()
        if pending:
            tell("A renewal is under way, and is seen through first. Ctrl-C again gives up.")
            wait(pending, _PATIENCE_SECONDS)
        raise


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
        return retry_save(
            lambda: refresh_due(
                oauth,
                store,
                before,
                concurrency=concurrency,
                per_second=per_second,
                progress=progress,
            ),
            lambda: pending_saves.has_any(store),
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


_MOST_NAMED = 5


def chosen_account(store: TokenStore, account: str | None, shown: str) -> str:
    """Give the account that a command is for: the one that was named, or the only one there is.

    Args:
        store: The store.
        account: The account's name, or None.
        shown: What can be shown of the store's address.

    Returns:
        The account.

    Raises:
        TokenNotFoundError: The store holds none.
        CommandError: It holds several, and none was named.
    """
    if account is not None:
        return checked_account(account)
    found = sorted(islice(store.accounts(), _MOST_NAMED + 1))
    if not found:
        raise TokenNotFoundError(f"No account is stored in {shown}. Run: pipedrive-oauth login")
    if len(found) > 1:
        more = ", ..." if len(found) > _MOST_NAMED else ""
        names = ", ".join(found[:_MOST_NAMED]) + more
        raise CommandError(f"Which account? Name one of {names}.", ExitCode.USAGE)
    return found[0]


def valid_token(oauth: PipedriveOAuth, store: TokenStore, account: str) -> Token:
    """Give a valid token, renewed and saved if it is time.

    Args:
        oauth: The flow of the app.
        store: The store.
        account: The account.

    Returns:
        The token.

    Raises:
        PipedriveOAuthError: The service or the store failed.
    """
    auth = PipedriveAuth(oauth, store, account)
    with finishing_refresh(say):
        return retry_save(auth.token, lambda: pending_saves.has(store, account), say)


def refreshed_token(oauth: PipedriveOAuth, store: TokenStore, account: str) -> Token:
    """Renew a token, however long it is still valid.

    Of several that do so at once, on any machine, one renews.

    Args:
        oauth: The flow of the app.
        store: The store.
        account: The account.

    Returns:
        The new token.

    Raises:
        PipedriveOAuthError: The service or the store failed.
    """
    auth = PipedriveAuth(oauth, store, account)
    before = store.load(account)
    with finishing_refresh(say):
        return retry_save(
            lambda: auth.token(rejected=before), lambda: pending_saves.has(store, account), say
        )


def end_grant(oauth: PipedriveOAuth, store: TokenStore, account: str) -> None:
    """Revoke an account's grant, and forget its token.

    The token is forgotten only when Pipedrive has revoked it. The account's lock is held, so that
    nobody renews it meanwhile.

    Args:
        oauth: The flow of the app.
        store: The store.
        account: The account.

    Raises:
        TokenNotFoundError: No token is stored for it.
        CorruptTokenError: What is stored is damaged or encrypted; nothing was sent.
        CommandError: It was revoked, and could not be deleted.
        PipedriveOAuthError: It was not revoked; the token is still stored.
    """
    with store.lock(account):
        token = store.load(account)
        if token is None:
            raise TokenNotFoundError(f"No token is stored for the account {account}.")
        if token.token_type.lower() != "bearer":
            # Pipedrive says yes to a token that it does not know, and the real one would be lost.
            raise CorruptTokenError(
                f"The token of {account} is not one that can be revoked. If it is encrypted, give"
                " the key: --store-keys-file."
            )
        oauth.revoke(token, "access_token" if token.refresh_token is None else "refresh_token")
        try:
            store.delete(account)
        except StoreError as error:
            raise CommandError(
                f"The grant of {account} is revoked, but its token, which is worth nothing now,"
                f" could not be deleted: {error} Then run the command again.",
                ExitCode.STORE,
            ) from error


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
    refreshed_token(oauth, store, account)
    standing = status_of(store, account, utc_now())
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
