"""Tokens that a store did not take are kept for it, and give way to what others have saved."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import pytest
from attrs import evolve

from pipedrive_oauth_client import StoreError, Token
from pipedrive_oauth_client._renewal import pending_saves
from pipedrive_oauth_client.stores import MemoryTokenStore
from tests.support.auths import WatchedStore

BEFORE: Final = Token(
    access_token="access-before-51a0",
    refresh_token="refresh-before-7c1e",
    expires_at=datetime(2026, 1, 1, tzinfo=UTC),
)
NEXT: Final = evolve(BEFORE, access_token="access-next-09bd", refresh_token="refresh-next-e12f")
THEIRS: Final = evolve(BEFORE, access_token="access-theirs-33", refresh_token="refresh-theirs-44")


@pytest.fixture
def store() -> Iterator[WatchedStore]:
    """Give a store that holds the token before, and for which the next one is kept."""
    store = WatchedStore()
    store.inner.save("a", BEFORE)
    pending_saves.add(store, "a", previous=BEFORE, token=NEXT)
    yield store
    pending_saves._saves.pop((id(store), "a"), None)


def _kept(store: WatchedStore, account: str = "a") -> bool:
    return (id(store), account) in pending_saves._saves


def test_saved_at_the_next_chance(store: WatchedStore) -> None:
    """Where the token before is still stored, the kept one takes its place, once."""
    assert pending_saves.flush(store, "a", BEFORE) == NEXT == store.load("a")
    assert not _kept(store)
    assert pending_saves.flush(store, "a", NEXT) == NEXT
    assert store.calls["save"] == 1


@pytest.mark.parametrize("stored", [THEIRS, None, NEXT], ids=["theirs", "deleted", "saved_at_last"])
def test_gives_way(store: WatchedStore, stored: Token | None) -> None:
    """Where something else is stored, or nothing, that counts, and the kept one is dropped."""
    assert pending_saves.flush(store, "a", stored) == stored
    assert not _kept(store)
    assert store.calls["save"] == 0


@pytest.mark.parametrize("error", [StoreError("It is full."), OSError("It is full.")])
def test_kept_until_it_is_saved(store: WatchedStore, error: Exception) -> None:
    """While the store goes on failing the token is kept."""
    store.at("save", error, error)
    for _ in range(2):
        with pytest.raises(type(error), match=r"It is full\."):
            pending_saves.flush(store, "a", BEFORE)
        assert _kept(store)
    assert pending_saves.flush(store, "a", BEFORE) == NEXT == store.load("a")
    assert not _kept(store)


def test_newest_counts(store: WatchedStore) -> None:
    """Of several tokens that were not saved the last one counts, with what it came from."""
    last = evolve(NEXT, access_token="last")
    pending_saves.add(store, "a", previous=NEXT, token=last)
    store.inner.save("a", NEXT)
    assert pending_saves.flush(store, "a", NEXT) == last == store.load("a")


def test_other_accounts_and_stores(store: WatchedStore) -> None:
    """What is kept is for one account of one store."""
    other = MemoryTokenStore()
    other.save("a", BEFORE)
    assert pending_saves.flush(other, "a", BEFORE) == BEFORE == other.load("a")
    assert pending_saves.flush(store, "b", BEFORE) == BEFORE
    assert store.load("b") is None
    assert _kept(store)


def test_nothing_shows_in_repr(store: WatchedStore) -> None:
    """What is kept shows no token."""
    shown = repr(pending_saves._saves)
    assert _kept(store)
    for token in (BEFORE, NEXT):
        assert token.access_token not in shown
        assert str(token.refresh_token) not in shown
