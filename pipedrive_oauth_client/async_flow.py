"""One grant from consent to revocation, without blocking: `AsyncPipedriveOAuth`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Literal, Self, cast

import httpx

from pipedrive_oauth_client.calls import make_async
from pipedrive_oauth_client.clock import utc_now
from pipedrive_oauth_client.credentials import AppCredentials
from pipedrive_oauth_client.destinations import refuse_other_base_url
from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.flow import PipedriveOAuth
from pipedrive_oauth_client.generated.client import DEFAULT_BASE_URL
from pipedrive_oauth_client.generated.encode import argument
from pipedrive_oauth_client.plans import Flow, TokenTypeHint
from pipedrive_oauth_client.retries import RetryPolicy
from pipedrive_oauth_client.tokens import Token

__all__ = ["AsyncPipedriveOAuth"]


class AsyncPipedriveOAuth(Flow):
    """The OAuth flow of one app, for asyncio and trio; see `PipedriveOAuth`.

    It may be shared by tasks, and by event loops. `async with` closes its connections at the end.

    Args:
        credentials: The app.
        base_url: Root of the service, Pipedrive's by default. `http://` is accepted for this
            machine only.
        client: An `httpx.AsyncClient` of your own, for proxies, certificates, HTTP/2 or timeouts.
            It is not closed here, and must have no `base_url` of its own, or the same one.
        retry: When to try again. By default a `RetryPolicy()` where the extra `retry` is installed,
            and nothing otherwise; None for never.
        clock: Gives the present as an aware datetime.

    Raises:
        ConfigurationError: An argument can't be right.
    """

    def __init__(
        self,
        credentials: AppCredentials,
        *,
        base_url: str = DEFAULT_BASE_URL,
        client: httpx.AsyncClient | None = None,
        retry: RetryPolicy | Literal["default"] | None = "default",
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        super().__init__(credentials, base_url=base_url, retry=retry, clock=clock)
        self._has_own_client = client is not None
        if client is not None:
            argument("client", client, httpx.AsyncClient)
            refuse_other_base_url(client, self.base_url)
            self._client.set_async_httpx_client(client)

    async def exchange(self, code: str) -> Token:
        """Exchange an authorization code for a token; see `PipedriveOAuth.exchange`.

        Args:
            code: What `read_callback` gave, within five minutes.

        Returns:
            The token.

        Raises:
            PipedriveOAuthError: As `PipedriveOAuth.exchange` says.

        Source:
            RFC 6749, sections 4.1.3 and 4.1.4.
        """
        return cast(Token, await make_async(self._client, self._exchange(code), self._retry))

    async def refresh(self, token_or_refresh_token: Token | str) -> Token:
        """Obtain the next token with a refresh token; see `PipedriveOAuth.refresh`.

        A refresh that is cancelled may have been sent, and its token is lost.

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
        return cast(Token, await make_async(self._client, operation, self._retry))

    async def revoke(self, token: Token | str, hint: TokenTypeHint) -> None:
        """Make a token worthless; see `PipedriveOAuth.revoke`.

        Args:
            token: The token, or the string to revoke.
            hint: Which of the two it is, or which one of the `Token` to revoke.

        Raises:
            PipedriveOAuthError: As `PipedriveOAuth.revoke` says.

        Source:
            RFC 7009, sections 2.1 and 2.2.
        """
        await make_async(self._client, self._revoke(token, hint), self._retry)

    def blocking(self) -> PipedriveOAuth:
        """Make the same flow for synchronous code, with connections of its own.

        Returns:
            The flow.

        Raises:
            ConfigurationError: This flow sends through an `httpx.AsyncClient` that was given to it,
                and nobody else knows that client's settings.
        """
        if self._has_own_client:
            raise ConfigurationError(
                "This flow sends through an httpx.AsyncClient of yours, which synchronous code"
                " can't use. Make a PipedriveOAuth with an httpx.Client of the same settings."
            )
        return PipedriveOAuth(
            self._credentials, base_url=self.base_url, retry=self._retry, clock=self._clock
        )

    async def aclose(self) -> None:
        """Close the connections of the running event loop; the next request opens new ones."""
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.aclose()
