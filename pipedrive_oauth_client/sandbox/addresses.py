"""Where the sandbox is: its own address, as the request at hand came to it."""

from __future__ import annotations

from starlette.requests import Request

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


def origin(request: Request) -> str:
    """Return scheme, host and port that the request was sent to."""
    return f"{request.base_url.scheme}://{request.base_url.netloc}"


def base_path(request: Request) -> str:
    """Return the path under which the sandbox was mounted in another application, or nothing."""
    root_path: str = request.scope.get("root_path", "")
    return root_path.rstrip("/")


def base_url(request: Request) -> str:
    """Return the address that all of the sandbox's paths continue, without a slash at its end."""
    return origin(request) + base_path(request)
