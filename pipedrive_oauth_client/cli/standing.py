"""How an account stands, without anything secret of it: `Standing`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from attrs import frozen

from pipedrive_oauth_client.cli.reports import one_line
from pipedrive_oauth_client.cli.words import span_in_words, until_in_words
from pipedrive_oauth_client.errors import StoreError
from pipedrive_oauth_client.stores.protocol import TokenStore
from pipedrive_oauth_client.tokens import DEFAULT_LEEWAY, Token

__all__ = ["Standing", "State", "standing_of"]

# Pipedrive's guide to its OAuth. Access tokens live for an hour, so that the last refresh was an
# hour before the expiry.
_UNUSED: Final = timedelta(days=60)
_LIFETIME: Final = timedelta(hours=1)
_SOON: Final = timedelta(days=7)


class State(StrEnum):
    """How an account stands, in one word."""

    VALID = "valid"
    STALE = "stale"
    ENDING = "ending"
    LAPSED = "lapsed"
    UNREADABLE = "unreadable"

    @property
    def advice(self) -> str:
        """What it means, and what to do."""
        return {
            State.VALID: "the access token is good",
            State.STALE: "renewed when it is next used",
            State.ENDING: "refresh it soon, or the grant lapses",
            State.LAPSED: "log in again",
            State.UNREADABLE: "damaged, or encrypted with another key",
        }[self]


@frozen
class Standing:
    """An account, as it can be shown.

    Attributes:
        account: Its name.
        state: How it stands.
        company: The host of the company's API, or an empty string.
        scopes: The scopes.
        expires_at: When the access token expires; None where that can't be read.
        lapses_at: When the refresh token lapses unless it is used; None where there is none.
        now: When this was found.
        problem: Why it can't be read, or None.
    """

    account: str
    state: State
    company: str
    scopes: tuple[str, ...]
    expires_at: datetime | None
    lapses_at: datetime | None
    now: datetime
    problem: str | None = None

    @property
    def expiry(self) -> str:
        """When the access token expires, in words."""
        if self.expires_at is None:
            return "unknown"
        words = until_in_words(self.expires_at - self.now)
        return f"expired {words}" if self.expires_at <= self.now else f"expires {words}"

    @property
    def lapse(self) -> str:
        """How long the refresh token still lives unused, in words."""
        if self.state is State.UNREADABLE:
            return "unknown"
        if self.lapses_at is None:
            return "none"
        left = self.lapses_at - self.now
        return f"{span_in_words(left)} left" if left > timedelta(0) else "lapsed"

    def to_dict(self) -> dict[str, object]:
        """Give it for JSON."""
        days = None if self.lapses_at is None else (self.lapses_at - self.now).days
        return {
            "account": self.account,
            "state": self.state.value,
            "company_domain": self.company or None,
            "scopes": list(self.scopes),
            "expires_at": self.expires_at and self.expires_at.isoformat(),
            "refresh_token_lapses_at": self.lapses_at and self.lapses_at.isoformat(),
            "refresh_token_days_left": days,
            "problem": self.problem,
        }


def standing_of(store: TokenStore, account: str, now: datetime) -> Standing | None:
    """Look at an account.

    Args:
        store: The store.
        account: The account.
        now: The present, aware.

    Returns:
        How it stands; None where it has no token.

    Raises:
        StoreError: The store does not work.
    """
    try:
        token = store.load(account)
    except StoreError as error:
        # Is it this account alone?
        next(iter(store.accounts()), None)
        return _unreadable(account, str(error), None, now)
    if token is None:
        return None
    if token.token_type.lower() != "bearer":
        return _unreadable(account, "It is encrypted; give the key.", token.expires_at, now)
    lapses_at = None
    if token.refresh_token is not None:
        # To the last days that there are, nothing can be added.
        latest = datetime.max.replace(tzinfo=UTC) - _UNUSED
        lapses_at = min(token.expires_at, latest) + _UNUSED - _LIFETIME
    return Standing(
        account=one_line(account),
        state=_state(token, lapses_at, now),
        company=_host(token.api_domain or ""),
        scopes=tuple(sorted(map(one_line, token.scopes))),
        expires_at=token.expires_at,
        lapses_at=lapses_at,
        now=now,
    )


def _unreadable(account: str, problem: str, expires_at: datetime | None, now: datetime) -> Standing:
    return Standing(
        account=one_line(account),
        state=State.UNREADABLE,
        company="",
        scopes=(),
        expires_at=expires_at,
        lapses_at=None,
        now=now,
        problem=one_line(problem),
    )


def _host(api_domain: str) -> str:
    try:
        return one_line(urlsplit(api_domain).netloc)
    except ValueError:
        return one_line(api_domain)


def _state(token: Token, lapses_at: datetime | None, now: datetime) -> State:
    is_stale = token.is_stale(DEFAULT_LEEWAY, now)
    if lapses_at is None:
        return State.LAPSED if is_stale else State.ENDING
    if lapses_at <= now:
        return State.LAPSED
    if lapses_at - now < _SOON:
        return State.ENDING
    return State.STALE if is_stale else State.VALID
