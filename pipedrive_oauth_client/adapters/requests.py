"""`PipedriveAuth` for sessions of requests (extra `requests`)."""

from __future__ import annotations

from typing import Any

import httpx

from pipedrive_oauth_client._lazy import raise_missing_extra
from pipedrive_oauth_client.auth import PipedriveAuth
from pipedrive_oauth_client.errors import ProcessBound
from pipedrive_oauth_client.generated.encode import argument
from pipedrive_oauth_client.token_source import Bearer

try:
    from requests import PreparedRequest, Response
    from requests.auth import AuthBase
except ModuleNotFoundError as missing:
    raise_missing_extra(missing, "PipedriveRequestsAuth", package="requests", extra="requests")

__all__ = ["PipedriveRequestsAuth"]


class PipedriveRequestsAuth(ProcessBound, AuthBase):
    """Sends a valid access token with the requests of a session, or with a single one.

    Args:
        auth: Gives the token; see there for what is sent where, and when it is refreshed.

    Raises:
        ConfigurationError: `auth` is something else.
    """

    _instead = "Pass the account, and make a new `PipedriveAuth` there."

    def __init__(self, auth: PipedriveAuth) -> None:
        self._auth = argument("auth", auth, PipedriveAuth)
        self._source = auth.token_source

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._auth!r})"

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Put the token on a request; requests calls this.

        Args:
            request: The request.

        Returns:
            The same request.

        Raises:
            PipedriveOAuthError: No valid token can be obtained.
        """
        bearer = self._source.cached() or self._source.get()
        if _may_go_to(bearer, request):
            request.headers["Authorization"] = bearer.header
            start = _position(request.body)

            def replay(response: Response, **settings: Any) -> Response:
                return self._replayed(response, bearer, start, settings)

            add_hook: Any = getattr(request, "register_hook")  # noqa: B009 - it has no types
            add_hook("response", replay)
        return request

    def _replayed(
        self, response: Response, bearer: Bearer, start: int | None, settings: dict[str, Any]
    ) -> Response:
        """Give the response, or the one to the same request with another token."""
        request = response.request
        if (
            response.status_code != 401
            # A redirect may have removed the token, or led to a host that may not have it.
            or not _may_go_to(bearer, request)
            or not self._source.should_refresh(bearer, request.headers.get("Authorization"))
        ):
            return response
        rejected = bearer.token
        following = self._source.cached(rejected) or self._source.get(rejected)
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
            self._source.note_second_rejection(following, again.headers["Authorization"])
        return second


def _may_go_to(bearer: Bearer, request: PreparedRequest) -> bool:
    try:
        return bearer.may_go_to(httpx.URL(request.url or ""))
    except httpx.InvalidURL:
        return False


def _rewound(body: Any, start: int | None) -> bool:
    # A redirect may have removed the body.
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
