"""What the sandbox's tests share: a clock to move, a wire without a network, small requests."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
from starlette.types import ASGIApp

from pipedrive_oauth_client.sandbox import (
    DEFAULT_APP,
    DEFAULT_USER,
    App,
    Sandbox,
    SandboxServer,
    User,
)

BASE_URL = "http://sandbox.example:8080"
FORM = "application/x-www-form-urlencoded"
OTHER_APP = App(
    name="Other app",
    client_id="other-client-id",
    client_secret="other-client-secret",
    redirect_uri="https://other.example/callback?from=pipedrive",
    scopes=["base"],
)

Fields = Mapping[str, str]
Headers = Sequence[tuple[str, str]]


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Return the time that the clock shows."""
        return self.now

    def move(self, **span: float) -> None:
        """Move the clock on, by what `timedelta` takes."""
        self.now += timedelta(**span)


class Wire:
    """Sends requests straight into a sandbox's ASGI application, and knows the usual ones."""

    def __init__(self, sandbox: Sandbox | ASGIApp) -> None:
        self.sandbox = sandbox

    def request(
        self, method: str, path: str, *, content: bytes | None = None, headers: Headers = ()
    ) -> httpx.Response:
        """Send a request; an error inside the application becomes a response, not an exception."""

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.sandbox, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url=BASE_URL) as client:
                return await client.request(method, path, content=content, headers=list(headers))

        return asyncio.run(send())

    def open_page(self, query: str) -> httpx.Response:
        """Open the consent page with this query."""
        return self.request("GET", f"/oauth/authorize?{query}")

    def ticket(self, app: App = DEFAULT_APP, state: str | None = None) -> str:
        """Open the consent page and return its form's ticket."""
        response = self.open_page(authorization_query(app, state))
        assert response.status_code == 200, response.text
        return ticket_in(response.text)

    def decide(
        self,
        ticket: str,
        *,
        account: str | None = "1:11",
        decision: str | None = "allow",
        headers: Headers = (),
    ) -> httpx.Response:
        """Submit the form of a consent page: the default user allows, unless changed."""
        fields = {"ticket": ticket, "account": account, "decision": decision}
        return self.post_form("/sandbox/consent", fields, headers=headers)

    def code(self, app: App = DEFAULT_APP, user: User = DEFAULT_USER) -> str:
        """Let the user install the app, and return the code."""
        response = self.decide(self.ticket(app), account=account_of(user))
        return callback_parameters(response)["code"]

    def post_form(
        self, path: str, fields: Mapping[str, str | None], *, headers: Headers = ()
    ) -> httpx.Response:
        """Send a form; what is None is left out."""
        sent = {name: value for name, value in fields.items() if value is not None}
        return self.request(
            "POST",
            path,
            content=urlencode(sent).encode(),
            headers=[("Content-Type", FORM), *headers],
        )

    def exchange(
        self,
        code: str,
        *,
        app: App = DEFAULT_APP,
        path: str = "/oauth/token",
        **changes: str | None,
    ) -> httpx.Response:
        """Exchange a code, correctly unless changed."""
        fields: dict[str, str | None] = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": app.redirect_uri,
        }
        return self.post_form(path, {**fields, **changes}, headers=[basic(app)])

    def refresh(
        self, refresh_token: str, *, app: App = DEFAULT_APP, path: str = "/oauth/token/"
    ) -> httpx.Response:
        """Refresh with a refresh token."""
        fields = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        return self.post_form(path, fields, headers=[basic(app)])

    def tokens(self, app: App = DEFAULT_APP, user: User = DEFAULT_USER) -> dict[str, str]:
        """Let the user install the app, and return the body with the tokens."""
        return success(self.exchange(self.code(app, user), app=app))

    def revoke(
        self, token: str | None, hint: str | None = None, *, app: App = DEFAULT_APP
    ) -> httpx.Response:
        """Revoke a token."""
        fields = {"token": token, "token_type_hint": hint}
        return self.post_form("/oauth/revoke", fields, headers=[basic(app)])

    def me(self, access_token: str) -> httpx.Response:
        """Make the API call for the current user."""
        return self.request("GET", "/api/v1/users/me", headers=[bearer(access_token)])


class Net(Wire):
    """Sends the same requests to a served sandbox over TCP."""

    def __init__(self, server: SandboxServer, client: httpx.Client) -> None:
        super().__init__(server.sandbox)
        self.server = server
        self.client = client

    def request(
        self, method: str, path: str, *, content: bytes | None = None, headers: Headers = ()
    ) -> httpx.Response:
        """Send a request, and follow no redirect."""
        url = self.server.base_url + path
        return self.client.request(method, url, content=content, headers=list(headers))


def wait_for(net: Net, condition: Callable[[], bool]) -> None:
    """Keep the server busy until something that it does for another connection has happened."""
    for _ in range(2000):
        if condition():
            return
        net.request("GET", "/favicon.ico")
    raise AssertionError("It has not happened.")


def account_of(user: User) -> str:
    """Return what the page's form sends for this user."""
    return f"{user.company_id}:{user.id}"


def authorization_query(app: App = DEFAULT_APP, state: str | None = None) -> str:
    """Return the query of an authorization URL."""
    query = {"client_id": app.client_id, "redirect_uri": app.redirect_uri}
    return urlencode(query if state is None else {**query, "state": state})


def ticket_in(page: str) -> str:
    """Return the ticket in the form of a consent page."""
    found = re.search(r'name="ticket" value="([^"]+)"', page)
    assert found is not None
    return found[1]


def callback_parameters(response: httpx.Response) -> dict[str, str]:
    """Return the parameters of a redirect, and check that it is one."""
    assert response.status_code == 303, response.text
    return query_of(response.headers["location"])


def query_of(url: str) -> dict[str, str]:
    """Return a URL's parameters, and check that each comes once."""
    query = parse_qs(urlsplit(url).query, keep_blank_values=True, strict_parsing=True)
    assert all(len(values) == 1 for values in query.values())
    return {name: values[0] for name, values in query.items()}


def basic(app: App = DEFAULT_APP, *, secret: str | None = None) -> tuple[str, str]:
    """Return the header with the credentials of an app, or with another secret."""
    pair = f"{app.client_id}:{app.client_secret if secret is None else secret}"
    return ("Authorization", "Basic " + base64.b64encode(pair.encode()).decode())


def bearer(access_token: str) -> tuple[str, str]:
    """Return the header with an access token."""
    return ("Authorization", f"Bearer {access_token}")


def success(response: httpx.Response) -> dict[str, str]:
    """Return the body of a response, and check that it is a success."""
    assert response.status_code == 200, response.text
    body: dict[str, str] = response.json()
    return body


def error_of(response: httpx.Response, status: int = 400) -> tuple[str, str]:
    """Return code and message of an error response, and check its form."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["pragma"] == "no-cache"
    assert "location" not in response.headers
    body = response.json()
    assert set(body) == {"success", "message", "error"}
    assert body["success"] is False
    return body["error"], body["message"]
