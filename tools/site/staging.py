"""Gathers the pages of the site in one folder, with the settings to build them.

A document's links lead to files of the project, so that they work where the project is browsed. On
the site the same documents have other places, and the links follow.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from html import escape
from io import StringIO
from pathlib import Path, PurePosixPath
from typing import Any

from ruamel.yaml import YAML

from pipedrive_oauth_client import errors
from pipedrive_oauth_client.errors import PipedriveOAuthError
from tools.environments import SetupError
from tools.site.reference import Api, pages, read_spec

# Documents outside docs/ that are pages, too.
DOCUMENTS = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "LICENSE": "license.md",
    "README.md": "index.md",
    "SECURITY.md": "security.md",
}
# What pages may link to and readers may download.
FILES = (
    "openapi.yaml",
    "examples/celery_worker.py",
    "examples/command_line.py",
    "examples/demo.py",
    "examples/django_app.py",
    "examples/fastapi_app.py",
    "examples/flask_app.py",
    "examples/web_app.py",
    "tools/specdiff/report.schema.json",
)
LINK = re.compile(r"(?<=\]\()(?P<target>[^)\s#]*)(?P<anchor>#[^)\s]*)?(?=\))")
CODE = re.compile(r"^ *```.*?^ *```$|`[^`\n]+`", re.DOTALL | re.MULTILINE)
DIAGRAM = re.compile(r"^```mermaid\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# Draws the diagrams of a page in the reader's browser. Pages without one don't load it.
DIAGRAMS_SCRIPT = "assets/mermaid.min.js"
ERROR_HEADING = re.compile(r"^#{2,4} `?(\w+)`?$", re.MULTILINE)


def stage(root: Path, folder: Path) -> None:
    """Write the pages and mkdocs.yml of a project into an empty folder.

    Raises:
        SetupError: A page cannot be made.
    """
    places = places_of(root)
    target = folder / "pages"
    for path, text in [*written_pages(root, places), *made_pages(root)]:
        page = target / path
        if page.exists():
            raise SetupError(f"two pages have the path {path}")
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text, encoding="utf-8")
    shutil.copytree(Path(__file__).parent / "assets", target / "assets")
    copies = {name: root / name for name in FILES}
    copies |= {name: root / "docs" / name for name in pictures_of(root)}
    for name, source in copies.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target / name)
    settings = (root / "mkdocs.yml").read_text(encoding="utf-8")
    (folder / "mkdocs.yml").write_text(with_folders(settings, root, target), encoding="utf-8")


def pictures_of(root: Path) -> list[str]:
    """Return the plots of the benchmarks and the screenshots, by their place in docs/."""
    found = (*root.glob("docs/benchmarks/*.svg"), *root.glob("docs/images/*.png"))
    return sorted(picture.relative_to(root / "docs").as_posix() for picture in found)


def places_of(root: Path) -> Mapping[str, str]:
    """Return the place on the site of each file that is there, by its place in the project."""
    own = (page.relative_to(root) for page in (root / "docs").rglob("*.md"))
    return {
        **DOCUMENTS,
        **{name: name for name in FILES},
        **{f"docs/{name}": name for name in pictures_of(root)},
        **{page.as_posix(): page.relative_to("docs").as_posix() for page in own},
        # Of what is written only here, so that pages in docs/ can link to it.
        **{f"docs/{path}": path for path, _text in made_pages(root)},
        "docs/changing-the-api.md": "changing-the-api.md",
        **{f"docs/{path}": path for path in DOCUMENTS.values()},
    }


def written_pages(root: Path, places: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the pages that people wrote, with their links as the site has them."""
    for page in sorted((root / "docs").rglob("*.md")):
        source = PurePosixPath(page.relative_to(root).as_posix())
        path = source.relative_to("docs")
        text = page.read_text(encoding="utf-8")
        if path.name == "errors.md":
            text = with_error_facts(text)
        yield str(path), with_diagrams(moved(text, source, path, places), path)
    for name in ("CHANGELOG.md", "SECURITY.md", "CONTRIBUTING.md"):
        text = (root / name).read_text(encoding="utf-8")
        path = PurePosixPath(DOCUMENTS[name])
        yield str(path), moved(text, PurePosixPath(name), path, places)
    license_text = (root / "LICENSE").read_text(encoding="utf-8")
    yield DOCUMENTS["LICENSE"], f"# License\n\n```text\n{license_text}```\n"


def made_pages(root: Path) -> Iterator[tuple[str, str]]:
    """Yield the pages that are written from the spec."""
    for path, text in pages(Api.read(read_spec(root / "openapi.yaml"))):
        yield f"reference/{path}", text


def moved(text: str, source: PurePosixPath, page: PurePosixPath, places: Mapping[str, str]) -> str:
    """Return a document's text with its links as the site needs them.

    Args:
        text: The document, in Markdown.
        source: Where it is in the project.
        page: Where it is on the site.
        places: Where the project's other files are on the site, by their place in the project.

    Raises:
        SetupError: A link leads to what is not on the site.
    """

    def put(found: re.Match[str]) -> str:
        target, anchor = found["target"], found["anchor"] or ""
        if not target or "://" in target or target.startswith("mailto:"):
            return found[0]
        file = os.path.normpath(source.parent / target)
        if file not in places:
            raise SetupError(f"{source} links to {target}, which is not a page of the site")
        return os.path.relpath(places[file], page.parent) + anchor

    pieces: list[str] = []
    end = 0
    for code in CODE.finditer(text):
        pieces += [LINK.sub(put, text[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*pieces, LINK.sub(put, text[end:])])


def with_diagrams(text: str, page: PurePosixPath) -> str:
    """Return a page's text with each diagram as the theme expects it, and what draws it."""
    if DIAGRAM.search(text) is None:
        return text
    script = os.path.relpath(DIAGRAMS_SCRIPT, page.parent)
    drawn = DIAGRAM.sub(
        lambda found: (
            f'<div class="diagram"><pre class="mermaid"><code>{escape(found[1])}</code></pre></div>'
        ),
        text,
    )
    return f'{drawn}\n<script src="{script}"></script>\n'


def public_errors() -> dict[str, type[PipedriveOAuthError]]:
    """Return every public error by its name."""
    found = (getattr(errors, name) for name in errors.__all__)
    return {error.__name__: error for error in found if issubclass(error, PipedriveOAuthError)}


def with_error_facts(text: str) -> str:
    """Return docs/errors.md with what the code says of each error under its heading.

    Raises:
        SetupError: A public error has no heading there, or a heading names none.
    """
    classes = public_errors()
    named = [name for name in ERROR_HEADING.findall(text) if name.endswith(("Error", "Status"))]
    for name in classes:
        if named.count(name) != 1:
            raise SetupError(f"docs/errors.md has {named.count(name)} headings for {name}, not 1")
    for name in named:
        if name not in classes:
            raise SetupError(f"docs/errors.md has a heading for {name}, which is no public error")

    def put(found: re.Match[str]) -> str:
        error = classes.get(found[1])
        return found[0] if error is None else f"{found[0]}\n\n{_facts(error)}"

    return ERROR_HEADING.sub(put, text)


def _facts(error: type[PipedriveOAuthError]) -> str:
    base = error.__mro__[1].__name__
    kind = "" if base == "Exception" else f"A kind of [`{base}`](#{base.lower()}).\n\n"
    off = ("members", "merge_init_into_class", "show_bases", "show_root_heading")
    options = "".join(f"      {name}: false\n" for name in (*off, "show_root_toc_entry"))
    return (
        f"{kind}::: pipedrive_oauth_client.errors.{error.__name__}\n"
        f"    options:\n      heading_level: 5\n{options}"
    )


def with_folders(settings: str, root: Path, pages: Path) -> str:
    """Return mkdocs.yml with the project's folder, and each page in place of a folder of pages."""
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
