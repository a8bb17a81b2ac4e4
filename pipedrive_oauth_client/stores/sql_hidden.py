"""Tokens out of a database, which logs don't show.

An engine that writes all it does into the log writes the rows that it gets, by their `repr`.
"""

from __future__ import annotations

from sqlalchemy import LargeBinary, Text
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.types import TypeDecorator

__all__ = ["HiddenBinary", "HiddenText"]


class _Characters(str):
    __slots__ = ()

    def __repr__(self) -> str:
        return "<hidden>"


class _Bytes(bytes):
    __slots__ = ()

    def __repr__(self) -> str:
        return "<hidden>"


class HiddenText(TypeDecorator[str]):
    """A text whose `repr` does not show it."""

    impl = Text
    cache_ok = True

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - what the base class says
        """Hide a text that comes from the database."""
        return None if value is None else _Characters(value)


class HiddenBinary(TypeDecorator[bytes]):
    """Bytes whose `repr` does not show them."""

    impl = LargeBinary
    cache_ok = True

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> bytes | None:  # noqa: ARG002 - what the base class says
        """Hide bytes that come from the database."""
        return None if value is None else _Bytes(value)
