"""Web pages: templates whose every value is escaped, and the headers that keep a page to itself.

Source:
    RFC 9700 section 4.16 (clickjacking) and section 4.2 (referrers); Content Security Policy
    Level 3.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from pipedrive_oauth_client.sandbox.addresses import ICON_PATH, base_path
from pipedrive_oauth_client.sandbox.answers import PRIVATE

_ENVIRONMENT = Environment(
    loader=PackageLoader("pipedrive_oauth_client.sandbox", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render_page(
    template: str, request: Request, *, form_targets: Iterable[str] = (), **values: object
) -> HTMLResponse:
    """Return a page without scripts that nobody else can frame, cache or learn the address of.

    Args:
        template: The name of a file in the `templates` folder.
        request: The request that the page answers.
        form_targets: Where besides the page's own origin its form may lead, redirects included.
        values: What the template shows; everything is escaped.
    """
    nonce = secrets.token_urlsafe(16)
    policy = {
        "default-src": "'none'",
        "style-src": f"'nonce-{nonce}'",
        "img-src": "'self'",
        "form-action": " ".join(["'self'", *form_targets]),
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
    }
    headers = {
        **PRIVATE,
        # With no referrer at all, browsers hide a page's origin from itself: its form is refused.
        "Referrer-Policy": "same-origin",
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "X-Frame-Options": "DENY",
    }
    page = _ENVIRONMENT.get_template(template).render(
        nonce=nonce, icon=base_path(request) + ICON_PATH, **values
    )
    return HTMLResponse(page, headers=headers)
