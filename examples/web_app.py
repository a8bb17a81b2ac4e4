"""A small web app that connects Pipedrive accounts, one per browser.

    python -m examples.web_app --sandbox

Then open http://127.0.0.1:8123/. Without `--sandbox` it uses the real service, and the three
environment variables of `AppCredentials.from_env` identify the app; the app listens on this
machine, on the port of its redirect URI or else on 8123, behind a proxy that terminates TLS.
"""

from __future__ import annotations

import argparse
import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import ExitStack, asynccontextmanager
from html import escape
from urllib.parse import urlsplit

import anyio
import httpx
import uvicorn
from attrs import define, evolve, field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from pipedrive_oauth_client import (
    AppCredentials,
    AsyncPipedriveOAuth,
    PipedriveOAuthError,
    StateMismatchError,
    Token,
    sandbox,
)


@define
class Session:
    """The session of a connected browser. It stays on the server; the cookie is only its key."""

    token: Token
    refresh_lock: anyio.Lock = field(factory=anyio.Lock)


def create_app(oauth: AsyncPipedriveOAuth) -> Starlette:
    """Create the web app of a client. A real one would keep the sessions in a database."""
    sessions: dict[str, Session] = {}
    states: dict[str, str] = {}  # of the browsers that are at the consent page

    def with_new_key(request: Request, response: Response, name: str) -> str:
        # A new key each time, so that a key planted in the browser before is useless.
        key = secrets.token_urlsafe(32)
        # Lax: sent when Pipedrive redirects the browser here, but not with another site's form.
        secure = request.url.scheme == "https"
        response.set_cookie(name, key, httponly=True, samesite="lax", secure=secure)
        return key

    async def home(request: Request) -> Response:
        session = sessions.get(request.cookies.get("session", ""))
        if session is None:
            return HTMLResponse('<a href="/connect">Connect with Pipedrive</a>')
        async with session.refresh_lock:  # a refresh token works once, and there may be two tabs
            if session.token.is_stale():
                session.token = await oauth.refresh(session.token)
        token = session.token
        headers = {"Authorization": f"Bearer {token.access_token}"}
        async with httpx.AsyncClient(base_url=str(token.api_domain), headers=headers) as api:
            user = (await api.get("/api/v1/users/me")).raise_for_status().json()["data"]
        return HTMLResponse(f"Connected as {escape(user['name'])}, {escape(user['company_name'])}")

    async def connect(request: Request) -> Response:
        to_consent = oauth.authorization_url()
        response = RedirectResponse(to_consent.url, 303)
        # Any page can send the browser here: the session stays until the callback succeeds.
        states.pop(request.cookies.get("attempt", ""), None)
        states[with_new_key(request, response, "attempt")] = to_consent.state
        return response

    async def callback(request: Request) -> Response:
        # Removed first: a state is valid for one callback.
        state = states.pop(request.cookies.get("attempt", ""), None)
        if state is None:
            raise StateMismatchError("This browser has not started to connect. Start at /connect.")
        code = oauth.read_callback(request.query_params, state)
        token = await oauth.exchange(code)
        response = RedirectResponse("/", 303)
        response.delete_cookie("attempt")
        sessions.pop(request.cookies.get("session", ""), None)
        sessions[with_new_key(request, response, "session")] = Session(token)
        return response

    async def failed(_request: Request, error: Exception) -> Response:
        return HTMLResponse(f'{escape(str(error))} <a href="/connect">Start again</a>', 400)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncGenerator[None]:
        async with oauth:
            yield

    return Starlette(
        routes=[
            Route("/", home),
            Route("/connect", connect),
            Route(urlsplit(oauth.credentials.redirect_uri).path or "/callback", callback),
        ],
        exception_handlers={PipedriveOAuthError: failed, httpx.HTTPError: failed},
        lifespan=lifespan,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve the app at its redirect URI until Ctrl-C."""
    parser = argparse.ArgumentParser(description="Connect Pipedrive accounts in a browser.")
    parser.add_argument("--sandbox", action="store_true", help="use a sandbox; needs no account")
    parser.add_argument("--port", type=int, default=8123, help="the app's port with a sandbox")
    options = parser.parse_args(arguments)
    with ExitStack() as stack:
        if options.sandbox:
            uri = f"http://127.0.0.1:{options.port}/callback"
            app = evolve(sandbox.DEFAULT_APP, redirect_uri=uri)
            server = stack.enter_context(sandbox.run(sandbox.create_app(apps=[app])))
            credentials = AppCredentials(app.client_id, app.client_secret, uri)
            oauth = AsyncPipedriveOAuth(credentials, base_url=server.base_url)
        else:
            oauth = AsyncPipedriveOAuth(AppCredentials.from_env())
        port = urlsplit(oauth.credentials.redirect_uri).port or 8123
        # No access log: the addresses of callbacks contain codes.
        uvicorn.run(create_app(oauth), host="127.0.0.1", port=port, access_log=False)


if __name__ == "__main__":
    main()
