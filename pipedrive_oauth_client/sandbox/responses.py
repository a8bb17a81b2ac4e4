"""The shapes of answers: JSON that no cache keeps, and the one body that all errors have.

Source:
    RFC 6749 section 5.1 (no-store); the error body `{"success": false, "message": ...,
    "error": ...}` of Pipedrive's OAuth service.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse

from pipedrive_oauth_client.sandbox.error_responses import SERVER_ERROR, Refusal, RefusedError
from pipedrive_oauth_client.sandbox.middleware import note_refusal

PRIVATE = {
    "Cache-Control": "no-store",
    "Pragma": "no-cache",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def json_answer(
    body: Mapping[str, object], *, status: int = 200, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Return a JSON answer that no cache keeps."""
    return JSONResponse(dict(body), status_code=status, headers={**PRIVATE, **(headers or {})})


def see_other(url: str) -> RedirectResponse:
    """Return a redirect that a browser follows with GET, whatever it sent (RFC 9110)."""
    return RedirectResponse(url, status_code=303, headers=PRIVATE)


async def on_refused(request: Request, error: Exception) -> JSONResponse:
    """Answer a request that the sandbox refused."""
    if not isinstance(error, RefusedError):
        raise error
    return _refuse(request, error.refusal, error.headers)


async def on_http_error(request: Request, error: Exception) -> JSONResponse:
    """Answer a request for a path that isn't there, or with a method that the path hasn't."""
    if not isinstance(error, HTTPException):
        raise error
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "invalid_request")
    answer = _refuse(request, Refusal(code, error.detail, status=error.status_code))
    allowed = (error.headers or {}).get("Allow", "")
    if allowed:
        # The framework keeps methods in a set; sorted, the answer is always the same.
        answer.headers["Allow"] = ", ".join(sorted(allowed.split(", ")))
    return answer


async def on_crash(request: Request, _error: Exception) -> JSONResponse:
    """Answer a request at which the sandbox itself failed; the error's text stays inside."""
    return _refuse(request, SERVER_ERROR)


def _refuse(
    request: Request, refusal: Refusal, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    note_refusal(request.scope, refusal.error)
    return json_answer(refusal.body(), status=refusal.status, headers=headers)
