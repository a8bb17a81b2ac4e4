"""An answer as a value: what a fault makes, changes or takes away before anything is sent."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, TypeAlias

import attrs

from pipedrive_oauth_client.errors import ConfigurationError

Ending: TypeAlias = Literal["complete", "closed", "reset"]
Headers: TypeAlias = tuple[tuple[str, str], ...]

_CHUNK_BYTES = 64 * 1024


@attrs.frozen
class Reply:
    """An answer before it is sent.

    Attributes:
        status: The HTTP status; None where not even a status line is sent.
        headers: Names in lower case, and values.
        body: The body, piece by piece; it may hold tokens.
        ending: How it ends: whole, by a closed connection, or by a reset one.
    """

    status: int | None
    headers: Headers = attrs.field(default=(), repr=False)
    body: Iterable[bytes] = attrs.field(default=(), repr=False)
    ending: Ending = "complete"

    def with_header(self, name: str, value: str) -> Reply:
        """Return the same answer with a header in place of those of its name."""
        kept = tuple(header for header in self.headers if header[0] != name)
        return attrs.evolve(self, headers=(*kept, (name, value)))

    def with_body(self, body: bytes) -> Reply:
        """Return the same answer with another body, and the length that it has."""
        return attrs.evolve(self, body=(body,)).with_header("content-length", str(len(body)))


class Padding:
    """A JSON object of exactly so many bytes, made piece by piece as it is sent.

    Args:
        size_bytes: Its size, at least that of the empty object around the padding.
    """

    _START, _END = b'{"padding": "', b'"}'
    LEAST_BYTES = len(_START) + len(_END)

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes

    def __iter__(self) -> Iterator[bytes]:
        yield self._START
        left = self.size_bytes - self.LEAST_BYTES
        while left > 0:
            yield b"x" * min(left, _CHUNK_BYTES)
            left -= _CHUNK_BYTES
        yield self._END


def plain_reply(status: int, body: bytes, content_type: str) -> Reply:
    """Return an answer with a body of this type; a status that has no body gets none."""
    if status in {204, 304}:
        return Reply(status)
    return Reply(status, (("content-type", content_type),)).with_body(body)


def json_reply(status: int, body: Mapping[str, object]) -> Reply:
    """Return an answer with a JSON body that no cache keeps."""
    reply = plain_reply(status, json.dumps(body).encode(), "application/json")
    return reply.with_header("cache-control", "no-store").with_header("pragma", "no-cache")


def html_reply(status: int, page: str) -> Reply:
    """Return an answer with a web page."""
    return plain_reply(status, page.encode(), "text/html; charset=utf-8")


def check_status(status: int) -> int:
    """Return a status that an answer can have; refuse another one."""
    if type(status) is not int or not 200 <= status <= 599:
        raise ConfigurationError("A status must be a whole number from 200 to 599.")
    return status


def check_header(text: str) -> str:
    """Return the text of a header; refuse what could not be sent as one."""
    if not text.isascii() or not text.isprintable() or text != text.strip():
        raise ConfigurationError("A header must be printable ASCII text with no blank at an end.")
    return text


def check_header_name(name: str) -> str:
    """Return the name of a header in lower case; refuse what could not be sent as one."""
    if re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name, re.ASCII) is None:
        raise ConfigurationError("The name of a header must be a token of RFC 9110, section 5.6.2.")
    return name.lower()
