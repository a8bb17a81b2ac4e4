"""The home page: apps, accounts, living tokens and the last requests, for a person who tests.

It shows what the sandbox remembers, and no more of a secret than what tells two of them apart.
Whatever its tables hold, it lists a bounded number of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from urllib.parse import urlencode

import attrs
from starlette.requests import Request
from starlette.responses import Response

from pipedrive_oauth_client.sandbox.addresses import AUTHORIZE_PATH, base_path, base_url
from pipedrive_oauth_client.sandbox.clock import Now
from pipedrive_oauth_client.sandbox.grants import LiveToken
from pipedrive_oauth_client.sandbox.listings import Listing, first_of
from pipedrive_oauth_client.sandbox.pages import render_page
from pipedrive_oauth_client.sandbox.records import App, User
from pipedrive_oauth_client.sandbox.request_log import RequestLog
from pipedrive_oauth_client.sandbox.spans import span_in_words
from pipedrive_oauth_client.sandbox.state import State, TokenKind

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
