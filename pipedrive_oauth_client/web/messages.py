"""Requests and responses in a form that does not depend on the framework."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

from attrs import field, frozen

from pipedrive_oauth_client.errors import ConfigurationError

__all__ = ["PRIVATE", "CookieChange", "WebRequest", "WebResponse"]

PRIVATE: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Headers of every response: its URL holds a code or a state, which must stay private.

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


def _path_of_site(path: str) -> str:
    """Return a path with one slash at its start: of two, a browser makes the name of a host."""
    return "/" + path.lstrip("/\\")


def _root_of_site(path: str) -> str:
    """Return where an app is mounted, without a slash at its end; "" for the top."""
    return _path_of_site(path).rstrip("/")


@frozen(kw_only=True, eq=False)
class WebRequest:
    """A request, as far as a response depends on it."""

    method: str
    query: str = field(repr=False)
    cookies: Mapping[str, str] = field(repr=False)
    header: Callable[[str], Sequence[str]] = field(repr=False)
    start: str = field(converter=_path_of_site)
    root: str = field(converter=_root_of_site)
    native: Any = field(repr=False)
    read_body: Callable[[int], Any] = field(repr=False)

    @property
    def is_prefetch(self) -> bool:
        """Whether a browser sent the request speculatively, without a visit (Fetch Standard)."""
        return any(
            "prefetch" in value.lower()
            for name in ("Sec-Purpose", "Purpose", "X-Moz")
            for value in self.header(name)
        )


@frozen(eq=False)
class CookieChange:
    """A cookie to set, or to remove.

    All of them are for the whole host, out of reach for scripts, and `SameSite=Lax`: a browser that
    the service redirects sends them, and one that submits an attacker's form does not.
    """

    name: str
    value: str = field(repr=False)
    seconds: int
    is_secure: bool


@frozen(kw_only=True, eq=False)
class WebResponse:
    """The response to send."""

    status: int
    headers: Mapping[str, str] = field(factory=dict[str, str], repr=False)
    body: str = field(default="", repr=False)
    cookies: tuple[CookieChange, ...] = ()
    native: Any = field(default=None, repr=False)

    def native_as(self, kind: type[_T]) -> _T | None:
        """Return the app's own response, which must be of the framework's type, or None."""
        if self.native is None or isinstance(self.native, kind):
            return self.native
        raise ConfigurationError(
            f"A function of the app has returned {type(self.native).__name__}: `connected` and"
            f" `failed` have to return {kind.__module__}.{kind.__name__}, or None for the default"
            " response."
        )

    def apply_to(self, response: _ResponseT) -> _ResponseT:
        """Add the headers and cookies to a framework's response, and return it."""
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
