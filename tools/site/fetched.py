"""What a built site fetches from elsewhere, or does not have: fonts, scripts, styles, pictures.

MkDocs checks the links between pages itself (`strict` and `validation` in mkdocs.yml).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# What a browser fetches by itself while it shows a page.
FETCHED = dict.fromkeys(
    ("audio", "embed", "iframe", "img", "input", "script", "source", "track", "video"), "src"
) | {"link": "href", "object": "data"}
# Links in the head of a page that a browser does not fetch.
ONLY_NAMED = {"canonical", "next", "prev", "alternate", "author", "license"}
IN_STYLES = re.compile(r"""(?:url\(\s*|@import\s+)["']?([^"')\s;]+)""")


class Page(HTMLParser):
    """Collects what a page fetches."""

    def __init__(self) -> None:
        super().__init__()
        self.fetches: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag makes a browser fetch."""
        values = {name: value or "" for name, value in attrs}
        if not ONLY_NAMED & set(values.get("rel", "").split()):
            self.fetches += filter(None, [values.get(FETCHED.get(tag, ""))])
        self.fetches += IN_STYLES.findall(values.get("style", ""))


def faults(site: Path) -> Iterator[str]:
    """Yield a line for each thing that is fetched from elsewhere, or is not there."""
    pages = sorted(site.rglob("*.html"))
    if not pages:
        yield "there is no page"
    for file in pages:
        page = Page()
        page.feed(file.read_text(encoding="utf-8"))
        for address in page.fetches:
            yield from _fault(site, file, address)
    for file in sorted(site.rglob("*.css")):
        for address in IN_STYLES.findall(file.read_text(encoding="utf-8")):
            yield from _fault(site, file, address)


def _fault(site: Path, file: Path, address: str) -> Iterator[str]:
    name = file.relative_to(site).as_posix()
    parts = urlsplit(address)
    if parts.scheme == "data" or address.startswith("#"):
        return
    if parts.scheme or parts.netloc:
        yield f"{name} fetches {address} from elsewhere"
        return
    # The page for what is not found is shown at any address, so its addresses begin at the root.
    base = site if parts.path.startswith("/") else file.parent
    if not (base / unquote(parts.path).lstrip("/")).is_file():
        yield f"{name} fetches {address}, which is not there"
