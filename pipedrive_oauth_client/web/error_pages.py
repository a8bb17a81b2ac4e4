"""Pages for a user whose login failed: no script, no secret, no frame.

An app that wants its own pages passes a function as `failed`.

Source:
    RFC 9700, section 4.16 (clickjacking); Content Security Policy Level 3.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from html import escape
from typing import Final

from attrs import frozen

from pipedrive_oauth_client.errors import (
    AuthorizationDeniedError,
    CallbackError,
    InvalidGrantError,
    InvalidResponseError,
    PipedriveOAuthError,
    RateLimitedError,
    ServerError,
    StateMismatchError,
    StoreError,
    TokenRequestError,
    TransportError,
)

__all__ = ["HEADERS", "Explanation", "ReplayedCallbackError", "explain", "render_page"]

_AGAIN: Final = "Nothing was saved. Please start again."
_LATER: Final = "Nothing was saved. Please start again in a few minutes."


class ReplayedCallbackError(CallbackError):
    """The callback was already used: a reload, a double click, or a replayed request.

    The code is not exchanged again, since a service may revoke the grant of a repeated code.

    Source:
        RFC 9700, section 4.7; RFC 6749, section 4.1.2.
    """


@frozen
class Explanation:
    """An error, explained."""

    status: int
    title: str
    text: str


# The first that fits counts.
_EXPLANATIONS: Final[tuple[tuple[type[PipedriveOAuthError], Explanation], ...]] = (
    (
        AuthorizationDeniedError,
        Explanation(
            403,
            "Not connected",
            "Pipedrive was not connected, because access was declined. If that was a mistake, start"
            " again.",
        ),
    ),
    (
        StateMismatchError,
        Explanation(
            400,
            "The login did not start in this browser",
            "The login was started in another browser or too long ago, or this browser blocks"
            " cookies. Nothing was saved. Please start again from here.",
        ),
    ),
    (
        ReplayedCallbackError,
        Explanation(
            400,
            "This link was already used",
            "If you have just connected and reloaded the page, go on: it may have worked."
            " Otherwise, start again.",
        ),
    ),
    (CallbackError, Explanation(400, "Pipedrive's response can't be read", _AGAIN)),
    (InvalidGrantError, Explanation(400, "The login took too long, or was already used", _AGAIN)),
    (RateLimitedError, Explanation(503, "Pipedrive is busy", _LATER)),
    (ServerError, Explanation(503, "Pipedrive is unavailable", _LATER)),
    (TransportError, Explanation(502, "Pipedrive does not respond", _LATER)),
    (InvalidResponseError, Explanation(502, "Pipedrive's response can't be read", _LATER)),
    (StoreError, Explanation(503, "The connection could not be saved", _LATER)),
    (
        TokenRequestError,
        Explanation(
            500,
            "Pipedrive rejected this app",
            "Nothing was saved. Please contact the app's support.",
        ),
    ),
    (
        PipedriveOAuthError,
        Explanation(
            500,
            "This app is not set up correctly",
            "Nothing was saved. Please contact the app's support.",
        ),
    ),
)


def explain(error: PipedriveOAuthError) -> Explanation:
    """Return what the user reads about an error; nothing in it comes from outside."""
    return next(each for kind, each in _EXPLANATIONS if isinstance(error, kind))


_STYLE: Final = """
:root { color-scheme: light dark; --page: #f4f5f7; --card: #fff; --text: #1c2733; --soft: #505c6b;
  --line: #d3d8df; --accent: #11703c; --on-accent: #fff; }
@media (prefers-color-scheme: dark) { :root { --page: #12161c; --card: #1c222b; --text: #eceff3;
  --soft: #b1bbc8; --line: #46515f; --accent: #58cb8b; --on-accent: #06220f; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1rem;
  background: var(--page); color: var(--text); font: 1rem/1.5 system-ui, sans-serif;
  overflow-wrap: anywhere; }
main { width: min(28rem, 100%); padding: 2rem; background: var(--card);
  border: 1px solid var(--line); border-radius: 1rem; }
h1 { margin: 0 0 0.75rem; font-size: 1.375rem; line-height: 1.3; text-wrap: balance; }
p { margin: 0 0 1.25rem; color: var(--soft); }
nav { display: flex; flex-wrap: wrap; gap: 0.75rem; }
a { padding: 0.625rem 1.125rem; border: 1px solid var(--soft); border-radius: 0.625rem;
  color: var(--text); font-weight: 600; text-decoration: none; }
a:first-child { border-color: var(--accent); background: var(--accent); color: var(--on-accent); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 3px; }
@media (max-width: 30rem) { main { padding: 1.25rem; } }
"""
_DIGEST: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

HEADERS: Final[Mapping[str, str]] = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'none'"
    ),
    "X-Frame-Options": "DENY",
}
"""Headers of a page, in addition to those of every response."""


def render_page(title: str, text: str, links: Iterable[tuple[str, str]]) -> str:
    """Write a page. Everything is escaped."""
    title, text = escape(title), escape(text)
    anchors = (f'<a href="{escape(address)}">{escape(words)}</a>' for words, address in links)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body><main>"
        f"<h1>{title}</h1><p>{text}</p><nav>{''.join(anchors)}</nav></main></body></html>"
    )
