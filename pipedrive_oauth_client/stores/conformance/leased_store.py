"""What holds for a store whose locks end by themselves."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import pytest

from pipedrive_oauth_client.errors import PipedriveOAuthError, StoreLockTimeoutError
from pipedrive_oauth_client.stores.conformance.samples import NO_NAMES, START, a_token
from pipedrive_oauth_client.stores.protocol import TokenStore

__all__ = ["LeaseConformance"]

SHORT: Final = timedelta(milliseconds=250)
LONG: Final = timedelta(seconds=30)


class LeaseConformance:
    """What holds for a store whose locks end by themselves."""

    @pytest.fixture
    def open_store(self) -> Callable[..., TokenStore]:
        """Give a function that opens the place under test once more."""
        raise NotImplementedError("Define the fixture open_store in your class.")

    @pytest.fixture
    def store(self, open_store: Callable[..., TokenStore]) -> TokenStore:
        """Give one handle."""
        return open_store()

    def test_waiting_has_an_end(self, open_store: Callable[..., TokenStore]) -> None:
        """Whoever waits for longer than `wait` gets an error, and the holder keeps the lock."""
        holder = open_store(lease=LONG)
        with holder.lock("acme"):
            impatient = open_store(lease=LONG, wait=SHORT)
            with pytest.raises(StoreLockTimeoutError), impatient.lock("acme"):
                pass
            holder.save("acme", a_token())

    def test_lease_ends(self, open_store: Callable[..., TokenStore]) -> None:
        """A holder that never lets go loses the lock after its lease."""
        dead = open_store(lease=SHORT, wait=LONG).lock("acme")
        dead.__enter__()
        with open_store(lease=LONG, wait=LONG).lock("acme"):
            pass
        dead.__exit__(None, None, None)

    def test_late_holder_lets_go_of_nothing(self, open_store: Callable[..., TokenStore]) -> None:
        """A late holder's end does not end the lock of the next."""
        late = open_store(lease=SHORT, wait=LONG).lock("acme")
        late.__enter__()
        with open_store(lease=LONG, wait=LONG).lock("acme"):
            late.__exit__(None, None, None)
            third = open_store(lease=LONG, wait=SHORT)
            with pytest.raises(StoreLockTimeoutError), third.lock("acme"):
                pass

    def test_late_save_is_refused(self, open_store: Callable[..., TokenStore]) -> None:
        """What a late holder brings after the next has saved is not written."""
        late, nxt = open_store(lease=SHORT, wait=LONG), open_store(lease=LONG, wait=LONG)
        late.save("acme", a_token(1))
        with late.lock("acme"):
            with nxt.lock("acme"):
                nxt.save("acme", a_token(2))
            with pytest.raises(StoreLockTimeoutError):
                late.save("acme", a_token(3))
        assert nxt.load("acme") == a_token(2)

    def test_late_save_is_taken_where_nobody_else_saved(
        self, open_store: Callable[..., TokenStore]
    ) -> None:
        """A late holder's token is kept while the stored one is the one that it has renewed."""
        late, nxt = open_store(lease=SHORT, wait=LONG), open_store(lease=LONG, wait=LONG)
        late.save("acme", a_token(1))
        with late.lock("acme"):
            with nxt.lock("acme"):
                assert nxt.load("acme") == a_token(1)
            late.save("acme", a_token(2))
        assert nxt.load("acme") == a_token(2)

    def test_save_without_the_lock_wins(self, open_store: Callable[..., TokenStore]) -> None:
        """A person who authorizes anew during a renewal is not overwritten by it."""
        renewing, authorizing = open_store(), open_store()
        renewing.save("acme", a_token(1))
        with renewing.lock("acme"):
            assert renewing.load("acme") == a_token(1)
            authorizing.save("acme", a_token(2))
            with pytest.raises(StoreLockTimeoutError):
                renewing.save("acme", a_token(3))
        assert authorizing.load("acme") == a_token(2)

    def test_first_save_is_fenced_too(self, open_store: Callable[..., TokenStore]) -> None:
        """A lock on an account without a token refuses a save after somebody else's first one."""
        slow, quick = open_store(), open_store()
        with slow.lock("acme"):
            quick.save("acme", a_token(1))
            with pytest.raises(StoreLockTimeoutError):
                slow.save("acme", a_token(2))
        assert quick.load("acme") == a_token(1)

    def test_deleted_token_does_not_come_back(self, open_store: Callable[..., TokenStore]) -> None:
        """An account that was deleted during a renewal stays deleted."""
        renewing, deleting = open_store(), open_store()
        renewing.save("acme", a_token(1))
        with renewing.lock("acme"):
            deleting.delete("acme")
            with pytest.raises(StoreLockTimeoutError):
                renewing.save("acme", a_token(2))
        assert deleting.load("acme") is None
        assert list(deleting.accounts()) == []

    def test_what_was_loaded_counts(self, open_store: Callable[..., TokenStore]) -> None:
        """A holder that has loaded somebody else's newer token may save what it makes of it."""
        renewing, authorizing = open_store(), open_store()
        renewing.save("acme", a_token(1))
        with renewing.lock("acme"):
            authorizing.save("acme", a_token(2))
            assert renewing.load("acme") == a_token(2)
            renewing.save("acme", a_token(3))
        assert authorizing.load("acme") == a_token(3)

    def test_lock_is_not_taken_twice(self, open_store: Callable[..., TokenStore]) -> None:
        """A thread that asks for a lock that it has is told so, and keeps it."""
        store = open_store(lease=LONG)
        with store.lock("acme"):
            with pytest.raises(PipedriveOAuthError), store.lock("acme"):
                pass
            store.save("acme", a_token())

    @pytest.mark.parametrize("name", NO_NAMES, ids=repr)
    def test_bad_name_is_refused(self, store: TokenStore, name: Any) -> None:
        """A name that no account can have is an error of this package, in whatever is asked."""
        with pytest.raises(PipedriveOAuthError):
            store.save(name, a_token())
        with pytest.raises(PipedriveOAuthError):
            store.load(name)
        with pytest.raises(PipedriveOAuthError):
            store.delete(name)
        with pytest.raises(PipedriveOAuthError), store.lock(name):
            pass
        assert list(store.accounts()) == []

    def test_what_is_no_token_is_refused(self, store: TokenStore) -> None:
        """Saving something else is an error, and the token before is still there."""
        store.save("acme", a_token())
        wrong: Any = {"access_token": "a"}
        with pytest.raises(PipedriveOAuthError):
            store.save("acme", wrong)
        assert store.load("acme") == a_token()

    def test_due_tokens_are_found(self, open_store: Callable[..., TokenStore]) -> None:
        """`due` gives each account whose access token expires before a time, and no other."""
        store: Any = open_store()
        for number in range(230):
            store.save(f"account {number}", a_token(number))
        store.delete("account 3")
        with store.lock("locked, without a token"):
            due = list(store.due(START + timedelta(seconds=110)))
        assert sorted(due) == sorted(f"account {number}" for number in range(110) if number != 3)
        assert list(store.due(START - timedelta(days=1))) == []
