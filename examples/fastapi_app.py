"""A web app with FastAPI: connect a Pipedrive account, see its deals, disconnect.

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
    """Bind the session to the connected account."""
    request.session.clear()  # drop the previous user's session
    request.session["account"] = connection.account
    request.session["form_secret"] = secrets.token_urlsafe(32)


def create_app(config: Setting) -> FastAPI:
    """Create the app."""
    oauth = AsyncPipedriveOAuth(config.credentials, base_url=config.base_url)

    pipedrive = PipedriveWeb(
        oauth,
        config.store,
        secret_keys=[config.secret_key],
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
        SessionMiddleware, secret_key=config.secret_key, https_only=config.is_https, same_site="lax"
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
        async with httpx.AsyncClient(auth=auth, trust_env=config.is_https) as api:
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
            return HTMLResponse("This form does not belong to this session.", 403)
        await pipedrive.disconnect(request.session["account"])
        request.session.clear()
        return RedirectResponse("/", 303)

    async def connect_again(_request: Request, _error: Exception) -> Response:
        message = "Your account is not connected any more."
        return HTMLResponse(welcome(FRAMEWORK, "/pipedrive/connect?next=/deals", message))

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
