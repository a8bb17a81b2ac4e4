"""The forms of responses: JSON that no cache keeps, and the one body that all errors have.

Source:
    RFC 6749 section 5.1 (no-store); the error body `{"success": false, "message": ...,
    "error": ...}` of Pipedrive's OAuth service.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse

from pipedrive_oauth_client.sandbox.error_responses import (
    SERVER_ERROR,
    Refusal,
    RequestRejectedError,
)
from pipedrive_oauth_client.sandbox.request_log import record_error

PRIVATE_HEADERS = {
    "Cache-Control": "no-store",
    "Pragma": "no-cache",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def json_response(
    body: Mapping[str, object], *, status: int = 200, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Return a JSON response that no cache keeps."""
    return JSONResponse(
        dict(body), status_code=status, headers={**PRIVATE_HEADERS, **(headers or {})}
    )


def see_other(url: str) -> RedirectResponse:
    """Return a redirect that a browser follows with GET, whatever it sent (RFC 9110)."""
    return RedirectResponse(url, status_code=303, headers=PRIVATE_HEADERS)


async def on_rejected(request: Request, error: Exception) -> JSONResponse:
    """Respond to a request that the sandbox rejected."""
    if not isinstance(error, RequestRejectedError):
        raise error
    return _error_response(request, error.refusal, error.headers)


async def on_http_error(request: Request, error: Exception) -> JSONResponse:
    """Respond to a request for an unknown path, or with a method that the path does not have."""
    if not isinstance(error, HTTPException):
        raise error
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "invalid_request")
    response = _error_response(request, Refusal(code, error.detail, status=error.status_code))
    allowed = (error.headers or {}).get("Allow", "")
    if allowed:
        # The framework keeps methods in a set; sorted, the response is always the same.
        response.headers["Allow"] = ", ".join(sorted(allowed.split(", ")))
    return response


async def on_crash(request: Request, _error: Exception) -> JSONResponse:
    """Respond to a request at which the sandbox itself failed, without the error's text."""
    return _error_response(request, SERVER_ERROR)


def _error_response(
    request: Request, refusal: Refusal, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    record_error(request.scope, refusal.error)
    return json_response(refusal.body(), status=refusal.status, headers=headers)
