"""The description of the package on an index: the README, with links that work there.

An index page has none of the project's files. So a link to one of them leads to the project's
source (`Source` in `[project.urls]`), or becomes plain text while there is no public address.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_RELATIVE_LINK = re.compile(r"\[(?P<text>[^\]]+)\]\((?P<target>(?!https?://)[^)]+)\)")


class ReadmeHook(MetadataHookInterface):
    """Writes the description when an archive is built."""

    PLUGIN_NAME = "custom"

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the description; hatchling calls this."""
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        source = metadata.get("urls", {}).get("Source")
        described = with_index_links(text, source)
        metadata["readme"] = {"content-type": "text/markdown", "text": described}


def with_index_links(text: str, source: str | None) -> str:
    """Return a document whose relative links lead to `source`, or are plain text without one."""
    if source is None:
        return _RELATIVE_LINK.sub(r"\g<text>", text)
    return _RELATIVE_LINK.sub(rf"[\g<text>]({source.rstrip('/')}/blob/main/\g<target>)", text)
