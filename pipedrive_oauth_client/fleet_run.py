"""The work of `refresh_due`, which several threads share: `FleetRun`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Final

from attrs import define, field, frozen

from pipedrive_oauth_client import unsaved
from pipedrive_oauth_client.errors import (
    InvalidClientError,
    InvalidResponseError,
    PipedriveOAuthError,
    RateLimitedError,
    TokenNotFoundError,
    TransportError,
)
from pipedrive_oauth_client.flights import join, landed
from pipedrive_oauth_client.flow import PipedriveOAuth
from pipedrive_oauth_client.pace import Pace
from pipedrive_oauth_client.renewal import renew
from pipedrive_oauth_client.stores.protocol import TokenStore
from pipedrive_oauth_client.tokens import Token

__all__ = ["FleetProgress", "FleetRun"]

_A_SECOND: Final = timedelta(seconds=1)
_MOST_LOST_IN_A_ROW: Final = 5


@frozen
class FleetProgress:
    """How far a run has come, after each account.

    Attributes:
        account: The account that is done.
        error: Why it was not renewed, or None.
        renewed: How many were renewed so far.
        already_done: How many somebody else had renewed, or deleted, meanwhile.
        failed: How many could not be renewed.
    """

    account: str
    error: PipedriveOAuthError | None
    renewed: int
    already_done: int
    failed: int


@define(eq=False)
class FleetRun:
    """One run, as its threads share it."""

    flow: PipedriveOAuth
    store: TokenStore
    before: datetime
    accounts: Iterator[str]
    pace: Pace
    progress: Callable[[FleetProgress], object] | None
    renewed: int = 0
    already_done: int = 0
    errors: dict[str, PipedriveOAuthError] = field(factory=dict[str, PipedriveOAuthError])
    failure: BaseException | None = None
    is_stopped: bool = False
    _lost_in_a_row: int = 0
    _guard: threading.Lock = field(factory=threading.Lock)

    def stop(self) -> None:
        """Begin with no further account."""
        self.is_stopped = True
        self.pace.stop()

    def work(self, end: threading.Event) -> None:
        """Take one account after the other until there is none left."""
        try:
            while (account := self._next()) is not None:
                self.pace.wait()
                if self.is_stopped:
                    return
                self._renew(account)
        except BaseException as error:  # noqa: BLE001 - it is raised where the run was begun
            with self._guard:
                self.failure = self.failure or error
            self.stop()
        finally:
            end.set()

    def _next(self) -> str | None:
        with self._guard:
            return None if self.is_stopped else next(self.accounts, None)

    def _renew(self, account: str) -> None:
        found: list[Token] = []
        mine: list[Token] = []

        def is_good(token: Token) -> bool:
            found.append(token)
            return token.expires_at >= self.before

        def work() -> Token:
            token = renew(self.flow, self.store, account, is_good=is_good, is_usable=is_good)
            if token not in found:
                mine.append(token)
            return token

        error: PipedriveOAuthError | None = None
        try:
            landed(join(self.store, account, work, here=True))
        except TokenNotFoundError as failure:
            if self.store.load(account) is not None:
                error = failure
            # else it was deleted meanwhile
        except PipedriveOAuthError as failure:
            error = failure
        self._end_if_it_is_for_all(account, error)
        if isinstance(error, RateLimitedError):
            self.pace.pause((error.retry_after or _A_SECOND).total_seconds())
        self._count(account, error, is_mine=bool(mine))

    def _end_if_it_is_for_all(self, account: str, error: PipedriveOAuthError | None) -> None:
        # What goes wrong after the service has been asked may have cost the refresh token, and
        # would cost the next account's as well: an answer that can't be read, or can't be saved.
        is_lost = isinstance(error, TransportError) and error.maybe_sent
        with self._guard:
            self._lost_in_a_row = self._lost_in_a_row + 1 if is_lost else 0
            is_too_much = self._lost_in_a_row >= _MOST_LOST_IN_A_ROW
        if error is not None and (
            isinstance(error, InvalidClientError | InvalidResponseError)
            or is_too_much
            or unsaved.is_kept(self.store, account)
        ):
            raise error

    def _count(self, account: str, error: PipedriveOAuthError | None, *, is_mine: bool) -> None:
        with self._guard:
            if error is not None:
                self.errors[account] = _without_frames(error)
            elif is_mine:
                self.renewed += 1
            else:
                self.already_done += 1
            if self.progress is not None:
                failed = len(self.errors)
                told = FleetProgress(account, error, self.renewed, self.already_done, failed)
                self.progress(told)


def _without_frames(error: PipedriveOAuthError) -> PipedriveOAuthError:
    # A traceback keeps all that its frames have in their variables: of thousands, gigabytes.
    each: BaseException | None = error
    while each is not None:
        each.__traceback__ = None
        each = each.__cause__ or each.__context__
    return error
