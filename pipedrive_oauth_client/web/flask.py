"""A blueprint for Flask: `PipedriveWeb`, an extension."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec, cast

import httpx
from attrs import define, field, frozen
from flask import Blueprint, Flask, Request, Response, current_app, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import RequestEntityTooLarge

from pipedrive_oauth_client.auth import PipedriveAuth
from pipedrive_oauth_client.credentials import AppCredentials
from pipedrive_oauth_client.diagnostics import SetupReport
from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.generated.client import DEFAULT_BASE_URL
from pipedrive_oauth_client.generated.encode import argument
from pipedrive_oauth_client.oauth import PipedriveOAuth
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
    Plan,
    StepRunner,
    identification_client,
    run_plan,
)
from pipedrive_oauth_client.web.settings import WebCore, WebSettings, checked_former_secrets
from pipedrive_oauth_client.web.signed_tokens import ExtensionUser

__all__ = ["PipedriveWeb"]

_EXTENSION: Final = "pipedrive_oauth_client"
_FORMER_SECRETS: Final = "PIPEDRIVE_FORMER_CLIENT_SECRETS"
_P = ParamSpec("_P")


@frozen
class _Extension:
    """What a `PipedriveWeb` keeps with an app."""

    web: PipedriveWeb
    core: WebCore
    runner: StepRunner


@define(eq=False)
class PipedriveWeb(WebSettings[Request, ResponseReturnValue]):
    """Connects Pipedrive accounts in a Flask app.

        pipedrive = PipedriveWeb(connected=remember)
        pipedrive.init_app(app, store=store)

    `init_app` reads `PIPEDRIVE_CLIENT_ID`, `PIPEDRIVE_CLIENT_SECRET` and `PIPEDRIVE_REDIRECT_URI`
    from the app's configuration, and `SECRET_KEY` with `SECRET_KEY_FALLBACKS` where `secret_keys`
    is empty. After a reset of the client secret, the list `PIPEDRIVE_FORMER_CLIENT_SECRETS` is read
    there too, where `former_client_secrets` is empty; with a flow of your own, pass that. One
    object serves any number of Flask apps. For two Pipedrive apps in one Flask app, create two
    objects, each with its own `name` and `url_prefix`.

    Attributes:
        name: The name of the blueprint, and of what is kept in `app.extensions`.
        api_client: The client that asks the API for the token's user; by default the flow's own
            client, or a new one.
        start_path: Where connecting begins, below the prefix of the blueprint.
        callback_path: The path of the callback, likewise: what the redirect URI ends in.
        install_path: The path of the Installation URL, likewise.
        blueprint: The routes `{name}.connect`, `.callback` and `.install`. With Flask-WTF call
            `csrf.exempt(pipedrive.blueprint)`: a notice of the service carries no token of yours,
            and shows its credentials instead.

    The others are those of `WebSettings`.

    Raises:
        ConfigurationError: A setting is not valid.
    """

    name: str = field(default="pipedrive", kw_only=True)
    api_client: httpx.Client | None = field(default=None, kw_only=True)
    start_path: str = field(default="/connect", kw_only=True)
    callback_path: str = field(default="/callback", kw_only=True)
    install_path: str = field(default="/install", kw_only=True)
    blueprint: Blueprint = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        argument("api_client", self.api_client, httpx.Client | None)
        self.blueprint = Blueprint(checked_name(self.name), __name__)
        for path, name, plan in (
            (self.start_path, "connect", plan_start),
            (self.callback_path, "callback", plan_callback),
            (self.install_path, "install", plan_install),
        ):
            self.blueprint.add_url_rule(
                path,
                name,
                self._view(plan),
                methods=METHODS,
                provide_automatic_options=False,
            )

    def init_app(
        self,
        app: Flask,
        *,
        store: TokenStore,
        oauth: PipedriveOAuth | None = None,
        client: httpx.Client | None = None,
        url_prefix: str = "/pipedrive",
    ) -> None:
        """Add the routes to an app.

        If an error is raised, nothing is changed.

        Args:
            app: The app.
            store: Where its tokens are kept.
            oauth: The flow; by default one that the app's configuration describes.
            client: Your own `httpx.Client` for that flow, for a proxy or certificates. It sends
                every request: exchange, refresh, revocation, and the request for the user.
            url_prefix: Where the routes are mounted.

        Raises:
            ConfigurationError: A setting is missing or not valid, or the app already has the name
                or the routes.
        """
        former: Sequence[str] = ()
        if oauth is None:
            oauth, former = _configured(app, client), _former_secrets(app)
        elif client is not None:
            raise ConfigurationError("Pass client to the PipedriveOAuth that you pass as oauth.")
        argument("oauth", oauth, PipedriveOAuth)
        redirect_uri = oauth.credentials.redirect_uri
        prefix = argument("url_prefix", url_prefix, str).rstrip("/")
        paths = [prefix + each for each in (self.start_path, self.callback_path, self.install_path)]
        checked_paths(redirect_uri, *paths)
        api_client = identification_client(self.api_client, oauth.own_client)
        runner = StepRunner(oauth, checked_store("store", store), api_client)
        core = WebCore(oauth, self, _keys(app), default_former_secrets=former)
        extension = _Extension(self, core, runner)
        self._require_free(app, paths)
        app.register_blueprint(self.blueprint, url_prefix=url_prefix)
        app.extensions.setdefault(_EXTENSION, {})[self.name] = extension

    def check(self) -> SetupReport:
        """Check the setup, for example when the app starts: client secret, redirect URI, store.

        Each problem is logged as ERROR by the logger `pipedrive_oauth_client`, with the reason. It
        sends two or three requests, and takes a lock of the store; see `diagnostics.check_setup`.

        Returns:
            The report; its `ok` says whether no check has failed.

        Raises:
            ConfigurationError: The app does not have the extension.
        """
        extension = self._extension()
        return extension.core.check(extension.runner.store)

    def auth_for(self, account: str) -> PipedriveAuth:
        """Return an `httpx.Auth` that sends a valid token of an account with every request.

        Create one for each request, so that a disconnected account is noticed.

        Args:
            account: The account. It must come from your session, never from the request's query.

        Returns:
            The auth, for `httpx.Client(auth=...)` or an adapter.

        Raises:
            ConfigurationError: `account` can't be a name, or the app does not have the extension.
        """
        runner = self._extension().runner
        return PipedriveAuth(runner.oauth, runner.store, account)

    def disconnect(self, account: str) -> None:
        """Revoke the grant of an account, and delete its token.

        Call it from a route that is protected against forged requests, never from a GET.

        Args:
            account: The account.

        Raises:
            PipedriveOAuthError: The grant was not revoked, and the token is still there.

        Source:
            RFC 7009, section 2.
        """
        runner = self._extension().runner
        disconnect(runner.oauth, runner.store, account)

    def extension_user_required(
        self, view: Callable[Concatenate[ExtensionUser, _P], ResponseReturnValue]
    ) -> Callable[_P, ResponseReturnValue]:
        """Decorate a view of an app extension: it gets the user whom the signed token names.

            @app.get("/panel")
            @pipedrive.extension_user_required
            def panel(user: ExtensionUser) -> dict[str, object]: ...

        The token is the query's `token` or a bearer token. Without one that `read_signed_token`
        accepts, the response is 401, and the log says why.

        Args:
            view: The view; its first argument is the `ExtensionUser`.

        Returns:
            The view for Flask, without that argument.
        """

        @wraps(view)
        def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> ResponseReturnValue:
            query = request.query_string.decode("latin-1")
            found = self._extension().core.extension_user(
                query, request.headers.getlist("Authorization")
            )
            if isinstance(found, WebResponse):
                return found.apply_to(Response(found.body, found.status))
            response: ResponseReturnValue = current_app.ensure_sync(view)(found, *args, **kwargs)
            return response

        return wrapped

    def basic_auth_required(
        self, view: Callable[_P, ResponseReturnValue]
    ) -> Callable[_P, ResponseReturnValue]:
        """Decorate a view that only Pipedrive may call: an endpoint for messaging or video calls.

        A request without the app's own credentials gets 401; see `web.is_from_service`.

        Args:
            view: The view.

        Returns:
            The same view, guarded.
        """

        @wraps(view)
        def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> ResponseReturnValue:
            headers = request.headers.getlist("Authorization")
            rejection = self._extension().core.reject_stranger(headers)
            if rejection is not None:
                return rejection.apply_to(Response(rejection.body, rejection.status))
            response: ResponseReturnValue = current_app.ensure_sync(view)(*args, **kwargs)
            return response

        return wrapped

    def _require_free(self, app: Flask, paths: list[str]) -> None:
        if self.name in app.blueprints:
            raise ConfigurationError(
                f"The Flask app has a blueprint {self.name!r} already. For a second Pipedrive app,"
                " create a second PipedriveWeb with another name."
            )
        taken = {rule.rule for rule in app.url_map.iter_rules()}
        for path in paths:
            if path in taken:
                raise ConfigurationError(
                    f"The Flask app has a route {path} already. Pass another url_prefix."
                )

    def _extension(self) -> _Extension:
        found = current_app.extensions.get(_EXTENSION, {}).get(self.name)
        if not isinstance(found, _Extension) or found.web is not self:
            raise ConfigurationError("Call init_app of PipedriveWeb with this app first.")
        return found

    def _view(self, plan: Callable[[WebCore, WebRequest], Plan]) -> Callable[[], Response]:
        def view() -> Response:
            ready = self._extension()
            incoming = WebRequest(
                method=request.method,
                query=request.query_string.decode("latin-1"),
                cookies=request.cookies,
                header=request.headers.getlist,
                start=url_for(f"{self.name}.connect"),
                root=request.script_root,
                native=request,
                read_body=_read_body,
            )
            response = run_plan(plan(ready.core, incoming), ready.runner)
            if response.native is None:
                return response.apply_to(Response(response.body, response.status))
            return response.apply_to(current_app.make_response(response.native))

        return view


def _configured(app: Flask, client: httpx.Client | None) -> PipedriveOAuth:
    config = cast("dict[str, Any]", app.config)
    settings = {name: value for name, value in config.items() if isinstance(value, str)}
    base_url = settings.get("PIPEDRIVE_BASE_URL", DEFAULT_BASE_URL)
    try:
        credentials = AppCredentials.from_env(settings)
    except ConfigurationError as error:
        raise ConfigurationError(f"In the configuration of the Flask app: {error}") from error
    return PipedriveOAuth(credentials, base_url=base_url, client=client)


def _former_secrets(app: Flask) -> Sequence[str]:
    config = cast("dict[str, Any]", app.config)
    return checked_former_secrets(_FORMER_SECRETS, config.get(_FORMER_SECRETS) or ())


def _keys(app: Flask) -> list[str | bytes | None]:
    config = cast("dict[str, Any]", app.config)
    return [app.secret_key, *(config.get("SECRET_KEY_FALLBACKS") or ())]


def _read_body(most: int) -> bytes | None:
    request.max_content_length = most
    try:
        body = request.get_data()  # which gives what the app has read before, too
    except RequestEntityTooLarge:
        return None
    return None if len(body) > most else body
