"""Stores whose database fails over to another server, while the old one stays up and read-only."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest
import redis
from sqlalchemy import create_engine

from pipedrive_oauth_client.errors import StoreError
from pipedrive_oauth_client.stores import LeasedStore, RedisTokenStore, SQLTokenStore
from pipedrive_oauth_client.stores.conformance import a_token
from tests.support.failovers import KINDS, Pair, pair_of
from tests.support.samples import ACCESS_TOKEN, REFRESH_TOKEN
from tests.support.sweep import found, visible

TOKEN = a_token(access_token=ACCESS_TOKEN, refresh_token=REFRESH_TOKEN)
Open = Callable[..., LeasedStore]


@pytest.fixture(scope="module", params=KINDS)
def pair(request: pytest.FixtureRequest) -> Generator[Pair]:
    """Give two servers of each kind behind one address."""
    with pair_of(str(request.param)) as pair:
        yield pair


@pytest.fixture(params=["of its own", "of the app"])
def open_store(request: pytest.FixtureRequest) -> Generator[Open]:
    """Give a function that opens a store, with connections of its own or of the app."""
    is_its_own = request.param == "of its own"
    with ExitStack() as stack:

        def opened(url: str, **settings: Any) -> LeasedStore:
            if url.startswith("redis"):
                client = redis.Redis.from_url(url)
                stack.callback(client.close)
                return stack.enter_context(
                    RedisTokenStore(url if is_its_own else client, **settings)
                )
            engine = create_engine(url)
            stack.callback(engine.dispose)
            return stack.enter_context(SQLTokenStore(url if is_its_own else engine, **settings))

        yield opened


def test_save_after_a_refresh_survives_a_failover(pair: Pair, open_store: Open) -> None:
    """A failover between the lock and the save costs no token and leaves no lock."""
    store = open_store(pair.url)
    store.save("acme", a_token(1))
    with store.lock("acme"):
        assert store.load("acme") == a_token(1)
        pair.fail_over()
        store.save("acme", TOKEN)
    assert store.load("acme") == TOKEN
    new = open_store(pair.url, wait=timedelta(milliseconds=1))
    assert new.load("acme") == TOKEN
    with new.lock("acme"):
        pass


@pytest.mark.parametrize("step", ["lock", "save", "delete"])
def test_first_write_after_a_failover(pair: Pair, open_store: Open, step: str) -> None:
    """Whatever the first write after a failover is, it reaches the new primary."""
    store = open_store(pair.url)
    store.save("acme", a_token(1))
    pair.fail_over()
    if step == "lock":
        with store.lock("acme"):
            store.save("acme", TOKEN)
    elif step == "save":
        store.save("acme", TOKEN)
    else:
        store.delete("acme")
    expected = None if step == "delete" else TOKEN
    assert open_store(pair.url).load("acme") == expected


def test_address_that_leads_to_the_old_primary(pair: Pair, open_store: Open) -> None:
    """A write to a server that stays read-only is an error that mentions the failover."""
    store = open_store(pair.old_url)
    with pytest.raises(StoreError, match="failover") as caught:
        store.save("acme", TOKEN)
    assert not found(visible(caught.value), [ACCESS_TOKEN, REFRESH_TOKEN])
    with pytest.raises(StoreError, match="failover"), store.lock("acme"):
        pass
