"""What is kept in memory, when others are asked, and which arguments are refused."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any, Final

import httpx
import pytest

from pipedrive_oauth_client import (
    AsyncPipedriveOAuth,
    ConfigurationError,
    PipedriveAuth,
    PipedriveOAuth,
)
from pipedrive_oauth_client.sandbox import Fault
from pipedrive_oauth_client.stores import MemoryTokenStore
from tests.support.auths import (
    ACCOUNT,
    ME,
    PATIENCE_SECONDS,
    REFRESH_PATH,
    Account,
    AnyClient,
    PlainStore,
    served,
    wait_for_passengers,
    with_client,
)
from tests.support.flows import CREDENTIALS, play
from tests.support.tls import UNTRUSTING
from tests.support.untyped import untyped

SECOND: Final = timedelta(seconds=1)


def test_nothing_is_asked_for_before_it_is_needed(account: Account) -> None:
    """Making a `PipedriveAuth` asks neither the store nor the service."""
    auth = account.auth()
    assert account.store.calls == {}
    assert len(account.box.requests) == 0
    assert (auth.account, auth.clock) == (ACCOUNT, account.box.clock)


def test_ready_asks_nobody(account: Account) -> None:
    """What is at hand is given for as long as it is fresh, and never the rejected one."""
    supply = account.auth().token_source
    assert supply.cached() is None
    bearer = supply.get()
    before = account.store.calls.copy()
    assert supply.cached() is bearer
    assert supply.cached(bearer.token) is None
    account.expire()
    assert supply.cached() is None
    assert account.store.calls == before


def test_a_renewed_token_is_ready_at_once(account: Account) -> None:
    """Who comes after the renewal, and before any who wait for it are woken, begins no other."""
    account.expire()
    auth = account.auth()

    async def main() -> None:
        waiting = asyncio.ensure_future(auth.atoken())
        await asyncio.sleep(0)
        for thread in threading.enumerate():
            if thread.name == "pipedrive-oauth-renewal":
                thread.join(PATIENCE_SECONDS)
        # The loop was held up so far: the task is not awake yet.
        assert not waiting.done()
        assert auth.token_source.cached() is not None
        assert await waiting is auth.token()

    asyncio.run(main())


def test_bearer_is_made_once(account: Account) -> None:
    """Header, expiry and destinations are worked out once for a token, not for each request."""
    source = account.auth().token_source
    bearer = source.get()
    assert source.cached() is source.cached() is bearer
    assert bearer.header == f"Bearer {account.token.access_token}"


def test_failure_forgets_nothing(account: Account, mode: str) -> None:
    """After a failed renewal the token is still known, so that foreign hosts cost no renewal."""
    account.box.faults.add(REFRESH_PATH, Fault.status(503))
    auth = account.auth()

    async def steps(client: AnyClient) -> None:
        await client.token()
        account.expire()
        with pytest.raises(Exception, match="503"):
            await client.token()
        assert auth.token_source._cache is not None
        await client.token()

    with_client(mode, account, steps, auth=auth)
    assert account.refreshes() == 2


def test_flight_of_another_s_brings_the_rejected_token(account: Account) -> None:
    """Whoever joins a look at the store that brings the rejected token goes on to renew it."""
    token = account.token
    looking = account.auth()
    rejecting = account.auth()
    with ThreadPoolExecutor(2) as pool:
        answers: list[Any] = []

        def someone_joins() -> None:
            answers.append(pool.submit(rejecting.token, rejected=token))
            wait_for_passengers(threads=2)

        account.store.at("load", someone_joins)
        assert pool.submit(looking.token).result(PATIENCE_SECONDS) == token
        assert answers[0].result(PATIENCE_SECONDS) == account.stored() != token
    assert account.refreshes() == 1


def test_clock_of_the_flow_counts(account: Account) -> None:
    """The clock of the flow is asked, and no other."""
    asked = 0

    def clock() -> datetime:
        nonlocal asked
        asked += 1
        return account.box.clock()

    with (
        httpx.Client(verify=UNTRUSTING) as client,
        PipedriveOAuth(
            account.box.credentials, base_url=account.box.base_url, client=client, clock=clock
        ) as oauth,
    ):
        auth = PipedriveAuth(oauth, account.store, ACCOUNT)
        auth.token()
        before = asked
        auth.token()
        assert asked == before + 1


def test_token_for_a_user_s_own_store(account: Account) -> None:
    """Two objects on a store that hands out no leases see what the other has renewed."""
    store = PlainStore()
    store.save(ACCOUNT, account.token)
    first, second = (PipedriveAuth(account.oauth, store, ACCOUNT) for _ in range(2))
    assert first.token() == second.token() == account.token
    account.expire()
    assert first.token() == second.token() == store.load(ACCOUNT) != account.token
    assert account.refreshes() == 1


def test_repr_shows_the_account_only(account: Account) -> None:
    """`repr` says whose token it is, and shows none."""
    auth = account.auth()
    auth.token()
    assert repr(auth) == "PipedriveAuth(account='acme:ada')"


def test_unknown_hosts_before_the_first_token(mode: str, account: Account) -> None:
    """Before a token is known it is loaded to learn where it may go, and goes nowhere else."""

    async def steps(client: AnyClient) -> None:
        with served() as other:
            answer = await client.get(f"{other.base_url}{ME}")
        assert answer.status_code == 401
        assert "Authorization" not in answer.request.headers

    with_client(mode, account, steps)
    assert account.store.calls == {"load": 1}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"oauth": None}, "oauth"),
        ({"oauth": CREDENTIALS}, "oauth"),
        ({"store": None}, "store"),
        ({"store": {}}, "store"),
        ({"account": ""}, "account"),
        ({"account": None}, "account"),
        ({"leeway": 60}, "leeway"),
        ({"leeway": -SECOND}, "leeway"),
        ({"hosts": "api.example.com"}, "hosts"),
        ({"hosts": ["http://api.example.com"]}, "http://"),
        ({"hosts": [None]}, "hosts"),
        ({"hosts": None}, "hosts"),
    ],
)
def test_bad_arguments(change: dict[str, object], told: str) -> None:
    """What can't be right is refused at once, and named."""
    good: dict[str, object] = {
        "oauth": PipedriveOAuth(CREDENTIALS),
        "store": MemoryTokenStore(),
        "account": ACCOUNT,
    }
    with pytest.raises(ConfigurationError, match=told):
        untyped(PipedriveAuth)(**{**good, **change})


def test_own_async_client_is_refused() -> None:
    """An asynchronous flow with a client of its user's can't renew synchronously, and says so."""

    async def main() -> None:
        async with httpx.AsyncClient(verify=UNTRUSTING) as client:
            oauth = AsyncPipedriveOAuth(CREDENTIALS, client=client)
            with pytest.raises(ConfigurationError, match=r"PipedriveOAuth with an httpx\.Client"):
                PipedriveAuth(oauth, MemoryTokenStore(), ACCOUNT)

    play("asyncio", main)
