"""`SQLTokenStore` when the database fails, and that no error shows a token."""

from __future__ import annotations

import logging
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
        assert "can't reach its database" in str(error)
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
    wrong = url.set(username="nobody_of_that_name", password=PASSWORD)
    with SQLTokenStore(wrong) as store:
        error = refusal(store, step)
    assert "user" in str(error)
    assert "nobody_of_that_name" in str(error.__cause__)


def test_user_without_rights(make_place: Callable[[str], Place], cleaning: ExitStack) -> None:
    """A user who may read and not write is told so."""
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
    assert "can't be written to" in str(refusal(store, "save"))


@pytest.mark.parametrize(
    ("kind", "command"),
    [
        ("postgresql", "SET lock_timeout = 50"),
        ("mariadb", "SET SESSION innodb_lock_wait_timeout = 1"),
    ],
)
def test_row_that_somebody_holds(
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
