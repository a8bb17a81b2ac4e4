"""The sandbox's memory: consent tickets, codes, grants and tokens. It knows nothing of HTTP.

Every method is one step under one lock, so that requests that arrive at the same time take effect
one after the other: of twenty exchanges of one code, or twenty refreshes with one token, one
succeeds.

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
    RequestRejectedError,
)
from pipedrive_oauth_client.sandbox.models import (
    ActiveToken,
    App,
    Code,
    Grant,
    Installation,
    IssuedToken,
    Ticket,
    TokenPair,
    User,
)
from pipedrive_oauth_client.sandbox.settings import Lifetimes

TokenKind: TypeAlias = Literal["access_token", "refresh_token"]

# Expired codes are kept a day: for so long a late exchange is told "has expired", not "is invalid",
# and a second use of a code still revokes the tokens that it gave.
_KEEP_EXPIRED_CODES = timedelta(days=1)
# Pages that were opened and not submitted; a state can be long, and the clock may stand still.
_MAX_TICKETS = 1_000
# With "v1u:" in front, 768 characters: the room that Pipedrive asks an app to have for a token.
_ACCESS_TOKEN_BYTES = 573
_MAX_EXAMINED = 1_000


class Expiring(Protocol):
    """A record that expires."""

    @property
    def expires_at(self) -> datetime:
        """When it expires; an aware UTC datetime."""
        ...


RecordT = TypeVar("RecordT", bound=Expiring)
RowT = TypeVar("RowT")
ShownT = TypeVar("ShownT")


class ExpiringStore(Generic[RecordT]):
    """Records by a secret key; the secret is in no `repr`.

    All records of one store have the same lifetime, so the oldest is the first to expire, and each
    new record makes room by removing the expired ones from the front. The store therefore never
    holds more than was added during one lifetime and the time that expired records are kept.

    Reading does not check the time: the caller decides whether a record has expired.
    """

    def __init__(self, keep_expired: timedelta = timedelta(0)) -> None:
        self._keep_expired = keep_expired
        self._records: OrderedDict[str, RecordT] = OrderedDict()

    def __len__(self) -> int:
        return len(self._records)

    def __repr__(self) -> str:
        return f"<ExpiringStore of {len(self)} records>"

    def put(self, key: str, record: RecordT, *, now: datetime) -> None:
        """Add a record, or move a known one to the end, and remove the expired ones."""
        self.remove_expired(now)
        self._records[key] = record
        self._records.move_to_end(key)

    def remove_expired(self, now: datetime) -> None:
        """Remove the records that have been expired for longer than they are kept."""
        while self._records:
            oldest = next(iter(self._records.values()))
            if oldest.expires_at + self._keep_expired > now:
                break
            self._records.popitem(last=False)

    def shrink_to(self, count: int) -> None:
        """Remove the oldest records until there are at most so many."""
        while len(self._records) > count:
            self._records.popitem(last=False)

    def newest_first(self) -> Iterator[tuple[str, RecordT]]:
        """Return keys and records that were not removed; change nothing while reading them."""
        return reversed(self._records.items())

    def get(self, key: str) -> RecordT | None:
        """Return the record, expired or not, or None."""
        return self._records.get(key)

    def pop(self, key: str) -> RecordT | None:
        """Remove the record and return it, or None."""
        return self._records.pop(key, None)


class Installations:
    """The installations that have not ended, at most one of an app for a user.

    Not safe for threads: `State` holds the lock.
    """

    def __init__(self) -> None:
        self._current: dict[tuple[str, str], Installation] = {}

    def get_or_create(self, app: App, user: User) -> Installation:
        """Return the installation of an app for a user, a new one if there is none."""
        return self._current.setdefault(self._key(app, user), Installation())

    def is_complete(self, app: App, user: User) -> bool:
        """Tell whether there is an installation whose app has received its tokens."""
        installation = self._current.get(self._key(app, user))
        return installation is not None and installation.is_complete

    def end(self, app: App, user: User) -> None:
        """End the installation, if there is one, and with it all of its grants."""
        installation = self._current.pop(self._key(app, user), None)
        if installation is not None:
            installation.has_ended = True

    @staticmethod
    def _key(app: App, user: User) -> tuple[str, str]:
        return app.client_id, user.account


@attrs.frozen
class Listing(Generic[RowT]):
    """The rows that a page shows of a longer list; `total` is a bound unless `is_exact`."""

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


class State:
    """The memory of one sandbox; `clock` alone tells it the time.

    With `rotate_refresh_tokens` a refresh replaces the refresh token; without, it returns the same
    one and its lifetime starts again.
    """

    def __init__(self, *, clock: Now, lifetimes: Lifetimes, rotate_refresh_tokens: bool) -> None:
        self._clock = clock
        self._lifetimes = lifetimes
        self._rotate = rotate_refresh_tokens
        self._lock = threading.Lock()
        self._tickets: ExpiringStore[Ticket] = ExpiringStore()
        self._codes: ExpiringStore[Code] = ExpiringStore(keep_expired=_KEEP_EXPIRED_CODES)
        self._access_tokens: ExpiringStore[IssuedToken] = ExpiringStore()
        self._refresh_tokens: ExpiringStore[IssuedToken] = ExpiringStore()
        self._installations = Installations()
        self._changed_scopes: dict[str, tuple[str, ...]] = {}

    def change_scopes(self, app: App, scopes: tuple[str, ...]) -> None:
        """Give an app other scopes. Added ones invalidate its access tokens.

        Source:
            https://pipedrive.readme.io/docs/marketplace-updating-the-existing-app
        """
        with self._lock:
            before = self._changed_scopes.get(app.client_id, app.scopes)
            self._changed_scopes[app.client_id] = scopes
            if set(scopes) <= set(before):
                return
            for key, token in list(self._access_tokens.newest_first()):
                if token.grant.app.client_id == app.client_id:
                    self._access_tokens.pop(key)

    def scopes_of(self, grant: Grant) -> tuple[str, ...]:
        """Return what a grant is for: what the user consented to and the app still has."""
        current = self._changed_scopes.get(grant.app.client_id, grant.app.scopes)
        return tuple(scope for scope in grant.scopes if scope in current)

    def open_ticket(self, app: App, state: str | None) -> str:
        """Remember an open consent page and return the ticket that its form sends back."""
        with self._lock:
            now, key = self._clock(), secrets.token_urlsafe(32)
            self._tickets.put(key, Ticket(app, state, now + self._lifetimes.ticket), now=now)
            self._tickets.shrink_to(_MAX_TICKETS)
            return key

    def take_ticket(self, key: str) -> Ticket | None:
        """Use a ticket up; None when it is unknown, used or expired."""
        with self._lock:
            ticket = self._tickets.pop(key)
            return ticket if ticket is not None and self._clock() < ticket.expires_at else None

    def issue_code(self, app: App, user: User) -> str:
        """Remember the user's consent to the app, and return the authorization code."""
        with self._lock:
            now, key = self._clock(), secrets.token_hex(20)
            grant = Grant(app, user, self._installations.get_or_create(app, user))
            code = Code(grant, app.redirect_uri, now + self._lifetimes.code)
            self._codes.put(key, code, now=now)
            return key

    def redeem_code(self, key: str, *, app: App, redirect_uri: str) -> TokenPair:
        """Exchange a code for tokens, once.

        A rejected request does not use the code up. The second use of a code is rejected and
        revokes all tokens that the first one gave (RFC 6749 section 4.1.2 says SHOULD).
        """
        with self._lock:
            now, code = self._clock(), self._codes.get(key)
            if code is None or code.grant.app.client_id != app.client_id:
                raise RequestRejectedError(CODE_INVALID)
            if code.spent:
                code.grant.revoked = True
                raise RequestRejectedError(CODE_INVALID)
            if code.grant.has_ended:
                raise RequestRejectedError(CODE_INVALID)
            if now >= code.expires_at:
                raise RequestRejectedError(CODE_EXPIRED)
            if redirect_uri != code.redirect_uri:
                raise RequestRejectedError(REDIRECT_URI_MISMATCH)
            code.spent = True
            code.grant.installation.is_complete = True
            return self._issue_tokens(code.grant, _new_refresh_token(code.grant), now)

    def refresh(self, key: str, *, app: App) -> TokenPair:
        """Exchange an active refresh token of the app; earlier access tokens stay valid."""
        with self._lock:
            now, token = self._clock(), self._refresh_tokens.get(key)
            is_foreign = token is not None and token.grant.app.client_id != app.client_id
            if token is None or is_foreign or not token.is_active(now):
                raise RequestRejectedError(REFRESH_TOKEN_INVALID)
            if not self._rotate:
                return self._issue_tokens(token.grant, key, now)
            self._refresh_tokens.pop(key)
            return self._issue_tokens(token.grant, _new_refresh_token(token.grant), now)

    def find_access_token(self, key: str) -> Grant | None:
        """Return the grant of an access token; None when unknown, expired or revoked."""
        with self._lock:
            token = self._access_tokens.get(key)
            return token.grant if token is not None and token.is_active(self._clock()) else None

    def revoke(self, key: str, *, app: App, kind: TokenKind) -> None:
        """Revoke an access token alone, or with a refresh token the whole installation.

        The token is looked for among those of its kind first, then among the others. One that is
        unknown or inactive is no error; one of another client is rejected and stays active.
        """
        with self._lock:
            now = self._clock()
            stores = [self._access_tokens, self._refresh_tokens]
            for store in stores if kind == "access_token" else reversed(stores):
                token = store.get(key)
                if token is None or not token.is_active(now):
                    continue
                if token.grant.app.client_id != app.client_id:
                    raise RequestRejectedError(FOREIGN_TOKEN)
                store.pop(key)
                if store is self._refresh_tokens:
                    self._installations.end(token.grant.app, token.grant.user)
                return

    def uninstall(self, app: App, user: User) -> None:
        """End all that the user gave the app: grants, tokens, and codes not yet exchanged."""
        with self._lock:
            self._installations.end(app, user)

    def is_installed(self, app: App, user: User) -> bool:
        """Tell whether the app received tokens for the user and has not been uninstalled since."""
        with self._lock:
            return self._installations.is_complete(app, user)

    def active_tokens(self, kind: TokenKind, *, most: int) -> Listing[ActiveToken]:
        """List the newest active tokens, masked, at most so many.

        However many tokens there are, a bounded number is examined, so that concurrent requests do
        not wait. Of the others none has expired, but some may be revoked: the total is a bound.
        """
        with self._lock:
            now = self._clock()
            store = self._access_tokens if kind == "access_token" else self._refresh_tokens
            store.remove_expired(now)
            examined = list(itertools.islice(store.newest_first(), _MAX_EXAMINED))
            count = len(store)
        active = [each for each in examined if each[1].is_active(now)]
        return Listing(
            tuple(map(_masked, active[:most])),
            count - len(examined) + len(active),
            is_exact=len(examined) == count,
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
            scopes=self.scopes_of(grant),
            expires_in_seconds=int(lifetimes.access_token.total_seconds()),
        )


def _new_refresh_token(grant: Grant) -> str:
    return f"{grant.user.account}:{secrets.token_hex(20)}"


def _masked(entry: tuple[str, IssuedToken]) -> ActiveToken:
    """Keep the prefix that all tokens of the kind share, and the end, which reveals no more."""
    key, token = entry
    start = key[: key.rindex(":") + 1]
    return ActiveToken(f"{start}…{key[-4:]}", token.grant, token.expires_at)
