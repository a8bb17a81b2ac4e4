"""The characters of codes and tokens: VSCHAR of RFC 6749, appendices A.11, A.12 and A.17."""

from __future__ import annotations

import re

__all__ = ["is_vschar"]

_VSCHAR = re.compile(r"[\x20-\x7e]+")


def is_vschar(value: object) -> bool:
    """Tell whether a value is a string that can be a code or a token, and stand in a header.

    Args:
        value: The value.

    Returns:
        Whether it is a string of at least one printable ASCII character, and of nothing else.
    """
    return isinstance(value, str) and _VSCHAR.fullmatch(value) is not None
