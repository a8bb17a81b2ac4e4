"""The page that the browser ends on. It says what happened, and holds nothing of the callback."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from typing import Final

from attrs import frozen

__all__ = ["Page"]

_STYLE: Final = """\
:root { color-scheme: light dark; font: 1.125rem/1.5 system-ui, sans-serif; }
body { max-width: 34rem; margin: 15vh auto; padding: 0 1.25rem; }
h1 { font-size: 1.5rem; line-height: 1.25; }"""
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()


@frozen
class Page:
    """A page.

    Attributes:
        status: The HTTP status that it is sent with.
        title: What happened, in a few words.
        text: What to do now.
    """

    status: int
    title: str
    text: str

    def body(self) -> bytes:
        """Give the page as HTML. It loads nothing, runs nothing and links to nothing."""
        return f"""\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{escape(self.title)}</title>
<style>{_STYLE}</style>
<main>
<h1>{escape(self.title)}</h1>
<p>{escape(self.text)}</p>
</main>
</html>
""".encode()

    @staticmethod
    def headers() -> dict[str, str]:
        """Give the headers, which keep the address with its code and state from everybody else."""
        return {
            "Content-Type": "text/html; charset=utf-8",
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": (
                f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none';"
                " form-action 'none'; frame-ancestors 'none'"
            ),
        }
