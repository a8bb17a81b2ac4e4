"""The places where several processes can keep tokens."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from attrs import field, frozen

from pipedrive_oauth_client.stores import (
    FileTokenStore,
    LeasedStore,
    RedisTokenStore,
    SQLTokenStore,
)
from pipedrive_oauth_client.web.django import DjangoTokenStore
from tests.support.backends import (
    mariadb_url,
    postgres_url,
    redis_url,
    throwaway_prefix,
    throwaway_table,
)
from tests.web.django_databases import database, declare, migrated

KINDS: Final = ("file", "sqlite", "postgres", "mariadb", "redis", "django")

# For tests in which no process dies: a renewal on a busy machine stays well within it.
LONG: Final = timedelta(seconds=30)
# For tests in which one does: short enough to wait for in hundreds of rounds.
BRIEF: Final = timedelta(seconds=0.4)
_MARGIN: Final = timedelta(seconds=5)
_IMPATIENCE: Final = timedelta(milliseconds=1)


@frozen
class Place:
    """Where tokens are kept; every process opens its own handle on it.

    Attributes:
        kind: One of `KINDS`.
        where: A folder, or a URL; hidden in `repr`.
        name: The table or the prefix, where the place is shared.
        lease: How long a lock is lent for.
    """

    kind: str
    where: str = field(repr=False)
    name: str = ""
    lease: timedelta = LONG

    @contextmanager
    def opened(self, *, impatient: bool = False) -> Generator[LeasedStore]:
        """Open a handle, and close it."""
        wait = _IMPATIENCE if impatient else self.lease + _MARGIN
        settings: Any = {"lease": self.lease, "wait": wait}
        if self.kind == "file":
            yield FileTokenStore(Path(self.where), **settings)
        elif self.kind == "django":
            # In PostgreSQL, as Django's own settings have it.
            declare(self.name, json.loads(self.where))
            django = DjangoTokenStore(self.name, **settings)
            yield django
            django.close()
        elif self.kind == "redis":
            with RedisTokenStore(self.where, prefix=self.name, **settings) as redis:
                yield redis
        else:
            # A process stopped within SQLite's own step is not waited for in vain for long.
            more = "?timeout=2" if self.kind == "sqlite" and self.lease == BRIEF else ""
            with SQLTokenStore(self.where + more, table=self.name, **settings) as database:
                yield database


@contextmanager
def made(kind: str, folder: Path) -> Generator[Place]:
    """Make an empty place, and remove it; skip the test where its server does not answer."""
    if kind == "file":
        yield Place(kind, str(folder / "tokens"))
    elif kind == "sqlite":
        yield Place(kind, f"sqlite:///{folder / 'tokens.db'}", "tokens")
    elif kind == "django":
        with (
            database("postgresql", folder, CONN_MAX_AGE=60) as settings,
            migrated(settings) as alias,
        ):
            yield Place(kind, json.dumps(settings), alias)
    elif kind == "redis":
        url = redis_url()
        with throwaway_prefix(url) as prefix:
            yield Place(kind, url, prefix)
    else:
        url = postgres_url() if kind == "postgres" else mariadb_url()
        with throwaway_table(url) as table:
            yield Place(kind, url, table)
