"""What `token`, `refresh` and `revoke` do with stored accounts."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Generator, Iterable, Sequence
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
    MAX_LISTED,
    format_duration,
    listed,
    not_found_error,
    status_of,
)
from pipedrive_oauth_client.errors import (
    CorruptTokenError,
    GrantEndedError,
    InvalidResponseError,
    PipedriveOAuthError,
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
from pipedrive_oauth_client.tokens import ACCESS_LIFETIME, Token
from pipedrive_oauth_client.users import fetch_current_user

__all__ = [
    "chosen_account",
    "chosen_accounts",
    "delete_tokens",
    "end_grants",
    "ended_accounts",
    "readable_account",
    "refresh_many",
    "refresh_one",
    "refreshed_token",
    "retry_ended_grants",
    "retry_save",
    "show_user",
    "valid_token",
]

_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)
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
        total = _FleetTotal(store, show)

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

        return retry_save(run, lambda: bool(pending_saves.accounts(store)), say)


class _FleetTotal:
    """Adds up the runs of one command: after a failed save, another run does the rest."""

    def __init__(self, store: TokenStore, show: Callable[[FleetProgress], object] | None) -> None:
        self._store = store
        self._show = show
        self._renewed = self._already_done = 0  # to add to what this run counts
        self._latest = FleetProgress("", None, 0, 0, 0)
        self._pending = set[str]()
        self._ended: dict[str, PipedriveOAuthError] = {}

    def begin_run(self) -> Callable[[FleetProgress], object]:
        self._renewed += self._latest.renewed
        self._already_done += self._latest.already_done
        self._latest = FleetProgress("", None, 0, 0, 0)
        self._pending = pending_saves.accounts(self._store)
        return self._note

    def _note(self, progress: FleetProgress) -> None:
        self._latest = progress
        if isinstance(progress.error, GrantEndedError):
            self._ended[progress.account] = progress.error
        if progress.account in self._pending and progress.error is None:
            # The run before has refreshed it, and this one has saved it.
            self._renewed += 1
            self._already_done -= 1
        if self._show is not None:
            self._show(
                evolve(
                    progress,
                    renewed=self._renewed + progress.renewed,
                    already_done=self._already_done + progress.already_done,
                )
            )

    def add(self, report: FleetReport) -> FleetReport:
        """Give the report of all runs. The last one has tried again what failed before.

        It has skipped the grants that have ended in one of the runs before.
        """
        skipped = self._ended.keys() - report.errors.keys()
        return evolve(
            report,
            renewed=self._renewed + report.renewed,
            already_done=self._already_done + report.already_done,
            errors={**self._ended, **report.errors},
            ended=report.ended - len(skipped),
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
            done = progress.renewed + progress.already_done + progress.failed + progress.ended
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


def retry_ended_grants(store: TokenStore, accounts: Iterable[str]) -> None:
    """Let the next refresh of accounts ask the service, although their grants have ended."""
    for account in accounts:
        with store.lock(account):
            try:
                token = store.load(account)
            except CorruptTokenError:
                continue  # the refresh says so
            if token is not None and token.grant_end is not None:
                # When it has ended is still true, unless the service says otherwise.
                end = evolve(token.grant_end, tried_at=_LONG_AGO)
                store.save(account, evolve(token, grant_end=end))


def ended_accounts(store: TokenStore) -> list[str]:
    """Return the accounts whose grants may have ended."""
    own: Callable[[], Iterable[str]] | None = getattr(store, "ended", None)
    return list(store.accounts() if own is None else own())


def refresh_one(oauth: PipedriveOAuth, store: TokenStore, account: str, *, in_json: bool) -> None:
    """Refresh one account, and report when its access token expires."""
    try:
        refreshed_token(oauth, store, account)
    except GrantEndedError as error:
        raise CommandError(
            f"{error} Run: pipedrive-oauth login --account {shlex.quote(account)}. To ask Pipedrive"
            " once more, pass --force.",
            ExitCode.NO_GRANT,
        ) from error
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
        counts = {
            "renewed": report.renewed,
            "already_done": report.already_done,
            "ended": report.ended,
        }
        write_json({**counts, "failed": failed})
    else:
        for account, reason in failed.items():
            say(one_line(f"{account}: {reason}"))
        others = f", {report.already_done} by other processes" if report.already_done else ""
        ended = f", {report.ended} skipped whose grant has ended" if report.ended else ""
        write(f"{report.renewed} refreshed{others}, {len(failed)} failed{ended}.\n")
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
