"""What stands in front of the service or in its place when it fails: the usual body of a status.

Source:
    https://pipedrive.readme.io/docs/marketplace-oauth-and-api-proxy-status-codes (500, 503);
    the statuses 520 to 526 are those of a content delivery network, each with its page.
"""

from __future__ import annotations

import http

from pipedrive_oauth_client.sandbox.refusals import SERVER_ERROR, TOO_MANY_REQUESTS
from pipedrive_oauth_client.sandbox.replies import Reply, html_reply, json_reply

_CDN_REASONS = {
    520: "Web server is returning an unknown error",
    521: "Web server is down",
    522: "Connection timed out",
    523: "Origin is unreachable",
    524: "A timeout occurred",
    525: "SSL handshake failed",
    526: "Invalid SSL certificate",
}
_MAINTENANCE = "Whoops! Something broke in our servers and we cannot serve you this page."


def usual_reply(status: int) -> Reply:
    """Return the answer that the service, or the network before it, gives with this status."""
    if status == 503:
        return html_reply(status, web_page("Under maintenance", _MAINTENANCE))
    if status in _CDN_REASONS:
        return html_reply(status, web_page(f"Error {status}", _CDN_REASONS[status]))
    documented = {429: TOO_MANY_REQUESTS, 500: SERVER_ERROR}.get(status)
    if documented is not None:
        return json_reply(status, documented.body())
    return json_reply(status, {"success": status < 400, "message": _phrase(status)})


def web_page(title: str, text: str) -> str:
    """Return a small web page; neither text is escaped, so both must be the sandbox's own."""
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{title}</title>'
        f"</head>\n<body><h1>{title}</h1><p>{text}</p></body>\n</html>\n"
    )


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return f"Status {status}"
