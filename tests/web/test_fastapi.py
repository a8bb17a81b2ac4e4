# Without postponed annotations: FastAPI could not look up what is defined inside of a function.

import asyncio
from typing import Annotated

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Request

from pipedrive_oauth_client import AppCredentials, AsyncPipedriveOAuth, PipedriveAuth
from pipedrive_oauth_client.stores import MemoryTokenStore
from pipedrive_oauth_client.web.starlette import PipedriveWeb
from tests.web.conftest import CLIENT
from tests.web.sites import KEY


@pytest.fixture
def web() -> PipedriveWeb:
    """The routes."""
    credentials = AppCredentials(CLIENT.client_id, CLIENT.client_secret, CLIENT.redirect_uri)
    return PipedriveWeb(AsyncPipedriveOAuth(credentials), MemoryTokenStore(), secret_keys=[KEY])


def asked(app: FastAPI, address: str, **headers: str) -> str:
    """Give what an app answers."""

    async def main() -> str:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app)) as client:
            return (await client.get(f"http://app{address}", headers=headers)).text

    return asyncio.run(main())


def test_dependency(web: PipedriveWeb) -> None:
    """A dependency gives the auth of the account that the app has found."""
    app = FastAPI()

    def pipedrive(request: Request) -> PipedriveAuth:
        return web.auth_for(request.headers["Account"])

    @app.get("/who")
    async def who(auth: Annotated[PipedriveAuth, Depends(pipedrive)]) -> str:
        return auth.account

    assert asked(app, "/who", Account="7:8") == '"7:8"'


def test_router_inside_of_another(web: PipedriveWeb) -> None:
    """The routes can be included in a router of FastAPI's own, and know where they are."""
    app, outer = FastAPI(), APIRouter()
    outer.include_router(APIRouter(routes=web.routes), prefix="/pipedrive")
    # A prefix of the outer router itself is left out by FastAPI 0.115, whatever the routes are.
    app.include_router(outer, prefix="/v1")
    assert 'href="/v1/pipedrive/connect"' in asked(app, "/v1/pipedrive/callback")


def test_account_is_no_query_parameter(web: PipedriveWeb) -> None:
    """As a dependency by itself the accessor fails, and does not take the account of a query."""
    app = FastAPI()

    @app.get("/who")
    async def who(auth: Annotated[PipedriveAuth, Depends(web.auth_for)]) -> str:
        return auth.account

    with pytest.raises(TypeError):
        asked(app, "/who?account=7:8")
