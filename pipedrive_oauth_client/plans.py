"""What a grant sends and how it reads the answers, without sending anything itself.

Each operation is a plan: a generator that yields calls of generated functions and is given their
answers. `flow` carries the plans out, once for synchronous and once for asynchronous code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal, TypeAlias

import httpx

from pipedrive_oauth_client import authorization
from pipedrive_oauth_client.answers import refusal
from pipedrive_oauth_client.authorization import AuthorizationRequest, NoState
from pipedrive_oauth_client.calls import Call, Operation, Plan
from pipedrive_oauth_client.characters import is_vschar
from pipedrive_oauth_client.clock import read
from pipedrive_oauth_client.credentials import AppCredentials
from pipedrive_oauth_client.destinations import refuse_plain_http, refuse_strange_api_domain
from pipedrive_oauth_client.errors import ConfigurationError, InvalidResponseError
from pipedrive_oauth_client.generated.api.oauth import get_tokens, refresh_tokens, revoke_tokens
from pipedrive_oauth_client.generated.client import DEFAULT_BASE_URL, Client
from pipedrive_oauth_client.generated.encode import argument
from pipedrive_oauth_client.generated.models import (
    GetTokensRequest,
    GetTokensResponse,
    RefreshTokensRequest,
    RevokeTokensRequest,
)
from pipedrive_oauth_client.generated.response import Response
from pipedrive_oauth_client.retries import RetryPolicy, default_policy
from pipedrive_oauth_client.tokens import Token

__all__ = ["Flow", "TokenTypeHint"]


TokenTypeHint: TypeAlias = Literal["access_token", "refresh_token"]


class Flow:
    """What both flows have in common: everything but the sending."""

    def __init__(
        self,
        credentials: AppCredentials,
        *,
        base_url: str,
        retry: RetryPolicy | Literal["default"] | None,
        clock: Callable[[], datetime],
    ) -> None:
        self._credentials = argument("credentials", credentials, AppCredentials)
        self._header = credentials.basic_auth_header
        self._client = Client(base_url=base_url)
        refuse_plain_http(self._client.base_url)
        if self._client.base_url.lower().startswith("http:"):
            # Within this machine: a proxy that the environment names would read the secrets.
            self._client = Client(base_url=base_url, httpx_args={"trust_env": False})
        self._retry = default_policy() if retry == "default" else retry
        argument("retry", self._retry, RetryPolicy | None)
        self._clock = clock
        read(clock)  # refused here and not after a request: the token of that would be lost
        # Only Pipedrive's own service is held to Pipedrive's domains.
        self._any_api_domain = (
            httpx.URL(self.base_url).host.rstrip(".") != httpx.URL(DEFAULT_BASE_URL).host
        )
        # Once the service has sent refreshes from /oauth/token/ to /oauth/token, they go there.
        self._refresh_without_slash = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._credentials!r}, base_url={self.base_url!r})"

    @property
    def credentials(self) -> AppCredentials:
        """The app that this flow is for."""
        return self._credentials

    @property
    def base_url(self) -> str:
        """Root of the service, without a slash at the end."""
        return self._client.base_url

    @property
    def clock(self) -> Callable[[], datetime]:
        """What gives this flow the present, as an aware datetime."""
        return self._clock

    def authorization_url(self, state: str | None = None) -> AuthorizationRequest:
        """Build the address of the consent page. Nothing is sent.

        Args:
            state: A value that nobody can guess, bound to the person's session; 256 random bits by
                default.

        Returns:
            The address to send the person's browser to, and the state to expect back.

        Raises:
            ConfigurationError: `state` is empty, no string, or can't be encoded.

        Source:
            RFC 6749, sections 4.1.1 and 10.12.
        """
        return authorization.authorization_url(self._credentials, self._client, state)

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
            AuthorizationDeniedError: The person, or Pipedrive, said no.
            CallbackError: The callback can't be used for another reason.
            ConfigurationError: `expected_state` is neither a string that is not empty nor
                `NO_STATE`.

        Source:
            RFC 6749, sections 4.1.2, 4.1.2.1 and 10.12.
        """
        return authorization.read_callback(url_or_query, expected_state)

    def _exchange(self, code: str) -> Operation:
        _need_printable("code", code)

        def plan() -> Plan[Token]:
            sent_at = read(self._clock)
            body = GetTokensRequest(code=code, redirect_uri=self._credentials.redirect_uri)
            answer = yield from self._ask(get_tokens, body, secrets=[code])
            return self._token(answer, sent_at, previous=None, secrets=[code])

        return Operation("get_tokens", plan)

    def _refresh(self, token: Token | str) -> Operation:
        refresh_token = token.refresh_token if isinstance(token, Token) else token
        if refresh_token is None:
            raise ConfigurationError(
                "This token has no refresh token, so the person has to authorize the app again."
            )
        _need_printable("refresh_token", refresh_token)
        secrets = [refresh_token]

        def plan() -> Plan[Token]:
            if not self._refresh_without_slash:
                sent_at = read(self._clock)
                body = RefreshTokensRequest(refresh_token=refresh_token)
                answer = yield from self._ask(refresh_tokens, body, secrets=secrets)
                if not self._leads_to_token_endpoint(answer):
                    return self._token(answer, sent_at, previous=token, secrets=secrets)
                self._refresh_without_slash = True
            # The other grant's function, since it posts to that path; the form is the same.
            form = GetTokensRequest(grant_type="refresh_token")
            form["refresh_token"] = refresh_token
            sent_at = read(self._clock)
            answer = yield from self._ask(get_tokens, form, secrets=secrets)
            return self._token(answer, sent_at, previous=token, secrets=secrets)

        return Operation("refresh_tokens", plan)

    def _revoke(self, token: Token | str, hint: TokenTypeHint) -> Operation:
        if hint not in ("access_token", "refresh_token"):
            raise ConfigurationError("hint must be 'access_token' or 'refresh_token'.")
        value = getattr(token, hint) if isinstance(token, Token) else token
        if value is None:
            raise ConfigurationError(f"There is no {hint} to revoke.")
        _need_printable("token", value)

        def plan() -> Plan[None]:
            body = RevokeTokensRequest(token=value, token_type_hint=hint)
            answer = yield from self._ask(revoke_tokens, body, secrets=[value])
            if answer.status_code != 200:
                raise self._refusal("revoke_tokens", answer, [value])

        return Operation("revoke_tokens", plan, repeatable=True)

    def _ask(self, endpoint: Any, body: object, *, secrets: list[str]) -> Plan[Response[Any]]:
        try:
            return (yield Call(endpoint, {"authorization": self._header, "body": body}))
        except InvalidResponseError as error:
            # An error answer with a body that is none stays what it is: an error answer.
            if error.status_code is None or error.status_code < 400:
                raise
            name = endpoint.__name__.rpartition(".")[2]
            answer: Response[Any] = Response(
                error.status_code, b"", error.headers or httpx.Headers(), None
            )
            raise self._refusal(name, answer, secrets) from error

    def _token(
        self,
        answer: Response[Any],
        sent_at: datetime,
        *,
        previous: Token | str | None,
        secrets: list[str],
    ) -> Token:
        if answer.status_code != 200 or not isinstance(answer.parsed, GetTokensResponse):
            operation = "get_tokens" if previous is None else "refresh_tokens"
            raise self._refusal(operation, answer, secrets)
        try:
            refuse_strange_api_domain(answer.parsed, any_host=self._any_api_domain)
            return Token.from_response(answer.parsed, sent_at, previous=previous)
        except InvalidResponseError as error:
            raise InvalidResponseError(
                error.problem, field=error.field, status_code=200, headers=answer.headers
            ) from None

    def _refusal(self, operation: str, answer: Response[Any], secrets: list[str]) -> Exception:
        own = [self._credentials.client_secret, self._header.removeprefix("Basic ")]
        return refusal(operation, answer, now=read(self._clock), secrets=[*secrets, *own])

    def _leads_to_token_endpoint(self, answer: Response[Any]) -> bool:
        """Tell whether a refresh was redirected to the same endpoint without the slash.

        303 is not among the statuses: it says that the request was carried out.
        """
        if answer.status_code not in (301, 302, 307, 308):
            return False
        try:
            here = httpx.URL(refresh_tokens.url(client=self._client))
            target = here.join(answer.headers.get("Location", ""))
        except httpx.InvalidURL:
            return False
        return target == httpx.URL(get_tokens.url(client=self._client))


def _need_printable(name: str, value: str) -> None:
    # Else an answer that keeps the refresh token would end in an error, and its tokens be lost.
    if not is_vschar(argument(name, value, str)):
        raise ConfigurationError(
            f"{name} must be printable ASCII characters. Was it read with a line break behind it?"
        )
