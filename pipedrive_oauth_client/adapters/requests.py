"""`PipedriveAuth` for sessions of requests (extra `requests`)."""

from __future__ import annotations

from typing import Any

import httpx

from pipedrive_oauth_client._checks import read_clock
from pipedrive_oauth_client._lazy import raise_missing_extra
from pipedrive_oauth_client.auth import PipedriveAuth
from pipedrive_oauth_client.generated.encode import argument
from pipedrive_oauth_client.token_source import Bearer

try:
    from requests import PreparedRequest, Response
    from requests.auth import AuthBase
except ModuleNotFoundError as missing:
    raise_missing_extra(missing, "PipedriveRequestsAuth", package="requests", extra="requests")

__all__ = ["PipedriveRequestsAuth"]


class PipedriveRequestsAuth(AuthBase):
    """Sends a valid access token with the requests of a session, or with a single one.

    Args:
        auth: Gives the token; see there for what is sent where, and when it is renewed.

    Raises:
        ConfigurationError: `auth` is something else.
    """

    def __init__(self, auth: PipedriveAuth) -> None:
        self._auth = argument("auth", auth, PipedriveAuth)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._auth!r})"

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Put the token on a request; requests calls this.

        Args:
            request: The request.

        Returns:
            The same request.

        Raises:
            PipedriveOAuthError: There is no valid token to be had.
        """
        bearer = self._auth.bearer()
        if _may_go_to(bearer, request):
            request.headers["Authorization"] = bearer.header
            start = _position(request.body)

            def answered(response: Response, **settings: Any) -> Response:
                return self._answered(response, bearer, start, settings)

            add_hook: Any = getattr(request, "register_hook")  # noqa: B009 - it has no types
            add_hook("response", answered)
        return request

    def _answered(
        self, response: Response, bearer: Bearer, start: int | None, settings: dict[str, Any]
    ) -> Response:
        request = response.request
        now = read_clock(self._auth.clock)
        if (
            response.status_code != 401
            # A redirect took it off, or led to somebody who was not shown it.
            or request.headers.get("Authorization") != bearer.header
            or not _may_go_to(bearer, request)
            or self._auth.rest.is_on(now)
        ):
            return response
        following = self._auth.bearer(rejected=bearer.token)
        if not _may_go_to(following, request) or not _rewound(request.body, start):
            return response
        _ = response.content  # all of it, so that the connection can be used again
        response.close()
        again = request.copy()
        again.headers["Authorization"] = following.header
        connection: Any = getattr(response, "connection")  # noqa: B009 - the stubs don't know it
        second: Response = connection.send(again, **settings)
        second.history.append(response)
        second.request = again
        if second.status_code == 401:
            self._auth.rest.begin(now)
        return second


def _may_go_to(bearer: Bearer, request: PreparedRequest) -> bool:
    try:
        return bearer.may_go_to(httpx.URL(request.url or ""))
    except httpx.InvalidURL:
        return False


def _rewound(body: Any, start: int | None) -> bool:
    # A redirect may have taken the body off.
    if body is None or isinstance(body, str | bytes):
        return True
    if start is None:
        return False
    try:
        body.seek(start)
    except (OSError, ValueError):  # it was closed, for example
        return False
    return True


def _position(body: Any) -> int | None:
    try:
        return int(body.tell()) if body.seekable() else None
    except (AttributeError, OSError, ValueError):  # io.UnsupportedOperation is one of them
        return None
