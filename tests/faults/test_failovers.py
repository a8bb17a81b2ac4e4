"""A database that fails over to another server in the middle of a refresh."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta

import httpx
import pytest
from django.db import connections
from sqlalchemy import make_url

from pipedrive_oauth_client import NO_STATE, AppCredentials, PipedriveAuth, PipedriveOAuth, sandbox
from pipedrive_oauth_client.stores import LeasedStore, RedisTokenStore, SQLTokenStore
from pipedrive_oauth_client.web.django import DjangoTokenStore
from pipedrive_oauth_client.web.django.models import PipedriveAccount
from tests.faults.scene import ACCOUNT, rounds
from tests.support.failovers import KINDS, pair_of
from tests.support.tls import UNTRUSTING
from tests.web.django_databases import declare

UNKEPT = httpx.Limits(max_keepalive_connections=0)
WAIT = timedelta(seconds=1)  # shorter than the lease: a lock that is left behind is an error


@contextmanager
def _django(url: str) -> Generator[LeasedStore]:
    parts = make_url(url)
    settings = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.database,
        "USER": parts.username,
        "HOST": parts.host,
        "PORT": str(parts.port),
        "CONN_MAX_AGE": 60,
    }
    alias = f"failover_{parts.port}"
    declare(alias, settings)
    if not connections[alias].introspection.table_names():
        # Not by the migrations: the tables of users refer to each other, and this one to none.
        with connections[alias].schema_editor() as editor:
            editor.create_model(PipedriveAccount)
    connections[alias].close()
    store = DjangoTokenStore(alias, wait=WAIT)
    yield store
    store.close()


def opened(url: str, kind: str) -> AbstractContextManager[LeasedStore]:
    """Open a store at an address."""
    if kind == "django":
        return _django(url)
    if url.startswith("redis"):
        return RedisTokenStore(url, wait=WAIT)
    return SQLTokenStore(url, wait=WAIT)


@pytest.mark.parametrize("kind", [*KINDS, "django"])
def test_failover_in_the_middle_of_a_refresh(kind: str) -> None:
    """A failover before or after the response costs no token, and leaves no lock."""
    with (
        pair_of("postgresql" if kind == "django" else kind) as pair,
        sandbox.run() as server,
        # A kept connection may be closed by the server just then, if a failover takes seconds.
        httpx.Client(verify=UNTRUSTING, trust_env=False, limits=UNKEPT) as client,
        opened(pair.url, kind) as store,
    ):
        app = server.app
        credentials = AppCredentials(app.client_id, app.client_secret, app.redirect_uri)
        oauth = PipedriveOAuth(credentials, base_url=server.base_url, client=client, retry=None)
        store.save(ACCOUNT, oauth.exchange(oauth.read_callback(server.install(), NO_STATE)))
        server.requests.clear()
        count = rounds(20, 2)
        for number in range(count):
            stored = store.load(ACCOUNT)
            moment = "response" if number % 2 == 0 else "request"
            client.event_hooks = {moment: [lambda _: pair.fail_over()]}
            refreshed = PipedriveAuth(oauth, store, ACCOUNT).token(rejected=stored)
            client.event_hooks = {}
            assert refreshed != stored
            with opened(pair.url, kind) as another, another.lock(ACCOUNT):
                assert another.load(ACCOUNT) == refreshed
        assert server.requests.count(grant_type="refresh_token", outcome="ok") == count
