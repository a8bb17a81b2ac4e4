"""`PipedriveAuth` for sessions of requests (extra `requests`)."""

from __future__ import annotations

import re
from typing import Any, Final

import httpx

from pipedrive_oauth_client._lazy import raise_missing_extra
from pipedrive_oauth_client._origins import origin_text
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

_ORIGIN: Final = re.compile(r"\A[^:/?#]+://[^/?#]*")


class PipedriveRequestsAuth(ProcessBound, AuthBase):
    """Sends a valid access token with the requests of a session, or with a single one.

    Args:
        auth: Gives the token; `PipedriveAuth` says where it is sent, and when it is refreshed.

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
        url = _parsed(request)
        if url is None:
            return request
        bearer = self._source.cached()
        if bearer is None and not self._source.is_elsewhere(url):
            bearer = self._source.get_for(url)
        if bearer is None or not self._may_carry(bearer, request, url):
            self._source.note_withheld(url)
            return request
        request.headers["Authorization"] = bearer.header
        start = _position(request.body)

        def replay(response: Response, **settings: Any) -> Response:
            return self._replayed(response, bearer, start, settings)

        add_hook: Any = getattr(request, "register_hook")  # noqa: B009 - it has no types
        add_hook("response", replay)
        return request

    def _may_carry(self, bearer: Bearer, request: PreparedRequest, url: httpx.URL) -> bool:
        """Tell whether a request may carry a token; one to a former domain goes to the current."""
        if bearer.may_go_to(url):
            return True
        current = bearer.current_origin(url)
        if current is None:
            return False
        self._source.note_moved(url, current)
        request.url = _ORIGIN.sub(origin_text(current), request.url or "")
        request.headers.pop("Host", None)  # one of the caller's names the former domain
        return True

    def _replayed(
        self, response: Response, bearer: Bearer, start: int | None, settings: dict[str, Any]
    ) -> Response:
        """Give the response, or the one to the same request with another token."""
        request = response.request
        sent_header = request.headers.get("Authorization")
        if response.status_code != 401:
            if sent_header == bearer.header:
                bearer.is_unused = False
            return response
        # A redirect may have removed the token, or led to a host that may not have it.
        url = _parsed(request)
        if url is None or not bearer.may_go_to(url):
            if url is not None:
                self._source.note_withheld(url)
            return response
        if not self._source.should_refresh(bearer, sent_header):
            return response
        rejected = bearer.token
        following = self._source.cached(rejected) or self._source.get(rejected)
        again = request.copy()
        if not self._may_carry(following, again, url):
            return response
        if not _rewound(request.body, start):
            self._source.note_unused(following)
            return response
        _ = response.content  # all of it, so that the connection can be used again
        response.close()
        again.headers["Authorization"] = following.header
        connection: Any = getattr(response, "connection")  # noqa: B009 - the stubs don't know it
        second: Response = connection.send(again, **settings)
        second.history.append(response)
        second.request = again
        sent_header = again.headers["Authorization"]
        self._source.note_second_response(following, sent_header, second.status_code)
        return second


def _parsed(request: PreparedRequest) -> httpx.URL | None:
    try:
        return httpx.URL(request.url or "")
    except httpx.InvalidURL:
        return None


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
