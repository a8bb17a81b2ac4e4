"""What `fleet.health` and `fleet.ended` tell of each account, and what it costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.fernet import Fernet

from pipedrive_oauth_client import ConfigurationError, GrantEnd, StoreError, Token
from pipedrive_oauth_client.fleet import AccountHealth, ended, health
from pipedrive_oauth_client.stores import (
    EncryptedTokenStore,
    FileTokenStore,
    LeasedStore,
    MemoryTokenStore,
    RedisTokenStore,
    SQLTokenStore,
    TokenStore,
)
from tests.support.backends import postgres_url, redis_url, throwaway_prefix, throwaway_table
from tests.support.untyped import untyped

NOW: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
TICK: Final = timedelta(microseconds=1)
END: Final = GrantEnd(at=NOW - 3 * DAY, error="invalid_grant", tried_at=NOW - HOUR)
KINDS: Final = ("memory", "file", "sqlite", "postgresql", "redis", "encrypted", "custom")
# These know it without loading every token.
LISTING: Final = ("sqlite", "postgresql", "redis", "encrypted")


def clock() -> datetime:
    """Give the time of the tests."""
    return NOW


def token(expires_at: datetime, end: GrantEnd | None = None) -> Token:
    """Make a token."""
    return Token(
        access_token="a", refresh_token="r", scope="base", expires_at=expires_at, grant_end=end
    )


class Custom:
    """A store with the five methods of the protocol."""

    def __init__(self) -> None:
        inner = MemoryTokenStore()
        self.load, self.save, self.delete = inner.load, inner.save, inner.delete
        self.lock, self._inner = inner.lock, inner

    def accounts(self) -> Iterator[str]:
        """Give all accounts."""
        return self._inner.accounts()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Give each kind of store in turn."""
    return str(request.param)


@pytest.fixture
def store(kind: str, tmp_path: Path) -> Iterator[TokenStore]:
    """Open a store of the kind."""
    with ExitStack() as stack:
        if kind == "memory":
            yield MemoryTokenStore()
        elif kind == "file":
            yield FileTokenStore(tmp_path / "tokens")
        elif kind == "custom":
            yield Custom()
        elif kind == "redis":
            prefix = stack.enter_context(throwaway_prefix(redis_url()))
            yield stack.enter_context(RedisTokenStore(redis_url(), prefix=prefix))
        elif kind == "postgresql":
            table = stack.enter_context(throwaway_table(postgres_url()))
            yield stack.enter_context(SQLTokenStore(postgres_url(), table=table))
        else:
            url = f"sqlite:///{tmp_path / 'tokens.db'}"
            sql = stack.enter_context(SQLTokenStore(url))
            is_encrypted = kind == "encrypted"
            yield EncryptedTokenStore(sql, [Fernet.generate_key()]) if is_encrypted else sql


def lapse(expires_at: datetime) -> datetime:
    """Say when a refresh token lapses: 60 days after an hour before the expiry."""
    return expires_at - HOUR + 60 * DAY


EXPIRIES: Final = {
    "new": NOW + HOUR,
    "last moment": NOW + TICK,
    "expired": NOW,
    "old": NOW - 40 * DAY,
    "not yet ending": NOW - 53 * DAY + HOUR + TICK,
    "ending": NOW - 53 * DAY + HOUR,
    "last day": NOW - 60 * DAY + HOUR + TICK,
    "lapsed": NOW - 60 * DAY + HOUR,
    "long lapsed": NOW - 500 * DAY,
    "never": datetime.max.replace(tzinfo=UTC),
    "always": datetime.min.replace(tzinfo=UTC),
}
STATES: Final = {
    "new": ("valid", NOW),
    "last moment": ("valid", NOW - HOUR + TICK),
    "expired": ("stale", NOW),
    "old": ("stale", NOW - 40 * DAY),
    "not yet ending": ("stale", NOW - 53 * DAY + HOUR + TICK),
    "ending": ("ending", NOW),
    "last day": ("ending", NOW - 7 * DAY + TICK),
    "lapsed": ("ended", NOW),
    "long lapsed": ("ended", NOW - 440 * DAY - HOUR),
}


def test_states(store: TokenStore) -> None:
    """The expiry says how an account is, since when, and when its refresh token lapses."""
    for name, expires_at in EXPIRIES.items():
        store.save(name, token(expires_at))
    store.save("rejected", token(NOW + HOUR, END))
    store.save("rejected long ago", token(NOW - 30 * DAY, END))
    found = {each.account: each for each in health(store, clock=clock)}
    assert found.keys() == EXPIRIES.keys() | {"rejected", "rejected long ago"}
    for name, (state, since) in STATES.items():
        each = found[name]
        expected = (state, since, lapse(EXPIRIES[name]))
        assert (each.state, each.since, each.lapses_at) == expected, name
    assert (found["never"].state, found["always"].state) == ("valid", "ended")
    for name, expires_at in (("rejected", NOW + HOUR), ("rejected long ago", NOW - 30 * DAY)):
        assert found[name] == AccountHealth(name, "ended", END.at, lapse(expires_at))


def test_ended(store: TokenStore) -> None:
    """Those that have ended are found, and described as in `health`; a login restores them."""
    for name, expires_at in EXPIRIES.items():
        store.save(name, token(expires_at))
    store.save("rejected", token(NOW + HOUR, END))
    store.save("rejected and lapsed", token(NOW - 90 * DAY, END))
    names = {"lapsed", "long lapsed", "always", "rejected", "rejected and lapsed"}
    found = list(ended(store, clock=clock))
    assert sorted(each.account for each in found) == sorted(names)
    assert set(found) == {each for each in health(store, clock=clock) if each.state == "ended"}
    for name in names:
        store.save(name, token(NOW + HOUR))
    assert list(ended(store, clock=clock)) == []


def test_what_is_loaded(store: TokenStore, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQL and Redis load what is suspect and nothing else, however many accounts there are."""
    for number in range(120):
        store.save(f"{number}", token(NOW - number * 0.4 * DAY, END if number % 40 == 0 else None))
    loaded: list[str] = []
    for owner in (LeasedStore, EncryptedTokenStore):
        real: Callable[[Any, str], Token | None] = owner.load

        def load(
            own: Any, account: str, real: Callable[[Any, str], Token | None] = real
        ) -> Token | None:
            loaded.append(account)
            return real(own, account)

        monkeypatch.setattr(owner, "load", load)
    if kind == "custom":
        assert isinstance(store, Custom)
        store.load = store._inner.load
    assert len(list(health(store, clock=clock))) == 120
    if kind in LISTING:
        assert set(loaded) == {"0", "40", "80"}
    loaded.clear()
    assert {each.account for each in ended(store, clock=clock)} == {"0", "40", "80"}
    if kind in LISTING:
        assert set(loaded) == {"0", "40", "80"}


def test_unreadable(tmp_path: Path) -> None:
    """What is damaged or encrypted with another key is told apart, and hides no other account."""
    folder = tmp_path / "tokens"
    plain = FileTokenStore(folder)
    for name in ("good", "damaged"):
        plain.save(name, token(NOW + HOUR))
    EncryptedTokenStore(plain, [Fernet.generate_key()]).save("sealed", token(NOW + HOUR))
    for path in folder.rglob("*damaged*"):
        path.write_text("{", encoding="ascii")
    found = {each.account: each for each in health(Plain(plain), clock=clock)}
    assert {name: each.state for name, each in found.items()} == {
        "good": "valid",
        "damaged": "unreadable",
        "sealed": "unreadable",
    }
    assert found["damaged"] == AccountHealth("damaged", "unreadable", None, None)
    listed = {each.account: each.state for each in health(plain, clock=clock)}
    assert listed["damaged"] == "unreadable"
    assert listed["good"] == "valid"
    assert list(ended(plain, clock=clock)) == []


class Plain(Custom):
    """The five methods of another store."""

    def __init__(self, inner: Any) -> None:
        self.load, self.save, self.delete = inner.load, inner.save, inner.delete
        self.lock, self._inner = inner.lock, inner


def test_deleted_meanwhile(store: TokenStore) -> None:
    """An account that is deleted while it is looked at is not told of."""
    for name in ("one", "two"):
        store.save(name, token(NOW, END))
    found = health(store, clock=clock)
    store.delete("one")
    store.delete("two")
    assert [each.account for each in found if each.account == "two"] == []


def test_store_that_does_not_work() -> None:
    """That is an error of the whole, and not of each account."""

    class Broken(Custom):
        def accounts(self) -> Iterator[str]:
            raise StoreError("It is down.")

    with pytest.raises(StoreError, match=r"It is down\."):
        list(health(Broken()))


def test_arguments() -> None:
    """Wrong arguments are rejected at once."""
    for function in (untyped(health), untyped(ended)):
        with pytest.raises(ConfigurationError):
            function(None)
        with pytest.raises(ConfigurationError):
            function(MemoryTokenStore(), clock=lambda: NOW.replace(tzinfo=None))
