"""`copy` and `rotate`: into another store, and under another key."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from attrs import evolve
from cryptography.fernet import Fernet

from pipedrive_oauth_client import GrantEnd, StoreError, StoreLockTimeoutError, Token
from pipedrive_oauth_client.stores import EncryptedTokenStore, FileTokenStore, SQLTokenStore
from tests.cli.conftest import Ran

Run = Callable[..., Ran]


def a_token(number: int = 0) -> Token:
    """Return a token."""
    return Token(
        access_token=f"planted-access-{number}",
        refresh_token=f"planted-refresh-{number}",
        scope="base",
        api_domain="https://acme.pipedrive.com",
        expires_at=datetime(2030, 1, 1, tzinfo=UTC),
    )


TOKENS = {f"12:{number}": a_token(number) for number in range(3)}


@pytest.fixture
def filled(store: FileTokenStore) -> FileTokenStore:
    """The store with three tokens."""
    for account, token in TOKENS.items():
        store.save(account, token)
    return store


@pytest.fixture
def target(tmp_path: Path) -> FileTokenStore:
    """The store to copy to."""
    return FileTokenStore(tmp_path / "target")


@pytest.fixture
def to(tmp_path: Path) -> tuple[str, str]:
    """The option that names the store to copy to."""
    return "--to", (tmp_path / "target").as_uri()


def content(store: object) -> dict[str, Token | None]:
    """Return all tokens of a store."""
    found: FileTokenStore = store  # type: ignore[assignment] # any store
    return {account: found.load(account) for account in found.accounts()}


def test_copy_to_a_database(run: Run, filled: FileTokenStore, tmp_path: Path) -> None:
    """All tokens are copied to another kind of store, with what belongs to them."""
    end = GrantEnd(
        at=datetime(2026, 1, 2, tzinfo=UTC),
        error="invalid_grant",
        tried_at=datetime(2026, 1, 3, tzinfo=UTC),
    )
    ended = evolve(a_token(), grant_end=end)
    filled.save("ended", ended)
    url = f"sqlite:///{tmp_path / 'tokens.db'}"
    ran = run("copy", "--to", url, "--to-name", "copies")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == f"4 copied, 0 failed. Store: {url}\n"
    with SQLTokenStore(url, table="copies") as copied:
        assert content(copied) == content(filled) == {**TOKENS, "ended": ended}
    ran = run("copy", "--to", url, "--to-name", "copies", "--json")
    result = json.loads(ran.out)
    assert (result["copied"], result["already_there"], result["failed"]) == (0, 4, {})
    assert "planted" not in ran.out


def test_nothing_is_overwritten(
    run: Run, filled: FileTokenStore, target: FileTokenStore, to: tuple[str, str]
) -> None:
    """Another token of the same account stays, with code 11, unless --replace is passed."""
    del filled
    other = evolve(a_token(), access_token="newer")
    target.save("12:1", other)
    ran = run("copy", *to)
    assert ran.code == 11
    assert ran.out.startswith("2 copied, 1 not replaced, 0 failed. Store: file ")
    assert "holds other tokens of 12:1. To replace them, pass --replace." in ran.err
    assert content(target) == {**TOKENS, "12:1": other}
    ran = run("copy", *to, "--replace")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("1 copied, 2 already there, 0 failed. ")
    assert content(target) == TOKENS


def test_damaged_tokens(
    run: Run, filled: FileTokenStore, target: FileTokenStore, to: tuple[str, str],
    folder: Path, tmp_path: Path,
) -> None:  # fmt: skip
    """A damaged token is named, and a damaged copy is replaced only with --replace."""
    del filled
    name = next(path.name for path in folder.glob("token-*.json") if "0" in path.name)
    (folder / name).write_bytes(b"{garbage")
    target.save("12:1", a_token(1))
    broken = next(path for path in (tmp_path / "target").glob("token-*.json"))
    broken.write_bytes(b"{garbage")
    ran = run("copy", *to)
    assert ran.code == 11
    assert ran.out.startswith("1 copied, 2 failed. ")
    assert "Error: 2 accounts were not copied: 12:0, 12:1." in ran.err
    assert broken.read_bytes() == b"{garbage"
    ran = run("copy", *to, "--replace", "--json")
    assert ran.code == 11
    assert list(json.loads(ran.out)["failed"]) == ["12:0"]
    assert target.load("12:1") == TOKENS["12:1"]


def test_encrypted_ends(
    run: Run, store: FileTokenStore, target: FileTokenStore, to: tuple[str, str], tmp_path: Path
) -> None:
    """Copies are under the same keys, under other keys, or in the clear if that is asked for."""
    key, other = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    EncryptedTokenStore(store, key).save("acme", a_token())
    assert run("copy", *to, PIPEDRIVE_OAUTH_STORE_KEYS=key).code == 0
    assert EncryptedTokenStore(target, key).load("acme") == a_token()
    target.delete("acme")
    file = tmp_path / "keys"
    file.write_text(other, encoding="utf-8")
    keys = {"PIPEDRIVE_OAUTH_STORE_KEYS": key}
    assert run("copy", *to, "--to-keys-file", str(file), **keys).code == 0
    assert EncryptedTokenStore(target, other).load("acme") == a_token()
    ran = run("copy", *to, **keys, PIPEDRIVE_OAUTH_TO_KEYS=other)
    assert ran.out.startswith("0 copied, 1 already there, 0 failed.")
    assert run("copy", *to, "--to-clear", "--to-keys-file", str(file), **keys).code == 2
    target.delete("acme")
    assert run("copy", *to, "--to-clear", **keys).code == 0
    assert target.load("acme") == a_token()


def test_copy_without_the_key(
    run: Run, store: FileTokenStore, target: FileTokenStore, to: tuple[str, str]
) -> None:
    """An encrypted token without its key is not copied, and the option for the key is named."""
    EncryptedTokenStore(store, Fernet.generate_key()).save("acme", a_token())
    ran = run("copy", *to)
    assert ran.code == 11
    assert "acme: It is encrypted; pass the keys: --store-keys-file." in ran.err
    assert content(target) == {}


@pytest.mark.parametrize("keys", [{}, {"PIPEDRIVE_OAUTH_TO_KEYS": Fernet.generate_key().decode()}])
def test_copy_onto_itself(
    run: Run, filled: FileTokenStore, folder: Path, keys: dict[str, str]
) -> None:
    """One store under two URLs is refused, and stays as it is."""
    for url in (folder.as_uri(), f"file:{folder}/../{folder.name}", "memory:"):
        ran = run("copy", "--to", url, **keys)
        assert (ran.code, ran.out) == (2, "")
    assert content(filled) == TOKENS
    assert run("copy").code == 2


def test_copy_holds_both_locks(
    run: Run, filled: FileTokenStore, to: tuple[str, str], folder: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """No process refreshes a token in either store while it is copied."""
    del filled
    real = FileTokenStore.save
    locked: list[str] = []

    def save(store: FileTokenStore, account: str, token: Token) -> None:
        if account in TOKENS:
            for each in (folder, tmp_path / "target"):
                other = FileTokenStore(each, wait=timedelta(seconds=0.05))
                with pytest.raises(StoreLockTimeoutError), other.lock(account):
                    pass
            locked.append(account)
        real(store, account, token)

    monkeypatch.setattr(FileTokenStore, "save", save)
    assert run("copy", *to).code == 0
    assert locked == sorted(TOKENS)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), StoreError("The disk is full.")], ids=str)
def test_copy_that_is_interrupted(
    run: Run, filled: FileTokenStore, target: FileTokenStore, to: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch, error: BaseException,
) -> None:  # fmt: skip
    """What was copied stays, the rest is copied when the command is run again."""
    real = FileTokenStore.save

    def save(store: FileTokenStore, account: str, token: Token) -> None:
        if account == "12:1":
            raise error
        real(store, account, token)

    with monkeypatch.context() as patch:
        patch.setattr(FileTokenStore, "save", save)
        ran = run("copy", *to)
    if isinstance(error, StoreError):
        assert ran.code == 11
        assert "12:1: The disk is full." in ran.err
        assert sorted(content(target)) == ["12:0", "12:2"]
    else:
        assert ran.code == 130
        assert "1 accounts were copied. Run the command again for the rest" in ran.err
        assert sorted(content(target)) == ["12:0"]
    ran = run("copy", *to)
    assert ran.code == 0
    assert " already there, 0 failed." in ran.out
    assert content(target) == content(filled) == TOKENS


def test_copy_from_a_store_that_is_down(run: Run, to: tuple[str, str]) -> None:
    """A store that does not respond is code 10."""
    for arguments in (
        ("--store", "redis://127.0.0.1:1/0", *to),
        ("--to", "redis://127.0.0.1:1/0"),
    ):
        ran = run("copy", *arguments)
        assert (ran.code, ran.out) == (10, "")


def test_copy_shows_progress(
    run: Run, filled: FileTokenStore, to: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a terminal a bar counts the accounts and the failures."""
    from pipedrive_oauth_client.cli import transfer  # noqa: PLC0415

    shown: list[tuple[int, int]] = []
    totals: list[int] = []

    @contextmanager
    def bar(label: str, count: Callable[[], int]) -> Generator[Callable[[int, int], None]]:
        assert label == "Copying"
        totals.append(count())
        yield lambda done, failed: shown.append((done, failed))

    monkeypatch.setattr(transfer, "progress_bar", bar)
    filled.save("sealed", evolve(a_token(), token_type="encrypted"))
    assert run("copy", *to).code == 11
    assert totals == [4]
    assert shown == [(1, 0), (2, 0), (3, 0), (4, 1)]


def test_rotate(run: Run, store: FileTokenStore) -> None:
    """Every token is put under the first key; a second run has nothing to do."""
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    sealed = EncryptedTokenStore(store, old)
    for account, token in TOKENS.items():
        sealed.save(account, token)
    ran = run("rotate", PIPEDRIVE_OAUTH_STORE_KEYS=f"{new},{old}")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == "3 encrypted with the first key, 0 failed.\n"
    assert content(EncryptedTokenStore(store, new)) == TOKENS
    ran = run("rotate", "--json", PIPEDRIVE_OAUTH_STORE_KEYS=f"{new} {old}")
    assert json.loads(ran.out) == {"encrypted": 0, "unchanged": 3, "failed": {}}
    assert old not in ran.out + ran.err


def test_rotate_seals_what_is_in_the_clear(run: Run, filled: FileTokenStore) -> None:
    """Tokens in the clear are named, and encrypted with --seal-clear alone."""
    key = Fernet.generate_key().decode()
    EncryptedTokenStore(filled, key).save("12:0", TOKENS["12:0"])
    ran = run("rotate", PIPEDRIVE_OAUTH_STORE_KEYS=key)
    assert ran.code == 11
    assert ran.out == "0 encrypted with the first key, 1 had it already, 2 failed.\n"
    assert "keep the old keys: 12:1, 12:2." in ran.err
    assert filled.load("12:1") == TOKENS["12:1"]
    ran = run("rotate", "--seal-clear", PIPEDRIVE_OAUTH_STORE_KEYS=key)
    assert (ran.code, ran.err) == (0, "")
    assert content(EncryptedTokenStore(filled, key)) == TOKENS


def test_rotate_without_keys(run: Run, filled: FileTokenStore) -> None:
    """Without keys the options that name them are in the error."""
    ran = run("rotate")
    assert (ran.code, ran.out) == (2, "")
    assert "--store-keys-file, or PIPEDRIVE_OAUTH_STORE_KEYS" in ran.err
    assert content(filled) == TOKENS


def test_rotate_with_a_key_that_does_not_open(run: Run, store: FileTokenStore) -> None:
    """A token under a key that is missing is named, and left as it is."""
    lost, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    EncryptedTokenStore(store, lost).save("acme", a_token())
    before = store.load("acme")
    ran = run("rotate", "--seal-clear", PIPEDRIVE_OAUTH_STORE_KEYS=new)
    assert ran.code == 11
    assert "acme: The stored token of 'acme' can't be decrypted." in ran.err
    assert store.load("acme") == before
