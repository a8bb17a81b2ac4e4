"""What `PipedriveAuth` does with a request, and when it renews, against a rotating sandbox."""

from __future__ import annotations

import io
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any, Final

import httpx
import pytest
from attrs import evolve

from pipedrive_oauth_client import (
    AsyncPipedriveOAuth,
    ConfigurationError,
    InvalidGrantError,
    PipedriveAuth,
    PipedriveOAuth,
    TokenNotFoundError,
    token_source,
)
from pipedrive_oauth_client.sandbox import Fault
from pipedrive_oauth_client.tokens import DEFAULT_LEEWAY
from tests.support.auths import (
    ACCOUNT,
    ME,
    REFRESH_PATH,
    Account,
    AnyClient,
    given,
    got,
    sent_token,
    served,
    with_client,
)
from tests.support.tls import UNTRUSTING

BODY: Final = b'{"title": "A deal"}'
SECOND: Final = timedelta(seconds=1)


def test_token_in_memory_asks_nobody(
    mode: str, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a valid token a request costs no call of the store, no lock, no thread, no flight."""
    made: list[str] = []

    async def steps(client: AnyClient) -> None:
        first = await client.get()
        before = account.store.calls.copy()
        with monkeypatch.context() as patched:
            for name in ("Thread", "Lock", "Condition"):
                patched.setattr(threading, name, lambda *_a, name=name, **_k: made.append(name))
            patched.setattr(token_source, "start_or_join", lambda *_a, **_k: made.append("flight"))
            requests = [httpx.Request("GET", f"{account.box.base_url}{ME}") for _ in range(3)]
            for request in requests:
                if mode == "sync":
                    next(client.auth.sync_auth_flow(request))
                else:
                    flow = client.auth.async_auth_flow(request)
                    await anext(flow)
                    await flow.aclose()
                assert request.headers["Authorization"] == f"Bearer {sent_token(first)}"
            assert await client.token() == account.token
        assert account.store.calls == before
        assert (await client.get()).status_code == 200
        assert account.store.calls == before

    with_client(mode, account, steps)
    assert made == []


def test_stored_token_is_loaded_once(mode: str, account: Account) -> None:
    """The token is loaded with the first request, takes no lock, and is sent as a bearer token."""

    async def steps(client: AnyClient) -> list[httpx.Response]:
        return [await client.get() for _ in range(3)]

    answers = with_client(mode, account, steps)
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert {sent_token(answer) for answer in answers} == {account.token.access_token}
    assert account.store.calls == {"load": 1}
    assert account.refreshes() == 0


@pytest.mark.parametrize("leeway", [DEFAULT_LEEWAY, timedelta(minutes=5), timedelta(0)])
@pytest.mark.parametrize("is_known", [False, True], ids=["stored", "known"])
def test_stale_from_the_leeway_on(
    mode: str, account: Account, leeway: timedelta, is_known: bool
) -> None:
    """A token is renewed when exactly the leeway is left of it, and not a second earlier."""
    known = account.auth(leeway=leeway)
    given(mode, account, auth=known)

    def sent() -> str:
        auth = known if is_known else account.auth(leeway=leeway)
        return sent_token(got(mode, account, auth=auth))

    left = account.token.expires_at - account.box.clock()
    account.box.clock.advance(left - leeway - SECOND)
    assert sent() == account.token.access_token
    assert account.refreshes() == 0
    account.box.clock.advance(SECOND)
    renewed = sent()
    assert renewed == account.stored().access_token != account.token.access_token
    assert account.refreshes() == 1


def test_renewed_by_somebody_else(mode: str, account: Account) -> None:
    """A token that another process has renewed is taken from the store, with no refresh."""
    auth = account.auth()
    given(mode, account, auth=auth)
    account.expire()
    theirs = account.renew_elsewhere()
    account.box.requests.clear()
    account.store.calls.clear()
    assert sent_token(got(mode, account, auth=auth)) == theirs.access_token
    assert account.refreshes() == 0
    assert account.store.calls == {"load": 1}


def test_rejected_token_is_replaced_once(mode: str, account: Account) -> None:
    """After a 401 the request goes out once more, and only the API's 401 is in its history."""
    account.revoke_access_token()
    answer = got(mode, account)
    assert answer.status_code == 200
    assert [(each.status_code, each.request.url.path) for each in answer.history] == [(401, ME)]
    assert sent_token(answer) == account.stored().access_token
    assert (account.refreshes(), account.api_calls()) == (1, 2)
    assert answer.json()["success"]


def test_rejected_token_was_replaced_already(mode: str, account: Account) -> None:
    """After a 401 a newer token in the store is used, with no refresh."""
    auth = account.auth()
    given(mode, account, auth=auth)
    account.revoke_access_token()
    theirs = account.renew_elsewhere()
    account.box.requests.clear()
    answer = got(mode, account, auth=auth)
    assert answer.status_code == 200
    assert sent_token(answer) == theirs.access_token
    assert account.refreshes() == 0


def test_second_401_is_the_callers(mode: str, account: Account) -> None:
    """A 401 to the new token, too, is given to the caller, and renewals rest for 60 seconds."""
    auth = account.auth()
    account.box.faults.add(ME, Fault.status(401), times=7)

    async def steps(client: AnyClient) -> None:
        assert (await client.get()).status_code == 401
        assert (account.refreshes(), account.api_calls()) == (1, 2)
        for seconds in (0, 59):
            account.box.clock.advance(seconds * SECOND)
            answer = await client.get()
            assert (answer.status_code, answer.history) == (401, [])
        assert (account.refreshes(), account.api_calls()) == (1, 4)
        account.box.clock.advance(SECOND)
        assert (await client.get()).status_code == 401
        assert (account.refreshes(), account.api_calls()) == (2, 6)

    with_client(mode, account, steps, auth=auth)


def test_rest_ends_no_renewal_of_stale_tokens(mode: str, account: Account) -> None:
    """While renewals rest after a second 401, a token that expires is renewed all the same."""
    auth = account.auth()
    account.box.faults.add(ME, Fault.status(401), times=2)
    assert got(mode, account, auth=auth).status_code == 401
    account.box.clock.advance(account.stored().expires_at - account.box.clock() - 30 * SECOND)
    auth.token_source.cooldown.start(account.box.clock())
    assert got(mode, account, auth=auth).status_code == 200
    assert account.refreshes() == 2


@pytest.mark.parametrize(
    "content",
    [
        {"content": BODY},
        {"json": {"title": "A deal"}},
        {"data": {"title": "A deal"}},
        {"files": {"file": ("a.txt", io.BytesIO(BODY))}},
    ],
    ids=["bytes", "json", "form", "multipart"],
)
def test_body_is_sent_again(mode: str, account: Account, content: dict[str, Any]) -> None:
    """A POST whose body is in memory, or can be rewound, goes out again as it was."""
    bodies: list[bytes] = []

    def answer_to(request: httpx.Request) -> httpx.Response:
        bodies.append(request.read())
        is_old = account.token.access_token in request.headers["Authorization"]
        return httpx.Response(401 if is_old else 201)

    answer = with_client(
        mode,
        account,
        lambda client: client.send("POST", **content),
        transport=httpx.MockTransport(answer_to),
    )
    assert answer.status_code == 201
    assert [each.status_code for each in answer.history] == [401]
    assert len(bodies) == 2
    assert bodies[0] == bodies[1] != b""


def test_body_that_is_used_up_is_not_sent_again(mode: str, account: Account) -> None:
    """A body out of a generator is not sent again: the 401 is the caller's, the token renewed."""
    account.revoke_access_token()
    account.box.faults.add(ME, Fault.status(401))

    def parts() -> Iterator[bytes]:
        yield BODY

    async def async_parts() -> AsyncIterator[bytes]:
        yield BODY

    async def steps(client: AnyClient) -> None:
        answer = await client.send("POST", content=parts() if mode == "sync" else async_parts())
        assert (answer.status_code, answer.history) == (401, [])
        assert (account.refreshes(), account.api_calls()) == (1, 1)
        assert (await client.get()).status_code == 200
        assert account.refreshes() == 1

    with_client(mode, account, steps)


@pytest.mark.parametrize(("method", "calls"), [("GET", 4), ("POST", 2)])
def test_redirected_post_is_not_repeated(
    mode: str, account: Account, method: str, calls: int
) -> None:
    """What was redirected before its 401 is done again if it only reads, and never if it writes."""
    account.box.faults.add(ME, Fault.redirect("/api/v2/deals", status=307), times=2)
    account.revoke_access_token()
    account.box.faults.add("/api/v2/deals", Fault.status(401), times=1)
    account.box.requests.clear()
    answer = with_client(
        mode, account, lambda client: client.send(method, content=b"x"), follow_redirects=True
    )
    assert answer.status_code == (200 if method == "GET" else 401)
    assert account.refreshes() == 1
    assert account.box.requests.count(method=method) - (method == "POST") == calls


def test_foreign_host_gets_no_token(mode: str, account: Account) -> None:
    """A request to another origin carries no token, and none is renewed for its 401."""
    auth = account.auth()
    given(mode, account, auth=auth)
    account.expire()
    with served() as other:
        answer = with_client(
            mode, account, lambda client: client.get(f"{other.base_url}{ME}"), auth=auth
        )
        assert other.requests.count(path=ME) == 1
    assert answer.status_code == 401
    assert "Authorization" not in answer.request.headers
    assert account.refreshes() == 0


def test_foreign_401_after_a_redirect_renews_nothing(mode: str, account: Account) -> None:
    """When a redirect leads to another host, that gets no token and its 401 renews nothing."""
    with served() as other:
        account.box.faults.add(ME, Fault.redirect(f"{other.base_url}{ME}"))
        answer = got(mode, account, follow_redirects=True)
    assert answer.status_code == 401
    assert "Authorization" not in answer.request.headers
    assert [each.status_code for each in answer.history] == [302]
    assert account.refreshes() == 0


def test_named_host_that_was_not_shown_the_token(mode: str, account: Account) -> None:
    """A named host to which a redirect brought no token can't have rejected it: nothing renews."""
    with served() as other:
        account.box.faults.add(ME, Fault.redirect(f"{other.base_url}{ME}"))
        auth = account.auth(hosts=[other.base_url])
        answer = got(mode, account, auth=auth, follow_redirects=True)
    assert answer.status_code == 401
    assert "Authorization" not in answer.request.headers
    assert account.refreshes() == 0


def test_redirect_there_and_back(mode: str, account: Account) -> None:
    """A redirect to another host and back, which takes the token off, costs no renewal."""
    with served() as other:
        account.box.faults.add(ME, Fault.redirect(f"{other.base_url}{ME}"))
        other.faults.add(ME, Fault.redirect(f"{account.box.base_url}/api/v2/deals"))
        answer = got(mode, account, follow_redirects=True)
    assert (answer.status_code, answer.request.url.path) == (401, "/api/v2/deals")
    assert "Authorization" not in answer.request.headers
    assert account.refreshes() == 0


def test_named_host_gets_the_token(mode: str, account: Account) -> None:
    """A request to a host that the user has named carries the token."""
    with served() as other:
        answer = with_client(
            mode,
            account,
            lambda client: client.get(f"{other.base_url}{ME}"),
            auth=account.auth(hosts=[other.base_url]),
        )
    assert sent_token(answer) == account.stored().access_token
    assert account.refreshes() == 1  # that host knows none of these tokens, and answers 401


def test_streamed_answers(mode: str, account: Account) -> None:
    """A streamed answer comes unread, after a 401 that was read and closed."""
    account.revoke_access_token()

    async def steps(client: AnyClient) -> None:
        request = client.inner.build_request("GET", ME)
        if isinstance(client.inner, httpx.Client):
            answer = client.inner.send(request, stream=True)
            assert not answer.is_stream_consumed
            body = b"".join(answer.iter_bytes())
            answer.close()
        else:
            answer = await client.inner.send(request, stream=True)
            assert not answer.is_stream_consumed
            body = b"".join([part async for part in answer.aiter_bytes()])
            await answer.aclose()
        assert answer.status_code == 200
        assert b'"success"' in body
        assert [each.is_closed for each in answer.history] == [True]

    with_client(mode, account, steps)


def test_unknown_account(mode: str, account: Account) -> None:
    """Without a stored token nothing is sent, and the error says that somebody must authorize."""
    account.store.inner.delete(ACCOUNT)
    with pytest.raises(TokenNotFoundError, match="authorize"):
        got(mode, account)
    assert len(account.box.requests) == 0


def test_failure_during_a_401_closes_the_answer(mode: str, account: Account) -> None:
    """When the renewal after a 401 fails, its error is raised and the connection is given back."""
    account.revoke_access_token()
    account.box.faults.add(REFRESH_PATH, Fault.refusal("refresh_token_invalid"))

    async def steps(client: AnyClient) -> None:
        with pytest.raises(InvalidGrantError):
            await client.get()
        assert (await client.get()).status_code == 200  # over the only connection

    with_client(mode, account, steps, limits=httpx.Limits(max_connections=1), timeout=5)
    assert account.refreshes() == 2


def test_token_and_rejected(mode: str, account: Account) -> None:
    """Other libraries get the token, and another one for a token that the API has rejected."""

    async def steps(client: AnyClient) -> None:
        first = await client.token()
        assert first == account.token == await client.token()
        second = await client.token(rejected=first)
        assert second == account.stored() != first
        # Whoever comes late with the first one gets the second, and costs nothing.
        assert await client.token(rejected=first) == second
        assert account.refreshes() == 1

    with_client(mode, account, steps)


@pytest.mark.parametrize("hours", [-5, 5, 24 * 365])
def test_clock_that_jumps(mode: str, account: Account, hours: int) -> None:
    """After the clock has jumped, one renewal at most is made, and requests go on working."""
    offset = timedelta(0)

    def clock() -> Any:
        return account.box.clock() + offset

    with PipedriveOAuth(
        account.box.credentials,
        base_url=account.box.base_url,
        retry=None,
        clock=clock,
        client=httpx.Client(verify=UNTRUSTING),
    ) as oauth:
        auth = PipedriveAuth(oauth, account.store, ACCOUNT)

        async def steps(client: AnyClient) -> None:
            nonlocal offset
            assert (await client.get()).status_code == 200
            offset = timedelta(hours=hours)
            for _ in range(5):
                assert (await client.get()).status_code == 200
            assert account.refreshes() == (1 if hours > 0 else 0)
            offset = timedelta(0)
            for _ in range(5):
                assert (await client.get()).status_code == 200
            account.expire()
            for _ in range(5):
                assert (await client.get()).status_code == 200

        with_client(mode, account, steps, auth=auth)
        oauth._client.get_httpx_client().close()
    assert account.refreshes() <= 3


def test_async_flow_renews(mode: str, account: Account) -> None:
    """An asynchronous flow serves as well: its synchronous counterpart renews."""
    async_oauth = AsyncPipedriveOAuth(
        account.box.credentials, base_url=account.box.base_url, retry=None, clock=account.box.clock
    )
    auth = PipedriveAuth(async_oauth, account.store, ACCOUNT)
    account.expire()
    assert got(mode, account, auth=auth).status_code == 200
    assert account.refreshes() == 1
    auth.token_source._oauth.close()


def test_one_auth_for_all_kinds(account: Account) -> None:
    """One object serves sync and async clients, one after the other, with one renewal."""
    auth = account.auth()
    account.expire()
    for mode in ("sync", "asyncio", "trio", "sync"):
        assert got(mode, account, auth=auth).status_code == 200
    assert account.refreshes() == 1


def test_token_without_an_address(mode: str, account: Account) -> None:
    """A token without an API domain goes nowhere until a host is named."""
    account.store.inner.save(ACCOUNT, evolve(account.token, api_domain=None))
    with pytest.raises(ConfigurationError, match="hosts="):
        got(mode, account)
    assert account.api_calls() == 0
    answer = got(mode, account, auth=account.auth(hosts=[account.box.base_url]))
    assert answer.status_code == 200
