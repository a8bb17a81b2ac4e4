"""An app that is installed in the sandbox, and sessions of requests with its token."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import requests

from pipedrive_oauth_client import PipedriveAuth, PipedriveOAuth
from pipedrive_oauth_client.adapters.requests import PipedriveRequestsAuth
from pipedrive_oauth_client.pytest_plugin import PipedriveSandbox
from pipedrive_oauth_client.stores import MemoryTokenStore


@contextmanager
def installed(sandbox: PipedriveSandbox) -> Generator[PipedriveAuth]:
    """Install the app in the sandbox, with its token in memory."""
    store = MemoryTokenStore()
    with PipedriveOAuth(
        sandbox.credentials, base_url=sandbox.base_url, retry=None, clock=sandbox.clock
    ) as oauth:
        code = oauth.read_callback(sandbox.authorize(state="s"), "s")
        store.save("acme", oauth.exchange(code))
        yield PipedriveAuth(oauth, store, "acme")


@contextmanager
def session(auth: PipedriveAuth | None = None) -> Generator[requests.Session]:
    """Open a session that knows nothing of the machine's proxies and passwords."""
    with requests.Session() as opened:
        opened.trust_env = False
        opened.auth = None if auth is None else PipedriveRequestsAuth(auth)
        yield opened
