"""What is wrong with a built site: links that lead nowhere, and anything fetched from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from attrs import define, field

# What a browser fetches by itself while it shows a page.
FETCHED = {
    "audio": "src",
    "embed": "src",
    "iframe": "src",
    "img": "src",
    "input": "src",
    "link": "href",
    "object": "data",
    "script": "src",
    "source": "src",
    "track": "src",
    "video": "src",
}
# Links in the head of a page that a browser does not fetch.
ONLY_NAMED = {"canonical", "next", "prev", "alternate", "author", "license"}
IN_STYLES = re.compile(r"""(?:url\(\s*|@import\s+)["']?([^"')\s;]+)""")


@define
class Page(HTMLParser):
    """A page's names to link to, its links, and what it fetches."""

    anchors: set[str] = field(factory=set)
    links: list[str] = field(factory=list)
    fetches: list[str] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        HTMLParser.__init__(self)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag has."""
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[key] for key in ("id", "name") if values.get(key)}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif not ONLY_NAMED & set(values.get("rel", "").split()):
            self.fetches += filter(None, [values.get(FETCHED.get(tag, ""))])
        self.fetches += IN_STYLES.findall(values.get("style", ""))


def faults(site: Path) -> Iterator[str]:
    """Yield what is wrong with a site, a line for each fault.

    Args:
        site: The folder that was built.
    """
    pages: dict[Path, Page] = {}
    for file in sorted(site.rglob("*.html")):
        page = Page()
        page.feed(file.read_text(encoding="utf-8"))
        pages[file] = page
    if not pages:
        yield "there is no page"
    for file, page in pages.items():
        name = file.relative_to(site).as_posix()
        for address in page.fetches:
            yield from _fetch_fault(site, file, name, address)
        # The page for what is not found is shown at any address, so its links begin at the root.
        for link in page.links if name != "404.html" else ():
            yield from _link_fault(site, file, name, link, pages)
    for file in sorted(site.rglob("*.css")):
        for address in IN_STYLES.findall(file.read_text(encoding="utf-8")):
            yield from _fetch_fault(site, file, file.relative_to(site).as_posix(), address)


def _fetch_fault(site: Path, file: Path, name: str, address: str) -> Iterator[str]:
    parts = urlsplit(address)
    if parts.scheme == "data" or address.startswith("#"):
        return
    if parts.scheme or parts.netloc:
        yield f"{name} fetches {address} from elsewhere"
    elif name != "404.html" and not _target(site, file, parts.path).is_file():
        yield f"{name} fetches {address}, which is not there"


def _link_fault(
    site: Path, file: Path, name: str, link: str, pages: dict[Path, Page]
) -> Iterator[str]:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        if parts.scheme not in {"https", "http", "mailto"}:
            yield f"{name} links to {link}"
        return
    target = _target(site, file, parts.path) if parts.path else file
    if target.is_dir():
        target /= "index.html"
    if not target.is_file():
        yield f"{name} links to {link}, which is not there"
    elif parts.fragment and target in pages:
        anchor = unquote(parts.fragment)
        if anchor not in pages[target].anchors:
            yield f"{name} links to {link}, and there is no #{anchor} on that page"


def _target(site: Path, file: Path, path: str) -> Path:
    base = site if path.startswith("/") else file.parent
    return (base / unquote(path).lstrip("/")).resolve()
