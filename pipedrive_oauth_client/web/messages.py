"""What comes in and what goes out, whatever the framework."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

from attrs import field, frozen

from pipedrive_oauth_client.errors import ConfigurationError

__all__ = ["PRIVATE", "Answer", "CookieChange", "Incoming"]

PRIVATE: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Headers of every answer: its address holds a code or a state, which is nobody else's business.

Source:
    RFC 9700, section 4.2.4; RFC 6749, section 10.5.
"""


class _Headers(Protocol):
    def __setitem__(self, key: str, value: str, /) -> None: ...


class _Response(Protocol):
    """What the responses of all frameworks have."""

    @property
    def headers(self) -> _Headers: ...

    def set_cookie(self, *arguments: Any, **settings: Any) -> None: ...


_T = TypeVar("_T")
_ResponseT = TypeVar("_ResponseT", bound=_Response)


@frozen(kw_only=True)
class Incoming:
    """A request, as far as an answer depends on it.

    Attributes:
        method: The HTTP method, in upper case.
        query: The query as it stands in the URL; hidden in `repr`, since it can hold a code.
        cookies: The cookies; hidden in `repr`.
        header: Gives all values of a header.
        start: The path of the route that begins to connect, as a browser has to ask for it.
        root: The path that the app is mounted at, without a slash at its end; usually empty.
        native: The framework's own request, for the app's functions.
        read_body: Gives the body, or None where it is longer than a number of bytes; to be awaited
            where the framework is asynchronous.
    """

    method: str
    query: str = field(repr=False)
    cookies: Mapping[str, str] = field(repr=False)
    header: Callable[[str], Sequence[str]] = field(repr=False)
    start: str
    root: str
    native: Any = field(repr=False)
    read_body: Callable[[int], Any] = field(repr=False)

    @property
    def is_prefetch(self) -> bool:
        """Whether a browser asks on suspicion, without a person who wants it (Fetch Standard)."""
        return any(
            "prefetch" in value.lower()
            for name in ("Sec-Purpose", "Purpose", "X-Moz")
            for value in self.header(name)
        )


@frozen
class CookieChange:
    """A cookie to set, or to remove.

    All of them are for the whole host, out of reach for scripts, and `SameSite=Lax`: a browser that
    the service sends back brings them along, and one that a stranger's form sends does not.

    Attributes:
        name: Its name.
        value: Its value; hidden in `repr`.
        seconds: How long it lives; 0 removes it.
        is_secure: Whether it travels over https only.
    """

    name: str
    value: str = field(repr=False)
    seconds: int
    is_secure: bool


@frozen(kw_only=True)
class Answer:
    """What to answer.

    Attributes:
        status: The HTTP status.
        headers: The headers; hidden in `repr`, since an address among them can hold a state.
        body: A text, by the `Content-Type` among the headers.
        cookies: What becomes of cookies.
        native: An answer of the app's own. It is sent in place of status and body; headers and
            cookies are added to it.
    """

    status: int
    headers: Mapping[str, str] = field(factory=dict[str, str], repr=False)
    body: str = field(default="", repr=False)
    cookies: tuple[CookieChange, ...] = ()
    native: Any = field(default=None, repr=False)

    def own(self, kind: type[_T]) -> _T | None:
        """Give the answer of the app's own.

        Args:
            kind: What the framework takes for one.

        Returns:
            The answer, or None.

        Raises:
            ConfigurationError: It is something else.
        """
        if self.native is None or isinstance(self.native, kind):
            return self.native
        raise ConfigurationError(
            f"A function of the app has returned {type(self.native).__name__}: `connected` and"
            f" `failed` have to return {kind.__module__}.{kind.__name__}, or None for the usual"
            " answer."
        )

    def complete(self, response: _ResponseT) -> _ResponseT:
        """Add headers and cookies to a response of the framework's.

        Args:
            response: The response; it is changed.

        Returns:
            The same response.
        """
        for name, value in self.headers.items():
            response.headers[name] = value
        for cookie in self.cookies:
            response.set_cookie(
                cookie.name,
                cookie.value,
                max_age=cookie.seconds,
                secure=cookie.is_secure,
                httponly=True,
                samesite="lax",
            )
        return response
