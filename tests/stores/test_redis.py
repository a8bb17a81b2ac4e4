"""`RedisTokenStore` passes the tests that every store has to pass."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack
from typing import Any

import pytest
import redis

from pipedrive_oauth_client.stores import RedisTokenStore
from pipedrive_oauth_client.stores.conformance import LeaseConformance, TokenStoreConformance
from tests.support.backends import redis_url, throwaway_prefix


class TestFromURL(TokenStoreConformance, LeaseConformance):
    """The shared tests, each handle with connections of its own."""

    @pytest.fixture
    def open_store(self) -> Generator[Callable[..., RedisTokenStore]]:
        """Give stores with clients of their own on one prefix."""
        url = redis_url()
        with throwaway_prefix(url) as prefix, ExitStack() as closing:
            yield lambda **settings: closing.enter_context(
                RedisTokenStore(url, prefix=prefix, **settings)
            )


@pytest.mark.parametrize(
    "settings",
    [
        {"decode_responses": True},
        {"decode_responses": True, "encoding": "latin-1"},
        {"protocol": 3},
    ],
    ids=["decoding", "decoding latin-1", "RESP3"],
)
class TestFromClient(TokenStoreConformance, LeaseConformance):
    """The shared tests, all handles with one client of the app, of several kinds."""

    @pytest.fixture
    def open_store(self, settings: dict[str, Any]) -> Generator[Callable[..., RedisTokenStore]]:
        """Give stores with one client on one prefix."""
        url = redis_url()
        with (
            throwaway_prefix(url) as prefix,
            redis.Redis.from_url(url, **settings) as client,
        ):
            yield lambda **times: RedisTokenStore(client, prefix=prefix, **times)
