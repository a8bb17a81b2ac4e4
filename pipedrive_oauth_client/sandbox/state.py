"""What the sandbox remembers: consent tickets, codes, grants and tokens. It knows nothing of HTTP.

Every method is one step under one lock, so whatever arrives at the same time is settled one after
the other: of twenty exchanges of one code, or twenty refreshes with one token, one succeeds.

Source:
    RFC 6749 sections 4.1.2, 4.1.3, 5.1 and 6; RFC 7009 section 2; RFC 9700 section 4.14.
"""

from __future__ import annotations

import itertools
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from datetime import datetime, timedelta
from typing import Generic, Literal, Protocol, TypeAlias, TypeVar

import attrs

from pipedrive_oauth_client.sandbox.clock import Now
from pipedrive_oauth_client.sandbox.error_responses import (
    CODE_EXPIRED,
    CODE_INVALID,
    FOREIGN_TOKEN,
    REDIRECT_URI_MISMATCH,
    REFRESH_TOKEN_INVALID,
    RefusedError,
)
from pipedrive_oauth_client.sandbox.models import (
    App,
    Code,
    Grant,
    Installation,
    IssuedToken,
    Lifetimes,
    LiveToken,
    Ticket,
    TokenPair,
    User,
)


class Ending(Protocol):
    """Anything with an end."""

    @property
    def expires_at(self) -> datetime:
        """When it ends; an aware UTC datetime."""
        ...


RecordT = TypeVar("RecordT", bound=Ending)


class Shelf(Generic[RecordT]):
    """Records by a secret key; the secret is in no `repr`.

    All records of one shelf live equally long, so the oldest one is the first to end, and each
    new record makes room by taking the ended ones off the front. The shelf therefore never holds
    more than what came in during one lifetime and the time that ended records are kept.

    Reading does not look at the time: whoever reads a record decides whether it has ended.

    Args:
        keep_ended: How long a record stays after its end.
    """

    def __init__(self, keep_ended: timedelta = timedelta(0)) -> None:
        self._keep_ended = keep_ended
        self._records: OrderedDict[str, RecordT] = OrderedDict()

    def __len__(self) -> int:
        return len(self._records)

    def __repr__(self) -> str:
        return f"<Shelf of {len(self)} records>"

    def put(self, key: str, record: RecordT, *, now: datetime) -> None:
        """Add a record, or move a known one to the end, and drop those whose time is over."""
        self.drop_ended(now)
        self._records[key] = record
        self._records.move_to_end(key)

    def drop_ended(self, now: datetime) -> None:
        """Drop the records whose time is over."""
        while self._records:
            oldest = next(iter(self._records.values()))
            if oldest.expires_at + self._keep_ended > now:
                break
            self._records.popitem(last=False)

    def drop_all_but(self, count: int) -> None:
        """Drop the oldest records until there are no more than so many."""
        while len(self._records) > count:
            self._records.popitem(last=False)

    def newest_first(self) -> Iterator[tuple[str, RecordT]]:
        """Return keys and records, those not yet dropped; change nothing while they are read."""
        return reversed(self._records.items())

    def get(self, key: str) -> RecordT | None:
        """Return the record, ended or not, or None."""
        return self._records.get(key)

    def pop(self, key: str) -> RecordT | None:
        """Take the record off the shelf and return it, or None."""
        return self._records.pop(key, None)


RowT = TypeVar("RowT")
ShownT = TypeVar("ShownT")


@attrs.frozen
class Listing(Generic[RowT]):
    """A bounded number of rows.

    Attributes:
        rows: Those that are shown.
        total: How many there are.
        is_exact: Whether there are just so many; otherwise at most.
    """

    rows: tuple[RowT, ...]
    total: int
    is_exact: bool = True

    @property
    def is_cut(self) -> bool:
        """Whether there are more than those shown."""
        return self.total > len(self.rows)

    def shown_as(self, show: Callable[[RowT], ShownT]) -> Listing[ShownT]:
        """Return the same listing with each row in another form."""
        return Listing(tuple(map(show, self.rows)), self.total, self.is_exact)


def first_of(records: Collection[RowT], most: int) -> Listing[RowT]:
    """List the first records, at most so many."""
    return Listing(tuple(itertools.islice(records, most)), len(records))


class Installations:
    """The installations that have not ended; at most one of an app for a user.

    It is not safe for threads: `State` looks after that.
    """

    def __init__(self) -> None:
        self._current: dict[tuple[str, str], Installation] = {}

    def begun(self, app: App, user: User) -> Installation:
        """Return the installation of an app for a user, a new one if there is none."""
        return self._current.setdefault(_key(app, user), Installation())

    def is_complete(self, app: App, user: User) -> bool:
        """Tell whether there is an installation whose app has taken its tokens."""
        installation = self._current.get(_key(app, user))
        return installation is not None and installation.is_complete

    def end(self, app: App, user: User) -> None:
        """End the installation, if there is one, and with it all that came of it."""
        installation = self._current.pop(_key(app, user), None)
        if installation is not None:
            installation.has_ended = True


def _key(app: App, user: User) -> tuple[str, str]:
    return app.client_id, user.account


TokenKind: TypeAlias = Literal["access_token", "refresh_token"]

# Ended codes are kept a day: so long a late exchange is told "has expired", not "is invalid", and
# a code that comes a second time still ends the tokens that it gave.
_KEEP_ENDED_CODES = timedelta(days=1)
# Pages that were opened and not answered; a state can be long, and the clock may stand still.
_MOST_TICKETS = 1_000
# With "v1u:" in front, 768 characters: the room that Pipedrive asks an app to have for a token.
_ACCESS_TOKEN_BYTES = 573
_MOST_LOOKED_AT = 1000


class State:
    """The memory of one sandbox.

    Args:
        clock: Returns the time as an aware UTC datetime; nothing else tells the time.
        lifetimes: How long tickets, codes and tokens live.
        rotate_refresh_tokens: Whether a refresh replaces the refresh token; otherwise the same one
            comes back with its time begun anew.
    """

    def __init__(self, *, clock: Now, lifetimes: Lifetimes, rotate_refresh_tokens: bool) -> None:
        self._clock = clock
        self._lifetimes = lifetimes
        self._rotate = rotate_refresh_tokens
        self._lock = threading.Lock()
        self._tickets: Shelf[Ticket] = Shelf()
        self._codes: Shelf[Code] = Shelf(keep_ended=_KEEP_ENDED_CODES)
        self._access_tokens: Shelf[IssuedToken] = Shelf()
        self._refresh_tokens: Shelf[IssuedToken] = Shelf()
        self._installations = Installations()

    def open_ticket(self, app: App, state: str | None) -> str:
        """Remember an open consent page and return the ticket that its form sends back."""
        with self._lock:
            now, key = self._clock(), secrets.token_urlsafe(32)
            self._tickets.put(key, Ticket(app, state, now + self._lifetimes.ticket), now=now)
            self._tickets.drop_all_but(_MOST_TICKETS)
            return key

    def take_ticket(self, key: str) -> Ticket | None:
        """Use a ticket up; None when it is unknown, used already or too old."""
        with self._lock:
            ticket = self._tickets.pop(key)
            return ticket if ticket is not None and self._clock() < ticket.expires_at else None

    def issue_code(self, app: App, user: User) -> str:
        """Remember that the user let the app in, and return the authorization code."""
        with self._lock:
            now, key = self._clock(), secrets.token_hex(20)
            grant = Grant(app, user, self._installations.begun(app, user))
            code = Code(grant, app.redirect_uri, now + self._lifetimes.code)
            self._codes.put(key, code, now=now)
            return key

    def redeem_code(self, key: str, *, app: App, redirect_uri: str) -> TokenPair:
        """Exchange a code for tokens, once.

        A request that is refused does not use the code up. A code that comes a second time is
        refused and ends all tokens that it gave (RFC 6749 section 4.1.2 says SHOULD).

        Raises:
            RefusedError: The code is unknown, another client's, spent or too old, or belongs to
                another redirect URI.
        """
        with self._lock:
            now, code = self._clock(), self._codes.get(key)
            if code is None or code.grant.app != app:
                raise RefusedError(CODE_INVALID)
            if code.spent:
                code.grant.revoked = True
                raise RefusedError(CODE_INVALID)
            if code.grant.has_ended:
                raise RefusedError(CODE_INVALID)
            if now >= code.expires_at:
                raise RefusedError(CODE_EXPIRED)
            if redirect_uri != code.redirect_uri:
                raise RefusedError(REDIRECT_URI_MISMATCH)
            code.spent = True
            code.grant.installation.is_complete = True
            return self._issue_tokens(code.grant, _new_refresh_token(code.grant), now)

    def refresh(self, key: str, *, app: App) -> TokenPair:
        """Exchange a refresh token for new tokens; the access tokens before it live on.

        Raises:
            RefusedError: The refresh token is unknown, replaced, another client's, revoked or
                unused for too long.
        """
        with self._lock:
            now, token = self._clock(), self._refresh_tokens.get(key)
            if token is None or token.grant.app != app or not token.is_alive(now):
                raise RefusedError(REFRESH_TOKEN_INVALID)
            if not self._rotate:
                return self._issue_tokens(token.grant, key, now)
            self._refresh_tokens.pop(key)
            return self._issue_tokens(token.grant, _new_refresh_token(token.grant), now)

    def find_access_token(self, key: str) -> Grant | None:
        """Return the grant behind an access token; None when unknown, expired or revoked."""
        with self._lock:
            token = self._access_tokens.get(key)
            return token.grant if token is not None and token.is_alive(self._clock()) else None

    def revoke(self, key: str, *, app: App, kind: TokenKind) -> None:
        """End a token: an access token alone, a refresh token with the whole installation.

        A token that is unknown, or worth nothing already, is no error.

        Args:
            key: The token.
            app: Who asks.
            kind: The kind to look for first; the other one is looked for then.

        Raises:
            RefusedError: The token is another client's; it stays.
        """
        with self._lock:
            now = self._clock()
            shelves = [self._access_tokens, self._refresh_tokens]
            for shelf in shelves if kind == "access_token" else reversed(shelves):
                token = shelf.get(key)
                if token is None or not token.is_alive(now):
                    continue
                if token.grant.app != app:
                    raise RefusedError(FOREIGN_TOKEN)
                shelf.pop(key)
                if shelf is self._refresh_tokens:
                    self._installations.end(token.grant.app, token.grant.user)
                return

    def uninstall(self, app: App, user: User) -> None:
        """End all that the user gave the app: grants, tokens, and codes on their way."""
        with self._lock:
            self._installations.end(app, user)

    def is_installed(self, app: App, user: User) -> bool:
        """Tell whether the user let the app in, the app took its tokens, and nobody ended it."""
        with self._lock:
            return self._installations.is_complete(app, user)

    def live_tokens(self, kind: TokenKind, *, most: int) -> Listing[LiveToken]:
        """List the newest tokens that are worth something, masked.

        However many tokens there are, a bounded number is looked at, and the requests that come
        meanwhile do not wait. Those not looked at are none that have expired, but there may be
        revoked ones among them, so that their number is the most that can be alive.

        Args:
            kind: Access tokens or refresh tokens.
            most: How many are listed.
        """
        with self._lock:
            now = self._clock()
            shelf = self._access_tokens if kind == "access_token" else self._refresh_tokens
            shelf.drop_ended(now)
            looked_at = list(itertools.islice(shelf.newest_first(), _MOST_LOOKED_AT))
            count = len(shelf)
        living = [each for each in looked_at if each[1].is_alive(now)]
        return Listing(
            tuple(map(_masked, living[:most])),
            count - len(looked_at) + len(living),
            is_exact=len(looked_at) == count,
        )

    def _issue_tokens(self, grant: Grant, refresh_token: str, now: datetime) -> TokenPair:
        access_token = "v1u:" + secrets.token_urlsafe(_ACCESS_TOKEN_BYTES)
        lifetimes = self._lifetimes
        self._access_tokens.put(
            access_token, IssuedToken(grant, now + lifetimes.access_token), now=now
        )
        self._refresh_tokens.put(
            refresh_token, IssuedToken(grant, now + lifetimes.refresh_token), now=now
        )
        return TokenPair(
            access_token=access_token,
            refresh_token=refresh_token,
            scopes=grant.app.scopes,
            expires_in_seconds=int(lifetimes.access_token.total_seconds()),
        )


def _masked(entry: tuple[str, IssuedToken]) -> LiveToken:
    """Leave what all tokens of the kind begin with and the end, of which nobody makes the rest."""
    key, token = entry
    start = key[: key.rindex(":") + 1]
    return LiveToken(f"{start}…{key[-4:]}", token.grant, token.expires_at)


def _new_refresh_token(grant: Grant) -> str:
    return f"{grant.user.account}:{secrets.token_hex(20)}"
