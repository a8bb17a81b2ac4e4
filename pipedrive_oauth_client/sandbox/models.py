"""The sandbox's records: registered apps, users, and what their consent leads to.

Source:
    RFC 6749 sections 1.3.1, 1.4, 1.5 and 4.1.2.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import overload

import attrs

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.sandbox.settings import require_count
from pipedrive_oauth_client.sandbox.urls import is_redirect_uri

GRANT_TYPES = ("authorization_code", "refresh_token")

_SCOPE = re.compile(r"[\x21\x23-\x2b\x2d-\x5b\x5d-\x7e]+")  # RFC 6749 section 3.3, less the comma


def _text(_instance: object, attribute: attrs.Attribute[str], value: object) -> None:
    """Reject what isn't readable text; the message has no value, as that may be a secret."""
    if not isinstance(value, str) or not value.strip():
        raise ConfigurationError(f"{attribute.name} must be text and not empty.")
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in value):
        raise ConfigurationError(f"{attribute.name} contains a control character; remove it.")


def _positive(_instance: object, attribute: attrs.Attribute[int], value: object) -> None:
    require_count(attribute.name, value)


def _scopes(value: Iterable[str]) -> tuple[str, ...]:
    if isinstance(value, str):
        raise ConfigurationError('scopes must be a list such as ["base", "deals:read"], not text.')
    return tuple(value)


def _company_ids(value: Iterable[int]) -> frozenset[int]:
    if isinstance(value, (str, int)):
        raise ConfigurationError("blocked_company_ids must be a list of numbers such as [1, 2].")
    return frozenset(value)


@attrs.frozen(kw_only=True)
class App:
    """An app as a developer registers it: its name, its credentials and its scopes.

    Args:
        name: The name that the consent page shows.
        client_id: The client identifier; no colon, as HTTP Basic could not carry it.
        client_secret: The client secret; never shown by `repr`.
        redirect_uri: The callback URL; an absolute http or https URI without a fragment. A
            request must name it exactly as it is written here.
        scopes: What the app may do, such as `["base", "deals:full"]`. As with Pipedrive, they
            belong to the app and no request changes them.
        blocked_company_ids: Numbers of companies that can't install the app, such as those that
            do not see it in the Marketplace.
        installation_url: Where the Marketplace sends a user who installs the app, so that it can
            begin with a state; without one, the user goes to the consent page at once.

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
    blocked_company_ids: frozenset[int] = attrs.field(
        default=frozenset[int](), converter=_company_ids
    )
    installation_url: str | None = None

    def __attrs_post_init__(self) -> None:
        if ":" in self.client_id:
            raise ConfigurationError("client_id must have no colon: HTTP Basic ends it there.")
        if not is_redirect_uri(self.redirect_uri):
            raise ConfigurationError(
                "redirect_uri must be an absolute http or https URI without a fragment or user "
                'information, such as "http://127.0.0.1:8123/callback".'
            )
        if self.installation_url is not None and not is_redirect_uri(self.installation_url):
            raise ConfigurationError("installation_url must be an absolute http or https URI.")
        if not self.scopes:
            raise ConfigurationError('scopes is empty; every app has at least "base".')
        if not all(_SCOPE.fullmatch(scope) for scope in self.scopes):
            raise ConfigurationError("A scope is empty, or contains a space, a comma or a quote.")
        if len(set(self.scopes)) != len(self.scopes):
            raise ConfigurationError("scopes names a scope twice; name each one once.")


class AppRegistry(Sequence[App]):
    """The registered apps as they are now; a developer can change an app's scopes and secret."""

    def __init__(self, apps: Iterable[App]) -> None:
        self._apps = {app.client_id: app for app in apps}
        self._known = set(self._apps.values())

    def __len__(self) -> int:
        return len(self._apps)

    def __iter__(self) -> Iterator[App]:
        return iter(tuple(self._apps.values()))

    @overload
    def __getitem__(self, index: int) -> App: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[App, ...]: ...
    def __getitem__(self, index: int | slice) -> App | tuple[App, ...]:
        return tuple(self)[index]

    def get(self, client_id: str) -> App | None:
        """Return the app with this client identifier, or None."""
        return self._apps.get(client_id)

    def current(self, app: App) -> App | None:
        """Return what an app, as it is or was registered, is now; None if it never was."""
        return self._apps[app.client_id] if app in self._known else None

    def replace(self, app: App) -> None:
        """Register an app anew under its client identifier."""
        self._known.add(app)
        self._apps[app.client_id] = app

    def secrets(self) -> set[str]:
        """Return the client secrets of now and of before."""
        return {app.client_secret for app in self._known}


@attrs.frozen(kw_only=True)
class User:
    """A user with an account in a company, who can install an app.

    For a person who belongs to several companies, make one record for each.

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


@attrs.define(eq=False)
class Installation:
    """An app in one user's account, from the first consent until it is uninstalled."""

    is_complete: bool = False
    has_ended: bool = False


@attrs.define(eq=False)
class Grant:
    """One consent of a user to an app; every code and token refers to its grant.

    `scopes` are those that the app had when the user consented.
    """

    app: App
    user: User
    installation: Installation = attrs.field(factory=Installation)
    revoked: bool = False
    scopes: tuple[str, ...] = attrs.field(
        default=attrs.Factory(lambda grant: grant.app.scopes, takes_self=True)
    )

    @property
    def has_ended(self) -> bool:
        """Whether its codes and tokens are invalid."""
        return self.revoked or self.installation.has_ended


@attrs.frozen
class Ticket:
    """A consent page that is open and not yet submitted."""

    app: App
    state: str | None = attrs.field(repr=False)
    expires_at: datetime


@attrs.define(eq=False)
class Code:
    """An authorization code; a spent one is kept to recognize its second use."""

    grant: Grant
    redirect_uri: str
    expires_at: datetime
    spent: bool = False


@attrs.frozen
class IssuedToken:
    """An access token or a refresh token that was issued."""

    grant: Grant
    expires_at: datetime

    def is_active(self, now: datetime) -> bool:
        """Tell whether it has neither expired nor been revoked."""
        return now < self.expires_at and not self.grant.has_ended


@attrs.frozen
class ActiveToken:
    """An active token as a page may show it: its end only."""

    masked: str
    grant: Grant
    expires_at: datetime


@attrs.frozen
class TokenPair:
    """The tokens of a successful token response."""

    access_token: str = attrs.field(repr=False)
    refresh_token: str = attrs.field(repr=False)
    scopes: tuple[str, ...]
    expires_in_seconds: int
