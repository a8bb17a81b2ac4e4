"""Errors that the endpoint functions raise.

They are the root of the package's error tree; the rest of the tree is in
`pipedrive_oauth_client.errors`. Their messages never contain a request, a response body or a
header.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

if TYPE_CHECKING:
    import httpx

    from .response import RawResponse


def _restore(
    error_class: type[BaseException], args: tuple[Any, ...], state: dict[str, Any]
) -> BaseException:
    error = error_class.__new__(error_class)
    error.args = args
    error.__dict__.update(state)
    return error


class PipedriveOAuthError(Exception):
    """Base of every error that this package raises on purpose."""

    def __reduce__(self) -> tuple[Callable[..., BaseException], tuple[Any, ...]]:
        # By default an exception is unpickled by calling its class with `args`, which fails where
        # the constructor takes anything else; errors must survive the way back from a worker
        # process.
        return _restore, (type(self), self.args, self.__dict__.copy())


class ConfigurationError(PipedriveOAuthError):
    """An argument or a setting is not valid, so nothing was sent.

    The message names the argument and says what it must be.
    """


class TransportError(PipedriveOAuthError):
    """No complete response arrived.

    The service could not be reached or was too slow, or the connection failed on the way. The
    `httpx` exception is the `__cause__`.

    Attributes:
        maybe_sent: False if the request was never sent, so that it can be repeated without harm;
            True if the service may have acted on it.
    """

    def __init__(self, message: str, *, maybe_sent: bool) -> None:
        self.maybe_sent = maybe_sent
        super().__init__(message)


class InvalidResponseError(PipedriveOAuthError):
    """A response arrived but is not what the spec describes.

    Attributes:
        problem: What is wrong with it, without its content.
        field: The invalid field as the service spells it, for example `expires_in`; None for the
            whole body.
        status_code: The HTTP status of the response; None where a plain dictionary was read.
        headers: The headers of the response, looked up without regard to case; None likewise.
        response: The response as it came, for a caller that can use a part of it; None where its
            body was not read. The body may hold secrets, so no text shows it, and a copy or a
            pickle of this error lacks it.
    """

    def __init__(
        self,
        problem: str,
        *,
        field: str | None = None,
        status_code: int | None = None,
        headers: httpx.Headers | None = None,
        response: RawResponse | None = None,
    ) -> None:
        self.problem = problem
        self.field = field
        self.status_code = status_code
        self.headers = headers
        self.response = response
        source = "this data" if status_code is None else f"the response with status {status_code}"
        super().__init__(
            f"Cannot use {source}: {problem}. A proxy or another service may have responded instead"
            " of the expected one: check base_url and the network, then try again."
        )

    def __reduce__(self) -> tuple[Callable[..., BaseException], tuple[Any, ...]]:
        return _restore, (type(self), self.args, {**self.__dict__, "response": None})


class UnexpectedStatus(PipedriveOAuthError):  # noqa: N818 - the generator's own name for it
    """The status of the response is not in the spec, and `raise_on_unexpected_status` is set.

    Attributes:
        status_code: The HTTP status of the response.
        content: The body; it may hold secrets, so it is not part of the message.
        headers: The headers of the response, looked up without regard to case.
    """

    def __init__(
        self, status_code: int, content: bytes, headers: httpx.Headers | None = None
    ) -> None:
        self.status_code = status_code
        self.content = content
        self.headers = headers
        super().__init__(
            f"The service responded with status {status_code}, which the spec does not describe."
            " Check base_url, and look at `content` of this error, which may hold secrets."
        )


class ProcessBound:
    """A base class of objects that no other process can use, which can't be pickled or copied.

    They hold connections, locks or secrets. A subclass that defines `__reduce__` is pickled by it.
    """

    __slots__ = ()
    # What to do instead, as a sentence for the error.
    _instead: ClassVar[str] = "Pass what it is made of, and make a new one there."

    def __reduce__(self) -> NoReturn:
        # `pickle`, `copy` and `multiprocessing` call this.
        raise ConfigurationError(
            f"{type(self).__name__} can't be pickled or copied, nor passed to another process: it"
            f" holds connections, locks or secrets of this one. {self._instead}"
        )


__all__ = [
    "ConfigurationError",
    "InvalidResponseError",
    "PipedriveOAuthError",
    "ProcessBound",
    "TransportError",
    "UnexpectedStatus",
]
