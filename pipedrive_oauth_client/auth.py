"""A bearer token that is always valid: `PipedriveAuth`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, TypeAlias

import httpx
from attrs import define, field

from pipedrive_oauth_client._checks import read_clock
from pipedrive_oauth_client.oauth import AsyncPipedriveOAuth, PipedriveOAuth
from pipedrive_oauth_client.stores.protocol import TokenStore
from pipedrive_oauth_client.token_source import Bearer, TokenSupply
from pipedrive_oauth_client.tokens import DEFAULT_LEEWAY, Token

__all__ = ["PipedriveAuth", "Rest", "can_be_sent_again"]


def can_be_sent_again(request: httpx.Request, response: httpx.Response) -> bool:
    """Tell whether a request that was answered with status 401 can be sent once more.

    Args:
        request: The request, of httpx or httpx2.
        response: The answer to it, or to where it was redirected.

    Returns:
        Whether its body is there still, and nothing was done on the way.
    """
    # An answer that redirects may say that the request was carried out.
    if response.request is not request and request.method not in ("GET", "HEAD"):
        return False
    stream: Any = request.stream
    # The parts of a multipart form: what stands in memory, and files that can be rewound.
    fields = getattr(stream, "fields", None)
    if fields is not None:
        # A stream of the user's own may happen to have an attribute of this name.
        return all(hasattr(field, "render") and _is_there_still(field) for field in fields)
    try:
        bytes(request.content)
    except RuntimeError:  # httpx.RequestNotRead: it came from an iterator, which is used up
        return False
    return True


def _is_there_still(field: Any) -> bool:
    file = getattr(field, "file", b"")
    if isinstance(file, str | bytes):
        return True
    try:
        return bool(file.seekable())
    except (AttributeError, OSError, ValueError):  # it can't say, or is closed
        return False


_LENGTH: Final = timedelta(seconds=60)


@define
class Rest:
    """Remembers that the API rejected even a token that had just been renewed.

    Then it is not the token that it minds, and the next answers with status 401 are given to the
    caller as they are, for a minute: else each of them would cost a renewal.
    """

    _since: datetime | None = field(default=None, init=False)

    def begin(self, now: datetime) -> None:
        """Begin it.

        Args:
            now: The present, aware.
        """
        self._since = now

    def is_on(self, now: datetime) -> bool:
        """Tell whether it goes on.

        Args:
            now: The present, aware. A clock that was put back does not prolong it.

        Returns:
            Whether a renewal would be in vain.
        """
        since = self._since
        return since is not None and timedelta(0) <= now - since < _LENGTH


class _Need(NamedTuple):
    """What a request needs before it goes on: a token, and not the one that was rejected.

    The answer that rejected it is read first: it may hold the only connection.
    """

    rejected: Token | None = None
    answer: httpx.Response | None = None


_Step: TypeAlias = httpx.Request | _Need


class PipedriveAuth(httpx.Auth):
    """Sends a valid access token with every request of an httpx client, sync or async.

    A token that is about to expire, or that the API has answered with status 401, is renewed once,
    however many threads, tasks, event loops, processes and machines need it at that moment, and all
    get the new one. The token goes to its own `api_domain`, and to the hosts that you name;
    requests to anywhere else are left as they are. After a 401 the request is sent once more if
    its body can be.

    It may be shared by clients, threads and event loops.

    Args:
        oauth: The flow that renews. Of an asynchronous one the synchronous counterpart is used.
        store: Where the account's token is kept. The person's first token is saved there by you.
        account: The account.
        leeway: How long before its expiry a token is renewed.
        hosts: Where the token may go besides its `api_domain`: hosts, `api.acme.com`, or origins,
            `https://api.acme.com:8443`.

    Raises:
        ConfigurationError: An argument can't be right.

    Source:
        RFC 6750, section 2.1; RFC 9700, section 4.14.
    """

    def __init__(
        self,
        oauth: PipedriveOAuth | AsyncPipedriveOAuth,
        store: TokenStore,
        account: str,
        *,
        leeway: timedelta = DEFAULT_LEEWAY,
        hosts: Iterable[str] = (),
    ) -> None:
        self._supply = TokenSupply(oauth, store, account, leeway=leeway, hosts=hosts)
        # For the adapters of other libraries, which take part in it.
        self.rest: Final = Rest()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(account={self.account!r})"

    @property
    def account(self) -> str:
        """The account that this is for."""
        return self._supply.account

    @property
    def clock(self) -> Callable[[], datetime]:
        """What gives the present, as an aware datetime: the flow's clock."""
        return self._supply.clock

    def token(self, *, rejected: Token | None = None) -> Token:
        """Give a valid token, for any other way of sending requests.

        Args:
            rejected: A token from here that the API has answered with status 401. Then another is
                obtained, unless somebody has done so already.

        Returns:
            The token.

        Raises:
            TokenNotFoundError: No token is stored for the account.
            InvalidGrantError: The grant is over; the person has to authorize again.
            PipedriveOAuthError: The service or the store failed.
        """
        return self.bearer(rejected=rejected).token

    async def atoken(self, *, rejected: Token | None = None) -> Token:
        """Give a valid token without blocking the event loop; see `token`.

        Being cancelled here does no harm: a renewal that has begun is finished and saved.

        Args:
            rejected: A token from here that the API has answered with status 401.

        Returns:
            The token.

        Raises:
            PipedriveOAuthError: As `token` says.
        """
        return (self._supply.ready(rejected) or await self._supply.aget(rejected)).token

    def bearer(self, *, rejected: Token | None = None) -> Bearer:
        """Give a valid token with its header and where it may go, as adapters need it.

        Args:
            rejected: A token from here that the API has answered with status 401.

        Returns:
            The token, ready to be sent.

        Raises:
            PipedriveOAuthError: As `token` says.
        """
        return self._supply.ready(rejected) or self._supply.get(rejected)

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """Put the token on a request; `httpx.Client` calls this.

        Args:
            request: The request.

        Yields:
            The request, once or twice.
        """
        steps = self._steps(request)
        step = next(steps)
        while True:
            answer: object
            if isinstance(step, _Need):
                if step.answer is not None:
                    step.answer.read()
                answer = self._supply.get(step.rejected)
            else:
                answer = yield step
            try:
                step = steps.send(answer)
            except StopIteration:
                return

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Put the token on a request; `httpx.AsyncClient` calls this.

        Args:
            request: The request.

        Yields:
            The request, once or twice.
        """
        steps = self._steps(request)
        step = next(steps)
        while True:
            answer: object
            if isinstance(step, _Need):
                if step.answer is not None:
                    await step.answer.aread()
                answer = await self._supply.aget(step.rejected)
            else:
                answer = yield step
            try:
                step = steps.send(answer)
            except StopIteration:
                return

    def _steps(self, request: httpx.Request) -> Generator[_Step, Any]:
        ready = self._supply.ready()
        if ready is None:
            known = self._supply.last
            if known is not None and not known.may_go_to(request.url):
                yield request  # it needs no token, so that none is renewed for it
                return
        bearer: Bearer = ready or (yield _Need())
        if not bearer.may_go_to(request.url):
            yield request
            return
        request.headers["Authorization"] = bearer.header
        response: httpx.Response = yield request
        if response.status_code != 401 or not self._is_worth_renewing(response, bearer):
            return
        following: Bearer = yield _Need(bearer.token, response)
        if not (can_be_sent_again(request, response) and following.may_go_to(request.url)):
            return
        request.headers["Authorization"] = following.header
        response = yield request
        if response.status_code == 401 and _was_shown(response, following):
            self.rest.begin(read_clock(self.clock))

    def _is_worth_renewing(self, response: httpx.Response, bearer: Bearer) -> bool:
        return _was_shown(response, bearer) and not self.rest.is_on(read_clock(self.clock))


def _was_shown(response: httpx.Response, bearer: Bearer) -> bool:
    # A redirect may have taken the token off, on its way to somebody else and back as well.
    shown: object = response.request.headers.get("Authorization")
    return shown == bearer.header
