"""The settings that the example web apps share; a real app has its own.

The address of the service, the token store, the app's database, the key of the sessions, and the
port to listen on.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sqlite3
import tempfile
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from attrs import evolve, field, frozen

from pipedrive_oauth_client import AppCredentials, sandbox
from pipedrive_oauth_client.stores import (
    MemoryTokenStore,
    RedisTokenStore,
    SQLTokenStore,
    TokenStore,
)

REAL_SERVICE: Final = "https://oauth.pipedrive.com"
# The users of the app, who have logged in before they connect. They are not users of Pipedrive.
USERS: Final = ("ada", "grace")


@frozen
class UserAccounts:
    """Which Pipedrive account each user of the app has connected: a table of its database."""

    path: Path

    def get(self, user: str) -> str | None:
        """Return the account of a user, or None."""
        found = self._execute("SELECT account FROM user_accounts WHERE user = ?", user)
        return str(found[0][0]) if found else None

    def put(self, user: str, account: str) -> None:
        """Make an account that of a user."""
        self._execute("INSERT OR REPLACE INTO user_accounts VALUES (?, ?)", user, account)

    def remove(self, user: str) -> None:
        """Forget the account of a user."""
        self._execute("DELETE FROM user_accounts WHERE user = ?", user)

    def _execute(self, statement: str, *values: str) -> list[tuple[object, ...]]:
        columns = "(user TEXT PRIMARY KEY, account TEXT NOT NULL)"
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute(f"CREATE TABLE IF NOT EXISTS user_accounts {columns}")
            return connection.execute(statement, values).fetchall()


@frozen
class Setting:
    """The settings of an app.

    Attributes:
        credentials: The credentials of the app at the service.
        base_url: The address of the service.
        store: Stores the tokens.
        database: The file of the app's SQLite database, which all workers of the app share.
        secret_key: Signs the app's cookies.
        port: The port to listen on.
    """

    credentials: AppCredentials
    base_url: str
    store: TokenStore
    database: Path
    secret_key: str = field(repr=False)
    port: int

    @property
    def is_https(self) -> bool:
        """Whether browsers reach the app over HTTPS, possibly through a proxy in front of it."""
        return self.credentials.redirect_uri.startswith("https:")


@contextmanager
def setting(
    name: str, arguments: Sequence[str] | None = None, *, takes_store: bool = True
) -> Generator[Setting]:
    """Read the command line, start a sandbox if requested, and yield the app's settings."""
    parser = argparse.ArgumentParser(description=f"Connect Pipedrive accounts, with {name}.")
    parser.add_argument("--sandbox", action="store_true", help="use a sandbox; needs no account")
    parser.add_argument("--port", type=int, default=8123, help="the app's port with a sandbox")
    parser.set_defaults(store="")
    if takes_store:
        parser.add_argument("--store", help="a database or redis:// URL, else in memory")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        yield from _read(name, options, Path(os.environ.get("APP_DATABASE", f"{folder}/app.db")))


def _read(name: str, options: argparse.Namespace, database: Path) -> Generator[Setting]:
    database.touch(mode=0o600)
    # All workers of an app need the same key.
    secret_key = os.environ.get("APP_SECRET_KEY") or secrets.token_urlsafe(32)
    store = store_at(options.store) if options.store else MemoryTokenStore()
    if not options.sandbox:
        credentials = AppCredentials.from_env()
        base_url = os.environ.get("PIPEDRIVE_BASE_URL", REAL_SERVICE)
        port = urlsplit(credentials.redirect_uri).port or options.port
        port = int(os.environ.get("PORT", port))
        yield Setting(credentials, base_url, store, database, secret_key, port)
        return
    uri = f"http://127.0.0.1:{options.port}/pipedrive/callback"
    app = evolve(sandbox.DEFAULT_APP, name=f"An app with {name}", redirect_uri=uri)
    with sandbox.run(sandbox.create_app(apps=[app])) as server:
        print(f"Open http://127.0.0.1:{options.port}/ in a browser. Press Ctrl-C to stop.")
        print(f"The sandbox at {server.base_url}/ shows the requests.", flush=True)
        credentials = AppCredentials(app.client_id, app.client_secret, uri)
        yield Setting(credentials, server.base_url, store, database, secret_key, options.port)


def store_at(url: str) -> TokenStore:
    """Return the store in a database or in Redis."""
    return RedisTokenStore(url) if url.startswith("redis") else SQLTokenStore(url)
