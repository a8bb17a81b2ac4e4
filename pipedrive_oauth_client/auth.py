"""A bearer token that is always valid: `PipedriveAuth`."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, TypeAlias, cast

import httpx

from pipedrive_oauth_client.errors import MissingScopesError, ProcessBound
from pipedrive_oauth_client.oauth import AsyncPipedriveOAuth, PipedriveOAuth
from pipedrive_oauth_client.stores.protocol import TokenStore
from pipedrive_oauth_client.token_source import Bearer, TokenSource
from pipedrive_oauth_client.tokens import DEFAULT_LEEWAY, Token

__all__ = ["PipedriveAuth", "is_replayable", "raise_for_scope"]


class _TokenNeeded(NamedTuple):
    """What a request needs before it goes on: a token, or another one than the rejected one.

    The response that rejected it is read first: it may hold the only connection.
    """

    url: httpx.URL
    rejected: tuple[Token, httpx.Response] | None = None


# What Pipedrive's API says, and what RFC 6750 says.
_SCOPE_MISMATCH: Final = "scope and url mismatch"
_INSUFFICIENT: Final = re.compile(r'error="?insufficient_scope"?', re.IGNORECASE)
_SCOPE: Final = re.compile(r'\bscope="([\x21\x23-\x7e ]{1,500})"', re.IGNORECASE)

_Step: TypeAlias = httpx.Request | _TokenNeeded


class PipedriveAuth(ProcessBound, httpx.Auth):
    """Sends a valid access token with every request of an httpx client, sync or async.

    A token that is about to expire, or that the API has rejected with status 401, is refreshed
    once, however many threads, tasks, event loops, processes and machines need it at that moment,
    and all of them get the new one. The token goes to its own `api_domain`, and to the hosts that
    you name; requests to other hosts are left unchanged. If the company's domain has changed,
    requests to the former `api_domain` go to the current one. After a 401 the request is sent once
    more if its body can be.

    While a token is valid, a failed early refresh is not an error: the token is used, and the
    refresh is tried again some seconds later.

    It may be shared by clients, threads and event loops.

    Args:
        oauth: Refreshes tokens. For an asynchronous flow, its synchronous counterpart is used.
        store: Holds the account's token. Save the user's first token there yourself.
        account: The account.
        leeway: How long before its expiry a token is refreshed.
        hosts: Where the token may go besides its `api_domain`: hosts, `api.acme.com`, or origins,
            `https://api.acme.com:8443`.
        required_scopes: The scopes that the token must have, for example `{"deals:full"}`; see
            `Token.missing_scopes`. If it lacks one, a `MissingScopesError` is raised before
            anything is sent, until the user has authorized the app again.

    Raises:
        ConfigurationError: An argument is not valid.

    Source:
        RFC 6750, section 2.1; RFC 9700, section 4.14.
    """

    _instead = "Pass the account, and make a new one there, with a flow and a store of its own."

    def __init__(
        self,
        oauth: PipedriveOAuth | AsyncPipedriveOAuth,
        store: TokenStore,
        account: str,
        *,
        leeway: timedelta = DEFAULT_LEEWAY,
        hosts: Iterable[str] = (),
        required_scopes: Iterable[str] = (),
    ) -> None:
        # Public for the adapters of other HTTP libraries.
        self.token_source: Final = TokenSource(
            oauth, store, account, leeway=leeway, hosts=hosts, required_scopes=required_scopes
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}(account={self.account!r})"

    @property
    def account(self) -> str:
        """The account that this is for."""
        return self.token_source.account

    @property
    def clock(self) -> Callable[[], datetime]:
        """The clock of `oauth`, which gives the current time as an aware datetime."""
        return self.token_source.clock

    def token(self, *, rejected: Token | None = None) -> Token:
        """Return a valid token, for any other HTTP library.

        Args:
            rejected: A token that this method returned and the API has rejected with status 401.
                Then another token is obtained, unless another caller or process has done so
                already.

        Returns:
            The token.

        Raises:
            TokenNotFoundError: No token is stored for the account.
            InvalidGrantError: The grant has ended; the user has to authorize the app again.
            MissingScopesError: The token lacks one of `required_scopes`; the user has to authorize
                the app again.
            PipedriveOAuthError: The service or the store failed.
        """
        source = self.token_source
        bearer = source.cached(rejected) or source.get(rejected)
        bearer.is_unused = False  # what becomes of it is not seen here
        return bearer.token

    async def atoken(self, *, rejected: Token | None = None) -> Token:
        """Return a valid token without blocking the event loop; see `token`.

        It can be canceled safely: a refresh that has begun is finished and saved.

        Args:
            rejected: A token that this method returned and the API has rejected with status 401.

        Returns:
            The token.

        Raises:
            PipedriveOAuthError: As `token` says.
        """
        source = self.token_source
        bearer = source.cached(rejected) or await source.aget(rejected)
        bearer.is_unused = False
        return bearer.token

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
            result: object
            if isinstance(step, _TokenNeeded):
                if step.rejected is None:
                    result = self.token_source.get_for(step.url)
                else:
                    step.rejected[1].read()
                    result = self.token_source.get(step.rejected[0])
            else:
                result = yield step
            try:
                step = steps.send(result)
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
            result: object
            if isinstance(step, _TokenNeeded):
                if step.rejected is None:
                    result = await self.token_source.aget_for(step.url)
                else:
                    await step.rejected[1].aread()
                    result = await self.token_source.aget(step.rejected[0])
            else:
                result = yield step
            try:
                step = steps.send(result)
            except StopIteration:
                return

    def _steps(self, request: httpx.Request) -> Generator[_Step, Any]:
        source = self.token_source
        bearer = source.cached()
        if bearer is None and not source.is_elsewhere(request.url):
            bearer = cast("Bearer | None", (yield _TokenNeeded(request.url)))
        if bearer is None or not (bearer.may_go_to(request.url) or _moved(source, bearer, request)):
            source.note_withheld(request.url)
            yield request
            return
        request.headers["Authorization"] = bearer.header
        response: httpx.Response = yield request
        if response.status_code != 401:
            bearer.is_unused = False
            return
        if not source.should_refresh(bearer, _sent(response)):
            if not bearer.may_go_to(response.request.url):
                source.note_withheld(response.request.url)  # a redirect has led there
            return
        following: Bearer = yield _TokenNeeded(request.url, (bearer.token, response))
        if not is_replayable(request, response):
            source.note_unused(following)
            return
        if not (following.may_go_to(request.url) or _moved(source, following, request)):
            return
        request.headers["Authorization"] = following.header
        response = yield request
        source.note_second_response(following, _sent(response), response.status_code)


def _moved(source: TokenSource, bearer: Bearer, request: httpx.Request) -> bool:
    """Send a request to a former domain of the API to the current one; tell whether it is one."""
    current = bearer.current_origin(request.url)
    if current is None:
        return False
    source.note_moved(request.url, current)
    scheme, host, port = current
    request.url = request.url.copy_with(scheme=scheme, host=host.decode("ascii"), port=port)
    request.headers["Host"] = request.url.netloc.decode("ascii")
    return True


def _sent(response: httpx.Response) -> object:
    # A redirect may have removed the token, on its way to another host and back as well.
    return response.request.headers.get("Authorization")


def raise_for_scope(response: Any) -> None:
    """Raise an error if the API has rejected a request because the token lacks a scope.

    Other responses pass, including those with status 403 for another reason.

    Args:
        response: A response of httpx, httpx2 or requests, whose body has been read.

    Raises:
        MissingScopesError: The status is 403 and the body says "Scope and URL mismatch". The user
            has to authorize the app again, since a refresh adds no scopes; before that, the
            app needs the scope in the Developer Hub. `missing` is what the response names, and
            empty if it names none.

    Source:
        Pipedrive's page of OAuth status codes; RFC 6750, section 3.1.
    """
    if response.status_code != 403:
        return
    challenge = _INSUFFICIENT.search(response.headers.get("WWW-Authenticate") or "")
    try:
        body: Any = response.json()
    except Exception:  # noqa: BLE001 - it is no JSON, or was not read; each library has its own errors
        body = None
    fields = cast("dict[str, Any]", body) if isinstance(body, dict) else {}
    texts = [text for text in (fields.get("error"), fields.get("message")) if isinstance(text, str)]
    if challenge is None and not any(_SCOPE_MISMATCH in text.lower() for text in texts):
        return
    named = _SCOPE.search(response.headers.get("WWW-Authenticate") or "")
    missing = named[1].replace(",", " ").split() if named is not None else []
    shown = f" ({', '.join(sorted(missing))})" if missing else ""
    raise MissingScopesError(
        f"Pipedrive's API rejected the request since the token lacks a scope{shown}. A refresh"
        " adds no scopes: add the scope to the app in Pipedrive's Developer Hub if it is"
        " not there, and have the user authorize the app again.",
        missing=missing,
    )


def is_replayable(request: httpx.Request, response: httpx.Response) -> bool:
    """Tell whether a request whose response has status 401 can be sent once more.

    Its body must still be there, and no redirect may have carried the request out. `response` may
    be that of another request, to which it was redirected; both may be of httpx or of httpx2.
    """
    # A redirect may say that the request was carried out.
    if response.request is not request and request.method not in ("GET", "HEAD"):
        return False
    stream: Any = request.stream
    # The parts of a multipart form: what is in memory, and files that can be rewound.
    fields = getattr(stream, "fields", None)
    if fields is not None:
        # A stream of the user's own may happen to have an attribute of this name.
        return all(hasattr(field, "render") and _can_be_read_again(field) for field in fields)
    try:
        bytes(request.content)
    except RuntimeError:  # httpx.RequestNotRead: it came from an iterator, which is used up
        return False
    return True


def _can_be_read_again(field: Any) -> bool:
    file = getattr(field, "file", b"")
    if isinstance(file, str | bytes):
        return True
    try:
        return bool(file.seekable())
    except (AttributeError, OSError, ValueError):  # it can't say, or is closed
        return False
