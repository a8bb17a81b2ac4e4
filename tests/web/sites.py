"""An app of each framework with the routes in it, and browsers that visit it, in this process."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.cookiejar import Cookie
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

import django
import httpx
from attrs import define, field, frozen
from django.conf import settings as django_settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.test import override_settings
from fastapi import Depends, FastAPI
from flask import Flask, jsonify
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Mount, Route

from pipedrive_oauth_client import AppCredentials, AsyncPipedriveOAuth, PipedriveOAuth
from pipedrive_oauth_client.pytest_plugin import PipedriveSandbox
from pipedrive_oauth_client.sandbox import App, User
from pipedrive_oauth_client.stores import TokenStore
from pipedrive_oauth_client.web import ExtensionUser
from pipedrive_oauth_client.web import flask as web_flask
from pipedrive_oauth_client.web import starlette as web_starlette
from pipedrive_oauth_client.web.django import configuration

KINDS: Final = ("starlette", "fastapi", "flask", "django", "django-async")
ONE_OF_EACH: Final = ("starlette", "flask")
"""For tables of what the core decides: one that awaits, and one that blocks."""
ASYNC_KINDS: Final = frozenset({"starlette", "fastapi", "django-async"})
HOST: Final = "https://app.example.com"
PANEL: Final = "/panel"
WEBHOOK: Final = "/messages"
KEY: Final = "signing-key-that-nobody-guesses-0"
OTHER_KEY: Final = "signing-key-that-nobody-guesses-1"

django_settings.configure(
    ALLOWED_HOSTS=["*"],
    DEBUG_PROPAGATE_EXCEPTIONS=True,
    FILE_UPLOAD_MAX_MEMORY_SIZE=20_000_000,
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
        "pipedrive_oauth_client.web.django",
        "tests.web.crm",
    ],
    ROOT_URLCONF="tests.web.django_urls",
    SECRET_KEY=KEY,
    # Of the cache, which one process has, and of the admin, which some of the tests have.
    SILENCED_SYSTEM_CHECKS=[
        "pipedrive_oauth_client.W001",
        "admin.E408",
        "admin.E409",
        "admin.E410",
    ],
    STATIC_URL="/static/",
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    USE_TZ=True,
)
django.setup()


@define(eq=False)
class Site:
    """An app that is visited in this process.

    Attributes:
        kind: Its framework.
        box: The service.
        client: The app at the service.
        store: Where it keeps tokens.
        web: The object that holds its routes; with Django, what its setting comes to.
        path: Where its routes are mounted.
    """

    kind: str
    box: PipedriveSandbox
    client: App
    store: TokenStore
    web: Any
    path: str
    _app: Any
    _runner: asyncio.Runner | None
    _root: str

    @property
    def start(self) -> str:
        """The path of the route that begins to connect."""
        return f"{self.path}/connect"

    @property
    def callback(self) -> str:
        """The path of the callback."""
        return f"{self.path}/callback"

    @property
    def install(self) -> str:
        """The path of the Installation URL."""
        return f"{self.path}/install"

    def browser(self) -> Browser:
        """Give a browser without cookies."""
        return Browser(self)

    def send(self, *requests: httpx.Request) -> list[httpx.Response]:
        """Send requests, all at once."""
        if self._runner is not None:
            return self._runner.run(self._gather(requests))
        with ThreadPoolExecutor(max_workers=len(requests)) as pool:
            return list(pool.map(self._send, requests))

    def _send(self, request: httpx.Request) -> httpx.Response:
        raw = [value for name, value in request.headers.raw if name.lower() == b"authorization"]
        if raw:
            del request.headers["Authorization"]

        # As a server does that mounts an app: the path that the app sees has no prefix, bytes are
        # taken for Latin-1, and headers of one name are joined.
        def mounted(environ: dict[str, Any], start_response: Any) -> Any:
            environ["SCRIPT_NAME"] = self._root
            environ["PATH_INFO"] = environ["PATH_INFO"].removeprefix(self._root)
            if raw:
                environ["HTTP_AUTHORIZATION"] = b",".join(raw).decode("latin-1")
            return self._app(environ, start_response)

        with httpx.Client(transport=httpx.WSGITransport(app=mounted)) as client:
            return client.send(request)

    async def _gather(self, requests: Sequence[httpx.Request]) -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=self._app, root_path=self._root)
        async with httpx.AsyncClient(transport=transport) as client:
            return list(await asyncio.gather(*map(client.send, requests)))


@define(eq=False)
class Browser:
    """A person's browser: it keeps cookies, and follows no redirect by itself."""

    site: Site
    cookies: httpx.Cookies = field(factory=httpx.Cookies)
    host: str = HOST

    def request(self, method: str, address: str, **arguments: Any) -> httpx.Request:
        """Make a request, with the cookies of its host."""
        url = address if "://" in address else self.host + address
        request = httpx.Request(method, url, **arguments)
        self.cookies.set_cookie_header(request)
        return request

    def send(self, method: str, address: str, **arguments: Any) -> httpx.Response:
        """Send a request, and keep the cookies of its answer."""
        return self.at_once(self.request(method, address, **arguments))[0]

    def at_once(self, *requests: httpx.Request) -> list[httpx.Response]:
        """Send requests at once."""
        responses = self.site.send(*requests)
        for response in responses:
            self.cookies.extract_cookies(response)
        return responses

    def get(self, address: str, **arguments: Any) -> httpx.Response:
        """Send a GET."""
        return self.send("GET", address, **arguments)

    def begin(self, query: str = "", **arguments: Any) -> str:
        """Begin to connect, and give the address of the consent page."""
        response = self.get(self.site.start + query, **arguments)
        assert response.status_code == 303, response.text
        return response.headers["Location"]

    def consent(self, page: str, *, approve: bool = True, user: User | None = None) -> str:
        """Decide on the consent page, and give the callback URL that follows."""
        return self.site.box.server.visit(page, approve=approve, user=user)

    def connect(self, query: str = "", *, user: User | None = None) -> httpx.Response:
        """Connect, and give the answer of the callback."""
        return self.get(self.consent(self.begin(query), user=user))

    def attempts(self) -> list[Cookie]:
        """Give the cookies of attempts."""
        return [cookie for cookie in self.cookies.jar if "pipedrive-" in cookie.name]


Build: TypeAlias = Callable[..., Site]


@frozen
class _Parts:
    """What an app is made of."""

    credentials: AppCredentials
    flow: dict[str, Any]
    store: TokenStore
    path: str
    settings: dict[str, Any]
    own_client: httpx.Client | None
    extension: Callable[[Any, Any], None] | None


@contextmanager
def made(
    kind: str,
    box: PipedriveSandbox,
    client: App,
    store: TokenStore,
    *,
    root: str = "",
    own_client: httpx.Client | None = None,
    extension: Callable[[Any, Any], None] | None = None,
    on_event: Callable[[Any], object] | None = None,
    **settings: Any,
) -> Generator[Site]:
    """Make an app of a framework.

    Args:
        kind: The framework.
        box: The service.
        client: The app at the service.
        store: Where it keeps tokens.
        root: The path that the whole app is mounted at.
        own_client: Sends the requests of the app.
        extension: Adds the endpoints of an app extension, in place of those that are here.
        on_event: What the flow calls with each event.
        settings: Those of `WebSettings`.
    """
    path = urlsplit(client.redirect_uri).path.removesuffix("/callback")
    parts = _Parts(
        AppCredentials(client.client_id, client.client_secret, client.redirect_uri),
        {"base_url": box.base_url, "clock": box.clock, "retry": None, "on_event": on_event},
        store,
        path.removeprefix(root),
        {"secret_keys": [KEY], **settings},
        own_client,
        extension,
    )
    with ExitStack() as stack:
        runner = stack.enter_context(asyncio.Runner()) if kind in ASYNC_KINDS else None
        web, app = _MAKERS[kind](parts, stack)
        yield Site(kind, box, client, store, web, path, app, runner, root)
        for name in ("oauth", "async_oauth"):
            flow = getattr(web, name, None)
            if isinstance(flow, PipedriveOAuth):
                flow.close()
            elif flow is not None and runner is not None:
                runner.run(flow.aclose())
        if kind == "django-async":
            collect_bodies()


def collect_bodies() -> None:
    """Collect the files of bodies, which Django leaves to the collector; it warns of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect(0)


def _flow(parts: _Parts) -> AsyncPipedriveOAuth | PipedriveOAuth:
    if parts.own_client is None:
        return AsyncPipedriveOAuth(parts.credentials, **parts.flow)
    return PipedriveOAuth(parts.credentials, client=parts.own_client, **parts.flow)


def _starlette(parts: _Parts, _stack: ExitStack) -> tuple[Any, Any]:
    oauth = _flow(parts)
    web = web_starlette.PipedriveWeb(oauth, parts.store, **parts.settings)

    async def panel(request: Request) -> JSONResponse:
        return JSONResponse((await web.extension_user(request)).account)

    async def messages(request: Request) -> PlainTextResponse:
        await web.basic_auth(request)
        return PlainTextResponse("received")

    own = [Route(PANEL, panel), Route(WEBHOOK, messages, methods=["POST"])]
    return web, Starlette(routes=[Mount(parts.path, routes=web.routes), *own])


def _fastapi(parts: _Parts, _stack: ExitStack) -> tuple[Any, Any]:
    oauth = _flow(parts)
    web = web_starlette.PipedriveWeb(oauth, parts.store, **parts.settings)
    app = FastAPI()
    app.mount(parts.path, web.router)
    if parts.extension is not None:
        parts.extension(app, web)
        return web, app

    def panel(user: Any = Depends(web.extension_user)) -> Any:  # noqa: B008 - FastAPI's way
        return user.account

    app.add_api_route(PANEL, panel)
    app.add_api_route(
        WEBHOOK,
        lambda: PlainTextResponse("received"),
        methods=["POST"],
        dependencies=[Depends(web.basic_auth)],
    )
    return web, app


def _flask(parts: _Parts, stack: ExitStack) -> tuple[Any, Any]:
    flow = PipedriveOAuth(parts.credentials, client=parts.own_client, **parts.flow)
    oauth = stack.enter_context(flow)
    web = web_flask.PipedriveWeb(**parts.settings)
    app = Flask("tests.web")
    app.config["PROPAGATE_EXCEPTIONS"] = True
    web.init_app(app, store=parts.store, oauth=oauth, url_prefix=parts.path)
    if parts.extension is not None:
        parts.extension(app, web)
        return web, app

    @app.get(PANEL)
    @web.extension_user_required
    def panel(user: ExtensionUser) -> Any:
        return jsonify(user.account)

    @app.post(WEBHOOK)
    @web.basic_auth_required
    def messages() -> str:
        return "received"

    return web, app


def _django(parts: _Parts, stack: ExitStack, kind: str = "") -> tuple[Any, Any]:
    setting: dict[str, Any] = {
        "CLIENT_ID": parts.credentials.client_id,
        "CLIENT_SECRET": parts.credentials.client_secret,
        "REDIRECT_URI": parts.credentials.redirect_uri,
        "BASE_URL": parts.flow["base_url"],
        "CLOCK": parts.flow["clock"],
        "RETRY": None,
        "STORE": parts.store,
        "CLIENT": parts.own_client,
        "ON_EVENT": parts.flow["on_event"],
    }
    setting |= {name.upper(): value for name, value in parts.settings.items()}
    urls = f"tests.web.django_{kind}urls"
    stack.enter_context(override_settings(PIPEDRIVE_OAUTH=setting, ROOT_URLCONF=urls))
    return configuration.site(), ASGIHandler() if kind else WSGIHandler()


def _django_async(parts: _Parts, stack: ExitStack) -> tuple[Any, Any]:
    return _django(parts, stack, "async_")


_MAKERS: Final[dict[str, Callable[[_Parts, ExitStack], tuple[Any, Any]]]] = {
    "starlette": _starlette,
    "fastapi": _fastapi,
    "flask": _flask,
    "django": _django,
    "django-async": _django_async,
}
