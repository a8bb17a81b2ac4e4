"""Descriptions of the spec as text of docstrings: wrapped, escaped, sentences ended."""

from __future__ import annotations

import textwrap

from openapi_python_client.parser.properties.protocol import Value
from openapi_python_client.schema.untrusted_string import UntrustedString
from openapi_python_client.strings import safe_for_docstring

_WIDTH = 88


def doc(text: UntrustedString | str, *, width: int = _WIDTH) -> str:
    """Wrap a description: blank lines part paragraphs, and lines that begin with `- ` are items.

    The lines have no indentation, and nothing that could end a docstring or start an escape.
    """
    blocks = _plain(text).strip().split("\n\n")
    return "\n\n".join("\n".join(_fill(line, width) for line in _unfold(block)) for block in blocks)


def item(name: str, text: UntrustedString | str | None, default: Value | None = None) -> str:
    """Write an entry of an `Args:` or `Attributes:` section, later lines indented by four."""
    described = " ".join(_plain(text or "").split())
    if default is not None:
        described += f" Default: `{default.raw_value}`."
    return textwrap.indent(doc(f"{name}: {described}", width=_WIDTH - 8), "    ").strip()


def sentence(text: UntrustedString | str) -> str:
    """End a summary with a full stop, unless it has an end of its own."""
    plain = _plain(text).strip()
    return plain if plain.endswith((".", "!", "?")) else f"{plain}."


def _plain(text: UntrustedString | str) -> str:
    return text.get_untrusted_value() if isinstance(text, UntrustedString) else str(text)


def _unfold(block: str) -> list[str]:
    """Join the lines of a paragraph, but begin a new one at each item of a list."""
    lines: list[str] = []
    for line in block.splitlines():
        if lines and not line.lstrip().startswith("- "):
            lines[-1] += f" {line.strip()}"
        else:
            lines.append(line.strip())
    return lines


def _fill(line: str, width: int) -> str:
    return textwrap.fill(
        safe_for_docstring(line),
        width,
        subsequent_indent="  " if line.startswith("- ") else "",
        break_long_words=False,
        break_on_hyphens=False,
    )
