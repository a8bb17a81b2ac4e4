"""The client that the endpoint functions send through: a thin, typed holder of `httpx` clients."""

import os
import ssl
import sys
import threading
from collections.abc import Mapping
from contextlib import aclosing, closing
from functools import lru_cache
from http.cookiejar import DefaultCookiePolicy
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Self, TypedDict, TypeVar, Unpack
from weakref import WeakKeyDictionary

import httpx

from . import DEFAULT_BASE_URL
from .body import ACCEPT_ENCODING, Body, unusable
from .encode import argument, header
from .errors import ConfigurationError, PipedriveOAuthError, ProcessBound, TransportError
from .response import RawResponse
from .settings import (
    checked_base_url,
    checked_cookies,
    checked_header_name,
    checked_headers,
    checked_size,
    checked_switch,
    checked_timeout,
    merged,
)

# pytest shows the arguments of the last frame of an error, and here they are secrets.
__tracebackhide__ = True

DEFAULT_TIMEOUT: Final = httpx.Timeout(30.0, connect=10.0)
"""Seconds to wait for a connection (10), for each further step of a request (30), and for the whole
body of its response (30)."""

DEFAULT_MAX_RESPONSE_BYTES: Final = 1024 * 1024
"""Size at which reading of a body stops; a token response has about two thousand bytes."""


if TYPE_CHECKING:

    class _Settings(TypedDict, total=False):
        headers: Mapping[str, str]
        cookies: Mapping[str, str]
        timeout: httpx.Timeout | float | None
        verify_ssl: bool | ssl.SSLContext
        follow_redirects: bool
        httpx_args: Mapping[str, Any]
        max_response_bytes: int
        raise_on_unexpected_status: bool


_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})

T = TypeVar("T", httpx.Client, httpx.AsyncClient)


class Client(ProcessBound):
    """Holds where requests go and how, and the `httpx` clients that carry them.

    The `httpx` clients are made at the first request: one for synchronous functions, and one for
    each event loop. Threads and tasks may share a client. At its end `with` closes the connections
    of synchronous requests, and `async with` also those of its event loop; the client can be used
    again afterwards.

    Args:
        base_url: Root of the server; it comes before the path of each operation.
        headers: Headers of every request.
        cookies: Cookies of every request.
        timeout: Seconds for each step of a request, or an `httpx.Timeout`; None is for no
            limit.
        verify_ssl: Whether to verify the server's certificate, or the `ssl.SSLContext` to verify
            it with.
        follow_redirects: Whether to follow redirects. Leave it off: a redirect would send the
            credentials to another address.
        httpx_args: Further arguments of `httpx.Client` and `httpx.AsyncClient`, for example
            `proxy` or `http2`.
        max_response_bytes: Size at which reading of a body stops.
        raise_on_unexpected_status: Whether to raise `UnexpectedStatus` for a status that the spec
            does not describe.

    Raises:
        ConfigurationError: A setting can't be right.
    """

    # Not a class of attrs: its making would take longer than all else that this module does.
    __slots__ = (
        *("_base_url", "_cookies", "_follow_redirects", "_headers", "_httpx_args", "_timeout"),
        *("_given", "_given_async", "_lock", "_made", "_made_async", "_process", "_verify_ssl"),
        *("__weakref__", "max_response_bytes", "raise_on_unexpected_status"),
    )

    def __init__(
        self,
        base_url: str = DEFAULT_BASE_URL,
        *,
        headers: Mapping[str, str] = _NOTHING,
        cookies: Mapping[str, str] = _NOTHING,
        timeout: httpx.Timeout | float | None = DEFAULT_TIMEOUT,
        verify_ssl: bool | ssl.SSLContext = True,
        follow_redirects: bool = False,
        httpx_args: Mapping[str, Any] = _NOTHING,
        max_response_bytes: int = DEFAULT_MAX_RESPONSE_BYTES,
        raise_on_unexpected_status: bool = False,
    ) -> None:
        self._base_url = checked_base_url(base_url)
        self._headers = checked_headers(headers)
        self._cookies = checked_cookies(cookies)
        self._timeout = checked_timeout(timeout)
        self._verify_ssl = verify_ssl
        self._follow_redirects = checked_switch(follow_redirects)
        self._httpx_args = httpx_args
        self.max_response_bytes = checked_size(max_response_bytes)
        self.raise_on_unexpected_status = checked_switch(raise_on_unexpected_status)
        self._given: httpx.Client | None = None
        self._given_async: httpx.AsyncClient | None = None
        self._made: httpx.Client | None = None
        # By event loop, since a connection ends with the loop that opened it.
        self._made_async: WeakKeyDictionary[Any, httpx.AsyncClient] = WeakKeyDictionary()
        self._lock = threading.Lock()
        self._process = os.getpid()

    def __repr__(self) -> str:
        # Headers, cookies and further arguments of httpx may be secret.
        shown = ("base_url", "timeout", "verify_ssl", "follow_redirects")
        settings = self._settings()
        fields = ", ".join(f"{name}={settings[name]!r}" for name in shown)
        return f"{type(self).__name__}({fields})"

    def _settings(self) -> dict[str, Any]:
        """Return the arguments that make a client like this one."""
        return {
            "base_url": self._base_url,
            "headers": self._headers,
            "cookies": self._cookies,
            "timeout": self._timeout,
            "verify_ssl": self._verify_ssl,
            "follow_redirects": self._follow_redirects,
            "httpx_args": self._httpx_args,
            "max_response_bytes": self.max_response_bytes,
            "raise_on_unexpected_status": self.raise_on_unexpected_status,
        }

    @property
    def base_url(self) -> str:
        """Root of the server, without a slash at the end."""
        return self._base_url

    def with_headers(self, headers: Mapping[str, str]) -> Self:
        """Make a client like this one, with more headers; this one stays as it is.

        Args:
            headers: Headers to add, or to put in place of those of the same name.

        Returns:
            The new client, with connections of its own.

        Raises:
            ConfigurationError: This client sends through an `httpx` client that was given to it.
        """
        return self._derived(headers=merged(self._headers, checked_headers(headers)))

    def with_cookies(self, cookies: Mapping[str, str]) -> Self:
        """Make a client like this one, with more cookies; this one stays as it is.

        Args:
            cookies: Cookies to add, or to put in place of those of the same name.

        Returns:
            The new client, with connections of its own.

        Raises:
            ConfigurationError: This client sends through an `httpx` client that was given to it.
        """
        return self._derived(cookies={**self._cookies, **checked_cookies(cookies)})

    def with_timeout(self, timeout: httpx.Timeout | float | None) -> Self:
        """Make a client like this one, with another timeout; this one stays as it is.

        Args:
            timeout: Seconds for each step of a request, or an `httpx.Timeout`; None is for no
                limit.

        Returns:
            The new client, with connections of its own.

        Raises:
            ConfigurationError: This client sends through an `httpx` client that was given to it.
        """
        return self._derived(timeout=timeout)

    def _derived(self, **changes: Any) -> Self:
        if self._given is not None or self._given_async is not None:
            raise ConfigurationError(
                "This client sends through an httpx client that was given to it, which has its own"
                " headers, cookies and timeout. Change them there."
            )
        return type(self)(**{**self._settings(), **changes})

    def set_httpx_client(self, client: httpx.Client) -> Self:
        """Send synchronous requests through an `httpx.Client` of your own.

        Its settings replace those of this client: headers, cookies, timeout, certificates, and
        `base_url` where it has one. It is never closed here. Redirects are still followed only
        where `follow_redirects` of this client is set.

        Args:
            client: The `httpx.Client`.

        Returns:
            This client.

        Raises:
            ConfigurationError: It is not an `httpx.Client`.
        """
        if not isinstance(client, httpx.Client):
            raise ConfigurationError("client must be an httpx.Client.")
        self._given = client
        return self

    def set_async_httpx_client(self, async_client: httpx.AsyncClient) -> Self:
        """Send asynchronous requests through an `httpx.AsyncClient` of your own.

        Its settings replace those of this client: headers, cookies, timeout, certificates, and
        `base_url` where it has one. It is never closed here, and it belongs to one event loop.
        Redirects are still followed only where `follow_redirects` of this client is set.

        Args:
            async_client: The `httpx.AsyncClient`.

        Returns:
            This client.

        Raises:
            ConfigurationError: It is not an `httpx.AsyncClient`.
        """
        if not isinstance(async_client, httpx.AsyncClient):
            raise ConfigurationError("async_client must be an httpx.AsyncClient.")
        self._given_async = async_client
        return self

    def get_httpx_client(self) -> httpx.Client:
        """Return the `httpx.Client` of synchronous requests, made at the first call.

        Returns:
            The same object at every call, in every thread, until this client is closed.

        Raises:
            ConfigurationError: httpx rejects the settings.
        """
        if self._given is not None:
            return self._given
        self._forget_after_fork()
        with self._lock:
            if self._made is None:
                self._made = self._make(httpx.Client)
            return self._made

    def get_async_httpx_client(self) -> httpx.AsyncClient:
        """Return the `httpx.AsyncClient` of the running event loop, made at the first call.

        Returns:
            The same object at every call within one event loop, until this client is closed.

        Raises:
            ConfigurationError: No event loop is running, or httpx rejects the settings.
        """
        if self._given_async is not None:
            return self._given_async
        loop = _running_loop()
        self._forget_after_fork()
        with self._lock:
            made = self._made_async.get(loop)
            if made is None:
                for other in [other for other in self._made_async if _is_closed(other)]:
                    del self._made_async[other]
                made = self._made_async[loop] = self._make(httpx.AsyncClient)
            return made

    def _forget_after_fork(self) -> None:
        # A connection that parent and child both use mixes up their responses, and the thread that
        # held the lock while the process was forked does not exist in the child.
        if self._process != os.getpid():
            self._lock, self._made, self._made_async = threading.Lock(), None, WeakKeyDictionary()
            self._process = os.getpid()

    def _make(self, kind: type[T]) -> T:
        try:
            made = kind(**self._arguments())
        except (ImportError, OSError, TypeError, ValueError, httpx.InvalidURL) as error:
            from .network_errors import settings_problem  # only where something fails

            # The text of the others may repeat a setting, a proxy's password for example.
            cause = error if isinstance(error, ImportError | OSError) else None
            problem = settings_problem(error, own_proxy="proxy" in self._httpx_args)
            name = type(error).__name__
        else:
            # Cookies of responses are not kept: requests for one account reveal nothing of others.
            made.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))
            return made
        raise ConfigurationError(
            problem or f"httpx rejects these settings ({name}). Check httpx_args and verify_ssl."
        ) from cause

    def _arguments(self) -> dict[str, Any]:
        return {
            "base_url": self._base_url,
            "cookies": dict(self._cookies),
            "headers": dict(self._headers),
            "timeout": self._timeout,
            "verify": self._verify_ssl,
            "follow_redirects": self._follow_redirects,
            **self._httpx_args,
        }

    def send(
        self,
        *,
        method: str,
        path: str,
        headers: Mapping[str, str],
        auth: Any = httpx.USE_CLIENT_DEFAULT,
        **kwargs: Any,
    ) -> RawResponse:
        """Send a request and read its response; the endpoint functions call this.

        Args:
            method: The HTTP method.
            path: The path of the operation.
            headers: The headers of the operation.
            auth: How httpx adds credentials; what its client does by default.
            **kwargs: Further arguments of `build_request`.

        Returns:
            The response, whatever its status.

        Raises:
            ConfigurationError: The `httpx` client that was given is closed, or the request is not
                valid.
            TransportError: No complete response arrived.
            InvalidResponseError: The body is too large, or cannot be decompressed.
        """
        client = self.get_httpx_client()
        request = self._request(client, method, path, headers, kwargs)
        response: httpx.Response | None = None
        body: Body | None = None
        try:
            response = client.send(
                request, stream=True, auth=auth, follow_redirects=self._follow_redirects
            )
            with closing(response):
                body = Body(response, self.max_response_bytes)
                if response.is_stream_consumed:  # an event hook has read it
                    return _already_read(response, self.max_response_bytes)
                for chunk in response.iter_raw():
                    if not body.add(chunk):
                        break
                return RawResponse(response.status_code, response.headers, body.finish())
        except _FAILURES as error:
            failure = (body and body.failure) or _typed(
                f"{method} {path}", request, error, response, client
            )
        raise failure

    async def asend(
        self,
        *,
        method: str,
        path: str,
        headers: Mapping[str, str],
        auth: Any = httpx.USE_CLIENT_DEFAULT,
        **kwargs: Any,
    ) -> RawResponse:
        """Send a request and read its response without blocking; the endpoint functions call this.

        Args:
            method: The HTTP method.
            path: The path of the operation.
            headers: The headers of the operation.
            auth: How httpx adds credentials; what its client does by default.
            **kwargs: Further arguments of `build_request`.

        Returns:
            The response, whatever its status.

        Raises:
            ConfigurationError: The `httpx` client that was given is closed, or the request is not
                valid.
            TransportError: No complete response arrived.
            InvalidResponseError: The body is too large, or cannot be decompressed.
        """
        from anyio import CancelScope  # comes with httpx, which loads it as late as this

        client = self.get_async_httpx_client()
        request = self._request(client, method, path, headers, kwargs)
        response: httpx.Response | None = None
        body: Body | None = None
        try:
            response = await client.send(
                request, stream=True, auth=auth, follow_redirects=self._follow_redirects
            )
            async with aclosing(response):
                body = Body(response, self.max_response_bytes)
                if response.is_stream_consumed:  # an event hook has read it
                    return _already_read(response, self.max_response_bytes)
                # Generators inside httpx that are left in the middle cannot be closed from here,
                # and trio rejects that: cancelling ends them from within, and reads nothing more.
                with CancelScope() as reading:
                    async for chunk in response.aiter_raw():
                        if not body.add(chunk):
                            reading.cancel()
                return RawResponse(response.status_code, response.headers, body.finish())
        except _FAILURES as error:
            failure = (body and body.failure) or _typed(
                f"{method} {path}", request, error, response, client
            )
        raise failure

    def _request(
        self,
        client: httpx.Client | httpx.AsyncClient,
        method: str,
        path: str,
        headers: Mapping[str, str],
        arguments: Mapping[str, Any],
    ) -> httpx.Request:
        if client.is_closed:
            raise ConfigurationError("The httpx client that was given is closed; pass an open one.")
        try:
            # An httpx client given without a base_url of its own goes to this client's server.
            url = _address(str(client.base_url), self._base_url, path)
            headers = merged({"Accept-Encoding": ACCEPT_ENCODING}, headers)
            if type(client) not in _PLAIN or client.cookies or client.params:
                return client.build_request(method, url, headers=headers, **arguments)
            # Where the client adds nothing but headers and timeouts, this makes the same request in
            # two thirds of the time.
            timeout = client.timeout.as_dict()
            own = _added(client.headers.raw, headers)
            return httpx.Request(
                method, url, headers=own, extensions={"timeout": timeout}, **arguments
            )
        except (httpx.InvalidURL, UnicodeError) as error:
            name = type(error).__name__  # its text may repeat what was to be sent
        raise _not_sendable(f"{method} {path}", name)

    def close(self) -> None:
        """Close the connections of synchronous requests; the next request opens new ones."""
        self._forget_after_fork()
        with self._lock:
            made, self._made = self._made, None
        if made is not None:
            made.close()

    async def aclose(self) -> None:
        """Close the connections of the running event loop, and those of synchronous requests.

        The next request opens new ones.
        """
        self.close()
        with self._lock:
            made = self._made_async.pop(_running_loop(), None)
        if made is not None:
            await made.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.aclose()


class AuthenticatedClient(Client):
    """A client that sends a token with every request, for operations that take one in this way.

    An operation that takes an `authorization` argument sends that instead of the token.

    Args:
        base_url: As of a `Client`, as are the further settings.
        token: The token; hidden in `repr`.
        prefix: The word before it in the header, with a space between; empty for none.
        auth_header_name: The name of the header.
        **settings: The other arguments of a `Client`.

    Raises:
        ConfigurationError: A setting can't be right.
    """

    __slots__ = ("auth_header_name", "prefix", "token")

    def __init__(
        self,
        base_url: str = DEFAULT_BASE_URL,
        *,
        token: str,
        prefix: str = "Bearer",
        auth_header_name: str = "Authorization",
        **settings: "Unpack[_Settings]",
    ) -> None:
        super().__init__(base_url, **settings)
        self.token = token
        self.prefix = prefix
        self.auth_header_name = checked_header_name(auth_header_name)
        header("prefix and token", self._header_value())

    def _settings(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ("token", "prefix", "auth_header_name")}
        return {**super()._settings(), **own}

    def _header_value(self) -> str:
        token = argument("token", self.token, str)
        prefix = argument("prefix", self.prefix, str)
        return f"{prefix} {token}" if prefix else token

    def _arguments(self) -> dict[str, Any]:
        arguments = super()._arguments()
        token_header = {self.auth_header_name: self._header_value()}
        arguments["headers"] = merged(arguments["headers"], token_header)
        return arguments


# Parsing URLs is the slowest part of making a request, and there are only a few of them.
@lru_cache(maxsize=64)
def _address(given: str, own: str, path: str) -> httpx.URL:
    """Append a path to the base URL of the `httpx` client (`given`), else to this client's."""
    if not given:
        return httpx.URL(own + path)
    root = httpx.URL(given)
    return root.copy_with(raw_path=root.raw_path + httpx.URL(path).raw_path.lstrip(b"/"))


_PLAIN = (httpx.Client, httpx.AsyncClient)


def _added(
    given: list[tuple[bytes, bytes]], headers: Mapping[str, str]
) -> list[tuple[bytes, bytes]]:
    """Add an operation's headers to those of an `httpx` client; they replace the same names."""
    own = [(name.encode("ascii"), text.encode("ascii")) for name, text in headers.items()]
    names = {name.lower() for name, _text in own}
    return [(name, text) for name, text in given if name.lower() not in names] + own


def _running_loop() -> object:
    # A process that has not imported asyncio runs no loop of it; neither httpx nor this needs it.
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None:
        try:
            return asyncio.get_running_loop()
        except RuntimeError:
            pass
    from anyio.lowlevel import current_token  # comes with httpx; only trio gets here

    try:
        token = current_token()
    except Exception as error:  # noqa: BLE001 - anyio has had several for this, and none in common
        problem = type(error).__name__
    else:
        return getattr(token, "native_token", token)
    raise ConfigurationError(f"No event loop is running ({problem}). Call this from async code.")


def _is_closed(loop: Any) -> bool:
    # A trio token has no such method; its run ends with the thread of it, and the token with that.
    return bool(loop.is_closed()) if hasattr(loop, "is_closed") else False


def _already_read(response: httpx.Response, max_bytes: int) -> RawResponse:
    if len(response.content) > max_bytes:
        raise unusable(response, "the body is larger than max_response_bytes")
    return RawResponse(response.status_code, response.headers, response.content)


# Not httpx.HTTPError: a hook of the user's may raise an httpx.HTTPStatusError, which is theirs.
_FAILURES = (httpx.RequestError, httpx.InvalidURL, UnicodeError)

# With these the request was never sent.
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


def _not_sendable(operation: str, name: str) -> ConfigurationError:
    return ConfigurationError(
        f"Cannot send {operation} ({name}). Check base_url, and the headers and cookies of the"
        " client: one of them holds what HTTP does not allow."
    )


def _typed(
    operation: str,
    request: httpx.Request,
    error: Exception,
    response: httpx.Response | None,
    client: httpx.Client | httpx.AsyncClient,
) -> PipedriveOAuthError:
    """Make the package's own error of a failure.

    It is raised outside the `except` block: a failure whose text repeats what was to be sent must
    not be attached, neither as the cause nor as the context.
    """
    from .network_errors import interrupted, unsent  # only where something fails

    name = type(error).__name__
    if isinstance(error, httpx.LocalProtocolError | httpx.UnsupportedProtocol):
        return _not_sendable(operation, name)
    if isinstance(error, httpx.InvalidURL | UnicodeError):
        return unusable(response, "it redirects to what is not a URL")
    failure: PipedriveOAuthError
    if isinstance(error, httpx.DecodingError):
        failure = unusable(response, "the body cannot be decompressed")
    elif isinstance(error, _NOT_SENT):
        failure = TransportError(unsent(operation, request, error, client), maybe_sent=False)
    else:
        failure = TransportError(interrupted(operation, request, error), maybe_sent=True)
    if isinstance(error, httpx.ProtocolError):
        # Its text repeats what came, or where it was to be redirected to.
        error = type(error)("The details are withheld: they may hold a secret.")
    _cut_off_requests(error)
    failure.__cause__ = error
    return failure


def _cut_off_requests(error: Exception) -> None:
    """Replace the requests that failures hold by ones without credentials and form.

    An error tracker would store what an exception holds.
    """
    known: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        each = pending.pop()
        if each is None or id(each) in known:
            continue
        known.add(id(each))
        pending += [each.__cause__, each.__context__, *getattr(each, "exceptions", ())]
        if isinstance(each, httpx.HTTPError):
            try:
                request = each.request
            except RuntimeError:  # it has none
                continue
            url = request.url.copy_with(userinfo=b"", query=None, fragment=None)
            each.request = httpx.Request(request.method, url)
            if isinstance(each, httpx.HTTPStatusError):
                each.response.request = each.request


__all__ = [
    "DEFAULT_BASE_URL",
    "DEFAULT_MAX_RESPONSE_BYTES",
    "DEFAULT_TIMEOUT",
    "AuthenticatedClient",
    "Client",
]
