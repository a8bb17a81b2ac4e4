"""What the models share: values that are not given, and values that must not be shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, Self


class Unset:
    """The type of `UNSET`, the value of what was not given."""

    _only: Unset | None = None

    def __new__(cls) -> Self:
        """Return the only object of this type."""
        # One object for all, so that `is UNSET` holds after copying and unpickling, too.
        if not isinstance(cls._only, cls):
            cls._only = super().__new__(cls)
        return cls._only

    def __reduce__(self) -> str:
        return "UNSET"

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset()


def hidden(value: object) -> str:
    """Stand in for a secret in a `repr`, but show whether it is set."""
    return "UNSET" if isinstance(value, Unset) else "<hidden>"


def counted(fields: Mapping[str, Any]) -> str:
    """Stand in for unknown fields in a `repr`, since they may be secret: how many there are."""
    return f"<{len(fields)} hidden>"


__all__ = ["UNSET", "Unset", "counted", "hidden"]
