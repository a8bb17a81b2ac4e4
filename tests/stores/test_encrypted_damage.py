"""What `EncryptedTokenStore` lets nobody see, and what it lets nobody change unnoticed."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from cryptography.fernet import Fernet, MultiFernet

from pipedrive_oauth_client.errors import (
    ConfigurationError,
    CorruptTokenError,
    PipedriveOAuthError,
    StoreError,
)
from pipedrive_oauth_client.stores import EncryptedTokenStore, FileTokenStore, MemoryTokenStore
from pipedrive_oauth_client.stores.conformance import a_token
from pipedrive_oauth_client.tokens import Token
from tests.stores.test_encrypted import KEY, DictStore
from tests.support.samples import ACCESS_TOKEN, REFRESH_TOKEN
from tests.support.sweep import found, visible

OTHER_KEY = Fernet.generate_key()
TOKEN = a_token(
    access_token=ACCESS_TOKEN,
    refresh_token=REFRESH_TOKEN,
    scope="deals:full",
    api_domain="https://x",
)
SECRETS = [ACCESS_TOKEN, REFRESH_TOKEN, KEY.decode(), OTHER_KEY.decode()]
LATER = datetime(2031, 1, 1, tzinfo=UTC)


@pytest.fixture
def inner() -> DictStore:
    """Give a store that shows what it keeps."""
    return DictStore()


@pytest.fixture
def store(inner: DictStore) -> EncryptedTokenStore:
    """Give a store with a token."""
    store = EncryptedTokenStore(inner, KEY)
    store.save("acme", TOKEN)
    return store


def corrupt(store: EncryptedTokenStore, inner: DictStore, account: str = "acme") -> str:
    """Check that a token is not given out, and left as it is; give the error's text."""
    before = inner.kept[account]
    with pytest.raises(CorruptTokenError) as info:
        store.load(account)
    with pytest.raises(CorruptTokenError) as other:
        store.rotate(account)
    for error in (info.value, other.value):
        assert not found(visible(error), [*SECRETS, before.access_token])
    assert inner.kept[account] is before
    with store.lock(account):  # the lock is not concerned
        pass
    assert list(store.accounts()) == list(inner.kept)
    return str(info.value)


def test_store_sees_the_expiry_alone(inner: DictStore, store: EncryptedTokenStore) -> None:
    """What the store inside is given is a token that shows when it expires, and nothing else."""
    sealed = inner.kept["acme"]
    assert evolve(sealed, access_token="x") == Token(
        access_token="x", token_type="encrypted", expires_at=TOKEN.expires_at
    )
    opened = json.loads(Fernet(KEY).decrypt(sealed.access_token))
    assert opened == {"account": "acme", "token": TOKEN.to_dict()}
    assert store.load("acme") == TOKEN


def test_nothing_readable_is_in_a_file(tmp_path: Path) -> None:
    """Nowhere in the folder is a part of the token to be found."""
    store = EncryptedTokenStore(FileTokenStore(tmp_path / "tokens"), KEY)
    with store.lock("acme"):
        store.save("acme", TOKEN)
        content = b"".join(file.read_bytes() for file in (tmp_path / "tokens").iterdir()).decode()
    assert "2030" in content
    assert not found(content, [*SECRETS, "deals", "https://x"])


def test_same_token_looks_different_each_time(inner: DictStore, store: EncryptedTokenStore) -> None:
    """Nobody sees that two accounts, or two saves, have the same token."""
    first = inner.kept["acme"].access_token
    store.save("acme", TOKEN)
    assert inner.kept["acme"].access_token[:100] != first[:100]


def test_other_key(inner: DictStore, store: EncryptedTokenStore) -> None:
    """Without the key it was encrypted with, a token can't be read, and the error says so."""
    assert "add that key" in corrupt(EncryptedTokenStore(inner, OTHER_KEY), inner)
    assert store.load("acme") == TOKEN


def changed(place: int, text: str) -> str:
    """Change one character."""
    return text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]


CHANGES: dict[str, Callable[[str], str]] = {
    **{f"at {place}": partial(changed, place) for place in (0, 5, 20, 60, -60, -5)},
    "end cut": lambda text: text[:-4],
    "half cut": lambda text: text[: len(text) // 2],
    "doubled": lambda text: text * 2,
    "one too few": lambda _: "xqzw9",
    "no base64": lambda _: "not base64 at all!",
    "in the clear": lambda _: ACCESS_TOKEN,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_changed_text(
    inner: DictStore, store: EncryptedTokenStore, change: Callable[[str], str]
) -> None:
    """A text that was changed anywhere can't be decrypted."""
    sealed = inner.kept["acme"]
    inner.kept["acme"] = evolve(sealed, access_token=change(sealed.access_token))
    assert "was changed" in corrupt(store, inner)


def test_token_of_another_account(inner: DictStore, store: EncryptedTokenStore) -> None:
    """An entry that was moved to another account is not taken for that one's."""
    inner.kept["umbrella"] = inner.kept["acme"]
    assert "another account" in corrupt(store, inner, "umbrella")
    inner.kept["Acme"] = inner.kept["acme"]
    assert "another account" in corrupt(store, inner, "Acme")


@pytest.mark.parametrize("change", [timedelta(days=60), timedelta(microseconds=-1)])
def test_changed_expiry(inner: DictStore, store: EncryptedTokenStore, change: timedelta) -> None:
    """Nobody makes a token look fresh, or stale, who doesn't have the key."""
    sealed = inner.kept["acme"]
    inner.kept["acme"] = evolve(sealed, expires_at=sealed.expires_at + change)
    assert "expiry" in corrupt(store, inner)


def test_token_in_the_clear(inner: DictStore, store: EncryptedTokenStore) -> None:
    """A token that nobody has encrypted is not trusted, and the error says how to begin."""
    inner.kept["acme"] = TOKEN
    assert "seal_clear=True" in corrupt(store, inner)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"text",
        b"[1]",
        b"[" * 100_000,
        b"\xff",
        b'{"account": "acme"}',
        b'{"account": 5, "token": {}}',
        b'{"account": "acme", "token": 5}',
        b'{"account": "acme", "token": {"access_token": "%s"}}' % ACCESS_TOKEN.encode(),
    ],
)
def test_something_else_under_the_same_key(
    inner: DictStore, store: EncryptedTokenStore, content: bytes
) -> None:
    """What another program has encrypted with the same key is not taken for a token."""
    text = Fernet(KEY).encrypt(content).decode()
    inner.kept["acme"] = evolve(inner.kept["acme"], access_token=text)
    corrupt(store, inner)


def test_secrets_are_nowhere(
    inner: DictStore, store: EncryptedTokenStore, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither a `repr` nor a log shows a key or a token."""
    caplog.set_level(logging.DEBUG)
    inner.kept["bad"] = TOKEN
    with suppress(PipedriveOAuthError):
        store.rotate_all()
    assert "'bad'" in caplog.text
    assert repr(store) == f"EncryptedTokenStore({inner!r}, Sealer(<1 keys>))"
    assert not found(caplog.text + repr(store) + repr(vars(store)), SECRETS)


GOOD = KEY.decode()
BAD_KEYS: dict[str, Any] = {
    "none": [],
    "empty": "",
    "empty bytes": b"",
    "short": GOOD[:-5] + "=",
    "no padding": GOOD[:-1],
    "long": GOOD[:-1] + "AAAA=",
    "two in one": GOOD * 2,
    "odd characters": "!" + GOOD[1:],
    "hidden characters": GOOD[:10] + "\n\n" + GOOD[10:],
    "no ASCII": "\xe4" + GOOD[1:],
    "no ASCII, in bytes": b"\xe4" + KEY[1:],
    "a number": 5,
    "nothing": None,
    "a raw key": bytes(range(32)),
    "the second": [GOOD, GOOD[:-2]],
    "a number in it": [GOOD, 5],
    "a cipher": Fernet(KEY),
    "ciphers": MultiFernet([Fernet(KEY)]),
    "a set": {GOOD},
}


@pytest.mark.parametrize("keys", BAD_KEYS.values(), ids=BAD_KEYS)
def test_bad_key_is_refused(inner: DictStore, keys: Any) -> None:
    """A key that can't be one is refused at once, and no part of it is shown."""
    with pytest.raises(ConfigurationError, match="keys") as info:
        EncryptedTokenStore(inner, keys)
    text = visible(info.value)
    assert not found(text, [*SECRETS, GOOD[1:20], GOOD[11:-8], GOOD[-10:-1]])
    assert info.value.__context__ is None


@pytest.mark.parametrize(
    "keys",
    [KEY, GOOD, [KEY], (GOOD, OTHER_KEY), f"{GOOD}\n", KEY + b"\r\n"],
    ids=["bytes", "text", "list", "tuple", "text and line break", "bytes and line break"],
)
def test_good_keys(inner: DictStore, store: EncryptedTokenStore, keys: Any) -> None:
    """A key is a text or bytes, alone or in a sequence, and may end with a line break."""
    assert EncryptedTokenStore(inner, keys).load("acme") == store.load("acme") == TOKEN


@pytest.mark.parametrize(
    "wrong",
    [None, {}, "memory://", MemoryTokenStore, KEY],
    ids=["none", "dictionary", "url", "class", "key"],
)
def test_what_is_no_store_is_refused(wrong: Any) -> None:
    """Only around a store it makes sense."""
    with pytest.raises(ConfigurationError, match="inner"):
        EncryptedTokenStore(wrong, KEY)


def test_due_is_that_of_the_store_inside(inner: DictStore, store: EncryptedTokenStore) -> None:
    """It finds what is due without a key where the store inside can, and has no `due` otherwise."""
    assert getattr(store, "due", None) is None
    assert not hasattr(store, "due")
    able = EncryptedTokenStore(MemoryTokenStore(), KEY)
    able.save("acme", TOKEN)
    assert list(able.due(LATER)) == ["acme"]
    assert list(able.due(TOKEN.expires_at)) == []
    assert not hasattr(EncryptedTokenStore(EncryptedTokenStore(inner, KEY), KEY), "due")


def test_error_of_the_store_inside_comes_out(store: EncryptedTokenStore, tmp_path: Path) -> None:
    """What goes wrong inside is the error that the caller gets."""
    files = EncryptedTokenStore(FileTokenStore(tmp_path / "tokens"), KEY)
    (tmp_path / "tokens").rmdir()
    for attempt in (
        lambda: files.load("acme"),
        lambda: files.save("acme", TOKEN),
        lambda: list(files.accounts()),
        files.rotate_all,
    ):
        with pytest.raises(StoreError, match="folder") as info:
            attempt()
        assert not found(visible(info.value), SECRETS)
    assert store.load("acme") == TOKEN


def test_two_layers(inner: DictStore) -> None:
    """One around the other gives the token back that was saved."""
    outer = EncryptedTokenStore(EncryptedTokenStore(inner, KEY), OTHER_KEY)
    outer.save("acme", TOKEN)
    assert outer.load("acme") == TOKEN
