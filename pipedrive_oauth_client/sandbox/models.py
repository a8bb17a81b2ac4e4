"""What a person's yes leads to, as plain records: tickets, codes, grants, tokens, lifetimes.

Source:
    RFC 6749 sections 1.3.1, 1.4, 1.5 and 4.1.2.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from datetime import datetime, timedelta

import attrs

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.sandbox.urls import is_redirect_uri

GRANT_TYPES = ("authorization_code", "refresh_token")

_WHOLE = {
    "base": "See who you are and the basic settings of your company",
    "admin": "Change the settings of your whole company",
    "recents:read": "See what has changed lately",
    "search:read": "Search in everything that you can see",
    "users:read": "See the people who use your company's account",
    "phone-integration": "Work as your phone",
    "video-calls": "Offer video calls",
    "messengers-integration": "Work as your messenger",
}
_THINGS = {
    "activities": "activities",
    "contacts": "contacts (people and organizations)",
    "deals": "deals",
    "goals": "goals",
    "leads": "leads",
    "mail": "email messages",
    "products": "products",
    "projects": "projects",
    "webhooks": "webhooks",
}
_VERBS = {"read": "See your", "full": "See and change your"}


def in_words(scope: str) -> str:
    """Return what a scope allows, in words.

    Args:
        scope: A scope such as `deals:full`.
    """
    if scope in _WHOLE:
        return _WHOLE[scope]
    thing, _, level = scope.partition(":")
    if thing in _THINGS and level in _VERBS:
        return f"{_VERBS[level]} {_THINGS[thing]}"
    return "Do something that the sandbox has no words for"


_SCOPE = re.compile(r"[\x21\x23-\x2b\x2d-\x5b\x5d-\x7e]+")  # RFC 6749 section 3.3, less the comma


def _text(_instance: object, attribute: attrs.Attribute[str], value: object) -> None:
    """Refuse what isn't readable text; the value itself is not repeated, as it may be a secret."""
    if not isinstance(value, str) or not value.strip():
        raise ConfigurationError(f"{attribute.name} must be text and not empty.")
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in value):
        raise ConfigurationError(f"{attribute.name} has a control character in it; remove it.")


def _positive(_instance: object, attribute: attrs.Attribute[int], value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigurationError(f"{attribute.name} must be a whole number from 1.")


def _scopes(value: Iterable[str]) -> tuple[str, ...]:
    if isinstance(value, str):
        raise ConfigurationError('scopes must be a list such as ["base", "deals:read"], not text.')
    return tuple(value)


def _numbers(value: Iterable[int]) -> frozenset[int]:
    if isinstance(value, (str, int)):
        raise ConfigurationError("blocked_company_ids must be a list of numbers such as [1, 2].")
    return frozenset(value)


@attrs.frozen(kw_only=True)
class App:
    """An app as a developer registers it: what it is called, its credentials, what it may do.

    Args:
        name: What the consent page calls the app.
        client_id: The client identifier; no colon, as HTTP Basic could not carry it.
        client_secret: The client secret; never shown by `repr`.
        redirect_uri: The callback URL; an absolute http or https URI without a fragment. A
            request must name it exactly as it is written here.
        scopes: What the app may do, such as `["base", "deals:full"]`. As with Pipedrive, they are
            fixed with the app and no request changes them.
        blocked_company_ids: Numbers of companies that can't install the app, as where it is not
            visible to them in the Marketplace.

    Raises:
        ConfigurationError: An argument is not of the form described above.

    Source:
        RFC 6749 sections 2.2, 2.3.1, 3.1.2 and 3.3; RFC 7617 section 2.
    """

    name: str = attrs.field(validator=_text)
    client_id: str = attrs.field(validator=_text)
    client_secret: str = attrs.field(validator=_text, repr=False)
    redirect_uri: str = attrs.field(validator=_text)
    scopes: tuple[str, ...] = attrs.field(converter=_scopes)
    blocked_company_ids: frozenset[int] = attrs.field(default=frozenset[int](), converter=_numbers)

    def __attrs_post_init__(self) -> None:
        if ":" in self.client_id:
            raise ConfigurationError("client_id must have no colon: HTTP Basic ends it there.")
        if not is_redirect_uri(self.redirect_uri):
            raise ConfigurationError(
                "redirect_uri must be an absolute http or https URI without a fragment or user "
                'information, such as "http://127.0.0.1:8123/callback".'
            )
        if not self.scopes:
            raise ConfigurationError('scopes is empty; "base" is the least an app has.')
        if not all(_SCOPE.fullmatch(scope) for scope in self.scopes):
            raise ConfigurationError("A scope has a space, a comma, a quote or no character in it.")
        if len(set(self.scopes)) != len(self.scopes):
            raise ConfigurationError("scopes names a scope twice; name each one once.")


@attrs.frozen(kw_only=True)
class User:
    """A person with an account in a company, who can let an app in.

    The same person may belong to several companies: make one record for each.

    Args:
        id: The user's number, from 1.
        name: The user's name.
        email: The user's email address.
        company_id: The company's number, from 1.
        company_name: The company's name.
        company_domain: The first label of the company's host name, such as `acme`.
        locale: A language and a country, such as `en_US`.
        timezone_name: A time zone's name in the IANA database.
        default_currency: A currency's ISO 4217 code.

    Raises:
        ConfigurationError: A number is below 1, or a text is empty or has control characters.
    """

    id: int = attrs.field(validator=_positive)
    name: str = attrs.field(validator=_text)
    email: str = attrs.field(validator=_text)
    company_id: int = attrs.field(validator=_positive)
    company_name: str = attrs.field(validator=_text)
    company_domain: str = attrs.field(validator=_text)
    locale: str = attrs.field(default="en_US", validator=_text)
    timezone_name: str = attrs.field(default="Etc/UTC", validator=_text)
    default_currency: str = attrs.field(default="EUR", validator=_text)

    @property
    def account(self) -> str:
        """Company and user as one key, in the form that refresh tokens begin with."""
        return f"{self.company_id}:{self.id}"


DEFAULT_APP = App(
    name="Sandbox app",
    client_id="sandbox-client-id",
    client_secret="sandbox-client-secret-that-is-not-real",
    redirect_uri="http://127.0.0.1:8123/callback",
    scopes=("base", "deals:full", "contacts:read", "users:read"),
)
DEFAULT_USER = User(
    id=11,
    name="Alex Moreno",
    email="alex@acme.example",
    company_id=1,
    company_name="Acme",
    company_domain="acme",
)
OTHER_USER = User(
    id=22,
    name="Kim Saar",
    email="kim@globex.example",
    company_id=2,
    company_name="Globex",
    company_domain="globex",
    locale="et_EE",
    timezone_name="Europe/Tallinn",
)


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
