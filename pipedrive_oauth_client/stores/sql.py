"""Tokens in a database: `SQLTokenStore`. It needs the extra `sql` and a driver of the database.

One table holds an account in each row. `token_table` describes it to your migrations:

    account     up to 200 characters, compared byte by byte; the primary key
    token       the token as JSON, or NULL where the row is there for a lock alone
    version     a random word for each save
    expires_at  when the access token expires, in microseconds since 1970-01-01 00:00 UTC; indexed
    lock_owner  the random word of whoever renews the token, or NULL
    lock_until  when the lock ends by itself, in microseconds by the clock of the database
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, Final, Self, TypeVar

from sqlalchemy import Connection, Engine, MetaData
from sqlalchemy.engine import URL

from pipedrive_oauth_client.errors import ConfigurationError, StoreError
from pipedrive_oauth_client.generated.encode import argument
from pipedrive_oauth_client.stores.base import AnyVersion, Kept, LeasedStore
from pipedrive_oauth_client.stores.leases import DEFAULT_LEASE, Taken
from pipedrive_oauth_client.stores.sql_engine import checked_engine, engine_of, shown
from pipedrive_oauth_client.stores.sql_errors import (
    BACKEND_ERRORS,
    is_passing,
    may_be_race,
    tidy,
    what_to_do,
)
from pipedrive_oauth_client.stores.sql_steps import Steps
from pipedrive_oauth_client.stores.sql_table import DEFAULT_TABLE, token_table
from pipedrive_oauth_client.stores.sqlite_files import check_file, file_of, make_file
from pipedrive_oauth_client.stores.times import microseconds, microseconds_of

__all__ = ["SQLTokenStore", "token_table"]

_T = TypeVar("_T")
_NAMES: Final = {"pk": "pk_%(table_name)s"}


class SQLTokenStore(LeasedStore):
    """Keeps tokens in SQLite, PostgreSQL, MariaDB or MySQL, through SQLAlchemy.

    PostgreSQL, MariaDB and MySQL serve any number of machines, SQLite the programs of one. Each
    step is a statement or two, and nothing is held open while a token is renewed. Deadlocks and
    conflicts are tried again, and so is a step whose connection was lost, once. Locks go by the
    clock of the database.

    An SQLite file is made for this user alone, and refused on POSIX systems where others can read
    it. After a fork the child makes connections of its own.

    Args:
        url_or_engine: The address of the database as SQLAlchemy writes it, for example
            `postgresql+psycopg://user:password@host/name` or `sqlite:////folder/tokens.db`; or an
            engine of yours, which is used as it is and never closed.
        table: The name of the table.
        create_table: Whether to make the table at first use, where it is missing. With False it
            comes from your migrations; see `token_table`.
        lease: How long a lock is lent for.
        wait: How long `lock` waits for another holder; 15 seconds more than the lease by default.

    Attributes:
        metadata: The `MetaData` with the table, to make migrations from.

    Raises:
        ConfigurationError: The address or the engine is none that the store can use, a driver is
            missing, the table has a strange name, or a time is no timedelta above zero.
    """

    def __init__(
        self,
        url_or_engine: str | URL | Engine,
        *,
        table: str = DEFAULT_TABLE,
        create_table: bool = True,
        lease: timedelta = DEFAULT_LEASE,
        wait: timedelta | None = None,
    ) -> None:
        super().__init__(lease=lease, wait=wait)
        self.metadata = MetaData(naming_convention=_NAMES)
        self._table = token_table(self.metadata, table)
        self._steps = Steps(self._table)
        self._makes_table: bool = argument("create_table", create_table, bool)
        self._is_ready = False
        given: Any = url_or_engine
        self._owns_engine = not isinstance(given, Engine)
        if not isinstance(given, str | URL | Engine):
            raise ConfigurationError(
                "url_or_engine must be a URL or an sqlalchemy.Engine, not"
                f" {type(given).__name__}. An AsyncEngine can't be used: the store is synchronous."
            )
        self._engine = checked_engine(given) if isinstance(given, Engine) else engine_of(given)
        is_sqlite = self._engine.dialect.name == "sqlite"
        self._file = file_of(self._engine.url) if is_sqlite else None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({shown(self._engine.url)!r}, table={self._table.name!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections, unless they are those of an engine that was given.

        The store can be used afterwards, and connects again.
        """
        if self._owns_engine:
            self._engine.dispose()

    def accounts(self) -> Iterator[str]:
        """Give all accounts that have a token; see `TokenStore.accounts`.

        Returns:
            The accounts, one by one, in the order of the database.

        Raises:
            StoreError: The database does not work.
        """
        last: str | None = None
        while page := self._run(self._steps.accounts, last):
            yield from page
            last = page[-1]

    def due(self, before: datetime) -> Iterator[str]:
        """Give the accounts whose access token expires before a time.

        Args:
            before: The time, aware.

        Returns:
            The accounts, one by one, the earliest first.

        Raises:
            ConfigurationError: `before` has no time zone.
            StoreError: The database does not work.
        """
        return self._due(microseconds("before", before))

    def _due(self, before: int) -> Iterator[str]:
        last: tuple[int, str] | None = None
        while page := self._run(self._steps.due, before, last):
            for _expiry, account in page:
                yield account
            last = page[-1]

    def _read(self, account: str) -> Kept | None:
        return self._run(self._steps.read, account)

    def _write(
        self, account: str, kept: Kept, expires_at: datetime, expected: AnyVersion | str | None
    ) -> bool:
        expiry = microseconds("expires_at", expires_at)
        return self._run(self._steps.write, account, kept, expiry, expected)

    def _remove(self, account: str) -> None:
        self._run(self._steps.remove, account)

    def _take(self, account: str, owner: str, stale: str | None) -> Taken:
        lease = microseconds_of(self._lease)
        return self._run(self._steps.take, account, owner, stale, lease)

    def _release(self, account: str, owner: str) -> None:
        self._run(self._steps.release, account, owner)

    def _run(self, step: Callable[..., _T], *arguments: Any) -> _T:
        self._look_at_file()
        if self._makes_table and not self._is_ready:
            self._in_transaction(self._make_table, may_be_race)
        result = self._in_transaction(lambda connection: step(connection, *arguments), is_passing)
        self._is_ready = True
        return result

    def _look_at_file(self) -> None:
        if self._file is None:
            return
        if self._owns_engine and make_file(self._file):
            self._is_ready = False
        check_file(self._file)

    def _make_table(self, connection: Connection) -> None:
        self._table.create(connection, checkfirst=True)
        for index in self._table.indexes:
            index.create(connection, checkfirst=True)

    def _in_transaction(
        self,
        step: Callable[[Connection], _T],
        may_pass: Callable[[BaseException, int], bool],
    ) -> _T:
        tries = 0
        while True:
            try:
                with self._engine.begin() as connection:
                    return step(connection)
            except BACKEND_ERRORS as error:
                tries += 1
                if not may_pass(error, tries):
                    raise StoreError(what_to_do(error, self._table.name)) from tidy(error)
            self._sleep(random.uniform(0, 0.005 * tries))  # noqa: S311 - no secret
