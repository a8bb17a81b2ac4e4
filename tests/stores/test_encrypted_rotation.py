"""How the key of an `EncryptedTokenStore` is changed, and how encrypting begins."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from pipedrive_oauth_client.errors import (
    ConfigurationError,
    CorruptTokenError,
    StoreError,
    StoreLockTimeoutError,
)
from pipedrive_oauth_client.stores import EncryptedTokenStore, FileTokenStore, MemoryTokenStore
from pipedrive_oauth_client.stores.conformance import a_token
from pipedrive_oauth_client.tokens import Token
from tests.stores.test_encrypted import DictStore
from tests.support.sweep import found, visible

OLD, NEW = Fernet.generate_key(), Fernet.generate_key()


class Watched(DictStore):
    """A store that writes down what is done to it."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[str] = []
        self.failing: set[str] = set()

    def load(self, account: str) -> Token | None:
        """Give the token."""
        self.done.append(f"load {account}")
        return super().load(account)

    def save(self, account: str, token: Token) -> None:
        """Keep the token."""
        self.done.append(f"save {account}")
        if account in self.failing:
            raise StoreLockTimeoutError("somebody else has saved")
        super().save(account, token)

    @contextmanager
    def _lock(self, account: str) -> Generator[None]:
        self.done.append(f"lock {account}")
        yield
        self.done.append(f"free {account}")

    def lock(self, account: str) -> AbstractContextManager[object]:
        """Give a lock."""
        return self._lock(account)


@pytest.fixture
def inner() -> Watched:
    """Give a store with three tokens that were encrypted with the old key."""
    inner = Watched()
    old = EncryptedTokenStore(inner, OLD)
    for number, account in enumerate(("acme", "umbrella", "stark")):
        old.save(account, a_token(number))
    inner.done.clear()
    return inner


def test_old_key_still_reads_and_new_one_writes(inner: Watched) -> None:
    """With both keys all can be read, and what is saved takes the first one alone."""
    both = EncryptedTokenStore(inner, [NEW, OLD])
    assert both.load("acme") == a_token(0)
    both.save("acme", a_token(7))
    assert EncryptedTokenStore(inner, NEW).load("acme") == a_token(7)
    with pytest.raises(CorruptTokenError):
        EncryptedTokenStore(inner, OLD).load("acme")


def test_rotate_takes_the_lock(inner: Watched) -> None:
    """One account is encrypted anew under its lock, once."""
    both = EncryptedTokenStore(inner, [NEW, OLD])
    assert both.rotate("acme")
    assert inner.done == ["lock acme", "load acme", "save acme", "free acme"]
    inner.done.clear()
    assert not both.rotate("acme")
    assert inner.done == ["lock acme", "load acme", "free acme"]
    assert EncryptedTokenStore(inner, NEW).load("acme") == a_token(0)
    assert not both.rotate("nobody")
    assert "nobody" not in inner.kept


def test_rotate_all(inner: Watched) -> None:
    """All accounts are encrypted anew, and the old key is not needed any more."""
    both = EncryptedTokenStore(inner, [NEW, OLD])
    both.save("wayne", a_token(3))
    assert both.rotate_all() == 3
    new = EncryptedTokenStore(inner, NEW)
    assert [new.load(account) for account in inner.kept] == [a_token(n) for n in range(4)]
    assert both.rotate_all() == 0
    assert new.rotate_all() == 0


def test_failure_of_one_does_not_stop_the_others(
    inner: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    """What can't be encrypted anew stays as it is, is named, and keeps the old key in use."""
    both = EncryptedTokenStore(inner, [NEW, OLD])
    inner.kept["acme"] = a_token(access_token="damaged", token_type="encrypted")
    inner.failing.add("umbrella")
    with pytest.raises(StoreError, match=r"2 tokens were not .* and 1 were.*old key") as info:
        both.rotate_all()
    assert isinstance(info.value.__cause__, CorruptTokenError)
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert "'acme'" in caplog.text
    assert "'umbrella'" in caplog.text
    assert EncryptedTokenStore(inner, NEW).load("stark") == a_token(2)
    assert inner.kept["acme"].access_token == "damaged"
    assert not found(visible(info.value) + caplog.text, [OLD.decode(), NEW.decode()])
    inner.failing.clear()
    inner.kept.pop("acme")
    assert both.rotate_all() == 1


@pytest.mark.parametrize("keys", [NEW, [NEW, OLD]], ids=["one key", "two keys"])
def test_begin_to_encrypt(inner: Watched, keys: bytes | list[bytes]) -> None:
    """Tokens in the clear are encrypted where that is asked for, and only then."""
    inner.kept = {"acme": a_token(0), "umbrella": a_token(1)}
    store = EncryptedTokenStore(inner, keys)
    for _ in range(2):
        with pytest.raises(StoreError) as info:
            store.rotate_all()
        assert isinstance(info.value.__cause__, CorruptTokenError)
        assert inner.kept == {"acme": a_token(0), "umbrella": a_token(1)}
    assert store.rotate("acme", seal_clear=True)
    assert inner.kept["umbrella"] == a_token(1)
    assert store.rotate_all(seal_clear=True) == 1
    assert [store.load("acme"), store.load("umbrella")] == [a_token(0), a_token(1)]
    assert store.rotate_all(seal_clear=True) == 0


def test_asking_to_encrypt_does_not_hide_damage(inner: Watched) -> None:
    """What is encrypted with a lost key is an error also where clear tokens are encrypted."""
    with pytest.raises(StoreError, match="3 tokens"):
        EncryptedTokenStore(inner, NEW).rotate_all(seal_clear=True)


def test_renewal_under_way_is_not_overwritten() -> None:
    """Whoever renews while a key is changed is waited for, and the wait has an end."""
    memory = MemoryTokenStore(wait=timedelta(milliseconds=20))
    EncryptedTokenStore(memory, OLD).save("acme", a_token())
    both = EncryptedTokenStore(memory, [NEW, OLD])
    with both.lock("acme"):
        with pytest.raises(ConfigurationError, match="already"):
            both.rotate("acme")
        both.save("acme", a_token(1))
    assert not both.rotate("acme")
    assert both.load("acme") == a_token(1)


def test_files_are_rotated(tmp_path: Path) -> None:
    """A folder's files are replaced while it is listed, and each is encrypted anew once."""
    files = FileTokenStore(tmp_path / "tokens")
    for number in range(120):
        files.save(f"account {number}", a_token(number))
    assert EncryptedTokenStore(files, OLD).rotate_all(seal_clear=True) == 120
    assert EncryptedTokenStore(files, [NEW, OLD]).rotate_all() == 120
    new = EncryptedTokenStore(files, NEW)
    assert [new.load(f"account {n}") for n in range(120)] == [a_token(n) for n in range(120)]


def test_bad_name_is_refused(inner: Watched) -> None:
    """An account that can't be one is refused before the store is asked."""
    with pytest.raises(ConfigurationError):
        EncryptedTokenStore(inner, NEW).rotate(" acme")
    assert inner.done == []
