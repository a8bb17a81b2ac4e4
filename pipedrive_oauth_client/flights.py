"""One renewal at a time for each account in a process, however many ask for it.

A renewal is a flight: whoever comes while it is under way joins it, and all get what it brings, be
it a token or an error. It has a thread of its own, so that no caller who is cancelled, interrupted
or ended can stop it halfway, when the service has changed the refresh token and nobody has saved
it. The interpreter waits for such a thread before it exits.
"""

from __future__ import annotations

import copy
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from typing import Any

from attrs import define, field

from pipedrive_oauth_client.errors import ConfigurationError, TransportError
from pipedrive_oauth_client.stores.protocol import TokenStore
from pipedrive_oauth_client.tokens import Token

__all__ = ["join", "landed", "under_way"]


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
