"""A response as it came, and with what was read from it."""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

import httpx
from attrs import define, field

from .types import Equality, counted


class RawResponse(NamedTuple):
    """A response as it came over the wire, decompressed and complete."""

    status_code: int
    headers: httpx.Headers
    content: bytes

    # By hand, as in `Equality`: test runners take the equality of named tuples apart as well.
    def __eq__(self, other: object) -> bool:
        return tuple(self) == other

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"RawResponse(status_code={self.status_code}, content=<{len(self.content)} bytes>)"


T = TypeVar("T")


@define(eq=False)
class Response(Equality, Generic[T]):
    """A response as it came, with what was read from it.

    Attributes:
        status_code: The HTTP status, any number that a server may send.
        content: The body; hidden in `repr`, since the body of a token response is all secrets.
        headers: The headers, looked up without regard to case; also hidden in `repr`.
        parsed: The model that the spec gives for this status, or None.
    """

    status_code: int
    content: bytes = field(repr=lambda content: f"<{len(content)} bytes>")
    headers: httpx.Headers = field(repr=counted)
    parsed: T | None


__all__ = ["RawResponse", "Response"]
