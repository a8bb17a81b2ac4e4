"""The OAuth flow from consent to revocation, blocking and asynchronous."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterator
from datetime import datetime, timedelta
from typing import Final

import httpx
import pytest

from pipedrive_oauth_client import (
    NO_STATE,
    AppCredentials,
    AsyncPipedriveOAuth,
    AuthorizationDeniedError,
    ConfigurationError,
    InvalidGrantError,
    InvalidResponseError,
    PipedriveOAuth,
    RateLimitedError,
    StateMismatchError,
    Token,
    TransportError,
    sandbox,
)
from pipedrive_oauth_client.pytest_plugin import PipedriveSandbox
from pipedrive_oauth_client.sandbox import Fault, SandboxServer
from tests.support.auths import REFRESH_PATH
from tests.support.fake_time import FakeTime
from tests.support.flows import CREDENTIALS, AnyFlow, with_flow
from tests.support.tls import UNTRUSTING

pytestmark = pytest.mark.usefixtures("no_proxy")

TOKEN_PATHS: Final = ("/oauth/token", "/oauth/token/")
CLOCK: Final = sandbox.Clock()


@pytest.fixture(scope="module")
def running() -> Generator[SandboxServer]:
    """A sandbox for the whole module, since each takes a moment to start and to stop."""
    with sandbox.run(sandbox.create_app(clock=CLOCK)) as server:
        yield server


@pytest.fixture
def server(running: SandboxServer) -> SandboxServer:
    """The sandbox with nothing left of other tests: no fault to come, and an empty log."""
    running.faults.clear()
    running.requests.clear()
    return running


def credentials(server: SandboxServer) -> AppCredentials:
    """Give the credentials of the app that is registered."""
    app = server.app
    return AppCredentials(app.client_id, app.client_secret, app.redirect_uri)


def consent(server: SandboxServer, flow: AnyFlow) -> str:
    """Send a person to the consent page and back, and give the code."""
    request = flow.inner.authorization_url()
    return flow.inner.read_callback(server.visit(request.url), request.state)


def user_of(token: Token) -> str | int:
    """Make an API call: give the user's name, or the status of a refusal."""
    with httpx.Client(verify=UNTRUSTING) as api:
        answer = api.get(
            f"{token.api_domain}/api/v1/users/me",
            headers={"Authorization": f"Bearer {token.access_token}"},
        )
    return str(answer.json()["data"]["name"]) if answer.is_success else answer.status_code


def grants(server: SandboxServer) -> list[tuple[str | None, str | None]]:
    """List grant type and outcome of all that reached the token endpoint, under both paths."""
    return [
        (record.grant_type, record.outcome)
        for record in server.requests
        if record.path in TOKEN_PATHS
    ]


def test_the_whole_journey(mode: str, server: SandboxServer) -> None:
    """Consent, exchange, API call, refresh, and the end of an access token and of the grant."""
    me = sandbox.DEFAULT_USER.name

    async def journey(flow: AnyFlow) -> None:
        request = flow.inner.authorization_url()
        callback = server.visit(request.url)
        first = await flow.exchange(flow.inner.read_callback(callback, request.state))
        assert first.scopes == set(server.app.scopes)
        assert first.api_domain == server.base_url
        assert first.expires_at == CLOCK.now() + timedelta(hours=1)
        assert user_of(first) == me

        CLOCK.advance(timedelta(minutes=59, seconds=30))
        assert first.is_stale(now=CLOCK.now())
        second = await flow.refresh(first)
        assert not second.is_stale(now=CLOCK.now())
        assert second.access_token != first.access_token
        assert second.refresh_token != first.refresh_token
        assert (user_of(first), user_of(second)) == (me, me)
        CLOCK.advance(timedelta(seconds=30))
        assert (user_of(first), user_of(second)) == (401, me)

        with pytest.raises(InvalidGrantError, match="authorize the app again"):
            await flow.refresh(first)

        # The end of an access token is not the end of the grant.
        await flow.revoke(second, "access_token")
        assert user_of(second) == 401
        third = await flow.refresh(second)
        assert user_of(third) == me

        # The end of the refresh token is.
        await flow.revoke(third, "refresh_token")
        assert user_of(third) == 401
        with pytest.raises(InvalidGrantError):
            await flow.refresh(third)
        await flow.revoke(third, "refresh_token")

    with_flow(mode, server.base_url, journey, credentials=credentials(server), clock=CLOCK)
    assert grants(server) == [
        ("authorization_code", "ok"),
        ("refresh_token", "ok"),
        ("refresh_token", "invalid_grant"),
        ("refresh_token", "ok"),
        ("refresh_token", "invalid_grant"),
    ]
    assert server.requests.count(path="/oauth/revoke", outcome="ok") == 3


def test_a_state_of_ones_own_goes_round(mode: str, server: SandboxServer) -> None:
    """What the app gave as the state comes back letter for letter, whatever is in it."""
    state = "session=7&user=\u00e4 \u4f60/?#%20+"

    async def journey(flow: AnyFlow) -> Token:
        request = flow.inner.authorization_url(state)
        assert request.state == state
        return await flow.exchange(flow.inner.read_callback(server.visit(request.url), state))

    token = with_flow(mode, server.base_url, journey, credentials=credentials(server))
    assert user_of(token) == sandbox.DEFAULT_USER.name


def test_each_person_has_a_token_of_their_own(mode: str, server: SandboxServer) -> None:
    """One flow serves any number of people and companies."""
    people = [sandbox.DEFAULT_USER, sandbox.OTHER_USER]

    async def journey(flow: AnyFlow) -> list[Token]:
        requests = [flow.inner.authorization_url() for _ in people]
        callbacks = [
            server.visit(request.url, user=person)
            for request, person in zip(requests, people, strict=True)
        ]
        # Two sessions at once: neither callback belongs to the other.
        with pytest.raises(StateMismatchError):
            flow.inner.read_callback(callbacks[0], requests[1].state)
        codes = [
            flow.inner.read_callback(callback, request.state)
            for callback, request in zip(callbacks, requests, strict=True)
        ]
        return [await flow.exchange(code) for code in codes]

    tokens = with_flow(mode, server.base_url, journey, credentials=credentials(server))
    assert [user_of(token) for token in tokens] == [person.name for person in people]


def test_an_install_that_begins_in_the_marketplace(mode: str, server: SandboxServer) -> None:
    """Its callback has no state; an app that says that it expects none gets the token."""
    callback = server.sandbox.install(user=sandbox.OTHER_USER)

    async def journey(flow: AnyFlow) -> Token:
        with pytest.raises(StateMismatchError):
            flow.inner.read_callback(callback, flow.inner.authorization_url().state)
        return await flow.exchange(flow.inner.read_callback(callback, NO_STATE))

    token = with_flow(mode, server.base_url, journey, credentials=credentials(server))
    assert user_of(token) == sandbox.OTHER_USER.name
    assert grants(server) == [("authorization_code", "ok")]


def test_a_state_where_none_is_expected_is_refused(mode: str, server: SandboxServer) -> None:
    """A callback of the app's own consent page is no install from the Marketplace."""

    async def journey(flow: AnyFlow) -> None:
        callback = server.visit(flow.inner.authorization_url().url)
        with pytest.raises(StateMismatchError):
            flow.inner.read_callback(callback, NO_STATE)

    with_flow(mode, server.base_url, journey, credentials=credentials(server))
    assert grants(server) == []


def test_a_person_who_says_no(mode: str, server: SandboxServer) -> None:
    """The error says so, and nothing is sent to the token endpoint."""

    async def journey(flow: AnyFlow) -> None:
        request = flow.inner.authorization_url()
        callback = server.visit(request.url, approve=False)
        with pytest.raises(StateMismatchError):
            flow.inner.read_callback(callback, "another state")
        with pytest.raises(AuthorizationDeniedError) as caught:
            flow.inner.read_callback(callback, request.state)
        assert caught.value.error == "user_denied"

    with_flow(mode, server.base_url, journey, credentials=credentials(server))
    assert [record.method for record in server.requests] == ["GET", "POST"]
    assert grants(server) == []


def test_a_no_has_another_code_elsewhere() -> None:
    """The code of the clients' READMEs is as good as that of the guide."""

    async def journey(flow: AnyFlow) -> None:
        request = flow.inner.authorization_url()
        with pytest.raises(AuthorizationDeniedError) as caught:
            flow.inner.read_callback(other.visit(request.url, approve=False), request.state)
        assert caught.value.error == "access_denied"

    with sandbox.run(sandbox.create_app(decline_error="access_denied")) as other:
        with_flow("sync", other.base_url, journey, credentials=credentials(other))


def test_a_code_works_once(mode: str, server: SandboxServer) -> None:
    """The second exchange is refused, and takes what the first one gave along."""

    async def journey(flow: AnyFlow) -> None:
        code = consent(server, flow)
        token = await flow.exchange(code)
        with pytest.raises(InvalidGrantError):
            await flow.exchange(code)
        assert user_of(token) == 401

    with_flow(mode, server.base_url, journey, credentials=credentials(server))


def test_a_service_that_keeps_the_refresh_token(mode: str) -> None:
    """Where the same refresh token comes back, it goes on working."""

    async def journey(flow: AnyFlow) -> None:
        first = await flow.exchange(consent(other, flow))
        second = await flow.refresh(first)
        third = await flow.refresh(first)
        assert first.refresh_token == second.refresh_token == third.refresh_token
        assert len({first.access_token, second.access_token, third.access_token}) == 3
        # Here, even a refresh that was lost does no harm.
        other.faults.add("/oauth/token/", Fault.reset().after_work())
        with pytest.raises(TransportError):
            await flow.refresh(third)
        await flow.refresh(third)

    with sandbox.run(sandbox.create_app(rotate_refresh_tokens=False)) as other:
        with_flow(mode, other.base_url, journey, credentials=credentials(other))


def test_a_token_comes_back_from_storage(mode: str, server: SandboxServer) -> None:
    """Another process, with another flow, goes on where the first one stopped."""

    async def begin(flow: AnyFlow) -> dict[str, str | None]:
        return (await flow.exchange(consent(server, flow))).to_dict()

    settings = {"credentials": credentials(server), "clock": CLOCK}
    stored = with_flow(mode, server.base_url, begin, **settings)
    old = Token.from_dict(stored)
    assert old.expires_at == CLOCK.now() + timedelta(hours=1)
    new = with_flow(mode, server.base_url, lambda flow: flow.refresh(old), **settings)
    assert user_of(new) == sandbox.DEFAULT_USER.name


# --- The path with the slash ---


@pytest.fixture(scope="module", params=[301, 302, 307, 308, 303])
def moving(request: pytest.FixtureRequest) -> Generator[tuple[int, SandboxServer]]:
    """A sandbox that redirects refreshes, and the status that it does so with."""
    app = sandbox.create_app(
        slashed_token_path=request.param,
        slashed_token_location="relative" if request.param % 2 else "absolute",
    )
    with sandbox.run(app) as server:
        yield request.param, server


def test_a_service_that_moves_the_refresh(mode: str, moving: tuple[int, SandboxServer]) -> None:
    """The refresh works all the same, is redirected once, and is carried out once."""
    status, server = moving
    server.requests.clear()

    async def journey(flow: AnyFlow) -> None:
        token = await flow.exchange(consent(server, flow))
        if status == 303:  # it says that the request was carried out
            with pytest.raises(InvalidResponseError):
                await flow.refresh(token)
            return
        for _ in range(3):
            token = await flow.refresh(token)
            assert user_of(token) == sandbox.DEFAULT_USER.name

    with_flow(mode, server.base_url, journey, credentials=credentials(server))
    assert server.requests.count(path="/oauth/token/", status=status) == 1
    assert server.requests.count(path="/oauth/token/") == 1
    refreshed = server.requests.count(path="/oauth/token", grant_type="refresh_token", outcome="ok")
    assert refreshed == (0 if status == 303 else 3)


# --- Answers that are lost on the way ---


LOST: Final = {
    "reset": Fault.reset().after_work(),
    "closed": Fault.closed().after_work(),
    "truncated": Fault.truncated(),
    "late": Fault.latency(20),
}
NOT_DONE: Final = {"reset": Fault.reset(), "closed": Fault.closed()}
IMPATIENT: Final = {"timeout": httpx.Timeout(20, read=0.05)}


@pytest.mark.parametrize("name", LOST)
def test_a_refresh_whose_answer_is_lost(mode: str, server: SandboxServer, name: str) -> None:
    """It is not repeated; the refresh token is used up, and the error of the next says what to do.

    The patience is for one answer only.
    """
    time = FakeTime()

    async def begin(flow: AnyFlow) -> Token:
        return await flow.exchange(consent(server, flow))

    async def lose(flow: AnyFlow) -> None:
        server.faults.add("/oauth/token/", LOST[name])
        with pytest.raises(TransportError) as caught:
            await flow.refresh(token)
        assert caught.value.maybe_sent is True

    async def go_on(flow: AnyFlow) -> None:
        with pytest.raises(InvalidGrantError):
            await flow.refresh(token)

    settings = {"credentials": credentials(server), "retry": time.policy()}
    token = with_flow(mode, server.base_url, begin, **settings)
    server.requests.clear()
    with_flow(mode, server.base_url, lose, through=IMPATIENT, **settings)
    assert grants(server) == [("refresh_token", "ok")]
    with_flow(mode, server.base_url, go_on, **settings)
    assert time.waits == []


@pytest.mark.parametrize("name", NOT_DONE)
def test_a_refresh_that_was_lost_on_the_way_there(
    mode: str, server: SandboxServer, name: str
) -> None:
    """Nobody can tell, so that it is not repeated here either; the caller's next one works."""
    time = FakeTime()

    async def journey(flow: AnyFlow) -> None:
        token = await flow.exchange(consent(server, flow))
        server.faults.add("/oauth/token/", NOT_DONE[name])
        with pytest.raises(TransportError) as caught:
            await flow.refresh(token)
        assert caught.value.maybe_sent is True
        assert server.requests.count(path="/oauth/token/") == 1
        await flow.refresh(token)

    settings = {"credentials": credentials(server), "retry": time.policy()}
    with_flow(mode, server.base_url, journey, **settings)
    assert time.waits == []


@pytest.mark.parametrize("name", ["reset", "closed", "truncated"])
def test_an_exchange_whose_answer_is_lost(mode: str, server: SandboxServer, name: str) -> None:
    """The code is not sent twice, which would end what the first exchange gave."""
    time = FakeTime()

    async def journey(flow: AnyFlow) -> None:
        code = consent(server, flow)
        server.faults.add("/oauth/token", LOST[name])
        with pytest.raises(TransportError) as caught:
            await flow.exchange(code)
        assert caught.value.maybe_sent is True

    settings = {"credentials": credentials(server), "retry": time.policy()}
    with_flow(mode, server.base_url, journey, **settings)
    assert grants(server) == [("authorization_code", "ok")]
    assert time.waits == []


@pytest.mark.parametrize("fault", [Fault.reset(), Fault.reset().after_work()], ids=repr)
def test_a_revocation_whose_answer_is_lost(mode: str, server: SandboxServer, fault: Fault) -> None:
    """It is sent again, whether or not the first one was carried out."""
    time = FakeTime()

    async def journey(flow: AnyFlow) -> None:
        token = await flow.exchange(consent(server, flow))
        server.faults.add("/oauth/revoke", fault)
        await flow.revoke(token, "refresh_token")
        with pytest.raises(InvalidGrantError):
            await flow.refresh(token)

    settings = {"credentials": credentials(server), "retry": time.policy()}
    with_flow(mode, server.base_url, journey, **settings)
    assert server.requests.count(path="/oauth/revoke") == 2
    assert len(time.waits) == 1


def test_a_busy_service_is_waited_for(mode: str, server: SandboxServer) -> None:
    """A refresh that was refused for now is carried out once, later."""
    time = FakeTime(CLOCK.now())

    async def journey(flow: AnyFlow) -> None:
        token = await flow.exchange(consent(server, flow))
        server.faults.add("/oauth/token/", Fault.status(429, retry_after=7))
        server.faults.add(
            "/oauth/token/", Fault.status(503, retry_after=9, retry_after_form="asctime")
        )
        await flow.refresh(token)

    settings = {"credentials": credentials(server), "retry": time.policy(), "clock": CLOCK}
    with_flow(mode, server.base_url, journey, **settings)
    assert time.waits == [7, 9]
    assert grants(server)[1:] == [
        ("refresh_token", None),
        ("refresh_token", None),
        ("refresh_token", "ok"),
    ]


# --- The synchronous counterpart of an asynchronous flow ---


@pytest.fixture
def flow(pipedrive_sandbox: PipedriveSandbox) -> AsyncPipedriveOAuth:
    """Give an asynchronous flow with settings of its own."""
    box = pipedrive_sandbox
    return AsyncPipedriveOAuth(
        box.credentials,
        base_url=box.base_url,
        retry=FakeTime().policy(max_attempts=3),
        clock=box.clock,
    )


@pytest.fixture
def counterpart(flow: AsyncPipedriveOAuth) -> Iterator[PipedriveOAuth]:
    """Give its counterpart, and close it."""
    with flow.blocking() as counterpart:
        yield counterpart


def test_settings_are_the_same(flow: AsyncPipedriveOAuth, counterpart: PipedriveOAuth) -> None:
    """The counterpart is for the same app, service and clock."""
    assert type(counterpart) is PipedriveOAuth
    assert counterpart.credentials is flow.credentials
    assert counterpart.base_url == flow.base_url
    assert counterpart.clock is flow.clock


def test_retries_are_the_same(
    pipedrive_sandbox: PipedriveSandbox, flow: AsyncPipedriveOAuth, counterpart: PipedriveOAuth
) -> None:
    """The counterpart tries as often as the flow."""
    box = pipedrive_sandbox
    token = counterpart.exchange(counterpart.read_callback(box.server.install(), NO_STATE))
    box.faults.add(REFRESH_PATH, Fault.status(429), times=5)
    with pytest.raises(RateLimitedError):
        counterpart.refresh(token)
    assert box.requests.count(path=REFRESH_PATH) == 3
    assert flow._retry is counterpart._retry


def test_no_retries_stay_none(pipedrive_sandbox: PipedriveSandbox) -> None:
    """A flow that was told never to try again has a counterpart that never does."""
    box = pipedrive_sandbox
    flow = AsyncPipedriveOAuth(box.credentials, base_url=box.base_url, retry=None)
    with flow.blocking() as counterpart:
        token = counterpart.exchange(counterpart.read_callback(box.server.install(), NO_STATE))
        box.faults.add(REFRESH_PATH, Fault.status(429), times=5)
        with pytest.raises(RateLimitedError):
            counterpart.refresh(token)
    assert box.requests.count(path=REFRESH_PATH) == 1


def test_each_closes_its_own(
    pipedrive_sandbox: PipedriveSandbox, flow: AsyncPipedriveOAuth, counterpart: PipedriveOAuth
) -> None:
    """Closing the flow leaves the connections of its counterpart alone."""
    box = pipedrive_sandbox
    token = counterpart.exchange(counterpart.read_callback(box.server.install(), NO_STATE))
    asyncio.run(flow.aclose())
    assert counterpart.refresh(token).access_token != token.access_token


def test_works_inside_of_a_loop(pipedrive_sandbox: PipedriveSandbox) -> None:
    """A counterpart can be made, and used in a thread, while the flow is in use."""
    box = pipedrive_sandbox

    async def main() -> None:
        async with AsyncPipedriveOAuth(box.credentials, base_url=box.base_url) as flow:
            code = flow.read_callback(box.server.install(), NO_STATE)
            token = await flow.exchange(code)
            with flow.blocking() as counterpart:
                following = await asyncio.to_thread(counterpart.refresh, token)
            assert (await flow.refresh(following)).scope == token.scope

    asyncio.run(main())


def test_own_client_has_no_counterpart() -> None:
    """Nobody but the user knows the settings of an `httpx.AsyncClient`: this is told."""

    async def main() -> None:
        async with httpx.AsyncClient(verify=UNTRUSTING) as client:
            flow = AsyncPipedriveOAuth(CREDENTIALS, client=client)
            with pytest.raises(ConfigurationError, match="Create a PipedriveOAuth"):
                flow.blocking()

    asyncio.run(main())


def test_clock_is_refused_at_once(mode: str) -> None:
    """A clock without a time zone is refused when the flow is made."""
    with pytest.raises(ConfigurationError, match="aware"):
        with_flow(
            mode,
            "http://127.0.0.1:9",
            lambda flow: flow.close(),
            clock=lambda: datetime(2026, 1, 1),  # noqa: DTZ001 - what is refused
        )
