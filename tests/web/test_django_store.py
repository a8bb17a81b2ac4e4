"""`DjangoTokenStore`: the shared tests on each kind of database, through Django's settings."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from cryptography.fernet import Fernet
from django.core.management import call_command
from django.db import Error, connections, transaction
from django.test import override_settings
from sqlalchemy import Engine, create_engine, make_url

from pipedrive_oauth_client import ConfigurationError
from pipedrive_oauth_client.errors import CorruptTokenError, StoreError
from pipedrive_oauth_client.pytest_plugin import PipedriveSandbox
from pipedrive_oauth_client.sandbox import DEFAULT_USER
from pipedrive_oauth_client.stores import EncryptedTokenStore, SQLTokenStore
from pipedrive_oauth_client.stores.conformance import (
    START,
    LeaseConformance,
    ListingConformance,
    TokenStoreConformance,
    a_token,
)
from pipedrive_oauth_client.web.django import DjangoTokenStore
from pipedrive_oauth_client.web.django.models import AbstractPipedriveAccount, PipedriveAccount
from tests.support.backends import SQL_KINDS, mariadb_url, postgres_url
from tests.support.forks import in_children
from tests.support.programs import wait_until
from tests.support.sweep import found, visible
from tests.web.conftest import CLIENT
from tests.web.crm.models import ReportsAccount
from tests.web.django_databases import database, migrated
from tests.web.sites import made


@pytest.fixture(scope="class")
def alias(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Generator[str]:
    """Give a database for all tests of a class."""
    kind: Any = request.cls
    folder = tmp_path_factory.mktemp("django")
    with (
        database(kind.kind, folder, CONN_MAX_AGE=kind.max_age) as settings,
        migrated(settings) as alias,
    ):
        yield alias


class _Conformance(TokenStoreConformance, LeaseConformance, ListingConformance):
    kind = ""
    max_age: int | None = 0
    model = "pipedrive_oauth_client.PipedriveAccount"
    table = "pipedrive_tokens"

    @pytest.fixture
    def open_store(self, alias: str) -> Generator[Callable[..., DjangoTokenStore]]:
        """Give stores with connections of their own on one empty table."""
        with ExitStack() as closing:

            def open_store(**settings: object) -> DjangoTokenStore:
                store = DjangoTokenStore(alias, model=self.model, **settings)  # type: ignore[arg-type]
                closing.callback(store.close)
                return store

            yield open_store
        with connections[alias].cursor() as cursor:
            cursor.execute(f"DELETE FROM {self.table}")  # noqa: S608 - no input
        connections[alias].close()


class TestSQLite(_Conformance):
    """The shared tests on a file."""

    kind = "sqlite"


class TestPostgreSQL(_Conformance):
    """The shared tests on PostgreSQL."""

    kind = "postgresql"


class TestMariaDB(_Conformance):
    """The shared tests on MariaDB, with connections that stay open."""

    kind = "mariadb"
    max_age = 60


class TestModelOnSQLite(TestSQLite):
    """The shared tests with a model of the project's."""

    model = "crm.ReportsAccount"
    table = "reports_tokens"


class TestModelOnPostgreSQL(TestPostgreSQL):
    """The shared tests with a model of the project's."""

    model = "crm.ReportsAccount"
    table = "reports_tokens"


def test_two_models_in_one_database(any_alias: str) -> None:
    """Each store reads and writes the table of its model alone, and names it."""
    store, reports = DjangoTokenStore(any_alias), DjangoTokenStore(any_alias, model=ReportsAccount)
    store.save("acme", a_token(1))
    reports.save("acme", a_token(2))
    with reports.lock("acme"):
        reports.save("acme", a_token(3))
    assert store.load("acme") == a_token(1)
    store.delete("acme")
    assert reports.load("acme") == a_token(3)
    assert [each.account for each in ReportsAccount.objects.using(any_alias)] == ["acme"]
    assert repr(reports) == f"DjangoTokenStore({any_alias!r}, model='crm.ReportsAccount')"
    reports.delete("acme")


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("crm.Nothing", "no model of an app in INSTALLED_APPS"),
        ("nothing", "no model of an app in INSTALLED_APPS"),
        ("auth.User", "AbstractPipedriveAccount.*not User"),
        (5, "AbstractPipedriveAccount.*not int"),
        (AbstractPipedriveAccount, "no table of its own"),
    ],
)
def test_model_that_is_none_of_accounts(model: Any, says: str) -> None:
    """A model that is unknown, of something else or without a table is refused at once."""
    with pytest.raises(ConfigurationError, match=says):
        DjangoTokenStore(model=model)


@pytest.fixture(params=SQL_KINDS)
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[dict[str, Any]]:
    """Give an empty database of each kind."""
    with database(str(request.param), tmp_path) as settings:
        yield settings


@pytest.fixture(scope="module", params=SQL_KINDS)
def module_alias(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Generator[str]:
    """Give a database of each kind with the tables."""
    folder = tmp_path_factory.mktemp("django")
    with database(str(request.param), folder) as settings, migrated(settings) as alias:
        yield alias


@pytest.fixture
def any_alias(module_alias: str) -> Generator[str]:
    """Give a database of each kind with empty tables."""
    yield module_alias
    with connections[module_alias].cursor() as cursor:
        cursor.execute("DELETE FROM pipedrive_tokens")
    connections[module_alias].close()


@pytest.fixture
def sqlite_alias(tmp_path: Path) -> Generator[str]:
    """Give an SQLite database that is waited for briefly."""
    with (
        database("sqlite", tmp_path, OPTIONS={"timeout": 0.1}) as settings,
        migrated(settings) as alias,
    ):
        yield alias


@pytest.fixture
def postgresql_alias(tmp_path: Path) -> Generator[str]:
    """Give a PostgreSQL whose connections stay open, under a name of their own."""
    with database("postgresql", tmp_path, CONN_MAX_AGE=None) as settings:
        settings["OPTIONS"]["application_name"] = f"test {token_hex(6)}"
        with migrated(settings) as alias:
            yield alias


def sessions(alias: str, *, ended: bool = False) -> int:
    """Count the sessions of the store in PostgreSQL, and end them if that is asked for."""
    name = connections[alias].settings_dict["OPTIONS"]["application_name"]
    query = "SELECT count({}) FROM pg_stat_activity WHERE application_name = %s AND pid <> {}"
    counted = "pg_terminate_backend(pid)" if ended else "*"
    with connections[alias].cursor() as cursor:
        cursor.execute(query.format(counted, "pg_backend_pid()"), [name])
        return int(cursor.fetchone()[0])


def test_transaction_of_the_request_undoes_nothing(any_alias: str) -> None:
    """What is saved and deleted within the caller's transaction stays when that is rolled back."""
    store = DjangoTokenStore(any_alias)
    store.save("gone", a_token())

    def fail() -> None:
        with transaction.atomic(using=any_alias):
            with store.lock("acme"):
                store.save("acme", a_token(1))
            store.delete("gone")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert store.load("acme") == a_token(1)
    assert list(store.accounts()) == ["acme"]


def test_transaction_of_the_request_hides_nothing(any_alias: str) -> None:
    """A transaction that has begun before sees what another worker has saved since."""
    if connections[any_alias].vendor == "sqlite":
        return  # which lets no writer pass a reader
    store = DjangoTokenStore(any_alias)
    store.save("acme", a_token(1))
    with transaction.atomic(using=any_alias):
        assert PipedriveAccount.objects.using(any_alias).count() == 1
        DjangoTokenStore(any_alias).save("acme", a_token(2))
        assert store.load("acme") == a_token(2)


def test_lock_of_the_request_is_named(sqlite_alias: str) -> None:
    """A transaction of the view that keeps SQLite locked ends in an error with the cure."""
    store = DjangoTokenStore(sqlite_alias)
    with transaction.atomic(using=sqlite_alias):
        with connections[sqlite_alias].cursor() as cursor:
            cursor.execute("DELETE FROM pipedrive_tokens")
        with pytest.raises(StoreError, match=r"ATOMIC_REQUESTS.*non_atomic_requests.*DATABASE"):
            store.save("acme", a_token())
    store.save("acme", a_token())


@pytest.mark.parametrize(("max_age", "left"), [(0, 0), (None, 1)])
def test_connections_are_closed(postgresql_alias: str, max_age: int | None, left: int) -> None:
    """By default no connection is left after a step or a lock; with `CONN_MAX_AGE`, idle ones."""
    connections.settings[postgresql_alias]["CONN_MAX_AGE"] = max_age
    store = DjangoTokenStore(postgresql_alias)
    with store.lock("acme"):
        store.save("acme", a_token())
    with ThreadPoolExecutor(1) as renewal:
        assert renewal.submit(store.load, "acme").result() == a_token()
    # The server may end a session a moment after its connection was closed.
    wait_until(lambda: sessions(postgresql_alias) == left, f"not {left} sessions")
    store.close()


def test_step_is_repeated_on_a_new_connection(postgresql_alias: str) -> None:
    """A connection that was lost while it was idle, or under the lock, costs nothing."""
    store = DjangoTokenStore(postgresql_alias)
    store.save("acme", a_token(1))
    assert sessions(postgresql_alias, ended=True) == 1
    with store.lock("acme"):
        assert store.load("acme") == a_token(1)
        assert sessions(postgresql_alias, ended=True) == 1
        store.save("acme", a_token(2))
    assert store.load("acme") == a_token(2)
    store.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_forked_child_connects_anew(postgresql_alias: str) -> None:
    """A child uses no connection of its parent, even where it was forked under a lock."""
    store = DjangoTokenStore(postgresql_alias)
    store.save("acme", a_token())

    def work() -> str:
        store.save("child", a_token(2))
        return "saved" if store.load("acme") == a_token() else "lost"

    with store.lock("acme"):
        assert in_children([work] * 4) == ["saved"] * 4
        store.save("acme", a_token(3))
    assert store.load("acme") == a_token(3)
    store.close()


def test_pool_of_the_project_is_not_used(sqlite_alias: str) -> None:
    """The requests that wait for a renewal may hold all connections of a pool."""
    given = connections.settings[sqlite_alias]
    given["OPTIONS"]["pool"] = True
    store = DjangoTokenStore(sqlite_alias)
    assert store._connections._new().settings_dict["OPTIONS"] == {"timeout": 0.1}
    assert given["OPTIONS"]["pool"] is True


def test_no_token_is_logged(any_alias: str, caplog: pytest.LogCaptureFixture) -> None:
    """Django's log of queries, in debug mode, shows none of the store's."""
    caplog.set_level("DEBUG")
    with override_settings(DEBUG=True):
        store = DjangoTokenStore(any_alias)
        store.save("acme", a_token(7))
        with store.lock("acme"):
            store.load("acme")
        account = PipedriveAccount.objects.using(any_alias).get()
    assert not found(caplog.text + repr(account) + str(account), ["access-7", "refresh-7"])
    assert not found(str(connections[any_alias].queries_log), ["access-7", "refresh-7"])


def test_error_repeats_no_token(any_alias: str) -> None:
    """What the database says of a row that it rejects is hidden."""
    store = DjangoTokenStore(any_alias)
    is_sqlite = connections[any_alias].vendor == "sqlite"
    with connections[any_alias].cursor() as cursor:
        if is_sqlite:
            cursor.execute(
                "CREATE TRIGGER refuse BEFORE INSERT ON pipedrive_tokens"
                " BEGIN SELECT RAISE(ABORT, 'refused'); END"
            )
        else:
            cursor.execute(
                "ALTER TABLE pipedrive_tokens ADD CONSTRAINT refuse CHECK (token NOT LIKE '%%7%%')"
            )
    try:
        with pytest.raises(StoreError) as caught:
            store.save("acme", a_token(7))
    finally:
        with connections[any_alias].cursor() as cursor:
            what = "DROP TRIGGER" if is_sqlite else "ALTER TABLE pipedrive_tokens DROP CONSTRAINT"
            cursor.execute(f"{what} refuse")
    assert isinstance(caught.value.__cause__, Error)
    assert not found(visible(caught.value), ["access-7", "refresh-7"])


def test_missing_table_is_named(settings: dict[str, Any]) -> None:
    """Before the migration, the error says which command to run."""
    with migrated(settings) as alias:
        call_command("migrate", "pipedrive_oauth_client", "zero", database=alias, verbosity=0)
        with pytest.raises(StoreError, match=f"migrate pipedrive_oauth_client --database={alias}"):
            DjangoTokenStore(alias).load("acme")
        call_command("migrate", "crm", "zero", database=alias, verbosity=0)
        with pytest.raises(StoreError, match=f"makemigrations crm.*migrate crm --database={alias}"):
            DjangoTokenStore(alias, model="crm.ReportsAccount").load("acme")


def test_sql_store_uses_the_same_table(settings: dict[str, Any]) -> None:
    """A `SQLTokenStore` on the database, as the command has one, reads and writes the tokens."""
    with migrated(settings) as alias:
        store = DjangoTokenStore(alias)
        store.save("acme", a_token(1))
        engine = engine_of(settings)
        with SQLTokenStore(engine, create_table=False) as sql, sql.lock("acme"):
            assert sql.load("acme") == a_token(1)
            sql.save("acme", a_token(2))
        engine.dispose()
        assert store.load("acme") == a_token(2)


def test_table_of_the_sql_store_is_taken_over(settings: dict[str, Any]) -> None:
    """`--fake-initial` takes over the table, with its tokens, that a `SQLTokenStore` has made."""
    engine = engine_of(settings)
    SQLTokenStore(engine).save("acme", a_token(1))
    with migrated(settings, fake_initial=True) as alias:
        assert DjangoTokenStore(alias).load("acme") == a_token(1)
        assert PipedriveAccount.objects.using(alias).get().user_id is None
    engine.dispose()


def engine_of(settings: dict[str, Any]) -> Engine:
    """Give SQLAlchemy's engine of a database."""
    if "sqlite3" in settings["ENGINE"]:
        return create_engine(f"sqlite:///{settings['NAME']}")
    is_postgresql = settings["ENGINE"].endswith("postgresql")
    url = make_url(postgres_url() if is_postgresql else mariadb_url())
    arguments = settings["OPTIONS"] if is_postgresql else {}
    return create_engine(url.set(database=settings["NAME"]), connect_args=arguments)


def test_migrations_are_complete() -> None:
    """The models say nothing that the migrations do not, nor does a model of a project's."""
    own = ("pipedrive_oauth_client", "crm")
    call_command("makemigrations", *own, check=True, dry_run=True, verbosity=0)


def test_tokens_can_be_encrypted(any_alias: str) -> None:
    """Around the store, `EncryptedTokenStore` seals the tokens, and `due` goes on working."""
    inner = DjangoTokenStore(any_alias)
    store = EncryptedTokenStore(inner, [Fernet.generate_key()])
    store.save("acme", a_token(7))
    assert store.load("acme") == a_token(7)
    assert list(store.due(START + timedelta(days=1))) == ["acme"]
    with connections[any_alias].cursor() as cursor:
        cursor.execute("SELECT token FROM pipedrive_tokens")
        assert "access-7" not in str(cursor.fetchone())


def test_damaged_token_is_left(sqlite_alias: str) -> None:
    """What is no text in UTF-8, and so no token, is reported."""
    store = DjangoTokenStore(sqlite_alias)
    store.save("acme", a_token())
    with connections[sqlite_alias].cursor() as cursor:
        cursor.execute("UPDATE pipedrive_tokens SET token = CAST(X'ff' AS TEXT)")
    with pytest.raises(CorruptTokenError):
        store.load("acme")


def test_database_that_is_unknown_or_unusable() -> None:
    """An alias that is not there, another kind of database, and one in memory are named."""
    with pytest.raises(ConfigurationError, match="DATABASES has no 'nowhere'"):
        DjangoTokenStore("nowhere").load("acme")
    for engine, name, says in (
        ("django.db.backends.dummy", "x", "can't use"),
        ("django.db.backends.sqlite3", ":memory:", "in the memory of one connection"),
    ):
        filled = connections.configure_settings({"default": {"ENGINE": engine, "NAME": name}})
        connections.settings["odd"] = filled["default"]
        try:
            with pytest.raises(ConfigurationError, match=says):
                DjangoTokenStore("odd").load("acme")
        finally:
            del connections.settings["odd"]


def test_event_loop_is_not_blocked(sqlite_alias: str) -> None:
    """In an event loop the store says what to do, and a renewal there works."""
    store = DjangoTokenStore(sqlite_alias)

    async def work() -> None:
        with pytest.raises(ConfigurationError, match="sync_to_async"):
            store.save("acme", a_token())
        await sync_to_async(store.save)("acme", a_token())

    asyncio.run(work())
    assert list(store.accounts()) == ["acme"]


def test_server_that_is_gone(tmp_path: Path) -> None:
    """A server that does not answer is named by the alias, and no password is shown."""
    for kind in ("postgresql", "mariadb"):
        with database(kind, tmp_path) as settings, migrated(settings) as alias:
            connections.settings[alias] |= {"PORT": "1", "PASSWORD": "pass-71c0e4aa92"}
            with pytest.raises(StoreError, match=f"can't reach the database .*{alias}") as caught:
                DjangoTokenStore(alias).load("acme")
            assert not found(visible(caught.value), ["pass-71c0e4aa92"])


@pytest.mark.parametrize("has_loop", [False, True])
def test_a_store_that_is_collected_closes_its_connections(
    has_loop: bool, sqlite_alias: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Idle connections that CONN_MAX_AGE keeps open end with their store, in any thread."""
    monkeypatch.setitem(connections.settings[sqlite_alias], "CONN_MAX_AGE", None)
    store = DjangoTokenStore(sqlite_alias)
    assert store.load("acme") is None
    (wrapper,) = store._connections._idle
    assert wrapper.connection is not None
    held = [store]
    del store

    def collect() -> None:
        held.clear()
        gc.collect()

    async def collect_in_a_loop() -> None:
        collect()

    if has_loop:
        asyncio.run(collect_in_a_loop())
    else:
        collect()
    assert wrapper.connection is None


@pytest.mark.parametrize("kind", ["django", "django-async"])
def test_views_with_a_transaction_for_each_request(
    kind: str, box: PipedriveSandbox, sqlite_alias: str
) -> None:
    """With ATOMIC_REQUESTS, a connection is saved for good, even where the app's hook fails."""
    connections.settings[sqlite_alias]["ATOMIC_REQUESTS"] = True

    def connected(_request: object, _connection: object) -> None:
        with connections[sqlite_alias].cursor() as cursor:
            cursor.execute("DELETE FROM pipedrive_tokens WHERE account = 'other'")
        if not connections[sqlite_alias].in_atomic_block:
            connections[sqlite_alias].close()  # that of a worker thread, which ends with the test
        raise ZeroDivisionError

    store = DjangoTokenStore(sqlite_alias)
    with made(kind, box, CLIENT, store, connected=connected) as site:
        browser = site.browser()
        callback = browser.consent(browser.begin())
        with pytest.raises(ZeroDivisionError):
            browser.get(callback)
    assert list(store.accounts()) == [DEFAULT_USER.account]
