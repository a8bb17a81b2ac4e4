"""Reading a body to its end: decompressed, complete, and never larger than allowed."""

from __future__ import annotations

import zlib
from time import monotonic
from typing import Final, Protocol

import httpx

from .errors import InvalidResponseError

ACCEPT_ENCODING: Final = "gzip, deflate"
"""The requested codings: those that can be decompressed step by step, to a bounded size."""

# Servers use one, and a proxy in front may add another. Each takes memory of its own, and a header
# can list thousands.
_MOST_CODINGS: Final = 2


class _Decompressor(Protocol):
    """A type of zlib that has no public name."""

    @property
    def eof(self) -> bool: ...
    @property
    def unconsumed_tail(self) -> bytes: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def unusable(response: httpx.Response | None, problem: str) -> InvalidResponseError:
    """Make the error of a response whose body cannot be read."""
    if response is None:
        return InvalidResponseError(problem)
    return InvalidResponseError(problem, status_code=response.status_code, headers=response.headers)


class Body:
    """Collects the body of a response as it arrives.

    httpx decompresses whatever has arrived in one go, and a few kilobytes can become gigabytes.
    Here decompression stops at the largest allowed size. One member of gzip or one stream of zlib
    is read, which is what servers send.

    Attributes:
        failure: Why the rest need not be read.
    """

    def __init__(self, response: httpx.Response, max_bytes: int) -> None:
        self.failure: InvalidResponseError | None = None
        self._response = response
        self._room = max_bytes
        # The time limit of httpx starts anew with every byte. This one is for the whole body.
        limit = response.request.extensions.get("timeout", {}).get("read")
        self._deadline = None if limit is None else monotonic() + limit
        self._is_late = self._is_too_late = False
        self._chunks: list[bytes] = []
        self._decompressors: list[_Decompressor] = []
        # httpx joins the lines of a header that occurs more than once.
        listed = response.headers.get("Content-Encoding", "").lower().split(",")
        codings = [coding.strip() for coding in listed if coding.strip() not in ("", "identity")]
        if len(codings) > _MOST_CODINGS:
            self._fail(f"the body has more than {_MOST_CODINGS} content codings")
            return
        for coding in reversed(codings):
            if coding in ("gzip", "x-gzip", "deflate"):
                # Tells gzip from zlib by how the data begins.
                self._decompressors.append(zlib.decompressobj(zlib.MAX_WBITS | 32))
            else:
                self._fail("the body has a content coding that was not requested")

    def add(self, data: bytes) -> bool:
        """Add bytes as they came over the wire; tell whether to go on reading.

        What arrives late is used all the same if it is the end: it may hold a token.
        """
        self._is_too_late = self._is_late
        self._is_late = self._deadline is not None and monotonic() > self._deadline
        for decompressor in self._decompressors:
            if self.failure is None:
                data = self._decompress(decompressor, data)
        self._room -= len(data)
        if self._room < 0:
            self._fail("the body is larger than max_response_bytes")
        if self.failure is None:
            self._chunks.append(data)
        return self.failure is None and not self._is_too_late

    def finish(self) -> bytes:
        """Return the whole body once all of it has arrived.

        Raises:
            InvalidResponseError: The body is too large, cannot be decompressed, or ends too early.
            httpx.ReadTimeout: It did not arrive in full in time.
        """
        if self.failure is None and self._is_too_late:
            request = self._response.request
            raise httpx.ReadTimeout("the body did not arrive in full in time", request=request)
        if any(self._chunks) and not all(decompressor.eof for decompressor in self._decompressors):
            self._fail("the body cannot be decompressed: it is cut short")
        if self.failure is not None:
            raise self.failure
        return b"".join(self._chunks)

    def _decompress(self, decompressor: _Decompressor, data: bytes) -> bytes:
        # One byte more than there is room for is enough to know that there is too much.
        decompressed = b""
        try:
            decompressed = decompressor.decompress(data, self._room + 1)
        except zlib.error:
            self._fail("the body cannot be decompressed")
        if decompressor.unconsumed_tail:
            self._fail("the body is larger than max_response_bytes")
        if decompressor.unused_data:
            self._fail("the body cannot be decompressed: more data follows it")
        return decompressed

    def _fail(self, problem: str) -> None:
        if self.failure is None:
            self.failure = unusable(self._response, problem)
