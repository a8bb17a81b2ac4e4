"""A token made ready to be sent with requests (RFC 6750)."""

from __future__ import annotations

from datetime import datetime, timedelta

from attrs import field, frozen

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.origins import Origin, URLParts, api_origin, origin
from pipedrive_oauth_client.tokens import Token

__all__ = ["Bearer"]


@frozen
class Bearer:
    """A token with what each request needs of it, worked out once.

    Attributes:
        token: The token.
        header: The value of the `Authorization` header; hidden in `repr`.
        stale_at: From when on it is renewed first.
        origins: Where it may go.

    Source:
        RFC 6750, section 2.1.
    """

    token: Token
    header: str = field(repr=False)
    stale_at: datetime
    origins: frozenset[Origin]

    @classmethod
    def of(
        cls, token: Token, *, leeway: timedelta, now: datetime, more: frozenset[Origin]
    ) -> Bearer:
        """Make a token ready.

        Args:
            token: The token.
            leeway: How long before its expiry it is stale.
            now: The present, aware.
            more: Where it may go besides its own API domain.

        Returns:
            The bearer.

        Raises:
            CorruptTokenError: The token is for no address that it may be sent to.
        """
        origins = more
        if token.api_domain is not None:
            origins |= {api_origin(token.api_domain)}
        return cls(token, f"Bearer {token.access_token}", _stale_at(token, leeway, now), origins)

    def may_go_to(self, url: URLParts) -> bool:
        """Tell whether a request to a URL may carry the token.

        Args:
            url: The URL.

        Returns:
            Whether it is of the API's origin, or of one that the user has named.

        Raises:
            ConfigurationError: There is no such origin at all.
        """
        if not self.origins:
            raise ConfigurationError(
                "The token does not say where its API lives (it has no api_domain), so that it is"
                " sent nowhere. Name the host: PipedriveAuth(..., hosts=['acme.pipedrive.com'])."
            )
        return origin(url) in self.origins


def _stale_at(token: Token, leeway: timedelta, now: datetime) -> datetime:
    if token.refresh_token is None:
        return token.expires_at
    left = token.expires_at - now
    # A new token that lives for less than the leeway would be renewed for every single request.
    return token.expires_at - (leeway if left > leeway else max(left / 2, timedelta(0)))
