"""The sandbox's web pages: rendering with every value escaped, the home page, and the icon.

Source:
    RFC 9700 section 4.16 (clickjacking) and section 4.2 (referrers); Content Security Policy
    Level 3.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from urllib.parse import urlencode

import attrs
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from pipedrive_oauth_client.sandbox.clock import Now
from pipedrive_oauth_client.sandbox.models import ActiveToken, App, User
from pipedrive_oauth_client.sandbox.request_log import RequestLog
from pipedrive_oauth_client.sandbox.responses import PRIVATE_HEADERS
from pipedrive_oauth_client.sandbox.state import Listing, State, TokenKind, first_of
from pipedrive_oauth_client.sandbox.urls import AUTHORIZE_PATH, ICON_PATH, base_path, base_url

_ENVIRONMENT = Environment(
    loader=PackageLoader("pipedrive_oauth_client.sandbox", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)

_ICON = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">
<rect width="32" height="32" rx="8" fill="#11703c"/>
<path d="M9 16.5l5 5 9-11" fill="none" stroke="#fff" stroke-width="4" stroke-linecap="round" \
stroke-linejoin="round"/>
</svg>
"""

_SCOPES = {
    "base": "See who you are and the basic settings of your company",
    "admin": "Change the settings of your whole company",
    "recents:read": "See what has changed lately",
    "search:read": "Search in everything that you can see",
    "users:read": "See the people who use your company's account",
    "phone-integration": "Work as your phone",
    "video-calls": "Offer video calls",
    "messengers-integration": "Work as your messenger",
}
_SCOPE_OBJECTS = {
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
_SCOPE_VERBS = {"read": "See your", "full": "See and change your"}

_TIME_UNITS = (("day", 86400), ("h", 3600), ("min", 60), ("s", 1))

_MAX_ROWS = 50
# A correct app did not issue this state and rejects the callback, which is worth seeing too.
_STATE = "from-the-sandbox"


def render_page(
    template: str, request: Request, *, form_targets: Iterable[str] = (), **values: object
) -> HTMLResponse:
    """Return a page without scripts that no other site can frame and no cache keeps.

    `form_targets` is where besides the page's own origin its form may lead, redirects included.
    """
    nonce = secrets.token_urlsafe(16)
    policy = {
        "default-src": "'none'",
        "style-src": f"'nonce-{nonce}'",
        "img-src": "'self'",
        "form-action": " ".join(["'self'", *form_targets]),
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
    }
    headers = {
        **PRIVATE_HEADERS,
        # With no referrer at all, browsers hide a page's origin from itself: its form is rejected.
        "Referrer-Policy": "same-origin",
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "X-Frame-Options": "DENY",
    }
    page = _ENVIRONMENT.get_template(template).render(
        nonce=nonce, icon=base_path(request) + ICON_PATH, **values
    )
    return HTMLResponse(page, headers=headers)


async def show_icon(_request: Request) -> Response:
    """Respond with the icon; it reveals nothing, so browsers may keep it for a day."""
    headers = {
        "Cache-Control": "public, max-age=86400",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(_ICON, media_type="image/svg+xml", headers=headers)


def describe_scope(scope: str) -> str:
    """Return what a scope such as `deals:full` allows, in words."""
    if scope in _SCOPES:
        return _SCOPES[scope]
    name, _, level = scope.partition(":")
    if name in _SCOPE_OBJECTS and level in _SCOPE_VERBS:
        return f"{_SCOPE_VERBS[level]} {_SCOPE_OBJECTS[name]}"
    return "Use a scope that the sandbox has no description for"


def describe_span(span: timedelta) -> str:
    """Return a span in its two largest units, such as `59 min 30 s`, without parts of a second."""
    left, parts = int(span.total_seconds()), list[str]()
    for unit, seconds in _TIME_UNITS:
        count, left = divmod(left, seconds)
        if count:
            plural = "s" if unit == "day" and count > 1 else ""
            parts.append(f"{count} {unit}{plural}")
        elif parts:
            break
    return " ".join(parts[:2]) or "less than 1 s"


@attrs.frozen
class _AppRow:
    app: App
    link: str


@attrs.frozen
class _AccountRow:
    user: User
    installed: Sequence[App]


@attrs.frozen
class _TokenRow:
    masked: str
    app: App
    user: User
    expires_in: str


class HomePage:
    """The page at the sandbox's root: apps, accounts, active tokens and the last requests."""

    def __init__(
        self,
        *,
        state: State,
        apps: Sequence[App],
        users: Sequence[User],
        requests: RequestLog,
        clock: Now,
    ) -> None:
        self._state = state
        self._apps = apps
        self._users = users
        self._requests = requests
        self._clock = clock

    async def show(self, request: Request) -> Response:
        """Respond to GET / with the page; it needs no login, as it holds nothing real."""
        now = self._clock()
        base = base_path(request)
        apps = first_of(self._apps, _MAX_ROWS)
        return render_page(
            "home.html",
            request,
            base_url=base_url(request),
            now=now,
            apps=apps.shown_as(lambda app: _AppRow(app, _authorization_link(base, app))),
            accounts=first_of(self._users, _MAX_ROWS).shown_as(
                lambda user: _AccountRow(user, self._installed(apps, user))
            ),
            access_tokens=self._tokens("access_token", now),
            refresh_tokens=self._tokens("refresh_token", now),
            requests=Listing(tuple(self._requests.newest(_MAX_ROWS)), len(self._requests)),
        )

    def _installed(self, apps: Listing[App], user: User) -> list[App]:
        return [app for app in apps.rows if self._state.is_installed(app, user)]

    def _tokens(self, kind: TokenKind, now: datetime) -> Listing[_TokenRow]:
        def row(token: ActiveToken) -> _TokenRow:
            grant = token.grant
            return _TokenRow(
                token.masked, grant.app, grant.user, describe_span(token.expires_at - now)
            )

        return self._state.active_tokens(kind, most=_MAX_ROWS // 2).shown_as(row)


def _authorization_link(base: str, app: App) -> str:
    query = {"client_id": app.client_id, "redirect_uri": app.redirect_uri, "state": _STATE}
    return f"{base}{AUTHORIZE_PATH}?{urlencode(query)}"
