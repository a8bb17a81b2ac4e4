"""The renewal of an account's token: lock, load, refresh, save, once for all who wait for it.

A renewal runs in one thread and under the account's lock from beginning to end. Asynchronous
callers run it in a thread as well, so that their cancellation can't stop it between the response
and the save.
"""

from __future__ import annotations

import copy
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from contextvars import copy_context
from datetime import datetime, timedelta
from logging import ERROR, WARNING, getLogger
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve

from pipedrive_oauth_client._checks import read_clock
from pipedrive_oauth_client.errors import (
    ConfigurationError,
    CorruptTokenError,
    GrantEndedError,
    InvalidClientError,
    InvalidGrantError,
    MissingScopesError,
    PipedriveOAuthError,
    StoreError,
    StoreLockTimeoutError,
    TokenNotFoundError,
    TransportError,
    UnusableAccessTokenError,
)
from pipedrive_oauth_client.generated.encode import argument
from pipedrive_oauth_client.oauth import AsyncPipedriveOAuth, PipedriveOAuth, TokenTypeHint
from pipedrive_oauth_client.stores.leased import Lease, load_first, save_last
from pipedrive_oauth_client.stores.protocol import TokenStore, checked_account, checked_store
from pipedrive_oauth_client.tokens import GrantEnd, Token

if TYPE_CHECKING:
    from pipedrive_oauth_client.events import Event, RefreshReason

__all__ = [
    "Requirement",
    "disconnect",
    "in_progress",
    "is_known_to_have_ended",
    "pending_saves",
    "renew",
    "renew_and_report",
    "result_of",
    "start_or_join",
]

_NO_TIME: Final = timedelta(0)
_MOST_ROUNDS: Final = 5
_LOGGER: Final = getLogger("pipedrive_oauth_client")
_NEXT_TRY: Final = timedelta(days=1)
# Whatever the body says, with these the service does not judge the refresh token.
_NO_MARK: Final = (401, 429)


# --- Tokens that the service has issued and the store has not accepted yet ---


class _PendingSave:
    __slots__ = ("previous", "store", "token")

    def __init__(self, store: TokenStore, previous: Token, token: Token) -> None:
        self.store = store  # while it is referenced, no other store gets its id
        self.previous = previous
        self.token = token


class PendingSaves:
    """Tokens whose save failed, by store and account; this process has their only copy."""

    def __init__(self) -> None:
        self._saves: dict[tuple[int, str], _PendingSave] = {}

    def add(self, store: TokenStore, account: str, *, previous: Token, token: Token) -> None:
        """Keep a token that was obtained with `previous` until the store accepts it."""
        self._saves[id(store), account] = _PendingSave(store, previous, token)

    def flush(self, store: TokenStore, account: str, stored: Token | None) -> Token | None:
        """Save the account's pending token, and give what is stored then.

        The caller holds the account's lock and passes what is stored. A token that another process
        has stored since takes precedence. If the store fails again, the token stays pending.
        """
        key = id(store), account
        pending = self._saves.get(key)
        if pending is None:
            return stored
        # The end of a grant that another process has noted was that of the previous token.
        if stored is not None and _unmarked(stored) == _unmarked(pending.previous):
            store.save(account, pending.token)
            stored = pending.token
        self._saves.pop(key, None)
        return stored

    def get(self, store: TokenStore, account: str) -> Token | None:
        """Give the account's pending token."""
        pending = self._saves.get((id(store), account))
        return None if pending is None else pending.token

    def discard(self, store: TokenStore, account: str) -> None:
        """Forget the pending token of an account that was deleted."""
        self._saves.pop((id(store), account), None)

    def has(self, store: TokenStore, account: str) -> bool:
        """Tell whether a token of the account is pending."""
        return (id(store), account) in self._saves

    def accounts(self, store: TokenStore) -> set[str]:
        """Give the accounts of the store whose token is pending."""
        return {account for store_id, account in list(self._saves) if store_id == id(store)}


pending_saves: Final = PendingSaves()


# --- Single-flight: one renewal of an account at a time in this process ---


class _Flight:
    __slots__ = ("future", "report", "store", "thread")

    def __init__(self, store: TokenStore, report: Callable[[], object] | None) -> None:
        self.store = store  # while it is referenced, no other store gets its id
        self.report = report
        self.future: Future[Token] = Future()
        self.thread = 0


class _SingleFlight:
    __slots__ = ("flights", "guard")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.guard = threading.Lock()
        self.flights: dict[tuple[int, str], _Flight] = {}


_single_flight: Final = _SingleFlight()

if hasattr(os, "register_at_fork"):
    # The threads that run the renewals don't exist in a forked child.
    os.register_at_fork(after_in_child=_single_flight.reset)


def start_or_join(
    store: TokenStore,
    account: str,
    work: Callable[[], Token],
    *,
    run_here: bool = False,
    report: Callable[[], object] | None = None,
) -> Future[Token]:
    """Join the account's renewal that is in progress, or start `work` as the next one.

    `work` runs in a thread of its own, or in this one with `run_here`; the future is done then.
    `report` is called there after it, when the account may be renewed again and before the callers
    go on, so that what it calls may ask for a token, and is finished when they look.
    A renewal that asks for a token of its own account raises a `ConfigurationError`.
    """
    key = id(store), account
    # Most callers find a renewal in progress. Reading one entry needs no lock.
    if (flight := _single_flight.flights.get(key)) is not None:
        return _joined(flight)
    own = _Flight(store, report)
    try:
        with _single_flight.guard:
            flight = _single_flight.flights.setdefault(key, own)
        if flight is not own:
            return _joined(flight)
        if run_here:
            _run(key, own, work)
        else:
            _start(key, own, work)
    except BaseException:
        _abandon(key, own)  # Ctrl-C can come at any moment before the work begins
        raise
    return own.future


def in_progress() -> list[Future[Token]]:
    """Give the futures of the renewals that are in progress in this process."""
    with _single_flight.guard:
        return [flight.future for flight in _single_flight.flights.values()]


def result_of(future: Future[Token]) -> Token:
    """Wait for a renewal, and give its token or raise its error.

    Each caller gets a copy of the error, so that their tracebacks don't mix.
    """
    # `Future.result` would add to the traceback of the one error that all callers share.
    error = future.exception()
    if error is None:
        return future.result()
    raise _copied(error) from error.__cause__


def _joined(flight: _Flight) -> Future[Token]:
    if flight.thread == threading.get_ident():
        raise ConfigurationError(
            "The renewal of a token needs a token of the same account: the httpx client or the"
            " store that it uses must not use PipedriveAuth itself."
        )
    return flight.future


def _copied(error: BaseException) -> BaseException:
    try:
        own = copy.copy(error)
    except Exception:  # noqa: BLE001 - an error of a user's store whose class takes more than `args`
        return error
    if hasattr(own, "__notes__"):
        own.__notes__ = list(own.__notes__)
    return own.with_traceback(error.__traceback__)


def _start(key: tuple[int, str], flight: _Flight, work: Callable[[], Token]) -> None:
    # In the caller's context, where tracing keeps what a request belongs to.
    arguments: tuple[Any, ...] = (_run, key, flight, work)
    try:
        threading.Thread(
            target=copy_context().run, args=arguments, name="pipedrive-oauth-renewal", daemon=False
        ).start()
    except RuntimeError:
        # The interpreter is exiting, or the machine has no thread left. The work may run here, but
        # not in a daemon thread, which the interpreter ends in the middle of it.
        if threading.current_thread().daemon:
            _abandon(key, flight)
        else:
            _run(key, flight, work)


def _abandon(key: tuple[int, str], flight: _Flight) -> None:
    with _single_flight.guard:
        if flight.thread != 0 or _single_flight.flights.get(key) is not flight:
            return  # it has begun all the same, or no other caller knows of it
        del _single_flight.flights[key]
    flight.future.set_exception(
        TransportError(
            "The token refresh was interrupted before anything was sent. Try again.",
            maybe_sent=False,
        )
    )


def _run(key: tuple[int, str], flight: _Flight, work: Callable[[], Token]) -> None:
    with _single_flight.guard:
        # Its caller was interrupted and has abandoned it; or a thread runs it already, since Ctrl-C
        # during the start of a thread can end in a RuntimeError as well.
        if _single_flight.flights.get(key) is not flight or flight.thread != 0:
            return
        flight.thread = threading.get_ident()
    error: BaseException | None = None
    token: Token | None = None
    try:
        token = work()
    except BaseException as failure:  # noqa: BLE001 - whatever it is, the callers wait for it
        error = failure
    # Before the future is done: a caller that learns of a failure may try again at once.
    with _single_flight.guard:
        _single_flight.flights.pop(key, None)
    try:
        if flight.report is not None:
            flight.report()
    finally:
        if error is not None:
            flight.future.set_exception(error)
        elif token is not None:
            flight.future.set_result(token)


# --- What a renewal reports: events for `on_event`, and records for the log ---


def renew_and_report(
    oauth: PipedriveOAuth,
    store: TokenStore,
    account: str,
    requirement: Requirement,
    *,
    events: list[Event],
    cached: Token | None = None,
    is_fleet: bool = False,
) -> tuple[Token, bool]:
    """Do the same as `renew`, log it, and add to `events` what is to be reported after it.

    `cached` is a token that the caller has beside the stored one.
    """
    started = time.monotonic()
    try:
        token, was_refreshed = renew(oauth, store, account, requirement)
    except PipedriveOAuthError as error:
        # What nothing was tried for is no failed refresh: no token, or a grant known to have ended.
        is_known = isinstance(error, GrantEndedError) and error.__cause__ is None
        if not (is_known or isinstance(error, TokenNotFoundError | MissingScopesError)):
            seconds = time.monotonic() - started
            now = read_clock(oauth.clock)
            is_valid = any(
                each is not None
                and each.access_token != requirement.rejected
                and each.expires_at > now
                for each in (requirement.latest, cached)
            )
            reason = "fleet" if is_fleet else _reason(requirement, oauth.clock)
            is_pending = pending_saves.has(store, account)
            _log_failure(account, error, is_valid=is_valid, is_pending=is_pending)
            if oauth.has_on_event:
                _add_failure(events, account, requirement.latest, error, is_valid, seconds, reason)
        raise
    if was_refreshed:
        seconds = time.monotonic() - started
        reason = "fleet" if is_fleet else _reason(requirement, oauth.clock)
        _LOGGER.info(
            "Refreshed the token of %r (%s) in %.3f s. It expires at %s.",
            account,
            reason,
            seconds,
            token.expires_at.isoformat(timespec="seconds"),
        )
        if oauth.has_on_event:
            _add_success(events, account, requirement.latest, token, seconds, reason)
    return token, was_refreshed


def _reason(requirement: Requirement, clock: Callable[[], datetime]) -> RefreshReason:
    latest = requirement.latest
    if latest is not None and latest.access_token == requirement.rejected:
        return "rejected"
    return "early" if latest is not None and latest.expires_at > read_clock(clock) else "expired"


def _add_failure(  # noqa: PLR0917 - one caller, which has them all
    events: list[Event],
    account: str,
    previous: Token | None,
    error: PipedriveOAuthError,
    is_valid: bool,
    seconds: float,
    reason: RefreshReason,
) -> None:
    from pipedrive_oauth_client.events import (  # noqa: PLC0415 - for those who want events
        GrantEnded,
        RefreshFailed,
    )

    own = copy.copy(error)  # without a traceback, whose frames hold secrets
    own.__cause__ = error.__cause__
    failed = RefreshFailed(
        account=account, error=own, is_token_valid=is_valid, seconds=seconds, reason=reason
    )
    events.append(failed)
    is_first = previous is None or previous.grant_end is None
    if isinstance(error, GrantEndedError) and is_first:
        events.append(
            GrantEnded(account=account, at=error.since, error=error.error or "invalid_grant")
        )


def _add_success(  # noqa: PLR0917 - one caller, which has them all
    events: list[Event],
    account: str,
    previous: Token | None,
    token: Token,
    seconds: float,
    reason: RefreshReason,
) -> None:
    from pipedrive_oauth_client.events import (  # noqa: PLC0415 - for those who want events
        ApiDomainChanged,
        GrantRestored,
        TokenRefreshed,
    )

    refreshed = TokenRefreshed(
        account=account, expires_at=token.expires_at, seconds=seconds, reason=reason
    )
    events.append(refreshed)
    if previous is None:
        return
    if previous.grant_end is not None:
        events.append(GrantRestored(account=account))
    former, current = previous.api_domain, token.api_domain
    if former is not None and current is not None and former.rstrip("/") != current.rstrip("/"):
        events.append(ApiDomainChanged(account=account, former=former, current=current))


def _log_failure(
    account: str, error: PipedriveOAuthError, *, is_valid: bool, is_pending: bool
) -> None:
    if is_pending:
        _LOGGER.error(
            "The token of %r was refreshed, and could not be saved. This process has the only copy"
            " of the new one, and saves it at the next call: keep it running until the store works."
            " %s",
            account,
            error,
        )
        return
    # An error for what a person has to fix. Of the rest, an early refresh has a warning of its own.
    to_fix = (InvalidClientError, InvalidGrantError, StoreError, ConfigurationError)
    if isinstance(error, to_fix) and not isinstance(error, StoreLockTimeoutError):
        level = ERROR
    elif is_valid:
        return
    else:
        level = WARNING
    _LOGGER.log(level, "The token of %r could not be refreshed. %s", account, error)


# --- One renewal ---


class Requirement:
    """What a stored token must be to serve a caller without a refresh.

    Attributes:
        clock: Gives the current time as an aware datetime.
        leeway: How long before its expiry a token is refreshed, if it can be.
        rejected: The access token that the API has rejected, or None.
        check: Raises an error where a token is none for the caller at all, or None.
        latest: The token that was judged last, or None; it is a renewal's newest knowledge.
    """

    __slots__ = ("_check", "_clock", "_leeway", "latest", "rejected")

    def __init__(
        self,
        clock: Callable[[], datetime],
        leeway: timedelta,
        rejected: str | None = None,
        check: Callable[[Token], None] | None = None,
    ) -> None:
        self._check = check
        self._clock = clock
        self._leeway = leeway
        self.rejected = rejected
        self.latest: Token | None = None

    def accepts(self, token: Token, *, is_new: bool = False) -> bool:
        """Tell whether a token serves.

        One that was stored after the caller came (`is_new`) serves until its expiry: where tokens
        live for less than the leeway, even the newest is within it.
        """
        self.latest = token
        if self._check is not None:
            self._check(token)
        if token.access_token == self.rejected:
            return False
        # A token that can't be refreshed is used until its expiry.
        is_last = token.refresh_token is None or token.grant_end is not None
        leeway = _NO_TIME if is_new or is_last else self._leeway
        return token.expires_at - read_clock(self._clock) > leeway


def renew(
    oauth: PipedriveOAuth, store: TokenStore, account: str, requirement: Requirement
) -> tuple[Token, bool]:
    """Give a stored token that meets the requirement, and whether this call has obtained it.

    Raises `TokenNotFoundError` where none is stored, `GrantEndedError` where the stored refresh
    token is invalid and no other process has saved another, and what the service or store raises.
    A `GrantEndedError` has the service's error as its cause only if this call has met it.
    """
    # Often another process has refreshed it already, which needs no lock to find out.
    before = store.load(account)
    if before is None:
        pending_saves.discard(store, account)
    token = _checked(before, account, store)
    is_accepted = requirement.accepts(token)
    if not pending_saves.has(store, account):
        if is_accepted:
            return token, False
        if token.grant_end is not None:
            _raise_if_ended(oauth, account, token)
    for _ in range(_MOST_ROUNDS):
        with store.lock(account) as lease:
            found = _renew_locked(
                oauth, store, account, lease, requirement=requirement, before=before
            )
            if found is not None:
                return found
    raise StoreLockTimeoutError(
        "Other programs change the account's token faster than it can be refreshed. Try again; if"
        " it lasts, look for programs that save tokens without the account's lock."
    )


def _renew_locked(
    oauth: PipedriveOAuth,
    store: TokenStore,
    account: str,
    lease: object,
    *,
    requirement: Requirement,
    before: Token | None,
) -> tuple[Token, bool] | None:
    """Do the part of `renew` that needs the lock; None where it takes another round."""
    try:
        loaded = load_first(store, account, lease)
        stored = pending_saves.flush(store, account, loaded)
    except StoreLockTimeoutError:
        return None
    token = _checked(stored, account, store)
    if requirement.accepts(token, is_new=token != before):
        return token, False
    if token.refresh_token is None:
        raise TokenNotFoundError(
            f"The stored token of {account!r} has expired, and it has no refresh token. The user"
            " has to authorize the app again."
        )
    if token.grant_end is not None:
        _raise_if_ended(oauth, account, token)
    if isinstance(lease, Lease) and lease.is_over():
        # This process was stopped after it took the lock. Another one may be refreshing.
        return None
    try:
        following, failure = _following(oauth, token)
    except InvalidGrantError as error:
        # Another process that had lost the lock may have been faster.
        latest = _mark_end(oauth, store, account, token, error)
        return (latest, False) if requirement.accepts(latest, is_new=latest != before) else None
    try:
        save_last(store, account, following)
    except BaseException as error:
        pending_saves.add(store, account, previous=token, token=following)
        if not isinstance(error, StoreLockTimeoutError):
            raise
        # Either another process has saved a token, which then counts, or the next round saves this.
        return None
    if failure is not None:
        raise failure
    return following, True


def is_known_to_have_ended(token: Token, now: datetime) -> bool:
    """Tell whether the grant of a token has ended, and it is not time to try it once more.

    The service may have been mistaken, so a refresh is tried again a day after the last.
    """
    end = token.grant_end
    # A clock that is wrong by days must not keep the mark for ever.
    return end is not None and abs(now - end.tried_at) < _NEXT_TRY


def _raise_if_ended(oauth: PipedriveOAuth, account: str, token: Token) -> None:
    if token.grant_end and is_known_to_have_ended(token, read_clock(oauth.clock)):
        raise _grant_ended(account, token.grant_end)


def _mark_end(
    oauth: PipedriveOAuth, store: TokenStore, account: str, token: Token, error: InvalidGrantError
) -> Token:
    """Note with the stored token that its grant has ended, and raise the error that says so.

    Gives a newer token if another process has saved one. The caller holds the account's lock.
    """
    failure: Exception | None = None
    for _ in range(2):
        latest = store.load(account)
        if latest is None:
            raise error  # it was deleted meanwhile
        if _unmarked(latest) != _unmarked(token):
            return _checked(latest, account, store)
        if error.status_code in _NO_MARK or error.status_code >= 500:
            raise error
        now = read_clock(oauth.clock)
        since = now if token.grant_end is None else token.grant_end.at
        end = GrantEnd(at=since, error=error.error or "invalid_grant", tried_at=now)
        try:
            store.save(account, evolve(latest, grant_end=end))
        except Exception as problem:  # noqa: BLE001 - a store of a user's raises anything
            failure = problem
            if isinstance(problem, StoreLockTimeoutError):
                continue  # another process may have saved a token since
            break
        raise _grant_ended(account, end, error) from error
    _LOGGER.warning(
        "The grant of %r has ended, but the store could not record it, so each refresh sends a"
        " request to the service again. %s",
        account,
        failure,
    )
    raise error


def _grant_ended(
    account: str, end: GrantEnd, cause: InvalidGrantError | None = None
) -> GrantEndedError:
    since = end.at.isoformat(sep=" ", timespec="seconds").replace("+00:00", " UTC")
    known = (
        f"The grant of {account!r} has ended: Pipedrive rejected its refresh token at {since}"
        f" ({end.error}). Nothing was sent. The user has to authorize the app again."
    )
    return GrantEndedError(
        known if cause is None else str(cause),
        account=account,
        since=end.at,
        status_code=400 if cause is None else cause.status_code,
        error=end.error,
        description=None if cause is None else cause.description,
    )


def _unmarked(token: Token) -> Token:
    return token if token.grant_end is None else evolve(token, grant_end=None)


def _following(
    oauth: PipedriveOAuth, token: Token
) -> tuple[Token, UnusableAccessTokenError | None]:
    """Refresh a token: give what to save in its place, and the error to raise after that."""
    try:
        return oauth.refresh(token), None
    except UnusableAccessTokenError as error:
        if error.token is None:
            raise
        return error.token, UnusableAccessTokenError(
            error.problem, field=error.field, headers=error.headers, is_saved=True
        )


# --- The end of a connection ---


def disconnect(
    oauth: PipedriveOAuth | AsyncPipedriveOAuth, store: TokenStore, account: str
) -> bool:
    """Disconnect an account: revoke its grant, then delete its token.

    It takes the account's lock, so that no refresh in between leaves a valid refresh token, and
    revokes the newest token that this process knows. In an event loop, call it in a thread:
    `await anyio.to_thread.run_sync(...)`.

    Args:
        oauth: Revokes the grant.
        store: Holds the token.
        account: The account.

    Returns:
        Whether a token was stored. Without one, nothing is done.

    Raises:
        PipedriveOAuthError: The grant was not revoked, and the token is still stored: try again.
        CorruptTokenError: The stored content is not a token that can be sent, for example an
            encrypted one; nothing was sent.
        StoreError: The store does not work; the message says if the grant is revoked already.
        ConfigurationError: An argument is not valid.

    Source:
        RFC 7009, section 2; https://pipedrive.readme.io/docs/app-uninstallation.
    """
    argument("oauth", oauth, PipedriveOAuth | AsyncPipedriveOAuth)
    checked_store("store", store)
    checked_account(account)
    with ExitStack() as at_the_end:
        blocking = oauth
        if isinstance(blocking, AsyncPipedriveOAuth):
            blocking = at_the_end.enter_context(blocking.blocking())
        with store.lock(account):
            stored = store.load(account)
            # A token that could not be saved is the newest, even where the old one was deleted.
            pending = pending_saves.get(store, account) if stored is None else None
            token = pending or pending_saves.flush(store, account, stored)
            if token is None:
                return False
            token = _checked(token, account, store)
            hint: TokenTypeHint = "access_token" if token.refresh_token is None else "refresh_token"
            blocking.revoke(token, hint)
            pending_saves.discard(store, account)
            try:
                store.delete(account)
            except StoreError as error:
                raise StoreError(
                    f"The grant of {account!r} is revoked, but its token, which is now invalid,"
                    f" was not deleted: {error} Then disconnect the account again."
                ) from error
    from pipedrive_oauth_client.events import GrantEnded  # noqa: PLC0415 - rarely needed

    oauth.emit(GrantEnded(account=account, at=read_clock(oauth.clock), error="disconnected"))
    return True


def _checked(token: Token | None, account: str, store: TokenStore) -> Token:
    if not isinstance(token, Token | None):
        raise StoreError(
            f"The load method of {type(store).__name__} returned {type(token).__name__} where a"
            " Token or None was expected. A store is synchronous and returns what was saved."
        )
    if token is None:
        raise TokenNotFoundError(
            f"No token is stored for {account!r}. The user has to authorize the app first."
        )
    if token.token_type.lower() != "bearer":
        raise CorruptTokenError(
            f"The stored token of {account!r} can't be sent as it is. If it was encrypted, put the"
            " same EncryptedTokenStore around the store."
        )
    return token
