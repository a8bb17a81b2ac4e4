"""Routes for Starlette and FastAPI: `PipedriveWeb`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import anyio.to_thread
import httpx
from attrs import define, field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, Router

from pipedrive_oauth_client.auth import PipedriveAuth
from pipedrive_oauth_client.generated.encode import argument
from pipedrive_oauth_client.oauth import AsyncPipedriveOAuth
from pipedrive_oauth_client.stores.protocol import TokenStore, checked_store
from pipedrive_oauth_client.web.connect import METHODS, checked_paths, plan_callback, plan_start
from pipedrive_oauth_client.web.disconnecting import disconnect
from pipedrive_oauth_client.web.messages import WebRequest
from pipedrive_oauth_client.web.runner import AsyncStepRunner, Plan, run_plan_async
from pipedrive_oauth_client.web.settings import WebCore, WebSettings

__all__ = ["PipedriveWeb"]


@define(eq=False)
class PipedriveWeb(WebSettings[Request, Response]):
    """Connects Pipedrive accounts in an app of Starlette or FastAPI.

        pipedrive = PipedriveWeb(oauth, store, secret_keys=[...], connected=remember)
        app = Starlette(routes=[Mount("/pipedrive", routes=pipedrive.routes)])
        app = FastAPI(); app.mount("/pipedrive", pipedrive.router)

    Attributes:
        oauth: The flow.
        store: Where tokens are kept; it is called in worker threads.
        api_client: The client that asks the API for the token's user; by default one is created.
        start_path: Where connecting begins, below the place where the routes are mounted.
        callback_path: The path of the callback, likewise: what the redirect URI ends in.

    The others are those of `WebSettings`.

    Raises:
        ConfigurationError: A setting can't be right.
    """

    oauth: AsyncPipedriveOAuth
    store: TokenStore
    api_client: httpx.AsyncClient | None = field(default=None, kw_only=True)
    start_path: str = field(default="/connect", kw_only=True)
    callback_path: str = field(default="/callback", kw_only=True)
    _core: WebCore = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        argument("oauth", self.oauth, AsyncPipedriveOAuth)
        checked_store("store", self.store)
        argument("api_client", self.api_client, httpx.AsyncClient | None)
        redirect_uri = self.oauth.credentials.redirect_uri
        checked_paths(self.start_path, self.callback_path, redirect_uri)
        self._core = WebCore(self.oauth, self)

    @property
    def routes(self) -> list[BaseRoute]:
        """The two routes, `pipedrive_connect` and `pipedrive_callback`, to be mounted."""
        start = partial(self._answer, plan_start, self.start_path)
        callback = partial(self._answer, plan_callback, self.callback_path)
        return [
            Route(self.start_path, start, methods=METHODS, name="pipedrive_connect"),
            Route(self.callback_path, callback, methods=METHODS, name="pipedrive_callback"),
        ]

    @property
    def router(self) -> Router:
        """The routes as an application, for `app.mount`."""
        return Router(routes=self.routes)

    def auth_for(self, account: str, /) -> PipedriveAuth:
        """Give what sends a valid token of an account with every request.

        Make one for each request of yours; then an account that was disconnected is noticed.

        Args:
            account: The account. It must come from your session, never from the request's query:
                so it can't be passed by name, as FastAPI would.

        Returns:
            The auth, for `httpx.AsyncClient(auth=...)`.

        Raises:
            ConfigurationError: `account` can't be a name.
        """
        return PipedriveAuth(self.oauth, self.store, account)

    async def disconnect(self, account: str) -> None:
        """Revoke the grant of an account, and forget its token.

        Call it from a route that is protected against forged requests, never from a GET.

        Args:
            account: The account.

        Raises:
            PipedriveOAuthError: The grant was not revoked, and the token is still there.

        Source:
            RFC 7009, section 2.
        """

        def work() -> None:
            with self.oauth.blocking() as oauth:
                disconnect(oauth, self.store, account)

        await anyio.to_thread.run_sync(work)

    async def _answer(
        self, plan: Callable[[WebCore, WebRequest], Plan], path: str, request: Request
    ) -> Response:
        incoming = WebRequest(
            method=request.method,
            query=request.scope["query_string"].decode("latin-1"),
            cookies=request.cookies,
            header=request.headers.getlist,
            start=request.url.path.removesuffix(path) + self.start_path,
            root=request.scope.get("app_root_path", request.scope.get("root_path", "")),
            native=request,
            read_body=_body_of(request),
        )
        runner = AsyncStepRunner(self.oauth, self.store, self.api_client)
        response = await run_plan_async(plan(self._core, incoming), runner)
        return response.apply_to(
            response.native_as(Response) or Response(response.body, response.status)
        )


def _body_of(request: Request) -> Callable[[int], Awaitable[bytes | None]]:
    async def read(most: int) -> bytes | None:
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > most:
                return None
        return bytes(body)

    return read
