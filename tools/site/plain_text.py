"""The site for language models: every guide as plain Markdown, and llms.txt, which lists them.

The form is that of https://llmstxt.org. A page that is put together from docstrings is left out:
its Markdown has only the names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

_TITLE = re.compile(r"^# (.+)$", re.MULTILINE)
_DIRECTIVE = re.compile(r"^::: ", re.MULTILINE)
_FENCE = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)
_SENTENCE = re.compile(r".+?\.(?=\s|$)", re.DOTALL)
_PICTURE = re.compile(r"!\[[^\]]*\]\([^)]+\)")
_LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")


def write_plain_text(folder: Path, site: Path) -> None:
    """Write the guides and llms.txt into a built site.

    Args:
        folder: The gathered pages with mkdocs.yml, as `stage` writes them.
        site: The built site.
    """
    settings: dict[str, Any] = YAML(typ="safe").load((folder / "mkdocs.yml").read_text("utf-8"))
    lines = [f"# {settings['site_name']}", "", f"> {settings['site_description']}"]
    for section, pages in sections(settings["nav"]):
        listed: list[str] = []
        for page in pages:
            text = (folder / "pages" / page).read_text(encoding="utf-8")
            if _DIRECTIVE.search(text) and page != "errors.md":
                continue
            target = site / page
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
            listed.append(f"- [{title_of(text)}]({page}): {summary_of(text)}")
        if listed:
            lines += ["", f"## {section}", "", *listed]
    (site / "llms.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def sections(nav: list[Any]) -> Iterator[tuple[str, list[str]]]:
    """Yield each section of the menu with its pages, those of its own sections included."""
    for entry in nav:
        if isinstance(entry, str):
            yield "Pages", [entry]
            continue
        ((title, below),) = entry.items()
        yield title, list(_pages(below))


def _pages(below: Any) -> Iterator[str]:
    if isinstance(below, str):
        yield below
    else:
        for entry in below:
            yield from _pages(next(iter(entry.values())) if isinstance(entry, dict) else entry)


def title_of(text: str) -> str:
    """Return the first heading of a page."""
    found = _TITLE.search(text)
    return "Untitled" if found is None else found[1].replace("`", "")


def summary_of(text: str) -> str:
    """Return the first sentence of a page, in one line and without pictures, links and emphasis."""
    prose = _PICTURE.sub("", _FENCE.sub("", _TITLE.sub("", text)))
    prose = _LINK.sub(r"\1", prose).replace("**", "")
    for paragraph in prose.split("\n\n"):
        line = " ".join(paragraph.split())
        if line[:1].isalpha() or line.startswith("`"):
            found = _SENTENCE.search(line)
            return line.rstrip(":") if found is None else found[0]
    return ""
