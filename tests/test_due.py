"""Which accounts are due, in stores that are asked and in stores that are read through."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipedrive_oauth_client import ConfigurationError, CorruptTokenError, StoreError, Token
from pipedrive_oauth_client.fleet import due
from pipedrive_oauth_client.stores import FileTokenStore, MemoryTokenStore, TokenStore
from tests.support.untyped import untyped

NOW: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY: Final = timedelta(days=1)


def token(expires_at: datetime, *, refresh_token: str | None = "r") -> Token:
    """Make a token of a certain age."""
    return Token(
        access_token="a",
        refresh_token=refresh_token,
        api_domain="https://acme.pipedrive.com",
        expires_at=expires_at,
    )


class PlainStore:
    """A store with the five methods and nothing else, that counts what is loaded."""

    def __init__(self) -> None:
        self.tokens: dict[str, Token | Exception] = {}
        self.loaded: list[str] = []
        self.listed = 0

    def load(self, account: str) -> Token | None:
        """Give the token, or raise what is there in its place."""
        self.loaded.append(account)
        found = self.tokens.get(account)
        if isinstance(found, Exception):
            raise found
        return found

    def save(self, account: str, token: Token) -> None:
        """Keep a token."""
        self.tokens[account] = token

    def delete(self, account: str) -> None:
        """Forget a token."""
        self.tokens.pop(account, None)

    def lock(self, account: str) -> AbstractContextManager[object]:
        """Lock nothing."""
        return nullcontext(account)

    def accounts(self) -> Iterator[str]:
        """Give the accounts one by one, and count them."""
        for account in list(self.tokens):
            self.listed += 1
            yield account


class AskedStore(PlainStore):
    """One that can be asked."""

    def __init__(self, answer: list[str]) -> None:
        super().__init__()
        self.answer = answer
        self.asked: list[datetime] = []

    def due(self, before: datetime) -> list[str]:
        """Give a list, as a careless store might."""
        self.asked.append(before)
        return self.answer


def filled(store: TokenStore) -> TokenStore:
    """Put three accounts into a store: long expired, expired at this moment, and fresh."""
    for account, expires_at in (("old", NOW - DAY), ("edge", NOW), ("fresh", NOW + DAY)):
        store.save(account, token(expires_at))
    return store


@pytest.mark.parametrize("kind", [PlainStore, MemoryTokenStore])
def test_what_expires_before_the_time_is_due(kind: type[PlainStore | MemoryTokenStore]) -> None:
    """What expires at that very time is not, whether the store can be asked or not."""
    store = filled(kind())
    assert list(due(store, NOW)) == ["old"]
    assert set(due(store, NOW + timedelta.resolution)) == {"old", "edge"}
    assert list(due(store, NOW - DAY)) == []


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.integers(-3, 3)), st.integers(-3, 3))
def test_both_ways_find_the_same(ages: dict[str, int], before: int) -> None:
    """A store that is asked and one that is read through agree."""
    plain, memory = PlainStore(), MemoryTokenStore()
    for account, days in ages.items():
        plain.save(account, token(NOW + days * DAY))
        memory.save(account, token(NOW + days * DAY))
    expected = {account for account, days in ages.items() if days < before}
    assert set(due(plain, NOW + before * DAY)) == expected
    assert set(due(memory, NOW + before * DAY)) == expected


def test_a_store_that_can_be_asked_is_asked() -> None:
    """Nothing is listed or loaded, and whatever it gives can be taken one by one."""
    store = AskedStore(["a", "b"])
    filled(store)
    found = due(store, NOW)
    assert next(found) == "a"
    assert list(found) == ["b"]
    assert store.asked == [NOW]
    assert (store.listed, store.loaded) == (0, [])


def test_accounts_are_read_through_one_by_one() -> None:
    """Nothing is done before the first is asked for, and nobody reads ahead."""
    store = PlainStore()
    for number in range(100):
        store.save(str(number), token(NOW - DAY))
    found = due(store, NOW)
    assert store.listed == 0
    assert [next(found), next(found)] == ["0", "1"]
    assert store.listed == 2
    assert store.loaded == ["0", "1"]


def test_what_cannot_be_read_is_due() -> None:
    """Somebody has to look at it, and those behind it are found all the same."""
    store = filled(PlainStore())
    assert isinstance(store, PlainStore)
    store.tokens = {"broken": CorruptTokenError("It is no token."), **store.tokens}
    assert list(due(store, NOW)) == ["broken", "old"]


def test_what_was_deleted_meanwhile_is_not_due() -> None:
    """Between listing and loading an account may go."""
    store = filled(PlainStore())
    found = due(store, NOW + 2 * DAY)
    assert next(found) == "old"
    store.delete("edge")
    assert list(found) == ["fresh"]


def test_a_token_that_cannot_be_renewed_is_due_as_any_other() -> None:
    """So that somebody is told that the person has to authorize again."""
    store = PlainStore()
    store.save("once", token(NOW - DAY, refresh_token=None))
    assert list(due(store, NOW)) == ["once"]


def test_a_store_that_does_not_work_is_an_error() -> None:
    """It is not passed over."""
    store = PlainStore()
    store.tokens["a"] = StoreError("The disk is gone.")
    with pytest.raises(StoreError, match="disk is gone"):
        list(due(store, NOW))


@pytest.mark.parametrize("kind", [PlainStore, MemoryTokenStore])
@pytest.mark.parametrize(
    "before",
    [None, "2026-03-01", 1772366400, date(2026, 3, 1), NOW.replace(tzinfo=None)],
    ids=repr,
)
def test_a_time_without_a_zone_is_refused(
    kind: type[PlainStore | MemoryTokenStore], before: object
) -> None:
    """It is refused at once, and not when the first account is asked for."""
    with pytest.raises(ConfigurationError, match="before must be"):
        untyped(due)(kind(), before)


@pytest.mark.parametrize("kind", [PlainStore, MemoryTokenStore])
def test_any_zone_will_do(kind: type[PlainStore | MemoryTokenStore]) -> None:
    """What counts is the moment."""
    before = NOW.astimezone(timezone(timedelta(hours=-11)))
    assert list(due(filled(kind()), before)) == ["old"]


def test_a_store_in_files_agrees(tmp_path: Path) -> None:
    """Its accounts are found as those of any other store."""
    assert list(due(filled(FileTokenStore(tmp_path / "tokens")), NOW)) == ["old"]
