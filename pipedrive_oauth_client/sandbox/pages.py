"""Web pages: templates whose every value is escaped, and the headers that keep a page to itself.

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
from pipedrive_oauth_client.sandbox.models import App, LiveToken, User
from pipedrive_oauth_client.sandbox.request_log import RequestLog
from pipedrive_oauth_client.sandbox.responses import PRIVATE
from pipedrive_oauth_client.sandbox.state import Listing, State, TokenKind, first_of
from pipedrive_oauth_client.sandbox.urls import AUTHORIZE_PATH, ICON_PATH, base_path, base_url

_UNITS = (("day", 86400), ("h", 3600), ("min", 60), ("s", 1))


def span_in_words(span: timedelta) -> str:
    """Return a span in its two largest units, such as `59 min 30 s`; a part of a second is none."""
    left, parts = int(span.total_seconds()), list[str]()
    for unit, seconds in _UNITS:
        count, left = divmod(left, seconds)
        if count:
            plural = "s" if unit == "day" and count > 1 else ""
            parts.append(f"{count} {unit}{plural}")
        elif parts:
            break
    return " ".join(parts[:2]) or "less than 1 s"


_PICTURE = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">
<rect width="32" height="32" rx="8" fill="#11703c"/>
<path d="M9 16.5l5 5 9-11" fill="none" stroke="#fff" stroke-width="4" stroke-linecap="round" \
stroke-linejoin="round"/>
</svg>
"""


async def show_icon(_request: Request) -> Response:
    """Answer with the icon; it tells nothing, so that browsers may keep it for a day."""
    headers = {
        "Cache-Control": "public, max-age=86400",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(_PICTURE, media_type="image/svg+xml", headers=headers)


_ENVIRONMENT = Environment(
    loader=PackageLoader("pipedrive_oauth_client.sandbox", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render_page(
    template: str, request: Request, *, form_targets: Iterable[str] = (), **values: object
) -> HTMLResponse:
    """Return a page without scripts that nobody else can frame, cache or learn the address of.

    Args:
        template: The name of a file in the `templates` folder.
        request: The request that the page answers.
        form_targets: Where besides the page's own origin its form may lead, redirects included.
        values: What the template shows; everything is escaped.
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
        **PRIVATE,
        # With no referrer at all, browsers hide a page's origin from itself: its form is refused.
        "Referrer-Policy": "same-origin",
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "X-Frame-Options": "DENY",
    }
    page = _ENVIRONMENT.get_template(template).render(
        nonce=nonce, icon=base_path(request) + ICON_PATH, **values
    )
    return HTMLResponse(page, headers=headers)


_MOST_ROWS = 50
# A careful app never made this state and refuses the callback, which is worth seeing, too.
_STATE = "from-the-sandbox"


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


class Home:
    """The page at the sandbox's root.

    Args:
        state: The sandbox's memory.
        apps: The registered apps.
        users: The people who can let an app in.
        requests: The last requests.
        clock: Tells the time.
    """

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
        """Answer GET / with the page; it needs no login, as it holds nothing real."""
        now = self._clock()
        base = base_path(request)
        apps = first_of(self._apps, _MOST_ROWS)
        return render_page(
            "home.html",
            request,
            base_url=base_url(request),
            now=now,
            apps=apps.shown_as(lambda app: _AppRow(app, _link(base, app))),
            accounts=first_of(self._users, _MOST_ROWS).shown_as(
                lambda user: _AccountRow(user, self._installed(apps, user))
            ),
            access_tokens=self._tokens("access_token", now),
            refresh_tokens=self._tokens("refresh_token", now),
            requests=Listing(tuple(self._requests.newest(_MOST_ROWS)), len(self._requests)),
        )

    def _installed(self, apps: Listing[App], user: User) -> list[App]:
        return [app for app in apps.rows if self._state.is_installed(app, user)]

    def _tokens(self, kind: TokenKind, now: datetime) -> Listing[_TokenRow]:
        def row(token: LiveToken) -> _TokenRow:
            grant = token.grant
            return _TokenRow(
                token.masked, grant.app, grant.user, span_in_words(token.expires_at - now)
            )

        return self._state.live_tokens(kind, most=_MOST_ROWS // 2).shown_as(row)


def _link(base: str, app: App) -> str:
    query = {"client_id": app.client_id, "redirect_uri": app.redirect_uri, "state": _STATE}
    return f"{base}{AUTHORIZE_PATH}?{urlencode(query)}"
