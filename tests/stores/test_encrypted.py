"""`EncryptedTokenStore` passes the shared tests, around stores of all kinds."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from pipedrive_oauth_client.stores import EncryptedTokenStore, FileTokenStore, MemoryTokenStore
from pipedrive_oauth_client.stores.conformance import LeaseConformance, TokenStoreConformance
from pipedrive_oauth_client.tokens import Token


class DictStore:
    """The least that a user's own store can be: the five methods, and nothing checked."""

    def __init__(self) -> None:
        self.kept: dict[str, Token] = {}
        self.locks: dict[str, threading.Lock] = {}

    def load(self, account: str) -> Token | None:
        """Give the token."""
        return self.kept.get(account)

    def save(self, account: str, token: Token) -> None:
        """Keep the token."""
        self.kept[account] = token

    def delete(self, account: str) -> None:
        """Forget the token."""
        self.kept.pop(account, None)

    def lock(self, account: str) -> AbstractContextManager[object]:
        """Give a lock."""
        return self.locks.setdefault(account, threading.Lock())

    def accounts(self) -> Iterator[str]:
        """Give the accounts."""
        return iter(self.kept)


KEY = Fernet.generate_key()


class TestAroundMemory(TokenStoreConformance, LeaseConformance):
    """The shared tests, on handles that share a memory."""

    @pytest.fixture
    def open_store(self) -> Callable[..., EncryptedTokenStore]:
        """Give stores around the same memory."""
        first = MemoryTokenStore()

        def open_again(**settings: Any) -> EncryptedTokenStore:
            inner = MemoryTokenStore(**settings)
            inner._kept, inner._loans, inner._guard = first._kept, first._loans, first._guard
            return EncryptedTokenStore(inner, KEY)

        return open_again


class TestAroundFiles(TokenStoreConformance, LeaseConformance):
    """The shared tests, on a folder."""

    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Callable[..., EncryptedTokenStore]:
        """Give stores around the same folder."""
        return lambda **settings: EncryptedTokenStore(
            FileTokenStore(tmp_path / "tokens", **settings), KEY.decode()
        )


class TestAroundTheLeast(TokenStoreConformance):
    """The shared tests, on a store that has the five methods alone."""

    @pytest.fixture
    def open_store(self) -> Callable[..., EncryptedTokenStore]:
        """Give stores around the same one."""
        inner = DictStore()
        return lambda: EncryptedTokenStore(inner, [KEY])
