"""`SQLTokenStore` when the database fails, on SQLite's file, and in forked processes."""

from __future__ import annotations

import gc
import logging
import os
import sqlite3
import stat
import sys
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import Any, NamedTuple

import pytest
from sqlalchemy import Engine, create_engine, event, make_url, text

from pipedrive_oauth_client.errors import CorruptTokenError, StoreError
from pipedrive_oauth_client.stores import SQLTokenStore
from pipedrive_oauth_client.stores.conformance import a_token
from tests.support.backends import (
    SQL_KINDS,
    address,
    mariadb_url,
    postgres_url,
    sql_url,
    through,
    throwaway_table,
)
from tests.support.forks import in_child, in_children
from tests.support.samples import ACCESS_TOKEN, REFRESH_TOKEN
from tests.support.sweep import found, visible
from tests.support.tcp_proxy import TCPProxy

PASSWORD = "pass-71c0e4aa92"
# A part of a token is as bad.
SECRETS = (ACCESS_TOKEN[:9], REFRESH_TOKEN[:9], PASSWORD)
TOKEN = a_token(access_token=ACCESS_TOKEN, refresh_token=REFRESH_TOKEN)
SERVERS = ("postgresql", "mariadb")

STEPS: dict[str, Callable[[SQLTokenStore], object]] = {
    "load": lambda store: store.load("acme"),
    "save": lambda store: store.save("acme", TOKEN),
    "delete": lambda store: store.delete("acme"),
    "lock": lambda store: store.lock("acme").__enter__(),
    "accounts": lambda store: list(store.accounts()),
    "due": lambda store: list(store.due(datetime.max.replace(tzinfo=UTC))),
    "overview": lambda store: list(store.overview()),
}


class Place(NamedTuple):
    """A table of a test's own."""

    url: str
    table: str
    behind: Engine

    def change(self, *statements: str) -> None:
        """Do something to the table behind the store's back; `{t}` is its name."""
        with self.behind.begin() as connection:
            for statement in statements:
                connection.execute(text(statement.replace("{t}", self.table)))


@pytest.fixture
def cleaning() -> Generator[ExitStack]:
    """Give what closes all that a test has opened."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def make_place(tmp_path: Path, cleaning: ExitStack) -> Callable[[str], Place]:
    """Give a function that makes a place in a database of a kind."""

    def make(kind: str) -> Place:
        url = sql_url(kind, tmp_path)
        (tmp_path / "tokens.db").touch(0o600)
        table = cleaning.enter_context(throwaway_table(url))
        behind = create_engine(url)
        cleaning.callback(behind.dispose)
        return Place(url, table, behind)

    return make


@pytest.fixture(params=SQL_KINDS)
def place(request: pytest.FixtureRequest, make_place: Callable[[str], Place]) -> Place:
    """Give a place in a database of each kind."""
    return make_place(str(request.param))


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, make_place: Callable[[str], Place]) -> Place:
    """Give a place in a database of each kind that is a server."""
    return make_place(str(request.param))


@pytest.fixture(params=["of its own", "of the app"])
def open_store(
    request: pytest.FixtureRequest, cleaning: ExitStack
) -> Callable[[str, str], SQLTokenStore]:
    """Give a function that opens a store with an engine of its own, or with a plain one."""

    def opened(url: str, table: str) -> SQLTokenStore:
        if request.param == "of its own":
            return cleaning.enter_context(SQLTokenStore(url, table=table))
        engine = create_engine(url)
        cleaning.callback(engine.dispose)
        return SQLTokenStore(engine, table=table)

    return opened


def refusal(store: SQLTokenStore, step: str) -> StoreError:
    """Give the error of a step, which shows no secret and has a cause."""
    with pytest.raises(StoreError) as caught:
        STEPS[step](store)
    assert not found(visible(caught.value), SECRETS)
    assert caught.value.__cause__ is not None
    return caught.value


@pytest.mark.parametrize("step", STEPS)
def test_server_goes_and_comes_back(
    server: Place, open_store: Callable[[str, str], SQLTokenStore], step: str
) -> None:
    """While the server is away each step fails with the reason, and works when it is back."""
    with TCPProxy(*address(server.url)) as proxy:
        store = open_store(through(server.url, proxy.port), server.table)
        store.save("acme", TOKEN)
        proxy.go_away()
        error = refusal(store, step)
        assert "can't reach the database" in str(error)
        assert "refused" in str(error.__cause__).lower()
        proxy.come_back()
        assert store.load("acme") == TOKEN
        STEPS[step](store)


@pytest.mark.parametrize("step", STEPS)
def test_ended_connection_is_not_noticed(
    server: Place, open_store: Callable[[str, str], SQLTokenStore], step: str
) -> None:
    """A connection that the server has ended since the last step is replaced without an error."""
    store = open_store(server.url, server.table)
    store.save("acme", TOKEN)
    ask, end = {
        "postgresql": ("SELECT pg_backend_pid()", "SELECT pg_terminate_backend({})"),
        "mysql": ("SELECT connection_id()", "KILL {}"),
    }[store._engine.dialect.name]
    with store._engine.connect() as connection:
        number = connection.exec_driver_sql(ask).scalar()
    server.change(end.format(number))
    STEPS[step](store)
    assert store.load("acme") == (None if step == "delete" else TOKEN)


@pytest.mark.parametrize("step", STEPS)
def test_lost_connection_that_its_driver_does_not_know(step: str) -> None:
    """An error without a code, on a connection that the driver takes for open, costs nothing."""
    url = postgres_url()
    with throwaway_table(url) as table, SQLTokenStore(url, table=table) as store:
        store.save("acme", TOKEN)
        lost: list[str] = []

        @event.listens_for(store._engine, "do_execute")
        def _(_cursor: Any, statement: str, _parameters: Any, context: Any) -> None:
            if not lost:
                lost.append(statement)
                raise context.dialect.loaded_dbapi.OperationalError("connection socket closed")

        STEPS[step](store)
        assert len(lost) == 1
        assert store.load("acme") == (None if step == "delete" else TOKEN)


@pytest.mark.parametrize("pieces", range(7))
def test_lost_answers_do_no_harm(
    server: Place, open_store: Callable[[str, str], SQLTokenStore], pieces: int
) -> None:
    """Wherever an answer is lost, a save under the lock takes place, and is not refused."""
    with TCPProxy(*address(server.url)) as proxy:
        store = open_store(through(server.url, proxy.port), server.table)
        store.save("acme", a_token(1))
        with store.lock("acme"):
            before = proxy.connections
            proxy.cut_before_answer(pieces)
            store.save("acme", a_token(2))
            store.load("acme")  # a cut that the save was too short for
            assert proxy.connections > before or pieces > 3
            proxy.cut_before_answer(pieces)
            store.save("acme", TOKEN)
        assert store.load("acme") == TOKEN
        proxy.cut_before_answer(pieces)
        with store.lock("umbrella"):
            pass
        assert list(store.accounts()) == ["acme"]
        with server.behind.connect() as connection:
            rows = connection.execute(text(f"SELECT lock_owner FROM {server.table}")).all()  # noqa: S608 - a name of our own
        assert rows == [(None,)]


# What makes a database repeat a row, or a part of the statement, in its error.
SPOILT: dict[str, dict[str, tuple[str, ...]]] = {
    "sqlite": {
        "trigger": (
            "CREATE TRIGGER tr_{t} BEFORE INSERT ON {t} BEGIN SELECT RAISE(ABORT, 'no'); END",
        ),
    },
    "postgresql": {
        "check": ("ALTER TABLE {t} ADD CHECK (version = 'x') NOT VALID",),
        "not null": (
            "ALTER TABLE {t} ADD COLUMN other TEXT",
            "UPDATE {t} SET other = ''",
            "ALTER TABLE {t} ALTER COLUMN other SET NOT NULL",
        ),
        "type": ("ALTER TABLE {t} ALTER COLUMN token TYPE POINT USING NULL",),
        "number": ("ALTER TABLE {t} ALTER COLUMN token TYPE INTEGER USING 5",),
        "length": ("ALTER TABLE {t} ALTER COLUMN version TYPE VARCHAR(4) USING 'v'",),
        "trigger": (
            (
                "CREATE FUNCTION fn_{t}() RETURNS trigger LANGUAGE plpgsql AS $$"
                " BEGIN RAISE EXCEPTION 'no: %', NEW; END $$"
            ),
            "CREATE TRIGGER tr_{t} BEFORE UPDATE ON {t} FOR EACH ROW EXECUTE FUNCTION fn_{t}()",
        ),
        "column": ("ALTER TABLE {t} RENAME COLUMN expires_at TO other",),
    },
    "mariadb": {
        "check": ("ALTER TABLE {t} ADD CHECK (account = 'other')",),
        "number": ("ALTER TABLE {t} MODIFY token INTEGER",),
        "length": ("ALTER TABLE {t} MODIFY token VARCHAR(10)",),
        "trigger": (
            (
                "CREATE TRIGGER tr_{t} BEFORE UPDATE ON {t} FOR EACH ROW"
                " SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = NEW.token"
            ),
        ),
        "column": ("ALTER TABLE {t} RENAME COLUMN expires_at TO other",),
    },
}


@pytest.mark.parametrize(
    ("kind", "what"), [(kind, what) for kind, table in SPOILT.items() for what in table]
)
def test_refused_rows_are_not_repeated(
    make_place: Callable[[str], Place],
    open_store: Callable[[str, str], SQLTokenStore],
    cleaning: ExitStack,
    kind: str,
    what: str,
) -> None:
    """A database that refuses a row tells it in its error; the store's error does not."""
    place = make_place(kind)
    store = open_store(place.url, place.table)
    store.load("acme")
    if kind == "postgresql" or what in {"column", "trigger"}:
        store.save("acme", a_token())
    if kind == "postgresql":
        cleaning.callback(place.change, "DROP FUNCTION IF EXISTS fn_{t} CASCADE")
    place.change(*SPOILT[kind][what])
    refusal(store, "save")


def test_missing_table(place: Place, open_store: Callable[[str, str], SQLTokenStore]) -> None:
    """A table that was dropped meanwhile is named, with what to do."""
    store = open_store(place.url, place.table)
    store.save("acme", TOKEN)
    place.change("DROP TABLE {t}")
    for step in STEPS:
        assert f"no table {place.table}" in str(refusal(store, step))


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("step", STEPS)
def test_wrong_user(kind: str, step: str) -> None:
    """A server that refuses the user says so in the cause, and the password is not repeated."""
    url = make_url(postgres_url() if kind == "postgresql" else mariadb_url())
    wrong = url.set(username="no_such_user", password=PASSWORD)
    with SQLTokenStore(wrong) as store:
        error = refusal(store, step)
    assert "user" in str(error)
    assert "no_such_user" in str(error.__cause__)


def test_user_without_rights(make_place: Callable[[str], Place], cleaning: ExitStack) -> None:
    """A user who may not write gets an error that says so."""
    place = make_place("postgresql")
    role = f"reader_{token_hex(4)}"
    SQLTokenStore(place.behind, table=place.table).save("acme", a_token())
    place.change(f"CREATE ROLE {role}")
    cleaning.callback(place.change, f"DROP OWNED BY {role}", f"DROP ROLE {role}")
    place.change(f"GRANT SELECT ON {{t}} TO {role}")
    engine = _engine(place, cleaning, f"SET ROLE {role}")
    store = SQLTokenStore(engine, table=place.table)
    assert store.load("acme") == a_token()
    assert "rights" in str(refusal(store, "save"))


@pytest.mark.parametrize(
    ("kind", "command"),
    [
        ("postgresql", "SET default_transaction_read_only = on"),
        ("mariadb", "SET SESSION TRANSACTION READ ONLY"),
    ],
)
def test_server_that_is_read_only(
    make_place: Callable[[str], Place], cleaning: ExitStack, kind: str, command: str
) -> None:
    """A server that takes no writes is read from, and the error says so."""
    place = make_place(kind)
    SQLTokenStore(place.behind, table=place.table).save("acme", a_token())
    store = SQLTokenStore(_engine(place, cleaning, command), table=place.table)
    assert store.load("acme") == a_token()
    assert "is read-only" in str(refusal(store, "save"))


@pytest.mark.parametrize(
    ("kind", "command"),
    [
        ("postgresql", "SET lock_timeout = 50"),
        ("mariadb", "SET SESSION innodb_lock_wait_timeout = 1"),
    ],
)
def test_row_that_another_program_holds(
    make_place: Callable[[str], Place], cleaning: ExitStack, kind: str, command: str
) -> None:
    """A row that another program keeps locked is waited for as long as the engine says."""
    place = make_place(kind)
    store = SQLTokenStore(_engine(place, cleaning, command), table=place.table)
    store.save("acme", a_token())
    with place.behind.begin() as other:
        other.execute(text(f"UPDATE {place.table} SET version = version"))  # noqa: S608 - a name of our own
        assert "too busy" in str(refusal(store, "save"))
    store.save("acme", TOKEN)


def test_limits_are_for_the_stores_transactions(make_place: Callable[[str], Place]) -> None:
    """A store that makes its engine waits in PostgreSQL for a bounded time, and leaves no trace."""
    place = make_place("postgresql")
    names = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
    ask = "SELECT " + ", ".join(f"current_setting('{name}')" for name in names)
    with SQLTokenStore(place.url, table=place.table) as store:
        with store._engine.connect() as connection:
            assert tuple(connection.exec_driver_sql(ask).one()) == ("15s", "25s", "5s")
        plain = store._engine.pool.connect()
        with closing(plain.cursor()) as cursor:
            cursor.execute(ask)
            assert cursor.fetchone() == ("0", "0", "0")
        plain.close()
    engine = SQLTokenStore(place.behind, table=place.table)._engine
    with engine.connect() as connection:
        assert tuple(connection.exec_driver_sql(ask).one()) == ("0", "0", "0")


def _engine(place: Place, cleaning: ExitStack, command: str) -> Engine:
    engine = create_engine(place.url)
    cleaning.callback(engine.dispose)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute(command)
        connection.commit()

    return engine


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", f'{{"access_token": "{ACCESS_TOKEN}"}}']
)
def test_damaged_token(place: Place, content: str) -> None:
    """Damaged content is an error, stays as it is, does not block the lock, and can be replaced."""
    store = SQLTokenStore(place.behind, table=place.table)
    store.save("acme", TOKEN)
    with place.behind.begin() as connection:
        connection.execute(store._table.update().values(token=content))
    with store.lock("acme"):
        with pytest.raises(CorruptTokenError) as caught:
            store.load("acme")
        assert not found(visible(caught.value), SECRETS)
        with place.behind.connect() as connection:
            assert connection.execute(store._table.select()).one().token == content
        assert list(store.accounts()) == ["acme"]
        store.save("acme", TOKEN)
    assert store.load("acme") == TOKEN


def test_nothing_is_logged(
    place: Place, caplog: pytest.LogCaptureFixture, cleaning: ExitStack
) -> None:
    """No log shows a token: not of an engine that writes all it does into the log, either."""
    engine = create_engine(place.url, echo="debug")
    cleaning.callback(engine.dispose)
    store = SQLTokenStore(engine, table=place.table)
    with caplog.at_level(logging.DEBUG):
        with SQLTokenStore(place.url, table=place.table) as other:
            other.save("acme", TOKEN)
        store.save("acme", TOKEN)
        with store.lock("acme"):
            assert store.load("acme") == TOKEN
            store.save("acme", TOKEN)
        for step in ("load", "accounts", "due", "delete"):
            STEPS[step](store)
    assert "INSERT INTO" in caplog.text
    assert "Row (<hidden>, " in caplog.text
    assert not found(caplog.text, SECRETS)


POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has other rights")


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


def rejected(store: SQLTokenStore, step: str) -> str:
    """Give the error of a step that touches nothing since the file's rights are wrong."""
    with pytest.raises(StoreError) as caught:
        STEPS[step](store)
    return str(caught.value)


@POSIX
@pytest.mark.parametrize("umask", [0, 0o022], ids=oct)
@pytest.mark.parametrize("create_table", [True, False])
def test_new_file_of_the_apps_engine_is_private(
    file: Path, umask: int, *, create_table: bool
) -> None:
    """A file that is not there yet is made for its owner alone before the engine opens it."""
    before = os.umask(umask)
    engine = create_engine(f"sqlite:///{file}")
    try:
        store = SQLTokenStore(engine, create_table=create_table)
        if not create_table:
            assert "no table" in str(refusal(store, "load"))
            store.metadata.create_all(engine)
        store.save("acme", TOKEN)
    finally:
        os.umask(before)
    assert mode(file) == 0o600
    assert store.load("acme") == TOKEN
    engine.dispose()


@POSIX
def test_apps_own_database_is_refused_before_a_token_is_in_it(file: Path) -> None:
    """A framework has made its database with the usual rights: the cure is in the error."""
    before = os.umask(0o022)
    engine = create_engine(f"sqlite:///{file}")
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE users (name TEXT)")
    finally:
        os.umask(before)
    content = file.read_bytes()
    store = SQLTokenStore(engine)
    for step in STEPS:
        assert f"chmod 600 '{file}'" in rejected(store, step)
    assert file.read_bytes() == content
    file.chmod(0o600)
    store.save("acme", TOKEN)
    assert store.load("acme") == TOKEN
    engine.dispose()


@POSIX
@pytest.mark.parametrize("whose", ["the store's engine", "the app's engine"])
def test_dangling_link_is_followed(tmp_path: Path, file: Path, whose: str) -> None:
    """The file that it leads to is made for its owner alone."""
    target = tmp_path / "elsewhere" / "real.db"
    target.parent.mkdir(0o755)
    file.symlink_to(target)
    url = f"sqlite:///{file}"
    engine = create_engine(url)
    before = os.umask(0)
    try:
        with SQLTokenStore(engine if whose == "the app's engine" else url) as store:
            store.save("acme", TOKEN)
    finally:
        os.umask(before)
        engine.dispose()
    assert mode(target) == 0o600
    assert file.is_symlink()
    target.chmod(0o644)
    with SQLTokenStore(url) as store:
        assert f"chmod 600 '{target}'" in rejected(store, "load")


@POSIX
@pytest.mark.parametrize("rights", [0o770, 0o775, 0o777, 0o1777, 0o702], ids=oct)
@pytest.mark.parametrize("where", ["of the file", "of the link", "of the link's target"])
def test_folder_that_others_may_write_to_is_refused(
    tmp_path: Path, rights: int, where: str
) -> None:
    """They could put another file or another journal there; nothing is made in it."""
    own, open_to_all = tmp_path / "own", tmp_path / "open"
    own.mkdir(0o700)
    open_to_all.mkdir()
    open_to_all.chmod(rights)
    if where == "of the link":
        path = open_to_all / "tokens.db"
        path.symlink_to(own / "tokens.db")
    elif where == "of the link's target":
        path = own / "tokens.db"
        path.symlink_to(open_to_all / "tokens.db")
    else:
        path = open_to_all / "tokens.db"
    with SQLTokenStore(f"sqlite:///{path}") as store:
        for step in STEPS:
            assert f"chmod go-w '{open_to_all}'" in rejected(store, step)
        assert not path.exists()
        open_to_all.chmod(0o755)
        store.save("acme", TOKEN)
        assert mode(path) == 0o600


@POSIX
def test_file_of_another_user_is_refused(
    store: SQLTokenStore, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever its rights are: that user can change them."""
    store.save("acme", TOKEN)
    whose = file.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    check = "pipedrive_oauth_client.stores._private_files.check_folder"
    monkeypatch.setattr(check, lambda _, **__: None)
    text = rejected(store, "load")
    assert f"belongs to another user ({whose})" in text
    assert f"chown 12345 '{file}'" in text


@POSIX
@pytest.mark.parametrize("suffix", ["-journal", "-wal", "-shm"])
def test_journal_that_others_can_read_is_refused(
    store: SQLTokenStore, file: Path, suffix: str
) -> None:
    """It holds what the database holds; one is left of the time before its rights were changed."""
    store.save("acme", TOKEN)
    journal = file.with_name(file.name + suffix)
    journal.touch()
    journal.chmod(0o644)
    assert f"chmod 600 '{journal}'" in rejected(store, "save")
    journal.unlink()
    assert store.load("acme") == TOKEN


@POSIX
def test_what_is_no_file_is_refused(tmp_path: Path, file: Path) -> None:
    """Neither a pipe, which would block, nor a link that leads to itself, is opened."""
    os.mkfifo(file, 0o600)
    with SQLTokenStore(f"sqlite:///{file}") as store:
        assert "not a regular file" in rejected(store, "load")
    loop = tmp_path / "loop.db"
    loop.symlink_to(loop)
    with SQLTokenStore(f"sqlite:///{loop}") as store:
        assert str(loop) in rejected(store, "load")


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
        assert "is read-only" in str(refusal(reading, step))
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
    """A database that another program keeps locked is waited for, for a bounded time."""
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
def test_damaged_text_in_sqlite(store: SQLTokenStore, file: Path, content: object) -> None:
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


def test_journal_is_emptied_and_not_deleted(store: SQLTokenStore, file: Path) -> None:
    """What it held is gone all the same, and it is for the file's owner alone."""
    store.save("acme", TOKEN)
    store.save("acme", a_token())
    journal = file.with_name(f"{file.name}-journal")
    assert journal.read_bytes() == b""
    assert mode(journal) == 0o600 or sys.platform == "win32"


@pytest.mark.parametrize("how", ["replaced", "replaced through a link", "removed"])
def test_file_that_was_replaced(store: SQLTokenStore, file: Path, how: str) -> None:
    """A store whose connections are open uses the file that is there now, as another one does."""
    store.save("acme", TOKEN)
    other = file.with_name("other.db")
    if how != "removed":
        with SQLTokenStore(f"sqlite:///{other}") as another:
            another.save("acme", a_token(1))
    if how == "replaced":
        other.replace(file)
    else:
        file.unlink()
    if how == "replaced through a link":
        file.symlink_to(other)
    assert store.load("acme") == (None if how == "removed" else a_token(1))
    store.save("acme", a_token(2))
    with SQLTokenStore(f"sqlite:///{file}") as another:
        assert another.load("acme") == a_token(2)


FORKS = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

ASK = {
    "sqlite": "SELECT 1",
    "postgresql": "SELECT pg_backend_pid()",
    "mysql": "SELECT connection_id()",
}


def connection_number(store: SQLTokenStore) -> str:
    """Give what the server knows the store's connection by."""
    with store._engine.connect() as connection:
        return str(connection.exec_driver_sql(ASK[store._engine.dialect.name]).scalar())


@FORKS
@pytest.mark.parametrize("kind", SQL_KINDS)
@pytest.mark.parametrize("owner", ["store", "app", "app and two stores"])
def test_fork(tmp_path: Path, kind: str, owner: str) -> None:
    """A forked process makes connections of its own, and those of its parent still work."""
    url = sql_url(kind, tmp_path)
    (tmp_path / "tokens.db").touch(0o600)
    with throwaway_table(url) as table, ExitStack() as closing:
        engine = create_engine(url)
        closing.callback(engine.dispose)
        store = SQLTokenStore(url if owner == "store" else engine, table=table)
        closing.callback(store.close)
        other = SQLTokenStore(engine, table=table) if owner == "app and two stores" else store
        store.save("acme", a_token(0))
        before = connection_number(store)

        def child() -> str:
            store.save("child", a_token(1))
            number = connection_number(store)
            assert other.load("acme") == a_token(0)
            # The second store goes on with the pool that the first has got.
            assert connection_number(other) == number
            return number

        with store.lock("acme"):
            after = in_child(child)
            assert after != before or kind == "sqlite"
            # The child has ended, and said good-bye on no connection of its parent's.
            assert connection_number(store) == before
            store.save("acme", a_token(2))
        assert store.load("child") == a_token(1)
        assert store.load("acme") == a_token(2)


@FORKS
@pytest.mark.parametrize("kind", SQL_KINDS)
def test_forked_workers_lose_no_change(tmp_path: Path, kind: str) -> None:
    """Workers that share a store which was used before they were forked lose no change."""
    url = sql_url(kind, tmp_path)
    rounds, workers = 5, 4
    with throwaway_table(url) as table, SQLTokenStore(url, table=table) as store:
        store.save("acme", a_token(0))

        def work() -> str:
            for _ in range(rounds):
                with store.lock("acme"):
                    before = store.load("acme")
                    assert before is not None
                    number = int(before.access_token.rpartition("-")[2])
                    store.save("acme", a_token(number + 1))
            return "done"

        works: list[Callable[[], str]] = [work] * workers
        assert in_children(works) == ["done"] * workers
        assert store.load("acme") == a_token(rounds * workers)


@FORKS
@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_no_open_file_is_inherited(file: Path, journal: str) -> None:
    """A child opens the database itself, since the locks of an open file are its parent's."""
    with closing(sqlite3.connect(file)) as behind:
        behind.execute(f"PRAGMA journal_mode = {journal}").close()
    file.chmod(0o600)
    with SQLTokenStore(f"sqlite:///{file}") as store:
        store.save("acme", a_token(1))
        pool: Any = store._engine.pool
        assert pool.checkedin() == 1

        def work() -> str:
            opened = [os.path.realpath(each) for each in Path("/dev/fd").iterdir()]
            assert not any(name.startswith(str(file)) for name in opened)
            with store.lock("acme"):
                assert store.load("acme") == a_token(1)
                store.save("acme", a_token(2))
            return "saved"

        assert in_child(work) == "saved"
        assert store.load("acme") == a_token(2)


def test_connections_end_with_their_store(file: Path) -> None:
    """A store that is not closed leaves no open file."""
    store = SQLTokenStore(f"sqlite:///{file}")
    store.save("acme", TOKEN)
    pool: Any = store._engine.pool
    assert pool.checkedin() == 1
    del store
    gc.collect()
    assert pool.checkedin() == 0
