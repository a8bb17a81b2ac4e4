"""The OAuth flow of one app: `PipedriveOAuth` and `AsyncPipedriveOAuth`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from logging import getLogger
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeAlias

import httpx

from pipedrive_oauth_client import authorization
from pipedrive_oauth_client._checks import read_clock, require_vschar, utc_now
from pipedrive_oauth_client._operations import (
    Call,
    Endpoint,
    Operation,
    Plan,
    error_from_response,
    is_error_body,
    run,
    run_async,
    with_state_of_grant,
)
from pipedrive_oauth_client._origins import (
    is_api_domain,
    require_https,
    require_same_base_url,
)
from pipedrive_oauth_client.authorization import AuthorizationRequest, NoState
from pipedrive_oauth_client.credentials import AppCredentials
from pipedrive_oauth_client.errors import (
    ConfigurationError,
    InvalidResponseError,
    PipedriveOAuthError,
    ProcessBound,
    UnusableAccessTokenError,
)
from pipedrive_oauth_client.generated import models
from pipedrive_oauth_client.generated.api import oauth as endpoints
from pipedrive_oauth_client.generated.client import DEFAULT_BASE_URL, Client
from pipedrive_oauth_client.generated.decode import json_object
from pipedrive_oauth_client.generated.encode import argument
from pipedrive_oauth_client.generated.response import Response
from pipedrive_oauth_client.generated.types import Unset
from pipedrive_oauth_client.tokens import Token, token_from_fields

# pytest shows the arguments of the last frame of an error, and here they are secrets.
__tracebackhide__ = True

if TYPE_CHECKING:
    from pipedrive_oauth_client.events import Event
    from pipedrive_oauth_client.retry import RetryPolicy

__all__ = ["AsyncPipedriveOAuth", "PipedriveOAuth", "TokenTypeHint"]

TokenTypeHint: TypeAlias = Literal["access_token", "refresh_token"]

_LOGGER: Final = getLogger("pipedrive_oauth_client")

# Every worker of `refresh_due` keeps its connection; httpx would keep 20.
_LIMITS: Final = httpx.Limits(max_connections=100, max_keepalive_connections=64)
# 303 is not among them: it says that the request was carried out.
_REDIRECTS: Final = (301, 302, 307, 308)


def _policy(retry: RetryPolicy | Literal["default"]) -> RetryPolicy | None:
    # An import takes time that a flow without retries need not spend.
    from pipedrive_oauth_client.retry import RetryPolicy, default_policy  # noqa: PLC0415

    return default_policy() if retry == "default" else argument("retry", retry, RetryPolicy)


class _HiddenHeader:
    """The header of credentials, which error trackers do not see in the flow's attributes."""

    __slots__ = ("credentials", "value")

    def __init__(self, credentials: AppCredentials) -> None:
        self.credentials = credentials
        self.value = credentials.basic_auth_header

    def __repr__(self) -> str:
        return "<hidden>"


class _BaseOAuth(ProcessBound):
    """What both flows have in common: everything but the sending."""

    _instead = "Read the `AppCredentials` in the other process, and make a new flow there."

    def __init__(
        self,
        credentials: AppCredentials | Callable[[], AppCredentials],
        *,
        base_url: str,
        retry: RetryPolicy | Literal["default"] | None,
        clock: Callable[[], datetime],
        on_event: Callable[[Event], object] | None,
    ) -> None:
        self._credentials = _checked_credentials(credentials)
        self._header: _HiddenHeader | None = None
        if isinstance(credentials, AppCredentials):
            self._header = _HiddenHeader(credentials)
        self._client = Client(base_url=base_url, httpx_args={"limits": _LIMITS})
        require_https(self._client.base_url)
        if self._client.base_url.lower().startswith("http:"):
            # On this machine: a proxy that the environment names would read the secrets.
            settings = {"limits": _LIMITS, "trust_env": False}
            self._client = Client(base_url=base_url, httpx_args=settings)
        self._retry = None if retry is None else _policy(retry)
        self._clock = clock
        read_clock(clock)  # here, since after a request its token would be lost
        # Only Pipedrive's own service has to name Pipedrive's domains.
        self._any_api_domain = (
            httpx.URL(self.base_url).host.rstrip(".") != httpx.URL(DEFAULT_BASE_URL).host
        )
        # Once the service has sent refreshes from /oauth/token/ to /oauth/token, they go there.
        self._refresh_without_slash = False
        if on_event is not None:
            from pipedrive_oauth_client.events import checked_function  # noqa: PLC0415 - as rarely

            checked_function(on_event)
        self._on_event = on_event

    def __repr__(self) -> str:
        known = isinstance(self._credentials, AppCredentials)
        shown = repr(self._credentials) if known else "credentials=<function>"
        return f"{type(self).__name__}({shown}, base_url={self.base_url!r})"

    @property
    def credentials(self) -> AppCredentials:
        """The app that this flow is for. A function that was passed in their place is called."""
        source = self._credentials
        return source if isinstance(source, AppCredentials) else _asked(source)

    @property
    def base_url(self) -> str:
        """Root of the service, without a slash at the end."""
        return self._client.base_url

    @property
    def allows_any_api_domain(self) -> bool:
        """Whether a token's `api_domain` need not be under pipedrive.com: the service is another.

        A sandbox or a gateway names hosts of its own.
        """
        return self._any_api_domain

    @property
    def clock(self) -> Callable[[], datetime]:
        """Gives this flow the current time as an aware datetime."""
        return self._clock

    @property
    def has_on_event(self) -> bool:
        """Whether events are reported at all."""
        return self._on_event is not None

    def emit(self, event: Event) -> None:
        """Report an event to `on_event`. An exception in that function is logged, and is no error.

        The caller holds no lock.

        Args:
            event: One of the events of `pipedrive_oauth_client.events`.
        """
        if self._on_event is None:
            return
        try:
            self._on_event(event)
        except (Exception, SystemExit):
            _LOGGER.exception("on_event has failed for %s.", type(event).__name__)

    def authorization_url(self, state: str | None = None) -> AuthorizationRequest:
        """Build the address of the consent page. Nothing is sent.

        Args:
            state: An unguessable value that is bound to the user's session; 256 random bits by
                default.

        Returns:
            The address to send the user's browser to, and the state to expect back.

        Raises:
            ConfigurationError: `state` is empty, no string, or can't be encoded.

        Source:
            RFC 6749, sections 4.1.1 and 10.12.
        """
        return authorization.authorization_url(self.credentials, self._client, state)

    def read_callback(
        self, url_or_query: str | Mapping[str, Any], expected_state: str | NoState
    ) -> str:
        """Read the authorization code out of a callback. Nothing is sent.

        Args:
            url_or_query: The URL that was called, its query, or its parameters as a mapping.
            expected_state: The state of the `AuthorizationRequest`, or `NO_STATE` for an install
                that begins in the Marketplace.

        Returns:
            The code for `exchange`.

        Raises:
            StateMismatchError: The callback does not belong to the session.
            AuthorizationDeniedError: The user, or Pipedrive, declined access.
            CallbackError: The callback can't be used for another reason.
            ConfigurationError: `expected_state` is neither a string that is not empty nor
                `NO_STATE`.

        Source:
            RFC 6749, sections 4.1.2, 4.1.2.1 and 10.12.
        """
        return authorization.read_callback(url_or_query, expected_state)

    def _exchange(self, code: str) -> Operation[Token]:
        require_vschar("code", code)

        def plan() -> Plan[Token]:
            sent_at = read_clock(self._clock)
            app = self.credentials
            form = models.GetTokensRequest(code=code, redirect_uri=app.redirect_uri)
            response = yield from self._send(app, endpoints.get_tokens, form, "get_tokens", code)
            return self._token(app, response, sent_at, "get_tokens", code)

        return Operation("get_tokens", plan)

    def _refresh(self, token: Token | str) -> Operation[Token]:
        refresh_token = token.refresh_token if isinstance(token, Token) else token
        if refresh_token is None:
            raise ConfigurationError(
                "This token has no refresh token, so the user has to authorize the app again."
            )
        require_vschar("refresh_token", refresh_token)
        name = "refresh_tokens"

        def plan() -> Plan[Token]:
            app = self.credentials
            sent_at = read_clock(self._clock)
            if not self._refresh_without_slash:
                form = models.RefreshTokensRequest(refresh_token=refresh_token)
                response = yield from self._send(
                    app, endpoints.refresh_tokens, form, name, refresh_token
                )
                if response.status_code not in _REDIRECTS or not self._leads_to_get_tokens(
                    response
                ):
                    return self._token(app, response, sent_at, name, refresh_token, token)
                self._refresh_without_slash = True
                sent_at = read_clock(self._clock)
            # The other grant's endpoint, since it posts to that path; the form is the same.
            other = models.GetTokensRequest(grant_type="refresh_token")
            other["refresh_token"] = refresh_token
            response = yield from self._send(app, endpoints.get_tokens, other, name, refresh_token)
            return self._token(app, response, sent_at, name, refresh_token, token)

        return Operation(name, plan)

    def _revoke(self, token: Token | str, hint: TokenTypeHint) -> Operation[None]:
        if hint not in ("access_token", "refresh_token"):
            raise ConfigurationError("hint must be 'access_token' or 'refresh_token'.")
        value = getattr(token, hint) if isinstance(token, Token) else token
        if value is None:
            raise ConfigurationError(f"There is no {hint} to revoke.")
        require_vschar("token", value)

        def plan() -> Plan[None]:
            app = self.credentials
            form = models.RevokeTokensRequest(token=value, token_type_hint=hint)
            name = "revoke_tokens"
            response = yield from self._send(app, endpoints.revoke_tokens, form, name, value)
            if response.status_code != 200:
                raise self._error(app, "revoke_tokens", response, value)

        return Operation("revoke_tokens", plan, repeatable=True)

    def _header_of(self, app: AppCredentials) -> str:
        header = self._header
        if header is None or header.credentials is not app:
            header = self._header = _HiddenHeader(app)
        return header.value

    def _send(
        self, app: AppCredentials, endpoint: Endpoint, body: object, name: str, secret: str
    ) -> Plan[Response[Any]]:
        failure: Exception
        try:
            return (yield Call(endpoint, {"authorization": self._header_of(app), "body": body}))
        except InvalidResponseError as error:
            status = error.status_code
            if status is None or 200 < status < 400:
                raise
            headers = error.headers or httpx.Headers()
            content = b"" if error.response is None else error.response.content
            if status == 200:
                # The spec does not describe it, and there may be a new refresh token in it.
                fields = None if error.response is None else json_object(error.response)
                if fields is not None:
                    return Response(status, content, headers, fields)
                problem = with_state_of_grant(error.problem, name)
                failure = InvalidResponseError(problem, status_code=status, headers=headers)
                failure.__cause__ = error.__cause__
            else:
                # An error response whose body can't be read is an error response all the same.
                failure = self._error(app, name, Response(status, content, headers, None), secret)
                failure.__cause__ = error
        raise failure

    def _token(  # noqa: PLR0917 - one operation's, as they stand in its plan
        self,
        app: AppCredentials,
        response: Response[Any],
        sent_at: datetime,
        name: str,
        secret: str,
        previous: Token | str | None = None,
    ) -> Token:
        if response.status_code != 200:
            raise self._error(app, name, response, secret)
        parsed: Any = response.parsed
        headers = response.headers
        if isinstance(parsed, models.GetTokensResponse):
            if parsed.token_type.lower() == "bearer" and (
                isinstance(parsed.api_domain, Unset)
                or is_api_domain(parsed.api_domain, any_host=self._any_api_domain)
            ):
                return Token.from_response(parsed, sent_at, previous=previous)
            parsed = parsed.to_dict()
        failure: Exception
        check = partial(is_api_domain, any_host=self._any_api_domain)
        try:
            return token_from_fields(parsed, sent_at, previous=previous, is_api_domain=check)
        except UnusableAccessTokenError as error:
            failure = UnusableAccessTokenError(
                error.problem,
                field=error.field,
                headers=headers,
                token=error.token,
                refresh_token=error.refresh_token,
            )
        except InvalidResponseError as error:
            if is_error_body(response):
                failure = self._error(app, name, response, secret)
            else:
                problem = with_state_of_grant(error.problem, name)
                failure = InvalidResponseError(
                    problem, field=error.field, status_code=200, headers=headers
                )
        raise failure

    def _error(
        self, app: AppCredentials, name: str, response: Response[Any], secret: str
    ) -> Exception:
        secrets = [secret, app.client_secret, self._header_of(app).removeprefix("Basic ")]
        return error_from_response(name, response, now=read_clock(self._clock), secrets=secrets)

    def _leads_to_get_tokens(self, response: Response[Any]) -> bool:
        """Tell whether a refresh was redirected to the same endpoint without the slash."""
        try:
            here = httpx.URL(endpoints.refresh_tokens.url(client=self._client))
            target = here.join(response.headers.get("Location", ""))
        except httpx.InvalidURL:
            return False
        return target == httpx.URL(endpoints.get_tokens.url(client=self._client))


def _checked_credentials(
    credentials: AppCredentials | Callable[[], AppCredentials],
) -> AppCredentials | Callable[[], AppCredentials]:
    if isinstance(credentials, AppCredentials):
        return credentials
    from inspect import iscoroutinefunction  # noqa: PLC0415 - only for those who pass a function

    given: object = credentials
    if isinstance(given, type) or not callable(given) or iscoroutinefunction(given):
        raise ConfigurationError(
            "credentials must be AppCredentials, or an ordinary function without arguments that"
            f" returns them, not {type(given).__name__}."
        )
    return credentials


def _asked(source: Callable[[], AppCredentials]) -> AppCredentials:
    failure: Exception
    try:
        found: object = source()
    except PipedriveOAuthError:
        raise
    except Exception as error:  # noqa: BLE001 - a secret manager's client raises anything
        # Its text is not repeated: it may hold a secret.
        name = type(error).__name__
        failure = ConfigurationError(
            f"The function that was passed as credentials has failed ({name}). Nothing was sent."
        )
        failure.__cause__ = error
    else:
        if isinstance(found, AppCredentials):
            return found
        failure = ConfigurationError(
            "The function that was passed as credentials must return AppCredentials, not"
            f" {type(found).__name__}. Nothing was sent."
        )
    raise failure


class PipedriveOAuth(_BaseOAuth):
    """The OAuth flow of one app, synchronously.

    It may be shared by threads. `with` closes its connections at the end.

    Args:
        credentials: The app, or a function that returns it. The function is called for each token
            request, so that a new client secret needs no restart. It must be quick and thread-safe.
        base_url: Root of the service, Pipedrive's by default. `http://` is accepted for this
            machine only.
        client: Your own `httpx.Client`, for proxies, certificates, HTTP/2 or timeouts. It is not
            closed here, and must have no `base_url` of its own, or the same one.
        retry: When to retry. By default a `RetryPolicy()` if the extra `retry` is installed, and
            otherwise no retries; None turns retries off.
        clock: Gives the current time as an aware datetime.
        on_event: Called with each event of `pipedrive_oauth_client.events`, after the event and
            outside every lock, in the thread in which it happened. It has to be quick and
            thread-safe; an exception that it raises is logged and has no other effect.

    Raises:
        ConfigurationError: An argument is not valid.
    """

    def __init__(
        self,
        credentials: AppCredentials | Callable[[], AppCredentials],
        *,
        base_url: str = DEFAULT_BASE_URL,
        client: httpx.Client | None = None,
        retry: RetryPolicy | Literal["default"] | None = "default",
        clock: Callable[[], datetime] = utc_now,
        on_event: Callable[[Event], object] | None = None,
    ) -> None:
        super().__init__(
            credentials, base_url=base_url, retry=retry, clock=clock, on_event=on_event
        )
        self._own_client = client
        if client is not None:
            argument("client", client, httpx.Client)
            require_same_base_url(client, self.base_url)
            self._client.set_httpx_client(client)

    @property
    def own_client(self) -> httpx.Client | None:
        """The `client` that was given to this flow."""
        return self._own_client

    def exchange(self, code: str) -> Token:
        """Exchange an authorization code for a token.

        A code works once. So an exchange that was sent and got no response is not repeated,
        whatever `retry` says: the service may have used up the code, and a second use may make it
        revoke the tokens of the first. Send the user to the consent page again.

        Args:
            code: The code that `read_callback` returned, at most five minutes ago.

        Returns:
            The token, which expires some seconds earlier here than at the service.

        Raises:
            InvalidGrantError: The code is wrong, too old, or was used before.
            InvalidClientError: The client ID or the client secret is wrong.
            RateLimitedError: Too many requests.
            ServerError: The service is unavailable.
            TokenRequestError: The service rejected the request for another reason.
            TransportError: No complete response arrived.
            InvalidResponseError: The response can't be used.
            ConfigurationError: `code` is no code; nothing was sent.

        Source:
            RFC 6749, sections 4.1.3 and 4.1.4.
        """
        return run(self._client, self._exchange(code), self._retry)

    def refresh(self, token_or_refresh_token: Token | str) -> Token:
        """Obtain the next token with a refresh token.

        Always save the token that is returned: the refresh token may have changed, and the old one
        may be invalid. A refresh that was sent and got no response is not repeated, whatever
        `retry` says: if the service has changed the refresh token, a second use of the old one
        looks like theft to it. Load the stored token again before you try once more; if that
        fails with `InvalidGrantError`, the user has to authorize again.

        Args:
            token_or_refresh_token: The token to replace, or its refresh token alone. With the whole
                token, scope and API domain are kept where the response leaves them out.

        Returns:
            The new token. It carries the old refresh token where the service gave no other.

        Raises:
            InvalidGrantError: The refresh token is wrong, revoked, used before, or was unused for
                60 days.
            InvalidClientError: The client ID or the client secret is wrong.
            RateLimitedError: Too many requests.
            ServerError: The service is unavailable.
            TokenRequestError: The service rejected the request for another reason.
            TransportError: No complete response arrived.
            InvalidResponseError: The response can't be used.
            ConfigurationError: There is no refresh token; nothing was sent.

        Source:
            RFC 6749, section 6; RFC 9700, section 4.14.
        """
        return run(self._client, self._refresh(token_or_refresh_token), self._retry)

    def revoke(self, token: Token | str, hint: TokenTypeHint) -> None:
        """Invalidate a token.

        Revoking the refresh token ends the whole grant and marks the app as uninstalled; revoking
        the access token invalidates only that token. Doing it twice does no harm, so it is repeated
        after any transport failure.

        Args:
            token: The token, or the string to revoke.
            hint: Which of the two it is, or which one of the `Token` to revoke. A wrong hint can
                revoke more than was meant: the service searches the other kind, too.

        Raises:
            InvalidClientError: The client ID or the client secret is wrong.
            RateLimitedError: Too many requests.
            ServerError: The service is unavailable.
            TokenRequestError: The service rejected the request for another reason.
            TransportError: No complete response arrived.
            InvalidResponseError: The response can't be used.
            ConfigurationError: There is nothing to revoke; nothing was sent.

        Source:
            RFC 7009, sections 2.1 and 2.2.
        """
        run(self._client, self._revoke(token, hint), self._retry)

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


class AsyncPipedriveOAuth(_BaseOAuth):
    """The OAuth flow of one app, for asyncio and trio; see `PipedriveOAuth`.

    It may be shared by tasks, and by event loops. `async with` closes its connections at the end.

    Args:
        credentials: The app, or a function that returns it. The function is called for each token
            request, so that a new client secret needs no restart. It must be quick and thread-safe.
        base_url: Root of the service, Pipedrive's by default. `http://` is accepted for this
            machine only.
        client: Your own `httpx.AsyncClient`, for proxies, certificates, HTTP/2 or timeouts. It is
            not closed here, and must have no `base_url` of its own, or the same one.
        retry: When to retry. By default a `RetryPolicy()` if the extra `retry` is installed, and
            otherwise no retries; None turns retries off.
        clock: Gives the current time as an aware datetime.
        on_event: Called with each event of `pipedrive_oauth_client.events`, after the event and
            outside every lock, in the thread in which it happened. It has to be quick and
            thread-safe; an exception that it raises is logged and has no other effect.

    Raises:
        ConfigurationError: An argument is not valid.
    """

    def __init__(
        self,
        credentials: AppCredentials | Callable[[], AppCredentials],
        *,
        base_url: str = DEFAULT_BASE_URL,
        client: httpx.AsyncClient | None = None,
        retry: RetryPolicy | Literal["default"] | None = "default",
        clock: Callable[[], datetime] = utc_now,
        on_event: Callable[[Event], object] | None = None,
    ) -> None:
        super().__init__(
            credentials, base_url=base_url, retry=retry, clock=clock, on_event=on_event
        )
        self._own_client = client
        if client is not None:
            argument("client", client, httpx.AsyncClient)
            require_same_base_url(client, self.base_url)
            self._client.set_async_httpx_client(client)

    @property
    def own_client(self) -> httpx.AsyncClient | None:
        """The `client` that was given to this flow."""
        return self._own_client

    async def exchange(self, code: str) -> Token:
        """Exchange an authorization code for a token; see `PipedriveOAuth.exchange`.

        Args:
            code: The code that `read_callback` returned, at most five minutes ago.

        Returns:
            The token.

        Raises:
            PipedriveOAuthError: As `PipedriveOAuth.exchange` says.

        Source:
            RFC 6749, sections 4.1.3 and 4.1.4.
        """
        return await run_async(self._client, self._exchange(code), self._retry)

    async def refresh(self, token_or_refresh_token: Token | str) -> Token:
        """Obtain the next token with a refresh token; see `PipedriveOAuth.refresh`.

        A refresh that is canceled may have been sent; then its token is lost.

        Args:
            token_or_refresh_token: The token to replace, or its refresh token alone.

        Returns:
            The new token.

        Raises:
            PipedriveOAuthError: As `PipedriveOAuth.refresh` says.

        Source:
            RFC 6749, section 6; RFC 9700, section 4.14.
        """
        operation = self._refresh(token_or_refresh_token)
        return await run_async(self._client, operation, self._retry)

    async def revoke(self, token: Token | str, hint: TokenTypeHint) -> None:
        """Invalidate a token; see `PipedriveOAuth.revoke`.

        Args:
            token: The token, or the string to revoke.
            hint: Which of the two it is, or which one of the `Token` to revoke.

        Raises:
            PipedriveOAuthError: As `PipedriveOAuth.revoke` says.

        Source:
            RFC 7009, sections 2.1 and 2.2.
        """
        await run_async(self._client, self._revoke(token, hint), self._retry)

    def blocking(self) -> PipedriveOAuth:
        """Return the same flow for synchronous code, with its own connections.

        Returns:
            The flow.

        Raises:
            ConfigurationError: This flow sends through an `httpx.AsyncClient` that was given to it,
                whose settings are not known here.
        """
        if self._own_client is not None:
            raise ConfigurationError(
                "This flow sends through your own httpx.AsyncClient, which synchronous code can't"
                " use. Create a PipedriveOAuth with an httpx.Client of the same settings."
            )
        return PipedriveOAuth(
            self._credentials,
            base_url=self.base_url,
            retry=self._retry,
            clock=self._clock,
            on_event=self._on_event,
        )

    async def aclose(self) -> None:
        """Close the connections of the running event loop; the next request opens new ones."""
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.aclose()
