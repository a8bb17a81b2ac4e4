"""One grant from consent to revocation: `PipedriveOAuth`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Literal, Self, cast

import httpx

from pipedrive_oauth_client.calls import make
from pipedrive_oauth_client.clock import utc_now
from pipedrive_oauth_client.credentials import AppCredentials
from pipedrive_oauth_client.destinations import refuse_other_base_url
from pipedrive_oauth_client.generated.client import DEFAULT_BASE_URL
from pipedrive_oauth_client.generated.encode import argument
from pipedrive_oauth_client.plans import Flow, TokenTypeHint
from pipedrive_oauth_client.retries import RetryPolicy
from pipedrive_oauth_client.tokens import Token

__all__ = ["PipedriveOAuth"]


class PipedriveOAuth(Flow):
    """The OAuth flow of one app, synchronously.

    It may be shared by threads. `with` closes its connections at the end.

    Args:
        credentials: The app.
        base_url: Root of the service, Pipedrive's by default. `http://` is accepted for this
            machine only.
        client: An `httpx.Client` of your own, for proxies, certificates, HTTP/2 or timeouts. It is
            not closed here, and must have no `base_url` of its own, or the same one.
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
        client: httpx.Client | None = None,
        retry: RetryPolicy | Literal["default"] | None = "default",
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        super().__init__(credentials, base_url=base_url, retry=retry, clock=clock)
        if client is not None:
            argument("client", client, httpx.Client)
            refuse_other_base_url(client, self.base_url)
            self._client.set_httpx_client(client)

    def exchange(self, code: str) -> Token:
        """Exchange an authorization code for a token.

        A code works once. An exchange that was sent and got no answer is therefore not repeated,
        whatever `retry` says: the service may have used the code up, and a second use makes a
        careful service revoke what the first one gave. Send the person to the consent page again.

        Args:
            code: What `read_callback` gave, within five minutes.

        Returns:
            The token, which expires some seconds earlier here than at the service.

        Raises:
            InvalidGrantError: The code is wrong, too old, or was used before.
            InvalidClientError: The client ID or the client secret is wrong.
            RateLimitedError: Too many requests.
            ServerError: The service is out of order.
            TokenRequestError: The service refused for another reason.
            TransportError: No complete answer arrived.
            InvalidResponseError: The answer can't be used.
            ConfigurationError: `code` is no code; nothing was sent.

        Source:
            RFC 6749, sections 4.1.3 and 4.1.4.
        """
        return cast(Token, make(self._client, self._exchange(code), self._retry))

    def refresh(self, token_or_refresh_token: Token | str) -> Token:
        """Obtain the next token with a refresh token.

        Always keep the token that comes back: the refresh token may have changed, and the old one
        may be worth nothing. A refresh that was sent and got no answer is not repeated, whatever
        `retry` says: if the service has changed the refresh token, a second use of the old one
        looks like theft to it. Load the stored token again before you try once more; if that is
        refused with `InvalidGrantError`, the person has to authorize again.

        Args:
            token_or_refresh_token: The token to replace, or its refresh token alone. With the whole
                token, scope and API domain are kept where the answer leaves them out.

        Returns:
            The new token. It carries the old refresh token where the service gave no other.

        Raises:
            InvalidGrantError: The refresh token is wrong, revoked, used before, or was unused for
                60 days.
            InvalidClientError: The client ID or the client secret is wrong.
            RateLimitedError: Too many requests.
            ServerError: The service is out of order.
            TokenRequestError: The service refused for another reason.
            TransportError: No complete answer arrived.
            InvalidResponseError: The answer can't be used.
            ConfigurationError: There is no refresh token; nothing was sent.

        Source:
            RFC 6749, section 6; RFC 9700, section 4.14.
        """
        operation = self._refresh(token_or_refresh_token)
        return cast(Token, make(self._client, operation, self._retry))

    def revoke(self, token: Token | str, hint: TokenTypeHint) -> None:
        """Make a token worthless.

        Revoking the refresh token ends the whole grant and marks the app as uninstalled; revoking
        the access token ends that token alone. Doing it twice does no harm, so that it is
        repeated after any failure on the way.

        Args:
            token: The token, or the string to revoke.
            hint: Which of the two it is, or which one of the `Token` to revoke. A wrong hint can
                revoke more than was meant: the service looks among the other kind, too.

        Raises:
            InvalidClientError: The client ID or the client secret is wrong.
            RateLimitedError: Too many requests.
            ServerError: The service is out of order.
            TokenRequestError: The service refused for another reason.
            TransportError: No complete answer arrived.
            InvalidResponseError: The answer can't be used.
            ConfigurationError: There is nothing to revoke; nothing was sent.

        Source:
            RFC 7009, sections 2.1 and 2.2.
        """
        make(self._client, self._revoke(token, hint), self._retry)

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()
