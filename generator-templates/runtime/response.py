"""A response as it came, and with what was read from it."""

from __future__ import annotations

from typing import Generic, TypeVar

import httpx

from .types import counted

T = TypeVar("T")

# Not classes of attrs: making them would take a tenth of what importing an operation does.


class RawResponse:
    """A response as it came over the wire, decompressed and complete."""

    __slots__ = ("content", "headers", "status_code")

    def __init__(self, status_code: int, headers: httpx.Headers, content: bytes) -> None:
        self.status_code = status_code
        self.headers = headers
        self.content = content

    def __repr__(self) -> str:
        return f"RawResponse(status_code={self.status_code}, content=<{len(self.content)} bytes>)"


class Response(Generic[T]):  # noqa: PLW1641 - there is no hash of what can change
    """A response as it came, with what was read from it.

    Args:
        status_code: The HTTP status, any number that a server may send.
        content: The body; hidden in `repr`, since the body of a token response is all secrets.
        headers: The headers, looked up without regard to case; also hidden in `repr`.
        parsed: The model that the spec gives for this status, or None.
    """

    __slots__ = ("content", "headers", "parsed", "status_code")

    def __init__(
        self, status_code: int, content: bytes, headers: httpx.Headers, parsed: T | None
    ) -> None:
        self.status_code = status_code
        self.content = content
        self.headers = headers
        self.parsed = parsed

    def __repr__(self) -> str:
        return (
            f"Response(status_code={self.status_code}, content=<{len(self.content)} bytes>,"
            f" headers={counted(self.headers)}, parsed={self.parsed!r})"
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Response):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in Response.__slots__)


__all__ = ["RawResponse", "Response"]
