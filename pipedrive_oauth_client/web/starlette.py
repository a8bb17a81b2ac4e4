"""Routes for Starlette and FastAPI: `PipedriveWeb`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import anyio.to_thread
import httpx
from attrs import define, field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, Router

from pipedrive_oauth_client.auth import PipedriveAuth
from pipedrive_oauth_client.diagnostics import SetupReport
from pipedrive_oauth_client.generated.encode import argument
from pipedrive_oauth_client.oauth import AsyncPipedriveOAuth, PipedriveOAuth
from pipedrive_oauth_client.stores.protocol import TokenStore, checked_store
from pipedrive_oauth_client.web.connect import (
    METHODS,
    checked_name,
    checked_paths,
    plan_callback,
    plan_install,
    plan_start,
)
from pipedrive_oauth_client.web.disconnecting import disconnect
from pipedrive_oauth_client.web.messages import WebRequest, WebResponse
from pipedrive_oauth_client.web.runner import (
    AsyncStepRunner,
    Plan,
    identification_client,
    run_plan_async,
)
from pipedrive_oauth_client.web.settings import WebCore, WebSettings
from pipedrive_oauth_client.web.signed_tokens import ExtensionUser

__all__ = ["PipedriveWeb"]


@define(eq=False)
class PipedriveWeb(WebSettings[Request, Response]):
    """Connects Pipedrive accounts in a Starlette or FastAPI app.

        pipedrive = PipedriveWeb(oauth, store, secret_keys=[...], connected=remember)
        app = Starlette(routes=[Mount("/pipedrive", routes=pipedrive.routes)])
        app = FastAPI(); app.mount("/pipedrive", pipedrive.router)

    For a proxy or certificates, pass `PipedriveOAuth(..., client=httpx.Client(...))`: that client
    sends every request. An `AsyncPipedriveOAuth` with its own client is rejected: refreshes run in
    a separate thread, where it can't be used.

    Attributes:
        oauth: The flow. Blocking calls of a `PipedriveOAuth` run in worker threads.
        store: Where tokens are kept; it is called in worker threads.
        name: What the names of the routes begin with; another one for a second Pipedrive app.
        api_client: The client that asks the API for the token's user; by default the flow's own
            client, or a new one.
        start_path: Where connecting begins, below the place where the routes are mounted.
        callback_path: The path of the callback, likewise: what the redirect URI ends in.
        install_path: The path of the Installation URL, likewise.

    The others are those of `WebSettings`.

    Raises:
        ConfigurationError: A setting is not valid.
    """

    oauth: AsyncPipedriveOAuth | PipedriveOAuth
    store: TokenStore
    name: str = field(default="pipedrive", kw_only=True)
    api_client: httpx.AsyncClient | httpx.Client | None = field(default=None, kw_only=True)
    start_path: str = field(default="/connect", kw_only=True)
    callback_path: str = field(default="/callback", kw_only=True)
    install_path: str = field(default="/install", kw_only=True)
    _core: WebCore = field(init=False, repr=False)
    _runner: AsyncStepRunner = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        argument("oauth", self.oauth, AsyncPipedriveOAuth | PipedriveOAuth)
        if isinstance(self.oauth, AsyncPipedriveOAuth):
            self.oauth.blocking()  # refresh and disconnect need it: an error belongs here
        checked_store("store", self.store)
        checked_name(self.name)
        argument("api_client", self.api_client, httpx.AsyncClient | httpx.Client | None)
        redirect_uri = self.oauth.credentials.redirect_uri
        checked_paths(redirect_uri, self.start_path, self.callback_path, self.install_path)
        self._core = WebCore(self.oauth, self, is_async=True)
        api_client = identification_client(self.api_client, self.oauth.own_client)
        self._runner = AsyncStepRunner(self.oauth, self.store, api_client)

    @property
    def routes(self) -> list[BaseRoute]:
        """The routes `{name}_connect`, `{name}_callback` and `{name}_install`, to be mounted."""
        start = partial(self._answer, plan_start, self.start_path)
        callback = partial(self._answer, plan_callback, self.callback_path)
        install = partial(self._answer, plan_install, self.install_path)
        return [
            Route(self.start_path, start, methods=METHODS, name=f"{self.name}_connect"),
            Route(self.callback_path, callback, methods=METHODS, name=f"{self.name}_callback"),
            Route(self.install_path, install, methods=METHODS, name=f"{self.name}_install"),
        ]

    @property
    def router(self) -> Router:
        """The routes as an application, for `app.mount`."""
        return Router(routes=self.routes)

    async def check(self) -> SetupReport:
        """Check the setup, for example when the app starts: client secret, redirect URI, store.

        Each problem is logged as ERROR by the logger `pipedrive_oauth_client`, with the reason. It
        sends two or three requests, and takes a lock of the store; see `diagnostics.check_setup`.

        Returns:
            The report; its `ok` says whether no check has failed.
        """
        return await anyio.to_thread.run_sync(self._core.check, self.store)

    def auth_for(self, account: str, /) -> PipedriveAuth:
        """Return an `httpx.Auth` that sends a valid token of an account with every request.

        Create one for each request, so that a disconnected account is noticed.

        Args:
            account: The account. It must come from your session, never from the request's query; so
                it is positional-only, since FastAPI passes query parameters by name.

        Returns:
            The auth, for `httpx.AsyncClient(auth=...)`.

        Raises:
            ConfigurationError: `account` can't be a name.
        """
        return PipedriveAuth(self.oauth, self.store, account)

    async def disconnect(self, account: str) -> None:
        """Revoke the grant of an account, and delete its token.

        Call it from a route that is protected against forged requests, never from a GET.

        Args:
            account: The account.

        Raises:
            PipedriveOAuthError: The grant was not revoked, and the token is still there.

        Source:
            RFC 7009, section 2.
        """
        await anyio.to_thread.run_sync(disconnect, self.oauth, self.store, account)

    async def extension_user(self, request: Request) -> ExtensionUser:
        """Return the user of an app extension, whom the signed token of the request names.

            @app.get("/panel")
            async def panel(user: ExtensionUser = Depends(pipedrive.extension_user)): ...

        The token is the query's `token` or a bearer token. Without one that `read_signed_token`
        accepts, the response is 401, and the log says why.

        Args:
            request: The request.

        Returns:
            The user.

        Raises:
            HTTPException: The request carries no token, several, or one that is not accepted.
        """
        query = request.scope["query_string"].decode("latin-1")
        found = self._core.extension_user(query, request.headers.getlist("Authorization"))
        if isinstance(found, WebResponse):
            raise HTTPException(found.status, headers=found.headers)
        return found

    async def basic_auth(self, request: Request) -> None:
        """Let only Pipedrive through to an endpoint for messaging or video calls.

            @app.post("/messages", dependencies=[Depends(pipedrive.basic_auth)])

        Args:
            request: The request.

        Raises:
            HTTPException: 401; the request does not show the app's own credentials.

        Source:
            RFC 7617, section 2.
        """
        rejection = self._core.reject_stranger(request.headers.getlist("Authorization"))
        if rejection is not None:
            raise HTTPException(rejection.status, headers=rejection.headers)

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
        response = await run_plan_async(plan(self._core, incoming), self._runner)
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
