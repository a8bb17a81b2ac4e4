"""Tokens in a database of the Django project: `DjangoTokenStore`.

Every step runs on a connection of the store's own, in autocommit mode, and never on the request's:
what a renewal saves must not be rolled back with the transaction of a view (`ATOMIC_REQUESTS`), and
what another worker has saved must be seen by it. The exception is a `TestCase` of Django, which is
one transaction: there the store uses its connection, so that the test leaves nothing behind.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, TypeVar

from django.apps import apps
from django.core.exceptions import SynchronousOnlyOperation
from django.db import DEFAULT_DB_ALIAS, Error
from django.db.models import Model

from pipedrive_oauth_client.errors import ConfigurationError, StoreError
from pipedrive_oauth_client.generated.encode import argument
from pipedrive_oauth_client.stores.leased import (
    ANY_VERSION,
    DEFAULT_LEASE,
    GRANT_ENDED_START,
    ExpectedVersion,
    LockAttempt,
    StoredToken,
    TableStore,
    end_of_prefix,
    microseconds,
    overview_of_row,
)
from pipedrive_oauth_client.stores.protocol import AccountOverview
from pipedrive_oauth_client.web.django.connections import (
    MAX_FAILURES,
    OWN_APP,
    Connection,
    Connections,
    Table,
    advice_for,
    reason_to_repeat,
    redacted,
)

__all__ = ["DEFAULT_MODEL", "DjangoTokenStore", "account_model", "label_of", "table_of"]

_PAGE_SIZE: Final = 500
_T = TypeVar("_T")

DEFAULT_MODEL: Final = f"{OWN_APP}.PipedriveAccount"


class DjangoTokenStore(TableStore):
    """Stores tokens in a database of the Django project, for any number of workers and machines.

    It has the table and the guarantees of `stores.SQLTokenStore`, on SQLite, PostgreSQL, MariaDB
    and MySQL: locks that expire by the clock of the database, saves that compare a version, steps
    that are repeated after a collision or, once, on a new connection. Its connections have the
    settings of `DATABASES`; `CONN_MAX_AGE` says how long they are kept.

    Args:
        database: The alias of the database in `DATABASES`. `manage.py migrate` makes the table.
        model: The model whose table it is, derived from `models.AbstractPipedriveAccount`, or its
            name, for example `crm.ReportsAccount`; by default `models.PipedriveAccount`.
        lease: How long a lock is held before it expires.
        wait: How long `lock` waits for another holder; by default 15 seconds more than the lease.

    Attributes:
        database: The alias.
        model: The name of the model.

    Raises:
        ConfigurationError: `database` is no string, `model` is no such model, or a duration is not
            a timedelta, not above zero, or longer than a day.
    """

    _instead = "Make a new one there."

    def __init__(
        self,
        database: str = DEFAULT_DB_ALIAS,
        *,
        model: str | type[Model] = DEFAULT_MODEL,
        lease: timedelta = DEFAULT_LEASE,
        wait: timedelta | None = None,
    ) -> None:
        super().__init__(lease=lease, wait=wait)
        self.database: Final = argument("database", database, str)
        self.model: Final = label_of(model)
        if apps.models_ready:  # a module may make the store before
            table_of(self.model)
        self._connections = Connections(self.database, partial(table_of, self.model))

    def __repr__(self) -> str:
        model = "" if self.model == DEFAULT_MODEL else f", model={self.model!r}"
        return f"{type(self).__name__}({self.database!r}{model})"

    def close(self) -> None:
        """Close the store's idle connections; it can be used afterwards, and connects again."""
        self._connections.close()

    @contextmanager
    def lock(self, account: str) -> Generator[Any]:
        """Let one caller at a time refresh the token of an account; see `TokenStore.lock`.

        Args:
            account: The account.

        Yields:
            The lease. Until the end of the `with` block, this thread uses one connection.

        Raises:
            StoreLockTimeoutError: The current holder did not release the lock in time.
            ConfigurationError: This thread holds the lock already.
            StoreError: The database is unavailable or failed.
        """
        with self._connections.kept(), super().lock(account) as lease:
            yield lease

    def _page_of_accounts(self, prefix: str, after: str | None) -> list[str]:
        return self._run(_accounts, prefix, after)

    def _page_of_overview(self, after: str | None) -> list[AccountOverview]:
        return self._run(_overview, after)

    def _page_of_due(self, before: int, after: tuple[int, str] | None) -> Sequence[tuple[int, str]]:
        return self._run(_due, before, after)

    def _read(self, account: str) -> StoredToken | None:
        return self._run(_read, account)

    def _write(
        self, account: str, new: StoredToken, expires_at: datetime, expected: ExpectedVersion
    ) -> bool:
        return self._run(_write, account, new, microseconds("expires_at", expires_at), expected)

    def _remove(self, account: str) -> None:
        self._run(_remove, account)

    def _take(self, account: str, owner: str, stale: str | None) -> LockAttempt:
        lease = self._lease // timedelta(microseconds=1)
        return self._run(_take, account, owner, stale, lease)

    def _release(self, account: str, owner: str) -> None:
        self._run(_release, account, owner)

    def _run(self, step: Callable[..., _T], *arguments: Any) -> _T:
        failures: Counter[str] = Counter()
        advice: str | None = None
        while True:
            with _no_event_loop(), self._connections.borrowed() as connection:
                try:
                    return connection.in_transaction(step, *arguments)
                except Error as error:
                    reason = reason_to_repeat(error, connection.vendor)
                    failures[reason or ""] += 1
                    if reason is None or failures[reason] >= MAX_FAILURES[reason]:
                        advice = advice_for(error, self.database, self.model.partition(".")[0])
                    cause = redacted(error, connection.vendor)
            if advice is not None:  # raised here, since `error` may repeat a token
                raise StoreError(advice) from cause
            if reason == "read-only":
                # The idle connections lead to the previous primary.
                self._connections.close()
            self._sleep(random.uniform(0, 0.005 * failures.total()))  # noqa: S311 - no secret


@contextmanager
def _no_event_loop() -> Generator[None]:
    try:
        yield
    except SynchronousOnlyOperation as error:
        raise ConfigurationError(
            "The token store blocks, and can't be called in an event loop. Call it in a thread:"
            " `await asgiref.sync.sync_to_async(store.load)(account)`."
        ) from error


def label_of(model: object, setting: str = "model") -> str:
    """Give the name of a model of accounts, which may be given by its name."""
    if isinstance(model, str):
        return DEFAULT_MODEL if model.lower() == DEFAULT_MODEL.lower() else model
    return _checked_model(model, setting)._meta.label  # noqa: SLF001 - as Django names it


def account_model(label: str, setting: str = "model") -> type[Model]:
    """Find a model of accounts by its name."""
    try:
        found = apps.get_model(label)
    except (LookupError, ValueError) as error:
        raise ConfigurationError(
            f"{setting} names {label!r}, which is no model of an app in INSTALLED_APPS. Write it as"
            " in 'crm.ReportsAccount'."
        ) from error
    return _checked_model(found, setting)


def table_of(label: str) -> Table:
    """Describe the table of a model of accounts."""
    if label == DEFAULT_MODEL:
        from pipedrive_oauth_client.web.django.configuration import has_users  # noqa: PLC0415 - a circle

        return Table("pipedrive_tokens", "user_id" if has_users() else None, OWN_APP)
    options = account_model(label)._meta  # noqa: SLF001 - as Django names it
    user = next((each.column for each in options.local_fields if each.name == "user"), None)
    return Table(options.db_table, user, options.app_label)


def _checked_model(model: Any, setting: str) -> type[Model]:
    from pipedrive_oauth_client.web.django.models import AbstractPipedriveAccount  # noqa: PLC0415 - a circle

    shown = getattr(model, "__name__", type(model).__name__)
    if not (isinstance(model, type) and issubclass(model, AbstractPipedriveAccount)):
        raise ConfigurationError(
            f"{setting} must be a model that is derived from AbstractPipedriveAccount of"
            f" pipedrive_oauth_client.web.django.models, or its name, not {shown}."
        )
    options = model._meta  # noqa: SLF001 - as Django names it
    if options.abstract or options.proxy or options.parents:
        raise ConfigurationError(
            f"{setting} is {options.label}, which has no table of its own with all columns. Derive"
            " a model from AbstractPipedriveAccount directly, neither abstract nor a proxy."
        )
    return model


# --- The steps; each is a statement or two on a connection in autocommit or in a transaction ---


def _version(at: Connection) -> str:
    # A row that was inserted by hand may lack a version, and holds a token all the same.
    return (
        f"CASE WHEN {at.table}.token IS NOT NULL THEN COALESCE({at.table}.version, '')"
        " ELSE NULL END"
    )


def _read(at: Connection, account: str) -> StoredToken | None:
    # SQLite accepts any bytes as text, and its driver would fail on invalid UTF-8.
    text = "CAST(token AS BLOB)" if at.vendor == "sqlite" else "token"
    row = at.row(
        f"SELECT {text}, {_version(at)} FROM {at.table} WHERE account = %s AND token IS NOT NULL",  # noqa: S608 - no input
        account,
    )
    return None if row is None else StoredToken(row[0], row[1] or "")


def _write(
    at: Connection, account: str, new: StoredToken, expires_at: int, expected: ExpectedVersion
) -> bool:
    """Store a token if the stored version is the expected one or this token's own."""
    text = new.text if isinstance(new.text, str) else new.text.decode()
    if isinstance(expected, str):
        at.execute(
            f"UPDATE {at.table} SET version = %s, token = %s, expires_at = %s"  # noqa: S608 - no input
            f" WHERE account = %s AND {_version(at)} = %s",
            *(new.version, text, expires_at, account, expected),
        )
    else:
        nothing_or_this = f"{at.table}.token IS NULL OR {at.table}.version = %s", [new.version]
        values: dict[str, tuple[str, Sequence[object]]] = {
            "version": ("%s", [new.version]),
            "token": ("%s", [text]),
            "expires_at": ("%s", [expires_at]),
        }
        at.upsert(account, values, None if expected is ANY_VERSION else nothing_or_this)
    row = at.row(f"SELECT version FROM {at.table} WHERE account = %s", account)  # noqa: S608 - no input
    return row is not None and row[0] == new.version


def _remove(at: Connection, account: str) -> None:
    """Delete a token; a lock stays with its holder."""
    user = "" if at.user_column is None else f", {at.user_column} = NULL"
    at.execute(
        f"UPDATE {at.table} SET token = NULL, version = NULL, expires_at = NULL{user}"  # noqa: S608 - no input
        " WHERE account = %s",
        account,
    )
    _delete_if_empty(at, account)


def _take(at: Connection, account: str, owner: str, stale: str | None, lease: int) -> LockAttempt:
    is_free = (
        f"{at.table}.lock_owner IS NULL OR {at.table}.lock_owner IN (%s, %s)"
        f" OR {at.table}.lock_until <= {at.now}"
    )
    values: dict[str, tuple[str, Sequence[object]]] = {
        "lock_owner": ("%s", [owner]),
        "lock_until": (f"{at.now} + %s", [lease]),
    }
    at.upsert(account, values, (is_free, [owner, owner if stale is None else stale]))
    row = at.row(f"SELECT lock_owner, {_version(at)} FROM {at.table} WHERE account = %s", account)  # noqa: S608 - no input
    # Between two statements in autocommit mode the row may have been deleted.
    holder, version = (None, None) if row is None else row
    if holder == owner:
        return LockAttempt(version=version)
    return LockAttempt(holder=holder or "unknown")


def _release(at: Connection, account: str, owner: str) -> None:
    at.execute(
        f"UPDATE {at.table} SET lock_owner = NULL, lock_until = NULL"  # noqa: S608 - no input
        " WHERE account = %s AND lock_owner = %s",
        *(account, owner),
    )
    _delete_if_empty(at, account)


def _delete_if_empty(at: Connection, account: str) -> None:
    at.execute(
        f"DELETE FROM {at.table} WHERE account = %s AND token IS NULL"  # noqa: S608 - no input
        f" AND (lock_owner IS NULL OR lock_until <= {at.now})",
        account,
    )


def _accounts(at: Connection, prefix: str, after: str | None) -> list[str]:
    """Return the next page of accounts with a prefix, in the order of their names."""
    more, given = ("", []) if after is None else (" AND account > %s", [after])
    if prefix:
        # A range of the primary key, whose names are compared byte by byte.
        more += " AND account >= %s AND account < %s"
        given += [prefix, end_of_prefix(prefix)]
    query = (
        f"SELECT account FROM {at.table} WHERE token IS NOT NULL{more}"  # noqa: S608 - no input
        f" ORDER BY account LIMIT {_PAGE_SIZE}"
    )
    return [account for (account,) in at.rows(query, *given)]


def _overview(at: Connection, after: str | None) -> list[AccountOverview]:
    """Return the next page of what the rows say, in the order of the accounts' names."""
    more, given = ("", []) if after is None else (" AND account > %s", [after])
    query = (
        f"SELECT account, expires_at, SUBSTR(token, 1, {len(GRANT_ENDED_START)}) = %s,"  # noqa: S608 - no input
        f" token LIKE %s FROM {at.table} WHERE token IS NOT NULL{more}"
        f" ORDER BY account LIMIT {_PAGE_SIZE}"
    )
    return [overview_of_row(*row) for row in at.rows(query, GRANT_ENDED_START, "{%}", *given)]


def _due(at: Connection, before: int, after: tuple[int, str] | None) -> list[tuple[int, str]]:
    """Return the next page of expiries and accounts, the earliest first."""
    # Two queries, since not every database uses an index for one with `or`.
    pages: list[tuple[str, Sequence[object]]] = [("", [])]
    if after is not None:
        pages = [
            (" AND expires_at = %s AND account > %s", after),
            (" AND expires_at > %s", after[:1]),
        ]
    for more, given in pages:
        query = (
            f"SELECT expires_at, account FROM {at.table}"  # noqa: S608 - no input
            f" WHERE token IS NOT NULL AND expires_at < %s{more}"
            f" ORDER BY expires_at, account LIMIT {_PAGE_SIZE}"
        )
        if found := [(expiry, account) for expiry, account in at.rows(query, before, *given)]:
            return found
    return []
