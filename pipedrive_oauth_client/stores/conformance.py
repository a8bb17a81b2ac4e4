"""Tests that every store has to pass, including a store of your own.

    from pipedrive_oauth_client.stores.conformance import LeaseConformance, TokenStoreConformance

    class TestMyStore(TokenStoreConformance):  # and LeaseConformance, if its locks can be lost;
                                               # ListingConformance, if it has those methods
        @pytest.fixture
        def open_store(self, tmp_path):
            return lambda **settings: MyStore(tmp_path / "tokens", **settings)

`open_store` returns another handle on the same tokens at each call, as another process would have.
Only `LeaseConformance` passes settings: `lease` and `wait`, as timedeltas. It needs pytest.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from pipedrive_oauth_client.errors import PipedriveOAuthError, StoreLockTimeoutError
from pipedrive_oauth_client.stores.protocol import AccountOverview, TokenStore
from pipedrive_oauth_client.tokens import GrantEnd, Token

__all__ = [
    "NAMES",
    "NO_NAMES",
    "START",
    "LeaseConformance",
    "ListingConformance",
    "TokenStoreConformance",
    "a_token",
]

START: Final = datetime(2030, 1, 1, tzinfo=UTC)
_SHORT: Final = timedelta(milliseconds=100)
_LONG: Final = timedelta(seconds=30)

# Names that a file system, a database or a URL may confuse with each other or misread.
NAMES: Final = (
    *("acme", "Acme", "acme:1", "acme/1", "acme\\1", "../acme", ".", "..", "acme.", "acme.json"),
    *("caf\u00e9", "cafe\u0301", "stra\u00dfe", "strasse", "%61cme", "a%", "a_", "a*", "'; --"),
    *("con", "{acme}", "[acme]", "123", "0123", "a b", "\U0001f980", "x" * 200),
)
NO_NAMES: Final = ("", " acme", "acme ", "ac\nme", "ac\0me", "x" * 201, "\ud800", 5, None, b"acme")


def a_token(number: int = 0, **changes: Any) -> Token:
    """Return a token with a number in it, with changes."""
    given: dict[str, Any] = {
        "access_token": f"v1u:access-{number}",
        "refresh_token": f"1:1:refresh-{number}",
        "scope": "deals:full,base",
        "api_domain": "https://acme.pipedrive.com",
        "expires_at": START + timedelta(seconds=number),
    }
    return Token(**{**given, **changes})


class _Conformance:
    @pytest.fixture
    def open_store(self) -> Callable[..., TokenStore]:
        """Return a function that opens one more handle on the store under test."""
        raise NotImplementedError("Define the fixture open_store in your class.")

    @pytest.fixture
    def store(self, open_store: Callable[..., TokenStore]) -> TokenStore:
        """Return one handle."""
        return open_store()


class TokenStoreConformance(_Conformance):
    """What every store has to do."""

    def test_it_is_a_token_store(self, store: TokenStore) -> None:
        """It has the methods of the protocol."""
        assert isinstance(store, TokenStore)

    def test_unknown_account_has_no_token(self, store: TokenStore) -> None:
        """An account that was never saved has no token and is not listed."""
        assert store.load("unknown") is None
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
        """What one handle saves, another one loads."""
        open_store().save("acme", token)
        assert open_store().load("acme") == token

    def test_save_replaces(self, store: TokenStore) -> None:
        """The last saved token counts, and the account is listed once."""
        store.save("acme", a_token(1))
        store.save("acme", a_token(2))
        assert store.load("acme") == a_token(2)
        assert list(store.accounts()) == ["acme"]

    def test_accounts_are_distinguished(self, open_store: Callable[..., TokenStore]) -> None:
        """Names that are nearly the same have tokens of their own, and are listed unchanged."""
        store = open_store()
        for number, name in enumerate(NAMES):
            store.save(name, a_token(number))
        other = open_store()
        assert [other.load(name) for name in NAMES] == [a_token(n) for n in range(len(NAMES))]
        assert sorted(other.accounts()) == sorted(NAMES)

    def test_delete(self, store: TokenStore) -> None:
        """A deleted token is gone, the others stay, and it can be deleted again."""
        store.save("acme", a_token(1))
        store.save("umbrella", a_token(2))
        for _ in range(2):
            store.delete("acme")
            assert store.load("acme") is None
            assert list(store.accounts()) == ["umbrella"]
        store.save("acme", a_token(3))
        assert store.load("acme") == a_token(3)

    def test_every_account_is_listed_once(self, store: TokenStore) -> None:
        """Each account is listed once, however many there are."""
        names = [f"account {number}" for number in range(230)]
        for name in names:
            store.save(name, a_token())
        assert sorted(store.accounts()) == sorted(names)

    def test_lock_leaves_nothing(self, store: TokenStore) -> None:
        """Locking an account without a token creates none, and works again."""
        for _ in range(2):
            with store.lock("acme"):
                assert store.load("acme") is None
        assert list(store.accounts()) == []

    def test_work_under_the_lock(self, store: TokenStore) -> None:
        """Under the lock a token is loaded, saved and deleted as without it."""
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

    def test_lock_is_released_after_an_error(self, store: TokenStore) -> None:
        """An error inside the block is raised, and the lock is free."""
        with pytest.raises(ZeroDivisionError), store.lock("acme"):
            raise ZeroDivisionError
        with store.lock("acme"):
            store.save("acme", a_token())

    def test_accounts_have_separate_locks(self, open_store: Callable[..., TokenStore]) -> None:
        """The lock of one account does not block another account's."""
        with open_store().lock("acme"), open_store().lock("umbrella"):
            pass

    def test_no_change_is_lost_between_callers(self, open_store: Callable[..., TokenStore]) -> None:
        """Callers that load, change and save under the lock lose no change."""
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
        """Two callers never hold the lock of one account at the same time."""
        inside: list[int] = []
        most: list[int] = []

        def hold(store: TokenStore, number: int) -> None:
            for _ in range(6):
                with store.lock("acme"):
                    inside.append(number)
                    store.load("acme")  # time for another caller to come in
                    most.append(len(inside))
                    inside.remove(number)

        with ThreadPoolExecutor(4) as threads:
            for done in [threads.submit(hold, open_store(), number) for number in range(4)]:
                done.result()
        assert set(most) == {1}
        assert len(most) == 24

    def test_held_lock_blocks_others(self, open_store: Callable[..., TokenStore]) -> None:
        """A caller that waits for a held lock gets it when the holder releases it."""
        came_in = threading.Event()

        def come_in() -> None:
            with open_store().lock("acme"):
                came_in.set()

        with ThreadPoolExecutor(1) as threads:
            with open_store().lock("acme"):
                done = threads.submit(come_in)
                assert not came_in.wait(0.25)
            done.result()
        assert came_in.is_set()

    def test_repr_holds_no_token(self, store: TokenStore) -> None:
        """The store's `repr` shows no token."""
        store.save("acme", a_token(7))
        assert "access-7" not in repr(store)
        assert "refresh-7" not in repr(store)


class LeaseConformance(_Conformance):
    """What a store has to do whose locks expire by themselves."""

    def test_wait_is_bounded(self, open_store: Callable[..., TokenStore]) -> None:
        """A caller that has waited for `wait` gets an error, and the holder keeps the lock."""
        holder = open_store(lease=_LONG)
        with holder.lock("acme"):
            impatient = open_store(lease=_LONG, wait=_SHORT)
            with pytest.raises(StoreLockTimeoutError), impatient.lock("acme"):
                pass
            holder.save("acme", a_token())

    def test_lease_expires(self, open_store: Callable[..., TokenStore]) -> None:
        """A holder that never releases the lock loses it after its lease."""
        dead = open_store(lease=_SHORT, wait=_LONG).lock("acme")
        dead.__enter__()
        with open_store(lease=_LONG, wait=_LONG).lock("acme"):
            pass
        dead.__exit__(None, None, None)

    def test_late_holder_releases_nothing(self, open_store: Callable[..., TokenStore]) -> None:
        """A late holder that leaves its block does not release the next holder's lock."""
        late = open_store(lease=_SHORT, wait=_LONG).lock("acme")
        late.__enter__()
        with open_store(lease=_LONG, wait=_LONG).lock("acme"):
            late.__exit__(None, None, None)
            third = open_store(lease=_LONG, wait=_SHORT)
            with pytest.raises(StoreLockTimeoutError), third.lock("acme"):
                pass

    def test_late_save_is_rejected(self, open_store: Callable[..., TokenStore]) -> None:
        """A late holder can't save after the next holder has saved."""
        late, nxt = open_store(lease=_SHORT, wait=_LONG), open_store(lease=_LONG, wait=_LONG)
        late.save("acme", a_token(1))
        with late.lock("acme"):
            with nxt.lock("acme"):
                nxt.save("acme", a_token(2))
            with pytest.raises(StoreLockTimeoutError):
                late.save("acme", a_token(3))
        assert nxt.load("acme") == a_token(2)

    def test_late_save_is_accepted_if_it_overwrites_nothing(
        self, open_store: Callable[..., TokenStore]
    ) -> None:
        """A late holder can save while the stored token is the one that it has refreshed."""
        late, nxt = open_store(lease=_SHORT, wait=_LONG), open_store(lease=_LONG, wait=_LONG)
        late.save("acme", a_token(1))
        with late.lock("acme"):
            with nxt.lock("acme"):
                assert nxt.load("acme") == a_token(1)
            late.save("acme", a_token(2))
        assert nxt.load("acme") == a_token(2)

    def test_save_without_the_lock_wins(self, open_store: Callable[..., TokenStore]) -> None:
        """A token that is newly authorized during a renewal is not overwritten by it."""
        renewing, authorizing = open_store(), open_store()
        renewing.save("acme", a_token(1))
        with renewing.lock("acme"):
            assert renewing.load("acme") == a_token(1)
            authorizing.save("acme", a_token(2))
            with pytest.raises(StoreLockTimeoutError):
                renewing.save("acme", a_token(3))
        assert authorizing.load("acme") == a_token(2)

    def test_first_save_is_not_overwritten(self, open_store: Callable[..., TokenStore]) -> None:
        """Without a token to begin with, a holder can't save after another caller has."""
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

    def test_loaded_token_may_be_replaced(self, open_store: Callable[..., TokenStore]) -> None:
        """A holder that has loaded another caller's newer token may refresh and save it."""
        renewing, authorizing = open_store(), open_store()
        renewing.save("acme", a_token(1))
        with renewing.lock("acme"):
            authorizing.save("acme", a_token(2))
            assert renewing.load("acme") == a_token(2)
            renewing.save("acme", a_token(3))
        assert authorizing.load("acme") == a_token(3)

    def test_lock_is_not_taken_twice(self, open_store: Callable[..., TokenStore]) -> None:
        """Taking a lock that this thread holds is an error, and it keeps the lock."""
        store = open_store(lease=_LONG)
        with store.lock("acme"):
            with pytest.raises(PipedriveOAuthError), store.lock("acme"):
                pass
            store.save("acme", a_token())

    @pytest.mark.parametrize("name", NO_NAMES, ids=repr)
    def test_invalid_name_is_rejected(self, store: TokenStore, name: Any) -> None:
        """Every method raises an error of this package for a name that no account can have."""
        with pytest.raises(PipedriveOAuthError):
            store.save(name, a_token())
        with pytest.raises(PipedriveOAuthError):
            store.load(name)
        with pytest.raises(PipedriveOAuthError):
            store.delete(name)
        with pytest.raises(PipedriveOAuthError), store.lock(name):
            pass
        assert list(store.accounts()) == []

    def test_non_token_is_rejected(self, store: TokenStore) -> None:
        """Saving something else is an error, and the previous token is still there."""
        store.save("acme", a_token())
        wrong: Any = {"access_token": "a"}
        with pytest.raises(PipedriveOAuthError):
            store.save("acme", wrong)
        assert store.load("acme") == a_token()

    def test_due_tokens_are_found(self, open_store: Callable[..., TokenStore]) -> None:
        """`due` returns each account whose access token expires before a time, and no other."""
        store: Any = open_store()
        for number in range(230):
            store.save(f"account {number}", a_token(number))
        store.delete("account 3")
        with store.lock("locked, without a token"):
            due = list(store.due(START + timedelta(seconds=110)))
        assert sorted(due) == sorted(f"account {number}" for number in range(110) if number != 3)
        assert list(store.due(START - timedelta(days=1))) == []


class ListingConformance(_Conformance):
    """What a store has to do that has `ended`, `overview`, and a prefix of `accounts`."""

    def test_prefix_is_compared_character_by_character(
        self, open_store: Callable[..., TokenStore]
    ) -> None:
        """Each prefix of a name finds the names that begin with it, and no other."""
        store: Any = open_store()
        names = [*NAMES, "company", "company:1", "company:2", "Company:3", "company;", "\ud7fbx"]
        for name in names:
            store.save(name, a_token())
        parts = {name[:length] for name in names for length in (*range(9), 100, len(name))}
        for prefix in sorted({*parts, "%", "_", "*", "company:1x"}):
            expected = sorted(name for name in names if name.startswith(prefix))
            assert sorted(store.accounts(prefix=prefix)) == expected, ascii(prefix)

    def test_prefix_of_many_accounts(self, store: Any) -> None:
        """However many there are, each account with the prefix is listed once."""
        for number in range(230):
            store.save(f"{number % 2}:{number}", a_token())
        found = list(store.accounts("1:"))
        assert sorted(found) == sorted(f"1:{number}" for number in range(1, 230, 2))

    @pytest.mark.parametrize("prefix", [5, None, b"a", " a", "a\n", "\0", "\ud800", "x" * 201])
    def test_invalid_prefix_is_rejected(self, store: Any, prefix: Any) -> None:
        """What no name can begin with is an error at once."""
        with pytest.raises(PipedriveOAuthError):
            store.accounts(prefix)

    def test_ended_grants_are_found(self, open_store: Callable[..., TokenStore]) -> None:
        """`ended` returns the accounts whose token has a `grant_end`, until it is replaced."""
        store: Any = open_store()
        end = GrantEnd(at=START, error="invalid_grant", tried_at=START)
        for number in range(230):
            store.save(f"account {number}", a_token(grant_end=end if number % 3 == 0 else None))
        store.save("account 3", a_token(refresh_token=None))
        store.delete("account 6")
        with store.lock("locked, without a token"):
            other: Any = open_store()
            found: list[str] = list(other.ended())
        assert sorted(found) == sorted(f"account {n}" for n in range(0, 230, 3) if n not in (3, 6))
        assert store.load("account 9") == a_token(grant_end=end)

    def test_overview_says_what_the_tokens_say(self, open_store: Callable[..., TokenStore]) -> None:
        """`overview` returns each account once, with the expiry and whether the grant has ended."""
        store: Any = open_store()
        end = GrantEnd(at=START, error="invalid_grant", tried_at=START)
        tokens = {
            f"account {number}": a_token(number, grant_end=end if number % 7 == 0 else None)
            for number in range(230)
        }
        tokens["long ago"] = a_token(expires_at=datetime(1969, 12, 31, tzinfo=UTC))
        tokens["never"] = a_token(expires_at=datetime.max.replace(tzinfo=UTC))
        for account, token in tokens.items():
            store.save(account, token)
        store.delete("account 5")
        del tokens["account 5"]
        with store.lock("locked, without a token"):
            found: list[AccountOverview] = list(store.overview())
        assert sorted(found) == sorted(
            AccountOverview(account, token.expires_at, token.grant_end is not None, False)
            for account, token in tokens.items()
        )
