"""A client whose requests never leave the process, for tests with many answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import httpx

from pipedrive_oauth_client import Client
from tests.support.wire import client_of


def mocked(handler: Callable[[httpx.Request], httpx.Response], **settings: object) -> Client:
    """Make a client that a function answers."""
    transport = httpx.MockTransport(handler)
    return client_of("https://oauth.example", httpx_args={"transport": transport}, **settings)


def answering(
    status: int,
    body: bytes | str = b"",
    headers: Mapping[str, str] | None = None,
    **settings: object,
) -> Client:
    """Make a client that always gets the same answer."""
    return mocked(
        lambda _: httpx.Response(status, content=body, headers=headers),
        **settings,
    )
