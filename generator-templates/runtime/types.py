"""What the models share: values that are not given, and values that must not be shown."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final, Literal, Self

from attrs import fields


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


# One call for each comparison: each refresh compares tokens.
@lru_cache
def _compared(kind: Any) -> attrgetter[object]:
    return attrgetter(*(each.name for each in fields(kind) if each.eq))


class Equality:  # noqa: PLW1641 - there is no hash of what can change
    """Compares two objects of one class by their fields, as attrs does.

    Written by hand, since test runners take the equality of attrs apart: where an assertion fails,
    pytest would show each field that differs, secrets included.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        kind: Any = self.__class__
        compared = _compared(kind)
        return compared(self) == compared(other)


class FrozenEquality(Equality):
    """The same for what can't change, and so can be hashed."""

    __slots__ = ()

    def __hash__(self) -> int:
        kind: Any = self.__class__
        return hash((kind, _compared(kind)(self)))


__all__ = ["UNSET", "Equality", "FrozenEquality", "Unset", "counted", "hidden"]
