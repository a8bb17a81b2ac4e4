"""Gathers the pages of the site in one folder, with the settings to build them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path, PurePosixPath
from typing import Any

from ruamel.yaml import YAML

from tools.apidocs.pages import pages, read_document
from tools.environments import SetupError
from tools.site import errors_page
from tools.site.links import moved
from tools.site.sections import split_off

# Documents outside docs/ that are pages, too.
DOCUMENTS = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "LICENSE": "licence.md",
    "README.md": "index.md",
    "SECURITY.md": "security.md",
}
# What pages may link to and readers may download.
FILES = (
    "openapi.yaml",
    "examples/web_app.py",
    "examples/command_line.py",
    "tools/specdiff/report.schema.json",
)
CHANGING = "How to change the API"


def stage(root: Path, folder: Path) -> None:
    """Write the pages and mkdocs.yml into a folder.

    Args:
        root: The project.
        folder: An empty folder.

    Raises:
        SetupError: A page can't be made.
    """
    places = places_of(root)
    target = folder / "pages"
    for path, text in [*written_pages(root, places), *made_pages(root)]:
        page = target / path
        if page.exists():
            raise SetupError(f"two pages want to be {path}")
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text, encoding="utf-8")
    for name in FILES:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / name, target / name)
    shutil.copytree(Path(__file__).parent / "assets", target / "assets")
    for name in plots_of(root):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / "docs" / name, target / name)
    settings = (root / "mkdocs.yml").read_text(encoding="utf-8")
    (folder / "mkdocs.yml").write_text(with_folders(settings, root, target), encoding="utf-8")


def plots_of(root: Path) -> list[str]:
    """Give the plots of the page of the benchmarks, by their place in docs/."""
    return sorted(
        p.relative_to(root / "docs").as_posix() for p in root.glob("docs/benchmarks/*.svg")
    )


def places_of(root: Path) -> Mapping[str, str]:
    """Give the place on the site of each file that is there, by its place in the project."""
    own = (page.relative_to(root) for page in (root / "docs").rglob("*.md"))
    return {
        **DOCUMENTS,
        **{name: name for name in FILES},
        **{f"docs/{name}": name for name in plots_of(root)},
        **{page.as_posix(): page.relative_to("docs").as_posix() for page in own},
        # Of what is written only here, so that pages in docs/ can link to it.
        **{f"docs/{path}": path for path, _text in made_pages(root)},
        "docs/changing-the-api.md": "changing-the-api.md",
        **{f"docs/{path}": path for path in DOCUMENTS.values()},
    }


def written_pages(root: Path, places: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Give the pages that people wrote, with their links as the site has them."""
    for page in sorted((root / "docs").rglob("*.md")):
        source = PurePosixPath(page.relative_to(root).as_posix())
        path = source.relative_to("docs")
        text = page.read_text(encoding="utf-8")
        if path.name == "errors.md":
            text = errors_page.complete(text)
        yield str(path), moved(text, source, path, places)
    for name in ("CHANGELOG.md", "SECURITY.md", "CONTRIBUTING.md"):
        text = (root / name).read_text(encoding="utf-8")
        path = PurePosixPath(DOCUMENTS[name])
        if name == "CONTRIBUTING.md":
            section, text = split_off(text, CHANGING)
            changing = PurePosixPath("changing-the-api.md")
            yield str(changing), moved(section, PurePosixPath(name), changing, places)
        yield str(path), moved(text, PurePosixPath(name), path, places)
    licence = (root / "LICENSE").read_text(encoding="utf-8")
    yield DOCUMENTS["LICENSE"], f"# Licence\n\n```text\n{licence}```\n"


def made_pages(root: Path) -> Iterator[tuple[str, str]]:
    """Give the pages that are written from the spec."""
    document = read_document(root / "openapi.yaml")
    for path, text in pages(document):
        yield f"reference/{path}", text


def with_folders(settings: str, root: Path, pages: Path) -> str:
    """Give mkdocs.yml with the project's folder, and each page in place of a folder of pages."""
    yaml = YAML()
    content: dict[str, Any] = yaml.load(settings)
    content["nav"] = [_filled(entry, pages) for entry in content["nav"]]
    for plugin in content["plugins"]:
        if "mkdocstrings" in plugin:
            python = plugin["mkdocstrings"]["handlers"]["python"]
            python["paths"] = [str(root)]
            python["options"]["extensions"] = [str(Path(__file__).with_name("attrs_classes.py"))]
    text = StringIO()
    yaml.dump(content, text)
    return text.getvalue()


def _filled(entry: Any, pages: Path) -> Any:
    if isinstance(entry, dict):
        ((title, below),) = entry.items()
        if isinstance(below, str) and below.endswith("/"):
            found = sorted((pages / below).glob("*.md"))
            return {title: [page.relative_to(pages).as_posix() for page in found]}
        if isinstance(below, list):
            return {title: [_filled(each, pages) for each in below]}
    return entry
