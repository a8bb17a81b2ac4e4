"""Links between the project's documents, as they are on the site.

A document's links lead to files of the project, so that they work where the project is browsed. On
the site the same documents have other places, and a link has to follow.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import PurePosixPath

from tools.environments import SetupError

LINK = re.compile(r"(?<=\]\()(?P<target>[^)\s#]*)(?P<anchor>#[^)\s]*)?(?=\))")
CODE = re.compile(r"^ *```.*?^ *```$|`[^`\n]+`", re.DOTALL | re.MULTILINE)


def moved(text: str, source: PurePosixPath, page: PurePosixPath, places: Mapping[str, str]) -> str:
    """Give a document's text with its links as the site needs them.

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
