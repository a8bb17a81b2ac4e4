"""The table that tokens are kept in, and the clock of the database."""

from __future__ import annotations

import re
from typing import Any, Final

from sqlalchemy import BigInteger, Column, Index, MetaData, String, Table, Text
from sqlalchemy.dialects import mysql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.generated.encode import argument
from pipedrive_oauth_client.stores.accounts import MOST_CHARACTERS

__all__ = ["DEFAULT_TABLE", "DatabaseNow", "token_table"]

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
