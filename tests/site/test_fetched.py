"""The check of a built site finds what it is there to find, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.site.fetched import faults

GOOD = """
<html><head>
<link rel="canonical" href="https://docs.example/index.html">
<link rel="stylesheet" href="assets/site.css">
<link rel="icon" href="data:image/png;base64,AA">
<script src="assets/site.js"></script>
</head><body>
<h1 id="top">T</h1><a name="old"></a>
<a href="#top">up</a> <a href="">here</a> <a href="more/other.html#there">other</a>
<a href="more/">a folder</a> <a href="https://elsewhere.example/x">elsewhere</a>
<a href="mailto:a@example.org">mail</a> <img src="assets/a%20b.png">
</body></html>
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A small site without a fault."""
    files = {
        "index.html": GOOD,
        "404.html": '<a href="/index.html">home</a><script src="/assets/site.js"></script>',
        "more/index.html": '<a href="../index.html#old">back</a>',
        "more/other.html": '<p id="there">x</p>',
        "assets/site.css": "a { background: url('icon.svg') } b { background: url(data:a) }",
        "assets/site.js": "",
        "assets/icon.svg": "",
        "assets/a b.png": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert list(faults(tmp_path)) == []
    return tmp_path


FAULTS = {
    "a script": ('<script src="https://cdn.example/x.js">', "fetches https://cdn.example/x.js"),
    "no scheme": ('<script src="//cdn.example/x.js">', "fetches //cdn.example/x.js from"),
    "a font": ('<link rel="stylesheet" href="https://f.example/css">', "fetches https://f.ex"),
    "a connection": ('<link rel="preconnect" href="https://f.example">', "fetches https://f.ex"),
    "a picture": ('<img src="https://p.example/x.png">', "fetches https://p.example/x.png"),
    "a frame": ('<iframe src="https://p.example/"></iframe>', "fetches https://p.example/"),
    "a style": ('<p style="background: url(https://p.example/x)">', "fetches https://p.exam"),
    "a lost picture": ('<img src="assets/gone.png">', "assets/gone.png, which is not there"),
}


@pytest.mark.parametrize(("html", "fault"), FAULTS.values(), ids=FAULTS.keys())
def test_fault_of_a_page_is_found(site: Path, html: str, fault: str) -> None:
    """Each kind of thing fetched from elsewhere, or not there, is named with its page."""
    page = site / ("index.html" if "assets" in html else "more/other.html")
    page.write_text(page.read_text("utf-8") + html, encoding="utf-8")
    (found,) = faults(site)
    assert fault in found
    assert found.startswith(page.relative_to(site).as_posix())


@pytest.mark.parametrize("rule", ["@import 'https://f.example/x.css';", "a{b:url(//f.example/x)}"])
def test_fault_of_a_style_is_found(site: Path, rule: str) -> None:
    """A style sheet that fetches from elsewhere is named, too."""
    (site / "assets/site.css").write_text(rule, encoding="utf-8")
    (found,) = faults(site)
    assert found.startswith("assets/site.css fetches ")


def test_site_without_a_page_is_no_site(tmp_path: Path) -> None:
    """An empty folder does not pass."""
    assert list(faults(tmp_path)) == ["there is no page"]
