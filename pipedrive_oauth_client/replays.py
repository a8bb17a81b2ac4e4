"""Whether a request can be sent a second time."""

from __future__ import annotations

from typing import Any

import httpx

__all__ = ["can_be_sent_again"]


def can_be_sent_again(request: httpx.Request, response: httpx.Response) -> bool:
    """Tell whether a request that was answered with status 401 can be sent once more.

    Args:
        request: The request, of httpx or httpx2.
        response: The answer to it, or to where it was redirected.

    Returns:
        Whether its body is there still, and nothing was done on the way.
    """
    # An answer that redirects may say that the request was carried out.
    if response.request is not request and request.method not in ("GET", "HEAD"):
        return False
    stream: Any = request.stream
    # The parts of a multipart form: what stands in memory, and files that can be rewound.
    fields = getattr(stream, "fields", None)
    if fields is not None:
        # A stream of the user's own may happen to have an attribute of this name.
        return all(hasattr(field, "render") and _is_there_still(field) for field in fields)
    try:
        bytes(request.content)
    except RuntimeError:  # httpx.RequestNotRead: it came from an iterator, which is used up
        return False
    return True


def _is_there_still(field: Any) -> bool:
    file = getattr(field, "file", b"")
    if isinstance(file, str | bytes):
        return True
    try:
        return bool(file.seekable())
    except (AttributeError, OSError, ValueError):  # it can't say, or is closed
        return False
