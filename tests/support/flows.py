"""A flow of either kind, awaited whichever it is, so that each test is written once."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple, TypeVar, cast
from urllib.parse import parse_qsl

import httpx

from pipedrive_oauth_client import (
    AppCredentials,
    AsyncPipedriveOAuth,
    PipedriveOAuth,
    PipedriveOAuthError,
    Token,
)
from tests.support.driver import run
from tests.support.samples import CODE, REDIRECT_URI, SENT_REFRESH_TOKEN
from tests.support.tls import UNTRUSTING
from tests.support.untyped import untyped
from tests.support.wire import Peer, Script, Wire

T = TypeVar("T")

CLIENT_SECRET: Final = "client-secret-58b1"
CREDENTIALS: Final = AppCredentials("3f9a1c07d2b84e65", CLIENT_SECRET, REDIRECT_URI)


class AnyFlow:
    """A `PipedriveOAuth` or an `AsyncPipedriveOAuth` behind methods that are awaited.

    Those of a `PipedriveOAuth` block and never suspend.
    """

    def __init__(self, inner: PipedriveOAuth | AsyncPipedriveOAuth) -> None:
        self.inner = inner

    async def exchange(self, code: str = CODE) -> Token:
        """Exchange a code."""
        return await _settled(self.inner.exchange(code))

    async def refresh(self, token: Token | str = SENT_REFRESH_TOKEN) -> Token:
        """Refresh a token."""
        return await _settled(self.inner.refresh(token))

    async def revoke(
        self, token: Token | str = SENT_REFRESH_TOKEN, hint: str = "refresh_token"
    ) -> None:
        """Revoke a token."""
        await _settled(untyped(self.inner.revoke)(token, hint))

    async def close(self) -> None:
        """Close the connections."""
        if isinstance(self.inner, PipedriveOAuth):
            self.inner.close()
        else:
            await self.inner.aclose()


class Step(NamedTuple):
    """One operation of a flow, with an argument that is good for it."""

    name: str
    path: str
    take: Callable[[AnyFlow], Awaitable[object]]


EXCHANGE: Final = Step("get_tokens", "/oauth/token", AnyFlow.exchange)
REFRESH: Final = Step("refresh_tokens", "/oauth/token/", AnyFlow.refresh)
REVOKE: Final = Step("revoke_tokens", "/oauth/revoke", AnyFlow.revoke)
STEPS: Final = (EXCHANGE, REFRESH, REVOKE)


def play(mode: str, main: Callable[[], Awaitable[T]]) -> T:
    """Run a coroutine function: in an event loop, or in none where nothing suspends."""
    if mode != "sync":
        return run(mode, main)
    try:
        main().__await__().send(None)
    except StopIteration as end:
        return cast(T, end.value)
    raise AssertionError("synchronous code suspended")


@contextlib.asynccontextmanager
async def opened(
    mode: str,
    base_url: str,
    *,
    credentials: AppCredentials = CREDENTIALS,
    through: Mapping[str, object] | None = None,
    **settings: object,
) -> AsyncGenerator[AnyFlow]:
    """Open a flow that doesn't try again, unless it is told to.

    It sends through an httpx client with the settings of `through`, which spends no time on the
    machine's certificates.
    """
    arguments: dict[str, Any] = {"verify": UNTRUSTING, **(through or {})}
    wanted: dict[str, Any] = {"base_url": base_url, "retry": None, **settings}
    if mode == "sync":
        with (
            httpx.Client(**arguments) as client,
            PipedriveOAuth(credentials, client=client, **wanted) as flow,
        ):
            yield AnyFlow(flow)
    else:
        async with (
            httpx.AsyncClient(**arguments) as async_client,
            AsyncPipedriveOAuth(credentials, client=async_client, **wanted) as async_flow,
        ):
            yield AnyFlow(async_flow)


def with_flow(
    mode: str, base_url: str, steps: Callable[[AnyFlow], Awaitable[T]], **settings: Any
) -> T:
    """Open a flow, take the steps, and close it."""

    async def main() -> T:
        async with opened(mode, base_url, **settings) as flow:
            return await steps(flow)

    return play(mode, main)


def failure(mode: str, base_url: str, step: Step, **settings: Any) -> PipedriveOAuthError:
    """Open a flow, take a step that has to fail, and give its error."""
    try:
        with_flow(mode, base_url, step.take, **settings)
    except PipedriveOAuthError as error:
        return error
    raise AssertionError("no error was raised")


def in_turn(*answers: bytes | Callable[[], bytes]) -> Script:
    """Answer the first request with the first answer, and so on, on whatever connection it comes.

    The last answer is given to all further requests.
    """
    left = list(answers)

    def play(peer: Peer) -> None:
        while peer.read_request():
            following = left.pop(0) if len(left) > 1 else left[0]
            peer.send(following if isinstance(following, bytes) else following())

    return play


class Sent(NamedTuple):
    """A request, taken apart; the names of its headers in lower case."""

    line: str
    headers: dict[str, str]
    form: dict[str, str]


def sent(wire: Wire) -> list[Sent]:
    """Take apart all that a server has received."""
    return [_taken_apart(request) for request in wire.requests]


def lines(wire: Wire) -> list[str]:
    """List method and path of all that a server has received."""
    return [request.line.removesuffix(" HTTP/1.1") for request in sent(wire)]


def _taken_apart(request: bytes) -> Sent:
    head, _, body = request.decode("ascii").partition("\r\n\r\n")
    line, *fields = head.split("\r\n")
    pairs = (field.partition(": ") for field in fields)
    headers = {name.lower(): value for name, _, value in pairs}
    return Sent(line, headers, dict(parse_qsl(body, strict_parsing=True)))


async def _settled(value: T | Awaitable[T]) -> T:
    return cast(T, await value if inspect.isawaitable(value) else value)
