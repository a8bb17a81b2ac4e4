"""A response as it came, and with what was read from it."""

from __future__ import annotations

from typing import Generic, TypeVar

import httpx
from attrs import define, field

from .types import Equality, counted


@define(eq=False)
class RawResponse(Equality):
    """A response as it came over the wire, decompressed and complete."""

    status_code: int
    headers: httpx.Headers = field(repr=False)
    content: bytes = field(repr=lambda content: f"<{len(content)} bytes>")


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
