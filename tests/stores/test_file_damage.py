"""What `FileTokenStore` makes of files that are not as it wrote them."""

from __future__ import annotations

import json
import logging
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from pipedrive_oauth_client.errors import (
    ConfigurationError,
    CorruptTokenError,
    StoreLockTimeoutError,
)
from pipedrive_oauth_client.stores import FileTokenStore
from pipedrive_oauth_client.stores._private_files import MOST_BYTES
from pipedrive_oauth_client.stores.conformance import START, a_token
from pipedrive_oauth_client.stores.file import BOOT, lease_file, token_file
from tests.support.samples import ACCESS_TOKEN, REFRESH_TOKEN
from tests.support.sweep import found, visible

SECRETS = [ACCESS_TOKEN, REFRESH_TOKEN]
TOKEN = a_token(access_token=ACCESS_TOKEN, refresh_token=REFRESH_TOKEN)
LONG = "\U0001f980" * 200
LATER = START + timedelta(days=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give the folder of the store."""
    return tmp_path / "tokens"


@pytest.fixture
def store(folder: Path) -> FileTokenStore:
    """Give a store with a token."""
    store = FileTokenStore(folder)
    store.save("acme", TOKEN)
    return store


def written(**changes: object) -> bytes:
    """Write a file as the store does, with changes; None leaves a field out."""
    whole = {"account": "acme", "version": "0123456789abcdef", "token": TOKEN.to_dict(), **changes}
    return json.dumps({name: value for name, value in whole.items() if value is not None}).encode()


DAMAGES = {
    "empty": b"",
    "zeroes": b"\0" * 300,
    "cut": written()[:-40],
    "doubled": written() * 2,
    "no UTF-8": written().replace(b"deals", b"\xff\xfe"),
    "a list": b"[" + written() + b"]",
    "a string": json.dumps(ACCESS_TOKEN).encode(),
    "deep": b"[" * 200_000,
    "a number without end": b'{"account": ' + b"1" * 5000 + b"}",
    "too long": written(more="x" * MOST_BYTES),
    "one byte too long": written().ljust(MOST_BYTES + 1),
    "no account": written(account=None),
    "another account": written(account="umbrella"),
    "nearly the account": written(account="Acme"),
    "no account's name": written(account="\ud800"),
    "a number for the account": written(account=5),
    "no version": written(version=None),
    "no token": written(token=None),
    "a list for the token": written(token=[ACCESS_TOKEN]),
    "half a token": written(token={"access_token": ACCESS_TOKEN}),
    "an odd token": written(token={**TOKEN.to_dict(), "refresh_token": f"{REFRESH_TOKEN}\n"}),
    "an odd time": written(token={**TOKEN.to_dict(), "expires_at": ACCESS_TOKEN}),
}


@pytest.mark.parametrize("content", DAMAGES.values(), ids=DAMAGES)
def test_damage(folder: Path, store: FileTokenStore, content: bytes) -> None:
    """What can't be read is an error of that account alone, shows no secret, and stays as it is."""
    store.save("umbrella", a_token(2))
    file = folder / token_file("acme")
    file.write_bytes(content)
    for _ in range(2):
        with pytest.raises(CorruptTokenError) as info:
            store.load("acme")
        assert not found(visible(info.value), SECRETS)
        assert "authorize" in str(info.value)
    with store.lock("acme"), pytest.raises(CorruptTokenError):
        store.load("acme")
    assert file.read_bytes() == content
    assert store.load("umbrella") == a_token(2)
    assert sorted(store.accounts()) == ["acme", "umbrella"]
    assert sorted(store.due(LATER)) == ["acme", "umbrella"]
    assert list(store.due(START - timedelta(days=1))) == ["acme"]


@pytest.mark.parametrize("content", DAMAGES.values(), ids=DAMAGES)
def test_damage_is_replaced_or_deleted(folder: Path, store: FileTokenStore, content: bytes) -> None:
    """A save puts a token in its place, with the lock and without, and so does a delete."""
    file = folder / token_file("acme")
    file.write_bytes(content)
    with store.lock("acme"):
        store.save("acme", a_token(3))
    assert store.load("acme") == a_token(3)
    file.write_bytes(content)
    store.save("acme", a_token(4))
    assert store.load("acme") == a_token(4)
    file.write_bytes(content)
    store.delete("acme")
    assert store.load("acme") is None


def test_what_comes_after_the_damage_is_fenced(folder: Path, store: FileTokenStore) -> None:
    """Whoever has the lock does not replace what somebody else has put over the damage."""
    (folder / token_file("acme")).write_bytes(b"damage")
    with store.lock("acme"):
        FileTokenStore(folder).save("acme", a_token(3))
        with pytest.raises(StoreLockTimeoutError, match="somebody else"):
            store.save("acme", a_token(4))
    assert store.load("acme") == a_token(3)


@pytest.mark.parametrize("is_deleted", [True, False])
def test_damage_that_others_have_cleared(
    folder: Path, store: FileTokenStore, is_deleted: bool
) -> None:
    """Whoever has the lock does not bring a token back that was deleted over the damage."""
    file = folder / token_file("acme")
    file.write_bytes(b"damage")
    with store.lock("acme"):
        if is_deleted:
            FileTokenStore(folder).delete("acme")
        else:
            file.write_bytes(b"another damage")
        with pytest.raises(StoreLockTimeoutError, match="somebody else"):
            store.save("acme", a_token(4))
    assert file.exists() != is_deleted


def test_renamed_file_is_not_another_accounts(folder: Path, store: FileTokenStore) -> None:
    """A file that was copied to another account's name gives nobody the wrong token."""
    (folder / token_file("umbrella")).write_bytes((folder / token_file("acme")).read_bytes())
    (folder / token_file("umbrella")).chmod(0o600)
    with pytest.raises(CorruptTokenError, match="another account"):
        store.load("umbrella")
    assert store.load("acme") == TOKEN


def test_unknown_fields_are_passed_over(folder: Path, store: FileTokenStore) -> None:
    """What a newer version may write beside the token is no damage."""
    file = folder / token_file("acme")
    file.write_bytes(written(more=1, token={**TOKEN.to_dict(), "more": 1}))
    assert store.load("acme") == TOKEN


def test_damage_of_a_long_account_is_logged(
    folder: Path, store: FileTokenStore, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the file's name does not tell whose it is, the log says which file can't be read."""
    store.save(LONG, a_token(2))
    store.save("y" * 200, a_token(3))
    assert sorted(store.accounts()) == ["acme", "y" * 200, LONG]
    file = folder / token_file(LONG)
    others = (folder / token_file("y" * 200)).read_bytes()
    for content in (b"damage", written(), others, written(account="\ud800")):
        file.write_bytes(content)
        caplog.clear()
        assert sorted(store.accounts()) == ["acme", "y" * 200]
        assert sorted(store.due(LATER)) == ["acme", "y" * 200]
        assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
        assert file.name in caplog.text
        assert not found(caplog.text, SECRETS)
        with pytest.raises(CorruptTokenError):
            store.load(LONG)
    file.chmod(0o644)
    assert len(list(store.accounts())) == 2
    assert "chmod 600" in caplog.text


def test_other_peoples_files_are_left_alone(folder: Path, store: FileTokenStore) -> None:
    """Files with other names are no accounts, whatever is in them, and stay."""
    names = ["readme.txt", "token-Acme.json", "token-acme copy.json", "token-acme.json.bak"]
    for name in names:
        (folder / name).write_bytes(written())
    (folder / "token-x").mkdir()
    assert list(store.accounts()) == ["acme"]
    assert list(store.due(LATER)) == ["acme"]
    store.save("acme", a_token(1))
    store.delete("acme")
    assert {name for name in names if (folder / name).read_bytes() == written()} == set(names)


LEASES = {
    "empty": b"",
    "cut": b'{"owner": "0123',
    "a list": b"[]",
    "deep": b"[" * 200_000,
    "no end": b'{"owner": "0123"}',
    "a text for the end": b'{"owner": "0123", "until": "2030"}',
    "no number for the end": b'{"owner": "0123", "until": NaN}',
    "long ago": b'{"owner": "0123", "until": -1e400}',
    "another boot": b'{"owner": "0123", "until": 1e400, "boot": "6f1c"}',
}


@pytest.mark.parametrize("content", LEASES.values(), ids=LEASES)
def test_damaged_lease_is_none(folder: Path, store: FileTokenStore, content: bytes) -> None:
    """A lease that can't be read is one that a power cut has left: the lock is free."""
    file = folder / lease_file("acme")
    file.write_bytes(content)
    file.chmod(0o600)
    with store.lock("acme"):
        store.save("acme", a_token(1))
        assert json.loads(file.read_bytes())["owner"] != "0123"
    assert not file.exists()


@pytest.mark.parametrize("until", ["1e400", "9" * 400], ids=["infinity", "a long number"])
def test_lease_without_end_is_outlived(folder: Path, until: str) -> None:
    """A lease that ends in a far future, by a clock that was wrong, counts for its length only."""
    store = FileTokenStore(folder, lease=timedelta(milliseconds=100), wait=timedelta(seconds=30))
    file = folder / lease_file("acme")
    file.write_text(f'{{"owner": "0123", "until": {until}, "boot": "{BOOT}"}}')
    file.chmod(0o600)
    with store.lock("acme"):
        store.save("acme", a_token(1))
    assert store.load("acme") == a_token(1)


def test_token_that_is_too_long_is_refused(store: FileTokenStore) -> None:
    """What could not be read again is not written, and the token before is still there."""
    with pytest.raises(ConfigurationError, match="bytes"):
        store.save("acme", a_token(scope="x" * MOST_BYTES))
    assert store.load("acme") == TOKEN


@pytest.mark.parametrize("before", [LATER.replace(tzinfo=None), None, "2031-01-01"], ids=repr)
def test_time_that_is_none_is_refused(store: FileTokenStore, before: Any) -> None:
    """What is due before a time can't be told where the time can be one of many."""
    with pytest.raises(ConfigurationError, match="before"):
        store.due(before)


def test_due_to_the_moment(store: FileTokenStore) -> None:
    """A token that expires at the very time is not due yet; a zone is a way to write a time."""
    store.save("acme", a_token(expires_at=START))
    zone = timezone(timedelta(hours=-7))
    assert list(store.due(START.astimezone(zone))) == []
    assert list(store.due((START + timedelta(microseconds=1)).astimezone(zone))) == ["acme"]
