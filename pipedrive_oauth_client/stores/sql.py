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
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, Final, Self, TypeVar

from attrs import frozen
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Engine,
    Index,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    case,
    cast,
    delete,
    func,
    null,
    or_,
    select,
    type_coerce,
    update,
)
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator

from pipedrive_oauth_client.errors import ConfigurationError, StoreError
from pipedrive_oauth_client.generated.encode import argument
from pipedrive_oauth_client.stores._private_files import check_file, file_of, make_file
from pipedrive_oauth_client.stores._sql_engine import (
    BACKEND_ERRORS,
    checked_engine,
    engine_of,
    is_passing,
    may_be_race,
    shown,
    tidy,
    what_to_do,
)
from pipedrive_oauth_client.stores.leased import (
    DEFAULT_LEASE,
    AnyVersion,
    Kept,
    LeasedStore,
    Taken,
    microseconds,
    microseconds_of,
)
from pipedrive_oauth_client.stores.protocol import MOST_CHARACTERS

__all__ = [
    "DEFAULT_TABLE",
    "DatabaseNow",
    "HiddenBinary",
    "HiddenText",
    "SQLTokenStore",
    "Steps",
    "token_table",
]


class _Characters(str):
    __slots__ = ()

    def __repr__(self) -> str:
        return "<hidden>"


class _Bytes(bytes):
    __slots__ = ()

    def __repr__(self) -> str:
        return "<hidden>"


class HiddenText(TypeDecorator[str]):
    """A text whose `repr` does not show it."""

    impl = Text
    cache_ok = True

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - what the base class says
        """Hide a text that comes from the database."""
        return None if value is None else _Characters(value)


class HiddenBinary(TypeDecorator[bytes]):
    """Bytes whose `repr` does not show them."""

    impl = LargeBinary
    cache_ok = True

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> bytes | None:  # noqa: ARG002 - what the base class says
        """Hide bytes that come from the database."""
        return None if value is None else _Bytes(value)


DEFAULT_TABLE: Final = "pipedrive_tokens"
"""The name of the table, unless another one is asked for."""

# Room for the names of the key and the index, which are longer, in every database.
_TABLE_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}", re.ASCII)


class DatabaseNow(FunctionElement[int]):
    """The time by the clock of the database, in microseconds since 1970.

    The clocks of an app's machines differ, the database's is the same for all of them.
    """

    type = BigInteger()
    inherit_cache = True


@compiles(DatabaseNow, "postgresql")
def _on_postgresql(_element: DatabaseNow, _compiler: Any, **_: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"


@compiles(DatabaseNow, "mysql", "mariadb")
def _on_mysql(_element: DatabaseNow, _compiler: Any, **_: Any) -> str:
    # Not UNIX_TIMESTAMP(NOW(6)): that goes through local time, which an hour in autumn has twice.
    return "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))"


@compiles(DatabaseNow, "sqlite")
def _on_sqlite(_element: DatabaseNow, _compiler: Any, **_: Any) -> str:
    # 2440587.5 is the Julian day of 1970-01-01.
    return "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"


def token_table(metadata: MetaData, name: str = DEFAULT_TABLE) -> Table:
    """Describe the table, for example in the metadata that your migrations are made from.

    Args:
        metadata: Where the table is to be added. Its schema is the table's, and its naming
            convention names the key.
        name: The name of the table.

    Returns:
        The table, which is not made in any database by this.

    Raises:
        ConfigurationError: The name is no plain identifier of at most 40 characters.
    """
    argument("metadata", metadata, MetaData)
    if not _TABLE_NAME.fullmatch(argument("table", name, str)):
        raise ConfigurationError(
            "table must be a letter or `_`, followed by at most 39 letters, digits and `_`."
        )
    return Table(
        name,
        metadata,
        Column("account", _name_type(), primary_key=True),
        Column("token", Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")),
        Column("version", String(32)),
        Column("expires_at", BigInteger),
        Column("lock_owner", String(32)),
        Column("lock_until", BigInteger),
        Index(f"ix_{name}_expires_at", "expires_at", "account"),
        # Transactions, and no table of the server's default kind that has none.
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mariadb_engine="InnoDB",
        mariadb_charset="utf8mb4",
        mariadb_collate="utf8mb4_bin",
    )


def _name_type() -> String:
    # Compared byte by byte. By the rules of a language, two names may be the same, and an index
    # breaks when an update of the operating system changes the rules.
    binary = mysql.VARCHAR(MOST_CHARACTERS, charset="utf8mb4", collation="utf8mb4_bin")
    return (
        String(MOST_CHARACTERS)
        .with_variant(String(MOST_CHARACTERS, collation="C"), "postgresql")
        .with_variant(binary, "mysql", "mariadb")
    )


_PAGE: Final = 500


@frozen
class Steps:
    """The steps of the store, on a connection whose transaction has begun.

    Attributes:
        table: The table.
    """

    table: Table

    def read(self, connection: Connection, account: str) -> Kept | None:
        """Give what is stored for an account."""
        at = self.table.c
        # SQLite takes any bytes for a text, and its driver would fail on what is no UTF-8.
        text: ColumnElement[Any] = (
            cast(at.token, HiddenBinary)
            if connection.dialect.name == "sqlite"
            else type_coerce(at.token, HiddenText)
        )
        row = connection.execute(
            select(text, self._version()).where(at.account == account, at.token.is_not(None))
        ).first()
        return None if row is None else Kept(row[0], row[1] or "")

    def write(
        self,
        connection: Connection,
        account: str,
        kept: Kept,
        expires_at: int,
        expected: AnyVersion | str | None,
    ) -> bool:
        """Store a token if the stored version is the expected one or this token's own."""
        at = self.table.c
        text = kept.text if isinstance(kept.text, str) else kept.text.decode()
        values = {"version": kept.version, "token": text, "expires_at": expires_at}
        if isinstance(expected, str):
            connection.execute(
                update(self.table)
                .where(at.account == account, self._version() == expected)
                .values(values)
            )
        else:
            nothing_or_this = or_(at.token.is_(None), at.version == kept.version)
            self._upsert(connection, account, values, nothing_or_this if expected is None else None)
        stored = connection.execute(select(at.version).where(at.account == account)).scalar()
        return stored == kept.version

    def remove(self, connection: Connection, account: str) -> None:
        """Remove a token; its lock stays with whoever has it."""
        at = self.table.c
        connection.execute(
            update(self.table)
            .where(at.account == account)
            .values(token=null(), version=null(), expires_at=null())
        )
        self._clear(connection, account)

    def take(
        self, connection: Connection, account: str, owner: str, stale: str | None, lease: int
    ) -> Taken:
        """Take a lock if it is free, over, the owner's own, or the stale one's."""
        at = self.table.c
        free = or_(
            at.lock_owner.is_(None),
            at.lock_owner.in_((owner, owner if stale is None else stale)),
            at.lock_until <= DatabaseNow(),
        )
        values = {"lock_owner": owner, "lock_until": DatabaseNow() + lease}
        self._upsert(connection, account, values, free)
        row = connection.execute(
            select(at.lock_owner, self._version()).where(at.account == account)
        ).first()
        # Between two statements of an autocommitting connection the row may have gone.
        holder, version = (None, None) if row is None else row
        return Taken(version=version) if holder == owner else Taken(holder=holder or "nobody")

    def release(self, connection: Connection, account: str, owner: str) -> None:
        """Let go of a lock if the owner has it."""
        at = self.table.c
        connection.execute(
            update(self.table)
            .where(at.account == account, at.lock_owner == owner)
            .values(lock_owner=null(), lock_until=null())
        )
        self._clear(connection, account)

    def accounts(self, connection: Connection, after: str | None) -> list[str]:
        """Give the next accounts that have a token, in the order of their names."""
        at = self.table.c
        page = select(at.account).where(at.token.is_not(None)).order_by(at.account).limit(_PAGE)
        if after is not None:
            page = page.where(at.account > after)
        return list(connection.execute(page).scalars())

    def due(
        self, connection: Connection, before: int, after: tuple[int, str] | None
    ) -> list[tuple[int, str]]:
        """Give the next accounts whose token expires before a time, the earliest first."""
        at = self.table.c
        page = (
            select(at.expires_at, at.account)
            .where(at.token.is_not(None), at.expires_at < before)
            .order_by(at.expires_at, at.account)
            .limit(_PAGE)
        )
        pages = [page]
        if after is not None:
            # Two questions, since not every database finds its way in an index by one with `or`.
            expiry, account = after
            same_time = page.where(at.expires_at == expiry, at.account > account)
            pages = [same_time, page.where(at.expires_at > expiry)]
        for each in pages:
            if rows := [(expiry, account) for expiry, account in connection.execute(each)]:
                return rows
        return []

    def _version(self) -> ColumnElement[str | None]:
        # What somebody has put in by hand may lack a version, and is a token all the same.
        at = self.table.c
        return case((at.token.is_not(None), func.coalesce(at.version, "")), else_=null())

    def _clear(self, connection: Connection, account: str) -> None:
        at = self.table.c
        no_lock = or_(at.lock_owner.is_(None), at.lock_until <= DatabaseNow())
        connection.execute(
            delete(self.table).where(at.account == account, at.token.is_(None), no_lock)
        )

    def _upsert(
        self,
        connection: Connection,
        account: str,
        values: dict[str, Any],
        free: ColumnElement[bool] | None,
    ) -> None:
        # Insert the row; where there is one, change it if it is `free`.
        row = {"account": account, **values}
        kind = connection.dialect.name
        if kind in {"mysql", "mariadb"}:
            changes: list[tuple[str, Any]] = []
            condition = free
            for name, value in values.items():
                old = self.table.c[name]
                changes.append(
                    (name, value if condition is None else func.if_(condition, value, old))
                )
                # MySQL changes one column after the other, and the first tells whether it did.
                if condition is free and free is not None:
                    condition = old == value
            connection.execute(
                mysql.insert(self.table).values(row).on_duplicate_key_update(changes)
            )
            return
        insert = postgresql.insert if kind == "postgresql" else sqlite.insert
        connection.execute(
            insert(self.table)
            .values(row)
            .on_conflict_do_update(index_elements=["account"], set_=values, where=free)
        )


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
