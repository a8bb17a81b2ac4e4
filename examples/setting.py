"""The settings that the example web apps share; a real app has its own.

The address of the service, the token store, the key of the sessions, and the port to listen on.
"""

from __future__ import annotations

import argparse
import os
import secrets
from collections.abc import Generator, Sequence
from contextlib import contextmanager
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


@frozen
class Setting:
    """The settings of an app.

    Attributes:
        credentials: The credentials of the app at the service.
        base_url: The address of the service.
        store: Stores the tokens.
        secret_key: Signs the app's cookies.
        port: The port to listen on.
    """

    credentials: AppCredentials
    base_url: str
    store: TokenStore
    secret_key: str = field(repr=False)
    port: int

    @property
    def is_https(self) -> bool:
        """Whether browsers reach the app over HTTPS, possibly through a proxy in front of it."""
        return self.credentials.redirect_uri.startswith("https:")


@contextmanager
def setting(name: str, arguments: Sequence[str] | None = None) -> Generator[Setting]:
    """Read the command line, start a sandbox if requested, and yield the app's settings."""
    parser = argparse.ArgumentParser(description=f"Connect Pipedrive accounts, with {name}.")
    parser.add_argument("--sandbox", action="store_true", help="use a sandbox; needs no account")
    parser.add_argument("--port", type=int, default=8123, help="the app's port with a sandbox")
    parser.add_argument("--store", default="", help="a database or redis:// URL, else in memory")
    options = parser.parse_args(arguments)
    # All workers of an app need the same key.
    secret_key = os.environ.get("APP_SECRET_KEY") or secrets.token_urlsafe(32)
    store = _store(options.store)
    if not options.sandbox:
        credentials = AppCredentials.from_env()
        base_url = os.environ.get("PIPEDRIVE_BASE_URL", REAL_SERVICE)
        port = urlsplit(credentials.redirect_uri).port or options.port
        yield Setting(credentials, base_url, store, secret_key, int(os.environ.get("PORT", port)))
        return
    uri = f"http://127.0.0.1:{options.port}/pipedrive/callback"
    app = evolve(sandbox.DEFAULT_APP, name=f"An app with {name}", redirect_uri=uri)
    with sandbox.run(sandbox.create_app(apps=[app])) as server:
        print(f"Open http://127.0.0.1:{options.port}/ in a browser. Press Ctrl-C to stop.")
        print(f"The sandbox at {server.base_url}/ shows the requests.", flush=True)
        credentials = AppCredentials(app.client_id, app.client_secret, uri)
        yield Setting(credentials, server.base_url, store, secret_key, options.port)


def _store(url: str) -> TokenStore:
    if not url:
        return MemoryTokenStore()
    return RedisTokenStore(url) if url.startswith("redis") else SQLTokenStore(url)
