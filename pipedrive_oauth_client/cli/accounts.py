"""What `token`, `refresh` and `revoke` do with stored accounts."""

from __future__ import annotations

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
from pipedrive_oauth_client.cli.output import one_line, progress_bar, say, write, write_json
from pipedrive_oauth_client.cli.status import (
    ACCESS_LIFETIME,
    MAX_LISTED,
    format_duration,
    listed,
    not_found_error,
    status_of,
)
from pipedrive_oauth_client.errors import (
    CorruptTokenError,
    InvalidResponseError,
    StoreError,
    TokenNotFoundError,
    TokenRequestError,
    TransportError,
)
from pipedrive_oauth_client.fleet import FleetProgress, FleetReport, due, refresh_due
from pipedrive_oauth_client.oauth import PipedriveOAuth
from pipedrive_oauth_client.stores.protocol import (
    TokenStore,
    accounts_with_prefix,
    checked_account,
)
from pipedrive_oauth_client.tokens import Token
from pipedrive_oauth_client.users import fetch_current_user

__all__ = [
    "chosen_account",
    "chosen_accounts",
    "delete_tokens",
    "end_grants",
    "readable_account",
    "refresh_many",
    "refresh_one",
    "refreshed_token",
    "retry_save",
    "show_user",
    "valid_token",
]

_RETRY_SECONDS: Final = (1, 2, 4, 8, 15)
# As long as a request can take.
_FINISH_SECONDS: Final = 60

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
    # An access token that was refreshed then has expired an hour later.
    now = datetime.now(UTC)
    before = min(now, now - older_than + ACCESS_LIFETIME)
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
    with progress_bar("Refreshing", lambda: sum(1 for _ in due(store, before))) as show:
        if show is None:
            yield None
            return

        def update(progress: FleetProgress) -> None:
            done = progress.renewed + progress.already_done + progress.failed
            show(done, progress.failed)

        yield update


def readable_account(store: TokenStore, account: str | None, location: str) -> str:
    """Return the account that a command is for, whose token has to be readable."""
    name = chosen_account(store, account, location)
    try:
        token = store.load(name)
    except CorruptTokenError as error:
        text = str(error)
        # What the library says is for programs.
        if "can't be decrypted" in text:
            text += " The keys come from --store-keys-file, or PIPEDRIVE_OAUTH_STORE_KEYS."
        elif "stored in the clear" in text:
            text += " The command for that is: pipedrive-oauth rotate --seal-clear"
        raise CorruptTokenError(text) from error
    if token is not None and token.token_type.lower() != "bearer":
        raise CorruptTokenError(
            f"The token of '{name}' in {location} is encrypted. Pass its key: --store-keys-file, or"
            " PIPEDRIVE_OAUTH_STORE_KEYS."
        )
    return name


def chosen_account(store: TokenStore, account: str | None, location: str) -> str:
    """Return the account that a command is for: the named one, or the only one in the store."""
    if account is not None:
        try:
            is_there = store.load(checked_account(account)) is not None
        except CorruptTokenError:
            is_there = True  # what it is worth, the command itself finds out
        if not is_there:
            raise not_found_error(store, account, location)
        return account
    found = sorted(islice(store.accounts(), MAX_LISTED + 1))
    if not found:
        raise TokenNotFoundError(f"No account is stored in {location}. Run: pipedrive-oauth login")
    if len(found) > 1:
        raise CommandError(
            f"Several accounts are stored in {location}. Name one of {listed(found)}.",
            ExitCode.USAGE,
        )
    return found[0]


def chosen_accounts(
    store: TokenStore, account: str | None, company: int | None, location: str
) -> list[str]:
    """Return the accounts that a command is for: those of a company, or the chosen one."""
    if company is None:
        return [chosen_account(store, account, location)]
    found = sorted(accounts_with_prefix(store, f"{company}:"))
    if not found:
        raise TokenNotFoundError(f"No account of company {company} is stored in {location}.")
    return found


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
            f"{len(failed)} of the due accounts were not refreshed: {listed(list(failed))}.",
            ExitCode.SOME_FAILED,
        )


def end_grants(
    oauth: PipedriveOAuth,
    store: TokenStore,
    accounts: Sequence[str],
    location: str,
    *,
    in_json: bool,
) -> None:
    """Revoke the grants of accounts and delete their tokens, and report what failed."""

    def end(account: str) -> None:
        end_grant(oauth, store, account)
        if not in_json:
            write(f"Revoked {account}; its token is deleted from {location}.\n")

    _for_each(accounts, end, "revoked", in_json=in_json)


def delete_tokens(
    store: TokenStore, accounts: Sequence[str], location: str, *, in_json: bool
) -> None:
    """Delete the stored tokens of accounts, readable or not; no request is sent."""

    def delete(account: str) -> None:
        with store.lock(account):
            try:
                if store.load(account) is None:
                    raise not_found_error(store, account, location)
            except CorruptTokenError:
                pass  # deleting it is what repairs that
            store.delete(account)
        if not in_json:
            write(f"Deleted the token of {account} from {location}; no request was sent.\n")

    _for_each(accounts, delete, "deleted", in_json=in_json)


def _for_each(
    accounts: Sequence[str], work: Callable[[str], None], done: str, *, in_json: bool
) -> None:
    """Do something for each account; of several, one that fails does not stop the others."""
    if len(accounts) == 1:
        work(accounts[0])
        if in_json:
            write_json({"account": accounts[0], done: True})
        return
    failed: dict[str, str] = {}
    for account in accounts:
        try:
            work(account)
        except (StoreError, TokenRequestError, TransportError, InvalidResponseError) as error:
            failed[account] = one_line(str(error))
    if in_json:
        write_json({done: [each for each in accounts if each not in failed], "failed": failed})
    else:
        for account, reason in failed.items():
            say(one_line(f"{account}: {reason}"))
    if failed:
        raise CommandError(
            f"{len(failed)} of {len(accounts)} accounts were not {done}: {listed(list(failed))}.",
            ExitCode.SOME_FAILED,
        )


def show_user(oauth: PipedriveOAuth, store: TokenStore, account: str, *, in_json: bool) -> None:
    """Ask Pipedrive whose token it is, and print that."""
    token = valid_token(oauth, store, account)
    user = fetch_current_user(token, clock=oauth.clock)
    if in_json:
        write_json(
            {
                "account": account,
                "user_id": user.user_id,
                "name": user.name,
                "company_id": user.company_id,
                "company_name": user.company_name,
                "api_domain": token.api_domain,
                "scopes": sorted(token.scopes),
            }
        )
        return
    lines = (
        ("account", account),
        ("user", f"{user.name or '-'} ({user.user_id})"),
        ("company", f"{user.company_name or '-'} ({user.company_id})"),
        ("API", token.api_domain or "-"),
        ("scopes", " ".join(sorted(token.scopes)) or "-"),
    )
    write("".join(f"{name + ':':<9} {one_line(value)}\n" for name, value in lines))
