"""What the models share: how a value that was not given, or must not be shown, appears."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, Self


class Unset:
    """The type of `UNSET`, which stands where an optional value was not given."""

    _only: Unset | None = None

    def __new__(cls) -> Self:
        """Give the one object of this type."""
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
    """Stand in for a secret in a `repr`, but show whether there is one.

    Args:
        value: The value of the field.

    Returns:
        `UNSET` for a value that is not there, and the same words for any other.
    """
    return "UNSET" if isinstance(value, Unset) else "<hidden>"


def counted(fields: Mapping[str, Any]) -> str:
    """Stand in for fields that the spec does not name in a `repr`: they may be secret.

    Args:
        fields: The fields by name.

    Returns:
        How many there are.
    """
    return f"<{len(fields)} hidden>"


__all__ = ["UNSET", "Unset", "counted", "hidden"]
