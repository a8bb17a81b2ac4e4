"""A database that fails over to another server in the middle of a refresh."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import timedelta

import httpx
import pytest

from pipedrive_oauth_client import NO_STATE, AppCredentials, PipedriveAuth, PipedriveOAuth, sandbox
from pipedrive_oauth_client.stores import LeasedStore, RedisTokenStore, SQLTokenStore
from tests.faults.scene import ACCOUNT, rounds
from tests.support.failovers import KINDS, pair_of
from tests.support.tls import UNTRUSTING

WAIT = timedelta(seconds=1)  # shorter than the lease: a lock that is left behind is an error


def opened(url: str) -> AbstractContextManager[LeasedStore]:
    """Open a store at an address."""
    if url.startswith("redis"):
        return RedisTokenStore(url, wait=WAIT)
    return SQLTokenStore(url, wait=WAIT)


@pytest.mark.parametrize("kind", KINDS)
def test_failover_in_the_middle_of_a_refresh(kind: str) -> None:
    """A failover before or after the response costs no token, and leaves no lock."""
    with (
        pair_of(kind) as pair,
        sandbox.run() as server,
        httpx.Client(verify=UNTRUSTING, trust_env=False) as client,
        opened(pair.url) as store,
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
            with opened(pair.url) as another, another.lock(ACCOUNT):
                assert another.load(ACCOUNT) == refreshed
        assert server.requests.count(grant_type="refresh_token", outcome="ok") == count
