"""The token source: its cache, waiting for it, what a token may be sent to, and its cooldown."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import anyio
import anyio.lowlevel
import httpx
import pytest
import trio
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from pipedrive_oauth_client import (
    AsyncPipedriveOAuth,
    ConfigurationError,
    CorruptTokenError,
    PipedriveAuth,
    PipedriveOAuth,
    ServerError,
    Token,
    TokenNotFoundError,
)
from pipedrive_oauth_client._origins import parse_hosts
from pipedrive_oauth_client._renewal import Requirement, renew, start_or_join
from pipedrive_oauth_client.sandbox import Fault
from pipedrive_oauth_client.stores import MemoryTokenStore
from pipedrive_oauth_client.token_source import (
    Bearer,
    _FlowNotes,
    _Search,
    wait_until_done,
)
from tests.support.auths import (
    ACCOUNT,
    ME,
    PATIENCE_SECONDS,
    REFRESH_PATH,
    Account,
    AnyClient,
    PlainStore,
    wait_for_callers,
    with_client,
)
from tests.support.auths import served as serve_sandbox
from tests.support.driver import ASYNC_MODES, run
from tests.support.flows import CREDENTIALS, play
from tests.support.libraries import SENDERS
from tests.support.samples import REFRESH_TOKEN, token_body
from tests.support.sites import (
    DONE,
    HOUR,
    NEW,
    NOW,
    OLD,
    OLD_ACCESS_TOKEN,
    REDIRECTS,
    UNAUTHORIZED,
    authorized,
    redirect,
    served,
)
from tests.support.sweep import found, visible
from tests.support.tls import UNTRUSTING
from tests.support.untyped import untyped
from tests.support.wire import answer

SECOND: Final = timedelta(seconds=1)
MINUTE: Final = timedelta(minutes=1)


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
            wait_for_callers(threads=2)

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
        with serve_sandbox() as other:
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


@pytest.mark.parametrize("hours_ago", [0, 2])
def test_what_the_fleet_is_content_with(account: Account, hours_ago: int) -> None:
    """A caller that joins a renewal of the fleet does not get a token that has expired."""
    auth = account.auth()
    account.expire()
    before = account.box.clock() - timedelta(days=45)
    fleet = Requirement(lambda: before, timedelta(0))
    account.box.clock.advance(timedelta(hours=hours_ago))

    def work() -> Token:
        wait_for_callers(threads=1)
        return renew(account.oauth, account.store, ACCOUNT, fleet)[0]

    with ThreadPoolExecutor(2) as pool:
        future = start_or_join(account.store, ACCOUNT, work)
        token = pool.submit(auth.token).result(PATIENCE_SECONDS)
        assert future.result(PATIENCE_SECONDS) == account.token
    assert token == account.stored() != account.token
    assert account.refreshes() == 1


def test_the_fleet_s_token_is_taken_where_it_serves(account: Account) -> None:
    """A caller that joins a renewal of the fleet which has refreshed makes none of its own."""
    auth = account.auth()
    account.expire()
    fleet = Requirement(account.box.clock, timedelta(0))

    def work() -> Token:
        wait_for_callers(threads=1)
        return renew(account.oauth, account.store, ACCOUNT, fleet)[0]

    with ThreadPoolExecutor(2) as pool:
        start_or_join(account.store, ACCOUNT, work)
        assert pool.submit(auth.token).result(PATIENCE_SECONDS) == account.stored()
    assert account.refreshes() == 1


def test_a_stale_token_that_another_caller_is_content_with(account: Account) -> None:
    """A caller that has found its token stale refreshes it, though a laxer one has loaded it."""
    auth = account.auth()
    auth.token()
    account.box.clock.advance(account.token.expires_at - account.box.clock() - 30 * SECOND)
    lax = Requirement(account.box.clock, timedelta(0))

    def work() -> Token:
        wait_for_callers(threads=1)
        return renew(account.oauth, account.store, ACCOUNT, lax)[0]

    with ThreadPoolExecutor(2) as pool:
        start_or_join(account.store, ACCOUNT, work)
        assert pool.submit(auth.token).result(PATIENCE_SECONDS) == account.stored()
    assert account.refreshes() == 1


@pytest.mark.parametrize("is_rejected", [False, True])
def test_a_late_waiter_puts_no_older_token_back(account: Account, is_rejected: bool) -> None:
    """A waiter that wakes after a later renewal gets that token, or caches no older one."""
    older = evolve(account.token, expires_at=account.token.expires_at - 30 * MINUTE)
    account.store.inner.save(ACCOUNT, older)
    source = account.auth().token_source
    newer = source.get(source.get().token)
    late: Future[Token] = Future()
    late.set_result(older)
    bearer = source._bearer_from(late, _Search(None, None))
    assert bearer is source.cached() is newer
    if is_rejected:
        bearer = source._bearer_from(late, _Search(newer.token, None))
        assert bearer is not None
        assert bearer.token is older
        assert source.cached() is bearer, "what the API has rejected is no newer token"


each_library = pytest.mark.parametrize("send", SENDERS.values(), ids=SENDERS)


@each_library
@pytest.mark.parametrize("is_stale", [False, True])
def test_six_posts_that_are_always_rejected(send: Any, is_stale: bool) -> None:
    """A body that can be sent once makes no difference: one refresh, and then a cooldown."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b"once"

    is_async = " in " in next(name for name, each in SENDERS.items() if each is send)
    lifetime = -HOUR if is_stale else HOUR
    with served() as site, authorized(site, lifetime=lifetime) as auth:
        site.api_answers[:] = [UNAUTHORIZED]
        for _ in range(6):
            body: Any = pieces() if is_async else iter([b"once"])
            assert send(auth, "POST", site.api.url, content=body)[0] == 401
    api, _, refreshes = site.headers()
    assert refreshes == 1
    # A body that comes in pieces looks like a request of its own to this simple server.
    sent = [each for each in api if each is not None]
    assert sent == ([] if is_stale else [OLD]) + [NEW] * (6 if is_stale else 5)


@each_library
def test_a_renewed_token_that_was_accepted_once(send: Any) -> None:
    """A 401 to a token that the API has accepted before is a reason to refresh it."""
    with served() as site, authorized(site) as auth:
        site.api_answers[:] = [UNAUTHORIZED, DONE, DONE, UNAUTHORIZED]
        for status in (200, 200, 401):
            assert send(auth, "GET", site.api.url)[0] == status
    assert site.headers()[2] == 2


@each_library
@pytest.mark.parametrize("is_known", [False, True])
def test_hosts_that_get_none_need_no_token(send: Any, is_known: bool) -> None:
    """Neither a missing token nor a service that is down stops a request to another host."""
    with (
        served() as site,
        PipedriveOAuth(CREDENTIALS, retry=None, clock=lambda: NOW) as oauth,
    ):
        store = MemoryTokenStore()
        auth = PipedriveAuth(oauth, store, "acme")
        if is_known:
            token = Token(
                access_token=OLD_ACCESS_TOKEN,
                api_domain="https://acme.pipedrive.com",
                expires_at=NOW + SECOND,
            )
            store.save("acme", token)
            auth.token()
            store.delete("acme")
            auth.token_source.cached()
            auth.token_source._cache.stale_at = NOW  # type: ignore[union-attr]
        assert send(auth, "GET", site.other.url)[0] == 200
        with pytest.raises(TokenNotFoundError):
            send(auth, "GET", "https://acme.pipedrive.com/")
        with pytest.raises(TokenNotFoundError):
            send(auth, "GET", "https://other.pipedrive.com/")
    assert site.headers() == ([], [None], 0)


@each_library
def test_hosts_that_get_none_while_the_service_is_down(send: Any) -> None:
    """A token that can't be refreshed still says which host would get it."""
    with served() as site, authorized(site, lifetime=-HOUR) as auth:
        site.service_answers[:] = [answer(b"{}", status=503)]
        assert send(auth, "GET", site.other.url)[0] == 200
        with pytest.raises(ServerError):
            send(auth, "GET", site.api.url)
        assert send(auth, "GET", site.other.url)[0] == 200
    assert site.headers() == ([], [None, None], 2)


# --- Waiting in an event loop for a thread ---


MANY: Final = 1000


@pytest.fixture(params=ASYNC_MODES)
def loop(request: pytest.FixtureRequest) -> str:
    """Either kind of event loop."""
    return str(request.param)


@pytest.fixture
def future() -> Iterator[Future[int]]:
    """What a thread brings some time; should it hold up the loop, that has an end."""
    future: Future[int] = Future()
    guard = threading.Timer(PATIENCE_SECONDS, future.set_result, args=(0,))
    guard.start()
    yield future
    guard.cancel()
    guard.join(20)


def _land(future: Future[int]) -> threading.Thread:
    thread = threading.Thread(target=future.set_result, args=(1,))
    thread.start()
    return thread


def test_done_already(loop: str, future: Future[int]) -> None:
    """What is done already is not waited for."""
    future.set_result(1)

    async def main() -> None:
        with anyio.fail_after(PATIENCE_SECONDS):
            await wait_until_done(future)

    run(loop, main)


def test_done_by_a_thread(loop: str, future: Future[int]) -> None:
    """A thread's result wakes the waiting task, and an error does no less."""
    failed: Future[int] = Future()

    async def main() -> None:
        with anyio.fail_after(PATIENCE_SECONDS):
            async with anyio.create_task_group() as group:
                group.start_soon(wait_until_done, future)
                group.start_soon(wait_until_done, failed)
                await anyio.lowlevel.checkpoint()
                threading.Thread(target=failed.set_exception, args=(OSError(),)).start()
                _land(future).join(20)

    run(loop, main)
    assert future.result() == 1


def test_many_wait_without_a_thread(loop: str, future: Future[int]) -> None:
    """1,000 tasks wait in no thread at all, and all are woken by one call into their loop."""
    woken = 0

    async def main() -> None:
        async def wait() -> None:
            nonlocal woken
            await wait_until_done(future)
            woken += 1

        before = threading.active_count()
        with anyio.fail_after(PATIENCE_SECONDS):
            async with anyio.create_task_group() as group:
                for _ in range(MANY):
                    group.start_soon(wait)
                for _ in range(5):
                    await anyio.lowlevel.checkpoint()
                assert threading.active_count() <= before  # an idle one of an earlier test may end
                assert woken == 0
                assert len(vars(future)["_done_callbacks"]) == 1
                _land(future).join(20)

    run(loop, main)
    assert woken == MANY


def test_cancelling_leaves_the_future_alone(loop: str, future: Future[int]) -> None:
    """Whoever stops waiting stops nothing: the future can be waited for again."""

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(wait_until_done, future)
            await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        assert not future.cancelled()
        _land(future).join(20)
        with anyio.fail_after(PATIENCE_SECONDS):
            await wait_until_done(future)

    run(loop, main)
    assert future.result() == 1


def test_loop_that_has_ended(
    loop: str, future: Future[int], caplog: pytest.LogCaptureFixture
) -> None:
    """When the loop ends before the thread, the thread finishes all the same, and nobody cries."""

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(wait_until_done, future)
            await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()

    run(loop, main)
    _land(future).join(PATIENCE_SECONDS)
    gc.collect()
    assert future.result(0) == 1
    assert caplog.text == ""


def test_loops_of_two_kinds(future: Future[int]) -> None:
    """Tasks in loops of both kinds wait for one future."""
    started = threading.Barrier(3, timeout=60)

    async def main() -> None:
        with anyio.fail_after(PATIENCE_SECONDS):
            async with anyio.create_task_group() as group:
                group.start_soon(wait_until_done, future)
                await anyio.lowlevel.checkpoint()
                started.wait(PATIENCE_SECONDS)

    threads = [threading.Thread(target=run, args=(kind, main)) for kind in ASYNC_MODES]
    for thread in threads:
        thread.start()
    started.wait(PATIENCE_SECONDS)
    future.set_result(1)
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()


def test_trio_as_a_guest_of_asyncio() -> None:
    """A task of trio that runs as a guest in a loop of asyncio is woken as well."""
    futures: list[Future[int]] = [Future() for _ in range(20)]

    async def guest() -> str:
        for future in futures:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(wait_until_done, future)
                await trio.lowlevel.checkpoint()
                _land(future)
        return "woken"

    async def host() -> Any:
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[Any] = loop.create_future()
        trio.lowlevel.start_guest_run(
            guest,
            run_sync_soon_threadsafe=loop.call_soon_threadsafe,
            done_callback=outcome.set_result,
        )
        return (await asyncio.wait_for(outcome, PATIENCE_SECONDS)).unwrap()

    assert asyncio.run(host()) == "woken"


# --- Which requests carry the token, over real connections to two origins, and until when ---


each_redirect = pytest.mark.parametrize("status", REDIRECTS)


def request(mode: str, auth: PipedriveAuth, method: str, url: str, **body: Any) -> httpx.Response:
    """Send one request that follows redirects, with a client of the mode's kind."""
    settings: dict[str, Any] = {"auth": auth, "follow_redirects": True, "verify": UNTRUSTING}

    async def main() -> httpx.Response:
        if mode == "sync":
            with httpx.Client(**settings) as client:
                return client.request(method, url, **body)  # noqa: ASYNC212 - it is the sync mode
        async with httpx.AsyncClient(**settings) as async_client:
            return await async_client.request(method, url, **body)

    return play(mode, main)


def test_the_api_gets_the_token_and_nobody_else(mode: str) -> None:
    """The same host at another port is somebody else, and what is sent there stays as it is."""
    with served() as site, authorized(site) as auth:
        request(mode, auth, "GET", f"{site.api.url}/api/v1/users/me")
        request(mode, auth, "GET", f"{site.other.url}/api/v1/users/me")
        own = {"Authorization": "Basic own"}
        request(mode, auth, "GET", f"{site.other.url}/", headers=own)
    assert site.headers() == ([OLD], [None, "Basic own"], 0)


def test_somebody_else_is_asked_first(mode: str) -> None:
    """Before anything is known of the token, too, a foreign host gets none."""
    with served() as site, authorized(site) as auth:
        request(mode, auth, "GET", site.other.url)
    assert site.headers() == ([], [None], 0)


def test_a_stale_token_is_not_renewed_for_somebody_else(mode: str) -> None:
    """A 401 of theirs does not renew it either."""
    with served() as site, authorized(site) as auth:
        request(mode, auth, "GET", site.api.url)
        site.other_answers[:] = [UNAUTHORIZED]
        assert request(mode, auth, "GET", site.other.url).status_code == 401
    assert site.headers() == ([OLD], [None], 0)


@each_redirect
def test_a_redirect_to_another_origin_does_not_carry_the_token(mode: str, status: int) -> None:
    """Whatever its status, and whatever the method."""
    with served() as site, authorized(site) as auth:
        site.api_answers[:] = [redirect(f"{site.other.url}/stolen", status)]
        assert request(mode, auth, "GET", site.api.url).status_code == 200
        assert request(mode, auth, "POST", site.api.url, content=b"x=y").status_code == 200
    assert site.headers() == ([OLD, OLD], [None, None], 0)


@each_redirect
def test_a_redirect_within_the_api_carries_the_token(mode: str, status: int) -> None:
    """It is the same origin."""
    with served() as site, authorized(site) as auth:
        site.api_answers[:] = [redirect("/api/v2/deals", status), DONE]
        request(mode, auth, "GET", f"{site.api.url}/api/v1/deals")
    assert site.headers() == ([OLD, OLD], [], 0)


@each_redirect
def test_a_redirect_from_elsewhere_to_the_api_carries_no_token(mode: str, status: int) -> None:
    """A stranger does not get to choose what is asked with the token."""
    with served() as site, authorized(site) as auth:
        site.other_answers[:] = [redirect(f"{site.api.url}/api/v1/deals/1", status)]
        site.api_answers[:] = [UNAUTHORIZED]
        assert request(mode, auth, "GET", site.other.url).status_code == 401
    assert site.headers() == ([None], [None], 0)


def test_a_401_of_a_redirect_s_foreign_target_renews_nothing(mode: str) -> None:
    """They were not shown the token, so it is not the token that they mind."""
    with served() as site, authorized(site) as auth:
        site.api_answers[:] = [redirect(site.other.url)]
        site.other_answers[:] = [UNAUTHORIZED]
        assert request(mode, auth, "GET", site.api.url).status_code == 401
    assert site.headers() == ([OLD], [None], 0)


def test_a_redirect_there_and_back_renews_nothing(mode: str) -> None:
    """The API itself was not shown the token the second time, and says 401 for that."""
    with served() as site, authorized(site) as auth:
        site.api_answers[:] = [redirect(site.other.url), UNAUTHORIZED]
        site.other_answers[:] = [redirect(site.api.url)]
        assert request(mode, auth, "GET", site.api.url).status_code == 401
    assert site.headers() == ([OLD, None], [None], 0)


def test_a_redirect_to_a_named_host_renews_nothing(mode: str) -> None:
    """It might have got the token, but httpx takes that off on the way."""
    with served() as site, authorized(site, hosts=[site.other.url]) as auth:
        site.api_answers[:] = [redirect(site.other.url)]
        site.other_answers[:] = [UNAUTHORIZED]
        assert request(mode, auth, "GET", site.api.url).status_code == 401
    assert site.headers() == ([OLD], [None], 0)


def test_a_renewed_request_that_is_redirected_leaves_the_token_behind(mode: str) -> None:
    """The second attempt is no less careful than the first one."""
    with served() as site, authorized(site) as auth:
        site.api_answers[:] = [UNAUTHORIZED, redirect(site.other.url)]
        request(mode, auth, "GET", site.api.url)
    assert site.headers() == ([OLD, NEW], [None], 1)


def test_a_renewed_token_may_be_for_another_api(mode: str) -> None:
    """The new token goes where it says itself, and so do the requests to the old place."""
    with served() as site, authorized(site) as auth:
        site.api_answers[:] = [UNAUTHORIZED]
        site.service_answers[:] = [answer(token_body(api_domain=site.other.url))]
        assert request(mode, auth, "GET", site.api.url).status_code == 200
        request(mode, auth, "GET", site.api.url)
        request(mode, auth, "GET", site.other.url)
    assert site.headers() == ([OLD], [NEW, NEW, NEW], 1)


def test_hosts_adds_one(mode: str) -> None:
    """A host that the user names gets the token as the API does, renewed if need be."""
    with served() as site, authorized(site, hosts=[site.other.url]) as auth:
        site.other_answers[:] = [UNAUTHORIZED, DONE]
        request(mode, auth, "GET", site.api.url)
        assert request(mode, auth, "GET", site.other.url).status_code == 200
        request(mode, auth, "GET", site.api.url)
    assert site.headers() == ([OLD, NEW], [OLD, NEW], 1)


def test_hosts_alone_will_do(mode: str) -> None:
    """A token that does not say where its API lives goes to the hosts that are named."""
    with served() as site, authorized(site, api_domain=None, hosts=[site.other.url]) as auth:
        request(mode, auth, "GET", site.api.url)
        request(mode, auth, "GET", site.other.url)
    assert site.headers() == ([None], [OLD], 0)


def test_no_place_at_all_is_an_error(mode: str) -> None:
    """Nothing is sent, not even without the token: the request would fail in a confusing way."""
    with served() as site, authorized(site, api_domain=None) as auth:
        for _ in range(2):
            with pytest.raises(ConfigurationError, match="hosts=") as caught:
                request(mode, auth, "GET", site.api.url)
            assert found(visible(caught.value), [OLD_ACCESS_TOKEN, REFRESH_TOKEN]) == []
    assert site.headers() == ([], [], 0)


def test_a_renewal_may_bring_the_place(mode: str) -> None:
    """A stale token without one is renewed, and the answer says where the API lives."""
    with served() as site, authorized(site, api_domain=None, lifetime=-HOUR) as auth:
        request(mode, auth, "GET", site.api.url)
    assert site.headers() == ([NEW], [], 1)


@pytest.mark.parametrize("api_domain", ["http://api.example.com", "acme.pipedrive.com", ""])
def test_a_strange_stored_place_gets_nothing(mode: str, api_domain: str) -> None:
    """The token is not sent, and hosts of the user's own do not hide that something is wrong."""
    with (
        served() as site,
        authorized(site, api_domain=api_domain or " ", hosts=[site.api.url]) as auth,
        pytest.raises(CorruptTokenError),
    ):
        request(mode, auth, "GET", site.api.url)
    assert site.headers() == ([], [], 0)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_scheme_is_part_of_the_place(mode: str, scheme: str) -> None:
    """A token for https is never sent in the clear, not even after a redirect."""
    seen: list[tuple[str, str | None]] = []

    def handle(asked: httpx.Request) -> httpx.Response:
        seen.append((asked.url.scheme, asked.headers.get("Authorization")))
        if asked.url.path == "/down":
            return httpx.Response(302, headers={"Location": "http://acme.pipedrive.com/"})
        return httpx.Response(200)

    async def main() -> None:
        transport = httpx.MockTransport(handle)
        for path in ("/", "/down"):
            url = f"{scheme}://acme.pipedrive.com{path}"
            if mode == "sync":
                with httpx.Client(transport=transport, auth=auth, follow_redirects=True) as client:
                    client.get(url)  # noqa: ASYNC212 - it is the sync mode
            else:
                async with httpx.AsyncClient(
                    transport=transport, auth=auth, follow_redirects=True
                ) as async_client:
                    await async_client.get(url)

    with served() as site, authorized(site, api_domain="https://acme.pipedrive.com") as auth:
        play(mode, main)
    token = OLD if scheme == "https" else None
    assert seen == [(scheme, token), (scheme, token), ("http", None)]


@pytest.mark.parametrize(
    "spelled", ["http://LOCALHOST:{port}", "http://person:pw@localhost:{port}"]
)
def test_the_spelling_of_a_place_makes_no_difference(mode: str, spelled: str) -> None:
    """Upper case and a name before the host do not change where a request goes."""
    with served() as site:
        port = site.api.authority.rpartition(":")[2]
        with authorized(site, api_domain=f"http://localhost:{port}/") as auth:
            request(mode, auth, "GET", spelled.format(port=port))
    assert site.headers() == ([OLD], [], 0)


# --- For how long ---


def bearer(lifetime: timedelta, leeway: timedelta) -> Bearer:
    """Make a bearer of a token that has some time left."""
    token = Token(
        access_token=OLD_ACCESS_TOKEN,
        refresh_token=REFRESH_TOKEN,
        api_domain="https://acme.pipedrive.com",
        expires_at=NOW + lifetime,
    )
    return Bearer(token, leeway=leeway, now=NOW, hosts=frozenset())


def test_a_token_is_stale_its_leeway_before_its_end() -> None:
    """That is time for a request to arrive."""
    made = bearer(HOUR, timedelta(minutes=1))
    assert made.stale_at == NOW + timedelta(minutes=59)
    made = bearer(HOUR, timedelta(minutes=59))
    assert made.stale_at == NOW + timedelta(minutes=1)


@pytest.mark.parametrize("leeway", [HOUR, timedelta(days=365)])
def test_a_short_life_is_used_for_half_at_least(leeway: timedelta) -> None:
    """A leeway that is longer than the life does not renew the token for every request."""
    assert bearer(HOUR, leeway).stale_at == NOW + HOUR / 2


@given(
    st.timedeltas(timedelta(days=-400), timedelta(days=400)),
    st.timedeltas(timedelta(0), timedelta(days=400)),
)
def test_a_token_is_never_used_beyond_its_end(lifetime: timedelta, leeway: timedelta) -> None:
    """It is stale at its expiry at the latest, and a living one is good for at least a moment."""
    made = bearer(lifetime, leeway)
    assert made.stale_at <= NOW + lifetime
    assert made.stale_at >= NOW or lifetime < timedelta(0)


def test_the_places_of_the_user_come_on_top() -> None:
    """The token's own API is always one of them."""
    token = Token(access_token="a", api_domain="https://acme.pipedrive.com", expires_at=NOW)
    more = parse_hosts(["https://mirror.example"])
    made = Bearer(token, leeway=HOUR, now=NOW, hosts=more)
    assert made.origins == more | parse_hosts(["acme.pipedrive.com"])


def test_no_secret_is_shown() -> None:
    """Neither the token nor the header stands in `repr`."""
    made = bearer(HOUR, HOUR)
    assert made.header == OLD
    assert found(repr(made) + str(made), [OLD_ACCESS_TOKEN, REFRESH_TOKEN]) == []


def test_a_stranger_s_401_begins_no_rest() -> None:
    """A renewed request that was redirected elsewhere says nothing about the token."""
    with served() as site, authorized(site) as auth:
        site.api_answers[:] = [UNAUTHORIZED, redirect(site.other.url), UNAUTHORIZED, DONE]
        site.other_answers[:] = [UNAUTHORIZED]
        assert request("sync", auth, "GET", site.api.url).status_code == 401
        assert request("sync", auth, "GET", site.api.url).status_code == 200


def test_no_connection_stays_open_for_an_asynchronous_flow() -> None:
    """A renewal closes the connections of the synchronous flow that was made for it alone."""
    with served() as site:
        store = MemoryTokenStore()
        old = Token(
            access_token=OLD_ACCESS_TOKEN,
            refresh_token=REFRESH_TOKEN,
            api_domain=site.api.url,
            expires_at=NOW - HOUR,
        )
        store.save("acme", old)
        flow = AsyncPipedriveOAuth(
            CREDENTIALS, base_url=site.service.url, retry=None, clock=lambda: NOW
        )
        auth = PipedriveAuth(flow, store, "acme")
        assert auth.token().access_token == NEW.removeprefix("Bearer ")
        del auth
        gc.collect()  # a socket that is open still would be a ResourceWarning, which is an error


# --- How long renewals that do not help are left alone ---


NOON: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_there_is_no_rest_before_it_is_begun() -> None:
    """A new one lets the first renewal through."""
    assert _FlowNotes().pause("a reason", MemoryTokenStore(), "acme", lambda: NOON) is None


@given(st.timedeltas(timedelta(days=-400), timedelta(days=400)))
def test_a_rest_lasts_its_time(later: timedelta) -> None:
    """It is on from its beginning until its time is over; a clock put back ends it."""
    notes, store = _FlowNotes(), MemoryTokenStore()
    notes.begin_pause("a reason", store, "acme", NOON, MINUTE)
    found = notes.pause("a reason", store, "acme", lambda: NOON + later)
    assert (found is not None) == (timedelta(0) <= later < MINUTE)


@pytest.mark.parametrize("first", [timedelta(0), timedelta(seconds=30), timedelta(hours=3)])
def test_a_rest_that_is_begun_again_lasts_from_then(first: timedelta) -> None:
    """What counts is the last renewal that was in vain."""
    notes, store = _FlowNotes(), MemoryTokenStore()
    notes.begin_pause("a reason", store, "acme", NOON, MINUTE)
    notes.begin_pause("a reason", store, "acme", NOON + first, MINUTE)
    last = NOON + first + MINUTE
    assert notes.pause("a reason", store, "acme", lambda: last - timedelta.resolution)
    assert notes.pause("a reason", store, "acme", lambda: last) is None


def test_another_time_zone_makes_no_difference() -> None:
    """A moment is a moment."""
    notes, store = _FlowNotes(), MemoryTokenStore()
    notes.begin_pause("a reason", store, "acme", NOON, MINUTE)
    assert notes.pause("a reason", store, "acme", NOON.astimezone)
