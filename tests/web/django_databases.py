"""Databases of each kind for Django in this process, each under an alias of its own."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any

import pymysql
from django.core.management import call_command
from django.db import connections
from sqlalchemy import make_url, text

from tests.support.backends import admin_engine, mariadb_url, postgres_url
from tests.web.sites import KINDS as _KINDS  # the module sets Django up

assert "django" in _KINDS
pymysql.install_as_MySQLdb()

__all__ = ["database", "declare", "migrated"]


def declare(alias: str, settings: dict[str, Any]) -> None:
    """Put a database into `DATABASES`."""
    # Django fills the gaps in; it requires that there is a default.
    filled = connections.configure_settings({"default": {}, alias: settings})
    connections.settings[alias] = filled[alias]


@contextmanager
def database(
    kind: str, folder: Path, *, is_whole: bool = False, **settings: Any
) -> Generator[dict[str, Any]]:
    """Make an empty database, and give what `DATABASES` says of it; skip without a server.

    Args:
        kind: `sqlite`, `postgresql` or `mariadb`.
        folder: Where the file of an SQLite database is to be.
        is_whole: Whether PostgreSQL makes a database, in place of a schema, which is faster.
        settings: More of `DATABASES`, for example `CONN_MAX_AGE`.
    """
    if kind == "sqlite":
        path = folder / f"{token_hex(6)}.sqlite3"
        path.touch(0o600)
        yield {"ENGINE": "django.db.backends.sqlite3", "NAME": str(path), **settings}
        return
    url = postgres_url() if kind == "postgresql" else mariadb_url()
    name = f"django_{token_hex(6)}"
    parts = make_url(url)
    is_schema = kind == "postgresql" and not is_whole
    made = "SCHEMA" if is_schema else "DATABASE"
    options: dict[str, Any] = {"options": f"-csearch_path={name}"} if is_schema else {}
    engine = admin_engine(url).execution_options(isolation_level="AUTOCOMMIT")
    try:
        with engine.begin() as admin:
            admin.execute(text(f"CREATE {made} {name}"))
        yield {
            "ENGINE": f"django.db.backends.{'postgresql' if kind == 'postgresql' else 'mysql'}",
            "NAME": parts.database if is_schema else name,
            "USER": parts.username or "",
            "PASSWORD": parts.password or "",
            "HOST": parts.host or "127.0.0.1",
            "PORT": str(parts.port or ""),
            "OPTIONS": options,
            **settings,
        }
        with engine.begin() as admin:
            cascade = " CASCADE" if is_schema else ""
            admin.execute(text(f"DROP {made} {name}{cascade}"))
    finally:
        engine.dispose()


@contextmanager
def migrated(settings: dict[str, Any], *, alias: str = "", **options: Any) -> Generator[str]:
    """Give the alias of a database that has all tables: a new one, or `default`."""
    alias = alias or f"tokens_{token_hex(6)}"
    before = connections.settings.get(alias)
    declare(alias, settings)
    if before is not None:
        del connections[alias]
    try:
        call_command("migrate", database=alias, verbosity=0, **options)
        yield alias
    finally:
        connections[alias].close()
        del connections[alias]
        del connections.settings[alias]
        if before is not None:
            connections.settings[alias] = before
