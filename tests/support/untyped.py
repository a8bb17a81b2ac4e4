"""The eyes of a caller who uses no type checker."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def untyped(function: Callable[..., T]) -> Callable[..., T]:
    """Give the function as one that takes anything, for tests that pass what it has to refuse."""
    return function
