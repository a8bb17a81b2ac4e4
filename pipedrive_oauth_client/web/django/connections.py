"""The connections of `DjangoTokenStore`: its own, or that of a `TestCase`; and their errors.

What is shown of a database's error may repeat no token: drivers and databases repeat the statement,
its parameters or the row that they reject.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import Any, Final, TypeVar

from attrs import frozen
from django.core import mail
from django.db import DEFAULT_DB_ALIAS, Error, InterfaceError, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import load_backend

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.stores._database_errors import (
    COLLISIONS,
    LOST,
    READ_ONLY,
    code_of,
    readable_text,
)

__all__ = [
    "MAX_FAILURES",
    "OWN_APP",
    "Connection",
    "Connections",
    "Table",
    "advice_for",
    "is_testing",
    "notice_testcase",
    "reason_to_repeat",
    "redacted",
    "remember_databases",
]

OWN_APP: Final = "pipedrive_oauth_client"
_MOST_IDLE: Final = 8
_T = TypeVar("_T")

# Used unless OPTIONS sets them. A server that is gone without a word is noticed in time.
_OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "sqlite": {"timeout": 10.0},
    "postgresql": {
        "connect_timeout": 10,
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
    },
    "mysql": {"connect_timeout": 10, "read_timeout": 30, "write_timeout": 30},
}
_AFTER_CONNECT: Final = {
    "sqlite": "PRAGMA secure_delete = ON",
    "mysql": "SET SESSION innodb_lock_wait_timeout = 15",
}
# For one transaction, since a connection pooler hands the session to another program after it.
_POSTGRESQL_BEGIN: Final = (
    "BEGIN; SELECT set_config('lock_timeout', '15s', true), set_config('statement_timeout', '25s',"
    " true), set_config('idle_in_transaction_session_timeout', '5s', true)"
)
# Microseconds since 1970 by the clock of the database, the same for all machines of an app.
_NOW: Final = {
    "postgresql": "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)",
    # Not UNIX_TIMESTAMP(NOW(6)): that goes through local time, where an hour in autumn comes twice.
    "mysql": "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))",
    # 2440587.5 is the Julian day of 1970-01-01.
    "sqlite": "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)",
}


@frozen
class Table:
    """The table of a store, as its model describes it."""

    name: str
    user_column: str | None
    app_label: str


class Connection:
    """A connection of Django's, past its cursors: those log parameters, which hold tokens."""

    def __init__(
        self, wrapper: BaseDatabaseWrapper, table: Table, *, is_shared: bool = False
    ) -> None:
        self.wrapper = wrapper
        self.vendor: str = wrapper.vendor
        self.table: str = wrapper.ops.quote_name(table.name)
        self.user_column = (
            None if table.user_column is None else wrapper.ops.quote_name(table.user_column)
        )
        self.now = _NOW[wrapper.vendor]
        self._is_shared = is_shared  # with a TestCase, whose transaction goes on
        self._cursor: Any = None

    def in_transaction(self, step: Callable[..., _T], *arguments: Any) -> _T:
        """Run a step; after an error nothing of it is left."""
        begin, commit = "", ""
        if self._is_shared:
            begin, commit = "SAVEPOINT pipedrive_step", "RELEASE SAVEPOINT pipedrive_step"
        elif self.vendor == "postgresql":
            begin, commit = _POSTGRESQL_BEGIN, "COMMIT"
        with _TESTCASE_GUARD if self._is_shared else nullcontext():
            return self._between(begin, commit, step, *arguments)

    def _between(self, begin: str, commit: str, step: Callable[..., _T], *arguments: Any) -> _T:
        try:
            with self.wrapper.wrap_database_errors:
                self._cursor = self._connected().cursor()
                try:
                    if begin:
                        self._cursor.execute(begin)
                    result = step(self, *arguments)
                    if commit:
                        self._cursor.execute(commit)
                finally:
                    self._cursor.close()
        except BaseException:
            self._undo()
            raise
        return result

    def _connected(self) -> Any:
        opened: Any = self.wrapper.connection
        if opened is None:
            self.wrapper.ensure_connection()
            opened = self.wrapper.connection
            statement = _AFTER_CONNECT.get(self.vendor)
            if statement is not None:
                cursor = opened.cursor()
                cursor.execute(statement)
                cursor.close()
        return opened

    def _undo(self) -> None:
        with suppress(Exception):  # the error that led here counts
            if not self._is_shared:
                _close(self.wrapper)
            else:
                cursor = self._connected().cursor()
                cursor.execute("ROLLBACK TO SAVEPOINT pipedrive_step")
                cursor.close()

    def execute(self, statement: str, *parameters: object) -> None:
        """Execute a statement, whose parameters are written %s."""
        if self.vendor == "sqlite":
            statement = statement.replace("%s", "?")
        self._cursor.execute(statement, parameters)

    def rows(self, statement: str, *parameters: object) -> Sequence[tuple[Any, ...]]:
        """Execute a query, and give its rows."""
        self.execute(statement, *parameters)
        found: Sequence[tuple[Any, ...]] = self._cursor.fetchall()
        return found

    def row(self, statement: str, *parameters: object) -> tuple[Any, ...] | None:
        """Execute a query, and give its first row."""
        found = self.rows(statement, *parameters)
        return found[0] if found else None

    def upsert(
        self,
        account: str,
        values: dict[str, tuple[str, Sequence[object]]],
        condition: tuple[str, Sequence[object]] | None,
    ) -> None:
        """Insert the row; if it exists, update it if the condition holds.

        Values are SQL with its parameters. The first one is new at each call.
        """
        columns = ", ".join(["account", *values])
        inserted = ", ".join(["%s", *(value for value, _ in values.values())])
        parameters: list[object] = [account]
        changes: list[str] = []
        for _, given in values.values():
            parameters += given
        insert = f"INSERT INTO {self.table} ({columns}) VALUES ({inserted})"  # noqa: S608 - no input
        if self.vendor == "mysql":
            is_updated = condition
            for name, (value, given) in values.items():
                if is_updated is None:
                    changes.append(f"{name} = {value}")
                else:
                    changes.append(f"{name} = IF({is_updated[0]}, {value}, {self.table}.{name})")
                    parameters += is_updated[1]
                parameters += given
                # MySQL updates one column after the other, and the first shows whether it did.
                if is_updated is condition and condition is not None:
                    is_updated = f"{self.table}.{name} = {value}", given
            statement = f"{insert} ON DUPLICATE KEY UPDATE {', '.join(changes)}"
        else:
            for name, (value, given) in values.items():
                changes.append(f"{name} = {value}")
                parameters += given
            statement = f"{insert} ON CONFLICT (account) DO UPDATE SET {', '.join(changes)}"
            if condition is not None:
                statement += f" WHERE {condition[0]}"
                parameters += condition[1]
        self.execute(statement, *parameters)


class _KeptConnection(threading.local):
    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.pid = 0


class Connections:
    """Makes connections with the settings of an alias, and keeps idle ones as `CONN_MAX_AGE` says.

    A renewal has a thread of its own, so that connections belong to no thread.
    """

    def __init__(self, alias: str, table: Callable[[], Table]) -> None:
        self._alias = alias
        self._table = table
        self._kept = _KeptConnection()
        self._guard = threading.Lock()
        self._idle: list[BaseDatabaseWrapper] = []
        _ALL.add(self)
        weakref.finalize(self, _close_all, self._idle)

    def forget(self) -> None:
        """Leave the idle connections to the parent of a fork, whose sessions they are."""
        self._guard = threading.Lock()
        _LEFT_TO_THE_PARENT.extend(self._idle)
        self._idle.clear()

    def close(self) -> None:
        """Close the idle connections."""
        with self._guard:
            idle = self._idle.copy()
            self._idle.clear()
        _close_all(idle)

    @contextmanager
    def kept(self) -> Generator[None]:
        """Have this thread use one connection until the end of the block."""
        kept = self._kept
        if kept.connection is not None and kept.pid == os.getpid():
            yield
            return
        with self.borrowed() as connection:
            kept.connection, kept.pid = connection, os.getpid()
            try:
                yield
            finally:
                kept.connection = None

    @contextmanager
    def borrowed(self) -> Generator[Connection]:
        """Lend a connection for a step; it may not be connected yet."""
        kept = self._kept
        if kept.connection is not None:
            if kept.pid == os.getpid():
                yield kept.connection
                return
            _LEFT_TO_THE_PARENT.append(kept.connection.wrapper)
            kept.connection = None
        of_test = _testcase_connection(self._alias)
        if of_test is not None:
            yield Connection(of_test, self._table(), is_shared=True)
            return
        pid, table = os.getpid(), self._table()
        wrapper = self._idle_one() or self._new()
        try:
            with suppress(Error):
                wrapper.close_if_unusable_or_obsolete()
                wrapper.close_if_health_check_failed()
            yield Connection(wrapper, table)
        finally:
            if pid == os.getpid():  # a forked child may leave the block as well
                self._give_back(wrapper)

    def _idle_one(self) -> BaseDatabaseWrapper | None:
        with self._guard:
            if not self._idle:
                return None
            wrapper = self._idle.pop()
        if wrapper.settings_dict["NAME"] != connections.settings[self._alias]["NAME"]:
            _close(wrapper)  # a test run has begun
            return None
        return wrapper

    def _give_back(self, wrapper: BaseDatabaseWrapper) -> None:
        # The server can't drop the database of a test run while a connection to it is open.
        if wrapper.settings_dict["CONN_MAX_AGE"] == 0 or is_testing():
            _close(wrapper)
        with self._guard:
            if len(self._idle) < _MOST_IDLE:
                self._idle.append(wrapper)
                return
        _close(wrapper)

    def _new(self) -> BaseDatabaseWrapper:
        given = connections.settings.get(self._alias)
        if given is None:
            raise ConfigurationError(
                f"DATABASES has no {self._alias!r}, which the token store is to use. Set"
                " DATABASE in PIPEDRIVE_OAUTH to the alias of one of your databases."
            )
        _refuse_untested(self._alias, given)
        wrapper_class = load_backend(given["ENGINE"]).DatabaseWrapper
        vendor = wrapper_class.vendor
        if vendor not in _NOW:
            raise ConfigurationError(
                f"The token store can't use DATABASES[{self._alias!r}] with {given['ENGINE']}: it"
                " is for SQLite, PostgreSQL, MariaDB and MySQL. Set DATABASE in PIPEDRIVE_OAUTH to"
                " another one, or STORE to another store."
            )
        name = str(given["NAME"])
        if vendor == "sqlite" and (
            name == ":memory:" or ("mode=memory" in name and "cache=shared" not in name)
        ):
            raise ConfigurationError(
                f"DATABASES[{self._alias!r}] is in the memory of one connection, so that threads"
                " could not share it. Name a file."
            )
        options = {**_OPTIONS[vendor], **given["OPTIONS"]}
        # A pool may be exhausted by the very requests that wait for the renewal.
        options.pop("pool", None)
        own = {**given, "AUTOCOMMIT": True, "OPTIONS": options}
        wrapper: BaseDatabaseWrapper = wrapper_class(own, self._alias)
        wrapper.inc_thread_sharing()
        return wrapper


_ALL: Final[weakref.WeakSet[Connections]] = weakref.WeakSet()
# Closing them in a child would end the parent's sessions, and so may collecting them.
_LEFT_TO_THE_PARENT: Final[list[BaseDatabaseWrapper]] = []


def _leave_connections_to_the_parent() -> None:
    for each in list(_ALL):
        each.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_connections_to_the_parent)


def _close(wrapper: BaseDatabaseWrapper) -> None:
    # Not Django's own method: SQLite's leaves databases in memory open, and all refuse in a thread
    # with an event loop, where a collected store's connections may have to be closed.
    connection, wrapper.connection = wrapper.connection, None
    if connection is not None:
        with suppress(Error), wrapper.wrap_database_errors:
            connection.close()


def _close_all(wrappers: list[BaseDatabaseWrapper]) -> None:
    for wrapper in wrappers:
        _close(wrapper)


# --- Tests of the project ---

_TESTCASE_GUARD: Final = threading.RLock()
_testcases: Final[dict[str, BaseDatabaseWrapper]] = {}
_names_of_databases: Final[dict[str, object]] = {}


def is_testing() -> bool:
    """Tell whether Django's test environment is set up, by its own runner or by pytest-django."""
    return hasattr(mail, "outbox")


def remember_databases() -> None:
    """Remember the names that the databases have before a test runner replaces them."""
    for alias in connections.settings:
        _names_of_databases.setdefault(alias, connections.settings[alias]["NAME"])


def notice_testcase() -> None:
    """Notice the connections of a `TestCase` that runs in this thread, for renewals in others."""
    for wrapper in connections.all(initialized_only=True):
        if _is_of_testcase(wrapper):
            _testcases[wrapper.alias] = wrapper


def _testcase_connection(alias: str) -> BaseDatabaseWrapper | None:
    """Give the connection of a `TestCase` that is running, from whichever thread."""
    if not is_testing():
        return None
    notice_testcase()
    for wrapper in connections.all(initialized_only=True):
        if wrapper.alias == alias and type(wrapper.connect).__name__ == "_DatabaseFailure":
            wrapper.connect()  # a SimpleTestCase, which explains what it wants
    found = _testcases.get(alias)
    if found is not None and _is_of_testcase(found):
        return found
    _testcases.pop(alias, None)
    return None


def _is_of_testcase(wrapper: BaseDatabaseWrapper) -> bool:
    return any(getattr(block, "_from_testcase", False) for block in wrapper.atomic_blocks)


def _refuse_untested(alias: str, settings: dict[str, Any]) -> None:
    # Live tokens may be in it. A test that declares its database never gets here.
    name = settings["NAME"]
    is_own = _names_of_databases.get(alias) == name and settings["TEST"].get("NAME") != name
    if is_testing() and is_own:
        raise ConfigurationError(
            f"A test uses the tokens of DATABASES[{alias!r}], for which there is no test database"
            f" yet. Use django.test.TestCase with {alias!r} in `databases`, or pytest-django's"
            " `django_db`."
        )


# --- Errors ---

# How often a step may fail for a reason before its error is raised.
MAX_FAILURES: Final = {"connection lost": 2, "read-only": 2, "collision": 20}
_ADVICE: Final[tuple[tuple[frozenset[str | int], tuple[str, ...], str], ...]] = (
    (
        frozenset({"42P01", "42703", 1146, 1054}),
        ("no such table", "no such column", "has no column"),
        (
            "The tables of the token store are not in DATABASES[{alias!r}], or not all of them. Run"
            " {migration}."
        ),
    ),
    (
        frozenset({"3D000", 1049}),
        (),
        "The database of DATABASES[{alias!r}] does not exist. Create it, or correct its NAME.",
    ),
    (
        frozenset({"53300", 1040, 1203, 1226}),
        ("no more connections allowed", "sorry, too many clients already"),
        (
            "The database of DATABASES[{alias!r}] has no connection left. The token store needs one"
            " besides that of the request; allow more."
        ),
    ),
    (
        frozenset({"28000", "28P01", "42501", 1044, 1045, 1142, 1143}),
        ("password authentication failed",),
        (
            "The database of DATABASES[{alias!r}] rejected the user. Check the password and the"
            " user's rights."
        ),
    ),
    (
        COLLISIONS | {"55P03", "57014", 1205},
        ("is locked",),
        (
            "Another transaction kept the token store from writing to DATABASES[{alias!r}]. If it"
            " is that of the view (ATOMIC_REQUESTS, `atomic`), which waits for this, put"
            " `django.db.transaction.non_atomic_requests` on the view, or keep the tokens in"
            " another database: DATABASE in PIPEDRIVE_OAUTH. Otherwise try again."
        ),
    ),
    (
        READ_ONLY,
        ("readonly database",),
        (
            "The database of DATABASES[{alias!r}] is read-only. Make sure that the address leads to"
            " the primary, and that the user may write; then try again."
        ),
    ),
    (
        frozenset({"53100", 1021, 1114}),
        ("disk is full",),
        "The database of DATABASES[{alias!r}] has no room left. Make room, then try again.",
    ),
)


def _of_driver(error: Error) -> BaseException:
    return error.__cause__ or error


def reason_to_repeat(error: Error, vendor: str) -> str | None:
    """Return why to repeat a step that has failed, a key of `MAX_FAILURES`; None if not."""
    code = code_of(_of_driver(error))
    if code in READ_ONLY:
        return "read-only"
    # Databases in shared memory, as tests have them, do not wait for each other.
    if code in COLLISIONS or "table is locked" in str(error):
        return "collision"
    if vendor == "sqlite" or not isinstance(error, InterfaceError | OperationalError):
        return None
    # An error of PostgreSQL's driver without a code comes of the connection.
    is_lost = code in LOST or code is None or str(code).startswith("08")
    return "connection lost" if is_lost else None


def advice_for(error: Error, alias: str, app_label: str = OWN_APP) -> str:
    """Return what happened and what to do, without repeating the error's own text."""
    code, text = code_of(_of_driver(error)), str(error)
    option = "" if alias == DEFAULT_DB_ALIAS else f" --database={alias}"
    migration = f"`manage.py migrate {app_label}{option}`"
    if app_label == OWN_APP:
        migration += ". If the project's users came later, run it with `0001 --fake` before"
    else:
        migration = f"`manage.py makemigrations {app_label}`, then {migration}"
    for codes, words, advice in _ADVICE:
        if code in codes or any(word in text for word in words):
            return advice.format(alias=alias, migration=migration)
    if isinstance(error, InterfaceError | OperationalError):
        return (
            f"The token store can't reach the database of DATABASES[{alias!r}]. Make sure that it"
            " runs, and that HOST, PORT, USER and PASSWORD are right; then try again."
        )
    return (
        f"The database of DATABASES[{alias!r}] failed in a step of the token store; the cause says"
        " why."
    )


def redacted(error: Error, vendor: str) -> Error:
    """Give an error of the same kind whose text repeats no content, and with no error behind it."""
    shown = readable_text(
        _of_driver(error),
        is_sqlite=vendor == "sqlite",
        is_of_connection=isinstance(error, InterfaceError | OperationalError),
    )
    return type(error)(shown)
