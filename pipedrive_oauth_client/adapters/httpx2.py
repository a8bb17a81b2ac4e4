"""`PipedriveAuth` for clients of httpx2 (extra `httpx2`)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing
from typing import Any

from pipedrive_oauth_client._lazy import raise_missing_extra
from pipedrive_oauth_client.auth import PipedriveAuth
from pipedrive_oauth_client.errors import ProcessBound
from pipedrive_oauth_client.generated.encode import argument

try:
    import httpx2
except ModuleNotFoundError as missing:
    raise_missing_extra(missing, "PipedriveHttpx2Auth", package="httpx2", extra="httpx2")

__all__ = ["PipedriveHttpx2Auth"]


class PipedriveHttpx2Auth(ProcessBound, httpx2.Auth):
    """Sends a valid access token with every request of an httpx2 client, sync or async.

    Args:
        auth: Gives the token; `PipedriveAuth` says where it is sent, and when it is refreshed.

    Raises:
        ConfigurationError: `auth` is something else.
    """

    _instead = "Pass the account, and make a new `PipedriveAuth` there."

    def __init__(self, auth: PipedriveAuth) -> None:
        self._auth = argument("auth", auth, PipedriveAuth)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._auth!r})"

    def sync_auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response]:
        """Put the token on a request; `httpx2.Client` calls this.

        Args:
            request: The request.

        Yields:
            The request, once or twice.
        """
        # The requests and responses of both libraries have all that is used of them in common.
        flow: Any = self._auth.sync_auth_flow(_alike(request))
        yield from flow

    async def async_auth_flow(
        self, request: httpx2.Request
    ) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """Put the token on a request; `httpx2.AsyncClient` calls this.

        Args:
            request: The request.

        Yields:
            The request, once or twice.
        """
        flow: Any = self._auth.async_auth_flow(_alike(request))
        async with aclosing(flow):
            step = await anext(flow)
            while True:
                response = yield step
                try:
                    step = await flow.asend(response)
                except StopAsyncIteration:
                    return


def _alike(request: httpx2.Request) -> Any:
    return request
