"""Limits of values, and which of two is the stricter."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any, Literal, TypeAlias

Limits: TypeAlias = dict[str, Any]
Verdict: TypeAlias = Literal["tightened", "loosened", "changed"]

_LOWER = ("minLength", "minItems", "minProperties")
_UPPER = ("maxLength", "maxItems", "maxProperties")


def read_limits(node: dict[str, Any]) -> Limits:
    """Read the limits of a schema; `minimum` and `maximum` with whether the end is left out.

    Args:
        node: The schema, of OpenAPI 3.0 or 3.1.
    """
    found: Limits = {}
    for key in (*_LOWER, *_UPPER, "multipleOf"):
        if _is_number(node.get(key)) and not (key in _LOWER and node[key] == 0):
            found[key] = node[key]
    for key, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        ends = []
        if _is_number(node.get(key)):
            ends.append((node[key], node.get(exclusive) is True))
        if _is_number(node.get(exclusive)):
            ends.append((node[exclusive], True))
        if ends:
            found[key] = max(ends, key=_strictness(key))
    if isinstance(node.get("pattern"), str):
        found["pattern"] = frozenset({node["pattern"]})
    if node.get("uniqueItems") is True:
        found["uniqueItems"] = True
    return found


def stricter(one: Limits, other: Limits) -> Limits:
    """Put together limits that both have to be kept."""
    both = {**other, **one}
    for key in one.keys() & other.keys():
        if key == "pattern":
            both[key] = one[key] | other[key]
        elif compare_limit(key, one[key], other[key]) == "tightened":
            both[key] = other[key]
    return both


def compare_limit(key: str, old: Any, new: Any) -> Verdict | None:
    """Tell whether a limit became stricter.

    Args:
        key: The limit.
        old: What it was, or None.
        new: What it is, or None.

    Returns:
        None if it is the same; `changed` where the two can't be compared.
    """
    if old == new:
        return None
    if old is None or new is None:
        return "tightened" if old is None else "loosened"
    if key == "pattern":
        return "tightened" if old < new else "loosened" if new < old else "changed"
    if key == "multipleOf":
        return _compare_steps(old, new)
    strictness = _strictness(key)
    return "tightened" if strictness(new) > strictness(old) else "loosened"


def _compare_steps(old: float, new: float) -> Verdict:
    if not old or not new:
        return "changed"
    ratio = Fraction(str(new)) / Fraction(str(old))
    if ratio.denominator == 1:
        return "tightened"
    return "loosened" if ratio.numerator == 1 else "changed"


def limit_text(key: str, value: Any) -> str:
    """Write a limit for a reader."""
    if value is None:
        return "none"
    if key in ("minimum", "maximum"):
        end, exclusive = value
        return f"{end}, exclusive" if exclusive else f"{end}"
    return " and ".join(sorted(value)) if key == "pattern" else str(value)


def _strictness(key: str) -> Callable[[Any], Any]:
    """Give what makes a key to sort limits by, the strictest last."""

    def of_end(end: tuple[float, bool]) -> tuple[float, bool]:
        value, exclusive = end
        return (value if key == "minimum" else -value, exclusive)

    def of_size(size: float) -> float:
        return size if key in _LOWER else -size

    return of_end if key in ("minimum", "maximum") else of_size


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value  # noqa: PLR0124
