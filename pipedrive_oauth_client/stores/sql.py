"""Tokens in a database: `SQLTokenStore`. It needs the extra `sql` and a driver of the database.

One table has a row for each account. `token_table` describes it to your migrations:

    account     up to 200 characters, compared byte by byte; the primary key
    token       the token as JSON, or NULL where the row exists only for a lock
    version     a random word for each save
    expires_at  when the access token expires, in microseconds since 1970-01-01 00:00 UTC; indexed
    lock_owner  the random word of the holder of the account's lock, or NULL
    lock_until  when the lock expires, in microseconds by the clock of the database
"""

from __future__ import annotations

import random
import re
import weakref
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Self, TypeVar

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Engine,
    Executable,
    Index,
    LargeBinary,
    MetaData,
    Select,
    String,
    Table,
    Text,
    bindparam,
    case,
    cast,
    collate,
    delete,
    func,
    literal,
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
from pipedrive_oauth_client.stores._private_files import prepare_database
from pipedrive_oauth_client.stores._sql_engine import (
    BACKEND_ERRORS,
    MAX_FAILURES,
    advice_for,
    begin_volatile,
    checked_engine,
    display_url,
    make_engine,
    reason_to_repeat,
    redact,
    sqlite_path,
)
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
from pipedrive_oauth_client.stores.protocol import (
    MAX_ACCOUNT_LENGTH,
    AccountOverview,
)

__all__ = ["DEFAULT_TABLE", "SQLTokenStore", "token_table"]

DEFAULT_TABLE: Final = "pipedrive_tokens"
"""The name of the table, unless the store is given another one."""

# Every database has room for the names of the key and the index, which are longer.
_TABLE_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}", re.ASCII)
_NAMING_CONVENTION: Final = {"pk": "pk_%(table_name)s"}
_PAGE_SIZE: Final = 500
_BINARY_COLLATIONS: Final = {
    "sqlite": "BINARY",
    "postgresql": "C",
    "mysql": "utf8mb4_bin",
    "mariadb": "utf8mb4_bin",
}
_T = TypeVar("_T")


class SQLTokenStore(TableStore):
    """Stores tokens in SQLite, PostgreSQL, MariaDB or MySQL, through SQLAlchemy.

    PostgreSQL, MariaDB and MySQL serve any number of machines, SQLite the programs of one. Each
    step is a statement or two, and nothing is held open while a token is refreshed. A step that
    collided with another transaction is repeated. So is, once, a step whose connection was lost, or
    that a read-only server rejects, on a new connection: after a failover, the address may lead to
    another server. Locks expire by the clock of the database.

    An SQLite file is created for this user only, also with your own engine. On POSIX systems it is
    rejected before each step if another user owns it or can read it, or may write to its folder.
    After a fork, the child opens its own connections.

    Args:
        url_or_engine: The address of the database as SQLAlchemy writes it, for example
            `postgresql+psycopg://user:password@host/name` or `sqlite:////folder/tokens.db`; or your
            own engine, which is used as it is and never closed.
        table: The name of the table.
        create_table: Whether to create the table at first use if it is missing. With False it
            comes from your migrations; see `token_table`.
        lease: How long a lock is held before it expires.
        wait: How long `lock` waits for another holder; by default 15 seconds more than the lease.

    Attributes:
        metadata: The `MetaData` with the table, to derive migrations from.

    Raises:
        ConfigurationError: The store can't use the address or the engine, a driver is missing, the
            name of the table is not a plain identifier, or a duration is not a timedelta, not above
            zero, or longer than a day.
    """

    _instead = "Pass the URL, or what makes your engine, and make a new store there."

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
        self.metadata = MetaData(naming_convention=_NAMING_CONVENTION)
        self._table = token_table(self.metadata, table)
        self._steps = _Steps(self._table)
        self._creates_table: bool = argument("create_table", create_table, bool)
        self._is_ready = False
        given: Any = url_or_engine
        if not isinstance(given, str | URL | Engine):
            raise ConfigurationError(
                f"url_or_engine must be a URL or an sqlalchemy.Engine, not {type(given).__name__}."
                " An AsyncEngine can't be used: the store is synchronous."
            )
        self._owns_engine = not isinstance(given, Engine)
        self._engine = checked_engine(given) if isinstance(given, Engine) else make_engine(given)
        is_sqlite = self._engine.dialect.name == "sqlite"
        self._file = sqlite_path(self._engine.url) if is_sqlite else None
        self._file_identity: tuple[int, int] | None = None
        if self._owns_engine:
            weakref.finalize(self, self._engine.dispose)

    def __repr__(self) -> str:
        place = display_url(self._engine.url)
        return f"{type(self).__name__}({place!r}, table={self._table.name!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections, unless they are those of an engine that was passed in.

        The store can be used afterwards, and connects again.
        """
        if self._owns_engine:
            self._engine.dispose()

    def _page_of_accounts(self, prefix: str, after: str | None) -> list[str]:
        return self._run(self._steps.accounts, prefix, after)

    def _page_of_overview(self, after: str | None) -> list[AccountOverview]:
        return self._run(self._steps.overview, after)

    def _page_of_due(self, before: int, after: tuple[int, str] | None) -> Sequence[tuple[int, str]]:
        return self._run(self._steps.due, before, after)

    def _read(self, account: str) -> StoredToken | None:
        return self._run(self._steps.read, account)

    def _write(
        self, account: str, new: StoredToken, expires_at: datetime, expected: ExpectedVersion
    ) -> bool:
        expiry = microseconds("expires_at", expires_at)
        return self._run(self._steps.write, account, new, expiry, expected)

    def _remove(self, account: str) -> None:
        self._run(self._steps.remove, account)

    def _take(self, account: str, owner: str, stale: str | None) -> LockAttempt:
        lease = self._lease // timedelta(microseconds=1)
        return self._run(self._steps.take, account, owner, stale, lease, is_durable=False)

    def _write_last(
        self,
        account: str,
        new: StoredToken,
        expires_at: datetime,
        expected: ExpectedVersion,
        owner: str,
    ) -> tuple[bool, bool]:
        if not isinstance(expected, str):
            return super()._write_last(account, new, expires_at, expected, owner)
        expiry = microseconds("expires_at", expires_at)
        is_saved = self._run(self._steps.replace, account, new, expiry, expected, owner)
        return is_saved, is_saved

    def _release(self, account: str, owner: str) -> None:
        self._run(self._steps.release, account, owner, is_durable=False)

    def _run(self, step: Callable[..., _T], *arguments: Any, is_durable: bool = True) -> _T:
        if self._file is not None:
            # Before anything is written, whether the engine is the store's or the app's.
            identity = prepare_database(self._file)
            if identity != self._file_identity and self._owns_engine:
                self._engine.dispose()  # its open connections lead to the previous file
            if identity != self._file_identity:
                self._file_identity, self._is_ready = identity, False
        if self._creates_table and not self._is_ready:
            self._in_transaction(self._create_table, creates_table=True)
        result = self._in_transaction(
            lambda connection: step(connection, *arguments), is_durable=is_durable
        )
        self._is_ready = True
        return result

    def _create_table(self, connection: Connection) -> None:
        self._table.create(connection, checkfirst=True)
        for index in self._table.indexes:
            index.create(connection, checkfirst=True)

    def _in_transaction(
        self,
        step: Callable[[Connection], _T],
        *,
        creates_table: bool = False,
        is_durable: bool = True,
    ) -> _T:
        failures: Counter[str] = Counter()
        while True:
            is_connected = False
            try:
                with self._engine.connect() as connection:
                    is_connected = True
                    if is_durable:
                        with connection.begin():
                            return step(connection)
                    with begin_volatile(connection, sets_limits=self._owns_engine):
                        return step(connection)
            except BACKEND_ERRORS as error:
                reason = reason_to_repeat(
                    error, is_connected=is_connected, creates_table=creates_table
                )
                is_known = getattr(error, "connection_invalidated", False)
                if reason == "read-only" or (reason == "connection lost" and not is_known):
                    # The idle connections lead to the previous primary, or are lost as well, which
                    # SQLAlchemy does not know; those in use stay open.
                    self._engine.dispose()
                failures[reason or ""] += 1
                if reason is None or failures[reason] >= MAX_FAILURES[reason]:
                    place = display_url(self._engine.url)
                    advice = advice_for(error, table=self._table.name, place=place)
                    raise StoreError(advice) from redact(error)
            self._sleep(random.uniform(0, 0.005 * failures.total()))  # noqa: S311 - no secret


def token_table(metadata: MetaData, name: str = DEFAULT_TABLE) -> Table:
    """Describe the table, for example in the metadata that your migrations are derived from.

    Args:
        metadata: Where the table is added. Its schema is the table's, and its naming convention
            names the key.
        name: The name of the table.

    Returns:
        The table; this creates it in no database.

    Raises:
        ConfigurationError: The name is not a plain identifier of at most 40 characters.
    """
    argument("metadata", metadata, MetaData)
    if not _TABLE_NAME.fullmatch(argument("table", name, str)):
        raise ConfigurationError(
            "table must be a letter or `_`, followed by at most 39 letters, digits and `_`."
        )
    return Table(
        name,
        metadata,
        Column("account", _account_type(), primary_key=True),
        Column("token", Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")),
        Column("version", String(32)),
        Column("expires_at", BigInteger),
        Column("lock_owner", String(32)),
        Column("lock_until", BigInteger),
        Index(f"ix_{name}_expires_at", "expires_at", "account"),
        # Transactions, whatever the server's default engine is.
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mariadb_engine="InnoDB",
        mariadb_charset="utf8mb4",
        mariadb_collate="utf8mb4_bin",
    )


def _account_type() -> String:
    # Compared byte by byte. By the rules of a language, two names may be the same, and an index
    # breaks when an update of the operating system changes the rules.
    binary = mysql.VARCHAR(MAX_ACCOUNT_LENGTH, charset="utf8mb4", collation="utf8mb4_bin")
    return (
        String(MAX_ACCOUNT_LENGTH)
        .with_variant(String(MAX_ACCOUNT_LENGTH, collation="C"), "postgresql")
        .with_variant(binary, "mysql", "mariadb")
    )


class _Steps:
    # The statements of each step, on a connection whose transaction has begun.

    def __init__(self, table: Table) -> None:
        self._table = table
        self._statements: dict[tuple[str, ...], Executable] = {}
        at = table.c
        # A row that was inserted by hand may lack a version, and holds a token all the same.
        self._version: ColumnElement[str | None] = case(
            (at.token.is_not(None), func.coalesce(at.version, "")), else_=null()
        )

    def read(self, connection: Connection, account: str) -> StoredToken | None:
        at = self._table.c

        def build() -> Executable:
            query = select(self._text(connection), self._version)
            return query.where(at.account == bindparam("of"), at.token.is_not(None))

        row = connection.execute(self._made("read", connection, build), {"of": account}).first()
        return None if row is None else StoredToken(row[0], row[1] or "")

    def _made(
        self, name: str, connection: Connection, build: Callable[[], Executable]
    ) -> Executable:
        # Making the statements of a renewal takes longer than sending them.
        key = (name, connection.dialect.name, connection.dialect.driver)
        statement = self._statements.get(key)
        if statement is None:
            statement = self._statements[key] = build()
        return statement

    def _text(self, connection: Connection) -> ColumnElement[Any]:
        # SQLite accepts any bytes as text, and its driver would fail on invalid UTF-8.
        if connection.dialect.name == "sqlite":
            return cast(self._table.c.token, _HiddenBinary)
        return type_coerce(self._table.c.token, _HiddenText)

    def write(
        self,
        connection: Connection,
        account: str,
        new: StoredToken,
        expires_at: int,
        expected: ExpectedVersion,
    ) -> bool:
        """Store a token if the stored version is the expected one or this token's own."""
        at = self._table.c
        if isinstance(expected, str):
            return self.replace(connection, account, new, expires_at, expected)
        nothing_or_this = or_(at.token.is_(None), at.version == new.version)
        condition = None if expected is ANY_VERSION else nothing_or_this
        values = {"version": new.version, "token": _text_of(new), "expires_at": expires_at}
        change = self._upsert(connection, values, condition, at.version)
        (stored,) = self._written(connection, change, {"of": account}, at.version) or (None,)
        return bool(stored == new.version)

    def replace(  # noqa: PLR0917 - as a step is called
        self,
        connection: Connection,
        account: str,
        new: StoredToken,
        expires_at: int,
        expected: str,
        owner: str = "",
    ) -> bool:
        """Do the same for a version, and release the lock if `owner` holds it."""
        at = self._table.c

        def build() -> Executable:
            is_owner = at.lock_owner == bindparam("owner")
            # The last two in this order, since MySQL updates one column after the other.
            return (
                update(self._table)
                .where(
                    at.account == bindparam("of"),
                    or_(
                        self._version == bindparam("expected"),
                        self._version == bindparam("new_version"),
                    ),
                )
                .ordered_values(
                    (at.version, _parameter("new_version")),
                    (at.token, _parameter("text")),
                    (at.expires_at, _parameter("expiry")),
                    (at.lock_until, case((is_owner, null()), else_=at.lock_until)),
                    (at.lock_owner, case((is_owner, null()), else_=at.lock_owner)),
                )
            )

        values = {
            "of": account,
            "owner": owner,
            "expected": expected,
            "new_version": new.version,
            "text": _text_of(new),
            "expiry": expires_at,
        }
        changed = connection.execute(self._made("replace", connection, build), values)
        return changed.rowcount == 1

    def remove(self, connection: Connection, account: str) -> None:
        """Delete a token; a lock stays with its holder."""
        connection.execute(
            update(self._table)
            .where(self._table.c.account == account)
            .values(token=null(), version=null(), expires_at=null())
        )
        self._delete_if_empty(connection, account)

    def take(
        self, connection: Connection, account: str, owner: str, stale: str | None, lease: int
    ) -> LockAttempt:
        at = self._table.c
        read = (at.lock_owner, self._version, self._text(connection))

        def build() -> Executable:
            is_free = or_(
                at.lock_owner.is_(None),
                at.lock_owner == bindparam("owner"),
                at.lock_owner == bindparam("stale"),
                at.lock_until <= _DatabaseNow(),
            )
            until = _DatabaseNow() + bindparam("lease", type_=BigInteger)
            values: dict[str, Any] = {"lock_owner": _parameter("owner"), "lock_until": until}
            return self._upsert(connection, values, is_free, *read)

        given = {"of": account, "owner": owner, "stale": stale or owner, "lease": lease}
        row = self._written(connection, self._made("take", connection, build), given, *read)
        # Between two statements of an autocommitting connection the row may have been deleted.
        holder, version, text = row or (None, "", None)
        if holder == owner:
            return LockAttempt.taken(None if text is None else StoredToken(text, version))
        return LockAttempt(holder=holder or "unknown")

    def release(self, connection: Connection, account: str, owner: str) -> None:
        at = self._table.c
        connection.execute(
            update(self._table)
            .where(at.account == account, at.lock_owner == owner)
            .values(lock_owner=null(), lock_until=null())
        )
        self._delete_if_empty(connection, account)

    def accounts(self, connection: Connection, prefix: str, after: str | None) -> list[str]:
        """Return the next page of accounts with a prefix, in the order of their names."""
        at = self._table.c
        page = select(at.account)
        if prefix:
            # A range of the primary key. Should a table that was made by hand have the rules of a
            # language for its names, this is slow there, and right all the same.
            collation = _BINARY_COLLATIONS[connection.dialect.name]
            page = page.where(
                at.account >= collate(literal(prefix), collation),
                at.account < collate(literal(end_of_prefix(prefix)), collation),
            )
        return list(connection.execute(self._page(page, after)).scalars())

    def overview(self, connection: Connection, after: str | None) -> list[AccountOverview]:
        """Return the next page of what the rows say, in the order of the accounts' names."""
        at = self._table.c
        has_ended = at.token.startswith(GRANT_ENDED_START, autoescape=True)
        columns: tuple[Any, ...] = (at.account, at.expires_at, has_ended, at.token.like("{%}"))
        page = self._page(select(*columns), after)
        rows: Sequence[Any] = connection.execute(page).all()
        return [overview_of_row(*row) for row in rows]

    def _page(self, query: Any, after: str | None) -> Select[Any]:
        at = self._table.c
        if after is not None:
            query = query.where(at.account > after)
        page: Select[Any] = query.where(at.token.is_not(None)).order_by(at.account)
        return page.limit(_PAGE_SIZE)

    def due(
        self, connection: Connection, before: int, after: tuple[int, str] | None
    ) -> list[tuple[int, str]]:
        """Return the next page of expiries and accounts, the earliest first."""
        at = self._table.c
        page = (
            select(at.expires_at, at.account)
            .where(at.token.is_not(None), at.expires_at < before)
            .order_by(at.expires_at, at.account)
            .limit(_PAGE_SIZE)
        )
        pages = [page]
        if after is not None:
            # Two queries, since not every database uses an index for one with `or`.
            expiry, account = after
            same_time = page.where(at.expires_at == expiry, at.account > account)
            pages = [same_time, page.where(at.expires_at > expiry)]
        for each in pages:
            if rows := [(expiry, account) for expiry, account in connection.execute(each)]:
                return rows
        return []

    def _delete_if_empty(self, connection: Connection, account: str) -> None:
        at = self._table.c
        has_no_lock = or_(at.lock_owner.is_(None), at.lock_until <= _DatabaseNow())
        connection.execute(
            delete(self._table).where(at.account == account, at.token.is_(None), has_no_lock)
        )

    def _upsert(
        self,
        connection: Connection,
        values: dict[str, Any],
        condition: ColumnElement[bool] | None,
        *read: ColumnElement[Any],
    ) -> Executable:
        """Insert the row `of` a name; if it exists, update it if the condition holds.

        It returns columns of the row that it has written, if the database can do so.
        """
        row: dict[str, Any] = {"account": _parameter("of"), **values}
        database = connection.dialect.name
        if database in {"mysql", "mariadb"}:
            changes: list[tuple[str, Any]] = []
            is_updated = condition
            for name, value in values.items():
                old = self._table.c[name]
                changes.append(
                    (name, value if is_updated is None else func.if_(is_updated, value, old))
                )
                # MySQL updates one column after the other, and the first shows whether it did.
                if is_updated is condition and condition is not None:
                    is_updated = old == value
            return mysql.insert(self._table).values(row).on_duplicate_key_update(changes)
        insert = postgresql.insert if database == "postgresql" else sqlite.insert
        change = (
            insert(self._table)
            .values(row)
            .on_conflict_do_update(index_elements=["account"], set_=values, where=condition)
        )
        return change.returning(*read) if connection.dialect.insert_returning else change

    def _written(
        self,
        connection: Connection,
        change: Executable,
        values: dict[str, Any],
        *read: ColumnElement[Any],
    ) -> Sequence[Any] | None:
        """Write a row by `_upsert`, and return its columns, whether or not it was written."""
        result = connection.execute(change, values)
        row = result.first() if result.returns_rows else None
        if row is None:
            query = select(*read).where(self._table.c.account == values["of"])
            row = connection.execute(query).first()
        return row


def _parameter(name: str) -> Any:
    # Any: it takes the type of the column that it is compared with or assigned to.
    return bindparam(name)  # pyright: ignore[reportUnknownVariableType] - it has no type yet


def _text_of(stored: StoredToken) -> str:
    return stored.text if isinstance(stored.text, str) else stored.text.decode()


class _DatabaseNow(FunctionElement[int]):
    # The time by the clock of the database, in microseconds since 1970. The clocks of an app's
    # machines differ; the database's is the same for all of them.
    type = BigInteger()
    inherit_cache = True


@compiles(_DatabaseNow, "postgresql")
def _on_postgresql(_element: _DatabaseNow, _compiler: Any, **_: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"


@compiles(_DatabaseNow, "mysql", "mariadb")
def _on_mysql(_element: _DatabaseNow, _compiler: Any, **_: Any) -> str:
    # Not UNIX_TIMESTAMP(NOW(6)): that goes through local time, where an hour in autumn comes twice.
    return "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))"


@compiles(_DatabaseNow, "sqlite")
def _on_sqlite(_element: _DatabaseNow, _compiler: Any, **_: Any) -> str:
    # 2440587.5 is the Julian day of 1970-01-01.
    return "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"


# SQLAlchemy logs the rows that it reads, in the words of their `repr`.


class _HiddenStr(str):
    __slots__ = ()

    def __repr__(self) -> str:
        return "<hidden>"


class _HiddenBytes(bytes):
    __slots__ = ()

    def __repr__(self) -> str:
        return "<hidden>"


class _HiddenText(TypeDecorator[str]):
    impl = Text
    cache_ok = True

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - the signature of the base class
        return None if value is None else _HiddenStr(value)


class _HiddenBinary(TypeDecorator[bytes]):
    impl = LargeBinary
    cache_ok = True

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> bytes | None:  # noqa: ARG002 - the signature of the base class
        return None if value is None else _HiddenBytes(value)
