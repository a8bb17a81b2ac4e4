"""What `PipedriveAuth` does with a request, when it refreshes, and what it sends again."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeAlias

import httpx
import httpx2
import pytest
from attrs import evolve

from pipedrive_oauth_client import (
    AsyncPipedriveOAuth,
    ConfigurationError,
    InvalidClientError,
    PipedriveAuth,
    PipedriveOAuth,
    Token,
    TokenNotFoundError,
    token_source,
)
from pipedrive_oauth_client.adapters.httpx2 import PipedriveHttpx2Auth
from pipedrive_oauth_client.auth import is_replayable
from pipedrive_oauth_client.sandbox import Fault
from pipedrive_oauth_client.stores import MemoryTokenStore
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
from tests.support.driver import ASYNC_MODES
from tests.support.flows import CREDENTIALS, play
from tests.support.samples import token_body
from tests.support.tls import UNTRUSTING
from tests.support.wire import Wire, always, answer

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


@pytest.mark.parametrize("is_replayable", [True, False])
def test_a_new_object_knows_of_the_second_401(
    mode: str, account: Account, is_replayable: bool
) -> None:
    """An app that makes a `PipedriveAuth` for each request sends one refresh a minute, too."""
    account.box.faults.add(ME, Fault.status(401), times=20)

    async def steps(client: AnyClient) -> None:
        body = BODY if is_replayable else pieces() if mode == "sync" else later_pieces()
        assert (await client.send("POST", content=body)).status_code == 401

    for _ in range(6):
        with_client(mode, account, steps, auth=account.auth())
    assert account.refreshes() == 1
    account.box.clock.advance(60 * SECOND)
    with_client(mode, account, steps, auth=account.auth())
    assert account.refreshes() == 2


def test_rest_ends_no_renewal_of_stale_tokens(mode: str, account: Account) -> None:
    """While renewals rest after a second 401, a token that expires is renewed all the same."""
    auth = account.auth()
    account.box.faults.add(ME, Fault.status(401), times=2)
    assert got(mode, account, auth=auth).status_code == 401
    account.box.clock.advance(account.stored().expires_at - account.box.clock() - 30 * SECOND)
    auth.token_source._begin_cooldown()
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

    async def steps(client: AnyClient) -> None:
        answer = await client.send("POST", content=pieces() if mode == "sync" else later_pieces())
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
    account.box.faults.add(REFRESH_PATH, Fault.refusal("client_invalid"))

    async def steps(client: AnyClient) -> None:
        with pytest.raises(InvalidClientError):
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


# --- What is sent the second time is what was sent the first time, or it is not sent at all ---


NOW: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
API: Final = "https://acme.pipedrive.com"
BIG: Final = bytes(range(256)) * 1024

Sent: TypeAlias = tuple[str, dict[str, str], bytes]
Body: TypeAlias = Callable[[ExitStack], dict[str, Any]]

each_library = pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])


def a_pipe(stack: ExitStack) -> io.BufferedReader:
    """Open a file that can be read once and not rewound."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as end:
        end.write(b"from a pipe")
    return stack.enter_context(os.fdopen(reading, "rb"))


def a_file(stack: ExitStack, *, skipped: int = 0) -> io.BufferedReader:
    """Open a real file, some of which has been read already."""
    file = Path(__file__).open("rb")  # noqa: SIM115 - the stack closes it
    stack.enter_context(file)
    file.seek(skipped)
    return file


class Unseekable(io.BytesIO):
    """A file in memory that says that it can't be rewound."""

    def seekable(self) -> bool:
        """Tell that it can't."""
        return False


class Reader:
    """The least that a file can be."""

    def __init__(self) -> None:
        self._left = [b"least"]

    def read(self, _count: int = -1) -> bytes:
        """Give all of it at once."""
        return self._left.pop() if self._left else b""


def pieces() -> Iterator[bytes]:
    """Give a body piece by piece."""
    yield from (b"one", b"two")


async def later_pieces() -> AsyncIterator[bytes]:
    """Do the same in an event loop."""
    for piece in pieces():
        yield piece


REPEATED: Final[dict[str, Body]] = {
    "nothing": lambda _: {},
    "bytes": lambda _: {"content": BIG},
    "empty": lambda _: {"content": b""},
    "text": lambda _: {"content": "dé"},
    "json": lambda _: {"json": {"title": "dé", "value": [1, None, 2.5]}},
    "form": lambda _: {"data": {"title": "dé & co", "n": ["1", "2"]}},
    "fields": lambda _: {"data": {"id": "7"}, "files": {"file": b"in memory"}},
    "text part": lambda _: {"files": {"file": ("a.txt", "in memory", "text/plain")}},
    "buffer": lambda _: {"files": {"file": ("a.bin", io.BytesIO(BIG))}},
    "file": lambda stack: {"data": {"id": "7"}, "files": {"file": a_file(stack)}},
    "read file": lambda stack: {"files": {"file": a_file(stack, skipped=99)}},
    "files": lambda stack: {"files": [("file", a_file(stack)), ("file", ("b", io.BytesIO(b"b")))]},
}

NOT_REPEATED: Final[dict[str, Body]] = {
    "pipe": lambda stack: {"files": {"file": ("p", a_pipe(stack))}},
    "unseekable": lambda _: {"files": {"file": ("u", Unseekable(b"once"))}},
    "least": lambda _: {"files": {"file": ("l", Reader())}},
    "one of two": lambda stack: {
        "files": [("file", io.BytesIO(b"again")), ("file", ("p", a_pipe(stack)))]
    },
}

# What an asynchronous client refuses by itself.
ONCE_IN_SYNC: Final[dict[str, Body]] = {
    "generator": lambda _: {"content": pieces()},
    "file": lambda stack: {"content": a_file(stack)},
    "buffer": lambda _: {"content": io.BytesIO(b"buffer")},
}


class Api:
    """A transport of either library that says 401 once and keeps what was sent, to the last byte.

    It leaves the body's stream as it is: reading it into memory would make any body repeatable.
    """

    def __init__(self, library: Any) -> None:
        self.sent: list[Sent] = []
        outer = self

        class Transport(library.BaseTransport, library.AsyncBaseTransport):  # type: ignore[misc]
            def handle_request(self, request: Any) -> Any:
                return outer._answer(library, request, b"".join(request.stream))

            async def handle_async_request(self, request: Any) -> Any:
                body = b"".join([piece async for piece in request.stream])
                return outer._answer(library, request, body)

        self.transport: Any = Transport()

    def _answer(self, library: Any, request: Any, body: bytes) -> Any:
        headers = dict(request.headers)
        self.sent.append((request.method, headers, body))
        return library.Response(401 if len(self.sent) == 1 else 200)


def post(mode: str, library: Any, body: Callable[[], dict[str, Any]]) -> tuple[int, list[Sent]]:
    """Send a request whose token is rejected; give the status and all that was sent."""
    api = Api(library)
    store = MemoryTokenStore()
    token = Token(
        access_token="old", refresh_token="r", api_domain=API, expires_at=NOW + timedelta(hours=1)
    )
    store.save("acme", token)
    settings: dict[str, Any] = {"transport": api.transport}

    async def main(auth: Any) -> int:
        if mode == "sync":
            with library.Client(auth=auth, **settings) as client:
                return int(client.post(API, **body()).status_code)
        async with library.AsyncClient(auth=auth, **settings) as client:
            return int((await client.post(API, **body())).status_code)

    with (
        Wire(always(answer(token_body()))) as service,
        PipedriveOAuth(CREDENTIALS, base_url=service.url, clock=lambda: NOW, retry=None) as oauth,
    ):
        auth: Any = PipedriveAuth(oauth, store, "acme")
        if library is httpx2:
            auth = PipedriveHttpx2Auth(auth)
        status = play(mode, lambda: main(auth))
    # Whether or not the request could be repeated, the next one has a token that is good.
    assert len(service.requests) == 1
    renewed = store.load("acme")
    assert renewed is not None
    assert renewed.access_token != "old"
    return status, api.sent


@each_library
@pytest.mark.parametrize("body", REPEATED.values(), ids=REPEATED)
def test_what_is_replayable_is_the_same_to_the_last_byte(
    mode: str, library: Any, body: Body
) -> None:
    """Method, headers and body are those of the first attempt; only the token is another."""
    with ExitStack() as stack:
        status, (first, second) = post(mode, library, lambda: body(stack))
    assert status == 200
    assert first[1].pop("authorization") == "Bearer old"
    assert second[1].pop("authorization") != "Bearer old"
    assert first == second
    if "content-length" in first[1]:
        assert len(first[2]) == int(first[1]["content-length"])


@each_library
@pytest.mark.parametrize("body", NOT_REPEATED.values(), ids=NOT_REPEATED)
def test_what_is_used_up_is_not_sent_again(mode: str, library: Any, body: Body) -> None:
    """Half a body, or an empty one, must not arrive; the caller gets the 401."""
    with ExitStack() as stack:
        status, sent = post(mode, library, lambda: body(stack))
    assert status == 401
    assert len(sent) == 1


@each_library
@pytest.mark.parametrize("body", ONCE_IN_SYNC.values(), ids=ONCE_IN_SYNC)
def test_what_can_be_read_once_is_not_sent_again(library: Any, body: Body) -> None:
    """A generator is used up, and nobody says where a file was when it was begun with."""
    with ExitStack() as stack:
        status, sent = post("sync", library, lambda: body(stack))
    assert status == 401
    assert len(sent) == 1


@each_library
@pytest.mark.parametrize("mode", ASYNC_MODES)
def test_an_asynchronous_generator_is_not_sent_again(mode: str, library: Any) -> None:
    """It is used up as any other."""
    status, sent = post(mode, library, lambda: {"content": later_pieces()})
    assert status == 401
    assert [body for _, _, body in sent] == [b"onetwo"]


# --- The question by itself ---


def asked(library: Any, method: str = "POST", **body: Any) -> tuple[Any, Any]:
    """Make a request and the 401 to it."""
    request = library.Request(method, API, **body)
    return request, library.Response(401, request=request)


@each_library
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_only_a_look_is_repeated_after_a_redirect(library: Any, method: str) -> None:
    """An answer that redirects may say that the request was carried out."""
    request, response = asked(library, method)
    assert is_replayable(request, response)
    _, of_another = asked(library, "GET")
    assert is_replayable(request, of_another) == (method in ("GET", "HEAD"))


@each_library
def test_what_somebody_has_read_into_memory_is_replayable(library: Any) -> None:
    """An event hook that reads the body of a request, for example to sign it, keeps it."""
    request, response = asked(library, content=pieces())
    assert not is_replayable(request, response)
    request.read()
    assert is_replayable(request, response)


@each_library
def test_a_stream_of_the_user_s_own_is_not_sent_again(library: Any) -> None:
    """Nobody knows whether it can be read twice, whatever attributes it has."""

    class Own(library.SyncByteStream):  # type: ignore[misc]
        fields = ("name", "value")

        def __iter__(self) -> Iterator[bytes]:
            return pieces()

    assert not is_replayable(*asked(library, stream=Own()))


@each_library
def test_a_file_that_was_closed_is_not_sent_again(library: Any) -> None:
    """The caller gets the 401, and not an error about a file."""
    file = io.BytesIO(b"closed")
    request, response = asked(library, files={"file": file})
    assert is_replayable(request, response)
    file.close()
    assert not is_replayable(request, response)
