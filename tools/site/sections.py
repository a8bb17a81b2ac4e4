"""Parts of a Markdown document, by their headings."""

from __future__ import annotations

import re

from tools.environments import SetupError


def split_off(text: str, title: str) -> tuple[str, str]:
    """Take a section of the second level out of a document.

    Args:
        text: The document.
        title: The section's heading.

    Returns:
        The section as a document of its own, its headings one level up, and the document without
        it.

    Raises:
        SetupError: The document has no such section.
    """
    pattern = rf"^## {re.escape(title)}$.*?(?=^## |\Z)"
    found = re.search(pattern, text, re.DOTALL | re.MULTILINE)
    if found is None:
        raise SetupError(f"no section {title!r} is there to make a page of")
    own = re.sub(r"^#(#+ )", r"\1", found[0], flags=re.MULTILINE)
    return own.rstrip() + "\n", text[: found.start()] + text[found.end() :]
