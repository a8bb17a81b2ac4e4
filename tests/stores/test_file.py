"""`FileTokenStore` passes the tests that every store has to pass, and lists what it has in bits."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from pipedrive_oauth_client.stores import FileTokenStore
from pipedrive_oauth_client.stores.conformance import (
    START,
    LeaseConformance,
    TokenStoreConformance,
    a_token,
)


class TestConformance(TokenStoreConformance, LeaseConformance):
    """The shared tests, on a folder that is opened several times."""

    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Callable[..., FileTokenStore]:
        """Give stores on one folder."""
        return lambda **settings: FileTokenStore(tmp_path / "tokens", **settings)


@pytest.mark.parametrize("name", ["accounts", "due"])
def test_lists_are_read_bit_by_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """However many accounts there are, a list of them is never held in memory."""
    store = FileTokenStore(tmp_path / "tokens")
    for number in range(40):
        store.save(f"account {number}", a_token(number))
    seen: list[str] = []
    open_listings: list[Watched] = []
    scandir = os.scandir

    class Watched:
        def __init__(self, path: Path) -> None:
            self.real = scandir(path)
            open_listings.append(self)

        def __enter__(self) -> Watched:
            return self

        def __exit__(self, *_: object) -> None:
            self.real.close()
            open_listings.remove(self)

        def __iter__(self) -> Watched:
            return self

        def __next__(self) -> os.DirEntry[str]:
            entry = next(self.real)
            seen.append(entry.name)
            return entry

    monkeypatch.setattr(os, "scandir", Watched)
    listing = store.accounts() if name == "accounts" else store.due(START + timedelta(days=1))
    assert seen == []
    first = next(listing)
    # Files of steps may come before the first token.
    assert [entry for entry in seen if entry.startswith("token-")] == [
        f"token-{first.replace(' ', '=20')}.json"
    ]
    assert len(set(listing)) == 39
    assert open_listings == []
