"""What a person's yes leads to, as plain records: tickets, codes, grants, tokens, lifetimes.

Source:
    RFC 6749 sections 1.3.1, 1.4, 1.5 and 4.1.2.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import attrs

from pipedrive_oauth_client.sandbox.records import App, User


@attrs.frozen(kw_only=True)
class Lifetimes:
    """How long things live; a refresh token's time runs while it is not used."""

    ticket: timedelta = timedelta(minutes=10)
    code: timedelta = timedelta(minutes=5)
    access_token: timedelta = timedelta(seconds=3600)
    refresh_token: timedelta = timedelta(days=60)


@attrs.define(eq=False)
class Installation:
    """An app in one person's account, from the first yes until it is uninstalled."""

    is_complete: bool = False
    has_ended: bool = False


@attrs.define(eq=False)
class Grant:
    """One person's yes to one app; every code and token points to its grant and ends with it."""

    app: App
    user: User
    installation: Installation = attrs.field(factory=Installation)
    revoked: bool = False

    @property
    def has_ended(self) -> bool:
        """Whether nothing that came of it is worth anything any more."""
        return self.revoked or self.installation.has_ended


@attrs.frozen
class Ticket:
    """A consent page that is open and not yet answered."""

    app: App
    state: str | None = attrs.field(repr=False)
    expires_at: datetime


@attrs.define(eq=False)
class Code:
    """An authorization code; a spent one is kept to recognise its second use."""

    grant: Grant
    redirect_uri: str
    expires_at: datetime
    spent: bool = False


@attrs.frozen
class IssuedToken:
    """An access token or a refresh token that was given out."""

    grant: Grant
    expires_at: datetime

    def is_alive(self, now: datetime) -> bool:
        """Tell whether it is still worth something."""
        return now < self.expires_at and not self.grant.has_ended


@attrs.frozen
class LiveToken:
    """A token that is worth something, as it may be shown: its end, and not the token itself."""

    masked: str
    grant: Grant
    expires_at: datetime


@attrs.frozen
class TokenPair:
    """What a successful token request answers with."""

    access_token: str = attrs.field(repr=False)
    refresh_token: str = attrs.field(repr=False)
    scopes: tuple[str, ...]
    expires_in_seconds: int
