"""Everything that a log, a terminal or a crash report could show of an error."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator

import httpx

from pipedrive_oauth_client import UnexpectedStatus


def visible(error: BaseException) -> str:
    """Give the traceback of an error, and the texts of it and of all errors that hang on it."""
    parts = traceback.format_exception(error)
    for each in _family(error, set()):
        attributes = dict(vars(each))
        if isinstance(each, UnexpectedStatus):
            del attributes["content"]  # the body, for whoever asks for it by name
        parts += [str(each), repr(each), repr(each.args), repr(attributes)]
        # An error tracker goes on into the objects that an error holds.
        for value in attributes.values():
            if isinstance(value, httpx.Request):
                parts += [str(value.url), repr(value.headers.raw), repr(value.read())]
            if isinstance(value, httpx.Response):
                parts += [repr(value.headers.raw), repr(value.request.headers.raw)]
    return "\n".join(parts)


def found(text: str, secrets: Iterable[str]) -> list[str]:
    """List the secrets that stand in a text, as they are or as `repr` would write them."""
    return [secret for secret in secrets if secret in text or repr(secret)[1:-1] in text]


def _family(error: BaseException | None, known: set[int]) -> Iterator[BaseException]:
    # The context, too, where it is suppressed: a crash reporter may print it all the same.
    if error is None or id(error) in known:
        return
    known.add(id(error))
    yield error
    yield from _family(error.__cause__, known)
    yield from _family(error.__context__, known)
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield from _family(member, known)
