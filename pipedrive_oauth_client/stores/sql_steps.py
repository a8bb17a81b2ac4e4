"""What is done in the table, each in one short transaction, or statement by statement: `Steps`.

A step begins with its write, so that no transaction has to turn a read lock into a write lock,
which two of them can't do at once. It ends by reading the row that it has locked: what is there
tells what has been done, in every database and under every isolation level, and also to a step that
is done again since nobody knows whether it was done.
"""

from __future__ import annotations

from typing import Any, Final

from attrs import frozen
from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
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

from pipedrive_oauth_client.stores.base import AnyVersion, Kept
from pipedrive_oauth_client.stores.leases import Taken
from pipedrive_oauth_client.stores.sql_hidden import HiddenBinary, HiddenText
from pipedrive_oauth_client.stores.sql_table import DatabaseNow

__all__ = ["Steps"]

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
