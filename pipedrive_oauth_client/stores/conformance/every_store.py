"""What holds for every store."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from pipedrive_oauth_client.stores.conformance.samples import NAMES, START, a_token
from pipedrive_oauth_client.stores.protocol import TokenStore
from pipedrive_oauth_client.tokens import Token

__all__ = ["TokenStoreConformance"]


class TokenStoreConformance:
    """What holds for every store."""

    @pytest.fixture
    def open_store(self) -> Callable[..., TokenStore]:
        """Give a function that opens the place under test once more."""
        raise NotImplementedError("Define the fixture open_store in your class.")

    @pytest.fixture
    def store(self, open_store: Callable[..., TokenStore]) -> TokenStore:
        """Give one handle."""
        return open_store()

    def test_it_is_a_token_store(self, store: TokenStore) -> None:
        """It has the methods of the protocol."""
        assert isinstance(store, TokenStore)

    def test_unknown_account_has_no_token(self, store: TokenStore) -> None:
        """An account that was never saved has no token and is not listed."""
        assert store.load("nobody") is None
        assert list(store.accounts()) == []

    @pytest.mark.parametrize(
        "token",
        [
            a_token(),
            a_token(refresh_token=None, api_domain=None, scope=""),
            a_token(access_token="a" * 4096, refresh_token="r" * 4096),
            a_token(scope="\u00e4 \u20ac \U0001f980 ' \" \\ \n"),
            a_token(expires_at=START + timedelta(microseconds=1)),
            a_token(expires_at=datetime(1969, 12, 31, tzinfo=UTC)),
            a_token(expires_at=datetime.max.replace(tzinfo=UTC)),
        ],
        ids=["whole", "sparse", "long", "odd characters", "microsecond", "long ago", "never"],
    )
    def test_token_comes_back_as_it_was(
        self, open_store: Callable[..., TokenStore], token: Token
    ) -> None:
        """What is saved is what another handle loads."""
        open_store().save("acme", token)
        assert open_store().load("acme") == token

    def test_save_replaces(self, store: TokenStore) -> None:
        """The last token that was saved counts, and the account is listed once."""
        store.save("acme", a_token(1))
        store.save("acme", a_token(2))
        assert store.load("acme") == a_token(2)
        assert list(store.accounts()) == ["acme"]

    def test_accounts_are_told_apart(self, open_store: Callable[..., TokenStore]) -> None:
        """Names that are nearly the same have tokens of their own, and come back as they were."""
        store = open_store()
        for number, name in enumerate(NAMES):
            store.save(name, a_token(number))
        other = open_store()
        assert [other.load(name) for name in NAMES] == [a_token(n) for n in range(len(NAMES))]
        assert sorted(other.accounts()) == sorted(NAMES)

    def test_delete_forgets(self, store: TokenStore) -> None:
        """A deleted token is gone, the others stay, and deleting again does no harm."""
        store.save("acme", a_token(1))
        store.save("umbrella", a_token(2))
        for _ in range(2):
            store.delete("acme")
            assert store.load("acme") is None
            assert list(store.accounts()) == ["umbrella"]
        store.save("acme", a_token(3))
        assert store.load("acme") == a_token(3)

    def test_every_account_is_listed_once(self, store: TokenStore) -> None:
        """However many there are, each comes once."""
        names = [f"account {number}" for number in range(230)]
        for name in names:
            store.save(name, a_token())
        assert sorted(store.accounts()) == sorted(names)

    def test_lock_leaves_nothing(self, store: TokenStore) -> None:
        """Locking an account that has no token makes none, and can be done again."""
        for _ in range(2):
            with store.lock("acme"):
                assert store.load("acme") is None
        assert list(store.accounts()) == []

    def test_work_under_the_lock(self, store: TokenStore) -> None:
        """Under the lock a token is loaded, saved and deleted as without."""
        store.save("acme", a_token(1))
        with store.lock("acme"):
            assert store.load("acme") == a_token(1)
            store.save("acme", a_token(2))
            store.save("acme", a_token(3))
            assert store.load("acme") == a_token(3)
        with store.lock("acme"):
            store.delete("acme")
            store.save("acme", a_token(4))
        assert store.load("acme") == a_token(4)

    def test_lock_is_let_go_after_an_error(self, store: TokenStore) -> None:
        """An error inside of the block comes out, and the lock is free."""
        with pytest.raises(ZeroDivisionError), store.lock("acme"):
            raise ZeroDivisionError
        with store.lock("acme"):
            store.save("acme", a_token())

    def test_locks_of_two_accounts_are_two(self, open_store: Callable[..., TokenStore]) -> None:
        """Whoever has one account's lock does not keep others from another's."""
        with open_store().lock("acme"), open_store().lock("umbrella"):
            pass

    def test_nothing_is_lost_between_callers(self, open_store: Callable[..., TokenStore]) -> None:
        """Several callers that load, change and save under the lock lose no change."""
        callers, rounds = 4, 6

        def change(store: TokenStore) -> None:
            for _ in range(rounds):
                with store.lock("acme"):
                    before = store.load("acme")
                    assert before is not None
                    later = before.expires_at + timedelta(seconds=1)
                    store.save("acme", a_token(expires_at=later))

        open_store().save("acme", a_token())
        with ThreadPoolExecutor(callers) as threads:
            for done in [threads.submit(change, open_store()) for _ in range(callers)]:
                done.result()
        after = open_store().load("acme")
        assert after is not None
        assert after.expires_at - START == timedelta(seconds=callers * rounds)

    def test_lock_has_one_holder(self, open_store: Callable[..., TokenStore]) -> None:
        """Never do two callers hold the lock of one account."""
        inside: list[int] = []
        most: list[int] = []

        def hold(store: TokenStore, number: int) -> None:
            for _ in range(6):
                with store.lock("acme"):
                    inside.append(number)
                    store.load("acme")  # time for somebody else to come in
                    most.append(len(inside))
                    inside.remove(number)

        with ThreadPoolExecutor(4) as threads:
            for done in [threads.submit(hold, open_store(), number) for number in range(4)]:
                done.result()
        assert set(most) == {1}
        assert len(most) == 24

    def test_held_lock_keeps_others_out(self, open_store: Callable[..., TokenStore]) -> None:
        """Whoever asks for a lock that somebody else has gets it when that one lets go."""
        came_in = threading.Event()

        def come_in() -> None:
            with open_store().lock("acme"):
                came_in.set()

        with ThreadPoolExecutor(1) as threads:
            with open_store().lock("acme"):
                done = threads.submit(come_in)
                assert not came_in.wait(0.5)
            done.result()
        assert came_in.is_set()

    def test_repr_holds_no_token(self, store: TokenStore) -> None:
        """The store's `repr` shows no token."""
        store.save("acme", a_token(7))
        assert "access-7" not in repr(store)
        assert "refresh-7" not in repr(store)
