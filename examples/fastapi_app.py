"""A web app with FastAPI: connect a Pipedrive account, see its deals, disconnect.

    python -m examples.fastapi_app --sandbox

Then open http://127.0.0.1:8123/. Without `--sandbox` it is the real service, and the three
environment variables of `AppCredentials.from_env` say which app it is.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from urllib.parse import parse_qs

import httpx
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.middleware.sessions import SessionMiddleware

from examples.look import deals_page, welcome
from examples.setting import Setting, setting
from pipedrive_oauth_client import AsyncPipedriveOAuth, InvalidGrantError, TokenNotFoundError
from pipedrive_oauth_client.web import Connection
from pipedrive_oauth_client.web.starlette import PipedriveWeb

FRAMEWORK = "FastAPI"


async def remember(request: Request, connection: Connection) -> None:
    """Let the session be that of the account which was connected."""
    request.session.clear()  # nothing of the person before is this person's
    request.session["account"] = connection.account
    request.session["form_secret"] = secrets.token_urlsafe(32)


def create_app(place: Setting) -> FastAPI:
    """Make the app."""
    oauth = AsyncPipedriveOAuth(place.credentials, base_url=place.base_url)

    pipedrive = PipedriveWeb(
        oauth,
        place.store,
        secret_keys=[place.secret_key],
        after_connect="/deals",
        connected=remember,
    )

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
        async with oauth:
            yield

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.mount("/pipedrive", pipedrive.router)
    app.add_middleware(
        SessionMiddleware, secret_key=place.secret_key, https_only=place.is_https, same_site="lax"
    )

    @app.get("/")
    async def home() -> HTMLResponse:
        return HTMLResponse(welcome(FRAMEWORK, "/pipedrive/connect?next=/deals"))

    @app.get("/deals")
    async def deals(request: Request) -> Response:
        account = request.session.get("account")
        if account is None:
            return RedirectResponse("/", 303)
        auth = pipedrive.auth_for(account)
        async with httpx.AsyncClient(auth=auth, trust_env=place.is_https) as api:
            domain = (await auth.atoken()).api_domain
            user = (await api.get(f"{domain}/api/v1/users/me")).raise_for_status().json()["data"]
            found = (await api.get(f"{domain}/api/v2/deals")).raise_for_status().json()["data"]
        secret = ("form_secret", request.session["form_secret"])
        page = deals_page(FRAMEWORK, user, found, disconnect="/disconnect", csrf=secret)
        return HTMLResponse(page, headers={"Cache-Control": "no-store"})

    @app.post("/disconnect")
    async def disconnect(request: Request) -> Response:
        form = parse_qs((await request.body()).decode())
        given = form.get("form_secret", [""])[0]
        expected = request.session.get("form_secret", "")
        if not expected or not hmac.compare_digest(given.encode(), expected.encode()):
            return HTMLResponse("This form is not of this session.", 403)
        await pipedrive.disconnect(request.session["account"])
        request.session.clear()
        return RedirectResponse("/", 303)

    async def again(_request: Request, _error: Exception) -> Response:
        words = "Your account is not connected any more."
        return HTMLResponse(welcome(FRAMEWORK, "/pipedrive/connect?next=/deals", words))

    app.add_exception_handler(TokenNotFoundError, again)
    app.add_exception_handler(InvalidGrantError, again)
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve the app until Ctrl-C."""
    with setting(FRAMEWORK, arguments) as place:
        # No log of addresses: those of callbacks hold codes.
        uvicorn.run(
            create_app(place),
            host="127.0.0.1",
            port=place.port,
            access_log=False,
            log_level="warning",
        )


if __name__ == "__main__":
    main()
