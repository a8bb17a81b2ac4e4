"""The built site: it has the published tables, no broken link, and needs no other server.

`make docs` runs this after building site/; `make test` does not, as it builds no site.
"""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from tests.browser.conftest import chromium
from tests.browser.driver import Browser
from tests.specs.published import PUBLISHED, PublishedOperation

__all__ = ["chromium"]

ROOT = Path(__file__).parents[2]
SITE = ROOT / "site"
LINKS = {
    "other.md#there": "",
    "#here": "",
    "gone.md": "'gone.md', but the target is not found",
    "other.md#gone": "does not contain an anchor '#gone'",
    "#gone": "there is no such anchor on this page",
    "/other.md": "absolute link '/other.md'",
    "gone.html": "'gone.html'",
}


class Tables(HTMLParser):
    """Reads the tables of a page, and the text under each heading."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.sections: dict[str, str] = {}
        self._section = ""
        self._cell = self._heading = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in {"td", "th"}:
            self.tables[-1][-1].append("")
            self._cell = True
        elif tag == "h2":
            self._section = dict(attrs).get("id") or ""
            self.sections[self._section] = ""

    def handle_endtag(self, tag: str) -> None:
        if tag in {"td", "th"}:
            self._cell = False

    def handle_data(self, data: str) -> None:
        if self._cell:
            self.tables[-1][-1][-1] += data
        if self._section:
            self.sections[self._section] += data


def read(page: str) -> Tables:
    """Read a page of the site."""
    found = Tables()
    found.feed((SITE / page).read_text(encoding="utf-8"))
    return found


def test_overview_has_the_published_rows() -> None:
    """The overview lists each published operation with request and title, in the order."""
    rows = read("reference/index.html").tables[0]
    assert rows[0] == ["Method", "HTTP request", "Description"]
    assert rows[1 : len(PUBLISHED) + 1] == [[o.name, o.request, o.title] for o in PUBLISHED]


@pytest.mark.parametrize("operation", PUBLISHED, ids=[each.name for each in PUBLISHED])
def test_page_has_the_published_table_row_by_row(operation: PublishedOperation) -> None:
    """Each row of a published table is a row of the page: name, type, required, default."""
    head, *rows = read(f"reference/operations/{operation.name}.html").tables[0]
    assert head == ["Name", "Type", "Description", "Required", "Notes"]
    assert [row[0] for row in rows] == [published.name for published in operation.rows]
    for row, published in zip(rows, operation.rows, strict=True):
        _name, kind, description, required, notes = row
        assert kind == ("str" if published.required else "str | Unset")
        assert len(description.split()) > 3
        assert required == ("required" if published.required else "optional")
        assert ("default to " in notes) is (published.default is not None)
        assert published.default is None or f"default to {published.default}" in notes


@pytest.mark.parametrize("operation", PUBLISHED, ids=[each.name for each in PUBLISHED])
def test_page_has_what_stands_under_the_published_table(operation: PublishedOperation) -> None:
    """Return type, authorization and headers are those of the published page."""
    sections = read(f"reference/operations/{operation.name}.html").sections
    assert operation.request in sections["http-request"]
    assert (operation.result or "None") in sections["return-type"]
    assert (operation.scheme or "No authorization required") in sections["authorization"]
    headers = sections["http-request-headers"]
    assert f"Content-Type: {operation.content_type or 'not defined'}" in headers
    assert f"Accept: {operation.accept}" in headers


@pytest.mark.parametrize(("link", "fault"), LINKS.items(), ids=LINKS)
def test_mkdocs_stops_at_a_broken_link(tmp_path: Path, link: str, fault: str) -> None:
    """With the site's own settings, MkDocs builds no site with a link that leads nowhere."""
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    kept = {name: settings[name] for name in ("strict", "use_directory_urls", "validation")}
    (tmp_path / "mkdocs.yml").write_text(yaml.safe_dump({"site_name": "x", **kept}), "utf-8")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/index.md").write_text(f"# T\n\n## Here\n\n[x]({link})\n", "utf-8")
    (tmp_path / "docs/other.md").write_text("# O\n\n## There\n", "utf-8")
    done = subprocess.run(
        [ROOT / ".venv-site/bin/python", "-I", "-m", "mkdocs", "build"],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=60,
    )
    assert (done.returncode == 0) is (not fault), done.stderr
    assert fault in done.stderr


@pytest.fixture
def page(chromium: Browser) -> Iterator[Browser]:
    """The front page, opened from the folder: there is no server at all."""
    chromium.open((SITE / "index.html").as_uri())
    chromium.complaints()
    yield chromium
    assert chromium.complaints() == []


def test_search_needs_no_server(page: Browser) -> None:
    """A page that was opened from a folder finds others."""
    page.find("input[name=query]").send_keys("dormant accounts")
    results = page.wait(lambda: page.find_all(".md-search-result__item h1"))
    assert "Many workers and unused accounts" in [result.text for result in results]


@pytest.fixture
def address() -> Iterator[str]:
    """Serve the site on a free port."""
    handler = partial(SimpleHTTPRequestHandler, directory=SITE)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_site_fetches_nothing_from_elsewhere(page: Browser, address: str) -> None:
    """A page and its search load all they need from the site's own server."""
    page.open(address)
    page.find("input[name=query]").send_keys("dormant accounts")
    assert page.wait(lambda: page.find_all(".md-search-result__item h1"))
    fetched = page.run(
        "return JSON.stringify(performance.getEntriesByType('resource').map((each) => each.name))"
    )
    addresses = json.loads(str(fetched))
    assert len(addresses) > 3
    assert [each for each in addresses if not each.startswith((address, "data:"))] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["index", "reference/operations/get_tokens", "benchmarks"])
def test_page_fits_a_phone_and_can_be_read(page: Browser, name: str, scheme: str) -> None:
    """On a phone, light or dark, a page is no wider than the screen, and text has contrast."""
    page.looks(width=400, scheme=scheme)
    page.open((SITE / f"{name}.html").as_uri())
    assert not page.scrolls_sideways()
    # The menu and the search are there, but out of sight.
    page.run(
        "for (const each of document.querySelectorAll('.md-header, .md-sidebar, .md-overlay'))"
        "  each.style.display = 'none'"
    )
    assert page.low_contrasts() == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["quick-start", "design", "disconnected-accounts"])
def test_diagrams_are_drawn(page: Browser, name: str, scheme: str) -> None:
    """A page that was opened from a folder draws its diagrams, without another server."""
    page.looks(width=1200, scheme=scheme)
    page.open((SITE / f"{name}.html").as_uri())
    heights = "return [...document.querySelectorAll('div.mermaid')].map((e) => e.offsetHeight)"
    assert page.wait(lambda: page.run("return !document.querySelector('pre.mermaid')"))
    drawn = page.run(heights)
    assert isinstance(drawn, list)
    assert drawn
    assert min(drawn) > 150


def test_guides_are_there_as_plain_markdown() -> None:
    """llms.txt lists the guides, each with a summary; each is there as Markdown, with pictures."""
    text = (SITE / "llms.txt").read_text(encoding="utf-8")
    listed = re.findall(r"^- \[(.+?)\]\((\S+)\): (.+)$", text, re.MULTILINE)
    assert "quick-start.md" in {page for _title, page, _summary in listed}
    for title, name, summary in listed:
        page = (SITE / name).read_text(encoding="utf-8")
        assert f"# {title}" in page.replace("`", "")
        assert len(summary) > 10, name
        for picture in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page):
            assert (SITE / name).parent.joinpath(picture).is_file(), picture
