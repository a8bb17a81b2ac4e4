"""The pages of the site are gathered whole, links follow, and what is missing stops the build."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

import pytest
import yaml

import pipedrive_oauth_client
from pipedrive_oauth_client import fleet, sandbox, stores
from tools.environments import SetupError
from tools.site import staging
from tools.site.plain_text import summary_of, title_of
from tools.site.staging import moved, public_errors, with_diagrams, with_error_facts

ROOT = Path(__file__).parents[2]
ERRORS = (ROOT / "docs/errors.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Gather the project's own site."""
    folder = tmp_path_factory.mktemp("staged")
    staging.stage(ROOT, folder)
    return folder


def test_every_page_is_in_the_menu(staged: Path) -> None:
    """Each page that was gathered is in the menu once, and the menu names no other."""
    menu = yaml.safe_load((staged / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    named = re.findall(r"[\w/-]+\.md", str(menu))
    gathered = [page.relative_to(staged / "pages") for page in staged.rglob("*.md")]
    assert sorted(named) == sorted(map(str, gathered))
    assert len(named) > 25


def test_documents_outside_docs_are_pages(staged: Path) -> None:
    """Security, changes, license and contributing are read from the documents themselves."""
    pages = staged / "pages"
    for name, page in (
        ("SECURITY", "security"),
        ("CHANGELOG", "changelog"),
        ("CONTRIBUTING", "contributing"),
    ):
        text = (ROOT / f"{name}.md").read_text(encoding="utf-8")
        assert text.splitlines()[0] == (pages / f"{page}.md").read_text("utf-8").splitlines()[0]
    assert "MIT License" in (pages / "license.md").read_text("utf-8")


def documented() -> set[str]:
    """Return the names that the pages of the Python reference show."""
    texts = [page.read_text(encoding="utf-8") for page in (ROOT / "docs/python").glob("*.md")]
    return set(re.findall(r"^::: (\S+)$", "\n".join(texts), re.MULTILINE))


def test_every_public_name_is_documented() -> None:
    """Each public name is on a page of the Python reference, or has one of its own."""
    package = pipedrive_oauth_client.__name__
    own = public_errors().keys() | {"__version__"}
    own |= {page.stem for page, _text in _reference_pages()}
    for module in (pipedrive_oauth_client, stores, sandbox, fleet):
        wanted = {f"{module.__name__}.{name}" for name in module.__all__}
        if module is pipedrive_oauth_client:
            wanted -= {f"{package}.{name}" for name in own}
        assert wanted - documented() == set()


def _reference_pages() -> list[tuple[PurePosixPath, str]]:
    return [(PurePosixPath(path), text) for path, text in staging.made_pages(ROOT)]


PLACES = {"docs/a.md": "a.md", "docs/b/c.md": "b/c.md", "SECURITY.md": "security.md"}


@pytest.mark.parametrize(
    ("source", "page", "text", "wanted"),
    [
        ("docs/a.md", "a.md", "[x](b/c.md)", "[x](b/c.md)"),
        ("docs/b/c.md", "b/c.md", "[x](../a.md#y)", "[x](../a.md#y)"),
        ("docs/a.md", "a.md", "[x](../SECURITY.md)", "[x](security.md)"),
        ("SECURITY.md", "security.md", "[x](docs/b/c.md)", "[x](b/c.md)"),
        ("docs/a.md", "a.md", "[x](https://a.example/b)", "[x](https://a.example/b)"),
        ("docs/a.md", "a.md", "[x](#y)", "[x](#y)"),
        ("docs/a.md", "a.md", "`[x](gone.md)`", "`[x](gone.md)`"),
        ("docs/a.md", "a.md", "```\n[x](gone.md)\n```\n", "```\n[x](gone.md)\n```\n"),
    ],
)
def test_link_follows_its_page(source: str, page: str, text: str, wanted: str) -> None:
    """A link leads to where its target is on the site; addresses and code stay as they are."""
    assert moved(text, PurePosixPath(source), PurePosixPath(page), PLACES) == wanted


@pytest.mark.parametrize("target", ["gone.md", "../tools/once.py", "../../elsewhere.md"])
def test_link_to_what_is_not_on_the_site_is_an_error(target: str) -> None:
    """A link that would lead nowhere names its page and its target."""
    page = PurePosixPath("docs/a.md")
    with pytest.raises(SetupError, match=rf"docs/a\.md links to {re.escape(target)}"):
        moved(f"[x]({target})", page, PurePosixPath("a.md"), PLACES)


def test_errors_stand_in_the_order_of_the_tree() -> None:
    """Every public error has a heading, under that of its base."""
    headings = re.findall(r"^(##+) (\w+)$", ERRORS, re.MULTILINE)
    bases = {name: each.__mro__[1].__name__ for name, each in public_errors().items()}
    assert sorted(name for _marks, name in headings) == sorted(bases)
    above = {1: "PipedriveOAuthError"}
    for marks, name in headings[1:]:
        assert bases[name] == above[len(marks) - 1]
        above[len(marks)] = name


def test_every_error_has_advice() -> None:
    """Under each heading stands what to do, in more than a word."""
    for section in re.split(r"^##+ ", ERRORS, flags=re.MULTILINE)[1:]:
        advice = section.partition("**What to do:**")[2]
        assert len(advice.split()) > 8, section


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("## TransportError\n", "", "0 headings for TransportError"),
        ("## TransportError\n", "## TransportError\n\n## TransportError\n", "2 headings"),
        ("## TransportError\n", "## TransportError\n\n## LostError\n", "LostError, which is no"),
    ],
)
def test_catalog_that_misses_the_tree_is_an_error(old: str, new: str, fault: str) -> None:
    """An error without its heading, or a heading without its error, stops the build."""
    with pytest.raises(SetupError, match=re.escape(fault)):
        with_error_facts(ERRORS.replace(old, new, 1))


def test_pictures_are_on_the_site(staged: Path) -> None:
    """Each plot and each screenshot that a page shows is copied, and no other is lying about."""
    pages = "".join(page.read_text("utf-8") for page in (ROOT / "docs").glob("*.md"))
    shown = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", pages)
    assert {Path(name).suffix for name in shown} == {".svg", ".png"}
    assert sorted(shown) == staging.pictures_of(ROOT)
    for name in shown:
        assert (staged / "pages" / name).read_bytes() == (ROOT / "docs" / name).read_bytes()


def test_diagram_becomes_what_the_theme_draws() -> None:
    """A page with a diagram gets it as text that a script draws; other pages load no script."""
    page = PurePosixPath("python/auth.md")
    text = "# T\n\n```mermaid\nflowchart\n  a --> b\n```\n"
    assert with_diagrams(text, page) == (
        '# T\n\n<div class="diagram"><pre class="mermaid"><code>flowchart\n  a --&gt; b\n'
        "</code></pre></div>\n\n"
        '<script src="../assets/mermaid.min.js"></script>\n'
    )
    assert with_diagrams("# T\n", page) == "# T\n"


def test_summary_is_the_first_sentence() -> None:
    """A page's line in llms.txt is its first sentence, without pictures, links, emphasis, code."""
    text = (
        "# `T`\n\n```sh\nmake. it\n```\n\n| a |\n\n![A. B](c.png)\n\n"
        "See ![d](e.png) **how** [a](b.md) v1.2 works. More.\n"
    )
    assert title_of(text) == "T"
    assert summary_of(text) == "See how a v1.2 works."
