"""The shapes of answers: JSON that no cache keeps, and the one body that all errors have.

Source:
    RFC 6749 section 5.1 (no-store); RFC 6750 section 3 (WWW-Authenticate); the error body
    `{"success": false, "message": ..., "error": ...}` of Pipedrive's OAuth service.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse

from pipedrive_oauth_client.sandbox.refusals import Refusal, RefusedError

PRIVATE = {
    "Cache-Control": "no-store",
    "Pragma": "no-cache",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_REALM = 'Bearer realm="pipedrive-sandbox"'


def json_answer(body: Mapping[str, object], *, status: int = 200) -> JSONResponse:
    """Return a JSON answer that no cache keeps."""
    return JSONResponse(dict(body), status_code=status, headers=PRIVATE)


def see_other(url: str) -> RedirectResponse:
    """Return a redirect that a browser follows with GET, whatever it sent (RFC 9110)."""
    return RedirectResponse(url, status_code=303, headers=PRIVATE)


def refusal_answer(refusal: Refusal) -> JSONResponse:
    """Return the answer that says no; one about an access token also says so in its header."""
    answer = json_answer(
        {"success": False, "message": refusal.message, "error": refusal.error},
        status=refusal.status,
    )
    if refusal.status == 401:
        # Without a token there is no error to name (RFC 6750 section 3.1).
        named = f', error="{refusal.error}", error_description="{refusal.message}"'
        with_error = named if refusal.error == "invalid_token" else ""
        answer.headers["WWW-Authenticate"] = _REALM + with_error
    return answer


async def on_refused(_request: Request, error: Exception) -> JSONResponse:
    """Answer a request that the sandbox refused."""
    if not isinstance(error, RefusedError):
        raise error
    return refusal_answer(error.refusal)


async def on_http_error(_request: Request, error: Exception) -> JSONResponse:
    """Answer a request for a path that isn't there, or with a method that the path hasn't."""
    if not isinstance(error, HTTPException):
        raise error
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "invalid_request")
    answer = refusal_answer(Refusal(code, error.detail, status=error.status_code))
    allowed = (error.headers or {}).get("Allow", "")
    if allowed:
        # The framework keeps methods in a set; sorted, the answer is always the same.
        answer.headers["Allow"] = ", ".join(sorted(allowed.split(", ")))
    return answer


async def on_crash(_request: Request, _error: Exception) -> JSONResponse:
    """Answer a request at which the sandbox itself failed; the error's text stays inside."""
    return refusal_answer(Refusal("server_error", "Internal Server Error", status=500))
