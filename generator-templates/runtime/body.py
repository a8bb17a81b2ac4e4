"""Reading a body to its end: unpacked, complete, and never larger than allowed."""

from __future__ import annotations

import zlib
from typing import Final, Protocol

import httpx

from .errors import InvalidResponseError

ACCEPT_ENCODING: Final = "gzip, deflate"
"""The codings that are asked for: those that can be unpacked step by step, to a bounded size."""


class _Unpacker(Protocol):
    """What zlib gives no public name to."""

    @property
    def eof(self) -> bool: ...
    @property
    def unconsumed_tail(self) -> bytes: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def unusable(answer: httpx.Response | None, problem: str) -> InvalidResponseError:
    """Make the error of an answer whose body can't be read.

    Args:
        answer: The answer, if it got that far.
        problem: What is wrong with the body.

    Returns:
        The error, not raised yet.
    """
    if answer is None:
        return InvalidResponseError(problem)
    return InvalidResponseError(problem, status_code=answer.status_code, headers=answer.headers)


class Body:
    """Collects the body of an answer as it arrives.

    httpx unpacks whatever has arrived in one go, and a few kilobytes can unpack to gigabytes. Here
    unpacking stops where the largest size is reached. One member of gzip or one stream of zlib is
    read, which is what servers send.

    Attributes:
        failure: Why the rest need not be read any more, once that is so.
    """

    def __init__(self, answer: httpx.Response, max_bytes: int) -> None:
        self.failure: InvalidResponseError | None = None
        self._answer = answer
        self._room = max_bytes
        self._chunks: list[bytes] = []
        self._unpackers: list[_Unpacker] = []
        for coding in reversed(answer.headers.get("Content-Encoding", "").lower().split(",")):
            if coding.strip() in ("gzip", "x-gzip", "deflate"):
                # Tells gzip from zlib by how the data begins.
                self._unpackers.append(zlib.decompressobj(zlib.MAX_WBITS | 32))
            elif coding.strip() not in ("", "identity"):
                self._fail("the body is packed in a way that was not asked for")

    def add(self, packed: bytes) -> None:
        """Take what has arrived, unless there is a failure already.

        Args:
            packed: Bytes as they came over the wire.
        """
        for unpacker in self._unpackers:
            if self.failure is None:
                packed = self._unpack(unpacker, packed)
        self._room -= len(packed)
        if self._room < 0:
            self._fail("the body is larger than max_response_bytes")
        if self.failure is None:
            self._chunks.append(packed)

    def finish(self) -> bytes:
        """Give the whole body once all of it has arrived.

        Returns:
            The body, unpacked.

        Raises:
            InvalidResponseError: The body is too large, can't be unpacked, or ends too early.
        """
        if any(self._chunks) and not all(unpacker.eof for unpacker in self._unpackers):
            self._fail("the body can't be decompressed: it is cut short")
        if self.failure is not None:
            raise self.failure
        return b"".join(self._chunks)

    def _unpack(self, unpacker: _Unpacker, packed: bytes) -> bytes:
        # One byte more than there is room for is enough to know that there is too much.
        unpacked = b""
        try:
            unpacked = unpacker.decompress(packed, self._room + 1)
        except zlib.error:
            self._fail("the body can't be decompressed")
        if unpacker.unconsumed_tail:
            self._fail("the body is larger than max_response_bytes")
        if unpacker.unused_data:
            self._fail("the body can't be decompressed: something follows it")
        return unpacked

    def _fail(self, problem: str) -> None:
        if self.failure is None:
            self.failure = unusable(self._answer, problem)
