"""Errors of Redis without what they repeat of a command: `tidy`, `what_to_do`."""

from __future__ import annotations

from typing import Final

from redis import exceptions as exc

__all__ = ["BACKEND_ERRORS", "is_worth_another_attempt", "tidy", "what_to_do"]

BACKEND_ERRORS: Final = (exc.RedisError, OSError, UnicodeError)
"""What comes out of redis-py."""

# Answers whose text is the server's own. Others, such as that to an unknown command, repeat the
# beginning of what was sent.
_READABLE: Final = (
    *("OOM", "WRONGTYPE", "READONLY", "NOAUTH", "WRONGPASS", "NOPERM", "LOADING", "MISCONF"),
    *("CLUSTERDOWN", "MASTERDOWN", "NOREPLICAS", "BUSY", "TRYAGAIN", "NOSCRIPT", "UNBLOCKED"),
    *("MOVED", "ASK", "CROSSSLOT"),
)
_DENIED: Final = (exc.AuthenticationError, exc.AuthorizationError, exc.NoPermissionError)
_NOT_NOW: Final = (*_DENIED, exc.BusyLoadingError, exc.MaxConnectionsError)

# Inside of a script, an error may come without a class of its own.
_ADVICE: Final[tuple[tuple[tuple[type[BaseException], ...], tuple[str, ...], str], ...]] = (
    (
        _DENIED,
        ("NOPERM", "NOAUTH", "WRONGPASS"),
        (
            "Redis refuses the user. Check the password, and that the user may run scripts and use"
            " the keys of the store."
        ),
    ),
    (
        (exc.BusyLoadingError,),
        ("LOADING",),
        "Redis is loading its data. Try again in a while.",
    ),
    (
        (exc.ReadOnlyError,),
        ("READONLY",),
        "This Redis is a replica, which can't be written to. Give the store the primary's address.",
    ),
    (
        (exc.OutOfMemoryError,),
        ("OOM",),
        "Redis has reached its `maxmemory`, and keeps no more. Give it more, then try again.",
    ),
    (
        (),
        ("WRONGTYPE",),
        (
            "A key of the token store holds something else. Give the store a `prefix` that nobody"
            " else uses, or remove the key."
        ),
    ),
    (
        (),
        ("MISCONF",),
        "Redis can't write to its disk, and takes nothing in. Make room on it.",
    ),
    (
        (exc.MaxConnectionsError,),
        (),
        "All connections of the client are in use. Give its pool more, or try again.",
    ),
    (
        (exc.ConnectionError, exc.TimeoutError, OSError),
        (),
        (
            "The token store can't reach Redis. Make sure that it runs, and that its address is"
            " right; then try again."
        ),
    ),
)


def is_worth_another_attempt(error: BaseException) -> bool:
    """Tell whether a connection was lost, so that a new one may do.

    Args:
        error: The error.

    Returns:
        Whether to try the step again; doing it twice is the same as doing it once.
    """
    lost = exc.ConnectionError | exc.TimeoutError | OSError
    return isinstance(error, lost) and not isinstance(error, _NOT_NOW)


def tidy(error: BaseException) -> BaseException:
    """Take out of an error what it may repeat of a token.

    Args:
        error: The error, which is changed.

    Returns:
        The same error.
    """
    if isinstance(error, exc.ResponseError) and not _is_readable(error):
        word = str(error).partition(" ")[0]
        code = word if word.isupper() and word.isascii() else "unknown"
        error.args = (f"{code}: its text is hidden, since it may repeat what was sent",)
        error.__cause__ = error.__context__ = None
    return error


def what_to_do(error: BaseException) -> str:
    """Say what has happened, and what can be done.

    Args:
        error: The error.

    Returns:
        Sentences that repeat nothing of the error.
    """
    answer = str(error) if isinstance(error, exc.ResponseError) else ""
    for kinds, words, advice in _ADVICE:
        if isinstance(error, kinds) or any(word in answer for word in words):
            return advice
    return "Redis failed in a step of the token store; the cause says why."


def _is_readable(error: exc.ResponseError) -> bool:
    # redis-py takes the code away where it has a class of its own for it.
    return type(error) is not exc.ResponseError or str(error).startswith(_READABLE)
