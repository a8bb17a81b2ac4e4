"""A web app with FastAPI: log in, connect a Pipedrive account, see its deals, disconnect.

    python -m examples.fastapi_app --sandbox

Then open http://127.0.0.1:8123/. Without `--sandbox` it uses the real service, and the three
environment variables of `AppCredentials.from_env` identify the app.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from urllib.parse import parse_qs

import httpx
import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.middleware.sessions import SessionMiddleware

from examples.look import Form, deals_page, login_page, welcome
from examples.setting import USERS, Setting, UserAccounts, setting
from pipedrive_oauth_client import AsyncPipedriveOAuth, InvalidGrantError, TokenNotFoundError
from pipedrive_oauth_client.web import Connection
from pipedrive_oauth_client.web.starlette import PipedriveWeb

FRAMEWORK = "FastAPI"
PRIVATE = {"Cache-Control": "no-store"}


class NotLoggedInError(Exception):
    """A page needs a user of the app, and this browser's user has not logged in."""


def user_of(request: Request) -> str:
    """Return the user who is logged in."""
    user = request.session.get("user")
    if user is None:
        raise NotLoggedInError
    return str(user)


def form_of(request: Request) -> Form:
    """Return what a form of this session has."""
    return Form("secret", request.session.setdefault("secret", secrets.token_urlsafe(32)))


async def checked_form(request: Request) -> dict[str, str]:
    """Return the fields of a form that this session was given."""
    form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
    expected = request.session.get("secret", "")
    if not expected or not hmac.compare_digest(form.get("secret", "").encode(), expected.encode()):
        raise HTTPException(403, "This form does not belong to this session.")
    return form


def invite(request: Request, message: str = "") -> HTMLResponse:
    """Return the page of a user who has to connect."""
    connect = "/pipedrive/connect?next=/deals"
    page = welcome(FRAMEWORK, user_of(request), form_of(request), connect, message)
    return HTMLResponse(page, headers=PRIVATE)


def add_login(app: FastAPI) -> None:
    """Add what lets users log in to the app and out."""

    @app.get("/")
    async def home(request: Request) -> Response:
        if "user" not in request.session:
            return HTMLResponse(login_page(FRAMEWORK, USERS, form_of(request)), headers=PRIVATE)
        return invite(request)

    @app.post("/login")
    async def log_in(request: Request) -> Response:
        user = (await checked_form(request)).get("user")
        if user not in USERS:
            raise HTTPException(403, "There is no such user.")
        request.session.clear()  # makes a session planted before useless
        request.session["user"] = user
        return RedirectResponse("/", 303)

    @app.post("/logout")
    async def log_out(request: Request) -> Response:
        await checked_form(request)
        request.session.clear()
        return RedirectResponse("/", 303)

    async def to_login(_request: Request, _error: Exception) -> Response:
        return RedirectResponse("/", 303)

    app.add_exception_handler(NotLoggedInError, to_login)


def create_app(config: Setting) -> FastAPI:
    """Create the app."""
    oauth = AsyncPipedriveOAuth(config.credentials, base_url=config.base_url)
    accounts = UserAccounts(config.database)

    async def remember(request: Request, connection: Connection) -> None:
        # The session goes on: its user has logged in to the app, not with Pipedrive.
        accounts.put(user_of(request), connection.account)

    pipedrive = PipedriveWeb(
        oauth,
        config.store,
        secret_keys=[config.secret_key],
        after_connect="/deals",
        connected=remember,
        session_of=user_of,  # a user who has begun to connect must be the one who ends it
    )

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
        async with oauth:
            yield

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.mount("/pipedrive", pipedrive.router)
    add_login(app)
    app.add_middleware(
        SessionMiddleware, secret_key=config.secret_key, https_only=config.is_https, same_site="lax"
    )

    @app.get("/deals")
    async def deals(request: Request) -> Response:
        user = user_of(request)
        account = accounts.get(user)
        if account is None:
            return RedirectResponse("/", 303)
        auth = pipedrive.auth_for(account)
        async with httpx.AsyncClient(auth=auth, trust_env=config.is_https) as api:
            domain = (await auth.atoken()).api_domain
            owner = (await api.get(f"{domain}/api/v1/users/me")).raise_for_status().json()["data"]
            found = (await api.get(f"{domain}/api/v2/deals")).raise_for_status().json()["data"]
        page = deals_page(FRAMEWORK, user, form_of(request), owner, found)
        return HTMLResponse(page, headers=PRIVATE)

    @app.post("/disconnect")
    async def disconnect(request: Request) -> Response:
        await checked_form(request)
        user = user_of(request)
        account = accounts.get(user)
        if account is not None:
            await pipedrive.disconnect(account)
            accounts.remove(user)
        return RedirectResponse("/", 303)

    async def connect_again(request: Request, _error: Exception) -> Response:
        return invite(request, "Your account is not connected any more.")

    app.add_exception_handler(TokenNotFoundError, connect_again)
    app.add_exception_handler(InvalidGrantError, connect_again)
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve the app until Ctrl-C."""
    with setting(FRAMEWORK, arguments) as config:
        # No access log: the addresses of callbacks contain codes.
        uvicorn.run(
            create_app(config),
            host="127.0.0.1",
            port=config.port,
            access_log=False,
            log_level="warning",
        )


if __name__ == "__main__":
    main()
