"""`EncryptedTokenStore`: the shared tests, what it hides and detects, and new keys."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
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
    StoreLockTimeoutError,
)
from pipedrive_oauth_client.stores import (
    EncryptedTokenStore,
    FileTokenStore,
    MemoryTokenStore,
    accounts_with_prefix,
)
from pipedrive_oauth_client.stores.conformance import (
    START,
    LeaseConformance,
    ListingConformance,
    TokenStoreConformance,
    a_token,
)
from pipedrive_oauth_client.tokens import GrantEnd, Token
from tests.support.samples import ACCESS_TOKEN, REFRESH_TOKEN
from tests.support.sweep import found, visible


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


class TestAroundMemory(TokenStoreConformance, LeaseConformance, ListingConformance):
    """The shared tests, on handles that share a memory."""

    @pytest.fixture
    def open_store(self) -> Callable[..., EncryptedTokenStore]:
        """Give stores around the same memory."""
        first = MemoryTokenStore()

        def open_again(**settings: Any) -> EncryptedTokenStore:
            inner = MemoryTokenStore(**settings)
            inner._memory = first._memory
            return EncryptedTokenStore(inner, KEY)

        return open_again


class TestAroundFiles(TokenStoreConformance, LeaseConformance, ListingConformance):
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


OTHER_KEY = Fernet.generate_key()
TOKEN = a_token(
    access_token=ACCESS_TOKEN,
    refresh_token=REFRESH_TOKEN,
    scope="deals:full",
    api_domain="https://x",
)
SECRETS = [ACCESS_TOKEN, REFRESH_TOKEN, KEY.decode(), OTHER_KEY.decode()]
END = GrantEnd(at=START, error="invalid_grant", tried_at=START)
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


def test_end_of_a_grant_is_readable_outside_and_counts_inside(
    inner: DictStore, store: EncryptedTokenStore
) -> None:
    """`ended` needs no key; a mark that is changed in the clear changes nothing of the token."""
    marked = evolve(TOKEN, grant_end=END)
    store.save("acme", marked)
    assert inner.kept["acme"].grant_end == END
    inner.kept["acme"] = evolve(inner.kept["acme"], grant_end=None)
    assert store.load("acme") == marked
    store.save("acme", TOKEN)
    inner.kept["acme"] = evolve(inner.kept["acme"], grant_end=END)
    assert store.load("acme") == TOKEN


def test_nothing_readable_is_in_a_file(tmp_path: Path) -> None:
    """Nowhere in the folder is a part of the token to be found."""
    store = EncryptedTokenStore(FileTokenStore(tmp_path / "tokens"), KEY)
    with store.lock("acme"):
        store.save("acme", TOKEN)
        content = b"".join(file.read_bytes() for file in (tmp_path / "tokens").iterdir()).decode()
    assert "2030" in content
    assert not found(content, [*SECRETS, "deals", "https://x"])


def test_earlier_ciphertext_of_the_same_account_opens(
    inner: DictStore, store: EncryptedTokenStore
) -> None:
    """Putting back what was stored before is not noticed, as the guide says."""
    before = inner.kept["acme"]
    store.save("acme", a_token(9))
    inner.kept["acme"] = before
    assert store.load("acme") == TOKEN


def test_same_token_looks_different_each_time(inner: DictStore, store: EncryptedTokenStore) -> None:
    """Two accounts, or two saves, with the same token have different ciphertexts."""
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
    """Without the key, a token can't be made to look fresh or stale."""
    sealed = inner.kept["acme"]
    inner.kept["acme"] = evolve(sealed, expires_at=sealed.expires_at + change)
    assert "expiry" in corrupt(store, inner)


def test_token_in_the_clear(inner: DictStore, store: EncryptedTokenStore) -> None:
    """A token that is not encrypted is not trusted, and the error says how to begin."""
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
    assert repr(store) == f"EncryptedTokenStore({inner!r}, <1 keys>)"
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


def test_listings_are_those_of_the_store_inside(store: EncryptedTokenStore) -> None:
    """`ended` and `overview` are missing where they are missing inside; a prefix always works."""
    assert not hasattr(store, "ended")
    assert not hasattr(store, "overview")
    store.save("umbrella", TOKEN)
    assert list(store.accounts(prefix="um")) == ["umbrella"]
    assert list(EncryptedTokenStore(store, KEY).accounts("a")) == ["acme"]
    with pytest.raises(ConfigurationError, match="prefix"):
        store.accounts(" a")
    able = EncryptedTokenStore(MemoryTokenStore(), KEY)
    able.save("acme", evolve(TOKEN, grant_end=END))
    able.save("umbrella", TOKEN)
    blind = EncryptedTokenStore(able._inner, OTHER_KEY)
    assert list(blind.ended()) == ["acme"]
    assert [tuple(each)[1:] for each in blind.overview()] == [
        (TOKEN.expires_at, True, False),
        (TOKEN.expires_at, False, False),
    ]


def test_prefix_of_a_store_of_another_kind() -> None:
    """A prefix is passed on only to a store whose `accounts` has a parameter of that name."""
    asked: list[str] = []

    class Quick(DictStore):
        def accounts(self, prefix: str = "") -> Iterator[str]:
            asked.append(prefix)
            return (name for name in self.kept if name.startswith(prefix))

    class Passing(DictStore):
        def accounts(self, *given: Any, **named: Any) -> Iterator[str]:
            assert not given
            assert not named
            return iter(self.kept)

    for kind in (DictStore, Quick, Passing):
        plain = kind()
        for name in ("acme:1", "acme:2", "umbrella"):
            plain.save(name, TOKEN)
        assert list(accounts_with_prefix(plain, "acme:")) == ["acme:1", "acme:2"]
        assert len(list(accounts_with_prefix(plain, ""))) == 3
    assert asked == ["acme:", ""]


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
            raise StoreLockTimeoutError("another caller has saved")
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
def watched() -> Watched:
    """Give a store with three tokens that were encrypted with the old key."""
    watched = Watched()
    old = EncryptedTokenStore(watched, OLD)
    for number, account in enumerate(("acme", "umbrella", "stark")):
        old.save(account, a_token(number))
    watched.done.clear()
    return watched


def test_old_key_still_reads_and_new_one_writes(watched: Watched) -> None:
    """With both keys all can be read, and what is saved takes the first one alone."""
    both = EncryptedTokenStore(watched, [NEW, OLD])
    assert both.load("acme") == a_token(0)
    both.save("acme", a_token(7))
    assert EncryptedTokenStore(watched, NEW).load("acme") == a_token(7)
    with pytest.raises(CorruptTokenError):
        EncryptedTokenStore(watched, OLD).load("acme")


def test_rotate_takes_the_lock(watched: Watched) -> None:
    """One account is encrypted anew under its lock, once."""
    both = EncryptedTokenStore(watched, [NEW, OLD])
    assert both.rotate("acme")
    assert watched.done == ["lock acme", "load acme", "save acme", "free acme"]
    watched.done.clear()
    assert not both.rotate("acme")
    assert watched.done == ["lock acme", "load acme", "free acme"]
    assert EncryptedTokenStore(watched, NEW).load("acme") == a_token(0)
    assert not both.rotate("unknown")
    assert "unknown" not in watched.kept


def test_rotate_all(watched: Watched) -> None:
    """All accounts are encrypted anew, and the old key is not needed any more."""
    both = EncryptedTokenStore(watched, [NEW, OLD])
    both.save("wayne", a_token(3))
    assert both.rotate_all() == 3
    new = EncryptedTokenStore(watched, NEW)
    assert [new.load(account) for account in watched.kept] == [a_token(n) for n in range(4)]
    assert both.rotate_all() == 0
    assert new.rotate_all() == 0


def test_failure_of_one_does_not_stop_the_others(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    """What can't be encrypted anew stays as it is, is named, and keeps the old key in use."""
    both = EncryptedTokenStore(watched, [NEW, OLD])
    watched.kept["acme"] = a_token(access_token="damaged", token_type="encrypted")
    watched.failing.add("umbrella")
    with pytest.raises(StoreError, match=r"2 tokens were not .* and 1 were.*old key") as info:
        both.rotate_all()
    assert isinstance(info.value.__cause__, CorruptTokenError)
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert "'acme'" in caplog.text
    assert "'umbrella'" in caplog.text
    assert EncryptedTokenStore(watched, NEW).load("stark") == a_token(2)
    assert watched.kept["acme"].access_token == "damaged"
    assert not found(visible(info.value) + caplog.text, [OLD.decode(), NEW.decode()])
    watched.failing.clear()
    watched.kept.pop("acme")
    assert both.rotate_all() == 1


@pytest.mark.parametrize("keys", [NEW, [NEW, OLD]], ids=["one key", "two keys"])
def test_begin_to_encrypt(watched: Watched, keys: bytes | list[bytes]) -> None:
    """Tokens in the clear are encrypted where that is asked for, and only then."""
    watched.kept = {"acme": a_token(0), "umbrella": a_token(1)}
    store = EncryptedTokenStore(watched, keys)
    for _ in range(2):
        with pytest.raises(StoreError) as info:
            store.rotate_all()
        assert isinstance(info.value.__cause__, CorruptTokenError)
        assert watched.kept == {"acme": a_token(0), "umbrella": a_token(1)}
    assert store.rotate("acme", seal_clear=True)
    assert watched.kept["umbrella"] == a_token(1)
    assert store.rotate_all(seal_clear=True) == 1
    assert [store.load("acme"), store.load("umbrella")] == [a_token(0), a_token(1)]
    assert store.rotate_all(seal_clear=True) == 0


def test_asking_to_encrypt_does_not_hide_damage(watched: Watched) -> None:
    """What is encrypted with a lost key is an error also where clear tokens are encrypted."""
    with pytest.raises(StoreError, match="3 tokens"):
        EncryptedTokenStore(watched, NEW).rotate_all(seal_clear=True)


def test_renewal_under_way_is_not_overwritten() -> None:
    """Changing a key waits for a renewal, for a bounded time."""
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


def test_bad_name_is_refused(watched: Watched) -> None:
    """An account that can't be one is refused before the store is asked."""
    with pytest.raises(ConfigurationError):
        EncryptedTokenStore(watched, NEW).rotate(" acme")
    assert watched.done == []
