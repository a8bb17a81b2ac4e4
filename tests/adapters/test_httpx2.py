"""Clients of httpx2, sync and async, send the token where it may go, renewed once."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final, TypeVar

import anyio
import httpx2
import pytest

from pipedrive_oauth_client import (
    ConfigurationError,
    InvalidGrantError,
    PipedriveAuth,
)
from pipedrive_oauth_client.adapters.httpx2 import PipedriveHttpx2Auth
from pipedrive_oauth_client.pytest_plugin import PipedriveSandbox
from pipedrive_oauth_client.sandbox import Fault
from tests.adapters.sessions import installed
from tests.support.driver import ASYNC_MODES, run
from tests.support.flows import play
from tests.support.samples import ACCESS_TOKEN, REFRESH_TOKEN
from tests.support.sites import (
    DONE,
    HOUR,
    NEW,
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

T = TypeVar("T")

ME: Final = "/api/v1/users/me"


class AnyClient:
    """A client of either kind behind methods that are awaited; those of a sync one block."""

    def __init__(self, inner: httpx2.Client | httpx2.AsyncClient) -> None:
        self.inner = inner

    async def request(self, method: str, url: str, **settings: Any) -> httpx2.Response:
        """Send a request."""
        answered: Any = self.inner.request(method, url, **settings)
        done: httpx2.Response = await answered if inspect.isawaitable(answered) else answered
        return done

    async def get(self, url: str, **settings: Any) -> httpx2.Response:
        """Ask for something."""
        return await self.request("GET", url, **settings)

    async def stream(self, url: str) -> tuple[bool, bytes]:
        """Ask for something piece by piece; tell whether it had been read before, and give it."""
        if isinstance(self.inner, httpx2.Client):
            with self.inner.stream("GET", url) as answered:
                return answered.is_stream_consumed, b"".join(answered.iter_raw())
        async with self.inner.stream("GET", url) as answered:
            return answered.is_stream_consumed, b"".join(
                [each async for each in answered.aiter_raw()]
            )


@asynccontextmanager
async def opened(
    mode: str, auth: PipedriveAuth | None, **settings: Any
) -> AsyncGenerator[AnyClient]:
    """Open a client that follows redirects."""
    wanted: dict[str, Any] = {"follow_redirects": True, "verify": UNTRUSTING, **settings}
    if auth is not None:
        wanted["auth"] = PipedriveHttpx2Auth(auth)
    if mode == "sync":
        with httpx2.Client(**wanted) as client:
            yield AnyClient(client)
    else:
        async with httpx2.AsyncClient(**wanted) as async_client:
            yield AnyClient(async_client)


def with_client(
    mode: str,
    auth: PipedriveAuth | None,
    steps: Callable[[AnyClient], Awaitable[T]],
    **settings: Any,
) -> T:
    """Open a client, take the steps, and close it."""

    async def main() -> T:
        async with opened(mode, auth, **settings) as client:
            return await steps(client)

    return play(mode, main)


def request(mode: str, auth: PipedriveAuth, method: str, url: str, **body: Any) -> httpx2.Response:
    """Send one request with a client of its own."""
    return with_client(mode, auth, lambda client: client.request(method, url, **body))


# --- Against the sandbox ---


def test_a_valid_token_is_sent(mode: str, pipedrive_sandbox: PipedriveSandbox) -> None:
    """The API answers, and nothing is renewed."""
    url = f"{pipedrive_sandbox.base_url}{ME}"

    async def steps(client: AnyClient) -> None:
        for _ in range(3):
            done = await client.get(url)
            assert done.json()["success"] is True
            assert done.history == []

    with installed(pipedrive_sandbox) as auth:
        with_client(mode, auth, steps)
    assert pipedrive_sandbox.requests.count(grant_type="refresh_token") == 0


def test_a_stale_token_is_renewed_first(mode: str, pipedrive_sandbox: PipedriveSandbox) -> None:
    """The API never sees the old one."""
    url = f"{pipedrive_sandbox.base_url}{ME}"

    async def steps(client: AnyClient) -> None:
        for _ in range(2):
            assert (await client.get(url)).status_code == 200

    with installed(pipedrive_sandbox) as auth:
        pipedrive_sandbox.clock.advance(HOUR)
        with_client(mode, auth, steps)
    assert pipedrive_sandbox.requests.count(grant_type="refresh_token") == 1
    assert pipedrive_sandbox.requests.count(path=ME, status=401) == 0


def test_a_401_is_answered_with_a_new_token(mode: str, pipedrive_sandbox: PipedriveSandbox) -> None:
    """The request is sent once more, and what the API said first stands in the history."""
    pipedrive_sandbox.faults.add(ME, Fault.status(401))
    with installed(pipedrive_sandbox) as auth:
        done = request(mode, auth, "GET", f"{pipedrive_sandbox.base_url}{ME}")
    assert done.json()["success"] is True
    assert [each.status_code for each in done.history] == [401]
    assert pipedrive_sandbox.requests.count(grant_type="refresh_token") == 1


def test_renewals_that_do_not_help_are_given_a_rest(
    mode: str, pipedrive_sandbox: PipedriveSandbox
) -> None:
    """The second 401 is the caller's, and so are those of the next minute, without a renewal."""
    pipedrive_sandbox.faults.add(ME, Fault.status(401), times=1000)
    url, count = f"{pipedrive_sandbox.base_url}{ME}", pipedrive_sandbox.requests.count

    async def steps(client: AnyClient) -> None:
        for _ in range(5):
            assert (await client.get(url)).status_code == 401
        assert (count(path=ME), count(grant_type="refresh_token")) == (6, 1)
        pipedrive_sandbox.clock.advance(timedelta(seconds=61))
        assert (await client.get(url)).status_code == 401
        assert (count(path=ME), count(grant_type="refresh_token")) == (8, 2)

    with installed(pipedrive_sandbox) as auth:
        with_client(mode, auth, steps)


@pytest.mark.parametrize("mode", ASYNC_MODES)
def test_tasks_that_share_a_client_renew_once(
    mode: str, pipedrive_sandbox: PipedriveSandbox
) -> None:
    """They all find a stale token, and all get the new one."""
    url = f"{pipedrive_sandbox.base_url}{ME}"
    statuses: list[int] = []

    async def main() -> None:
        async with opened(mode, auth) as client:

            async def ask() -> None:
                statuses.append((await client.get(url)).status_code)

            async with anyio.create_task_group() as tasks:
                for _ in range(50):
                    tasks.start_soon(ask)

    with installed(pipedrive_sandbox) as auth:
        pipedrive_sandbox.clock.advance(HOUR)
        run(mode, main)
    assert statuses == [200] * 50
    assert pipedrive_sandbox.requests.count(grant_type="refresh_token") == 1


def test_a_grant_that_is_over_is_an_error_of_this_package(
    mode: str, pipedrive_sandbox: PipedriveSandbox
) -> None:
    """Nothing is sent to the API, and the error shows no token."""
    with installed(pipedrive_sandbox) as auth:
        token = auth.token()
        pipedrive_sandbox.clock.advance(timedelta(days=61))
        with pytest.raises(InvalidGrantError) as caught:
            request(mode, auth, "GET", f"{pipedrive_sandbox.base_url}{ME}")
    assert token.refresh_token is not None
    assert found(visible(caught.value), [token.access_token, token.refresh_token]) == []
    assert pipedrive_sandbox.requests.count(path=ME) == 0


# --- Where the token goes ---


def test_a_foreign_host_gets_nothing(mode: str) -> None:
    """Its requests stay as they are, and its 401 renews nothing."""

    async def steps(client: AnyClient) -> None:
        await client.get(site.api.url)
        assert (await client.get(site.other.url)).status_code == 401
        await client.get(site.other.url, headers={"Authorization": "Basic own"})

    with served() as site, authorized(site) as auth:
        site.other_answers[:] = [UNAUTHORIZED]
        with_client(mode, auth, steps)
    assert site.headers() == ([OLD], [None, "Basic own"], 0)


@pytest.mark.parametrize("status", REDIRECTS)
def test_a_redirect_elsewhere_does_not_carry_the_token(mode: str, status: int) -> None:
    """Whatever its status, and a 401 from there is not the token's."""
    with served() as site, authorized(site) as auth:
        site.api_answers[:] = [redirect(site.other.url, status)]
        site.other_answers[:] = [UNAUTHORIZED]
        assert request(mode, auth, "GET", site.api.url).status_code == 401
        assert request(mode, auth, "POST", site.api.url, content=b"x").status_code == 401
    assert site.headers() == ([OLD, OLD], [None, None], 0)


def test_a_redirect_there_and_back_renews_nothing(mode: str) -> None:
    """The API was not shown the token the second time."""
    with served() as site, authorized(site) as auth:
        site.api_answers[:] = [redirect(site.other.url), UNAUTHORIZED]
        site.other_answers[:] = [redirect(site.api.url)]
        assert request(mode, auth, "GET", site.api.url).status_code == 401
    assert site.headers() == ([OLD, None], [None], 0)


@pytest.mark.parametrize("status", REDIRECTS)
def test_what_was_sent_before_a_redirect_is_not_repeated(mode: str, status: int) -> None:
    """A look is; a POST that was answered with a redirect may have been carried out."""
    with served() as site, authorized(site) as auth:
        site.api_answers[:] = [redirect("/second", status), UNAUTHORIZED, DONE]
        assert request(mode, auth, "POST", site.api.url, content=b"x").status_code == 401
        site.api_answers[:] = [redirect("/second", status), DONE]
        assert request(mode, auth, "GET", site.api.url).status_code == 200
    assert site.headers() == ([OLD, OLD, NEW, NEW], [], 1)


def test_hosts_adds_one(mode: str) -> None:
    """A host that the user names gets the token as the API does, renewed if need be."""
    with served() as site, authorized(site, hosts=[site.other.url]) as auth:
        site.other_answers[:] = [UNAUTHORIZED, DONE]
        assert request(mode, auth, "GET", site.other.url).status_code == 200
    assert site.headers() == ([], [OLD, NEW], 1)


def test_no_place_at_all_is_an_error(mode: str) -> None:
    """Nothing is sent."""
    with (
        served() as site,
        authorized(site, api_domain=None) as auth,
        pytest.raises(ConfigurationError, match="hosts="),
    ):
        request(mode, auth, "GET", site.api.url)
    assert site.headers() == ([], [], 0)


def test_a_single_request_may_have_it_of_its_own(mode: str) -> None:
    """The client, which has no auth, sends the next one without a token."""

    async def steps(client: AnyClient) -> None:
        done = await client.get(site.api.url, auth=PipedriveHttpx2Auth(auth))
        assert done.status_code == 200
        await client.get(site.api.url)

    with served() as site, authorized(site) as auth:
        site.api_answers[:] = [UNAUTHORIZED, DONE]
        with_client(mode, None, steps)
    assert site.headers() == ([OLD, NEW, None], [], 1)


# --- What else a client does ---


def test_connections_are_used_again(mode: str) -> None:
    """The 401 is read to its end, so that one connection carries everything."""

    async def steps(client: AnyClient) -> None:
        for _ in range(3):
            assert (await client.get(site.api.url)).status_code == 200

    with served() as site, authorized(site) as auth:
        site.api_answers[:] = [answer(b"x" * 100_000, status=401), DONE]
        with_client(mode, auth, steps)
    assert site.headers()[0] == [OLD, NEW, NEW, NEW]
    assert len(site.api.peers) == 1


def test_a_streamed_answer_is_left_to_the_caller(mode: str) -> None:
    """It is the new answer, and nobody has read it before."""
    with served() as site, authorized(site) as auth:
        site.api_answers[:] = [UNAUTHORIZED, answer(b"piece by piece")]
        got = with_client(mode, auth, lambda client: client.stream(site.api.url))
    assert got == (False, b"piece by piece")
    assert site.headers() == ([OLD, NEW], [], 1)


def test_hooks_of_the_user_s_own_are_kept(mode: str) -> None:
    """They see each request with its token, and each answer, as they do with any auth of httpx2."""
    seen: list[object] = []

    def note(each: httpx2.Request | httpx2.Response) -> None:
        seen.append(
            each.status_code if isinstance(each, httpx2.Response) else each.headers["Authorization"]
        )

    async def note_later(each: httpx2.Request | httpx2.Response) -> None:
        note(each)

    hook = note if mode == "sync" else note_later
    with served() as site, authorized(site) as auth:
        site.api_answers[:] = [UNAUTHORIZED, DONE]
        with_client(
            mode,
            auth,
            lambda client: client.get(site.api.url),
            event_hooks={"request": [hook], "response": [hook]},
        )
    assert seen == [OLD, 401, NEW, 200]


@pytest.mark.parametrize("mode", ASYNC_MODES)
def test_a_request_that_is_given_up_leaves_nothing_open(mode: str) -> None:
    """A generator that is closed halfway closes the one that it stands on."""

    async def main() -> None:
        flow = PipedriveHttpx2Auth(auth).async_auth_flow(httpx2.Request("GET", site.api.url))
        assert (await anext(flow)).headers["Authorization"] == OLD
        await flow.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(flow)

    with served() as site, authorized(site) as auth:
        run(mode, main)


@pytest.mark.parametrize("auth", [None, "token", ("id", "secret"), PipedriveHttpx2Auth])
def test_something_else_than_an_auth_is_refused(auth: object) -> None:
    """The error names the argument."""
    with pytest.raises(ConfigurationError, match="auth must be PipedriveAuth"):
        untyped(PipedriveHttpx2Auth)(auth)


def test_no_secret_is_shown(mode: str) -> None:
    """`repr` names the account and no more."""
    with served() as site, authorized(site) as auth:
        request(mode, auth, "GET", site.api.url)
        shown = repr(PipedriveHttpx2Auth(auth))
    assert shown == "PipedriveHttpx2Auth(PipedriveAuth(account='acme'))"
    assert found(shown, [OLD_ACCESS_TOKEN, ACCESS_TOKEN, REFRESH_TOKEN]) == []
