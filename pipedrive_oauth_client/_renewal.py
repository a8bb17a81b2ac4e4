"""One renewal, from the lock to the save, as one synchronous piece of work.

Everything happens in one thread and under the account's lock, so that asynchronous callers, who run
it in a thread, can be cancelled without stopping it between the answer and the save.
"""

from __future__ import annotations

import copy
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from typing import Any, Final

from attrs import define, field, frozen

from pipedrive_oauth_client.errors import (
    ConfigurationError,
    CorruptTokenError,
    InvalidGrantError,
    StoreError,
    StoreLockTimeoutError,
    TokenNotFoundError,
    TransportError,
)
from pipedrive_oauth_client.oauth import PipedriveOAuth
from pipedrive_oauth_client.stores.leased import Lease
from pipedrive_oauth_client.stores.protocol import TokenStore
from pipedrive_oauth_client.tokens import Token

__all__ = [
    "drop",
    "is_any_kept",
    "is_kept",
    "join",
    "keep",
    "landed",
    "renew",
    "resolve",
    "under_way",
]


@frozen(eq=False)
class _Unsaved:
    # Holding the store keeps its id from being given to another.
    store: TokenStore = field(repr=False)
    previous: Token
    token: Token


_unsaved: Final[dict[tuple[int, str], _Unsaved]] = {}


def keep(store: TokenStore, account: str, *, previous: Token, token: Token) -> None:
    """Keep a token until it can be saved.

    Args:
        store: The store that did not take it.
        account: The account.
        previous: The token that it was obtained with.
        token: The token.
    """
    _unsaved[id(store), account] = _Unsaved(store, previous, token)


def resolve(store: TokenStore, account: str, stored: Token | None) -> Token | None:
    """Save what is kept for an account, unless somebody has put something else there meanwhile.

    The caller holds the account's lock.

    Args:
        store: The store.
        account: The account.
        stored: What it holds for the account.

    Returns:
        What it holds now.

    Raises:
        StoreError: It still does not work; the token is kept.
    """
    key = id(store), account
    kept = _unsaved.get(key)
    if kept is None:
        return stored
    if stored == kept.previous:
        store.save(account, kept.token)
        stored = kept.token
    _unsaved.pop(key, None)
    return stored


def is_kept(store: TokenStore, account: str) -> bool:
    """Tell whether a token of an account waits to be saved.

    Args:
        store: The store.
        account: The account.

    Returns:
        Whether the only copy of it is in this process.
    """
    return (id(store), account) in _unsaved


def drop(store: TokenStore, account: str) -> None:
    """Forget what is kept for an account that was deleted.

    Args:
        store: The store.
        account: The account.
    """
    _unsaved.pop((id(store), account), None)


def is_any_kept(store: TokenStore) -> bool:
    """Tell whether a token of any account waits to be saved.

    Args:
        store: The store.

    Returns:
        Whether the only copy of one is in this process.
    """
    return any(key[0] == id(store) for key in list(_unsaved))


@define(eq=False)
class _Flight:
    # Holding the store keeps its id, which the flight is known by, from being given to another.
    store: TokenStore
    future: Future[Token] = field(factory=Future[Token])
    thread: int = 0


@define(eq=False)
class _Flights:
    guard: threading.Lock = field(factory=threading.Lock)
    under_way: dict[tuple[int, str], _Flight] = field(factory=dict[tuple[int, str], _Flight])

    def forget(self) -> None:
        # After a fork: the threads that carry the flights out have stayed in the parent.
        self.guard, self.under_way = threading.Lock(), {}


_flights = _Flights()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_flights.forget)


def join(
    store: TokenStore, account: str, work: Callable[[], Token], *, here: bool = False
) -> Future[Token]:
    """Join the renewal of an account that is under way, or begin it.

    Args:
        store: Where the account's token is kept.
        account: The account.
        work: Renews the token and saves it.
        here: Whether to carry the work out in this thread, if it is to begin.

    Returns:
        What the renewal will bring. If its work is done here, it is there already.

    Raises:
        ConfigurationError: The renewal asks for itself.
    """
    key = id(store), account
    # Most callers find one under way, and need none of their own. This reads one entry, without
    # the guard.
    if (flight := _flights.under_way.get(key)) is not None:
        return _joined(flight)
    mine = _Flight(store)
    try:
        with _flights.guard:
            flight = _flights.under_way.setdefault(key, mine)
        if flight is not mine:
            return _joined(flight)
        if here:
            _carry_out(key, mine, work)
        else:
            _begin(key, mine, work)
    except BaseException:
        _give_up(key, mine)  # Ctrl-C before it began, at whatever moment
        raise
    return mine.future


def under_way() -> list[Future[Token]]:
    """Give what the renewals will bring that have begun in this process and not ended."""
    with _flights.guard:
        return [each.future for each in _flights.under_way.values()]


def _joined(flight: _Flight) -> Future[Token]:
    if flight.thread == threading.get_ident():
        raise ConfigurationError(
            "The renewal of a token needs a token of the same account: the httpx client or the"
            " store that it uses must not use PipedriveAuth itself."
        )
    return flight.future


def landed(future: Future[Token]) -> Token:
    """Give what a renewal has brought, waiting for it.

    Args:
        future: What `join` has given.

    Returns:
        The token.

    Raises:
        PipedriveOAuthError: The renewal has failed. Each caller gets an exception of its own, so
            that their tracebacks do not mix.
    """
    # Not by `result`, which adds to the traceback of the one error that all callers share.
    error = future.exception()
    if error is None:
        return future.result()
    raise _own(error) from error.__cause__


def _own(error: BaseException) -> BaseException:
    try:
        own = copy.copy(error)
    except Exception:  # noqa: BLE001 - an error of a user's store whose class takes more than `args`
        return error
    if hasattr(own, "__notes__"):
        own.__notes__ = list(own.__notes__)
    return own.with_traceback(error.__traceback__)


def _begin(key: tuple[int, str], flight: _Flight, work: Callable[[], Token]) -> None:
    # In the caller's context, where tracing keeps what a request belongs to.
    arguments: tuple[Any, ...] = (_carry_out, key, flight, work)
    try:
        threading.Thread(
            target=copy_context().run, args=arguments, name="pipedrive-oauth-renewal", daemon=False
        ).start()
    except RuntimeError:
        # The interpreter is exiting, or the machine has no thread left: better here than never, but
        # not in a thread that the interpreter ends without waiting for what it does.
        if threading.current_thread().daemon:
            _give_up(key, flight)
        else:
            _carry_out(key, flight, work)


def _give_up(key: tuple[int, str], flight: _Flight) -> None:
    with _flights.guard:
        if flight.thread != 0 or _flights.under_way.get(key) is not flight:
            return  # it has begun all the same, or nobody has heard of it
        del _flights.under_way[key]
    flight.future.set_exception(
        TransportError(
            "The renewal of the token was interrupted before anything was sent. Try again.",
            maybe_sent=False,
        )
    )


def _carry_out(key: tuple[int, str], flight: _Flight, work: Callable[[], Token]) -> None:
    with _flights.guard:
        # Whoever began it was interrupted, and nobody waits for it. Or a thread has begun it, since
        # Ctrl-C while that is started can end in a RuntimeError as well.
        if _flights.under_way.get(key) is not flight or flight.thread != 0:
            return
        flight.thread = threading.get_ident()
    error: BaseException | None = None
    token: Token | None = None
    try:
        token = work()
    except BaseException as failure:  # noqa: BLE001 - whatever it is, the callers wait for it
        error = failure
    # Before anybody is told: whoever is told of a failure may try again at once.
    with _flights.guard:
        _flights.under_way.pop(key, None)
    if error is not None:
        flight.future.set_exception(error)
    elif token is not None:
        flight.future.set_result(token)


_MOST_ROUNDS: Final = 5


def renew(
    oauth: PipedriveOAuth,
    store: TokenStore,
    account: str,
    *,
    is_good: Callable[[Token], bool],
    is_usable: Callable[[Token], bool],
) -> Token:
    """Give a good token of an account: the stored one, or else the next one.

    Args:
        oauth: Obtains the next one.
        store: Where the account's token is kept.
        account: The account.
        is_good: Tells whether a stored token will do.
        is_usable: Tells whether one will do that somebody has saved since this was called. Where
            tokens live for less than the leeway, even the newest is not good.

    Returns:
        The token, which is stored.

    Raises:
        TokenNotFoundError: No token is stored for the account.
        InvalidGrantError: The stored refresh token is worth nothing, and nobody has saved another.
        PipedriveOAuthError: The service or the store failed.
    """
    # Often another process has renewed it already, which takes no lock to find out.
    before = store.load(account)
    if before is None:
        drop(store, account)
    if is_good(_presentable(before)) and not is_kept(store, account):
        return _presentable(before)

    def will_do(token: Token) -> bool:
        return is_good(token) or (token != before and is_usable(token))

    for _ in range(_MOST_ROUNDS):
        with store.lock(account) as lease:
            found = _under_lock(oauth, store, account, lease, will_do)
            if found is not None:
                return found
    raise StoreLockTimeoutError(
        "The account's token is being changed by others, faster than it can be renewed. Try again;"
        " if it lasts, look for programs that save tokens without the account's lock."
    )


def _under_lock(
    oauth: PipedriveOAuth,
    store: TokenStore,
    account: str,
    lease: object,
    will_do: Callable[[Token], bool],
) -> Token | None:
    """Give a token that will do, or None where it takes another round."""
    try:
        stored = resolve(store, account, store.load(account))
    except StoreLockTimeoutError:
        return None
    token = _presentable(stored)
    if will_do(token):
        return token
    if token.refresh_token is None:
        raise TokenNotFoundError(
            "The stored token has had its time, and it has no refresh token to obtain another with."
            " The person has to authorize the app again."
        )
    if isinstance(lease, Lease) and lease.is_over():
        # This process was stopped since it took the lock. Somebody else may be renewing.
        return None
    try:
        following = oauth.refresh(token)
    except InvalidGrantError:
        # Somebody who had lost the lock may have been faster.
        latest = store.load(account)
        if latest is None or latest == token:
            raise
        return latest if will_do(_presentable(latest)) else None
    try:
        store.save(account, following)
    except BaseException as error:
        keep(store, account, previous=token, token=following)
        if not isinstance(error, StoreLockTimeoutError):
            raise
        # Either somebody else's token is there, which then counts, or this one is saved next time.
        return None
    return following


def _presentable(token: Token | None) -> Token:
    if not isinstance(token, Token | None):
        raise StoreError(
            f"The store's load gave {type(token).__name__} where a Token or None was expected."
            " A store is synchronous, and gives what was saved."
        )
    if token is None:
        raise TokenNotFoundError(
            "No token is stored for this account. The person has to authorize the app first."
        )
    if token.token_type.lower() != "bearer":
        raise CorruptTokenError(
            "The stored token is not one that can be sent. If it was encrypted, put the same"
            " EncryptedTokenStore around the store."
        )
    return token
