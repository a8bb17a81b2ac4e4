"""`SQLTokenStore` on an SQLite file: its rights, and what can happen to a file."""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, event

from pipedrive_oauth_client.errors import CorruptTokenError, StoreError
from pipedrive_oauth_client.stores import SQLTokenStore
from pipedrive_oauth_client.stores.conformance import a_token
from tests.support.samples import ACCESS_TOKEN, REFRESH_TOKEN
from tests.support.sweep import found, visible

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has other rights")
TOKEN = a_token(access_token=ACCESS_TOKEN, refresh_token=REFRESH_TOKEN)
SECRETS = (ACCESS_TOKEN, REFRESH_TOKEN)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Give the path of a file that is not there yet."""
    return tmp_path / "tokens.db"


@pytest.fixture
def store(file: Path) -> Generator[SQLTokenStore]:
    """Give a store on the file."""
    with SQLTokenStore(f"sqlite:///{file}") as opened:
        yield opened


def mode(path: Path) -> int:
    """Give the rights of a file."""
    return stat.S_IMODE(path.stat().st_mode)


@POSIX
@pytest.mark.parametrize("form", ["sqlite:///{}", "sqlite:///file:{}?uri=true"])
def test_file_is_private(file: Path, form: str) -> None:
    """The file is made for its owner alone, whatever the umask says, and so is its journal."""
    before = os.umask(0)
    journals: list[int] = []
    try:
        with SQLTokenStore(form.format(file)) as store:

            @event.listens_for(store._engine, "before_cursor_execute")
            def look(*_: Any) -> None:
                journals.extend(mode(path) for path in file.parent.glob("*-journal"))

            store.save("acme", TOKEN)
    finally:
        os.umask(before)
    assert mode(file) == 0o600
    assert set(journals) == {0o600}


@POSIX
def test_file_without_a_table_is_private(file: Path) -> None:
    """Where the app makes the table, the file that comes about is for its owner alone as well."""
    before = os.umask(0)
    try:
        with SQLTokenStore(f"sqlite:///{file}", create_table=False) as store:
            assert "no table" in str(refusal(store, "load"))
            store.metadata.create_all(store._engine)
            store.save("acme", TOKEN)
    finally:
        os.umask(before)
    assert mode(file) == 0o600


@pytest.mark.parametrize("form", ["sqlite:///{}", "sqlite:///file:{}?uri=true"])
def test_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    """The file that is looked at is the one that is opened, wherever the program goes."""
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    with SQLTokenStore(form.format("tokens.db")) as store:
        store.save("acme", TOKEN)
        monkeypatch.chdir(tmp_path / "other")
        store.save("acme", TOKEN)
    made = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.db")]
    is_uri = "uri" in form
    assert sorted(made) == (["other/tokens.db", "tokens.db"] if is_uri else ["tokens.db"])
    assert all(mode(tmp_path / path) == 0o600 or sys.platform == "win32" for path in made)


@POSIX
@pytest.mark.parametrize("rights", [0o640, 0o604, 0o620, 0o660, 0o644])
def test_file_that_others_can_use_is_refused(store: SQLTokenStore, file: Path, rights: int) -> None:
    """A file that others can read or change is refused, with what to do, until it is private."""
    store.save("acme", TOKEN)
    file.chmod(rights)
    for step in STEPS.values():
        with pytest.raises(StoreError, match="chmod 600"):
            step(store)
    file.chmod(0o600)
    assert store.load("acme") == TOKEN


@POSIX
def test_file_of_the_apps_engine_is_looked_at(file: Path) -> None:
    """The file of an engine that was given is refused just so."""
    file.touch(0o600)
    file.chmod(0o644)
    engine = create_engine(f"sqlite:///{file}")
    with pytest.raises(StoreError, match="chmod 600"):
        SQLTokenStore(engine).save("acme", TOKEN)
    assert file.read_bytes() == b""
    engine.dispose()


STEPS: dict[str, Callable[[SQLTokenStore], object]] = {
    "load": lambda store: store.load("acme"),
    "save": lambda store: store.save("acme", TOKEN),
    "delete": lambda store: store.delete("acme"),
    "lock": lambda store: store.lock("acme").__enter__(),
    "accounts": lambda store: list(store.accounts()),
}


def refusal(store: SQLTokenStore, step: str) -> StoreError:
    """Give the error of a step, which shows no secret and has a cause."""
    with pytest.raises(StoreError) as caught:
        STEPS[step](store)
    assert not found(visible(caught.value), SECRETS)
    assert caught.value.__cause__ is not None
    return caught.value


@pytest.mark.parametrize("step", STEPS)
def test_missing_folder(tmp_path: Path, step: str) -> None:
    """Where the folder is missing the error names it, and the store works when it is there."""
    folder = tmp_path / "later"
    with SQLTokenStore(f"sqlite:///{folder / 'tokens.db'}") as store:
        assert str(folder) in str(refusal(store, step))
        folder.mkdir()
        STEPS[step](store)


@pytest.mark.parametrize("step", STEPS)
def test_file_that_is_no_database(file: Path, step: str) -> None:
    """A file that is something else is left as it is."""
    content = b"this is no database" * 100
    file.touch(0o600)
    file.write_bytes(content)
    with SQLTokenStore(f"sqlite:///{file}") as store:
        assert "not a database" in str(refusal(store, step).__cause__)
    assert file.read_bytes() == content


def test_removed_file_is_made_again(store: SQLTokenStore, file: Path) -> None:
    """After the file was removed there is no token, and the next is kept in a new one."""
    store.save("acme", TOKEN)
    file.unlink()
    assert store.load("acme") is None
    store.save("acme", TOKEN)
    assert store.load("acme") == TOKEN
    assert mode(file) == 0o600 or sys.platform == "win32"


@pytest.mark.parametrize("step", ["save", "delete", "lock"])
def test_read_only_database(store: SQLTokenStore, file: Path, step: str) -> None:
    """A database that can't be written to is still read, and the error says so."""
    store.save("acme", TOKEN)
    with SQLTokenStore(f"sqlite:///file:{file}?mode=ro&uri=true") as reading:
        assert "can't be written to" in str(refusal(reading, step))
        assert reading.load("acme") == TOKEN


def test_full_disk(file: Path) -> None:
    """Where there is no room, nothing is lost, and it goes on when there is room."""
    pages = [8]
    engine = create_engine(f"sqlite:///{file}")
    file.touch(0o600)

    @event.listens_for(engine, "checkout")
    def limit(connection: Any, *_: Any) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages[0]}").close()

    store = SQLTokenStore(engine)
    store.save("acme", TOKEN)
    big = a_token(access_token=ACCESS_TOKEN * 5000)
    with pytest.raises(StoreError, match="no room left") as caught:
        store.save("acme", big)
    assert not found(visible(caught.value), SECRETS)
    assert store.load("acme") == TOKEN
    pages[0] = 10_000
    store.save("acme", big)
    assert store.load("acme") == big
    engine.dispose()


def test_locked_database(file: Path, store: SQLTokenStore) -> None:
    """A database that somebody keeps locked is waited for, for a bounded time."""
    store.save("acme", TOKEN)
    with (
        SQLTokenStore(f"sqlite:///{file}?timeout=0.05") as waiting,
        closing(sqlite3.connect(file, isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE").close()
        assert "too busy" in str(refusal(waiting, "save"))
        assert waiting.load("acme") == TOKEN
        other.execute("ROLLBACK").close()
        waiting.save("acme", TOKEN)


@pytest.mark.parametrize("content", [b"\xff\xfe", ACCESS_TOKEN.encode() + b"\xff", 5, b"", "null"])
def test_damaged_token(store: SQLTokenStore, file: Path, content: object) -> None:
    """What SQLite takes and is no token is an error, stays, and does not block the lock."""
    store.save("acme", TOKEN)
    # As text, whatever its bytes are.
    changes = "UPDATE pipedrive_tokens SET token = CAST(? AS TEXT)"
    with closing(sqlite3.connect(file)) as behind, behind:
        behind.execute(changes, (content,)).close()
    with store.lock("acme"):
        with pytest.raises(CorruptTokenError) as caught:
            store.load("acme")
        assert not found(visible(caught.value), SECRETS)
        with closing(sqlite3.connect(file)) as behind:
            query = "SELECT token IS CAST(? AS TEXT) FROM pipedrive_tokens"
            assert behind.execute(query, (content,)).fetchall() == [(1,)]
        assert list(store.accounts()) == ["acme"]
        store.save("acme", TOKEN)
    assert store.load("acme") == TOKEN


@pytest.mark.parametrize("step", ["load", "lock"])
def test_damaged_version(store: SQLTokenStore, file: Path, step: str) -> None:
    """What the driver repeats of a text that it can't read is not in the error."""
    store.save("acme", TOKEN)
    with closing(sqlite3.connect(file)) as behind, behind:
        changes = "UPDATE pipedrive_tokens SET version = CAST(? AS TEXT)"
        behind.execute(changes, (ACCESS_TOKEN.encode() + b"\xff",)).close()
    refusal(store, step)
    store.delete("acme")
    STEPS[step](store)


def test_deleted_token_is_not_in_the_file(store: SQLTokenStore, file: Path) -> None:
    """What is deleted or replaced is overwritten in the file."""
    store.save("acme", TOKEN)
    assert ACCESS_TOKEN.encode() in file.read_bytes()
    store.save("acme", a_token())
    store.save("umbrella", TOKEN)
    store.delete("umbrella")
    assert ACCESS_TOKEN.encode() not in file.read_bytes()


def test_write_ahead_log_of_the_app(file: Path) -> None:
    """A database that the app has in WAL mode is good, with several stores at once."""
    with closing(sqlite3.connect(file)) as behind:
        behind.execute("PRAGMA journal_mode = WAL").close()
    file.chmod(0o600)
    with SQLTokenStore(f"sqlite:///{file}") as one, SQLTokenStore(f"sqlite:///{file}") as other:
        one.save("acme", a_token())
        with other.lock("acme"):
            other.save("acme", TOKEN)
        assert one.load("acme") == TOKEN
