"""`MemoryTokenStore` passes the tests that every store has to pass, and what it has of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pipedrive_oauth_client.stores import MemoryTokenStore
from pipedrive_oauth_client.stores.conformance import LeaseConformance, TokenStoreConformance


class TestConformance(TokenStoreConformance, LeaseConformance):
    """The shared tests; what another process would open are handles on the same memory here."""

    @pytest.fixture
    def open_store(self) -> Callable[..., MemoryTokenStore]:
        """Give handles that share what they keep, with settings of their own."""
        first = MemoryTokenStore()

        def open_again(**settings: Any) -> MemoryTokenStore:
            store = MemoryTokenStore(**settings)
            store._kept, store._loans, store._guard = first._kept, first._loans, first._guard
            return store

        return open_again
