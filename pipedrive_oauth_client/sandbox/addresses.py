"""Where the sandbox is: its own address, as the request at hand came to it."""

from __future__ import annotations

import functools

from starlette.datastructures import URL
from starlette.requests import Request

HOME_PATH = "/"
ICON_PATH = "/favicon.ico"
AUTHORIZE_PATH = "/oauth/authorize"
ISSUE_PATH = "/oauth/token"
SLASHED_ISSUE_PATH = "/oauth/token/"
REVOKE_PATH = "/oauth/revoke"
DECIDE_PATH = "/sandbox/consent"
CURRENT_USER_PATH = "/api/v1/users/me"
DEALS_PATH = "/api/v2/deals"
PATHS = (
    AUTHORIZE_PATH,
    ISSUE_PATH,
    SLASHED_ISSUE_PATH,
    REVOKE_PATH,
    DECIDE_PATH,
    CURRENT_USER_PATH,
    DEALS_PATH,
)
# What a person looks at while they test: a look must not push out of the log what it is for, and
# must not change what a test counts.
UNNOTED_PATHS = (HOME_PATH, ICON_PATH)


def origin(request: Request) -> str:
    """Return scheme, host and port that the request was sent to."""
    scope = request.scope
    server = scope.get("server")
    return _origin(
        scope.get("scheme", "http"),
        request.headers.get("host"),
        tuple(server) if server is not None else None,
    )


def base_path(request: Request) -> str:
    """Return the path under which the sandbox was mounted in another application, or nothing."""
    root_path: str = request.scope.get("root_path", "")
    return root_path.rstrip("/")


def base_url(request: Request) -> str:
    """Return the address that all of the sandbox's paths continue, without a slash at its end."""
    return origin(request) + base_path(request)


@functools.lru_cache(maxsize=64)
def _origin(scheme: str, host: str | None, server: tuple[str, int | None] | None) -> str:
    """Let the framework judge a Host header; what the server's own address is counts without it."""
    headers = [] if host is None else [(b"host", host.encode("latin-1"))]
    url = URL(scope={"scheme": scheme, "path": "/", "headers": headers, "server": server})
    return f"{url.scheme}://{url.netloc}"
